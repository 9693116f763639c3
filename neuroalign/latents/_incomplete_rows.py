"""Rows that miss entries: a normal through them, and expected values in the gaps."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.latents._emissions import FullGaussian, Params, fill_missing, find_patterns

Array = npt.NDArray[Any]
# Passes over rows with missing entries.
PASSES = 5


def fit_normal(rows: Array, seen: Array) -> Params:
    """Mean (1, unit) and covariance (1, unit, unit) of rows that may miss entries."""
    normal, weights = FullGaussian(), np.ones((len(rows), 1))
    normal.setup(rows, seen.astype(np.float64), 1.0)
    params: Params | None = None
    for _ in range(1 if seen.all() else PASSES):
        params = normal.estimate(rows, seen, weights, params)
    assert params is not None
    return params


def fill_rows(rows: Array, seen: Array, normal: Params) -> Array:
    """Put in expected values where entries are missing, given those that are not."""
    mean, covariance = normal["mean"][0], normal["covariance"][0]
    out = np.where(seen, rows, mean)
    for where, kept in find_patterns(seen) if len(rows) else []:
        out[where] = fill_missing(rows[where], kept, mean, covariance)[0]
    return np.asarray(out)
