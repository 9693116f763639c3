"""When courses begin and peak, and how sure that is over subjects."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def find_onsets(courses: Array, times: Array, threshold: float, least: int) -> Array:
    """First of ``least`` neighbouring times above the threshold: (...) from (..., time), or NaN."""
    above = courses > threshold
    lasting = above[..., : above.shape[-1] - least + 1].copy()
    for shift in range(1, least):
        lasting &= above[..., shift : above.shape[-1] - least + 1 + shift]
    found = lasting.any(axis=-1)
    return np.where(found, times[lasting.argmax(axis=-1)], np.nan)


def find_peaks(courses: Array, times: Array, window: tuple[float, float] | None) -> Array:
    """Time of the largest value in the window: (...) from (..., time)."""
    kept = np.ones(len(times), dtype=bool)
    if window is not None:
        kept = (times >= window[0]) & (times <= window[1])
    return np.asarray(times[kept][courses[..., kept].argmax(axis=-1)])


def resample_means(values: Array, n: int, seed: int) -> Array:
    """Means over subjects drawn with replacement: (draw, ...) from (..., subject)."""
    n_subjects = values.shape[-1]
    counts = np.random.default_rng([seed, 3]).multinomial(
        n_subjects, np.full(n_subjects, 1 / n_subjects), size=n
    )
    return np.moveaxis(values @ (counts.T / n_subjects), -1, 0)


def bound(draws: Array, level: float) -> tuple[Array, Array]:
    """Percentile interval over draws (draw, ...); NaN draws are left out, all NaN give NaN."""
    flat = draws.reshape(len(draws), -1)
    ends = np.full((2, flat.shape[1]), np.nan)
    for place, column in enumerate(flat.T):
        known = column[np.isfinite(column)]
        if len(known):
            ends[:, place] = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    low, high = ends.reshape(2, *draws.shape[1:])
    return low, high


def compare_draws(draws: Array) -> Array:
    """Two-sided bootstrap p of a difference from 0: (...) from (draw, ...)."""
    tails = [(1 + side.sum(axis=0)) / (1 + len(draws)) for side in (draws <= 0, draws >= 0)]
    return np.asarray(np.minimum(1.0, 2 * np.minimum(*tails)))
