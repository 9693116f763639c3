"""Kernels of the geo-topological family: rank, threshold, clip, walk the graph.

Bare arrays in and out. Every RDM of a stack is ranked and thresholded on its own: pooled over a
stack, an RDM of a larger scale would change what becomes of the others.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.stats import rankdata

Array = npt.NDArray[Any]
# Thresholds are interpolated: values this near, relative to the largest, lie on them.
SAME = 1e-9


def scale_unit(values: Array) -> Array:
    """Bring the last axis to [0, 1]; NaN stays, and a constant becomes 0."""
    held = ~np.isnan(values)
    low = np.min(values, axis=-1, keepdims=True, where=held, initial=np.inf)
    span = np.max(values, axis=-1, keepdims=True, where=held, initial=-np.inf) - low
    varies = span > 0
    scaled: Array = (values - np.where(varies, low, 0)) / np.where(varies, span, 1)
    return np.where(varies | ~held, scaled, 0.0)


def rank_unit(values: Array) -> Array:
    """Average ranks along the last axis, brought to [0, 1]; NaN stays."""
    return scale_unit(np.asarray(rankdata(values, axis=-1, nan_policy="omit"), dtype=np.float64))


def _find_quantiles(values: Array, levels: Array) -> Array:
    find = np.nanquantile if np.isnan(values).any() else np.quantile
    return np.asarray(find(values, levels, axis=-1))


def _take_fractions(values: Array, levels: Array) -> Array:
    largest = np.max(values, axis=-1, where=~np.isnan(values), initial=-np.inf)
    return np.asarray(np.multiply.outer(levels, largest))


def _repeat_levels(values: Array, levels: Array) -> Array:
    return np.asarray(np.multiply.outer(levels, np.ones(values.shape[:-1])))


# How levels become thresholds (level, ...), and whether values are ranked by default.
THRESHOLDS: dict[str, tuple[Callable[[Array, Array], Array], bool]] = {
    "quantile": (_find_quantiles, True),
    "fraction": (_take_fractions, False),
    "absolute": (_repeat_levels, False),
}


def _ramp(values: Array, low: Array, high: Array) -> Array:
    """0 below, linear between, 1 above; without any room between, 0 up to it and 1 above."""
    near = SAME * np.max(np.abs(values), axis=-1, keepdims=True, where=values == values, initial=0)
    width = high - low
    wide = width > near
    ramp = np.clip((values - low) / np.where(wide, width, 1), 0, 1)
    return np.where(wide | np.isnan(values), ramp, values > low + near)


def _gate(values: Array, low: Array, high: Array) -> Array:
    """0 below, as it is between, the largest value above."""
    largest = np.max(values, axis=-1, keepdims=True, where=values == values, initial=-np.inf)
    near = SAME * np.abs(largest)
    kept = np.where(values > high + near, largest, values)
    return np.where(values < low - near, 0.0, kept)


SHAPES: dict[str, Callable[[Array, Array, Array], Array]] = {"linear": _ramp, "gate": _gate}


def threshold_all(
    values: Array, lower: Array, upper: Array, threshold: str, shape: str = "linear"
) -> Array:
    """Transform RDMs (..., pair) under settings (setting,) at once: (setting, ..., pair)."""
    find = THRESHOLDS[threshold][0]
    low, high = (find(values, levels)[..., None] for levels in (lower, upper))
    return SHAPES[shape](values[None], low, high)


def squash(values: Array, slope: float, midpoint: float) -> Array:
    """Logistic function of values."""
    return np.asarray(1 / (1 + np.exp(-slope * (values - midpoint))))


def square_up(values: Array, n: int) -> Array:
    """Pairs (..., pair) to squares (..., n, n) with a zero diagonal."""
    first, second = np.triu_indices(n, 1)
    squares = np.zeros((*values.shape[:-1], n, n))
    squares[..., first, second] = squares[..., second, first] = values
    return squares


def _either(near: Array) -> Array:
    return np.asarray(near | near.T)


def _mutual(near: Array) -> Array:
    return np.asarray(near & near.T)


def _one_sided(near: Array) -> Array:
    upper = np.triu(near, 1)
    return np.asarray(upper | upper.T)


NEIGHBORS: dict[str, Callable[[Array], Array]] = {
    "either": _either,
    "mutual": _mutual,
    "one_sided": _one_sided,
}


def find_near(square: Array, k: int, neighbors: str) -> Array:
    """Edges (n, n) to the k nearest; all that tie with the last of them count as near."""
    away = np.where(np.isnan(square), np.inf, square)
    np.fill_diagonal(away, np.inf)
    limit = np.sort(away, axis=1)[:, k - 1 : k]
    return NEIGHBORS[neighbors](np.isfinite(away) & (away <= limit))


def walk(square: Array, kept: Array) -> Array:
    """Lengths of shortest paths (n, n) over kept edges; inf where there is none.

    The graph is built from its edges, not from a matrix: an edge of length 0 joins two points as
    any other does, where ``csr_array(matrix)`` would drop it and part the closest pairs.
    """
    kept = kept & ~np.isnan(square)
    np.fill_diagonal(kept, False)
    rows, columns = np.nonzero(kept)
    graph = csr_array((square[rows, columns], (rows, columns)), shape=square.shape)
    return np.asarray(shortest_path(graph, directed=False))
