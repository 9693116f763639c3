"""Affinities: the formula pair by pair, holes stay holes, faults are named."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import savgol_filter

from neuroalign import storage
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.latents import compute_affinity
from neuroalign.loaders import simulate_communities


def record(n: int = 4, length: int = 60, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(2, n, length)), axis=2)


def label(values: np.ndarray, names: list[str] | None = None, rate: float = 2.0) -> xr.DataArray:
    names = names or [f"n{i}" for i in range(values.shape[1])]
    time = np.arange(values.shape[2]) / rate
    return xr.DataArray(
        values, dims=("sample", "neuroid", "time"), coords={"neuroid": names, "time": time}
    )


def slope(values: np.ndarray) -> np.ndarray:
    found = savgol_filter(values, 5, 2, deriv=1)
    return np.asarray(found / (1.4826 * np.median(np.abs(found - np.median(found)))))


def test_same_sign_is_the_root_of_the_positive_product() -> None:
    values = record()
    tensor = compute_affinity(values)
    a, b = slope(values[1, 0]), slope(values[1, 2])
    expected = [np.sqrt(max(0.0, one * other)) for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(tensor.values[:, 1, 1], expected, atol=1e-5)


def test_abs_counts_movement_apart_too() -> None:
    values = record()
    both, same = (compute_affinity(values, method=name).values for name in ("abs", "same_sign"))
    a, b = slope(values[0, 1]), slope(values[0, 3])
    np.testing.assert_allclose(both[:, 0, 4], np.sqrt(np.abs(a * b)), atol=1e-5)
    assert np.all(both >= same - 1e-6)
    assert np.any(both > same + 0.1)


def test_correlations_are_those_of_each_window() -> None:
    values = record()
    tensor = compute_affinity(values, method="correlation_window", span=9)
    a, b = slope(values[0, 0]), slope(values[0, 1])
    expected = max(0.0, np.corrcoef(a[16:25], b[16:25])[0, 1])
    assert tensor.values[20, 0, 0] == pytest.approx(expected, abs=1e-5)


def test_span_averages_and_the_edges_average_what_there_is() -> None:
    values = record()
    raw, smooth = (compute_affinity(values, span=span).values[:, 0, 0] for span in (None, 5))
    assert smooth[10] == pytest.approx(raw[8:13].mean(), abs=1e-5)
    assert smooth[0] == pytest.approx(raw[:3].mean(), abs=1e-5)


def test_the_threshold_asks_both_to_move() -> None:
    values = record()
    free, strict = (compute_affinity(values, threshold=one).values[:, 0, 0] for one in (0.0, 1.0))
    strong = (np.abs(slope(values[0, 0])) >= 1) & (np.abs(slope(values[0, 1])) >= 1)
    np.testing.assert_allclose(strict, np.where(strong, free, 0.0), atol=1e-5)


@pytest.mark.parametrize("method", ["same_sign", "abs", "correlation_window"])
def test_scale_and_offset_of_a_neuroid_do_not_matter(method: str) -> None:
    values = record()
    scaled = values * np.array([1, 10, 0.1, 3])[None, :, None] + 7
    one, other = (compute_affinity(x, method=method, span=5) for x in (values, scaled))
    np.testing.assert_allclose(one.values, other.values, atol=1e-4)


def test_neuroids_that_a_subject_lacks_are_nan_in_its_pairs_alone() -> None:
    values = record()
    X = {"a": label(values[:1]), "b": label(values[1:, :3])}
    tensor = compute_affinity(X)
    lacking = tensor["second"].values == "n3"
    assert np.isnan(tensor.sel(subject="b").values[:, lacking]).all()
    assert np.isfinite(tensor.sel(subject="b").values[:, ~lacking]).all()
    assert np.isfinite(tensor.sel(subject="a").values).all()


def test_a_hole_in_time_makes_holes_only_there() -> None:
    values = record()
    values[0, 1, 20:23] = np.nan
    tensor = compute_affinity(values)
    first = tensor.values[:, 0, 0]
    assert np.flatnonzero(np.isnan(first)).tolist() == [20, 21, 22]
    assert np.isfinite(tensor.values[:, 0, 1]).all()


def test_trials_of_a_subject_are_averaged() -> None:
    values = record()
    both = compute_affinity({"a": label(np.concatenate([values[:1], values[:1]]))})
    one = compute_affinity({"a": label(values[:1])})
    np.testing.assert_allclose(both.values, one.values, atol=1e-6)


def test_a_dict_a_coord_and_rows_of_one_run_are_the_same() -> None:
    values = record()
    X = label(values).assign_coords(subject=("sample", ["a", "b"]))
    parts = {name: label(values[i : i + 1]) for i, name in enumerate("ab")}
    rows = {name: one[0].T.rename(time="sample").drop_vars("sample") for name, one in parts.items()}
    onset = np.arange(values.shape[2]) / 2.0
    rows = {
        name: one.assign_coords(onset=("sample", onset), run=("sample", ["run-01"] * len(one)))
        for name, one in rows.items()
    }
    expected = compute_affinity(X)
    assert compute_affinity(parts).identical(expected)
    assert compute_affinity(rows).identical(expected)


def test_decimation_keeps_every_so_many_bins_and_their_times() -> None:
    X = label(record()).assign_coords(subject=("sample", ["a", "b"]))
    full, few = compute_affinity(X, span=1.5), compute_affinity(X, span=1.5, decimate=4)
    np.testing.assert_array_equal(few.values, full.values[::4])
    assert few["time"].values.tolist() == full["time"].values[::4].tolist()
    assert few.attrs["sampling_rate"] == pytest.approx(0.5)


def test_affinities_come_back_from_a_file(tmp_path: Any) -> None:
    tensor = compute_affinity(simulate_communities(2, 40, 16, missing=0.2).responses)
    storage.save(tensor, tmp_path / "affinity.nc")
    assert storage.load(tmp_path / "affinity.nc").identical(tensor)


def test_constant_neuroids_are_named() -> None:
    values = record()
    values[0, 2] = 3.0
    with pytest.warns(NeuroalignWarning, match="got 1 constant ones in 'sub-01' .'neuroid-0002'"):
        tensor = compute_affinity(values)
    assert np.isnan(tensor.values[:, 0, 1]).all()


def test_a_neuroid_that_rests_most_of_the_time_still_moves() -> None:
    values = record()
    values[0, 2] = np.where(np.arange(60) > 50, values[0, 2], 0.0)
    assert np.isfinite(compute_affinity(values).values).all()


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"method": "cosine"}, "method: expected one of 'same_sign'"),
    ({"window": 1.0}, "window: expected 3 to 60 bins"),
    ({"span": 900.0}, "span: expected 1 to 60 bins"),
    ({"method": "correlation_window"}, "span: expected 3 to 60 bins"),
    ({"threshold": -1.0}, "threshold: expected a number >= 0"),
    ({"decimate": 0}, "decimate: expected an integer >= 1"),
]


@pytest.mark.parametrize(("options", "message"), FAULTS)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_affinity(record(), **options)


def test_subjects_at_other_times_are_refused() -> None:
    X = {"a": label(record()), "b": label(record(length=50))}
    with pytest.raises(AlignError, match=r"X\['b'\]: expected the 60 times of 'a'"):
        compute_affinity(X)


def test_subjects_without_a_common_neuroid_are_refused() -> None:
    X = {"a": label(record()), "b": label(record(), ["w", "x", "y", "z"])}
    with pytest.raises(AlignError, match="expected neuroids that several subjects share, got 8"):
        compute_affinity(X)


def test_shapes_labels_and_values_are_checked() -> None:
    X = label(record())
    with pytest.raises(SchemaError, match="X: expected coord 'subject' on 'sample'"):
        compute_affinity(X)
    with pytest.raises(SchemaError, match="expected a dict of DataArrays"):
        compute_affinity(np.zeros((3, 4)))
    with pytest.raises(SchemaError, match="expected one run with 'onset'"):
        compute_affinity({"a": X[0].T.rename(time="sample").drop_vars("sample")})
    with pytest.raises(SchemaError, match="at a regular pace"):
        compute_affinity({"a": X.assign_coords(time=np.arange(60.0) ** 2)})
    with pytest.raises(SchemaError, match="got 1 infinite"):
        compute_affinity({"a": X.where(X[0, 0, 5] != X, np.inf)})
    with pytest.raises(SchemaError, match="expected at least 2 neuroids"):
        compute_affinity({"a": X[:, :1]})
