"""Do two representations hold the same stimuli to be near each other? Local alignment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError, choose
from neuroalign.similarity._measures import (
    double_center,
    gram,
    permute_square,
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

    The kernel is centred in rows and columns over all stimuli first; then sums go over couples
    (i, j) where j is among the k nearest of i in both, those of a representation with itself over
    its own k nearest. Nearness is the kernel before it is centred; that of ``linear`` is of
    centred units, that of ``cosine`` of rows of length 1 as they are, the usual input of the
    paper. With k = n - 1 it is CKA without the diagonal. The published code of the paper computes
    `prepare_published_cknna` instead.

    References
    ----------
    Huh, Cheung, Wang & Isola (2024), ICML, arXiv:2405.07987, appendix A (CKNNA as a formula).
    """
    square = compute_kernel(X, kernel)
    near = find_neighbors(square, k)
    return scale_to_unit(np.where(near, double_center(square), 0.0))


class Local(NamedTuple):
    """A kernel (n, n), which of its entries are near, and the root of its HSIC with itself."""

    square: Array
    near: npt.NDArray[np.bool_]
    size: float


def _local_hsic(one: Array, other: Array, near: npt.NDArray[np.bool_]) -> float:
    """n (n - 3) times the unbiased HSIC of both kernels kept to some entries.

    Nearness is not symmetric, nor are the kernels then: rows of one meet columns of the other.
    """
    n = len(one)
    K, L = np.where(near, one, 0.0), np.where(near, other, 0.0)
    crossed = float(K.sum(axis=0) @ L.sum(axis=1))
    total = float(K.sum()) * float(L.sum())
    return float((K * L.T).sum()) + total / ((n - 1) * (n - 2)) - 2 * crossed / (n - 2)


def prepare_published_cknna(X: Array, *, k: int = 10, kernel: str = "cosine") -> Local:
    """Give the kernel and its neighbours, for CKNNA as the published code computes it.

    There the kernels are first kept to couples that are near in both, and centred afterwards by
    the unbiased HSIC: few entries are left, so that the number of common neighbours weighs more
    than in the formula of the paper (`prepare_cknna`). As neighbours are not mutual within one
    representation, the kept kernels are not symmetric, nor is the score, by about a percent. Rows
    are taken as they are: an offset of the units changes it.

    References
    ----------
    Huh, Cheung, Wang & Isola (2024), ICML, arXiv:2405.07987, and the code that it links; Song et
    al. (2012), J. Machine Learning Research 13, 1393-1434, equation 5.
    """
    if len(X) < 4:
        raise SchemaError(
            f"a, b: expected 4 or more stimuli for an unbiased measure, got {len(X)}. Add stimuli."
        )
    square = compute_kernel(X, kernel)
    near = find_neighbors(square, k)
    return Local(square, near, float(np.sqrt(max(_local_hsic(square, square, near), 0.0))))


def pair_published_cknna(one: Local, other: Local) -> float:
    """HSIC of kernels kept to common neighbours, over its root for each; NaN where that is 0."""
    size = one.size * other.size
    if not size > 0:
        return float("nan")
    return _local_hsic(one.square, other.square, one.near & other.near) / size


def permute_local(prepared: Local, order: Array) -> Local:
    """Bring stimuli into another order."""
    square, near = (permute_square(each, order) for each in (prepared.square, prepared.near))
    return Local(square, near, prepared.size)
