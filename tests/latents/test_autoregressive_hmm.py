"""Autoregressive states against a direct formula, planted dynamics and real recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from neuroalign.latents.autoregressive_hmm import AutoregressiveHMM
from neuroalign.latents.hmm import HMM
from neuroalign.loaders import load_epochs
from tests.latents.test_hmm import measure_accuracy

MAPS = np.stack(
    [0.98 * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in (0.6, -0.6, 0.05)]
)


def plant(seed: int, n: int = 6, length: int = 400) -> Any:
    """Three rotations that take turns; (trial, unit, time) and states."""
    rng = np.random.default_rng(seed)
    z, x = np.zeros((n, length), dtype=int), np.zeros((n, length, 2))
    z[:, 0] = rng.integers(3, size=n)
    for t in range(1, length):
        jump = rng.uniform(size=n) < 0.02
        z[:, t] = np.where(jump, rng.integers(3, size=n), z[:, t - 1])
        x[:, t] = np.einsum("nij,nj->ni", MAPS[z[:, t]], x[:, t - 1])
        x[:, t] += 0.1 * rng.normal(size=(n, 2))
    return x.transpose(0, 2, 1), z


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_rotations_come_back(seed: int) -> None:
    X, z = plant(seed)
    model = AutoregressiveHMM(3, seed=seed, n_restarts=8).fit(X)
    assert measure_accuracy(z, model.predict_states(X)) > 0.95
    found = model.params_["weights"].values
    away = np.abs(MAPS[:, None] - found[None]).max(axis=(2, 3)).min(axis=1)
    assert away.max() < 0.05


def test_the_likelihood_of_one_state_is_that_of_a_regression(rng: Any) -> None:
    X = rng.normal(size=(2, 2, 30)).cumsum(axis=2)
    model = AutoregressiveHMM(1, lags=2).fit(X)
    p = model.params_
    Y = X.transpose(0, 2, 1) - p["centre"].values
    past = np.concatenate([Y[:, 1:-1], Y[:, :-2]], axis=2)
    rest = Y[:, 2:] - past @ p["weights"].values[0].T - p["offset"].values[0]
    direct = multivariate_normal(np.zeros(2), p["covariance"].values[0]).logpdf(rest)
    np.testing.assert_allclose(model.log_prob(X), direct.sum(axis=1))


def test_bins_without_their_past_do_not_count(rng: Any) -> None:
    X, _ = plant(0)
    X[0, 1, 100] = np.nan
    X[1, :, 300:] = np.nan
    model = AutoregressiveHMM(3).fit(X)
    assert np.diff(model.history_["objective"]).min() > -1e-6
    assert np.isfinite(model.transform(X)[0]).all()
    assert np.isfinite(model.log_prob(X)).all()


def test_predictions_follow_the_past() -> None:
    X, _ = plant(1)
    model = AutoregressiveHMM(3, n_restarts=8).fit(X)
    rest = (X - model.predict_rates(X))[:, :, 1:]
    assert rest.std() == pytest.approx(0.1, rel=0.05)
    assert model.sample(2, 50)[0].shape == (2, 2, 50)


def test_lags_are_checked() -> None:
    with pytest.raises(ValueError, match="lags: expected an integer >= 1, got 0"):
        AutoregressiveHMM(2, lags=0).fit(plant(0)[0])


def test_the_eeg_is_better_told_from_its_past(real_data: Path) -> None:
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        X = load_epochs(path).values[:, ::4].astype(float) * 1e6
    model = AutoregressiveHMM(2, max_iter=30, tol=1e-3, n_restarts=1).fit(X[:60])
    flat = HMM(2, max_iter=30, tol=1e-3, n_restarts=1).fit(X[:60])
    assert model.log_prob(X[60:120]).sum() > flat.log_prob(X[60:120]).sum()
