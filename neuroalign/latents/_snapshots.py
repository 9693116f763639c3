"""Stretches of time that belong together: trials and runs become lists of (time, unit).

In: responses, labelled or bare. Out: stretches without borders inside, and the time step.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.latents._input_checks import check_clock, check_recording

Array = npt.NDArray[Any]


def take_stretches(X: Any) -> list[Array]:
    """Cut responses into stretches (time, unit), none across a trial, a run or a gap.

    Parameters
    ----------
    X : DataArray (sample, neuroid, time) or (sample, neuroid), or array of those shapes
        With two dims the samples are times, cut where ``run`` changes. NaN and not ``valid`` cut.

    Returns
    -------
    list of array (time, unit)

    Raises
    ------
    SchemaError
        For other dims, or infinite values.
    """
    check_recording(X)
    check_clock(X)
    values = np.asarray(X.values if isinstance(X, xr.DataArray) else X, dtype=np.float64)
    if values.ndim not in (2, 3):
        raise SchemaError(
            f"X: expected (sample, neuroid) or (sample, neuroid, time), got {values.ndim} dims. "
            "Reshape it."
        )
    if np.isinf(values).any():
        raise SchemaError("X: expected finite values or NaN, got infinity. Mask it with NaN.")
    if values.ndim == 3:
        values = np.swapaxes(values, 1, 2)
        known: Array = np.asarray(np.isfinite(values).all(axis=2))
        if isinstance(X, xr.DataArray) and "valid" in X.coords:
            known &= X["valid"].values
        return [part for row, keep in zip(values, known, strict=True) for part in _cut(row, keep)]
    runs = np.zeros(len(values))
    if isinstance(X, xr.DataArray) and "run" in X.coords:
        runs = X["run"].values
    borders = np.flatnonzero(runs[1:] != runs[:-1]) + 1
    known = np.asarray(np.isfinite(values).all(axis=1))
    pieces = zip(np.split(values, borders), np.split(known, borders), strict=True)
    return [part for row, keep in pieces for part in _cut(row, keep)]


def _cut(rows: Array, keep: Array) -> list[Array]:
    edges = np.flatnonzero(np.diff(keep.astype(int))) + 1
    parts = zip(np.split(rows, edges), np.split(keep, edges), strict=True)
    return [part for part, kept in parts if len(part) and kept[0]]


def stack_delays(stretch: Array, delays: int) -> Array:
    """Join each time with those before it: (time - delays + 1, delays * unit), newest last."""
    n = len(stretch) - delays + 1
    if n < 1:
        return np.empty((0, delays * stretch.shape[1]))
    return np.concatenate([stretch[lag : lag + n] for lag in range(delays)], axis=1)


def take_pairs(stretches: list[Array]) -> tuple[Array, Array]:
    """Give each state and the next one: two arrays (pair, unit).

    Raises
    ------
    SchemaError
        When no stretch has two states.
    """
    firsts = [stretch[:-1] for stretch in stretches if len(stretch) > 1]
    seconds = [stretch[1:] for stretch in stretches if len(stretch) > 1]
    if not firsts:
        raise SchemaError(
            "X: expected stretches of at least two states without NaN, got none. "
            "Give longer trials or fewer delays."
        )
    return np.concatenate(firsts), np.concatenate(seconds)


def read_time_step(X: Any, time_step: float | None) -> float | None:
    """Find the step [s]: as asked, else from ``time``, ``sampling_rate`` or ``onset``."""
    if time_step is not None:
        if not time_step > 0:
            raise ValueError(f"time_step: expected seconds > 0, got {time_step}. Pass 0.02, say.")
        return float(time_step)
    if not isinstance(X, xr.DataArray):
        return None
    if X.ndim == 3 and "time" in X.coords and X.sizes["time"] > 1:
        return float(np.median(np.diff(X["time"].values)))
    if "onset" in X.coords and X.ndim == 2 and X.sizes["sample"] > 1:
        return float(np.median(np.diff(X["onset"].values)))
    rate = X.attrs.get("sampling_rate")
    return None if rate is None else 1 / float(rate)
