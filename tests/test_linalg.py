"""The factorisation kernels against plain normal equations."""

import numpy as np
import pytest

from neuroalign import _linalg


def _normal_equations(X: np.ndarray, Y: np.ndarray, alpha: float) -> np.ndarray:
    X = X - X.mean(axis=0)
    return np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ Y)


@pytest.mark.parametrize("shape", [(40, 7), (15, 30), (20, 20)])
@pytest.mark.parametrize("solver", ["auto", "primal", "dual"])
def test_any_penalty_is_two_products_away(
    shape: tuple[int, int], solver: str, rng: np.random.Generator
) -> None:
    X, Y = rng.normal(size=shape) + 3.0, rng.normal(size=(shape[0], 4))
    spectrum = _linalg.eigh_gram(X, solver=solver)
    for alpha in (1e-2, 1.0, 100.0):
        weights = (spectrum.right * _linalg.shrink(spectrum.values, alpha)) @ (spectrum.left.T @ Y)
        np.testing.assert_allclose(weights, _normal_equations(X, Y, alpha), rtol=1e-8, atol=1e-10)


def test_the_smaller_gram_matrix_is_factorised(rng: np.random.Generator) -> None:
    assert len(_linalg.eigh_gram(rng.normal(size=(30, 5))).values) == 5
    assert len(_linalg.eigh_gram(rng.normal(size=(5, 30)), center=False).values) == 5


@pytest.mark.parametrize("solver", ["primal", "dual"])
def test_only_the_rank_is_kept(solver: str, rng: np.random.Generator) -> None:
    X = np.outer(rng.normal(size=30), rng.normal(size=12))
    values = _linalg.eigh_gram(X, solver=solver).values
    assert values == pytest.approx([((X - X.mean(0)) ** 2).sum()])


def test_empty_directions_without_penalty_give_zero() -> None:
    np.testing.assert_array_equal(_linalg.shrink(np.array([0.0, 4.0]), 0.0), [0.0, 0.25])


def test_shrink_takes_a_penalty_for_each_target() -> None:
    values, alphas = np.array([1.0, 3.0]), np.array([1.0, 2.0, 5.0])
    expected = 1 / (values[:, None] + alphas[None])
    np.testing.assert_allclose(_linalg.shrink(values, alphas), expected)


def test_rows_of_float32_are_averaged_in_float64() -> None:
    values = np.full((300_000, 1), 1e4 + 0.25, dtype=np.float32)
    assert _linalg.average_rows(values)[0] == np.float32(1e4 + 0.25)


def test_weights_count_as_repeated_rows(rng: np.random.Generator) -> None:
    X = rng.normal(size=(9, 4))
    times = np.array([1, 2, 3, 1, 1, 2, 1, 1, 4])
    weighted = _linalg.eigh_gram(X, weights=times.astype(float))
    repeated = _linalg.eigh_gram(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted.values, repeated.values, rtol=1e-10)
    np.testing.assert_allclose(weighted.center, repeated.center, rtol=1e-12)
