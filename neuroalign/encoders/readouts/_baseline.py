"""Ridge on the same tokens and rows: what a readout must beat."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.encoders.readouts._tokens import TokenSource
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import NeuroalignWarning
from neuroalign.scores import pearson

Array = npt.NDArray[Any]
# Tokens of a store larger than this are not held for ridge.
MOST_BYTES = 4 << 30


def correlate(known: Array, guess: Array) -> Array:
    """Pearson correlation of each column over the rows that it has; NaN where nothing varies."""
    found = np.full(known.shape[1], np.nan)
    for column in range(known.shape[1]):
        rows = np.isfinite(known[:, column])
        if rows.sum() > 2:
            found[column] = pearson(known[rows, column, None], guess[rows, column, None])[0]
    return found


def check_size(source: TokenSource, name: str) -> bool:
    """Whether tokens can be held for ridge; said where they cannot."""
    fits = source.block is None or source.n_bytes <= MOST_BYTES
    if not fits:
        warnings.warn(
            f"{name}: expected at most {MOST_BYTES / 1e9:.1f} GB of tokens for the ridge "
            f"regression beside it, got {source.n_bytes / 1e9:.1f} GB, so none was fitted. Fit "
            "Ridge to pooled features, or set baseline=False.",
            NeuroalignWarning,
            stacklevel=4,
        )
    return fits


def predict_by_ridge(
    source: TokenSource, values: Array, seen: Array, train: Array, held: Array
) -> Array:
    """Predict held-out rows by ridge; neuroids that saw the same rows share a fit.

    A token that a sample does not have is the mean token.
    """
    guess = np.empty((len(held), values.shape[1]))
    tokens = [source.read(rows) for rows in (train, held)]
    if source.ragged:
        mean = np.nanmean(tokens[0], axis=(0, 1))
        tokens = [np.where(np.isnan(part), mean, part) for part in tokens]
    flat = [part.reshape(len(part), -1) for part in tokens]
    patterns, member = np.unique(seen[train] > 0, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(np.ravel(member) == number)
        rows = np.flatnonzero(patterns[:, number])
        if len(rows) < 4:
            guess[:, columns] = np.nan
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeuroalignWarning)
            ridge = Ridge(cv=min(5, len(rows) // 2))
            ridge.fit(flat[0][rows], values[np.ix_(train[rows], columns)])
        guess[:, columns] = ridge.predict(flat[1])
    return guess
