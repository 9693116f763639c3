"""Koopman autoencoders: the terms of the loss by hand, hidden rotations, and forecasts."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.latents import ExtendedDynamicModes, KoopmanAutoencoder
from neuroalign.latents._koopman_net import (
    Bent,
    clip_operator,
    compare_neighbours,
    cut_windows,
    measure_entropy,
    run_layers,
    solve_operator,
)
from neuroalign.loaders import simulate_oscillators, simulate_rotation

# Fits this short may stop while the loss still falls, which models rightly say.
quiet = pytest.mark.filterwarnings("ignore:epochs:neuroalign.errors.NeuroalignWarning")
SMALL: dict[str, Any] = {
    "n_latents": 2, "hidden": (16,), "window": 8, "epochs": 30, "learning_rate": 1e-2
}  # fmt: skip


def waves(n: int = 8, length: int = 40, turn: float = 0.2) -> np.ndarray:
    """A circle seen by three units: (trial, unit, time)."""
    angle = turn * np.arange(length) + np.linspace(0, 6, n)[:, None]
    return np.stack([np.cos(angle), np.sin(angle), np.cos(angle) - np.sin(angle)], axis=1)


def test_entropy_counts_the_directions_that_carry_variance() -> None:
    even = torch.cat([torch.eye(8), -torch.eye(8)]).double()
    assert float(measure_entropy(even).exp()) == pytest.approx(8.00, abs=1e-6)
    one = torch.outer(torch.arange(10.0), torch.ones(8)).double()
    assert float(measure_entropy(one).exp()) == pytest.approx(1.00, abs=1e-6)


@pytest.mark.parametrize("negatives", ["batch", "window"])
def test_the_comparison_of_neighbours_is_the_sum_by_hand(negatives: str) -> None:
    z = torch.randn(3, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = torch.ones(3, 7, dtype=torch.bool)
    known[1, 5:] = False
    unit = (z / z.norm(dim=2, keepdim=True)).numpy()
    places = [(w, t) for w in range(3) for t in range(7) if known[w, t]]
    terms = []
    for w, t in places:
        score = {(v, s): np.exp(unit[w, t] @ unit[v, s] / 0.5) for v, s in places}
        apart = {
            "batch": [one for (v, _), one in score.items() if v != w],
            "window": [one for (v, s), one in score.items() if v == w and abs(s - t) > 2],
        }[negatives]
        near = [one for (v, s), one in score.items() if v == w and 0 < abs(s - t) <= 2]
        terms += [-np.log(one / (one + sum(apart))) for one in near if apart]
    found = compare_neighbours(z, known, 2, 0.5, negatives)
    assert float(found) == pytest.approx(np.mean(terms), abs=1e-10)


def test_neighbours_without_others_cost_nothing() -> None:
    z = torch.randn(1, 5, 2)
    assert float(compare_neighbours(z, torch.ones(1, 5, dtype=torch.bool), 2, 0.1, "batch")) == 0


def test_the_operator_is_solved_exactly_and_passes_gradients(rng: Any) -> None:
    K = torch.as_tensor(rng.normal(size=(3, 3)))
    now = torch.as_tensor(rng.normal(size=(50, 3))).requires_grad_()
    known = torch.as_tensor((rng.uniform(size=50) > 0.2).astype(float))
    then = now @ K.T + (1 - known)[:, None] * 99
    found = solve_operator(now, then.detach(), known, 0.0)
    np.testing.assert_allclose(found.detach().numpy(), K.numpy(), atol=1e-9)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert now.grad is not None
    assert float(now.grad.abs().max()) > 0


def test_the_net_is_the_same_without_torch(rng: Any) -> None:
    net, x = Bent(4, (6, 5), 3).double(), rng.normal(size=(7, 4))
    known = net(torch.as_tensor(x)).detach().numpy()
    np.testing.assert_allclose(run_layers(net.read_layers(), x), known, atol=1e-12)


def test_only_moduli_beyond_the_limit_are_clipped(rng: Any) -> None:
    vectors = rng.normal(size=(3, 3))
    K = vectors @ np.diag([1.5, -0.9, 0.3]) @ np.linalg.inv(vectors)
    clipped = np.linalg.eigvals(clip_operator(K, 1.01))
    np.testing.assert_allclose(np.sort(clipped.real), [-0.9, 0.3, 1.01], atol=1e-9)
    shaky = clip_operator(np.array([[2.0, 1.0], [0.0, 2.0]]), 1.0)
    assert np.abs(np.linalg.eigvals(shaky)).max() == pytest.approx(1.0)
    stable = np.array([[0.5, 1.0], [0.0, 0.2]])
    assert clip_operator(stable, 1.0) is stable


def test_windows_cover_each_trial_to_its_end() -> None:
    found = cut_windows(np.array([3, 11]), 8).tolist()
    assert found == [[0, 0], [1, 0], [1, 2], [1, 3]]


def test_a_small_net_finds_the_angle_of_a_circle() -> None:
    X = waves()
    model = KoopmanAutoencoder(**{**SMALL, "epochs": 80}).fit(X)
    np.testing.assert_allclose(np.abs(model.eigenvalues_), 1.0, atol=0.02)
    np.testing.assert_allclose(np.abs(np.angle(model.eigenvalues_)), 0.2, atol=0.01)
    ahead = model.predict(X[:, :, :20], 20)
    assert np.abs(ahead - X[:, :, 20:].transpose(0, 2, 1)).max() < 0.2
    values = model.transform(X) @ model.eigenfunctions_
    moved = values[:, 1:] - values[:, :-1] * model.eigenvalues_
    assert np.abs(moved).std() < 0.05 * np.abs(values).std() + 0.05
    assert model.score(X) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rotation_behind_a_net_keeps_its_eigenvalues(seed: int) -> None:
    made = simulate_rotation(40, 50, 20, lift="net", seed=seed)
    model = KoopmanAutoencoder(2, seed=seed).fit(made.responses)
    np.testing.assert_allclose(np.abs(model.eigenvalues_), 1.0, atol=0.01)
    np.testing.assert_allclose(np.abs(np.angle(model.eigenvalues_)), 0.2, atol=0.01)
    np.testing.assert_allclose(model.frequencies_, 0.2 / 0.02 / (2 * np.pi), rtol=0.05)


def measure_miss(forecast: np.ndarray, known: np.ndarray) -> float:
    return float(np.sqrt(((forecast - known) ** 2).mean() / known.var()))


@quiet
@pytest.mark.slow
def test_an_oscillator_with_two_wells_is_forecast_better_than_by_bumps() -> None:
    X = simulate_oscillators(60, 100, system="duffing", reach=1.5).responses
    train, first = X[:45], X[45:].values[:, :, :30]
    known = X[45:].values[:, :, 30:80].transpose(0, 2, 1)
    model = KoopmanAutoencoder(8, hidden=(64, 64), window=30, epochs=150, information=0.0)
    found = measure_miss(model.fit(train).predict(first, 50), known)
    for size, ridge in ((40, 1e-9), (40, 1e-4), (100, 1e-6)):
        bumps = ExtendedDynamicModes("radial", size=size, ridge=ridge).fit(train)
        assert found <= measure_miss(bumps.predict(first, 50), known)


@quiet
@pytest.mark.slow
def test_entropy_in_the_loss_raises_the_effective_dimension() -> None:
    X = simulate_rotation(20, 40, 12, lift="net").responses
    flat, spread = (
        KoopmanAutoencoder(6, entropy=weight, epochs=30).fit(X).effective_dimension_
        for weight in (0.0, 0.1)
    )
    assert spread > flat + 0.05


@quiet
def test_the_likelihood_of_whole_trials_is_that_of_the_steps() -> None:
    X = waves() + 0.1 * np.random.default_rng(0).normal(size=(8, 3, 40))
    model = KoopmanAutoencoder(**SMALL).fit(X)
    p = model.params_
    Y = (X.transpose(0, 2, 1) - p["mean"].values) / p["scale"].values
    z = model.transform(X)
    shown = (model.predict(X[:, :, :10]) - p["mean"].values) / p["scale"].values
    rest = Y[:, 10] - shown[:, 0] - p["step_mean"].values
    S = p["step_covariance"].values
    known = -0.5 * np.einsum("ni,ij,nj->n", rest, np.linalg.inv(S), rest)
    known += -0.5 * np.linalg.slogdet(2 * np.pi * S)[1] - np.log(p["scale"].values).sum()
    found = model.log_prob(X[:, :, :11]) - model.log_prob(X[:, :, :10])
    np.testing.assert_allclose(found, known, rtol=1e-8)
    assert np.isfinite(z).all()


@quiet
def test_the_same_seed_gives_the_same_net_and_leaves_torch_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, again = (KoopmanAutoencoder(**SMALL).fit(waves()) for _ in range(2))
    other = KoopmanAutoencoder(**SMALL, seed=1).fit(waves())
    assert torch.equal(before, torch.random.get_rng_state())
    assert one.params_.identical(again.params_)
    assert not one.params_.identical(other.params_)


@quiet
def test_one_trial_constant_stretches_and_gaps_are_fitted(rng: Any) -> None:
    X = rng.normal(size=(1, 4, 60)).cumsum(axis=2)
    X[:, :, 20:30] = X[:, :, 20:21]
    X[:, 2, 40:50] = np.nan
    X[:, :, 52:55] = np.nan
    model = KoopmanAutoencoder(**SMALL).fit(X)
    assert np.isfinite(model.predict_rates(X)).all()
    assert np.abs(model.eigenvalues_).max() <= 1.01 + 1e-9
    assert model.predict(X, 300).shape == (1, 300, 4)
    assert np.abs(model.predict(X, 300)).max() < 1e3 * np.nanmax(np.abs(X))


@quiet
def test_silent_units_are_named_and_stay_silent() -> None:
    X = np.concatenate([waves(), np.zeros((8, 1, 40))], axis=1)
    with pytest.warns(NeuroalignWarning, match="1 constant or never observed"):
        model = KoopmanAutoencoder(**SMALL).fit(X)
    assert (model.predict(X, 3)[:, :, 3] == 0).all()


def test_a_loss_that_still_falls_is_said() -> None:
    with pytest.warns(NeuroalignWarning, match="epochs: expected the loss to settle, got one that"):
        KoopmanAutoencoder(2, epochs=4).fit(waves())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_latents": 0}, "n_latents: expected an integer >= 1, got 0"),
        ({"hidden": (0,)}, "hidden: expected an integer >= 1, got 0"),
        ({"window": 1}, "window: expected at least 2 bins, got 1"),
        ({"entropy": -0.1}, "entropy: expected a number >= 0, got -0.1"),
        ({"temperature": 0.0}, "temperature: expected a number > 0, got 0.0"),
        ({"slack": -1.0}, "slack: expected None or a number >= 0, got -1.0"),
        ({"negatives": "all"}, "negatives: expected one of 'batch', 'window', got 'all'"),
        ({"device": "abacus"}, "device: expected one of"),
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number, got 0.0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        KoopmanAutoencoder(**options).fit(waves())


@quiet
def test_wrong_inputs_are_named() -> None:
    with pytest.raises(ValueError, match="X: expected trials of at least 2 bins, got 1"):
        KoopmanAutoencoder().fit(waves()[:, :, :1])
    model = KoopmanAutoencoder(**SMALL).fit(waves())
    with pytest.raises(ValueError, match="n_steps: expected an integer >= 1, got 0"):
        model.predict(waves(), 0)
    with pytest.raises(SchemaError, match="X: expected the 3 units of fit, got 2"):
        model.predict(waves()[:, :2])


@quiet
def test_held_out_fmri_follows_the_net_better_than_shuffled_time(real_data: Path, rng: Any) -> None:
    rows = pd.read_csv(real_data / "nitime_fmri/fmri_timeseries.csv").iloc[:, 3:].to_numpy()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = KoopmanAutoencoder(5, hidden=(16,), epochs=40).fit(rows[:170])
    shuffled = rng.permutation(rows[170:])
    assert model.log_prob(rows[170:]).sum() > model.log_prob(shuffled).sum() + 20
