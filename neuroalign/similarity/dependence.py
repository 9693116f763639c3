"""Dependence of two representations: RV, distance correlation, Hilbert-Schmidt independence.

All compare matrices of the same stimuli. RV and HSIC see linear dependence with a linear kernel;
distance correlation, and HSIC with an ``rbf`` kernel, are 0 in the limit only for independence.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError
from neuroalign.similarity._measures import (
    dot,
    double_center,
    gram,
    multiply_squares,
    permute_square,
    scale_to_unit,
    squared_distances,
    u_center,
)
from neuroalign.similarity.kernel_alignment import compute_kernel

Array = npt.NDArray[Any]


def prepare_rv(X: Array) -> Array:
    """Give X X' of centred columns at unit norm: (n, n).

    References
    ----------
    Robert & Escoufier (1976), Applied Statistics 25, 257-265; the same as linear CKA.
    """
    return scale_to_unit(gram(X))


class Adjusted(NamedTuple):
    """Z Z' / (n - 1) of z-scored units, their number, and the adjusted size of it with itself."""

    square: Array
    n_units: int
    size: float


def _adjust(shared: Array | float, n_couples: Array | int, n: int) -> Any:
    """Sum of squared correlations, each without what n observations give by chance."""
    return n_couples - (n - 1) / (n - 2) * (n_couples - shared)


def prepare_adjusted_rv(X: Array) -> Adjusted:
    """Give the Gram matrix of z-scored units, whose products sum squared correlations.

    Units that do not vary are left out.

    References
    ----------
    Mayer, Lorent & Horgan (2011), Stat. Appl. Genet. Mol. Biol. 10(1), 14, adjusted RV.
    """
    n = len(X)
    if n < 3:
        raise SchemaError(f"a, b: expected 3 or more stimuli, got {n}. Add stimuli.")
    varied = np.ptp(X, axis=0) > 0
    Z = X[:, varied].astype(np.float64)
    Z -= Z.mean(axis=0)
    Z /= np.linalg.norm(Z, axis=0)
    square, n_units = Z @ Z.T, int(varied.sum())
    return Adjusted(square, n_units, float(_adjust(dot(square, square), n_units**2, n)))


def pair_adjusted_rv(one: Adjusted, other: Adjusted) -> float:
    """Sum of adjusted squared correlations over the root of those of each with itself."""
    return float(multiply_adjusted_rv([one], [other])[0, 0])


def multiply_adjusted_rv(one: Sequence[Adjusted], other: Sequence[Adjusted]) -> Array:
    """All pairs: (a, b). A representation without adjusted size compares as 0."""
    shared = multiply_squares([left.square for left in one], [right.square for right in other])
    couples = np.outer([left.n_units for left in one], [right.n_units for right in other])
    sizes = np.outer([left.size for left in one], [right.size for right in other])
    both = np.outer([left.size > 0 for left in one], [right.size > 0 for right in other])
    root = np.sqrt(np.where(both, sizes, 1.0))
    return np.where(both, _adjust(shared, couples, len(one[0].square)) / root, 0.0)


def permute_adjusted_rv(prepared: Adjusted, order: Array) -> Adjusted:
    """Bring stimuli into another order."""
    return prepared._replace(square=permute_square(prepared.square, order))


def prepare_distance_correlation(X: Array) -> Array:
    """Give double-centred Euclidean distances at unit norm: (n, n).

    References
    ----------
    Székely, Rizzo & Bakirov (2007), Annals of Statistics 35, 2769-2794, definition 4.
    """
    return scale_to_unit(double_center(np.sqrt(squared_distances(X))))


def pair_distance_correlation(one: Array, other: Array) -> float:
    """Root of the ratio of distance covariances."""
    return float(np.sqrt(max(dot(one, other), 0.0)))


def multiply_distance_correlation(one: Sequence[Array], other: Sequence[Array]) -> Array:
    """All pairs: (a, b)."""
    found: Array = np.sqrt(np.maximum(multiply_squares(one, other), 0.0))
    return found


def prepare_debiased_distance_correlation(X: Array) -> Array:
    """Give U-centred Euclidean distances at unit norm, whose product estimates dCor squared.

    References
    ----------
    Székely & Rizzo (2013), J. Multivariate Analysis 117, 193-213 (bias-corrected statistic);
    Székely & Rizzo (2014), Annals of Statistics 42, 2382-2412.
    """
    return scale_to_unit(u_center(np.sqrt(squared_distances(X))))


def prepare_hsic(
    X: Array, *, kernel: str = "rbf", bandwidth: float = 1.0, degree: int = 3
) -> Array:
    """Give the centred kernel over n - 1: products are tr(K H L H) / (n - 1)^2.

    References
    ----------
    Gretton et al. (2005), Algorithmic Learning Theory, doi:10.1007/11564089_7, definition 2.
    """
    square = compute_kernel(X, kernel, bandwidth=bandwidth, degree=degree)
    return np.asarray(double_center(square) / (len(X) - 1))


def prepare_debiased_hsic(
    X: Array, *, kernel: str = "rbf", bandwidth: float = 1.0, degree: int = 3
) -> Array:
    """Give the U-centred kernel over the root of n (n - 3): products are the unbiased HSIC.

    References
    ----------
    Song et al. (2012), J. Machine Learning Research 13, 1393-1434, equation 5.
    """
    n = len(X)
    square = u_center(compute_kernel(X, kernel, bandwidth=bandwidth, degree=degree))
    return np.asarray(square / np.sqrt(n * (n - 3)))
