"""Rows of the factor models: GPFA against elephant, dynamic modes against the SVD they need."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.harness import Race
from neuroalign.latents import GPFA, DynamicModes
from neuroalign.loaders import simulate_gaussian_processes

# Passes of EM where both sides take so many, and at most where each goes on to its own end.
PASSES, MOST = 30, 500
BIN = 0.02
SIZES: dict[str, Any] = {
    "full": {"n_trials": 120, "n_bins": 60, "n_neuroids": 45},
    "quick": {"n_trials": 40, "n_bins": 40, "n_neuroids": 20},
}
SMALL = {"n_trials": 10, "n_bins": 24, "n_neuroids": 8}


def _root_counts(size: dict[str, int]) -> np.ndarray:
    """Roots of Poisson counts (trial, unit, time) from two smooth latents of one timescale."""
    return np.asarray(np.sqrt(simulate_gaussian_processes(**size).responses.values, dtype=float))


def _warm(size: dict[str, int], *jobs: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Make trials, after each job ran on few, so that no import is timed."""
    for job in jobs:
        job(_root_counts(SMALL))
    return _root_counts(size)


def prepare_both(**size: int) -> np.ndarray:
    return _warm(size, run_passes, run_passes_of_elephant)


def _fit(trials: np.ndarray, passes: int, tol: float) -> np.ndarray:
    """Log likelihood per entry after the last pass."""
    model = GPFA(2, scale="none", timescale=5, max_iter=passes, tol=tol).fit(trials)
    return np.array([model.history_["objective"][-1] / trials.size])


def _fit_elephant(trials: np.ndarray, passes: int, tol: float) -> np.ndarray:
    """Elephant's core on the same arrays, without its conversion from spike trains.

    It trains on segments of 20 bins; the likelihood is that of the whole trials.
    """
    core: Any = import_module("elephant.gpfa.gpfa_core")
    length = trials.shape[2]
    rows = [(number, length, values) for number, values in enumerate(trials)]
    sequences = np.array(rows, dtype=[("trialId", int), ("T", int), ("y", "O")])
    with redirect_stdout(io.StringIO()):
        parameters, _ = core.fit(
            sequences, 2, bin_width=BIN * 1000, min_var_frac=0.001, em_max_iters=passes,
            em_tol=tol, verbose=False,
        )  # fmt: skip
    return np.array([core.exact_inference_with_ll(sequences, parameters)[1] / trials.size])


def run_passes(trials: np.ndarray) -> np.ndarray:
    return _fit(trials, PASSES, 0.0)


def run_passes_of_elephant(trials: np.ndarray) -> np.ndarray:
    return _fit_elephant(trials, PASSES, 0.0)


def run_to_end(trials: np.ndarray) -> np.ndarray:
    """Ours as it comes."""
    return _fit(trials, 200, 1e-6)


def run_to_end_of_elephant(trials: np.ndarray) -> np.ndarray:
    """The peer as it comes."""
    return _fit_elephant(trials, MOST, 1e-8)


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
        quick={"n_units": 50, "n_times": 5000}, signed=True,
    )
]  # fmt: skip
if find_spec("elephant") is not None:
    RACES += [
        Race(
            f"gpfa, {name}", HERE, "prepare_both", ours, "elephant", f"{ours}_of_elephant",
            signed=True, **SIZES,
        )
        for name, ours in (
            (f"{PASSES} passes each", "run_passes"),
            ("each to its own end", "run_to_end"),
        )
    ]  # fmt: skip
