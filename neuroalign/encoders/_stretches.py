"""Which rows follow each other in time: runs, and the gaps within them.

In: labelled signals, or bare rows with groups. Out: row numbers of each unbroken stretch.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError

Array = npt.NDArray[Any]
# Onsets may lie off the clock by this share of a sample: files round them.
JITTER = 0.1


class Clock(NamedTuple):
    """When rows happened: ``run`` (n,) labels, ``onset`` (n,) [s], ``rate`` [Hz]; each may miss."""

    run: Array | None
    onset: Array | None
    rate: float | None


def read_clock(signals: Any, groups: Any, rate: float | None) -> Clock:
    """Read runs, onsets and sampling rate off labels; groups stand in for runs.

    Parameters
    ----------
    signals : DataArray (sample, ...), or array-like
    groups : sequence (sample,), or None
    rate : float or None
        [Hz]. None: that of the onsets, or ``attrs["sampling_rate"]``.

    Returns
    -------
    Clock

    Raises
    ------
    ValueError
        When the rate is no number above 0.
    """
    if rate is not None and not (isinstance(rate, int | float | np.number) and rate > 0):
        raise ValueError(
            f"sampling_rate: expected a number of Hz above 0, got {rate!r}. Pass 100.0, say."
        )
    run = None if groups is None else np.asarray(groups)
    if not isinstance(signals, xr.DataArray):
        return Clock(run, None, rate)
    if "run" in signals.coords:
        run = np.asarray(signals["run"].values)
    onset = None
    if "onset" in signals.coords:
        onset = np.asarray(signals["onset"].values, dtype=np.float64)
        rate = rate or _read_rate(run, onset)
    if rate is None and signals.attrs.get("sampling_rate", 0) > 0:
        rate = float(signals.attrs["sampling_rate"])
    return Clock(run, onset, rate)


def _read_rate(run: Array | None, onset: Array) -> float | None:
    """One over the median time between neighbouring rows of a run."""
    codes = np.zeros(len(onset)) if run is None else np.unique(run, return_inverse=True)[1]
    order = np.lexsort([onset, codes])
    steps = np.diff(onset[order])[np.diff(codes[order]) == 0]
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1 / step if step > 0 else None


def find_stretches(clock: Clock, n: int) -> list[Array]:
    """Give the rows of each unbroken stretch, in order of time.

    Parameters
    ----------
    clock : Clock
    n : int

    Returns
    -------
    list of array of int
        Without onsets rows follow each other as they stand, until the label of the run changes.

    Raises
    ------
    AlignError
        When onsets are not multiples of a sample apart.
    ValueError
        When there is not one label a row.
    """
    if clock.run is not None and clock.run.shape != (n,):
        raise ValueError(
            f"groups: expected {n} labels, got shape {clock.run.shape}. Label each row."
        )
    codes = np.zeros(n) if clock.run is None else np.unique(clock.run, return_inverse=True)[1]
    if clock.onset is None or clock.rate is None:
        order = np.arange(n)
        cuts = np.flatnonzero(np.diff(codes)) + 1
        return np.split(order, cuts)
    order = np.lexsort([clock.onset, codes])
    steps = np.diff(clock.onset[order]) * clock.rate
    inside = np.diff(codes[order]) == 0
    off = inside & ~((np.abs(steps - np.rint(steps)) < JITTER) & (steps > 0.5))
    if inside.any() and np.median(steps[inside]) > 1.5:
        # Mostly gaps: another clock than the one asked for, or rows picked here and there.
        off = inside & (steps > 1.5)
    if off.any():
        row = int(np.argmax(off))
        name = "" if clock.run is None else f" in run '{clock.run[order[row]]}'"
        raise AlignError(
            f"X: expected onsets every {1 / clock.rate:g} s, got a step of "
            f"{steps[row] / clock.rate:g} s at {clock.onset[order[row]]:g} s{name}. Continuous "
            "signals are needed: see align.resample, or correct sampling_rate."
        )
    cuts = np.flatnonzero(~inside | (np.rint(steps) > 1)) + 1
    return np.split(order, cuts)


def cut_stretches(stretches: list[Array], member: Array) -> list[tuple[int, Array]]:
    """Cut stretches where rows change their part, and say which part each piece is.

    Parameters
    ----------
    stretches : list of array of int
    member : array of int (n,)

    Returns
    -------
    list of (part, rows)
    """
    pieces = []
    for rows in stretches:
        cuts = np.flatnonzero(np.diff(member[rows])) + 1
        pieces += [(int(member[one[0]]), one) for one in np.split(rows, cuts)]
    return pieces
