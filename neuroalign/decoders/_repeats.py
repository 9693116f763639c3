"""Which rows show the same stimulus, and one or all of them at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.align._averages import average_codes
from neuroalign.errors import require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]


def number_repeats(names: Array | None, y: Array) -> Array:
    """Number the stimulus of each row: by its name, else by its target, which repeats share.

    Parameters
    ----------
    names : array of str (sample,), or None
    y : array (sample, target)

    Returns
    -------
    int array (sample,)
        In order of first appearance.

    Raises
    ------
    ValueError
        When a stimulus has several targets.
    """
    keys = y if names is None else names
    first, codes = np.unique(keys, axis=0, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    codes, first = rank[np.ravel(codes)], np.sort(first)
    differs = (y != y[first][codes]).any(axis=1)
    if differs.any():
        row = int(np.argmax(differs))
        raise ValueError(
            f"y: expected one target for each stimulus, got another for '{keys[row]}' in row "
            f"{row} ({int(differs.sum())} rows differ). Give each stimulus its name."
        )
    return codes


def read_names(X: Any) -> Array | None:
    """Give the stimulus of each row of a DataArray that names it."""
    named = isinstance(X, xr.DataArray) and "stimulus" in X.coords
    return np.asarray(X["stimulus"].values) if named else None


class Repeats:
    """The rows of each stimulus.

    Parameters
    ----------
    codes : int array (sample,)
        Number of the stimulus of each row, see `number_repeats`.
    """

    def __init__(self, codes: Array) -> None:
        self.codes = codes
        self._order = np.argsort(codes, kind="stable")
        self._counts = np.bincount(codes)
        self._starts = np.cumsum(self._counts) - self._counts

    @property
    def first(self) -> Array:
        """The first row of each stimulus."""
        return np.asarray(self._order[self._starts])

    def draw(self, units: Array) -> Array:
        """Draw a row of each of these stimuli, from torch's generator."""
        lot = torch.rand(len(units), dtype=torch.float64).numpy()
        return np.asarray(
            self._order[self._starts[units] + (lot * self._counts[units]).astype(np.intp)]
        )

    def average(self, values: Array) -> Array:
        """Average the rows of each stimulus: (stimulus, column)."""
        return average_codes(values, self.codes)
