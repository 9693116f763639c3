"""Trials of conditions: a matrix, the condition of each row, the fold of each row."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._folds import Folds, make_folds
from neuroalign.errors import SchemaError, some
from neuroalign.geometry._matrices import Matrix, as_matrix
from neuroalign.geometry.dichotomies import read_factors

Array = npt.NDArray[Any]
Labels = str | Sequence[Any] | Array


class Trials(NamedTuple):
    """Values (n, unit), codes (n,) into names (condition,), groups (n,) of shared noise."""

    values: Array
    codes: Array
    names: list[str]
    groups: Array | None

    @property
    def counts(self) -> Array:
        """Trials of each condition."""
        return np.bincount(self.codes, minlength=len(self.names))

    @property
    def means(self) -> Array:
        """Mean of each condition (condition, unit)."""
        sums = np.zeros((len(self.names), self.values.shape[1]))
        np.add.at(sums, self.codes, self.values)
        return np.asarray(sums / self.counts[:, None])

    def take(self, rows: Array) -> "Trials":
        """Keep some rows."""
        groups = None if self.groups is None else self.groups[rows]
        return Trials(self.values[rows], self.codes[rows], self.names, groups)

    def level(self, seed: int) -> "Trials":
        """Draw equally many trials of every condition."""
        order = np.lexsort((np.random.default_rng(seed).random(len(self.codes)), self.codes))
        sorted_codes = self.codes[order]
        place = np.arange(len(order)) - np.searchsorted(sorted_codes, sorted_codes)
        return self.take(np.sort(order[place < self.counts.min()]))


def read_trials(responses: Matrix, conditions: Labels, fold: Labels | None) -> Trials:
    """Take trials apart.

    Parameters
    ----------
    responses : array or DataArray (sample, unit)
    conditions, fold : str, or sequence (sample,)
        A coord of the DataArray, or the labels themselves.

    Raises
    ------
    SchemaError
    """
    values = as_matrix(responses, "responses")
    names, codes = np.unique(_read_labels(responses, conditions, "conditions"), return_inverse=True)
    if len(names) < 2:
        raise SchemaError(f"conditions: expected two or more, got {some(names)}. Keep more rows.")
    groups = None
    if fold is not None:
        groups = np.unique(_read_labels(responses, fold, "fold"), return_inverse=True)[1]
        if groups.max() < 1:
            raise SchemaError("fold: expected two labels or more, got one. Use None.")
    return Trials(values, codes, names.tolist(), groups)


def _read_labels(responses: Matrix, labels: Labels, argument: str) -> Array:
    n = len(responses)
    if isinstance(labels, str):
        if not isinstance(responses, xr.DataArray) or labels not in responses.coords:
            known = some(responses.coords) if isinstance(responses, xr.DataArray) else "an array"
            raise SchemaError(
                f"{argument}: expected a coord of responses, got '{labels}' for {known}. Assign "
                "it, or pass one label a sample."
            )
        labels = responses[labels].values
    bare = np.asarray(labels)
    if bare.shape != (n,):
        raise SchemaError(
            f"{argument}: expected {n} labels, one a sample, got shape {bare.shape}. Label each."
        )
    return bare.astype(str)


def read_side(names: Sequence[str], positive: Collection[str]) -> npt.NDArray[np.bool_]:
    """Turn the conditions of one side into a mask (condition,).

    Raises
    ------
    ValueError
    """
    return read_factors(names, {"positive": positive})["positive"]


def deal_folds(trials: Trials, n_folds: int, seed: int) -> Folds:
    """Folds with trials of every condition: whole groups, else trials dealt at random.

    There are as many as the rarest condition has trials, if that is less; none when it has one.
    """
    if trials.groups is not None:
        return make_folds(len(trials.codes), groups=trials.groups, n_splits=n_folds)
    n_folds = min(n_folds, int(trials.counts.min()))
    if n_folds < 2:
        return []
    order = np.lexsort((np.random.default_rng(seed).random(len(trials.codes)), trials.codes))
    ordered = trials.codes[order]
    fold = np.empty(len(order), dtype=np.intp)
    fold[order] = (np.arange(len(order)) - np.searchsorted(ordered, ordered)) % n_folds
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]
