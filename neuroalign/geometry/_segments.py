"""Exact division of an ordered sequence into phases, and sequences without phases to compare with.

In: a symmetric dissimilarity (step, step). Out: costs, the best boundaries, surrogates.
To add a cost: a row in ``COSTS``; to add a surrogate: a row in ``SURROGATES``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _average(inside: Array, length: Array) -> Array:
    return np.divide(inside, length, out=np.zeros_like(inside), where=length > 0)


def _sum(inside: Array, _length: Array) -> Array:
    return inside


COSTS: dict[str, Callable[[Array, Array], Array]] = {"mean": _average, "sum": _sum}


def tabulate_costs(dissimilarity: Array, cost: Callable[[Array, Array], Array]) -> Array:
    """Cost of every phase [i, j): the dissimilarity of its pairs, from cumulative sums.

    Returns
    -------
    array (n + 1, n + 1)
        Infinite where j <= i.
    """
    n = len(dissimilarity)
    area = np.zeros((n + 1, n + 1))
    area[1:, 1:] = np.triu(dissimilarity, 1).cumsum(axis=0).cumsum(axis=1)
    corner = np.diag(area)
    inside = corner[None, :] - area - area.T + corner[:, None]
    length = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]
    return np.where(length > 0, cost(inside, length.astype(np.float64)), np.inf)


def divide(costs: Array, max_phases: int, min_size: int) -> tuple[Array, Array]:
    """Find the least total cost of 1 to ``max_phases`` contiguous phases.

    Parameters
    ----------
    costs : array (n + 1, n + 1)
    max_phases, min_size : int

    Returns
    -------
    array (max_phases,)
        Least cost; infinite where the sequence is too short.
    array (max_phases + 1, n + 1)
        Start of the last phase when the first j steps hold m phases; see `trace_back`.
    """
    n = len(costs) - 1
    length = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]
    allowed = np.where(length >= min_size, costs, np.inf)
    best = np.full((max_phases + 1, n + 1), np.inf)
    best[0, 0] = 0.0
    start = np.zeros((max_phases + 1, n + 1), dtype=np.intp)
    for phases in range(1, max_phases + 1):
        total = best[phases - 1][:, None] + allowed
        start[phases] = total.argmin(axis=0)
        best[phases] = total[start[phases], np.arange(n + 1)]
    return best[1:, n], start


def trace_back(start: Array, n_phases: int) -> Array:
    """Read the first step of every phase but the first."""
    place = start.shape[1] - 1
    bounds = []
    for phases in range(n_phases, 1, -1):
        place = int(start[phases, place])
        bounds.append(place)
    return np.array(bounds[::-1], dtype=np.int64)


def make_stationary(dissimilarity: Array) -> Array:
    """Replace each diagonal by its mean: drift at a constant pace, without phases."""
    n = len(dissimilarity)
    distance = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    total = np.bincount(distance.ravel(), dissimilarity.ravel())
    return np.asarray((total / np.bincount(distance.ravel()))[distance])


def shift_diagonals(dissimilarity: Array, rng: np.random.Generator, _df: float) -> Array:
    """Shift each diagonal by its own lag, its end coming to its front."""
    n = len(dissimilarity)
    shifted = np.zeros_like(dissimilarity)
    for lag in range(1, n):
        rows = np.arange(n - lag)
        shifted[rows, rows + lag] = np.roll(np.diagonal(dissimilarity, lag), rng.integers(n - lag))
    return np.asarray(shifted + shifted.T)


def permute_steps(dissimilarity: Array, rng: np.random.Generator, _df: float) -> Array:
    """Put the steps in random order."""
    order = rng.permutation(len(dissimilarity))
    return dissimilarity[np.ix_(order, order)]


def draw_stationary(dissimilarity: Array, rng: np.random.Generator, df: float) -> Array:
    """Draw 1 - cosine of a Gaussian path that drifts at the mean pace, seen in ``df`` numbers.

    The factor of a Wishart matrix is that of Bartlett where there are enough degrees of freedom.
    """
    n = len(dissimilarity)
    values, vectors = np.linalg.eigh(1.0 - make_stationary(dissimilarity))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    if df >= n:
        factor = np.tril(rng.normal(size=(n, n)), -1)
        factor += np.diag(np.sqrt(rng.chisquare(df - np.arange(n))))
    else:
        factor = rng.normal(size=(n, max(2, round(df))))
    path = root @ factor
    path /= np.linalg.norm(path, axis=1, keepdims=True)
    return np.asarray(1.0 - path @ path.T)


SURROGATES: dict[str, Callable[[Array, np.random.Generator, float], Array]] = {
    "stationary": draw_stationary,
    "circular": shift_diagonals,
    "permutation": permute_steps,
}


def count_freedom(dissimilarity: Array, error: Array) -> float:
    """Degrees of freedom of cosines with this standard error: (1 - cos^2)^2 / df = error^2."""
    pairs = np.triu_indices(len(dissimilarity), 1)
    cosine, spread = 1.0 - dissimilarity[pairs], error[pairs]
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.square((1.0 - cosine**2) / spread)
    known = df[np.isfinite(df)]
    return float(np.median(known)) if len(known) else float("nan")


def lower_costs(
    dissimilarity: Array, cost: Callable[[Array, Array], Array], max_phases: int, min_size: int
) -> Array:
    """Least cost of 1 to ``max_phases`` phases, as a share of that of one phase."""
    best, _ = divide(tabulate_costs(dissimilarity, cost), max_phases, min_size)
    return np.asarray(best / best[0])
