"""Held-out errors by every rule against refits without the held-out rows."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge as PeerRidge

from neuroalign import _filters, _gram, _linalg
from neuroalign._folds import make_folds

ALPHAS = np.array([1e-3, 0.5, 9.0, 4e3])


def refit(
    X: np.ndarray, Y: np.ndarray, folds: Any, center: bool, weights: np.ndarray | None = None
) -> np.ndarray:
    """Sum of (weighted) squared errors (penalty, fold, target) by scikit-learn, fold by fold."""
    total = np.zeros((len(ALPHAS), len(folds), Y.shape[1]))
    own = np.ones(len(X)) if weights is None else weights
    for number, (train, test) in enumerate(folds):
        for row, alpha in enumerate(ALPHAS):
            peer = PeerRidge(alpha, fit_intercept=center, solver="cholesky")
            peer.fit(X[train], Y[train], sample_weight=own[train])
            errors = own[test, None] * (Y[test] - peer.predict(X[test])) ** 2
            total[row, number] = errors.sum(axis=0)
    return total


def errors(X: np.ndarray, Y: np.ndarray, folds: Any, **options: Any) -> tuple[Any, np.ndarray]:
    center, weights = options.get("center", True), options.get("weights")
    spectrum = _linalg.eigh_gram(X, center=center, weights=weights)
    rule = _gram.make_rule(X, spectrum, folds, ALPHAS, Y.shape[1], **options)
    state, null = rule.project(Y.copy())
    return rule.sum_all(state), null


@pytest.mark.parametrize("form", ["projected", "mapped", "block"])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", [(40, 6), (24, 40), (20, 20)])
@pytest.mark.parametrize("weighted", [True, False])
def test_folds_equal_refits(
    form: str, center: bool, shape: tuple[int, int], weighted: bool, rng: np.random.Generator
) -> None:
    X, Y = rng.normal(size=shape) + 2.0, rng.normal(size=(shape[0], 3)) + 1.0
    weights = rng.uniform(0.5, 2.0, size=shape[0]) if weighted else None
    folds = make_folds(shape[0], n_splits=4)
    ours, null = errors(X, Y, folds, center=center, form=form, weights=weights)
    np.testing.assert_allclose(ours, refit(X, Y, folds, center, weights), rtol=1e-6)
    own = np.ones(shape[0]) if weights is None else weights
    for number, (train, test) in enumerate(folds):
        mean = np.average(Y[train], axis=0, weights=own[train]) if center else 0.0
        expected = (own[test, None] * (Y[test] - mean) ** 2).sum(axis=0)
        np.testing.assert_allclose(null[number], expected, rtol=1e-8)


@pytest.mark.parametrize("shape", [(30, 5), (12, 25)])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_one_row_left_out_equals_refits(
    shape: tuple[int, int], weighted: bool, center: bool, rng: np.random.Generator
) -> None:
    X, Y = rng.normal(size=shape) - 1.0, rng.normal(size=(shape[0], 2)) + 4.0
    weights = rng.uniform(0.5, 2.0, size=shape[0]) if weighted else None
    rows = np.arange(shape[0])
    folds = [(np.delete(rows, one), rows[one : one + 1]) for one in rows]
    ours, null = errors(X, Y, "loo", weights=weights, center=center)
    expected = refit(X, Y, folds, center, weights).sum(axis=1)
    np.testing.assert_allclose(ours[:, 0], expected, rtol=1e-6)
    _, null_folds = errors(X, Y, folds, weights=weights, center=center, form="direct")
    np.testing.assert_allclose(null[0], null_folds.sum(axis=0), rtol=1e-9)


def test_generalised_errors_follow_their_formula(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(30, 5)), rng.normal(size=(30, 2))
    ours, _ = errors(X, Y, "gcv")
    centred = X - X.mean(axis=0)
    for row, alpha in enumerate(ALPHAS):
        gram = centred.T @ centred + alpha * np.eye(5)
        hat = centred @ np.linalg.solve(gram, centred.T) + 1 / 30
        expected = 30**2 * ((Y - hat @ Y) ** 2).sum(axis=0) / (30 - np.trace(hat)) ** 2
        np.testing.assert_allclose(ours[row, 0], expected, rtol=1e-9)


def test_a_fit_without_freedom_is_not_judged(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(8, 30)), rng.normal(size=(8, 2))
    spectrum = _linalg.eigh_gram(X)
    rule = _gram.make_rule(X, spectrum, "gcv", np.array([0.0, 1.0]), 2)
    state, _ = rule.project(Y)
    losses = rule.sum_all(state)
    assert np.isinf(losses[0]).all()
    assert np.isfinite(losses[1]).all()


def test_only_a_partition_takes_the_block_form() -> None:
    halves = [(np.arange(2, 4), np.arange(2)), (np.arange(2), np.arange(2, 4))]
    assert _gram.is_partition(halves, 4)
    assert not _gram.is_partition(halves[:1], 4)
    assert not _gram.is_partition([(np.array([3]), np.arange(2)), halves[1]], 4)


def test_many_folds_take_one_factorisation(rng: np.random.Generator) -> None:
    X = rng.normal(size=(200, 150))
    spectrum = _linalg.eigh_gram(X)
    alphas = np.logspace(0, 3, 20)
    many = _gram.make_rule(X, spectrum, make_folds(200, n_splits=40), alphas, 5000)
    few = _gram.make_rule(X, spectrum, make_folds(200, n_splits=2), alphas, 5000)
    assert isinstance(many, _gram.Block)
    assert isinstance(few, _filters.Mapped)


@pytest.mark.parametrize("folds", ["blocks", "loo"])
def test_single_precision_keeps_its_digits_where_fits_meet_the_data(
    folds: str, rng: np.random.Generator
) -> None:
    X = np.repeat(rng.normal(size=(40, 120)), 2, axis=0)
    Y = rng.normal(size=(80, 5)) + 3.0
    cut: Any = "loo" if folds == "loo" else make_folds(80, n_splits=10)
    exact, _ = errors(X, Y, cut)
    single, _ = errors(X.astype("f4"), Y.astype("f4"), cut, tolerance=1e-6)
    np.testing.assert_allclose(single, exact, rtol=2e-4)
