"""Distances between condition patterns on bare arrays: (stack, condition, channel) in float64.

Out: (stack, condition, condition). One product of matrices each; channels are centred over
conditions first, since ``|x|^2 + |y|^2 - 2xy`` loses all digits of patterns with a large mean.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Array = npt.NDArray[Any]
# A pseudo-observation of one event, of so little weight, keeps logarithms of rates finite.
PRIOR_RATE, PRIOR_WEIGHT = 1.0, 0.1


def subtract_gram(gram: Array) -> Array:
    """Squared distances (..., i, j) from inner products: G_ii + G_jj - 2 G_ij."""
    size = np.diagonal(gram, axis1=-2, axis2=-1)
    squared: Array = size[..., :, None] + size[..., None, :] - gram - np.swapaxes(gram, -1, -2)
    n = gram.shape[-1]
    squared[..., np.arange(n), np.arange(n)] = 0.0
    return squared


def multiply_rows(X: Array) -> Array:
    """X X' for each of a stack; numpy halves the work of one matrix with its own transpose."""
    if len(X) == 1:
        return np.asarray((X[0] @ X[0].T)[None])
    return np.asarray(X @ np.swapaxes(X, 1, 2))


def squared_euclidean(X: Array) -> Array:
    """Mean over channels of squared differences."""
    X = X - X.mean(axis=1, keepdims=True)
    squared = np.clip(subtract_gram(multiply_rows(X)), 0, None) / X.shape[2]
    return np.asarray(squared)


def euclidean(X: Array) -> Array:
    """Root of the mean over channels of squared differences."""
    return np.asarray(np.sqrt(squared_euclidean(X)))


def _one_minus(X: Array, lost: Array) -> Array:
    size = np.sqrt(np.einsum("tkp,tkp->tk", X, X))
    with np.errstate(invalid="ignore", divide="ignore"):
        X = X / np.where(lost, np.nan, size)[..., None]
    made = 1 - np.clip(multiply_rows(X), -1, 1)
    made[:, np.arange(X.shape[1]), np.arange(X.shape[1])] = 0.0
    return np.asarray(made)


def correlation(X: Array) -> Array:
    """1 - Pearson r; NaN to patterns that are constant."""
    centred = _center_patterns(X)
    return _one_minus(centred, np.asarray(~centred.any(axis=2)))


def _center_patterns(X: Array) -> Array:
    """Subtract the mean over channels; constant patterns become 0, not rounding."""
    centred = X - X.mean(axis=-1, keepdims=True)
    centred[np.abs(centred).max(axis=-1) <= 1e-13 * np.abs(X).max(axis=-1)] = 0.0
    return np.asarray(centred)


def cosine(X: Array) -> Array:
    """1 - cosine; NaN to patterns of zeros."""
    return _one_minus(X, np.asarray(~X.any(axis=2)))


def city_block(X: Array) -> Array:
    """Mean over channels of absolute differences."""
    return np.asarray(np.stack([cdist(x, x, "cityblock") for x in X]) / X.shape[2])


def shrink_rates(X: Array) -> Array:
    """Rates with the prior: no rate is 0."""
    return np.asarray((X + PRIOR_RATE * PRIOR_WEIGHT) / (1 + PRIOR_WEIGHT))


def poisson(X: Array) -> Array:
    """Symmetrised Kullback-Leibler divergence of Poisson rates, mean over channels."""
    rates = shrink_rates(X)
    cross = rates @ np.swapaxes(np.log(rates), 1, 2)
    return np.asarray(np.clip(subtract_gram(cross), 0, None) / X.shape[2])


def cross_squared_euclidean(A: Array, B: Array) -> Array:
    """Mean over channels of squared differences between rows of A (n, p) and of B (n, p)."""
    shift = A.mean(axis=0)
    return np.asarray(cdist(A - shift, B - shift, "sqeuclidean") / A.shape[1])


def cross_euclidean(A: Array, B: Array) -> Array:
    return np.asarray(np.sqrt(cross_squared_euclidean(A, B)))


def cross_cosine(A: Array, B: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        a = A / np.linalg.norm(A, axis=1, keepdims=True)
        b = B / np.linalg.norm(B, axis=1, keepdims=True)
    return np.asarray(1 - a @ b.T)


def cross_correlation(A: Array, B: Array) -> Array:
    return cross_cosine(_center_patterns(A), _center_patterns(B))


def cross_city_block(A: Array, B: Array) -> Array:
    return np.asarray(cdist(A, B, "cityblock") / A.shape[1])
