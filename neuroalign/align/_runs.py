"""Rows that follow each other in time: those of each run, evenly spaced."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import AlignError

Array = npt.NDArray[Any]
# Onsets count as evenly spaced when steps differ by less than this share of a step.
JITTER = 1e-3


def find_runs(run: Array, onset: Array | None, name: str, advice: str) -> tuple[list[Array], float]:
    """Give the rows of each run in order of time, and the time between two rows.

    Parameters
    ----------
    run : array (n,)
    onset : array (n,), or None
        [s]; without onsets rows follow each other as they stand.
    name, advice : str
        Argument named in messages, and what to do.

    Returns
    -------
    list of array of int
    float
        [s], the same in all runs; NaN without onsets, and where no run has two rows.

    Raises
    ------
    AlignError
        When onsets are not evenly spaced.
    """
    found = [np.flatnonzero(run == one) for one in np.unique(run)]
    if onset is None:
        return found, float("nan")
    found = [rows[np.argsort(onset[rows], kind="stable")] for rows in found]
    steps = np.concatenate([np.diff(onset[rows]) for rows in found])
    if not len(steps):
        return found, float("nan")
    step = float(np.median(steps))
    uneven = np.flatnonzero(~(np.abs(steps - step) <= JITTER * step))
    if step <= 0 or len(uneven):
        place = int(uneven[0]) if len(uneven) else 0
        row = int(np.concatenate([rows[:-1] for rows in found])[place])
        raise AlignError(
            f"{name}: expected onsets every {step:g} s, got a step of {steps[place]:g} s in run "
            f"'{run[row]}' after row {row}. {advice}"
        )
    return found, step
