"""Linear dynamics against the joint density, planted rotations and real recordings."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy.ndimage import gaussian_filter1d
from scipy.stats import multivariate_normal

from neuroalign.errors import NeuroalignWarning
from neuroalign.latents import PoissonGPFA
from neuroalign.latents._kalman import Dynamics
from neuroalign.latents._linear_fit import OBSERVATIONS, Fitted, Readout
from neuroalign.latents.linear_dynamics import LinearDynamics
from neuroalign.loaders import load_epochs, load_nwb

TURN = 0.97 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])


def plant(observations: str, seed: int, n: int = 15, length: int = 80, units: int = 20) -> Any:
    """A noisy rotation seen by all units: (trial, unit, time) and latents (trial, time, 2)."""
    rng = np.random.default_rng(seed)
    z = np.zeros((n, length, 2))
    z[:, 0] = rng.normal(size=(n, 2))
    for t in range(1, length):
        z[:, t] = z[:, t - 1] @ TURN.T + 0.25 * rng.normal(size=(n, 2))
    drive = z @ rng.normal(size=(units, 2)).T
    draw = {
        "gaussian": lambda: drive + rng.normal(size=drive.shape),
        "poisson": lambda: rng.poisson(np.exp(0.5 * drive - 0.5)).astype(float),
    }
    return draw[observations]().transpose(0, 2, 1), z


def join_gaussian(model: Fitted, length: int) -> tuple[Any, Any, Any]:
    """Mean and covariance of all latents of a trial, and the loadings of all its bins."""
    law, d = model.dynamics, len(model.dynamics.A)
    lags = np.subtract.outer(np.arange(length), np.arange(length))
    powers = [[np.linalg.matrix_power(law.A, lag) if lag >= 0 else np.zeros((d, d)) for lag in row]
              for row in lags]  # fmt: skip
    F = np.block(powers)
    noise = np.kron(np.eye(length), law.Q)
    noise[:d, :d] = law.covariance
    mean = np.concatenate([F[t * d : (t + 1) * d, :d] @ law.mean for t in range(length)])
    return mean, F @ noise @ F.T, np.kron(np.eye(length), model.readout.loadings)


def test_likelihood_and_smoother_equal_the_joint_gaussian(rng: Any) -> None:
    law = Dynamics(TURN, np.diag([0.3, 0.5]), np.array([0.3, -0.1]), np.array([[1, 0.2], [0.2, 1]]))
    model = Fitted(
        law, Readout(rng.normal(size=(3, 2)), rng.normal(size=3), rng.uniform(0.3, 1, 3))
    )
    Y, seen = rng.normal(size=(3, 5, 3)), (rng.uniform(size=(3, 5, 3)) > 0.3).astype(float)
    seen[2, 2] = 0
    states, value = OBSERVATIONS["gaussian"].infer(Y * seen, seen, model, None)
    mean, S, C = join_gaussian(model, 5)
    mu = C @ mean + np.tile(model.readout.offset, 5)
    full = C @ S @ C.T + np.diag(np.tile(model.readout.noise, 5))
    for row in range(3):
        k = seen[row].ravel() > 0
        y, own = Y[row].ravel()[k], full[np.ix_(k, k)]
        assert value[row] == pytest.approx(multivariate_normal(mu[k], own).logpdf(y), abs=1e-10)
        gain = S @ C[k].T @ np.linalg.inv(own)
        np.testing.assert_allclose(states.mean[row].ravel(), mean + gain @ (y - mu[k]), atol=1e-10)
        V = S - gain @ C[k] @ S
        group = states.group[row]
        np.testing.assert_allclose(states.covariance[group, 1], V[2:4, 2:4], atol=1e-10)
        np.testing.assert_allclose(states.cross[group, 2], V[4:6, 2:4], atol=1e-10)


def test_the_approximation_for_counts_is_close_to_the_integral(rng: Any) -> None:
    law = Dynamics(np.array([[0.9]]), np.array([[0.2]]), np.zeros(1), np.array([[0.5]]))
    model = Fitted(law, Readout(rng.normal(size=(8, 1)), np.full(8, 1.0), np.ones(8)))
    Y = rng.poisson(3.0, size=(1, 2, 8)).astype(float)
    _, value = OBSERVATIONS["poisson"].infer(Y, np.ones_like(Y), model, None)
    grid = np.linspace(-4, 4, 801)
    fire = OBSERVATIONS["poisson"]._log_density  # type: ignore[attr-defined]
    each = [[fire(np.array([[[g]]]), Y[:, [t]], np.ones((1, 1, 8)), model.readout)[0] for g in grid]
            for t in range(2)]  # fmt: skip
    first = np.exp(each[0]) * np.exp(-(grid**2)) / np.sqrt(np.pi)
    step = np.exp(-((grid[:, None] - 0.9 * grid) ** 2) / 0.4) / np.sqrt(0.4 * np.pi)
    total = (np.exp(each[1]) * (step @ first)).sum() * (grid[1] - grid[0]) ** 2
    assert value[0] == pytest.approx(np.log(total), abs=0.02)


@pytest.mark.parametrize("observations", list(OBSERVATIONS))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_eigenvalues_and_latents_come_back(observations: str, seed: int) -> None:
    X, z = plant(observations, seed)
    model = LinearDynamics(2, observations=observations, tol=1e-4).fit(X)
    p = model.params_
    found = p["eigenvalue_real"].values + 1j * p["eigenvalue_imag"].values
    assert np.abs(np.abs(found) - 0.97).max() < 0.03
    assert np.abs(np.abs(np.angle(found)) - 0.3).max() < 0.03
    inferred, true = model.transform(X).reshape(-1, 2), z.reshape(-1, 2)
    rest = true - inferred @ np.linalg.lstsq(inferred, true, rcond=None)[0]
    assert 1 - rest.var() / true.var() > (0.95 if observations == "gaussian" else 0.85)


def test_each_step_raises_the_likelihood_of_signals_with_gaps() -> None:
    X, _ = plant("gaussian", 0)
    X[0, :, 50:] = np.nan
    X[1, 3, 10:30] = np.nan
    X[2, :, 20:30] = np.nan
    model = LinearDynamics(2).fit(X)
    assert model.converged_
    assert np.diff(model.history_["objective"]).min() > -1e-6
    assert np.isfinite(model.transform(X)[2]).all()
    assert np.isnan(model.transform(X)[0, 50:]).all()


def test_ends_of_trials_do_not_count() -> None:
    X, _ = plant("poisson", 0, n=6)
    model = LinearDynamics(2, observations="poisson", tol=1e-3).fit(X)
    padded = np.concatenate([X, np.full((*X.shape[:2], 9), np.nan)], axis=2)
    np.testing.assert_allclose(model.log_prob(padded), model.log_prob(X), rtol=1e-6)


def test_hidden_units_are_predicted_from_the_others() -> None:
    for observations in OBSERVATIONS:
        X, _ = plant(observations, 1)
        model = LinearDynamics(2, observations=observations, tol=1e-3).fit(X[:10])
        assert model.score(X[10:]) > 0.1


def test_a_far_offset_changes_only_the_offset() -> None:
    X, _ = plant("gaussian", 0, n=5)
    near, far = (LinearDynamics(2).fit(one) for one in (X, X + 1e5))
    np.testing.assert_allclose(near.log_prob(X), far.log_prob(X + 1e5), rtol=1e-5)


def test_a_draw_has_the_spread_of_the_data() -> None:
    for observations in OBSERVATIONS:
        X, _ = plant(observations, 0)
        model = LinearDynamics(2, observations=observations, tol=1e-3).fit(X)
        values, latents = model.sample(30, 80, seed=1)
        assert latents.shape == (30, 80, 2)
        assert values.values.mean() == pytest.approx(X.mean(), abs=0.4)


def test_constant_units_and_stretches_leave_the_model_sound() -> None:
    X, _ = plant("gaussian", 0)
    X[0, :, 20:60] = 0.0
    X[:, 2] = 3.0
    with pytest.warns(NeuroalignWarning, match="constant"):
        model = LinearDynamics(2).fit(X)
    assert model.params_.sizes["neuroid"] == 19


def test_one_trial_suffices_and_one_bin_does_not() -> None:
    X, _ = plant("gaussian", 0)
    assert LinearDynamics(2).fit(X[:1]).n_iter_ > 1
    with pytest.raises(ValueError, match=re.escape("X: expected trials of at least 2 bins")):
        LinearDynamics(2).fit(X[:, :, :1])


@pytest.mark.parametrize("model", [LinearDynamics(1, observations="poisson"), PoissonGPFA(1)])
def test_a_hidden_burst_is_not_extrapolated_beyond_what_training_showed(model: Any) -> None:
    """Steady units that surge where the bursting one is hidden drive its log rate off the scale."""
    rng = np.random.default_rng(0)
    course = gaussian_filter1d(rng.normal(size=(20, 1, 40)), 3, axis=2) * 4
    X = rng.poisson(np.exp(np.array([0.3, 0.3, 0.3, 2.5])[:, None] * course + 0.5)).astype(float)
    surge = X[:4].copy()
    surge[:, :3, 20:30] = 30.0
    fitted = model.fit(X)
    found = fitted.predict_rates(surge, mask=np.arange(4) == 3)
    assert found[:, 3].max() == X[:, 3].max()
    assert (found.max(axis=(0, 2)) <= X.max(axis=(0, 2))).all()


def test_cells_of_the_head_direction_system_are_told_without_runaway_rates(real_data: Path) -> None:
    path = real_data / "nwb_pynapple_A8604" / "A8604-211122.nwb"
    counts = load_nwb(path, intervals="epochs", window=(0, 1000), bin_width=0.5).values[0]
    X = np.swapaxes(counts.T.astype(float).reshape(40, 50, 3), 1, 2)
    model = LinearDynamics(1, observations="poisson", tol=1e-2).fit(X[1::2])
    rates = model.predict_rates(X[::2], mask=np.arange(3) == 1)[:, 1]
    # Without the bound: 5,000 spikes in half a second, and more.
    assert rates.max() <= X[1::2, 1].max() == 23


def test_too_few_steps_are_said() -> None:
    with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge"):
        LinearDynamics(2, max_iter=2).fit(plant("gaussian", 0)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_latents": 0}, "n_latents: expected an integer >= 1"),
        ({"n_latents": 21}, "n_latents: expected at most the 20 units"),
        ({"tol": -1.0}, "tol: expected at least 0"),
        ({"observations": "bold"}, "observations: expected one of"),
        ({"observations": "poisson"}, "X: expected counts"),
    ],
)
def test_bad_settings_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearDynamics(**options).fit(plant("gaussian", 0, n=2)[0])


def test_held_out_volumes_follow_the_dynamics(real_data: Path, rng: Any) -> None:
    table = pd.read_csv(real_data / "nitime_fmri" / "fmri_timeseries.csv")
    rows = table.iloc[:, 3:].to_numpy()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = LinearDynamics(5, tol=1e-3).fit(rows[:170])
    shuffled = rng.permutation(rows[170:])
    assert model.log_prob(rows[170:]).sum() > model.log_prob(shuffled).sum() + 50


def test_held_out_eeg_follows_the_dynamics(real_data: Path, rng: Any) -> None:
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        X = load_epochs(path).values[:, ::4].astype(float) * 1e6
    model = LinearDynamics(4, tol=1e-2).fit(X[:60])
    shuffled = X[60:][:, :, rng.permutation(X.shape[2])]
    assert model.log_prob(X[60:]).sum() > model.log_prob(shuffled).sum() + 1000


def test_held_out_planning_spikes_follow_the_dynamics(real_data: Path, rng: Any) -> None:
    file = scipy.io.loadmat(real_data / "place_cell_kramer_eden/10_spikes-1.mat", squeeze_me=True)
    X = file["train"].reshape(50, 1, 40, 50).sum(axis=3).astype(float)
    model = LinearDynamics(1, observations="poisson", tol=1e-3).fit(X[::2])
    shuffled = X[1::2][:, :, rng.permutation(40)]
    assert model.log_prob(X[1::2]).sum() > model.log_prob(shuffled).sum()
