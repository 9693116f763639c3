"""Rows of the factor models: GPFA against elephant, dynamic modes against the SVD they need."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.harness import Race, measure_flops_per_second, run_race
from neuroalign.latents import GPFA, DynamicModes

# Both sides start from factor analysis and take so many iterations of EM.
ITERATIONS = 30
BIN = 0.02
FULL = {"n_trials": 120, "n_bins": 60, "n_units": 45}
QUICK = {"n_trials": 40, "n_bins": 40, "n_units": 20}


def simulate_trials(n_trials: int, n_bins: int, n_units: int) -> np.ndarray:
    """Two smooth latents (RBF of 5 and 10 bins) seen by noisy units: (trial, unit, time)."""
    rng = np.random.default_rng(0)
    squares = np.subtract.outer(np.arange(n_bins), np.arange(n_bins)) ** 2
    courses = []
    for scale in (5, 10):
        root = np.linalg.cholesky(np.exp(-0.5 * squares / scale**2) + 1e-6 * np.eye(n_bins))
        courses.append(root @ rng.normal(size=(n_bins, n_trials)))
    signal = np.einsum("ktn,ku->nut", np.stack(courses), rng.normal(size=(2, n_units)))
    return signal + rng.normal(size=signal.shape)


def run_gpfa(trials: np.ndarray) -> np.ndarray:
    """Ours: log likelihood per entry after the last iteration."""
    model = GPFA(2, max_iter=ITERATIONS, tol=0.0).fit(trials)
    return np.array([model.history_["objective"][-1] / trials.size])


def run_elephant(trials: np.ndarray) -> np.ndarray:
    """Elephant's core on the same arrays, without its conversion from spike trains."""
    from elephant.gpfa import gpfa_core  # noqa: PLC0415

    length = trials.shape[2]
    rows = [(number, length, values) for number, values in enumerate(trials)]
    sequences = np.array(rows, dtype=[("trialId", int), ("T", int), ("y", "O")])
    found = gpfa_core.fit(
        sequences, 2, bin_width=BIN * 1000, min_var_frac=0.001, em_max_iters=ITERATIONS,
        em_tol=0.0, verbose=False,
    )  # fmt: skip
    return np.array([found[1]["log_likelihoods"][-1] / trials.size])


def simulate_snapshots(n_units: int, n_times: int) -> np.ndarray:
    """A noisy rotation in many channels: (time, unit)."""
    rng = np.random.default_rng(0)
    angle = 0.2 * np.arange(n_times)
    wave = np.column_stack([np.cos(angle), np.sin(angle)])
    return wave @ rng.normal(size=(2, n_units)) + 0.2 * rng.normal(size=(n_times, n_units))


def run_total(rows: np.ndarray) -> np.ndarray:
    """Ours: the magnitude of the eigenvalues."""
    return np.abs(DynamicModes(2).fit(rows).eigenvalues_)


def run_svd(rows: np.ndarray) -> np.ndarray:
    """The SVD of joint snapshots alone, and the eigenvalues from it in a few products."""
    joint = np.concatenate([rows[:-1], rows[1:]], axis=1)
    _, values, shared = np.linalg.svd(joint, full_matrices=False)
    kept = values[:2, None] * shared[:2]
    first, second = np.split(kept, 2, axis=1)
    return np.sort(np.abs(np.linalg.eigvals(second @ np.linalg.pinv(first))))[::-1]


HERE = "benchmarks._rows_factors"
RACES: list[Race] = [
    Race(
        "dynamic modes, total least squares", HERE, "simulate_snapshots", "run_total",
        "the SVD it needs", "run_svd", full={"n_units": 100, "n_times": 20000},
        quick={"n_units": 50, "n_times": 5000},
    )
]  # fmt: skip
if find_spec("elephant") is not None:
    RACES.append(
        Race(
            "gpfa", HERE, "simulate_trials", "run_gpfa", "elephant", "run_elephant",
            full=FULL, quick=QUICK,
        )
    )  # fmt: skip


def rows(quick: bool) -> list[dict[str, Any]]:
    """Run the races, three times each."""
    speed = measure_flops_per_second()
    return [run_race(race, quick=quick, repeats=3, speed=speed) for race in RACES]
