"""Simulated dynamics hold what their truth says, and the same for the same seed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from neuroalign import schema, storage
from neuroalign.loaders import simulate_nascar, simulate_oscillators, simulate_rotation

GENERATORS: list[Any] = [simulate_nascar, simulate_oscillators, simulate_rotation]


@pytest.mark.parametrize("simulate", GENERATORS)
def test_responses_follow_the_schema_and_the_seed(simulate: Any) -> None:
    one, again, other = (simulate(6, 40, seed=seed) for seed in (1, 1, 2))
    schema.check(one.responses)
    assert one.responses.identical(again.responses)
    assert one.truth.identical(again.truth)
    assert not np.array_equal(one.responses.values, other.responses.values)


@pytest.mark.parametrize("simulate", GENERATORS)
def test_simulations_come_back_from_a_file(simulate: Any, tmp_path: Path) -> None:
    made = simulate(4, 30)
    for name, thing in (("responses", made.responses), ("truth", made.truth)):
        storage.save(thing, tmp_path / f"{name}.nc")
        assert storage.load(tmp_path / f"{name}.nc").identical(thing)


def test_each_step_round_the_track_follows_the_law_of_its_state() -> None:
    truth = simulate_nascar(4, 300, 5, noise=1e-4).truth
    z, states = truth["latents"].values, truth["states"].values
    maps, offsets = truth["dynamics"].values, truth["dynamics_offset"].values
    here = states[:, 1:]
    moved = np.einsum("ntij,ntj->nti", maps[here], z[:, :-1]) + offsets[here]
    assert np.std(z[:, 1:] - moved) == pytest.approx(0.01, rel=0.05)


def test_the_track_is_driven_round_and_round() -> None:
    made = simulate_nascar(4, 300)
    z, states = made.truth["latents"].values, made.truth["states"].values
    assert np.abs(z).max() < 3
    assert all(len(np.unique(trial)) == 4 for trial in states)
    assert 0.97 < made.oracle["state_accuracy"] <= 1
    assert 0.5 < made.oracle["co_r2"] < 1


def test_the_track_drives_counts_too() -> None:
    made = simulate_nascar(3, 100, emission="poisson")
    assert made.responses.attrs["modality"] == "spikes"
    drive = made.truth["latents"].values @ made.truth["loadings"].values.T
    rates = np.exp(drive + made.truth["offset"].values).transpose(0, 2, 1)
    np.testing.assert_allclose(rates, made.truth["rates"].values)
    assert made.oracle["co_bps"] > 0.05


def test_a_rotation_keeps_its_angle_and_modulus() -> None:
    truth = simulate_rotation(5, 30, 8, angle=0.3, modulus=0.95).truth
    z = truth["latents"].values[..., 0] + 1j * truth["latents"].values[..., 1]
    np.testing.assert_allclose(z[:, 1:] / z[:, :-1], 0.95 * np.exp(0.3j), atol=1e-12)
    known = truth["eigenvalue_real"].values + 1j * truth["eigenvalue_imag"].values
    np.testing.assert_allclose(np.sort(np.angle(known)), [-0.3, 0.3])


def test_linear_loadings_keep_distances_and_noise_has_its_size() -> None:
    made, clean = (simulate_rotation(20, 50, 15, noise=noise, seed=3) for noise in (0.2, 0.0))
    np.testing.assert_allclose(
        (clean.responses.values**2).sum(axis=1), (clean.truth["latents"].values ** 2).sum(axis=2),
        rtol=1e-5,
    )  # fmt: skip
    assert np.std(made.responses.values - clean.responses.values) == pytest.approx(0.2, rel=0.05)


def test_a_net_hides_the_plane_but_not_the_latents() -> None:
    made = simulate_rotation(40, 50, 20, lift="net")
    x = made.responses.values.transpose(0, 2, 1).reshape(-1, 20)
    spread = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    assert spread[2:].sum() / spread.sum() > 0.02
    z = made.truth["latents"].values.reshape(-1, 2)
    rows = np.random.default_rng(0).permutation(len(x))[:400]
    apart = np.linalg.norm(x[rows, None] - x[None, rows], axis=2)
    np.fill_diagonal(apart, np.inf)
    near = apart.argmin(axis=1)
    assert np.median(np.linalg.norm(z[rows] - z[rows][near], axis=1)) < 0.15


@pytest.mark.parametrize(
    ("system", "force"), [("pendulum", lambda x: -np.sin(x)), ("duffing", lambda x: x - x**3)]
)
def test_oscillators_follow_their_equations(system: str, force: Any) -> None:
    made = simulate_oscillators(3, 60, system=system, damping=0.1).truth["latents"].values
    for trial in made:
        known = solve_ivp(
            lambda _, s: [s[1], force(s[0]) - 0.1 * s[1]], (0, 5.9), trial[0], rtol=1e-10,
            atol=1e-12, t_eval=0.1 * np.arange(60),
        )  # fmt: skip
        np.testing.assert_allclose(trial, known.y.T, atol=2e-3)


def test_a_pendulum_keeps_its_energy() -> None:
    z = simulate_oscillators(10, 200).truth["latents"].values
    energy = z[..., 1] ** 2 / 2 - np.cos(z[..., 0])
    assert np.ptp(energy, axis=1).max() < 1e-4


def test_unknown_options_are_named() -> None:
    with pytest.raises(ValueError, match="emission: expected one of 'poisson', 'gaussian', got"):
        simulate_nascar(emission="other")
    with pytest.raises(ValueError, match="lift: expected one of 'linear', 'net', got"):
        simulate_rotation(lift="other")
    with pytest.raises(ValueError, match="system: expected one of 'pendulum', 'duffing', got"):
        simulate_oscillators(system="other")
