"""Similarity of states by distance against the closed form of successor representations."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

from neuroalign import schema, storage
from neuroalign.convergence import correlate_states
from neuroalign.errors import SchemaError

N = 120


def as_maps(rows: np.ndarray) -> xr.DataArray:
    """Maps of population vectors (state, unit)."""
    return xr.DataArray(rows.T, {"place": np.arange(len(rows), dtype=float)}, ("neuroid", "place"))


def successors(discount: float) -> np.ndarray:
    return np.linalg.inv(np.eye(N) - discount * np.eye(N, k=1))


@pytest.mark.parametrize("discount", [0.4, 0.7, 0.9])
def test_rows_of_a_successor_representation_are_alike_by_powers(discount: float) -> None:
    found = correlate_states(as_maps(successors(discount)[:40]), n_resamples=0, n_permutations=99)
    distance = found["distance"].values
    np.testing.assert_allclose(found["curve"], discount**distance, atol=1e-6)
    assert float(found["rank_correlation"]) == pytest.approx(-1, abs=1e-3)
    assert float(found["p_value"]) == pytest.approx(0.01)


def test_correlations_and_ranks_are_those_of_numpy_and_scipy() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 30))
    found = correlate_states(as_maps(rows), metric="correlation", n_resamples=0, n_permutations=9)
    np.testing.assert_allclose(found["similarity"], np.corrcoef(rows), atol=1e-9)
    first, second = np.triu_indices(9, 1)
    rho = spearmanr(np.corrcoef(rows)[first, second], second - first).statistic
    assert float(found["rank_correlation"]) == pytest.approx(rho, abs=1e-9)


def test_a_graph_brings_its_own_distances() -> None:
    # A ring: the last state is near the first.
    apart = np.abs(np.arange(24)[:, None] - np.arange(24))
    ring = np.minimum(apart, 24 - apart)
    rows = 0.6**ring
    near = correlate_states(as_maps(rows), ring, n_resamples=20, n_permutations=50)
    line = correlate_states(as_maps(rows), n_resamples=20, n_permutations=50)
    assert float(near["rank_correlation"]) < float(line["rank_correlation"]) - 0.1
    assert (np.diff(near["curve"]) < 0).all()


def test_states_in_which_all_are_silent_enter_no_mean() -> None:
    rows = successors(0.7)[:30]
    rows[11] = 0.0
    found = correlate_states(as_maps(rows), n_resamples=5, n_permutations=9)
    np.testing.assert_allclose(found["curve"], 0.7 ** found["distance"].values, atol=1e-6)
    assert np.isnan(found["similarity"][11]).all()


def test_many_distances_are_joined() -> None:
    rng = np.random.default_rng(0)
    spots = rng.uniform(size=(40, 2))
    far = np.linalg.norm(spots[:, None] - spots, axis=2)
    rows = np.exp(-(np.linalg.norm(spots[:, None] - rng.uniform(size=(60, 2)), axis=2) ** 2) * 20)
    found = correlate_states(as_maps(rows), far, n_resamples=20, n_permutations=50)
    # Of twenty stretches of distance those without a pair are left out.
    assert 15 <= found.sizes["distance"] <= 20
    assert float(found["rank_correlation"]) < -0.8


@pytest.mark.slow
def test_states_in_no_order_pass_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(3)
    p_values = [
        float(
            correlate_states(
                as_maps(rng.normal(size=(12, 25))), n_resamples=0, n_permutations=99, seed=seed
            )["p_value"]
        )
        for seed in range(200)
    ]
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_intervals_hold_the_mean_over_units_they_are_drawn_from() -> None:
    found = correlate_states(as_maps(successors(0.8)[:30]), n_resamples=200, n_permutations=20)
    assert (found["lower"] <= found["curve"] + 1e-9).all()
    assert (found["upper"] >= found["curve"] - 1e-9).all()


def test_the_result_is_stored_and_passes_the_schema(tmp_path: Path) -> None:
    found = correlate_states(as_maps(successors(0.8)[:30]), n_resamples=20, n_permutations=20)
    schema.check(found)
    storage.save(found, tmp_path / "states.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "states.nc"), found)


def test_arguments_are_checked() -> None:
    maps = as_maps(successors(0.5)[:10])
    with pytest.raises(ValueError, match="distance: expected a symmetric matrix of 10 places"):
        correlate_states(maps, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="metric: expected one of 'cosine', 'correlation'"):
        correlate_states(maps, metric="euclidean")
    with pytest.raises(SchemaError, match="expected four or more places"):
        correlate_states(maps[:, :3])
    with pytest.raises(SchemaError, match=r"maps: expected \('neuroid', 'place'\)"):
        correlate_states(maps.expand_dims("going"))
