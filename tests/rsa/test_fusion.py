"""Fusion: scores, nulls and latencies against brute force; a planted order of regions returns."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage
from scipy.stats import binom, rankdata, spearmanr
from sklearn.linear_model import LinearRegression

from neuroalign.errors import AlignError, SchemaError
from neuroalign.rsa._label_permutations import draw_orders, find_time_clusters, judge
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.comparisons import compare_rdms
from neuroalign.rsa.fusion import fuse
from neuroalign.rsa.inference import noise_ceiling
from neuroalign.rsa.models import WeightedModel
from neuroalign.rsa.rdms import to_square
from neuroalign.storage import load, save

TIMES = np.round(np.arange(-0.1, 0.4, 0.02), 2)
PEAKS = {"V1": 0.1, "LO": 0.18, "IT": 0.28}


def name(n: int) -> np.ndarray:
    return np.array([f"c{k:02d}" for k in range(n)])


def in_time(values: np.ndarray, times: np.ndarray | None = None) -> xr.DataArray:
    """RDMs (subject, time, pair) with labels."""
    n = (1 + round((1 + 8 * values.shape[-1]) ** 0.5)) // 2
    times = np.arange(values.shape[1]) / 10 if times is None else times
    ids = np.array([f"m{k}" for k in range(len(values))])
    return fold(values, name(n), ("subject", "time"), {"subject": ids, "time": times})


def in_space(values: np.ndarray, prefix: str = "f") -> xr.DataArray:
    """RDMs (subject, roi, pair) with labels."""
    n = (1 + round((1 + 8 * values.shape[-1]) ** 0.5)) // 2
    ids = np.array([f"{prefix}{k}" for k in range(len(values))])
    rois = np.array([f"roi-{k}" for k in range(values.shape[1])])
    return fold(values, name(n), ("subject", "roi"), {"subject": ids, "roi": rois})


def simulate(rng: np.random.Generator, noise: float = 2.0) -> tuple[xr.DataArray, xr.DataArray]:
    """Regions with geometries of their own, each of which shows in MEG around its own time."""
    truth = rng.normal(size=(3, 190))
    course = np.exp(-(((TIMES[:, None] - np.array(list(PEAKS.values()))) / 0.03) ** 2) / 2)
    meg = course @ truth + rng.normal(0, noise, (12, len(TIMES), 190))
    fmri = truth + rng.normal(0, 1.0, (8, 3, 190))
    return in_time(meg, TIMES), in_space(fmri).assign_coords(roi=list(PEAKS))


@pytest.fixture
def small(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    """Five subjects, four times, two regions, seven conditions, with some signal."""
    shared = rng.normal(size=21)
    meg = rng.normal(size=(5, 4, 21)) + shared * np.array([0, 1, 1, 0])[:, None]
    return in_time(meg), in_space(rng.normal(size=(3, 2, 21)) + shared * np.array([[1], [0]]))


def test_scores_are_correlations_with_the_mean_of_ranks(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    found = fuse(meg, fmri, n_permutations=9, n_bootstrap=9)["score"]
    assert found.dims == ("roi", "time", "subject")
    for r in range(2):
        region = np.mean([rankdata(row) for row in fmri.values[:, r]], axis=0)
        for s, t in np.ndindex(5, 4):
            expected = spearmanr(meg.values[s, t], region).statistic
            np.testing.assert_allclose(found.values[r, t, s], expected, atol=1e-12)


@pytest.mark.parametrize(
    "method", ["pearson", "cosine", "rho_a", "whitened_cosine", "whitened_correlation"]
)
def test_every_method_equals_compare_rdms_on_single_rdms(small, method: str) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = (one.isel(subject=0, drop=True) for one in small)
    found = fuse(meg, fmri, method=method, n_permutations=20)
    expected = compare_rdms(fmri, meg, method=method)
    np.testing.assert_allclose(found["score"], expected.transpose("roi", "time"), atol=1e-12)
    assert not {"subject", "onset_lower"} & ({*found.dims} | {*found.data_vars})
    np.testing.assert_array_equal(found["score"], found["mean"])


@pytest.mark.parametrize("method", ["spearman", "whitened_correlation"])
def test_p_values_are_those_of_conditions_permuted_by_hand(small, method: str) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    one = fmri.isel(subject=0, drop=True)
    found = fuse(meg, one, method=method, n_permutations=40, seed=3)
    null = []
    for order in draw_orders(7, 40, 3):
        square = to_square(one)
        moved = square.copy(data=square.values[:, order][:, :, order])
        null.append(compare_rdms(moved, meg, method=method).mean("subject").values)
    mean = found["mean"].values
    reached = (np.array(null) >= mean - 1e-12).sum(axis=0)
    np.testing.assert_allclose(found["p_value"], (1 + reached) / 41)
    top = np.array(null).reshape(40, -1).max(axis=1)
    np.testing.assert_allclose(
        found["p_fwer"], (1 + (top[:, None, None] >= mean - 1e-12).sum(axis=0)) / 41
    )


def test_clusters_equal_those_of_an_image_library(rng: np.random.Generator) -> None:
    observed = ndimage.gaussian_filter1d(rng.normal(size=(3, 40)), 2, axis=-1)
    null = ndimage.gaussian_filter1d(rng.normal(size=(60, 3, 40)), 2, axis=-1)
    number, p_value = find_time_clusters(observed, null, 0.2)
    threshold = np.quantile(null, 0.8, axis=0)

    def weigh(values: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """Members and mass of each cluster of one map."""
        rows = [ndimage.label(row)[0] for row in values > threshold]
        spots = [(r, row == k) for r, row in enumerate(rows) for k in range(1, row.max() + 1)]
        return [((r, members), values[r, members].sum()) for r, members in spots]

    largest = np.array([max([m for _, m in weigh(one)], default=-np.inf) for one in null])
    clusters = weigh(observed)
    assert len(clusters) == number.max() > 3
    for (row, members), mass in clusters:
        assert len(np.unique(number[row, members])) == 1
        np.testing.assert_allclose(p_value[row, members], (1 + (largest >= mass).sum()) / 61)
    assert (p_value[number == 0] == 1).all()


def test_a_cluster_is_never_joined_over_two_rows() -> None:
    observed = np.array([[0.0, 0, 1], [1, 0, 0]])
    number, _ = find_time_clusters(observed, np.zeros((5, 2, 3)), 0.5)
    assert number.tolist() == [[0, 0, 1], [2, 0, 0]]


def test_controls_give_the_partial_correlation(small, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    control = fold(rng.normal(size=21), name(7))
    one = fmri.isel(subject=0, drop=True)
    found = fuse(meg, one, controls=control, n_permutations=30)
    between = spearmanr(control, one.values[1]).statistic
    for s, t in np.ndindex(5, 4):
        xy = spearmanr(meg.values[s, t], one.values[1]).statistic
        xz = spearmanr(meg.values[s, t], control).statistic
        expected = (xy - xz * between) / np.sqrt((1 - xz**2) * (1 - between**2))
        np.testing.assert_allclose(found["score"].values[1, t, s], expected, atol=1e-12)
    assert float(found["time_ceiling_lower"].max()) < 1


def test_what_is_only_the_control_is_not_found(rng: np.random.Generator) -> None:
    control = rng.normal(size=105)
    meg = in_time(control + rng.normal(size=(6, 3, 105)))
    fmri = in_space((control + 0.5 * rng.normal(size=(1, 105)))[None])
    plain = fuse(meg, fmri, n_permutations=200)
    partial = fuse(meg, fmri, controls=fold(control, name(15)), n_permutations=200)
    assert float(plain["p_fwer"].max()) < 0.05 < float(partial["p_fwer"].min())


def test_commonality_is_the_variance_that_regressions_share(small, rng) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    one = fmri.isel(subject=0, drop=True)
    model = fold(one.values[0] + rng.normal(size=21), name(7))
    found = fuse(meg, one, method="pearson", model={"category": model}, n_permutations=20)

    def explain(y: np.ndarray, *x: np.ndarray) -> float:
        design = np.stack(x, axis=1)
        return float(LinearRegression().fit(design, y).score(design, y))

    assert found["commonality"].dims == ("model", "roi", "time", "subject")
    for r, t, s in np.ndindex(2, 4, 5):
        y, region = meg.values[s, t], one.values[r]
        expected = explain(y, region) + explain(y, model.values)
        expected -= explain(y, region, model.values)
        np.testing.assert_allclose(found["commonality"].values[0, r, t, s], expected, atol=1e-12)


@pytest.mark.parametrize("units", ["time", "same"])
def test_region_and_model_are_permuted_together(rng: np.random.Generator, units: str) -> None:
    meg = in_time(rng.normal(size=(3, 4, 21)))
    fmri = in_space(rng.normal(size=(3 if units == "same" else 1, 2, 21)), "m")
    model = fold(rng.normal(size=21), name(7))
    found = fuse(meg, fmri, method="pearson", units=units, model={"m": model},
                 n_permutations=30, seed=5)  # fmt: skip
    null = []
    for order in draw_orders(7, 30, 5):
        region, other = (
            square.copy(data=square.values[..., order, :][..., order])
            for square in (to_square(fmri), to_square(model))
        )
        moved = fuse(meg, region, method="pearson", units=units, model={"m": other},
                     n_permutations=1)["commonality"]  # fmt: skip
        null.append(moved.mean("subject").values)
    mean = found["commonality"].mean("subject").values
    alone, at_once = judge(mean, np.array(null))
    np.testing.assert_allclose(found["commonality_p_value"], alone)
    np.testing.assert_allclose(found["commonality_p_fwer"], at_once)


def test_a_model_that_is_the_region_shares_all_it_explains(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    one = fmri.isel(subject=0, drop=True)
    found = fuse(meg, one, model={"same": one.isel(roi=0, drop=True)}, n_permutations=5)
    shared = found["commonality"].isel(model=0, roi=0)
    np.testing.assert_allclose(shared, found["score"].isel(roi=0) ** 2, atol=1e-9)


def test_commonality_finds_the_region_and_time_of_a_model(rng: np.random.Generator) -> None:
    meg, fmri = simulate(rng)
    model = fmri.sel(roi="LO").mean("subject")
    noisy = model.copy(data=model.values + rng.normal(size=190)).drop_vars("roi")
    found = fuse(meg, fmri, model={"shape": noisy}, n_permutations=200, n_bootstrap=50)
    mean = found["commonality"].mean("subject").sel(model="shape")
    best = mean.where(mean == mean.max(), drop=True)
    assert best["roi"].item() == "LO"
    assert abs(best["time"].item() - PEAKS["LO"]) <= 0.041
    p_value = found["commonality_p_fwer"].sel(model="shape")
    assert p_value.sel(roi="LO").min() < 0.05 < p_value.sel(roi="V1").min()


def test_a_planted_order_of_regions_returns(rng: np.random.Generator) -> None:
    meg, fmri = simulate(rng)
    found = fuse(meg, fmri, n_permutations=300, n_bootstrap=300)
    np.testing.assert_allclose(found["peak"], list(PEAKS.values()), atol=0.041)
    assert (found["peak_lower"] <= found["peak"]).all()
    assert (found["peak"] <= found["peak_upper"]).all()
    for earlier, later in pairwise(PEAKS):
        pair = {"roi": later, "roi_other": earlier}
        assert float(found["peak_difference_lower"].sel(pair)) > 0
        assert float(found["peak_difference_p"].sel(pair)) < 0.05
        assert float(found["onset"].sel(roi=later)) > float(found["onset"].sel(roi=earlier))
    assert (found["onset_share"] > 0.9).all()
    assert (found["onset"] >= found["onset_lower"]).all()
    baseline = found.sel(time=slice(None, 0.0))
    assert (baseline["p_fwer"] > 0.05).all()
    for roi, peak in PEAKS.items():
        assert float(found["p_cluster"].sel(roi=roi).sel(time=peak, method="nearest")) < 0.05


def test_ceilings_are_those_of_each_side(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    found = fuse(meg, fmri, method="pearson", n_permutations=5)
    for dim, rdms in (("time", meg), ("roi", fmri)):
        expected = noise_ceiling(rdms, method="pearson")
        for end in ("lower", "upper"):
            np.testing.assert_allclose(
                found[f"{dim}_ceiling_{end}"], expected[f"ceiling_{end}"], atol=1e-12
            )
    assert (found["mean"].max("roi") <= found["time_ceiling_upper"] + 1e-12).all()


def test_units_say_whose_subjects_are_kept(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    by_region = fuse(meg, fmri, units="roi", n_permutations=5)["score"]
    assert by_region["subject"].values.tolist() == ["f0", "f1", "f2"]
    pooled = fuse(meg, fmri, units="none", n_permutations=5)["score"]
    assert pooled.dims == ("roi", "time")
    single = fuse(meg.isel(subject=0, drop=True), fmri, n_permutations=5)["score"]
    assert single.sizes["subject"] == 3


def test_subjects_of_both_sides_are_matched_by_name(small, rng) -> None:  # type: ignore[no-untyped-def]
    meg, _ = small
    fmri = in_space(rng.normal(size=(5, 2, 21)), "m")
    found = fuse(meg, fmri[::-1], units="same", method="pearson", n_permutations=30, seed=1)
    for k in range(5):
        expected = compare_rdms(fmri[k], meg[k])
        np.testing.assert_allclose(found["score"].isel(subject=k), expected, atol=1e-12)
    square, null = to_square(fmri), []
    for order in draw_orders(7, 30, 1):
        moved = square.copy(data=square.values[..., order, :][..., order])
        null.append(np.mean([compare_rdms(moved[k], meg[k]).values for k in range(5)], axis=0))
    np.testing.assert_allclose(judge(found["mean"].values, np.array(null))[0], found["p_value"])


def test_forms_and_orders_of_conditions_do_not_matter(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    expected = fuse(meg, fmri, n_permutations=20)
    shuffled = to_square(fmri).isel(first=[3, 0, 6, 1, 2, 5, 4], second=[3, 0, 6, 1, 2, 5, 4])
    turned = to_square(meg).transpose("time", "subject", "first", "second")
    found = fuse(turned, shuffled, n_permutations=20)
    xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs())


def test_a_result_is_stored_and_read_again(small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    found = fuse(meg, fmri, model={"a": fmri[0, 0].drop_vars(["subject", "roi"])}, n_permutations=5)
    save(found, tmp_path / "fusion.nc")
    xr.testing.assert_identical(load(tmp_path / "fusion.nc"), found)


def test_no_onset_is_nan(rng: np.random.Generator) -> None:
    meg, fmri = in_time(rng.normal(size=(4, 5, 45))), in_space(rng.normal(size=(1, 1, 45)))
    found = fuse(meg, fmri, n_permutations=200, n_bootstrap=20, onset_length=5)
    assert np.isnan(found["onset"]).all()
    assert float(found["onset_share"].max()) == 0
    assert np.isnan(found["onset_lower"]).all()


def test_peaks_are_looked_for_in_their_window(rng: np.random.Generator) -> None:
    meg, fmri = simulate(rng)
    found = fuse(meg, fmri, n_permutations=20, n_bootstrap=20, peak_window=(0.2, 0.4))
    assert (found["peak_lower"] >= 0.2).all()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"method": "tau_a"}, ValueError, "method: expected one of"),
        ({"units": "meg"}, ValueError, "units: expected one of"),
        ({"units": "same"}, AlignError, "rdms_roi: expected the subjects of rdms_time"),
        ({"n_permutations": 0}, ValueError, "n_permutations: expected 1 or more, got 0"),
        ({"alpha": 5}, ValueError, "alpha: expected a number between 0 and 1, got 5"),
        ({"onset_length": 9}, ValueError, "onset_length: expected 1 to 4 times, got 9"),
        ({"peak_window": (8, 9)}, ValueError, "peak_window: expected times from 0 to 0.3 s"),
    ],
)
def test_wrong_options_are_named(small, change, error, match) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=match):
        fuse(*small, **change)


def test_wrong_rdms_are_named(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    with pytest.raises(SchemaError, match="rdms_time: expected leading dims 'time'"):
        fuse(meg.isel(time=0), fmri)
    with pytest.raises(SchemaError, match="rdms_roi: expected leading dims 'roi'"):
        fuse(meg, meg)
    fewer = to_square(meg).isel(first=slice(6), second=slice(6))
    with pytest.raises(AlignError, match="rdms_roi: expected the conditions of rdms_time, got 1"):
        fuse(fewer, fmri)
    with pytest.raises(AlignError, match="rdms_roi: expected the conditions of the data"):
        fuse(meg, to_square(fmri).isel(first=slice(6), second=slice(6)))


def test_models_and_controls_need_residuals(small) -> None:  # type: ignore[no-untyped-def]
    meg, fmri = small
    one = fold(fmri.values[0, 0], name(7))
    with pytest.raises(ValueError, match="controls: expected method 'pearson' or 'spearman'"):
        fuse(meg, fmri, method="cosine", controls=one)
    with pytest.raises(ValueError, match="model: expected method 'pearson' or 'spearman'"):
        fuse(meg, fmri, method="cosine", model={"one": one})
    with pytest.raises(ValueError, match="model: expected one RDM each, got several in 'two'"):
        fuse(meg, fmri, model=WeightedModel(fold(fmri.values[0], name(7), ("part",)), name="two"))


@pytest.mark.slow
@pytest.mark.parametrize("controlled", [False, True])
def test_noise_is_found_as_rarely_as_promised(controlled: bool) -> None:
    rng = np.random.default_rng(7)
    hits = np.zeros(2)
    for seed in range(400):
        control = rng.normal(size=28)
        meg = in_time(rng.normal(size=(3, 6, 28)) + controlled * control)
        fmri = in_space(rng.normal(size=(2, 2, 28)) + controlled * control)
        found = fuse(
            meg, fmri, controls=fold(control, name(8)) if controlled else None,
            method="pearson", n_permutations=99, n_bootstrap=0, seed=seed,
        )  # fmt: skip
        hits += [float(found[key].min()) <= 0.05 for key in ("p_fwer", "p_cluster")]
    assert (hits <= binom.ppf(0.999, 400, 0.05)).all()
    assert (hits >= binom.ppf(0.001, 400, 0.05))[0]
