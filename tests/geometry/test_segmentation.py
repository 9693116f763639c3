"""Phases are the best that an exhaustive search finds."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import SchemaError
from neuroalign.geometry import compare_steps, segment_steps


def symmetric(rng: np.random.Generator, n: int) -> np.ndarray:
    values = np.triu(rng.random((n, n)), 1)
    return np.asarray(values + values.T)


def search(D: np.ndarray, k: int, cost: str, min_size: int = 2) -> float:
    """Least cost over all contiguous divisions, by brute force."""
    n, best = len(D), np.inf
    for inner in combinations(range(1, n), k - 1):
        cuts = (0, *inner, n)
        sizes = np.diff(cuts)
        if sizes.min() >= min_size:
            parts = [D[a:b, a:b].sum() / 2 for a, b in pairwise(cuts)]
            scale = sizes if cost == "mean" else np.ones(k)
            best = min(best, float((np.array(parts) / scale).sum()))
    return best


@pytest.mark.parametrize("cost", ["mean", "sum"])
@pytest.mark.parametrize("seed", range(5))
def test_dynamic_programming_equals_exhaustive_search(cost: str, seed: int) -> None:
    D = symmetric(np.random.default_rng(seed), 11)
    found = segment_steps(D, cost=cost, max_phases=5, n_surrogates=0)
    whole = search(D, 1, cost)
    expected = [search(D, k, cost) / whole for k in range(1, 6)]
    np.testing.assert_allclose(found["cost"], expected)


def test_boundaries_have_the_cost_that_is_reported(rng: np.random.Generator) -> None:
    D = symmetric(rng, 12)
    found = segment_steps(D, n_phases=4, min_size=1, n_surrogates=0)
    cuts = [0, *found["boundary"].values, 12]
    total = sum(D[a:b, a:b].sum() / 2 / (b - a) for a, b in pairwise(cuts))
    assert found["cost"].sel(n_phases=4) == pytest.approx(total / (D.sum() / 2 / 12))
    expected = np.repeat(np.arange(4), np.diff(cuts))
    np.testing.assert_array_equal(found["phase"], expected)


def test_the_reference_is_a_steady_drift() -> None:
    lag = np.abs(np.arange(10)[:, None] - np.arange(10)[None, :])
    steady = segment_steps(np.sqrt(lag), n_surrogates=0)
    np.testing.assert_allclose(steady["gap"], 0.0, atol=1e-12)
    assert steady.attrs["chosen"] == 1
    assert steady["boundary"].size == 0


@pytest.mark.parametrize("surrogate", ["circular", "permutation"])
def test_surrogates_find_planted_phases(surrogate: str, rng: np.random.Generator) -> None:
    block = np.repeat([0, 1, 2], 8)
    D = (block[:, None] != block[None, :]) + 0.1 * symmetric(rng, 24)
    found = segment_steps(D, reference="surrogates", surrogate=surrogate, n_surrogates=99)
    assert found["boundary"].values.tolist() == [8, 16]
    assert float(found["p_value"]) == 0.01


def test_permuted_steps_have_no_phases() -> None:
    small = 0
    for seed in range(40):
        D = symmetric(np.random.default_rng(seed), 14)
        found = segment_steps(
            D, reference="surrogates", surrogate="permutation", n_surrogates=39, seed=seed
        )
        small += float(found["p_value"]) <= 0.05
    assert small <= 6


def test_a_seed_gives_the_same_result_that_can_be_stored(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    compared = compare_steps(rng.normal(size=(9, 20, 6)))
    one, other = (segment_steps(compared, n_surrogates=9, seed=3) for _ in range(2))
    xr.testing.assert_identical(one, other)
    schema.check(one)
    again = storage.load(storage.save(one, tmp_path / "phases.nc")).compute()
    xr.testing.assert_identical(again, one)


def test_without_standard_errors_there_is_no_p_value(rng: np.random.Generator) -> None:
    D = symmetric(rng, 9)
    assert np.isnan(segment_steps(D)["p_value"])
    with pytest.raises(ValueError, match="surrogate: expected standard errors of cosines"):
        segment_steps(D, reference="surrogates")


def test_wrong_matrices_and_counts_are_named(rng: np.random.Generator) -> None:
    D = symmetric(rng, 9)
    with pytest.raises(SchemaError, match="dissimilarity: expected a symmetric square matrix"):
        segment_steps(np.triu(D))
    with pytest.raises(ValueError, match="n_phases: expected 1 to 4 phases of 2 steps"):
        segment_steps(D, n_phases=5)
    with pytest.raises(ValueError, match="min_size: expected 1 to 9 steps"):
        segment_steps(D, min_size=10)
    with pytest.raises(ValueError, match="cost: expected one of 'mean', 'sum'"):
        segment_steps(D, cost="max")
    with pytest.raises(ValueError, match="n_surrogates: expected at least 1"):
        segment_steps(D, reference="surrogates", surrogate="circular", n_surrogates=0)


def test_resting_fmri_is_read_as_one_sample_a_volume(real_data: Path) -> None:
    path = real_data / "nitime_fmri" / "fmri_timeseries.csv"
    values = np.loadtxt(path, delimiter=",", skiprows=1)[:, -28:]
    volumes = xr.DataArray(
        (values - values.mean(axis=0)) / values.std(axis=0), dims=("sample", "neuroid")
    )
    found = segment_steps(
        compare_steps(volumes, over="sample"),
        reference="surrogates",
        surrogate="permutation",
        n_surrogates=19,
        max_phases=20,
        min_size=4,
    )
    # Neighbouring volumes are alike: states last longer than chance.
    assert float(found["p_value"]) == 0.05
    assert found.sizes["sample"] == len(values)


def test_steps_that_are_all_alike_are_named() -> None:
    with pytest.raises(SchemaError, match="dissimilarity: expected steps that differ, got zeros"):
        segment_steps(np.zeros((6, 6)))


def test_what_is_wrong_with_a_matrix_is_said() -> None:
    matrix = np.ones((6, 6))
    with pytest.raises(SchemaError, match="got an asymmetric one. Use compare_steps"):
        segment_steps(np.triu(matrix))
    matrix[0, 1] = np.nan
    with pytest.raises(SchemaError, match="got 1 missing or infinite"):
        segment_steps(matrix)
