"""Similarities of RDMs under the null that labels of conditions may change places.

Rows are RDMs (row, pair) with pairs in the order of ``numpy.triu_indices``. Controls are held
constant by double semi-partialling: what the controls leave of one side is permuted, and cleaned of
them again, so that the permuted side keeps no tie to the controls that it never had.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import linalg

from neuroalign.errors import choose
from neuroalign.rsa._comparison_kernels import NORMALISERS, weigh
from neuroalign.rsa._pairs import permute_pairs
from neuroalign.rsa._ranks import rank_rows
from neuroalign.rsa._stacks import reorder, unfold
from neuroalign.rsa.comparisons import RESIDUAL, remove_span
from neuroalign.stats.permutations import count_reached, permutation_p

Array = npt.NDArray[Any]
# Sums run in another order under a permutation, so that equal scores differ in the last digits.
ROUNDING = 1e-12
TAILS: dict[str, Callable[[Array], Array]] = {
    "greater": np.positive,
    "less": np.negative,
    "two-sided": np.abs,
}
# Whitened rows hold more than one number a pair; these stand for them where RDMs are averaged.
POOLED_BY = {"whitened_cosine": "cosine", "whitened_correlation": "pearson"}
# Sums of plain ranks are exact, so that equal ones stay tied.
POOLED_RANKS = ("spearman", "rho_a")


def find_basis(controls: xr.DataArray | None, labels: Array, method: str) -> Array | None:
    """Orthonormal rows that span the controls as the comparison sees them.

    Raises
    ------
    ValueError
        When the comparison has no residuals.
    """
    choose(NORMALISERS, method, "method")
    if controls is None:
        return None
    if method not in RESIDUAL:
        raise ValueError(
            f"controls: expected method 'pearson' or 'spearman', got '{method}'. "
            "Other comparisons have no residuals."
        )
    stack = unfold(controls, "controls")
    rows = reorder(stack.values, stack.labels, labels, "controls")
    Z = normalise_rows(rows.reshape(-1, rows.shape[-1]), method, None)
    return np.asarray(linalg.orth(Z.T, rcond=1e-10).T)


def normalise_rows(rows: Array, method: str, basis: Array | None) -> Array:
    """Rows (..., d) whose inner products are similarities of RDMs (..., pair)."""
    flat = rows.reshape(-1, rows.shape[-1])
    Z = NORMALISERS[method](flat, weigh(flat.shape[1]))
    if basis is not None:
        Z = remove_span(Z, basis)
    return np.asarray(Z.reshape(*rows.shape[:-1], -1))


def pool_rows(rows: Array, method: str) -> Array:
    """Average RDMs over the first axis, each normalised first: (subject, ..., pair) to (...)."""
    if method in POOLED_RANKS:
        flat = rows.reshape(-1, rows.shape[-1])
        return np.asarray(rank_rows(flat, np.ones(flat.shape[1])).reshape(rows.shape).mean(axis=0))
    return np.asarray(normalise_rows(rows, POOLED_BY.get(method, method), None).mean(axis=0))


def draw_orders(n: int, n_permutations: int, seed: int) -> Array:
    """Orders of n labels (permutation, label).

    Raises
    ------
    ValueError
        When fewer than one is asked for.
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations: expected 1 or more, got {n_permutations}. Use 1000.")
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(n), (n_permutations, 1)), axis=1)


def permute_rows_of(
    rows: Array, method: str, basis: Array | None, orders: Array
) -> Iterator[Array]:
    """Normalised rows (..., d) under each order of the labels."""
    n, n_pairs = orders.shape[1], rows.shape[-1]
    Z = normalise_rows(rows, method, basis)
    for order in orders:
        if Z.shape[-1] != n_pairs:
            yield normalise_rows(permute_pairs(rows, order, n), method, None)
        elif basis is None:
            yield permute_pairs(Z, order, n)
        else:
            moved = permute_pairs(Z, order, n).reshape(-1, n_pairs)
            yield remove_span(moved, basis).reshape(Z.shape)


def judge(observed: Array, null: Array) -> tuple[Array, Array]:
    """p values of each place, and p values that hold for all places at once.

    Parameters
    ----------
    observed : array (...)
    null : array (permutation, ...)
    """
    counts = count_reached(null, observed - ROUNDING)
    alone, all_at_once = (permutation_p(count, observed, len(null)) for count in counts)
    return alone, all_at_once


def _number_runs(values: Array, threshold: Array) -> tuple[Array, Array]:
    """Number each run of times above the threshold (..., time) from 1, and sum its values."""
    above = values > threshold
    before = np.zeros_like(above)
    before[..., 1:] = above[..., :-1]
    number = np.cumsum(above & ~before).reshape(above.shape) * above
    mass = np.bincount(number.ravel(), weights=np.where(above, values, 0.0).ravel())
    return number, mass


def find_time_clusters(observed: Array, null: Array, level: float) -> tuple[Array, Array]:
    """Clusters of neighbouring times, tested by the largest mass anywhere in each permutation.

    Parameters
    ----------
    observed : array (..., time)
    null : array (permutation, ..., time)
    level : float
        A time takes part where it is above the ``1 - level`` quantile of its own null.

    Returns
    -------
    array (..., time)
        Number of the cluster, from 1 in each row; 0 in none.
    array (..., time)
        Its p value; 1 in none.
    """
    threshold = np.quantile(null, 1 - level, axis=0)
    number, mass = _number_runs(observed, threshold)
    chance, sizes = _number_runs(null, threshold)
    sizes[0] = -np.inf
    largest = sizes[chance].reshape(len(null), -1).max(axis=1)
    reached = (largest[:, None] >= mass - ROUNDING).sum(axis=0)
    p_value = (1 + reached) / (1 + len(null))
    p_value[0] = 1.0
    return number, p_value[number]
