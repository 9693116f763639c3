"""Trials and rows named by their condition: checked, and found again in other arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import schema
from neuroalign.errors import AlignError, SchemaError, some

Array = npt.NDArray[Any]
WHAT = {
    ("sample", "neuroid"): "one answer a trial",
    ("sample", "neuroid", "time"): "the course of each trial",
}


def check_counts(n_splits: int, n_halves: int, least: float) -> None:
    """Check what every comparison with halves is asked for.

    Raises
    ------
    ValueError
    """
    for name, value, lowest in (("n_splits", n_splits, 2), ("n_halves", n_halves, 1)):
        if not value >= lowest:
            raise ValueError(f"{name}: expected at least {lowest}, got {value}. Ask for more.")
    if not 0 <= least < 1:
        raise ValueError(f"min_consistency: expected 0 to below 1, got {least}. 0.1 is usual.")


def name_conditions(
    trials: xr.DataArray, name: str, dims: tuple[str, ...], least: int
) -> tuple[Array, Array]:
    """Name the conditions, and the condition of each trial.

    Parameters
    ----------
    trials : DataArray
        Of these dims, with ``stimulus``.
    name : str
        Argument named in messages.
    dims : tuple of str
    least : int
        Conditions needed.

    Returns
    -------
    array of str (condition,), array of int (sample,)

    Raises
    ------
    SchemaError
    """
    schema.check_responses(trials, name)
    if trials.dims != dims or "stimulus" not in trials.coords:
        raise SchemaError(
            f"{name}: expected dims {dims} and coord 'stimulus', got {trials.dims}, coords "
            f"{some(trials.coords)}. Give {WHAT[dims]}, named by its condition."
        )
    names, codes, counts = np.unique(
        trials["stimulus"].values, return_inverse=True, return_counts=True
    )
    if counts.min() < 2:
        raise SchemaError(
            f"{name}: expected every condition twice or more, got {int((counts < 2).sum())} shown "
            f"once ({some(names[counts < 2])}). Drop those."
        )
    if len(names) < least:
        raise SchemaError(
            f"{name}: expected {least} conditions or more, got {len(names)}. Add some, or ask for "
            "fewer splits."
        )
    return names, codes


def find_rows(array: Any, names: Array, label: str, dims: tuple[tuple[str, ...], ...]) -> Array:
    """Row of each condition in an array that has one row for it.

    Raises
    ------
    AlignError
        When conditions are missing, or there twice.
    SchemaError
        On other dims or without ``stimulus``.
    """
    if (
        not isinstance(array, xr.DataArray)
        or array.dims not in dims
        or "stimulus" not in array.coords
    ):
        found = getattr(array, "dims", type(array).__name__)
        raise SchemaError(
            f"{label}: expected a DataArray {' or '.join(map(str, dims))} with coord 'stimulus', "
            f"got {found}. Give one row a condition."
        )
    known, first, counts = np.unique(
        array["stimulus"].values, return_index=True, return_counts=True
    )
    place = np.minimum(np.searchsorted(known, names), len(known) - 1)
    wrong = names[(known[place] != names) | (counts[place] > 1)]
    if len(wrong):
        raise AlignError(
            f"{label}: expected every condition of the trials once, got {len(wrong)} that are "
            f"missing or there again ({some(wrong)}). Give one row a condition, or drop trials."
        )
    return np.asarray(first[place])
