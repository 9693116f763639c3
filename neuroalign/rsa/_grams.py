"""Inner products of RDMs when conditions are drawn several times, without copying any.

A resample of conditions is a row of counts c. Pair (a, b) then comes c_a c_b times; pairs of two
copies of one condition are left out, because their dissimilarity is 0 by construction.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.rsa._comparison_kernels import find_effects
from neuroalign.rsa._pairs import square_up, weigh_pairs

Array = npt.NDArray[Any]
Gram = Callable[[Array], Array]


def multiply(rows: Array, weights: Array) -> Array:
    """Weighted products of rows; a resample misses about 60 % of the pairs."""
    drawn = np.flatnonzero(weights)
    if len(drawn) < len(weights):
        rows, weights = rows.take(drawn, axis=1), weights[drawn]
    inner: Array = (rows * weights) @ rows.T
    return inner


def plain(rows: Array) -> Gram:
    """Sum of products over pairs."""

    def gram(counts: Array) -> Array:
        return multiply(rows, weigh_pairs(counts))

    return gram


def whitened(rows: Array) -> Gram:
    """Products whitened by the covariance of distances between equally noisy conditions.

    V is 4 for a pair with itself, 1 for pairs that share one condition and 0 else, restricted to
    the pairs that the resample observes. With g = -d / 2 the inner product is
    sum c_a c_b g^x g^y - 2 sum_a c_a h^x_a u^y_a, where h_a = sum_b c_b g_ab and u are the best
    effects of conditions: O(n) for each RDM.
    """
    halves = -rows / 2
    squares = square_up(halves)

    def gram(counts: Array) -> Array:
        sums = squares @ counts
        solved = find_effects(sums, counts)
        inner: Array = 2 * multiply(halves, weigh_pairs(counts))
        inner -= 2 * (sums * counts) @ solved.T
        return (inner + inner.T) / 2

    return gram


def centre(make: Callable[[Array], Gram], rows: Array) -> Gram:
    """Take the mean out of each RDM, the generalised least squares one of its metric."""
    # Centred before, so that the correction of resamples does not cancel digits.
    rows = rows - rows.mean(axis=1, keepdims=True)
    inner = make(np.vstack([rows, np.ones(rows.shape[1])]))

    def gram(counts: Array) -> Array:
        full = inner(counts)
        centred: Array = full[:-1, :-1] - np.outer(full[:-1, -1], full[-1, :-1]) / full[-1, -1]
        return centred

    return gram


GRAMS: dict[str, Callable[[Array], Gram]] = {
    "cosine": plain,
    "pearson": lambda rows: centre(plain, rows),
    "whitened_cosine": whitened,
    "whitened_correlation": lambda rows: centre(whitened, rows),
}


def divide_norms(inner: Array, left: Array, right: Array) -> Array:
    """Similarity from inner products and squared norms; 0 where an RDM has no spread."""
    size = np.sqrt(np.clip(left, 0, None))[:, None] * np.sqrt(np.clip(right, 0, None))
    # Rounding leaves about 1e-16 of the largest norm where nothing is left.
    flat = size <= 1e-12 * np.abs(size).max(initial=0.0)
    return np.where(flat, 0.0, inner / np.where(flat, 1.0, size))
