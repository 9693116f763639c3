"""Stacked ridge: convex weights against a general solver, and what they recover."""

import numpy as np
from scipy.optimize import minimize

from neuroalign.encoders import Ridge, StackedRidge
from neuroalign.encoders.stacked_ridge import find_convex


def test_convex_weights_are_those_of_a_general_solver(rng: np.random.Generator) -> None:
    parts, observed = rng.normal(size=(4, 50, 6)), rng.normal(size=(50, 6))
    observed[:, 0] = 0.7 * parts[0, :, 0] + 0.3 * parts[2, :, 0]
    found = find_convex(parts, observed)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=0), 1)
    np.testing.assert_allclose(found[:, 0], [0.7, 0, 0.3, 0], atol=1e-7)
    for target in range(6):
        own = parts[:, :, target]

        def loss(
            w: np.ndarray, own: np.ndarray = own, y: np.ndarray = observed[:, target]
        ) -> float:
            return float(((y - w @ own) ** 2).sum())

        one = {"type": "eq", "fun": lambda w: w.sum() - 1}
        peer = minimize(loss, np.full(4, 0.25), bounds=[(0, 1)] * 4, constraints=one, tol=1e-12)
        assert loss(found[:, target]) <= peer.fun + 1e-6


def test_each_target_leans_on_the_space_it_follows(rng: np.random.Generator) -> None:
    X = rng.normal(size=(200, 10)) + 2
    Y = np.stack([X[:, :5].sum(1), X[:, 5:].sum(1)], axis=1) + rng.normal(size=(200, 2)) + 50
    model = StackedRidge(spaces=["a"] * 5 + ["b"] * 5).fit(X, Y)
    assert model.space_weights_[0, 0] > 0.9
    assert model.space_weights_[1, 1] > 0.9


def test_one_space_is_plain_ridge(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(60, 5)), rng.normal(size=(60, 3, 2))
    stacked, plain = StackedRidge().fit(X, Y), Ridge().fit(X, Y)
    np.testing.assert_allclose(stacked.predict(X), plain.predict(X))
