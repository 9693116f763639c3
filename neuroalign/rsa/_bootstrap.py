"""Resamples of subjects and conditions as counts, and variances corrected for both factors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Fewer different conditions than this leave too few pairs to correlate.
MIN_UNIQUE = 4


def draw(n: int, rng: np.random.Generator, least: int = 1) -> Array:
    """Count how often each of n is drawn with replacement, ``least`` different ones at least."""
    while True:
        counts = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        if np.count_nonzero(counts) >= least:
            return counts


# Which factors are drawn in each arm: (stimuli, subjects).
ARMS: dict[str, tuple[tuple[bool, bool], ...]] = {
    "none": (),
    "subjects": ((False, True),),
    "stimuli": ((True, False),),
    "both": ((False, True), (True, False), (True, True)),
}


def draw_all(n_stimuli: int, n_subjects: int, n: int, seed: int) -> list[tuple[Array, Array]]:
    """Draw n resamples (counts of stimuli, counts of subjects), shared by all arms."""
    rng = np.random.default_rng(seed)
    return [(draw(n_stimuli, rng, MIN_UNIQUE), draw(n_subjects, rng)) for _ in range(n)]


def grow(n: int) -> float:
    """Undo that a bootstrap over n units gives (n - 1) / n of the variance."""
    return n / (n - 1)


def correct_both(
    by_subject: Array, by_stimulus: Array, both: Array, n_subjects: int, n_stimuli: int
) -> Array:
    """Variance over new subjects and new stimuli from the three bootstraps.

    The variance of both counts the noise of single cells three times; the corrected sum lies
    between the larger of the single variances and that of both (Schütt et al. 2023, eLife 12).
    """
    subjects, stimuli = grow(n_subjects), grow(n_stimuli)
    one, other = subjects * by_subject, stimuli * by_stimulus
    variance = one + other - subjects * stimuli * (both - by_subject - by_stimulus)
    # Where both bounds cross, the lower one holds.
    corrected: Array = np.maximum(np.minimum(variance, both), np.maximum(one, other))
    return corrected


def correct(variances: list[Array], bootstrap: str, n_subjects: int, n_stimuli: int) -> Array:
    """Corrected variance of each contrast from the variances in each arm."""
    singles: dict[str, Callable[[], Array]] = {
        "subjects": lambda: grow(n_subjects) * variances[0],
        "stimuli": lambda: grow(n_stimuli) * variances[0],
        "both": lambda: correct_both(
            variances[0], variances[1], variances[2], n_subjects, n_stimuli
        ),
    }
    return singles[bootstrap]()


def remove_fold_variance(draws: Array) -> Array:
    """Variance of contrasts (draw, repeat, contrast) less that of the choice of folds.

    V = (n Var(mean) - Var(single)) / (n - 1) over n random divisions of each resample.
    """
    n = draws.shape[1]
    single = np.nanvar(draws, axis=0, ddof=1).mean(axis=0)
    if n == 1:
        return np.asarray(single)
    mean = np.nanvar(draws.mean(axis=1), axis=0, ddof=1)
    return np.asarray(np.clip((n * mean - single) / (n - 1), 0.0, None))
