"""Means over the rows that share a code."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def average_codes(values: Array, codes: Array) -> Array:
    """Mean of the rows of each code, without NaN: (code, neuroid[, time])."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    rows = values[order]
    lost = np.isnan(rows)
    shape = (-1, *(1,) * (values.ndim - 1))
    counts: Array = np.bincount(codes).reshape(shape)
    if lost.any():
        rows[lost] = 0
        counts = counts - np.add.reduceat(lost, starts, axis=0, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        sums = np.add.reduceat(rows, starts, axis=0, dtype=np.float64)
        means: Array = (sums / counts).astype(values.dtype)
    return means
