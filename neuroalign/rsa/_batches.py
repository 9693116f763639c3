"""Fixed models in many resamples at once, from the Gram matrix of each."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def average_batch(grams: Array, subjects: Array) -> Array:
    """Average scores and ceilings of each resample, as `average` of `evaluate_whole` does.

    Parameters
    ----------
    grams : array (resample or 1, row, row)
        Inner products of models, then subjects.
    subjects : array (resample, subject)
        How often each was drawn.

    Returns
    -------
    array (resample, model... lower upper)
    """
    n = subjects.shape[1]
    size = np.sqrt(np.clip(np.diagonal(grams, axis1=1, axis2=2), 0, None))
    both = size[:, :, None] * size[:, None, :]
    flat = both <= 1e-12 * both.max(axis=(1, 2), keepdims=True)
    similarity = np.where(flat, 0.0, grams / np.where(flat, 1.0, both))
    cross, within = similarity[:, :-n, -n:], similarity[:, -n:, -n:]
    total = subjects.sum(axis=1, keepdims=True)
    scores = np.matmul(cross, (subjects / total)[:, :, None])[:, :, 0]
    drawn = subjects > 0
    own = np.diagonal(within, axis1=1, axis2=2)
    pooled = np.matmul(within, subjects[:, :, None])[:, :, 0]
    norm = (subjects * pooled).sum(axis=1, keepdims=True)
    upper = _divide(pooled, np.broadcast_to(norm, pooled.shape))
    left = norm - 2 * subjects * pooled + subjects**2 * own
    lower = _divide(pooled - subjects * own, left)
    several = drawn.sum(axis=1) > 1
    bounds = [(part * drawn).sum(axis=1) / drawn.sum(axis=1) for part in (lower, upper)]
    bounds[0] = np.where(several, bounds[0], np.nan)
    return np.column_stack([scores, *bounds])


def _divide(inner: Array, squares: Array) -> Array:
    norm = np.sqrt(np.clip(squares, 0, None))
    return np.asarray(np.divide(inner, norm, out=np.zeros_like(inner), where=norm > 1e-12))
