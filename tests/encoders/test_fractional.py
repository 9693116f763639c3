"""Fractional ridge: lengths of weights, and the penalties of plain ridge behind them."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.model_selection import KFold

from neuroalign.encoders import FractionalRidge


def _data(rng: np.random.Generator, p: int = 8) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(60, p)) * np.logspace(-2, 1, p) + 1
    return X, X @ rng.normal(size=(p, 5)) + 3 * rng.normal(size=(60, 5))


@pytest.mark.parametrize("fraction", [1e-3, 0.1, 0.5, 0.95, 1.0])
def test_weights_have_the_fraction_of_the_unpenalised_length(
    fraction: float, rng: np.random.Generator
) -> None:
    X, Y = _data(rng)
    ours = FractionalRidge(fraction).fit(X, Y)
    full = np.linalg.norm(LinearRegression().fit(X, Y).coef_, axis=1)
    np.testing.assert_allclose(np.linalg.norm(ours.coef_, axis=1) / full, fraction, rtol=1e-6)


def test_weights_are_those_of_ridge_at_the_penalty_found(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    ours = FractionalRidge(0.4).fit(X, Y)
    for target in range(5):
        peer = PeerRidge(alpha=ours.alpha_[target], solver="svd").fit(X, Y[:, target])
        np.testing.assert_allclose(ours.coef_[target], peer.coef_, rtol=1e-6)
        np.testing.assert_allclose(ours.intercept_[target], peer.intercept_, rtol=1e-6)


@pytest.mark.parametrize("p", [8, 90])
def test_fractions_are_chosen_by_held_out_error(p: int, rng: np.random.Generator) -> None:
    X, Y = _data(rng, p)
    fractions = [0.2, 0.6, 1.0]
    losses = np.zeros((3, 5))
    for train, test in KFold(5).split(X):
        for row, one in enumerate(fractions):
            fit = FractionalRidge(one).fit(X[train], Y[train])
            losses[row] += ((Y[test] - fit.predict(X[test])) ** 2).sum(0) / 60
    ours = FractionalRidge(fractions).fit(X, Y)
    np.testing.assert_allclose(ours.cv_mse_, losses.min(0), rtol=1e-5)
    np.testing.assert_array_equal(ours.fraction_, np.array(fractions)[losses.argmin(0)])


def test_more_features_than_samples_start_from_the_shortest_weights(
    rng: np.random.Generator,
) -> None:
    X, Y = _data(rng, 90)
    ours = FractionalRidge(1.0).fit(X, Y)
    shortest = np.linalg.pinv(X - X.mean(0)) @ (Y - Y.mean(0))
    np.testing.assert_allclose(ours.coef_, shortest.T, rtol=1e-5, atol=1e-7)


def test_noise_is_given_short_weights(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    Y[:, 0] = rng.normal(size=60)
    found = FractionalRidge().fit(X, Y).fraction_
    assert found[0] <= found[1:].min()


def test_a_fraction_beyond_one_is_refused(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    with pytest.raises(ValueError, match="fractions: expected numbers above 0, to 1, got 1.5"):
        FractionalRidge(1.5).fit(X, Y)
