"""Do two representations hold the same stimuli to be near each other? Local alignment."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import choose
from neuroalign.similarity._measures import (
    double_center,
    gram,
    scale_to_unit,
    squared_distances,
)
from neuroalign.similarity.kernel_alignment import compute_kernel

Array = npt.NDArray[Any]


def _by_cosine(X: Array) -> Array:
    return compute_kernel(X, "cosine")


def _by_distance(X: Array) -> Array:
    return -squared_distances(X)


def _by_product(X: Array) -> Array:
    return gram(X, center=False)


# How near each row is to each other one: more is nearer.
NEARNESS: dict[str, Callable[[Array], Array]] = {
    "cosine": _by_cosine,
    "euclidean": _by_distance,
    "inner": _by_product,
}


def find_neighbors(nearness: npt.NDArray[Any], k: int) -> npt.NDArray[np.bool_]:
    """Mark the k nearest others of each row.

    Parameters
    ----------
    nearness : array (n, n)
        More is nearer; the diagonal does not count.
    k : int

    Returns
    -------
    array of bool (n, n)
        True in column j of row i where j is among the k nearest of i; of equal ones the earlier.

    Raises
    ------
    ValueError
        When k is not between 1 and n - 1.

    Examples
    --------
    >>> place = np.array([0.0, 1.0, 3.0])
    >>> find_neighbors(-np.abs(place[:, None] - place), 1).argmax(axis=1).tolist()
    [1, 0, 1]
    """
    n = len(nearness)
    if not 1 <= k <= n - 1:
        raise ValueError(
            f"params['k']: expected 1 to {n - 1} neighbours of {n} stimuli, got {k}. Lower k."
        )
    hollow = np.array(nearness, dtype=np.float64)
    np.fill_diagonal(hollow, -np.inf)
    order = np.argsort(-hollow, axis=1, kind="stable")[:, :k]
    marked = np.zeros((n, n), dtype=bool)
    np.put_along_axis(marked, order, True, axis=1)
    return marked


def prepare_mutual_neighbors(X: Array, *, k: int = 10, nearness: str = "cosine") -> Array:
    """Mark neighbours so that products are the share that both have in common: (n, n).

    Chance is k / (n - 1).

    References
    ----------
    Huh, Cheung, Wang & Isola (2024), ICML, arXiv:2405.07987, appendix A (mutual k-NN).
    """
    function = choose(NEARNESS, nearness, "params['nearness']")
    return np.asarray(find_neighbors(function(X), k) / np.sqrt(k * len(X)))


def prepare_cknna(X: Array, *, k: int = 10, kernel: str = "linear") -> Array:
    """Keep of the centred kernel the k nearest of each row, at unit norm: (n, n).

    The product keeps entries of stimuli that are near in both. With k = n - 1 it is CKA without
    the diagonal.

    References
    ----------
    Huh, Cheung, Wang & Isola (2024), ICML, arXiv:2405.07987, appendix A (CKNNA).
    """
    square = compute_kernel(X, kernel)
    near = find_neighbors(square, k)
    return scale_to_unit(np.where(near, double_center(square), 0.0))
