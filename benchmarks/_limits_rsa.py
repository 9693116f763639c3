"""What an exact method needs for the rows of ``benchmarks.rsa``: operations, and bytes.

Counts are in single-precision operations, of which one in double precision takes two.
"""

import time
from collections.abc import Callable

import numpy as np

# Double precision runs at half the speed of single precision, in which the limit is measured.
DOUBLE = 2.0
# Resamples of a bootstrap.
N_SAMPLES = 200


def count_crossnobis(n: int, runs: int, p: int, times: int = 1) -> float:
    """One symmetric product of all cells, and averages."""
    return DOUBLE * times * (n * n * (runs + 1) * p + 2 * n * runs * p)


def count_precision(n: int, runs: int, p: int, times: int = 1) -> float:
    """One symmetric product of residuals and the inverse."""
    return DOUBLE * times * (n * runs * p * p + p**3)


def count_whitening(n: int, n_models: int, n_subjects: int, share: int = 1) -> float:
    """One product for each RDM, one inverse, and the comparison."""
    rows = n_models + n_subjects
    return DOUBLE * (rows * 2 * n**3 + n**3 + 2 * n_models * n_subjects * n**2 / 2)


def count_bootstrap(n: int, n_models: int, n_subjects: int, share: int = 1) -> float:
    """One symmetric product of all RDMs for each resample, over the pairs that it draws."""
    drawn = 0.4 * n * (n - 1) / 2
    return DOUBLE * N_SAMPLES * (n_models + n_subjects) ** 2 * drawn


def read_patterns(n: int, runs: int, p: int, times: int = 1) -> float:
    """Bytes of single-precision patterns, and of the distances."""
    return 4.0 * times * n * runs * p + 8.0 * times * n * (n - 1) / 2


def read_residuals(n: int, runs: int, p: int, times: int = 1) -> float:
    """Bytes of single-precision patterns, and of the matrix."""
    return 4.0 * times * n * runs * p + 8.0 * times * p * p


def read_rdms(n: int, n_models: int, n_subjects: int, share: int = 1) -> float:
    """Bytes of all RDMs; a bootstrap reads them once, as they stay in the cache."""
    return 8.0 * (n_models + n_subjects) * n * (n - 1) / 2


def read_volume(edge: int, n: int, n_runs: int) -> float:
    """Bytes of the volume, and of its scores."""
    return 8.0 * edge**3 * (n * n_runs + 1)


# What an exact method reads and writes, by what it computes.
BYTES: dict[str, Callable[..., float]] = {
    "count_crossnobis": read_patterns,
    "count_precision": read_residuals,
    "count_whitening": read_rdms,
    "count_bootstrap": read_rdms,
    "count_flops": read_volume,
}


def measure_bytes_per_second(n: int = 1 << 25) -> float:
    """Speed of reading and writing memory in a copy far larger than the cache, best of 5."""
    source, target = np.ones(n), np.zeros(n)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best
