"""What a measure of similarity is, and the algebra of those that compare square matrices.

Kernels, distances and neighbour graphs are (n, n) matrices of stimuli. Once centred and scaled,
their similarity is one inner product, so that all pairs of two sets are one matrix product, and
other orders of the stimuli need no new preparation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError

Array = npt.NDArray[Any]
# Numbers of each side that are laid side by side for one product: a few MB, which are reused.
CHUNK = 500_000


class Measure(NamedTuple):
    """One row of ``comparison.SIMILARITIES``.

    ``prepare`` (array (n, p), its parameters) and ``pair`` (of two prepared) are pure functions.
    ``bounds`` are the lowest and highest value, ``distance`` says that less is more alike.
    ``correctable``: the measure is a cosine whose inner product independent noise does not bias,
    so that dividing by the root of reliabilities is right; it names the parameters that this
    depends on, with the values for which it holds. The rest is for speed: ``multiply``
    (prepared ones of a, of b) gives all pairs, ``permute`` (prepared, order) what ``prepare`` gives
    for rows in that order, and ``prepare_rdm`` takes an RDM (n, n) instead of features.

    Examples
    --------
    >>> from neuroalign.similarity import SIMILARITIES
    >>> SIMILARITIES["cka_debiased"].symmetric
    True
    """

    prepare: Callable[..., Any]
    pair: Callable[[Any, Any], float]
    description: str
    bounds: tuple[float, float] = (0.0, 1.0)
    symmetric: bool = True
    distance: bool = False
    correctable: Mapping[str, tuple[str, ...]] | None = None
    multiply: Callable[[Sequence[Any], Sequence[Any]], Array] | None = None
    permute: Callable[[Any, Array], Any] | None = None
    prepare_rdm: Callable[..., Any] | None = None


def dot(one: Array, other: Array) -> float:
    """Inner product of two matrices of one shape."""
    return float(np.vdot(one, other))


def multiply_squares(one: Sequence[Array], other: Sequence[Array]) -> Array:
    """Inner products of each matrix of one set with each of the other: (a, b).

    A few rows of all matrices at a time are one matrix product, so that no stack of them is made.
    """
    n, width = one[0].shape
    step = max(1, CHUNK // (width * max(len(one), len(other))))
    same = one is other
    total = np.zeros((len(one), len(other)))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        left = np.stack([square[rows] for square in one]).reshape(len(one), -1)
        right = left
        if not same:
            right = np.stack([square[rows] for square in other]).reshape(len(other), -1)
        total += left @ right.T
    return total


def permute_square(square: Array, order: Array) -> Array:
    """Bring rows and columns into another order."""
    moved: Array = square[np.ix_(order, order)]
    return moved


def scale_to_unit(square: Array) -> Array:
    """Divide by the Frobenius norm, in place; zeros stay zeros."""
    norm = float(np.sqrt(np.vdot(square, square)))
    if norm > 0:
        square /= norm
    return square


def double_center(square: Array) -> Array:
    """H A H with H = I - 11'/n, for symmetric A, in place."""
    means = square.mean(axis=0)
    square -= means - means.mean()
    square -= means[:, None]
    return square


def u_center(square: Array) -> Array:
    """Centre without the diagonal, in place, so that products over n (n - 3) are unbiased.

    The inner product of two U-centred kernels is n (n - 3) times the unbiased HSIC of Song et al.
    (2012), that of two distance matrices n (n - 3) times the unbiased distance covariance.

    References
    ----------
    Székely & Rizzo (2014), Annals of Statistics 42, 2382-2412, definition 2.
    """
    n = len(square)
    if n < 4:
        raise SchemaError(
            f"a, b: expected 4 or more stimuli for an unbiased measure, got {n}. Add stimuli."
        )
    np.fill_diagonal(square, 0.0)
    sums = square.sum(axis=0) / (n - 2)
    square -= sums - sums.sum() / (n - 1)
    square -= sums[:, None]
    np.fill_diagonal(square, 0.0)
    return square


def gram(X: Array, *, center: bool = True) -> Array:
    """X X' in float64, multiplied in the dtype of X after its columns are centred.

    Centring first keeps float32 exact to rounding: a large mean would cancel badly.
    """
    if center:
        X = X - X.mean(axis=0, dtype=np.float64).astype(X.dtype)
    return np.asarray(X @ X.T, dtype=np.float64)


def squared_distances(X: Array) -> Array:
    """Squared Euclidean distances between rows, from the Gram matrix of centred columns."""
    products = gram(X)
    sizes = np.diagonal(products)
    distances: Array = np.maximum(sizes + sizes[:, None] - 2 * products, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances
