"""Latent models against their peers: seconds, memory, and likelihoods that should be equal.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.latents --quick``. Under
``equal`` stands ours minus the peer's, with its sign: likelihoods per entry (GPFA) or bin (HMM),
magnitudes of eigenvalues (dynamic modes). The row of Poisson GPFA, whose peer is itself on short
trials, has as ``ratio`` the slope of log seconds on log bins. Peers that are not installed have no
rows. To add rows: a module ``benchmarks._rows_<name>`` with ``RACES``, named in ``ROOMS``.
"""

import statistics
from typing import Any

import numpy as np

from benchmarks import _rows_factors, _rows_hmm
from benchmarks._rows_fourier import BINS, ITERATIONS, simulate_counts
from benchmarks.harness import (
    KEYS,
    Race,
    measure_flops_per_second,
    read_options,
    run_once,
    run_race,
    show,
    warm_up,
)
from neuroalign.latents import PoissonGPFA

ROOMS = (_rows_hmm, _rows_factors)


def list_races() -> list[Race]:
    """Every row of the modules that are there."""
    return [race for room in ROOMS for race in room.RACES]


def simulate_lengths(n_bins: int) -> np.ndarray:
    """Counts (trial, unit, time) of two smooth latents; the model has run on few of them."""
    counts = simulate_counts(n_bins)
    fit_fourier(counts[:2, :, :40])
    return counts


def fit_fourier(counts: np.ndarray) -> np.ndarray:
    """A fixed number of passes; how many were made, and the bound per entry."""
    model = PoissonGPFA(2, timescale=5, max_iter=ITERATIONS, tol=0.0).fit(counts)
    return np.array([model.n_iter_, model.history_["objective"][-1] / counts.size])


def measure_slope(*, quick: bool, repeats: int) -> dict[str, Any]:
    """One row: seconds and memory at the longest and the shortest length, and the slope."""
    lengths = BINS["quick" if quick else "full"]
    size = {"n_bins": lengths[0]}
    jobs = ("simulate_lengths", "fit_fourier", "itself", "fit_fourier")
    race = Race("poisson gpfa", "benchmarks.latents", *jobs, size, size)
    warm_up(race)
    seconds, peaks = [], []
    for length in lengths:
        runs = [
            run_once(race, race.ours, {"n_bins": length}, method="fork") for _ in range(repeats)
        ]
        seconds.append(statistics.median(one[0] for one in runs))
        peaks.append(statistics.median(one[1] for one in runs))
    slope = float(np.polyfit(np.log(lengths), np.log(seconds), 1)[0])
    name = f"poisson gpfa, {lengths[-1]} bins (slope)"
    values = (
        name, seconds[-1], f"itself, {lengths[0]} bins", seconds[0], slope, peaks[-1], peaks[0],
        None, None,
    )  # fmt: skip
    return dict(zip(KEYS, values, strict=True))


def main() -> None:
    """Run all races from the command line."""
    options = read_options()
    settings = {"quick": options.quick, "repeats": options.repeats}
    speed = measure_flops_per_second()
    rows = [
        run_race(race, **settings, speed=speed, method="fork")
        for race in list_races()
        if options.only in race.name
    ]
    if options.only in "poisson gpfa":
        rows.append(measure_slope(**settings))
    show(rows, options.json)


if __name__ == "__main__":
    main()
