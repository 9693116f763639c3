"""Count spikes in bins: kernels on bare arrays.

A bin is closed on the left and open on the right. A spike that lies on an edge up to the rounding
of its own clock belongs to the bin that starts there: 0.3 s is in bin 3 of 0.1 s, though 0.3 / 0.1
is a little below 3 in floating point.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LEAST = 1e-9


def edge_tolerance(largest: float, width: float) -> float:
    """How far below an edge a spike still counts as on it, as a part of a bin.

    ``largest`` [s] is the largest time in play: the difference of two large times carries the
    rounding of both, which bins of 1 ms at 4397 s already show.
    """
    return float(max(LEAST, 8 * np.finfo(float).eps * largest / width))


def count_trials(times: Array, starts: Array, n_bins: int, width: float, slack: float) -> Array:
    """Count sorted spike times [s] in bins from each start: (trial, bin).

    Trials may overlap; a spike then counts in each.
    """
    low = np.searchsorted(times, starts - width, side="left")
    high = np.searchsorted(times, starts + (n_bins + 1) * width, side="right")
    sizes = high - low
    trial = np.repeat(np.arange(len(starts)), sizes)
    # Position in the train of each (trial, spike) pair: a run of indices from each ``low``.
    first = np.cumsum(sizes) - sizes
    spike = np.arange(len(trial)) + (low - first)[trial]
    return count_labelled(times[spike] - starts[trial], trial, len(starts), n_bins, width, slack)


def count_labelled(
    times: Array, trial: Array, n_trials: int, n_bins: int, width: float, slack: float
) -> Array:
    """Count spikes whose trial is known, ``times`` [s] from the start of it: (trial, bin)."""
    place = np.floor(times / width + slack)
    inside = (place >= 0) & (place < n_bins)
    flat = trial[inside] * n_bins + place[inside].astype(np.int64)
    return np.bincount(flat, minlength=n_trials * n_bins).reshape(n_trials, n_bins)


def merge_intervals(intervals: Array) -> Array:
    """Sort intervals (interval, 2) and join those that touch or overlap."""
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    if len(ordered) == 0:
        return ordered
    reach = np.maximum.accumulate(ordered[:, 1])
    new = np.concatenate([[True], ordered[1:, 0] > reach[:-1]])
    last = np.concatenate([np.flatnonzero(new)[1:] - 1, [len(ordered) - 1]])
    return np.column_stack([ordered[new, 0], reach[last]])


def find_observed(starts: Array, n_bins: int, width: float, slack: float, spans: Array) -> Array:
    """Tell which bins lie wholly inside one of the merged intervals: bool (trial, bin)."""
    if len(spans) == 0:
        return np.zeros((len(starts), n_bins), dtype=bool)
    left = starts[:, None] + np.arange(n_bins) * width
    gap = slack * width
    row = np.searchsorted(spans[:, 0], left + gap, side="right") - 1
    inside: Array = (row >= 0) & (left + width <= spans[np.maximum(row, 0), 1] + gap)
    return inside


def count_whole_bins(length: Array, width: float) -> Array:
    """How many whole bins fit in lengths [s]."""
    return np.floor(length / width + 1e-6).astype(np.int64)
