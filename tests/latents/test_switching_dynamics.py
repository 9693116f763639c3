"""Switching dynamics against dense algebra, one law, a driven track and broken input."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln

from neuroalign.errors import NeuroalignWarning
from neuroalign.latents import LinearDynamics, SwitchingLinearDynamics, score_recovery, score_states
from neuroalign.latents._chain_fit import Chain
from neuroalign.latents._kalman import Dynamics, smooth_states
from neuroalign.latents._linear_fit import OBSERVATIONS, Readout
from neuroalign.latents._switching import (
    Data,
    Switching,
    couple,
    find_inside,
    infer_switching,
    smooth_blocks,
)
from neuroalign.loaders import simulate_nascar

# Little data, few turns: states may die, and the bound still grows, which models rightly say.
quiet = pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")


def draw_model(rng: Any, k: int, d: int = 2, units: int = 5) -> Switching:
    """Parameters at random, stable and sticky."""
    turns = np.linalg.qr(rng.normal(size=(k, d, d)))[0]
    params = {
        "weights": 0.9 * turns,
        "offset": 0.3 * rng.normal(size=(k, d)),
        "covariance": np.stack([np.eye(d) * v for v in rng.uniform(0.1, 0.5, k)]),
    }
    transition = np.full((k, k), 0.1 / k) + 0.9 * np.eye(k)
    chain = Chain(np.full(k, 1 / k), transition, params)
    readout = Readout(
        rng.normal(size=(units, d)), rng.normal(size=units), rng.uniform(0.3, 1, units)
    )
    return Switching(
        chain, readout, Dynamics(params["weights"][0], np.eye(d), np.ones(d), np.eye(d))
    )


def test_blocks_are_smoothed_as_the_dense_precision_says(rng: Any) -> None:
    n, T, d = 2, 4, 2
    D = np.tile(6 * np.eye(d), (n, T, 1, 1))
    L, h = rng.normal(size=(n, T, d, d)), rng.normal(size=(n, T, d))
    states, logdet = smooth_blocks(D, L, h)
    for row in range(n):
        dense = 6 * np.eye(T * d)
        for t in range(1, T):
            dense[t * d : t * d + d, t * d - d : t * d] = L[row, t]
            dense[t * d - d : t * d, t * d : t * d + d] = L[row, t].T
        S = np.linalg.inv(dense)
        assert logdet[row] == pytest.approx(np.linalg.slogdet(dense)[1])
        np.testing.assert_allclose(states.mean[row].ravel(), S @ h[row].ravel(), atol=1e-12)
        np.testing.assert_allclose(states.covariance[row, 1], S[2:4, 2:4], atol=1e-12)
        np.testing.assert_allclose(states.cross[row, 2], S[4:6, 2:4], atol=1e-12)


def test_one_state_is_the_kalman_smoother_and_its_bound_is_exact(rng: Any) -> None:
    model = draw_model(rng, 1)
    model.chain.params["offset"] = np.zeros((1, 2))
    law = Dynamics(model.chain.params["weights"][0], model.chain.params["covariance"][0],
                   np.ones(2), np.eye(2))  # fmt: skip
    model.pooled = law
    seen = (rng.uniform(size=(3, 8, 5)) > 0.2).astype(float)
    Y = rng.normal(size=seen.shape) * seen
    data = Data(Y, seen, np.ones((3, 8), dtype=bool))
    found = infer_switching(data, model, OBSERVATIONS["gaussian"])
    C, R = model.readout.loadings, model.readout.noise
    J = np.einsum("ntu,ui,uj->ntij", seen / R, C, C)
    rest = seen * (Y - model.readout.offset)
    known = smooth_states(J, (rest / R) @ C, np.arange(3), law)
    np.testing.assert_allclose(found.states.mean, known.mean, atol=1e-9)
    np.testing.assert_allclose(found.states.covariance, known.covariance, atol=1e-9)
    density = -0.5 * (seen * np.log(2 * np.pi * R) + rest**2 / R).sum(axis=(1, 2))
    np.testing.assert_allclose(found.bound, known.log_integral + density, atol=1e-8)


def test_the_prior_of_latents_is_the_expected_log_density(rng: Any) -> None:
    model = draw_model(rng, 3)
    w = rng.dirichlet(np.ones(3), size=(1, 5))
    D, L, h = couple(w, model, np.ones((1, 5), dtype=bool))
    p = model.chain.params

    def density(z: Any) -> float:
        total = -0.5 * ((z[0] - 1) ** 2).sum()
        for t in range(1, 5):
            for k in range(3):
                rest = z[t] - p["weights"][k] @ z[t - 1] - p["offset"][k]
                total -= 0.5 * w[0, t, k] * rest @ np.linalg.solve(p["covariance"][k], rest)
        return float(total)

    def form(z: Any) -> float:
        square = np.einsum("ti,tij,tj->", z, D[0], z)
        square += 2 * np.einsum("ti,tij,tj->", z[1:], L[0, 1:], z[:-1])
        return float((h[0] * z).sum() - 0.5 * square)

    z, zero = rng.normal(size=(5, 2)), np.zeros((5, 2))
    assert form(z) - form(zero) == pytest.approx(density(z) - density(zero), abs=1e-9)


@pytest.mark.parametrize("observations", list(OBSERVATIONS))
def test_the_bound_stays_below_the_likelihood(observations: str, rng: Any) -> None:
    """Two bins, two states: the sum over states and the integral over latents by sampling."""
    model = draw_model(rng, 2, units=4)
    p, n = model.chain.params, 400_000
    Y = rng.poisson(1.0, size=(1, 2, 4)).astype(float)
    data = Data(Y, np.ones_like(Y), np.ones((1, 2), dtype=bool))
    bound = infer_switching(data, model, OBSERVATIONS[observations]).bound[0]
    first, later = 1 + rng.normal(size=(n, 2)), np.empty((n, 2))
    state = rng.integers(2, size=n)
    for k in range(2):
        rows = state == k
        noise = rng.normal(size=(rows.sum(), 2)) @ np.linalg.cholesky(p["covariance"][k]).T
        later[rows] = first[rows] @ p["weights"][k].T + p["offset"][k] + noise
    drive = np.stack([first, later], axis=1) @ model.readout.loadings.T + model.readout.offset
    R = model.readout.noise
    log_p = {
        "gaussian": -0.5 * (np.log(2 * np.pi * R) + (Y - drive) ** 2 / R),
        "poisson": Y * drive - np.exp(drive) - gammaln(Y + 1),
    }[observations].sum(axis=(1, 2))
    exact = np.log(np.mean(np.exp(log_p)))
    assert exact - 1.0 < bound < exact + 0.02


def take_turns(rng: Any) -> tuple[Any, Any]:
    """Two rotations in turns: responses (trial, unit, time) and states (trial, time)."""
    truth = np.tile(np.repeat([0, 1, 0, 1], 40), (3, 1))
    angles = np.where(truth == 0, 0.5, -0.2)
    z = np.empty((3, 160), dtype=complex)
    z[:, 0] = np.exp(2j * np.pi * rng.uniform(size=3))
    for t in range(1, 160):
        noise = 0.03 * (rng.normal(size=3) + 1j * rng.normal(size=3))
        z[:, t] = z[:, t - 1] * np.exp(1j * angles[:, t]) + noise
    both = np.stack([z.real, z.imag], axis=1)
    return rng.normal(size=(15, 2)) @ both + 0.3 * rng.normal(size=(3, 15, 160)), truth


@quiet
def test_each_turn_raises_the_bound(rng: Any) -> None:
    X, _ = take_turns(rng)
    X[0, 2, 30:70], X[1, :, 140:] = np.nan, np.nan
    for seed in (0, 1):
        model = SwitchingLinearDynamics(2, 2, n_init=1, max_iter=25, tol=0.0, seed=seed).fit(X)
        assert not any("died" in line for line in model.warnings_)
        assert np.diff(model.history_["objective"]).min() > -1e-6


@quiet
def test_one_state_predicts_as_linear_dynamics_do() -> None:
    X = simulate_nascar(3, 100, 10).responses
    one = SwitchingLinearDynamics(1, 2, n_init=1, max_iter=60).fit(X)
    law = LinearDynamics(2).fit(X)
    left = ((one.predict_rates(X) - law.predict_rates(X)) ** 2).mean()
    assert float(left) < 0.01 * float(law.predict_rates(X).var())


def fit_track(emission: str, seed: int, n_bins: int, trials: int = 5) -> tuple[Any, Any, float]:
    made = simulate_nascar(trials, n_bins, 40, emission=emission, seed=seed)
    model = SwitchingLinearDynamics(4, 2, observations=emission, seed=seed)
    model.fit(made.responses)
    states = model.predict_states(made.responses).values
    return made, model, score_states(states, made.truth["states"].values)[0]


@quiet
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_laws_of_the_track_come_back(seed: int) -> None:
    made, model, accuracy = fit_track("gaussian", seed, 400)
    assert accuracy > 0.85 * made.oracle["state_accuracy"]
    z = model.transform(made.responses)
    trials = np.arange(5)
    found = score_recovery(z, made.truth["latents"], trials[:3], trials[3:])
    assert found.min() > 0.95
    angles = np.abs(np.angle(np.linalg.eigvals(model.params_["dynamics"].values))).max(axis=1)
    np.testing.assert_allclose(np.sort(angles)[-2:], [np.pi / 18, np.pi / 12], atol=0.04)


@quiet
@pytest.mark.slow
def test_the_laws_of_the_track_come_back_from_counts() -> None:
    made, _, accuracy = fit_track("poisson", 0, 400)
    assert accuracy > 0.75 * made.oracle["state_accuracy"]


@quiet
def test_two_laws_are_told_apart_on_little_data(rng: Any) -> None:
    X, truth = take_turns(rng)
    X[0, :, 150:], X[1, 3, 20:60], X[2, :, 70:75] = np.nan, np.nan, np.nan
    model = SwitchingLinearDynamics(2, 2, n_init=2).fit(X)
    states = model.predict_states(X)
    assert np.isnan(states[0, 150:]).all()
    assert score_states(np.where(np.isnan(states), -1, states), truth)[0] > 0.95


@quiet
def test_hidden_units_are_predicted_from_the_others() -> None:
    X = simulate_nascar(4, 100, 15, emission="poisson").responses
    model = SwitchingLinearDynamics(
        2, 2, observations="poisson", n_init=1, max_iter=15, tol=1e-2
    ).fit(X[:3])
    assert model.score(X[3:]) > 0.02
    assert (model.predict_rates(X) > 0).all()
    assert model.log_prob_kind_ == "elbo"


@quiet
def test_a_draw_has_the_spread_of_the_data() -> None:
    X = simulate_nascar(3, 100, 8).responses
    model = SwitchingLinearDynamics(2, 2, n_init=1, max_iter=20).fit(X)
    values, latents = model.sample(20, 100, seed=1)
    assert latents.shape == (20, 100, 2)
    assert np.isfinite(values.values).all()
    assert values.values.std() == pytest.approx(X.values.std(), rel=0.5)


def test_ends_end_with_what_was_seen(rng: Any) -> None:
    seen = np.ones((2, 4, 3))
    seen[0, 2:], seen[1] = 0, 0
    assert find_inside(seen).tolist() == [[True, True, False, False], [True, False, False, False]]


@quiet
def test_one_trial_and_constant_stretches_are_fitted(rng: Any) -> None:
    X = rng.normal(size=(1, 6, 80)).cumsum(axis=2)
    X[:, :, 30:60] = X[:, :, 30:31]
    model = SwitchingLinearDynamics(2, 2, n_init=2, max_iter=30).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.log_prob(X)).all()


def test_silent_units_are_named_and_left_out(rng: Any) -> None:
    X = rng.poisson(1.0, size=(4, 5, 30)).astype(float)
    X[:, 1] = 0
    with pytest.warns(NeuroalignWarning, match="1 constant or never observed") as said:
        SwitchingLinearDynamics(1, 1, observations="poisson", n_init=1, tol=1.0).fit(X)
    assert len(said) == 1


def test_turns_that_do_not_suffice_are_said(rng: Any) -> None:
    X = rng.normal(size=(2, 4, 40)).cumsum(axis=2)
    with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge, got a change"):
        SwitchingLinearDynamics(2, 1, n_init=1, max_iter=2, tol=0.0).fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_states": 0}, "n_states: expected an integer >= 1, got 0"),
        ({"n_latents": 9}, "n_latents: expected at most the 4 units that vary, got 9"),
        ({"n_init": 0}, "n_init: expected an integer >= 1, got 0"),
        ({"stickiness": -1.0}, "stickiness: expected at least 0, got -1.0"),
        ({"observations": "bernoulli"}, "observations: expected one of 'gaussian', 'poisson', got"),
        ({"observations": "poisson"}, "X: expected counts, got"),
        ({"n_states": 50}, "X: expected at least 50 steps from bin to bin, one a state, got 38"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str, rng: Any) -> None:
    X = rng.normal(size=(2, 4, 20)) - 3
    with pytest.raises(ValueError, match=re.escape(message)):
        SwitchingLinearDynamics(**{"n_latents": 2, **options}).fit(X)


def test_one_bin_is_too_few(rng: Any) -> None:
    with pytest.raises(ValueError, match="X: expected trials of at least 2 bins, got 1"):
        SwitchingLinearDynamics(2, 2).fit(rng.normal(size=(5, 4, 1)))


@quiet
def test_held_out_fmri_follows_the_laws(real_data: Path, rng: Any) -> None:
    rows = pd.read_csv(real_data / "nitime_fmri/fmri_timeseries.csv").iloc[:, 3:].to_numpy()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = SwitchingLinearDynamics(2, 4, n_init=2, max_iter=25, tol=1e-2).fit(rows[:170])
    shuffled = rng.permutation(rows[170:])
    assert model.log_prob(rows[170:]).sum() > model.log_prob(shuffled).sum() + 20
