"""What noise-corrected correlations share: averages of repeats, random halves, and the division.

In: single presentations and their codes. Out: averages by stimulus; ratios, NaN where the halves
say that there is nothing to divide by.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import describe
from neuroalign.errors import NeuroalignWarning, some

Array = npt.NDArray[Any]


def average_repeats(
    responses: xr.DataArray, codes: Array, kept: Array, names: Array
) -> xr.DataArray:
    """Average the rows kept of each stimulus.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
    codes : array of int (sample,)
        Place in ``names`` of each row's stimulus.
    kept : array of bool (sample,)
        At least one row of each stimulus.
    names : array of str (stimulus,)

    Returns
    -------
    DataArray (sample, neuroid[, time])
        float64, one sample a stimulus.
    """
    order = np.flatnonzero(kept)[np.argsort(codes[kept], kind="stable")]
    starts = np.searchsorted(codes[order], np.arange(len(names)))
    total = np.add.reduceat(responses.values[order].astype(np.float64), starts, axis=0)
    count = np.bincount(codes[order], minlength=len(names)).reshape(-1, *[1] * (total.ndim - 1))
    template = describe(responses)
    coords = {"stimulus": ("sample", names), **template.coords}
    return xr.DataArray(total / count, dims=responses.dims, coords=coords)


def draw_halves(
    responses: xr.DataArray, codes: Array, names: Array, rng: np.random.Generator
) -> tuple[xr.DataArray, xr.DataArray]:
    """Average random halves of the repeats of each stimulus; of odd counts one is left out."""
    order = np.lexsort((rng.random(len(codes)), codes))
    place = np.empty(len(codes), dtype=np.intp)
    place[order] = np.arange(len(codes)) - np.searchsorted(codes[order], codes[order])
    kept = place < np.bincount(codes)[codes] // 2 * 2
    one, two = (
        average_repeats(responses, codes, kept & (place % 2 == half), names) for half in (0, 1)
    )
    return one, two


def measure_growth(codes: Array) -> float:
    """Say how many times longer the whole is than its halves: 2, and more for odd counts.

    The ratio of their noise variances, which is what Spearman-Brown asks for: of three repeats
    a half has one, and the average of all three times as many.
    """
    counts = np.bincount(codes)
    return float((1 / (counts // 2)).mean() / (1 / counts).mean())


def divide(r: Array, model: Array, data: Array, least: float) -> Array:
    """r over the root of both consistencies; NaN where one is not positive or below ``least``."""
    reliable = (model > 0) & (data > 0) & (model >= least) & (data >= least)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(reliable, r / np.sqrt(model * data), np.nan)


def describe_unreliable(values: Array, names: Array, least: float, whose: str) -> str:
    """Say how many neuroids have no corrected value, and which; nothing where all have one."""
    missing = np.isnan(values)
    if not missing.any():
        return ""
    which = some(np.asarray(names)[missing])
    return (
        f"{whose}: expected split halves, of predictions too, to agree above {least:g} in every "
        f"neuroid, got {int(missing.sum())} of {missing.size} without ({which}). "
        "Their corrected score is NaN: add repeats or stimuli, or leave them out."
    )


def warn_unreliable(message: str, *, depth: int = 3) -> None:
    """Warn, where there is something to say, ``depth`` calls above."""
    if message:
        warnings.warn(message, NeuroalignWarning, stacklevel=depth)
