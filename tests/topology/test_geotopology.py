"""The geo-topological transform: its formula, its grid, and what it must never do."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import rankdata

from neuroalign.errors import SchemaError
from neuroalign.rsa import compare_rdms, to_condensed, to_square
from neuroalign.storage import load, save
from neuroalign.topology import categorize_thresholds, threshold_grid, transform_rdm


def make(values: np.ndarray, n: int) -> xr.DataArray:
    """Condensed RDMs (subject, pair)."""
    first, second = np.triu_indices(n, 1)
    names = np.array([f"c{i:02d}" for i in range(n)])
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    dims = ("subject", "pair")[-values.ndim :]
    return xr.DataArray(values, coords, dims, attrs={"kind": "dissimilarity"})


def by_hand(vector: np.ndarray, low: float, high: float) -> np.ndarray:
    """The formula, one value at a time."""
    ranks = rankdata(vector)
    r = (ranks - ranks.min()) / (ranks.max() - ranks.min())
    a, b = np.quantile(r, low), np.quantile(r, high)
    out = []
    for value in r:
        if a == b:
            out.append(0.0 if value <= a + 1e-12 else 1.0)
        else:
            out.append(0.0 if value < a else 1.0 if value > b else (value - a) / (b - a))
    return np.array(out)


@pytest.mark.parametrize("ties", [False, True])
def test_the_whole_grid_equals_the_formula_value_by_value(
    rng: np.random.Generator, ties: bool
) -> None:
    values = rng.integers(0, 7, (3, 45)).astype(float) if ties else rng.random((3, 45))
    lower, upper = threshold_grid(0.1, equal=True)
    made = transform_rdm(make(values, 10), lower, upper)
    assert made.dims == ("setting", "subject", "pair")
    for setting, (low, high) in enumerate(zip(lower, upper, strict=True)):
        expected = [by_hand(row, low, high) for row in values]
        np.testing.assert_allclose(made[setting], expected, atol=1e-12)


def test_without_ties_it_clips_the_ranks(rng: np.random.Generator) -> None:
    values = rng.random(45)
    r = (rankdata(values) - 1) / 44
    made = transform_rdm(make(values, 10), 0.2, 0.7)
    np.testing.assert_allclose(made, np.clip((r - 0.2) / 0.5, 0, 1), atol=1e-12)


def test_equal_thresholds_give_the_adjacency_of_a_graph() -> None:
    rdm = make(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 4)
    assert transform_rdm(rdm, 0.4, 0.4).values.tolist() == [0, 0, 0, 1, 1, 1]
    assert transform_rdm(rdm, 3, 3, threshold="absolute").values.tolist() == [0, 0, 0, 1, 1, 1]
    assert transform_rdm(rdm, 0.5, 0.5, threshold="fraction").values.tolist() == [0, 0, 0, 1, 1, 1]


def test_thresholds_may_be_fractions_or_values() -> None:
    rdm = make(np.array([0.0, 1.0, 2.0, 4.0, 8.0, 10.0]), 4)
    fraction = transform_rdm(rdm, 0.1, 0.5, threshold="fraction")
    np.testing.assert_allclose(fraction, [0, 0, 0.25, 0.75, 1, 1])
    absolute = transform_rdm(rdm, 1, 5, threshold="absolute")
    np.testing.assert_array_equal(absolute, fraction)
    gate = transform_rdm(rdm, 1, 5, threshold="absolute", shape="gate")
    assert gate.values.tolist() == [0, 1, 2, 4, 10, 10]
    assert "category" not in transform_rdm(rdm, [0.1], [0.5], threshold="fraction").coords


def test_one_large_unranked_rdm_agrees_with_rsatoolbox(rng: np.random.Generator) -> None:
    peer = pytest.importorskip("rsatoolbox.rdm")
    values = 10 * rng.random(45)
    kept = values.copy()
    argument = peer.RDMs(values[None])
    expected = peer.geotopological_transform(argument, 0.2, 0.7).dissimilarities[0]
    made = transform_rdm(make(kept, 10), 0.2, 0.7, rank=False)
    np.testing.assert_allclose(made, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_units_do_not_matter_as_they_do_in_rsatoolbox(
    rng: np.random.Generator, scale: float
) -> None:
    peer = pytest.importorskip("rsatoolbox.rdm")
    values = rng.random(45)
    made = [transform_rdm(make(v, 10), 0.2, 0.7, rank=False) for v in (values, scale * values)]
    np.testing.assert_allclose(made[0], made[1], atol=1e-12)
    theirs = peer.geotopological_transform(peer.RDMs(scale * values[None]), 0.2, 0.7)
    # Its ramp is compared with the threshold once more: values below 1 are pushed to 1.
    assert (np.abs(theirs.dissimilarities[0] - made[0]).max() > 0.2) == (scale <= 1)


def test_the_sigmoid_follows_its_formula(rng: np.random.Generator) -> None:
    values = rng.random(45)
    r = (rankdata(values) - 1) / 44
    made = transform_rdm(make(values, 10), shape="sigmoid", slope=10, midpoint=0.5)
    np.testing.assert_allclose(made, 1 / (1 + np.exp(-10 * (r - 0.5))))


def test_each_rdm_has_its_own_quantiles_whatever_its_scale(rng: np.random.Generator) -> None:
    # Pooled quantiles gave 40 % zeros in the small one and none in the large one.
    values = rng.random(45)
    stack = make(np.stack([values, 10 * values]), 10)
    for rank in (True, False):
        made = transform_rdm(stack, 0.2, 0.8, rank=rank)
        np.testing.assert_allclose(made[0], made[1], atol=1e-12)
        assert 0.15 < (made == 0).mean() < 0.25


def test_the_argument_is_never_changed_nor_shared(rng: np.random.Generator) -> None:
    for rdm in (make(rng.random((2, 45)), 10), to_square(make(rng.random((2, 45)), 10))):
        kept = rdm.copy(deep=True)
        made = transform_rdm(rdm, 0.2, 0.8)
        made.values[:] = -1
        made.attrs["threshold"] = "gone"
        xr.testing.assert_identical(rdm, kept)


def test_square_and_condensed_agree_in_any_order_of_pairs(rng: np.random.Generator) -> None:
    rdm = make(rng.random((2, 45)), 10).astype("float32")
    made = transform_rdm(rdm, 0.1, 0.6)
    square = transform_rdm(to_square(rdm), 0.1, 0.6)
    assert square.dims == ("subject", "first", "second")
    assert square.dtype == made.dtype == np.float32
    xr.testing.assert_identical(to_condensed(square).drop_attrs(), made.drop_attrs())
    mixed = transform_rdm(rdm.isel(pair=rng.permutation(45)), 0.1, 0.6)
    by_label = to_square(mixed).sel(first=square["first"].values, second=square["second"].values)
    np.testing.assert_array_equal(by_label, square)


def test_missing_pairs_stay_missing_and_count_for_nothing(rng: np.random.Generator) -> None:
    values = rng.random(45)
    values[[3, 17]] = np.nan
    held = ~np.isnan(values)
    for low, high in ((0.2, 0.8), (0.3, 0.3)):
        made = transform_rdm(make(values, 10), low, high).values
        np.testing.assert_array_equal(np.isnan(made), ~held)
        np.testing.assert_allclose(made[held], by_hand(values[held], low, high), atol=1e-12)


def test_a_constant_rdm_becomes_zero() -> None:
    assert not transform_rdm(make(np.ones(6), 4), 0.2, 0.8).values.any()


def test_results_are_rdms_that_storage_keeps(rng: np.random.Generator, tmp_path: Path) -> None:
    made = transform_rdm(to_square(make(rng.random((2, 45)), 10)), *threshold_grid(0.5))
    assert made.attrs["kind"] == "dissimilarity"
    assert load(save(made, tmp_path / "t.nc")).identical(made)


def test_the_published_grid_has_210_cells_with_their_categories() -> None:
    lower, upper = threshold_grid(0.05)
    assert len(lower) == 210
    assert len(threshold_grid(0.05, equal=True)[0]) == 229
    names = categorize_thresholds(lower, upper)
    middle, width = (lower + upper) / 2, upper - lower
    assert set(names.tolist()) == {"local", "global", "geometry", "topology", "intermediate"}
    assert (names == "geometry").sum() == (width > 0.79).sum() == 15
    assert (middle[names == "local"] < 0.201).all()
    assert (middle[names == "global"] > 0.799).all()
    assert (names == "topology").sum() == 10


def test_the_four_subjects_and_monkeys_pass_with_their_known_correlation(real_data: Path) -> None:
    from neuroalign.loaders import load_rdms

    folder, images = real_data / "rsa_92images", [f"image {n}" for n in range(92)]
    both = load_rdms(folder / "Kriegeskorte_Neuron2008_supplementalData.mat", labels=images)
    plain = transform_rdm(both)
    # At 0 and 1 it is the ranked RDM: Pearson of it is Spearman of the RDMs.
    r = compare_rdms(plain.isel(rdm=0), plain.isel(rdm=1), method="pearson")
    assert float(r) == pytest.approx(0.4389, abs=1e-4)
    sessions = load_rdms(folder / "92_brainRDMs.mat", labels=images)
    made = transform_rdm(sessions, *threshold_grid(0.1))
    assert made.shape == (55, 8, 4186)
    assert ((made >= 0) & (made <= 1)).all()
    share = (made.isel(setting=made["lower"].values == 0.5) == 0).mean("pair")
    np.testing.assert_allclose(share, 0.5, atol=0.001)


def test_mistakes_are_named(rng: np.random.Generator) -> None:
    rdm = make(rng.random(45), 10)
    with pytest.raises(ValueError, match="upper: expected at least lower, got 0.2 under 0.4"):
        transform_rdm(rdm, 0.4, 0.2)
    with pytest.raises(ValueError, match="lower, upper: expected 0 to 1, got 0.0 to 3.0"):
        transform_rdm(rdm, 0, 3)
    with pytest.raises(ValueError, match="threshold: expected one of 'quantile'"):
        transform_rdm(rdm, threshold="quantiles")
    with pytest.raises(ValueError, match="shape: expected one of 'linear'"):
        transform_rdm(rdm, shape="ramp")
    with pytest.raises(ValueError, match="expected no thresholds with shape='sigmoid'"):
        transform_rdm(rdm, 0.1, 0.4, shape="sigmoid")
    with pytest.raises(ValueError, match="upper: expected one for each lower"):
        transform_rdm(rdm, [0.1, 0.2], [0.5, 0.6, 0.7])
    with pytest.raises(ValueError, match="step: expected a part of 1 such as 0.05, got 0.3"):
        threshold_grid(0.3)
    with pytest.raises(SchemaError, match="expected kind 'dissimilarity', got 'cross'"):
        transform_rdm(to_square(rdm).assign_attrs(kind="cross"))
    with pytest.raises(SchemaError, match="rdm: expected finite dissimilarities or NaN, got inf"):
        transform_rdm(rdm.where(rdm > 0.1, np.inf))
