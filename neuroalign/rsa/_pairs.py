"""Pairs of conditions in the order of ``numpy.triu_indices(n, 1)``, on bare arrays."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def count_conditions(n_pairs: int) -> int:
    """How many conditions have so many pairs."""
    return (1 + math.isqrt(1 + 8 * n_pairs)) // 2


@lru_cache(maxsize=4)
def find_pairs(n: int) -> tuple[Array, Array]:
    """Both conditions of each pair, kept between calls (and so not to be written to)."""
    first, second = np.triu_indices(n, 1)
    first.flags.writeable = second.flags.writeable = False
    return first, second


def square_up(rows: Array) -> Array:
    """Unfold pairs (row, pair) to symmetric matrices (row, n, n) with zero diagonal."""
    n = count_conditions(rows.shape[1])
    squares = np.zeros((len(rows), n, n))
    done = 0
    for i in range(n - 1):
        part = rows[:, done : done + n - 1 - i]
        squares[:, i, i + 1 :] = squares[:, i + 1 :, i] = part
        done += n - 1 - i
    return squares


def weigh_pairs(counts: Array) -> Array:
    """How often each pair comes: (pair,) from counts of conditions (n,)."""
    first, second = find_pairs(len(counts))
    return np.asarray(counts[first] * counts[second], dtype=np.float64)


def permute_pairs(values: Array, order: Array, n: int) -> Array:
    """Take pairs (..., pair) of n conditions in a new order of conditions."""
    a, b = find_pairs(len(order))
    low, high = np.minimum(order[a], order[b]), np.maximum(order[a], order[b])
    taken: Array = values[..., low * n - low * (low + 1) // 2 + high - low - 1]
    return taken


def name_pairs(first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Names in the order in which they first appear, and the two conditions of each pair.

    Pairs in the usual order, which nearly all are, are known without a look for unique names
    among all pairs.
    """
    n = count_conditions(len(first))
    rows, columns = find_pairs(n)
    labels = np.concatenate([first[:1], second[: n - 1]])
    usual = len(rows) == len(first) and len(np.unique(labels)) == n
    if usual and (first == labels[rows]).all() and (second == labels[columns]).all():
        return labels, rows, columns
    mixed = np.stack([first, second], axis=1).ravel()
    names, place, codes = np.unique(mixed, return_index=True, return_inverse=True)
    order = np.argsort(place)
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return names[order], position[codes[::2]], position[codes[1::2]]
