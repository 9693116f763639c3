"""Temporal receptive fields against MNE.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.temporal --quick``.
"""

from typing import Any

import mne
import numpy as np
from mne.decoding import ReceptiveField

from benchmarks.harness import Race, main
from neuroalign.encoders import TemporalReceptiveField

RATE = 100.0
ALPHA = 1e3
GRID = np.logspace(-2, 4, 7)
N_RUNS = 5
Inputs = tuple[np.ndarray, np.ndarray, int]


def simulate_signals(n: int, features: int, sensors: int, lags: int) -> Inputs:
    """Smooth features and sensors that follow them; both are run once, small, to warm up."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, features))
    x[1:] += 0.9 * x[:-1]
    y = np.roll(x, 5, axis=0) @ rng.normal(size=(features, sensors))
    y += rng.normal(size=y.shape)
    few = x[:2000, :2], y[:2000, :2], min(lags, 20)
    fit_mne(few)
    fit_ours(few)
    return x, y, lags


def fit_ours(inputs: Inputs) -> np.ndarray:
    """Weights of sensors on lagged features."""
    x, y, lags = inputs
    span = (0.0, (lags - 1) / RATE)
    model = TemporalReceptiveField(span, ALPHA, sampling_rate=RATE, alpha_scale="absolute")
    return np.asarray(model.fit(x, y).coef_)


def fit_mne(inputs: Inputs) -> np.ndarray:
    """The same from MNE, which correlates each pair of features by one long transform."""
    x, y, lags = inputs
    with mne.use_log_level("error"):
        model = ReceptiveField(0.0, (lags - 1) / RATE, RATE, estimator=ALPHA).fit(x, y)
    return np.asarray(model.coef_)


def choose_ours(inputs: Inputs) -> np.ndarray:
    """Features from sensors, a penalty each by leaving out runs; returns log10 of the penalties."""
    y, x, lags = inputs
    runs = np.repeat(np.arange(N_RUNS), len(x) // N_RUNS)
    model = TemporalReceptiveField(
        (0.0, (lags - 1) / RATE), GRID, sampling_rate=RATE, alpha_scale="absolute", cv=N_RUNS
    )
    return np.log10(model.fit(x, y, groups=runs).alpha_)


def choose_mne(inputs: Inputs) -> np.ndarray:
    """The same as a loop over runs and penalties."""
    y, x, lags = inputs
    epochs = [array.reshape(N_RUNS, -1, array.shape[1]).swapaxes(0, 1) for array in (x, y)]
    losses = np.zeros((len(GRID), y.shape[1]))
    for held in range(N_RUNS):
        others = np.arange(N_RUNS) != held
        known, unknown = ([array[:, rows] for array in epochs] for rows in (others, ~others))
        for row, alpha in enumerate(GRID.tolist()):
            with mne.use_log_level("error"):
                model = ReceptiveField(0.0, (lags - 1) / RATE, RATE, estimator=alpha).fit(*known)
                error = model.predict(unknown[0]) - unknown[1]
            losses[row] += (error**2).sum(axis=(0, 1))
    best: np.ndarray = np.log10(GRID[losses.argmin(axis=0)])
    return best


def count_flops(n: int, features: int, sensors: int, lags: int) -> float:
    """Products of signals at each lag; the system of normal equations."""
    width = features * lags
    return 2.0 * n * lags * features + width**3 / 3 + 2.0 * width**2 * sensors


SIZES: dict[str, Any] = {
    "full": {"n": 60_000, "features": 16, "sensors": 64, "lags": 60},
    "quick": {"n": 30_000, "features": 16, "sensors": 32, "lags": 50},
}
CHOICE: dict[str, Any] = {
    "full": {"n": 30_000, "features": 2, "sensors": 32, "lags": 30},
    "quick": {"n": 5_000, "features": 2, "sensors": 8, "lags": 20},
}
ROOM = "benchmarks.temporal"
RACES = [
    Race(
        "receptive field",
        ROOM,
        "simulate_signals",
        "fit_ours",
        "mne",
        "fit_mne",
        **SIZES,
        flops="count_flops",
    ),
    Race(
        "receptive field backward, penalties",
        ROOM,
        "simulate_signals",
        "choose_ours",
        "mne",
        "choose_mne",
        **CHOICE,
    ),
]

if __name__ == "__main__":
    main(RACES)
