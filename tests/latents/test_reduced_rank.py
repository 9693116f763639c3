"""Reduced-rank regression: the closed form, the planted rank, and scikit-learn's contract."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neuroalign.errors import NeuroalignWarning
from neuroalign.latents import ReducedRankRegression
from neuroalign.loaders import load_epochs


def simulate(seed: int, rank: int = 3, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12))
    weights = rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 15))
    return X, X @ weights + 2 * rng.normal(size=(n, 15)) + 3


def test_the_scikit_learn_contract_is_kept(broken_checks: Callable[..., list[str]]) -> None:
    assert broken_checks(ReducedRankRegression()) == []


def test_weights_equal_the_closed_form() -> None:
    X, Y = simulate(0)
    model = ReducedRankRegression(3, alpha=0).fit(X, Y)
    Xc, Yc = X - X.mean(axis=0), Y - Y.mean(axis=0)
    full = np.linalg.solve(Xc.T @ Xc, Xc.T @ Yc)
    V = np.linalg.svd(Xc @ full)[2][:3].T
    np.testing.assert_allclose(model.coef_, full @ V @ V.T, atol=1e-10)


def test_full_rank_equals_ridge() -> None:
    X, Y = simulate(1)
    with pytest.warns(NeuroalignWarning, match="rank: expected at most 12 .* got 15"):
        model = ReducedRankRegression(15, alpha=10.0).fit(X, Y)
    known = Ridge(10.0).fit(X, Y).predict(X)
    np.testing.assert_allclose(model.predict(X), known, atol=1e-9)


def test_a_penalty_equals_rows_added_by_hand() -> None:
    X, Y = simulate(2)
    Xc, Yc = X - X.mean(axis=0), Y - Y.mean(axis=0)
    long, tall = np.vstack([Xc, 3 * np.eye(12)]), np.vstack([Yc, np.zeros((12, 15))])
    full = np.linalg.lstsq(long, tall, rcond=None)[0]
    V = np.linalg.svd(long @ full)[2][:2].T
    model = ReducedRankRegression(2, alpha=9.0).fit(X, Y)
    np.testing.assert_allclose(model.coef_, full @ V @ V.T, atol=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_rank_is_chosen(seed: int) -> None:
    assert ReducedRankRegression().fit(*simulate(seed)).rank_ == 3


def test_errors_of_all_ranks_equal_those_of_single_fits() -> None:
    X, Y = simulate(3)
    half = [(np.arange(200), np.arange(200, 400)), (np.arange(200, 400), np.arange(200))]
    errors = ReducedRankRegression(cv=half, alpha=1.0).fit(X, Y).cv_error_
    for rank in (1, 4):
        guess = ReducedRankRegression(rank, alpha=1.0).fit(X[:200], Y[:200]).predict(X[200:])
        null = np.sum((Y[200:] - Y[:200].mean(axis=0)) ** 2)
        assert errors[0, rank] == pytest.approx(np.sum((Y[200:] - guess) ** 2) / null)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank: expected an integer >= 1 or None, got 0"),
        ({"alpha": -1}, "alpha: expected a number >= 0, got -1"),
        ({"cv": "loo"}, "cv: expected an int, a splitter or a list"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReducedRankRegression(**options).fit(*simulate(0, n=40))


def test_few_directions_tell_half_of_the_eeg_from_the_other(real_data: Any) -> None:
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        epochs = load_epochs(real_data / "eeg_n400_wordpairs" / "subject04-epo.fif")
    window = epochs.sel(time=slice(0.3, 0.5)).mean("time").values.astype(float) * 1e6
    left, right = window[:, ::2], window[:, 1::2]
    model = ReducedRankRegression(cv=4).fit(left[::2], right[::2])
    shuffled = np.random.default_rng(0).permutation(left[::2])
    null = ReducedRankRegression(model.rank_).fit(shuffled, right[::2])
    assert model.score(left[1::2], right[1::2]) > 0.5
    assert null.score(left[1::2], right[1::2]) < 0.1
