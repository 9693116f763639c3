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


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", [(30, 6), (20, 35)])
def test_fold_losses_equal_refits_in_every_fold(
    shape: tuple[int, int], center: bool, rng: np.random.Generator
) -> None:
    n, p = shape
    X, Y, alphas = rng.normal(size=shape) + 2.0, rng.normal(size=(n, 3)) + 1.0, np.array([0.5, 9.0])
    folds = [(np.arange(5, n), np.arange(5)), (np.arange(n - 7), np.arange(n - 7, n))]
    factors = _linalg.factorise_folds(X, folds, center=center)
    losses, _ = _linalg.fold_losses(factors, Y, alphas, center=center)
    expected = np.zeros((2, 3))
    for train, test in folds:
        mx, my = (X[train].mean(0), Y[train].mean(0)) if center else (0.0, 0.0)
        A, B = X[train] - mx, Y[train] - my
        for row, alpha in enumerate(alphas):
            weights = np.linalg.solve(A.T @ A + alpha * np.eye(p), A.T @ B)
            expected[row] += ((Y[test] - my - (X[test] - mx) @ weights) ** 2).sum(0)
    np.testing.assert_allclose(losses, expected / 12, rtol=1e-9)


def test_the_null_loss_is_that_of_the_training_mean(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    train, test = np.arange(8), np.arange(8, 12)
    factors = _linalg.factorise_folds(X, [(train, test)])
    _, null = _linalg.fold_losses(factors, Y, np.array([1.0]))
    np.testing.assert_allclose(null, ((Y[test] - Y[train].mean(0)) ** 2).mean(0))
