"""Distance correlation over all thresholds, and the test that pays for the search."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import pdist, squareform

from neuroalign.errors import AlignError, SchemaError
from neuroalign.rsa import to_square
from neuroalign.storage import load, save
from neuroalign.topology import adaptive_similarity
from neuroalign.topology.adaptive import normalize_maps


def make(values: np.ndarray, n: int) -> xr.DataArray:
    """Condensed RDMs (subject, pair)."""
    first, second = np.triu_indices(n, 1)
    names = np.array([f"c{i:02d}" for i in range(n)])
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    dims = ("subject", "pair")[-values.ndim :]
    return xr.DataArray(values, coords, dims, attrs={"kind": "dissimilarity"})


def dcor(a: np.ndarray, b: np.ndarray) -> float:
    """Distance correlation of Székely et al. (2007), sum by sum."""
    n = len(a)
    sums = []
    centered = []
    for d in (a, b):
        c = np.empty_like(d)
        for i in range(n):
            for j in range(n):
                c[i, j] = d[i, j] - d[i].mean() - d[:, j].mean() + d.mean()
        centered.append(c)
    for x, y in ((0, 1), (0, 0), (1, 1)):
        sums.append(float((centered[x] * centered[y]).sum()))
    return float(np.sqrt(abs(sums[0]) / np.sqrt(sums[1] * sums[2])))


def couple(rng: np.random.Generator, n: int, noise: float) -> tuple[xr.DataArray, xr.DataArray]:
    points = rng.normal(size=(n, 3))
    other = points**2 + noise * rng.normal(size=(n, 3))
    return make(pdist(points), n), make(pdist(other), n)


def test_the_map_equals_distance_correlation_at_each_couple(rng: np.random.Generator) -> None:
    a, b = couple(rng, 9, 0.5)
    result = adaptive_similarity(a, b, n_thresholds=4, n_permutations=5, centering="double")
    assert result["similarity"].shape == (6, 6)
    limits = zip(result["lower"].values, result["upper"].values, strict=True)
    clipped = []
    for low, high in limits:
        scaled = [x.values / x.values.max() for x in (a, b)]
        clipped.append([squareform(np.clip((x - low) / (high - low), 0, 1)) for x in scaled])
    expected = [[dcor(x[0], y[1]) for y in clipped] for x in clipped]
    np.testing.assert_allclose(result["similarity"], expected, atol=1e-10)
    assert float(result["statistic"]) == pytest.approx(np.max(expected))


def test_plain_distances_give_the_distance_correlation_of_points(rng: np.random.Generator) -> None:
    a, b = couple(rng, 12, 0.1)
    result = adaptive_similarity(a, b, n_thresholds=2, n_permutations=1, centering="double")
    expected = dcor(squareform(a.values), squareform(b.values))
    assert result["similarity"].item() == pytest.approx(expected)


def test_unbiased_products_are_zero_on_average(rng: np.random.Generator) -> None:
    found = {}
    for centering in ("unbiased", "double"):
        maps = [
            normalize_maps(
                np.stack([squareform(pdist(rng.normal(size=(10, 2)))) for _ in range(300)]),
                centering,
            )
            for _ in range(2)
        ]
        found[centering] = (maps[0] * maps[1]).sum(axis=(1, 2))
    assert abs(found["unbiased"].mean()) < 3 * found["unbiased"].std() / np.sqrt(300)
    assert found["double"].mean() > 0.2


def test_pairs_that_are_all_alike_say_nothing(rng: np.random.Generator) -> None:
    # All pairs lie above the lower thresholds: only the diagonal is left, the same in any order.
    a, b = (make(5 + pdist(rng.normal(size=(10, 2))), 10) for _ in range(2))
    for centering in ("double", "unbiased"):
        result = adaptive_similarity(a, b, n_permutations=1, centering=centering)
        low = result["upper"].values < 0.4
        assert low.any()
        assert not result["similarity"].values[low].any()
        assert float(result["similarity"].max()) < 1 - 1e-6


@pytest.mark.parametrize("statistic", ["max", "inflation", "normalized_inflation"])
def test_dependence_without_correlation_is_found(rng: np.random.Generator, statistic: str) -> None:
    a, b = couple(rng, 40, 0.1)
    result = adaptive_similarity(a, b, statistic=statistic, n_permutations=99)
    assert float(result["p_value"]) <= 0.05
    same = adaptive_similarity(a, a, n_permutations=19)
    assert float(same["statistic"]) == pytest.approx(1)


@pytest.mark.parametrize("statistic", ["max", "inflation", "normalized_inflation"])
def test_independent_points_reject_as_often_as_they_may(
    rng: np.random.Generator, statistic: str
) -> None:
    p = []
    for seed in range(80):
        a, b = (make(pdist(rng.normal(size=(12, 2))), 12) for _ in range(2))
        options = {"n_thresholds": 4, "n_permutations": 19, "seed": seed}
        p.append(float(adaptive_similarity(a, b, statistic=statistic, **options)["p_value"]))  # type: ignore[arg-type]
    # Binomial(80, 0.1): 8 +- 2.7, and (80, 0.5): 40 +- 4.5.
    assert 1 <= sum(value <= 0.1 + 1e-9 for value in p) <= 17
    assert 25 <= sum(value <= 0.5 + 1e-9 for value in p) <= 55


def test_published_statistics_follow_their_formulas(rng: np.random.Generator) -> None:
    a, b = couple(rng, 15, 0.5)
    plain = adaptive_similarity(a, b, n_permutations=39, centering="double", seed=3)
    inflated = adaptive_similarity(a, b, statistic="inflation", n_permutations=39, seed=3)
    observed, null_mean = plain["similarity"].values, plain["null_mean"].values
    mean = (39 * null_mean + observed) / 40
    assert float(inflated["statistic"]) == pytest.approx((observed / mean).max())


def test_conditions_are_matched_by_label_and_seeds_repeat(rng: np.random.Generator) -> None:
    a, b = couple(rng, 15, 0.5)
    first = adaptive_similarity(a, b, n_permutations=19, seed=1)
    order = rng.permutation(15)
    moved = to_square(b).isel(first=order, second=order)
    second = adaptive_similarity(a, moved, n_permutations=19, seed=1)
    np.testing.assert_allclose(first["similarity"], second["similarity"])
    assert adaptive_similarity(a, b, n_permutations=19, seed=1).identical(first)
    with pytest.raises(AlignError, match="expected the conditions of a"):
        adaptive_similarity(a, b.isel(pair=b["second"].values != "c14"))


def test_human_and_monkey_it_depend_on_each_other(real_data: Path, tmp_path: Path) -> None:
    from neuroalign.loaders import load_rdms

    path = real_data / "rsa_92images" / "Kriegeskorte_Neuron2008_supplementalData.mat"
    both = load_rdms(path)
    result = adaptive_similarity(both[0], both[1], n_permutations=99)
    assert float(result["p_value"]) == pytest.approx(0.01)
    assert float(result["statistic"]) > float(result["null_statistic"].max()) + 0.2
    published = adaptive_similarity(both[0], both[1], n_permutations=19, centering="double")
    # The diagonal alone: as high in any order of images.
    assert float(published["null_statistic"].max()) > 0.99
    assert float(result["null_statistic"].max()) < 0.6
    assert load(save(result, tmp_path / "t.nc")).identical(result)


def test_mistakes_are_named(rng: np.random.Generator) -> None:
    a, b = couple(rng, 9, 0.5)
    with pytest.raises(ValueError, match="statistic: expected one of 'max'"):
        adaptive_similarity(a, b, statistic="best")
    with pytest.raises(ValueError, match="centering: expected one of 'double', got 'unbiased'"):
        adaptive_similarity(a, b, statistic="inflation", centering="unbiased")
    with pytest.raises(ValueError, match="n_thresholds, n_permutations: expected 2 or more"):
        adaptive_similarity(a, b, n_thresholds=1)
    with pytest.raises(SchemaError, match="a: expected one RDM, got dims \\('subject', 'pair'\\)"):
        adaptive_similarity(make(rng.random((2, 36)), 9), b)
    b.values[0] = np.nan
    with pytest.raises(SchemaError, match="expected complete RDMs .* got 9 with 1 missing"):
        adaptive_similarity(a, b)
