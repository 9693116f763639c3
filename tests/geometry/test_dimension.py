"""Intrinsic dimensions of known surfaces come back, whatever the space they are bent into."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from neuroalign.errors import SchemaError
from neuroalign.geometry import estimate_dimension, trace_dimension
from neuroalign.geometry.dimension import METHODS
from neuroalign.schema import check


def sphere(rng: np.random.Generator, d: int, n: int = 1500) -> np.ndarray:
    """Points on the surface, of dimension d, of a ball in d + 1 dims, turned into 12 dims."""
    points = rng.normal(size=(n, d + 1))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    turn = np.linalg.qr(rng.normal(size=(12, d + 1)))[0]
    return points @ turn.T


def cube(rng: np.random.Generator, d: int, n: int = 1500) -> np.ndarray:
    return rng.uniform(size=(n, d))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("surface", [sphere, cube])
def test_known_surfaces_have_their_dimension(
    rng: np.random.Generator, method: str, d: int, surface: Any
) -> None:
    found = estimate_dimension(surface(rng, d), method, n_bootstrap=100)
    # Edges of a cube pull the estimates down, and the more so at the coarser scale.
    allowed = 0.1 if surface is sphere else 0.17
    assert float(found["dimension"]) == pytest.approx(d, rel=allowed)
    assert found["lower"] < found["dimension"] < found["upper"]


def test_two_nn_is_the_line_of_the_paper(rng: np.random.Generator) -> None:
    X = rng.normal(size=(200, 3))
    near = np.sort(cdist(X, X), axis=1)
    mu = np.sort(near[:, 2] / near[:, 1])
    x, y = np.log(mu[:180]), -np.log(1 - np.arange(1, 181) / 200)
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    found = estimate_dimension(X, discard=0.1, n_bootstrap=2)
    assert float(found["dimension"]) == pytest.approx(slope, rel=1e-9)


def test_mle_is_the_formula_by_hand(rng: np.random.Generator) -> None:
    X, k = rng.normal(size=(150, 4)), 10
    near = np.sort(cdist(X, X), axis=1)[:, 1 : k + 1]
    inverse = [sum(np.log(row[-1] / other) for other in row[:-1]) / (k - 2) for row in near]
    found = estimate_dimension(X, "mle", n_neighbors=k, n_bootstrap=2)
    assert float(found["dimension"]) == pytest.approx(1 / np.mean(inverse), rel=1e-9)


def test_correlation_dimension_counts_pairs(rng: np.random.Generator) -> None:
    X, k = rng.normal(size=(150, 3)), 10
    distances = cdist(X, X)
    near = np.sort(distances, axis=1)
    small, large = np.median(near[:, k // 2]), np.median(near[:, k])
    pairs = distances[np.triu_indices(150, 1)]
    counts = [(pairs <= radius).sum() for radius in (small, large)]
    truth = np.log(counts[1] / counts[0]) / np.log(large / small)
    found = estimate_dimension(X, "correlation", n_neighbors=k, n_bootstrap=2)
    assert float(found["dimension"]) == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_dimension_knows_no_scale_place_or_direction(rng: np.random.Generator, method: str) -> None:
    X = rng.normal(size=(150, 4))
    moved = 2.5 * X @ np.linalg.qr(rng.normal(size=(4, 4)))[0] - 7
    one, two = (estimate_dimension(x, method, n_bootstrap=2) for x in (X, moved))
    assert float(one["dimension"]) == pytest.approx(float(two["dimension"]), rel=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_error_is_that_of_new_draws(method: str) -> None:
    found = [
        estimate_dimension(
            np.random.default_rng(seed).normal(size=(300, 3)), method, n_bootstrap=100, seed=seed
        )
        for seed in range(40)
    ]
    spread = np.std([float(one["dimension"]) for one in found], ddof=1)
    claimed = np.mean([float(one["standard_error"]) for one in found])
    # Neighbours share neighbours: points count for somewhat more than they tell.
    assert 0.5 < claimed / spread < 1.7


def test_layers_make_a_table(rng: np.random.Generator) -> None:
    layers = {"early": cube(rng, 2, 300), "late": cube(rng, 1, 300)}
    table = estimate_dimension(layers, n_bootstrap=20, seed=2)
    assert table["layer"].values.tolist() == ["early", "late"]
    assert float(table["dimension"][0]) > 1.5 > float(table["dimension"][1])
    check(table)
    xr.testing.assert_identical(table, estimate_dimension(layers, n_bootstrap=20, seed=2))


def test_copies_count_once(rng: np.random.Generator) -> None:
    X = cube(rng, 2, 300)
    twice = estimate_dimension(np.vstack([X, X]), n_bootstrap=2)
    assert int(twice["n_points"]) == 300
    alone = estimate_dimension(np.unique(X, axis=0), n_bootstrap=2)
    assert float(twice["dimension"]) == float(alone["dimension"])


def test_noise_shows_at_the_finest_scale(rng: np.random.Generator) -> None:
    plane = np.hstack([cube(rng, 2, 1500), 0.005 * rng.normal(size=(1500, 8))])
    traced = trace_dimension(plane, shares=(1.0, 0.1))["dimension"].mean("draw").values
    assert traced[0] > traced[1] + 1
    clean = trace_dimension(cube(rng, 2, 1500), shares=(1.0, 0.1))["dimension"].mean("draw")
    assert abs(float(clean[0] - clean[1])) < 0.5


def test_haxby_blocks_are_wider_the_closer_one_looks(haxby_blocks: xr.DataArray) -> None:
    found = estimate_dimension(haxby_blocks, "mle", n_neighbors=10)
    # Far fewer than voxels, more than the 7 directions of 8 category means: noise of blocks.
    assert 7 < float(found["dimension"]) < 40


def test_faults_are_named(rng: np.random.Generator) -> None:
    X = cube(rng, 2, 30)
    with pytest.raises(ValueError, match="method: expected one of 'two_nn'"):
        estimate_dimension(X, "twonn")
    with pytest.raises(ValueError, match="n_neighbors: expected 4 or more, got 3"):
        estimate_dimension(X, "mle", n_neighbors=3)
    with pytest.raises(SchemaError, match="expected at least 32 different points"):
        estimate_dimension(X, "mle", n_neighbors=30)
    with pytest.raises(ValueError, match="discard: expected shares"):
        estimate_dimension(X, discard=1.0)
    with pytest.raises(ValueError, match="n_bootstrap: expected 1 or more"):
        estimate_dimension(X, n_bootstrap=0)
    with pytest.raises(ValueError, match="shares: expected numbers above 0"):
        trace_dimension(X, shares=(2.0,))
    with pytest.raises(ValueError, match="n_draws: expected 1 or more"):
        trace_dimension(X, n_draws=0)


@pytest.mark.parametrize("method", ["two_nn", "correlation"])
def test_points_on_a_grid_are_named(method: str) -> None:
    grid = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0)), axis=-1).reshape(-1, 2)
    with pytest.raises(
        SchemaError, match="X: expected neighbours at different distances, got ties"
    ):
        estimate_dimension(grid, method, n_neighbors=4)
