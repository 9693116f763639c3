"""Row of Poisson Fourier-GPFA: how its cost grows with the bins of a trial."""

import time
from typing import Any

import numpy as np

from neuroalign.latents import PoissonGPFA

UNITS, TRIALS, LENGTH, ITERATIONS = 45, 8, 8.0, 10
BINS = {"full": (60, 120, 250, 500, 1000, 2000), "quick": (60, 250, 1000)}


def simulate_counts(n_bins: int) -> np.ndarray:
    """Two smooth latents behind the log rates of 45 units: counts (trial, unit, time)."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(TRIALS, n_bins + 200, 2))
    kernel = np.exp(-((np.arange(-50, 51) / LENGTH) ** 2))
    kernel /= np.sqrt((kernel**2).sum())
    smooth = np.apply_along_axis(np.convolve, 1, noise, kernel, mode="same")
    z = 0.7 * smooth[:, 100 : 100 + n_bins]
    log_rate = z @ rng.uniform(-1.5, 1.5, size=(2, UNITS)) - 0.5
    return rng.poisson(np.exp(log_rate)).transpose(0, 2, 1)


def fit_poisson_gpfa(n_bins: int) -> float:
    """Processor seconds of ten iterations on eight trials of so many bins."""
    trials = simulate_counts(n_bins)
    start = time.process_time()
    PoissonGPFA(2, timescale=5, max_iter=ITERATIONS, tol=0.0).fit(trials)
    return time.process_time() - start


def rows(quick: bool) -> list[dict[str, Any]]:
    """Seconds for each number of bins, the best of three, and the slope of their logarithms."""
    bins = BINS["quick" if quick else "full"]
    seconds = [min(fit_poisson_gpfa(n) for _ in range(3)) for n in bins]
    slope = float(np.polyfit(np.log(bins), np.log(seconds), 1)[0])
    found = [
        {"row": "poisson gpfa", "bins": n, "seconds": s}
        for n, s in zip(bins, seconds, strict=True)
    ]  # fmt: skip
    return [*found, {"row": "poisson gpfa, log-log slope", "bins": bins[-1], "slope": slope}]
