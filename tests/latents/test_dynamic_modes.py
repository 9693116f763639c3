"""Dynamic modes: exact on linear systems, unbiased by noise, never across a border."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.base import clone

from neuroalign.errors import SchemaError
from neuroalign.latents import DynamicModes, ExtendedDynamicModes

ROTATION = 0.2


def turn(decay: float = 0.99) -> np.ndarray:
    c, s = np.cos(ROTATION), np.sin(ROTATION)
    return decay * np.array([[c, -s], [s, c]])


def simulate(seed: int, noise: float, n: int = 5000) -> np.ndarray:
    """A noisy rotation seen by 20 channels: (time, channel)."""
    rng = np.random.default_rng(seed)
    states, state = np.empty((n, 2)), np.array([1.0, 0.0])
    for at in range(n):
        state = turn() @ state + 0.05 * rng.normal(size=2)
        states[at] = state
    loadings = np.linalg.qr(rng.normal(size=(20, 2)))[0]
    return states @ loadings.T + noise * rng.normal(size=(n, 20))


@pytest.mark.parametrize("method", ["plain", "total"])
def test_eigenvalues_of_a_linear_system_are_exact(method: str, rng: np.random.Generator) -> None:
    A = np.linalg.qr(rng.normal(size=(4, 4)))[0] * 0.95
    trial = np.stack([np.linalg.matrix_power(A, step) @ np.ones(4) for step in range(30)])
    found = DynamicModes(method=method).fit(trial).eigenvalues_
    known = np.linalg.eigvals(A)
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(known), atol=1e-8)


def test_forecasts_of_a_linear_system_are_exact() -> None:
    trial = np.stack([np.linalg.matrix_power(turn(), step) @ [1.0, 0.5] for step in range(40)])
    model = DynamicModes().fit(trial[:20])
    np.testing.assert_allclose(model.predict(trial[:20], 20)[0], trial[20:], atol=1e-9)
    assert model.score(trial, n_steps=5) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_total_least_squares_is_unbiased_where_plain_modes_decay_too_fast(seed: int) -> None:
    data = simulate(seed, noise=0.2)
    total = np.abs(DynamicModes(2, method="total").fit(data).eigenvalues_)
    plain = np.abs(DynamicModes(2, method="plain").fit(data).eigenvalues_)
    np.testing.assert_allclose(total, 0.99, atol=0.01)
    assert plain.max() < 0.95


def test_no_pair_of_snapshots_crosses_a_trial(rng: np.random.Generator) -> None:
    course = np.stack([np.linalg.matrix_power(turn(), step) for step in range(15)])
    trials = np.stack([course @ start for start in rng.normal(size=(6, 2))]).swapaxes(1, 2)
    trials[2, :, 9:] = np.nan
    found = DynamicModes(method="plain").fit(trials).eigenvalues_
    np.testing.assert_allclose(np.abs(found), 0.99, atol=1e-9)


def test_runs_of_a_continuous_recording_are_not_joined(rng: np.random.Generator) -> None:
    course = np.stack([np.linalg.matrix_power(turn(), step) for step in range(15)])
    rows = np.concatenate([course @ start for start in rng.normal(size=(4, 2))])
    runs = ("sample", np.repeat(["run-1", "run-2", "run-3", "run-4"], 15))
    X = xr.DataArray(rows, dims=("sample", "neuroid"), coords={"run": runs})
    np.testing.assert_allclose(np.abs(DynamicModes().fit(X).eigenvalues_), 0.99, atol=1e-9)


def test_times_give_frequencies_in_hertz() -> None:
    times = 0.002 * np.arange(200)
    wave = np.stack([np.cos(2 * np.pi * 10 * times), np.sin(2 * np.pi * 10 * times)])[None]
    X = xr.DataArray(wave, dims=("sample", "neuroid", "time"), coords={"time": times})
    np.testing.assert_allclose(DynamicModes().fit(X).frequencies_, 10, rtol=1e-8)


def test_delays_reveal_a_rhythm_of_a_single_channel() -> None:
    wave = np.cos(ROTATION * np.arange(60))[:, None]
    model = DynamicModes(delays=2).fit(wave)
    np.testing.assert_allclose(np.abs(np.angle(model.eigenvalues_)), ROTATION, atol=1e-9)
    assert model.score(wave) == pytest.approx(1.0)


def test_a_slow_manifold_becomes_linear_in_its_dictionary(rng: np.random.Generator) -> None:
    mu, lam, step = -0.05, -1.0, 0.1
    start = rng.uniform(-1, 1, size=(20, 2))
    b = lam / (lam - 2 * mu)
    t = step * np.arange(12)
    x = start[:, :1] * np.exp(mu * t)
    y = (start[:, 1:] - b * start[:, :1] ** 2) * np.exp(lam * t) + b * x**2
    model = ExtendedDynamicModes(lambda s: np.column_stack([s, s[:, 0] ** 2]), time_step=step)
    rates = model.fit(np.stack([x, y], axis=1)).rates_
    np.testing.assert_allclose(np.sort(rates.real), sorted([mu, 2 * mu, lam]), atol=1e-6)


@pytest.mark.parametrize(
    ("dictionary", "size"), [("polynomial", 3), ("radial", 40), ("fourier", 80)]
)
def test_nonlinear_dictionaries_forecast_a_pendulum_better(dictionary: str, size: int) -> None:
    trials = np.stack([swing(angle) for angle in np.linspace(0.5, 2.4, 12)])
    train, test = trials[::2], trials[1::2]
    plain = DynamicModes(center=False).fit(train).score(test, n_steps=5)
    model = ExtendedDynamicModes(dictionary, size=size, ridge=1e-9).fit(train)
    assert model.score(test, n_steps=5) > plain
    assert model.score(test, n_steps=5) > 0.98


def swing(angle: float, n: int = 60, step: float = 0.1) -> np.ndarray:
    """Angle and speed of a pendulum: (2, time)."""
    course, speed = [], 0.0
    for _ in range(n):
        for _ in range(20):
            speed -= step / 20 * np.sin(angle)
            angle += step / 20 * speed
        course.append((angle, speed))
    return np.array(course).T


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "method: expected one of 'total', 'plain', got 'best'"),
        ({"rank": 0}, "rank: expected an integer >= 1, got 0"),
        ({"delays": 0}, "delays: expected an integer >= 1, got 0"),
        ({"time_step": -1.0}, "time_step: expected seconds > 0, got -1.0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DynamicModes(**options).fit(np.eye(4))


def test_wrong_inputs_are_named() -> None:
    with pytest.raises(SchemaError, match=r"X: expected \(sample, neuroid\) or .* got 1 dims"):
        DynamicModes().fit(np.ones(4))
    with pytest.raises(SchemaError, match="X: expected stretches of at least two states"):
        DynamicModes().fit(np.full((4, 3), np.nan))
    with pytest.raises(SchemaError, match="X: expected finite values or NaN, got infinity"):
        DynamicModes().fit(np.full((4, 3), np.inf))
    with pytest.raises(SchemaError, match="X: expected 4 neuroids as in training, got 3"):
        DynamicModes().fit(np.eye(4)).predict(np.eye(3))
    with pytest.raises(SchemaError, match="X: expected stretches longer than 9 states"):
        DynamicModes().fit(np.eye(4)).score(np.eye(4), n_steps=9)
    with pytest.raises(SchemaError, match="X: expected a stretch of 1 times without NaN"):
        DynamicModes().fit(np.eye(4)).predict(np.full((2, 4), np.nan))
    with pytest.raises(ValueError, match="ridge: expected a number >= 0, got -1"):
        ExtendedDynamicModes(ridge=-1).fit(np.eye(4))
    with pytest.raises(ValueError, match="dictionary: expected one of 'polynomial'"):
        ExtendedDynamicModes("best").fit(np.eye(4))


def test_clones_keep_the_parameters() -> None:
    assert clone(DynamicModes(3, delays=2)).get_params()["delays"] == 2


def test_modes_forecast_resting_fmri_above_shuffled_time(real_data: Path) -> None:
    table = pd.read_csv(real_data / "nitime_fmri" / "fmri_timeseries.csv")
    rows = table.iloc[:, 3:].to_numpy(float)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    shuffled = np.random.default_rng(0).permutation(rows)
    real, null = (DynamicModes(5).fit(x[:150]).score(x[150:]) for x in (rows, shuffled))
    assert real > 0.1 > null
