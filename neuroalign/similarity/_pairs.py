"""What goes into a measure: two finite matrices of the same stimuli, and folds of those stimuli."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._folds import Folds, make_folds
from neuroalign.errors import AlignError, SchemaError, some

Array = npt.NDArray[Any]


class Halves(NamedTuple):
    """The rows of one representation on both sides of a split."""

    train: Array
    test: Array


def read_units(values: Any, name: str) -> Array:
    """Give a representation as float64 (sample, unit).

    Raises
    ------
    SchemaError
        When it is no matrix, has fewer than two rows or no column, or holds NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2 or not array.shape[1]:
        raise SchemaError(
            f"{name}: expected (sample, unit) with 2 samples or more, got shape {array.shape}. "
            "Give a row to each stimulus; flatten or average tokens and times."
        )
    if not np.isfinite(array).all():
        lost = int((~np.isfinite(array)).any(axis=0).sum())
        raise SchemaError(
            f"{name}: expected finite numbers, got NaN or infinity in {lost} units. "
            "Drop those units or samples."
        )
    return array


def read_pair(X: Any, Y: Any) -> tuple[Array, Array]:
    """Give two representations of the same stimuli as float64 (sample, unit).

    Raises
    ------
    SchemaError
    AlignError
        When the numbers of rows differ, or labelled rows name different stimuli.
    """
    one, other = read_units(X, "X"), read_units(Y, "Y")
    if len(one) != len(other):
        raise AlignError(
            f"Y: expected {len(one)} samples as in X, got {len(other)}. Match the rows first."
        )
    names = [
        array["stimulus"].values
        for array in (X, Y)
        if isinstance(array, xr.DataArray) and "stimulus" in array.coords
    ]
    if len(names) == 2 and (names[0] != names[1]).any():
        row = int(np.flatnonzero(names[0] != names[1])[0])
        raise AlignError(
            f"Y: expected the stimuli of X in their order, got {some([names[1][row]])} for "
            f"{some([names[0][row]])} in row {row}. Use align.match."
        )
    return one, other


def find_groups(X: Any, groups: Sequence[Any] | Array | None) -> Sequence[Any] | Array | None:
    """Take groups as given, or the stimuli that labelled rows name."""
    if groups is None and isinstance(X, xr.DataArray) and "stimulus" in X.coords:
        return np.asarray(X["stimulus"].values)
    return groups


def split_stimuli(
    n: int, n_splits: int, seed: int, groups: Sequence[Any] | Array | None = None
) -> Folds:
    """Deal rows, or whole groups of them, to folds at random.

    Stimuli are often sorted by category: contiguous folds would hold out categories.

    Raises
    ------
    ValueError
        When a fold would train or test fewer than three rows, which have no correlation to speak
        of.
    """
    labels = np.arange(n) if groups is None else groups
    folds = make_folds(n, groups=labels, n_splits=n_splits, seed=seed, shuffle_groups=True)
    least = min(min(len(train), len(test)) for train, test in folds)
    if least < 3:
        raise ValueError(
            f"n_splits: expected folds of 3 rows or more, got {n_splits} splits of {n} rows with "
            f"a side of {least}. Use fewer splits."
        )
    return folds


def center(X: Array) -> Array:
    """Subtract the mean of each unit, in float64."""
    X = np.asarray(X, dtype=np.float64)
    centered: Array = X - X.mean(axis=0)
    return centered


def standardize(X: Array) -> Array:
    """Columns of mean 0 and length 1, so that products are correlations; constant ones are 0."""
    centered = center(X)
    norms = np.linalg.norm(centered, axis=0)
    # Rounding leaves a constant column a norm near 0 that must not be blown up.
    floor = np.finfo(np.float64).eps * len(X) * np.abs(X).max(axis=0)
    scaled: Array = np.divide(centered, norms, out=np.zeros_like(centered), where=norms > floor)
    return scaled
