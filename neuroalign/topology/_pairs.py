"""Checks of what this room takes: symmetric RDMs as pairs, and couples of thresholds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.rsa import to_condensed, to_square
from neuroalign.schema import check_rdm

Array = npt.NDArray[Any]
Levels = float | Sequence[float] | Array


def read_pairs(rdm: xr.DataArray, name: str = "rdm") -> xr.DataArray:
    """Check symmetric RDMs, and keep each pair once: a copy (..., pair)."""
    check_rdm(rdm, name)
    if not (np.isfinite(rdm.values) | np.isnan(rdm.values)).all():
        raise SchemaError(
            f"{name}: expected finite dissimilarities or NaN, got inf. Set it to NaN."
        )
    return to_condensed(rdm)


def count_conditions(pairs: xr.DataArray) -> int:
    """How many conditions have so many pairs."""
    return int(1 + round((1 + 8 * pairs.sizes["pair"]) ** 0.5)) // 2


def write_pairs(values: Array, pairs: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Give values the labels of pairs and the form and dtype of an RDM."""
    made = pairs.copy(data=values.astype(like.dtype)).assign_attrs(kind="dissimilarity")
    return to_square(made) if like.dims[-1] == "second" else made


def read_levels(lower: Levels, upper: Levels, threshold: str) -> tuple[Array, Array, bool]:
    """Thresholds (setting,), and whether there are several."""
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    if max(low.ndim, high.ndim) > 1 or (low.ndim == high.ndim == 1 and len(low) != len(high)):
        raise ValueError(
            f"upper: expected one for each lower, got {high.shape} and {low.shape}. "
            "Give pairs, as threshold_grid does."
        )
    many = max(low.ndim, high.ndim) == 1
    low, high = (np.atleast_1d(levels) for levels in np.broadcast_arrays(low, high))
    if not (low <= high).all():
        raise ValueError(
            f"upper: expected at least lower, got {high[~(low <= high)][0]} under "
            f"{low[~(low <= high)][0]}. Swap them."
        )
    if threshold != "absolute" and (low.min() < 0 or high.max() > 1):
        raise ValueError(
            f"lower, upper: expected 0 to 1, got {low.min()} to {high.max()}. "
            "Use threshold='absolute' for values."
        )
    return low, high, many
