"""Simulated populations hold what their truth says, and the same for the same seed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroalign import schema, storage
from neuroalign.loaders import (
    simulate_gaussian_processes,
    simulate_hidden_states,
    simulate_linear_dynamics,
    simulate_switching_dynamics,
)

GENERATORS: list[Any] = [
    simulate_gaussian_processes,
    simulate_hidden_states,
    simulate_linear_dynamics,
    simulate_switching_dynamics,
]


@pytest.mark.parametrize("simulate", GENERATORS)
def test_responses_follow_the_schema_and_the_seed(simulate: Any) -> None:
    one, again, other = (simulate(6, 40, 12, seed=seed) for seed in (1, 1, 2))
    schema.check(one.responses)
    assert one.responses.identical(again.responses)
    assert one.truth.identical(again.truth)
    assert not np.array_equal(one.responses.values, other.responses.values)


@pytest.mark.parametrize("simulate", GENERATORS)
def test_simulations_come_back_from_a_file(simulate: Any, tmp_path: Path) -> None:
    made = simulate(4, 30, 8)
    for name, thing in (("responses", made.responses), ("truth", made.truth)):
        storage.save(thing, tmp_path / f"{name}.nc")
        assert storage.load(tmp_path / f"{name}.nc").identical(thing)


def test_the_oracle_is_the_formula_by_hand() -> None:
    made = simulate_gaussian_processes(10, 20, 6)
    y, r = made.responses.values.astype(float), made.truth["rates"].values
    null = y.mean(axis=(0, 2), keepdims=True)
    gain = (y * np.log(r / null) - r + null).sum() / y.sum() / np.log(2)
    assert made.oracle["co_bps"] == pytest.approx(gain)


def test_gaussian_processes_have_their_covariance() -> None:
    z = simulate_gaussian_processes(4000, 20, 2, 1, length=5.0).truth["latents"].values
    found = np.einsum("ntk,nsk->kts", z, z)[:, 0] / len(z)
    wanted = np.outer([0.3, 0.5, 1.0], np.exp(-0.5 * (np.arange(20) / 5.0) ** 2))
    np.testing.assert_allclose(found, wanted, atol=0.08)


def test_log_rates_are_linear_in_shared_and_neural_latents() -> None:
    truth = simulate_gaussian_processes(5, 20, 6).truth
    drive = truth["latents"].values @ truth["loadings"].values.T + truth["offset"].values
    np.testing.assert_allclose(np.exp(drive).transpose(0, 2, 1), truth["rates"].values)
    assert (truth["loadings"].sel(latent="behaviour") == 0).all()


def test_states_move_as_their_transitions_say() -> None:
    truth = simulate_hidden_states(40, 500, 3, stay=0.9).truth
    states = truth["states"].values
    counts = np.zeros((4, 4))
    np.add.at(counts, (states[:, :-1], states[:, 1:]), 1)
    found = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, truth["transition"].values, atol=0.02)


def test_linear_dynamics_are_found_by_regression() -> None:
    truth = simulate_linear_dynamics(60, 60, 4, n_latents=4).truth
    z = truth["latents"].values
    past, now = z[:, :-1].reshape(-1, 4), z[:, 1:].reshape(-1, 4)
    found = np.linalg.lstsq(past, now, rcond=None)[0].T
    np.testing.assert_allclose(found, truth["dynamics"].values, atol=0.03)


def test_each_system_is_found_in_the_bins_of_its_state() -> None:
    truth = simulate_switching_dynamics(20, 300, 2).truth
    z, states = truth["latents"].values, truth["states"].values
    for state, wanted in enumerate(truth["dynamics"].values):
        rows = states[:, 1:] == state
        found = np.linalg.lstsq(z[:, :-1][rows], z[:, 1:][rows], rcond=None)[0].T
        np.testing.assert_allclose(found, wanted, atol=0.03)


def test_gaussian_emissions_have_a_share_of_variance_as_oracle() -> None:
    made = simulate_linear_dynamics(20, 40, 6, emission="gaussian")
    assert 0.0 < made.oracle["co_r2"] < 1.0


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match=r"n_latents: expected an even number"):
        simulate_linear_dynamics(n_latents=3)
    with pytest.raises(ValueError, match=r"emission: expected one of 'poisson'"):
        simulate_linear_dynamics(emission="poison")
