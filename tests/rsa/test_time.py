"""RDMs along time: windows and noise by hand, geometries that last or return, the N400."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays, load_epochs
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.comparisons import compare_rdms
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.noise import estimate_noise
from neuroalign.rsa.time import bin_time, compute_time_rdms, generalize_rdms
from neuroalign.storage import load, save

CONDITIONS = np.array(list("abcdef"))


def record(rng: np.random.Generator, n_times: int = 10, n_runs: int = 4) -> xr.DataArray:
    """Six conditions twice a run, five channels at 100 Hz from -0.02 s."""
    n = 12 * n_runs
    return from_arrays(
        rng.normal(size=(n, 5, n_times)), modality="meg", stimulus=np.tile(CONDITIONS, 2 * n_runs),
        run=np.repeat([f"run-{k}" for k in range(n_runs)], 12), dtype="float64",
        time=np.arange(n_times) / 100 - 0.02, roi=["V1"] * 2 + ["IT"] * 3,
        subject=["s1"] * (n // 2) + ["s2"] * (n // 2), sampling_rate=100.0,
    )  # fmt: skip


def test_windows_average_their_samples(rng: np.random.Generator) -> None:
    data = record(rng)
    found = bin_time(data, window=0.04, step=0.02)
    assert found.dims == data.dims
    np.testing.assert_allclose(found["time"], [-0.005, 0.015, 0.035, 0.055])
    np.testing.assert_allclose(found["time_last"] - found["time_first"], 0.03)
    for k, start in enumerate(range(0, 8, 2)):
        expected = data.values[..., start : start + 4].mean(axis=2)
        np.testing.assert_allclose(found.values[..., k], expected, atol=1e-12)
    assert found.attrs["sampling_rate"] == pytest.approx(50)
    assert "bin_time" in found.attrs["history"]


def test_joined_windows_keep_their_samples_as_channels(rng: np.random.Generator) -> None:
    data = record(rng)
    found = bin_time(data, window=0.03, pattern="joined")
    assert found.sizes == {"sample": 48, "neuroid": 15, "time": 3}
    for k in range(3):
        one = data.isel(time=slice(3 * k, 3 * k + 3))
        xr.testing.assert_allclose(
            compute_rdm(found.isel(time=k)).drop_attrs(), compute_rdm(one).drop_attrs()
        )
    assert found["roi"].values.tolist() == ["V1"] * 6 + ["IT"] * 9


def test_a_window_with_a_gap_is_missing(rng: np.random.Generator) -> None:
    data = record(rng)
    data[3, :, 7:] = np.nan
    valid = np.isfinite(data.values).all(axis=1)
    found = bin_time(data.assign_coords(valid=(("sample", "time"), valid)), window=0.02)
    assert np.isnan(found.values[3]).all(axis=0).tolist() == [False, False, False, True, True]
    assert found["valid"].values[3].tolist() == [True, True, True, False, False]
    assert np.isfinite(np.delete(found.values, 3, axis=0)).all()


def test_single_precision_and_storage_stay(rng: np.random.Generator, tmp_path: Path) -> None:
    found = bin_time(record(rng).astype("float32"), window=0.02, pattern="joined")
    assert found.dtype == np.float32
    save(found, tmp_path / "binned.nc")
    xr.testing.assert_identical(load(tmp_path / "binned.nc"), found)


@pytest.mark.parametrize("distance", ["crossnobis", "mahalanobis", "decoding_accuracy"])
def test_noise_of_each_time_is_estimated_there(rng: np.random.Generator, distance: str) -> None:
    data = record(rng)
    data = data.copy(data=data.values * np.linspace(1, 9, 10))
    run = None if distance == "mahalanobis" else "run"
    found = compute_time_rdms(data, distance=distance, fold=run, noise="shrinkage")
    assert found.dims == ("time", "pair")
    for t in (0, 9):
        one = data.isel(time=t, drop=True)
        expected = compute_rdm(one, distance=distance, fold=run, noise="shrinkage")
        upper = expected.values[np.triu_indices(6, 1)]
        np.testing.assert_allclose(found.values[t], upper, atol=1e-10)


def test_each_equals_a_covariance_for_each_time(rng: np.random.Generator) -> None:
    data = record(rng)
    given = estimate_noise(data, fold="run", method="shrinkage", over="time")
    options = {"distance": "crossnobis", "fold": "run"}
    expected = compute_time_rdms(data, noise=given, **options)
    found = compute_time_rdms(data, noise="shrinkage", **options)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_noise_comes_from_all_times_or_a_stretch(rng: np.random.Generator) -> None:
    data = record(rng)
    options = {"distance": "crossnobis", "fold": "run"}
    for noise_from, part in (("all", slice(None)), ((-0.02, 0.0), slice(0, 3))):
        given = estimate_noise(data.isel(time=part), fold="run", method="shrinkage")
        found = compute_time_rdms(data, noise="shrinkage", noise_from=noise_from, **options)
        expected = compute_time_rdms(data, noise=given, **options)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_stacks_have_more_dims(rng: np.random.Generator) -> None:
    data = record(rng)
    found = compute_time_rdms(
        data, distance="crossnobis", fold="run", noise="shrinkage", over=("subject", "roi"),
        window=0.05, form="square",
    )  # fmt: skip
    assert found.dims == ("subject", "roi", "time", "first", "second")
    one = data.isel(sample=slice(24), neuroid=slice(2))
    expected = compute_time_rdms(
        one, distance="crossnobis", fold="run", noise="shrinkage", window=0.05, form="square"
    )
    np.testing.assert_allclose(found.values[0, 0], expected, atol=1e-12)
    mapped = compute_time_rdms({"s1": data[:24], "s2": data[24:]}, over="subject")
    together = compute_time_rdms(data, over="subject")
    np.testing.assert_allclose(mapped, together, atol=1e-12)


def make_rdms(rng: np.random.Generator, truth: np.ndarray, noise: float, n: int) -> xr.DataArray:
    """Geometries (time, pair) with noise of n subjects that spreads over neighbouring times."""
    values = truth + noise * rng.normal(size=(n, 1, truth.shape[1])) * 0.7
    values = values + noise * rng.normal(size=(n, *truth.shape)) * 0.7
    names = np.array([f"c{k}" for k in range((1 + round((1 + 8 * truth.shape[1]) ** 0.5)) // 2)])
    times = np.arange(len(truth)) / 10
    return fold(values, names, ("subject", "time"), {"time": times})


@pytest.mark.parametrize("method", ["spearman", "pearson", "tau_a"])
def test_generalisation_is_the_mean_over_couples(rng: np.random.Generator, method: str) -> None:
    rdms = make_rdms(rng, rng.normal(size=(3, 21)), 1.0, 4)
    found = generalize_rdms(rdms, method=method)
    couples = [
        compare_rdms(rdms[a], rdms[b], method=method).values
        for a in range(4) for b in range(4) if a != b
    ]  # fmt: skip
    np.testing.assert_allclose(found["score"], np.mean(couples, axis=0), atol=1e-12)
    own = [compare_rdms(one, one, method=method).values for one in rdms]
    np.testing.assert_allclose(found["within"], np.mean(own, axis=0), atol=1e-12)
    reliability = np.diagonal(np.mean(couples, axis=0))
    np.testing.assert_allclose(found["reliability"], reliability, atol=1e-12)


def test_the_error_is_that_of_leaving_subjects_out(rng: np.random.Generator) -> None:
    rdms = make_rdms(rng, rng.normal(size=(3, 21)), 1.0, 5)
    left = np.array(
        [generalize_rdms(rdms.isel(subject=[k for k in range(5) if k != out]))["score"].values
         for out in range(5)]
    )  # fmt: skip
    expected = np.sqrt(4 / 5 * np.square(left - left.mean(axis=0)).sum(axis=0))
    np.testing.assert_allclose(generalize_rdms(rdms)["standard_error"], expected, atol=1e-12)


def test_correction_gives_back_how_alike_geometries_are(rng: np.random.Generator) -> None:
    early, late = rng.normal(size=(2, 1225))
    truth = np.stack([early, (early + late) / np.sqrt(2), late, early])
    found = generalize_rdms(make_rdms(rng, truth, 1.0, 8), method="pearson")
    expected = np.corrcoef(truth)
    np.testing.assert_allclose(found["corrected"], expected, atol=0.06)
    assert float(found["corrected"].sel(time=0.0, time_other=0.3)) > 0.9
    np.testing.assert_allclose(found["reliability"], 1 / 2, atol=0.06)


def test_shared_noise_raises_what_is_within_only(rng: np.random.Generator) -> None:
    found = generalize_rdms(make_rdms(rng, np.zeros((3, 190)), 1.0, 10), method="pearson")
    assert abs(float(found["score"].mean())) < 0.05
    assert float(found["within"].values[0, 2]) > 0.3
    assert np.isnan(found["corrected"].values[found["reliability"].values <= 0]).all()


def test_halves_give_one_matrix_a_subject(rng: np.random.Generator) -> None:
    rdms = make_rdms(rng, rng.normal(size=(3, 21)), 0.5, 4)
    values = rdms.values.reshape(2, 2, 3, 21)
    names = np.array([f"c{k}" for k in range(7)])
    ids = np.array(["s1", "s2"])
    stack = fold(values, names, ("subject", "half", "time"), {"subject": ids})
    found = generalize_rdms(stack, over="half")
    assert found["score"].dims == ("subject", "time", "time_other")
    assert found["reliability"].dims == ("subject", "time")
    assert "standard_error" not in found
    alone = generalize_rdms(stack.isel(subject=1, drop=True), over="half")
    np.testing.assert_allclose(found["score"].values[1], alone["score"], atol=1e-12)


@pytest.fixture(scope="module")
def conditions():  # type: ignore[no-untyped-def]
    """A maker of N400 epochs, trials of both kinds dealt into conditions and blocks."""

    def make(folder: Path, n_parts: int) -> xr.DataArray:
        path = folder / "eeg_n400_wordpairs" / "subject04-epo.fif"
        with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
            epochs = load_epochs(path, stimulus="association")
        kind = np.where(epochs["event_code"].values == 6, "related", "unrelated")
        order = np.array([(kind[:k] == kind[k]).sum() for k in range(len(kind))])
        part = [f"{one} {k % n_parts}" for one, k in zip(kind, order, strict=True)]
        return epochs.assign_coords(
            kind=("sample", kind), condition=("sample", part),
            block=("sample", (order % 5).astype(str)),
        )  # fmt: skip

    return make


@pytest.mark.parametrize("noise_from", ["each", (-0.2, 0.0)])
def test_word_pairs_differ_most_in_the_n400(real_data, conditions, noise_from) -> None:  # type: ignore[no-untyped-def]
    found = compute_time_rdms(
        conditions(real_data, 1), by="kind", distance="crossnobis", fold="block",
        noise="shrinkage", noise_from=noise_from, window=0.1,
    ).isel(pair=0)  # fmt: skip
    assert 0.3 <= float(found["time"][int(found.values.argmax())]) <= 0.5
    others = found.where((found["time"] < 0.3) | (found["time"] > 0.5), drop=True)
    assert float(found.max()) > 2 * float(others.max())


def test_wrong_windows_are_named(rng: np.random.Generator) -> None:
    data = record(rng)
    with pytest.raises(ValueError, match=r"window: expected seconds above 0, got 0"):
        bin_time(data, window=0)
    with pytest.raises(ValueError, match=r"step: expected seconds above 0, got -1"):
        bin_time(data, window=0.02, step=-1)
    with pytest.raises(ValueError, match=r"window: expected at most 0.1 s, .* seconds, not ms"):
        bin_time(data, window=5)
    with pytest.raises(ValueError, match="pattern: expected one of 'mean', 'joined'"):
        bin_time(data, window=0.02, pattern="median")
    with pytest.raises(SchemaError, match="expected dim and coord 'time'"):
        bin_time(data.isel(time=0), window=0.02)
    with pytest.raises(SchemaError, match="expected evenly spaced times"):
        bin_time(data.isel(time=[0, 1, 5]), window=0.02)
    with pytest.raises(SchemaError, match="expected 2 times or more, got 1"):
        bin_time(data.isel(time=[0]), window=0.02)


def test_noise_of_a_stretch_is_of_each_subject(rng: np.random.Generator) -> None:
    people = {"s1": record(rng), "s2": record(rng)}
    options = {"distance": "crossnobis", "fold": "run", "noise": "shrinkage"}
    options |= {"noise_from": (-0.02, 0.0)}
    found = compute_time_rdms(people, over="subject", **options)
    assert found.dims == ("subject", "time", "pair")
    for name, one in people.items():
        alone = compute_time_rdms(one, **options)
        np.testing.assert_array_equal(found.sel(subject=name), alone)
    square = compute_time_rdms(people, over="subject", form="square", **options)
    assert square.dims == ("subject", "time", "first", "second")


def test_wrong_noise_is_named(rng: np.random.Generator) -> None:
    data = record(rng)
    options = {"distance": "mahalanobis", "noise": "shrinkage"}
    with pytest.raises(ValueError, match="noise_from: expected one of 'each', 'all'"):
        compute_time_rdms(data, noise_from="baseline", **options)
    with pytest.raises(ValueError, match=r"noise_from: expected times from -0.02 to 0.07 s"):
        compute_time_rdms(data, noise_from=(3, 4), **options)
    with pytest.raises(ValueError, match="window: expected seconds with step or pattern"):
        compute_time_rdms(data, step=0.01)
    with pytest.raises(
        ValueError, match="noise_from: expected 'each' or 'all' for decoding_accuracy"
    ):
        compute_time_rdms(
            data, distance="decoding_accuracy", fold="run", noise="shrinkage",
            noise_from=(-0.02, 0),
        )  # fmt: skip


def test_wrong_stacks_are_named(rng: np.random.Generator) -> None:
    rdms = make_rdms(rng, rng.normal(size=(3, 21)), 0.5, 4)
    with pytest.raises(SchemaError, match="rdms: expected leading dims 'time' and 'half'"):
        generalize_rdms(rdms, over="half")
    with pytest.raises(ValueError, match="method: expected one of"):
        generalize_rdms(rdms, method="cosin")
    with pytest.raises(SchemaError, match="expected 2 or more along 'subject', got 1"):
        generalize_rdms(rdms.isel(subject=[0]))
