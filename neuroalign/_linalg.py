"""Factorise once, shrink often: the float64 algebra below every penalised linear map.

In: bare arrays. Out: a ``Spectrum`` from which the solution for any penalty is two products.
To add a kernel: write a pure function on arrays; callers check their arguments.

With G = X'X = V diag(l) V' (primal) or K = XX' = U diag(l) U' (dual), the ridge solution is
``right @ diag(1 / (l + alpha)) @ left.T @ Y`` where (left, right) is (XV, V) or (U, X'U). No
square root of a small eigenvalue is ever divided by, so both forms stay accurate.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Spectrum(NamedTuple):
    """Eigenvalues and the two projections of one (centred) matrix of n rows and p columns.

    ``values`` (r,), ``left`` (n, r), ``right`` (p, r), ``center`` (p,), with r the rank.
    """

    values: Array
    left: Array
    right: Array
    center: Array


def is_dual(shape: tuple[int, ...], solver: str = "auto") -> bool:
    """Tell whether the samples (dual) or the features (primal) span the smaller Gram matrix."""
    return solver == "dual" or (solver == "auto" and shape[1] > shape[0])


def eigh_ranked(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues (ascending) and eigenvectors, without those that rounding alone makes."""
    # The one of numpy lets other threads run.
    values, vectors = np.linalg.eigh(gram)
    kept = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    return values[kept], vectors[:, kept]


def average_rows(values: Array, weights: Array | None = None) -> Array:
    """Average over rows in float64: a plain float32 sum drifts with many rows and a large mean.

    Parameters
    ----------
    values : array (n, t)
    weights : array (n,), optional

    Returns
    -------
    array (t,)
        In the dtype of ``values``.
    """
    if weights is None:
        mean = values.mean(axis=0, dtype=np.float64)
    else:
        mean = (weights / weights.sum()) @ values.astype(np.float64, copy=False)
    means: Array = mean.astype(values.dtype)
    return means


def scale_rows(values: Array, weights: Array | None) -> Array:
    """Multiply rows by the root of their weights, which turns weighted squares into plain ones."""
    if weights is None:
        return values
    scaled: Array = values * np.sqrt(weights).astype(values.dtype)[:, None]
    return scaled


def eigh_gram(
    X: Array,
    *,
    center: bool = True,
    solver: str = "auto",
    weights: Array | None = None,
    kernel: Array | None = None,
) -> Spectrum:
    """Factorise a matrix through the smaller of its two Gram matrices, in float64.

    Parameters
    ----------
    X : array (n, p)
    center : bool
        Subtract the (weighted) column means first.
    solver : {"auto", "primal", "dual"}
        ``auto`` takes the dual when p > n.
    weights : array (n,), optional
        Rows are scaled by their roots after centring.
    kernel : array (n, n), optional
        XX' of the centred X in float64, where the caller has it; for the dual without weights.

    Returns
    -------
    Spectrum
    """
    X = np.asarray(X, dtype=np.float64)
    mean = average_rows(X, weights) if center else np.zeros(X.shape[1])
    X = scale_rows(X - mean, weights)
    if is_dual(X.shape, solver):
        values, vectors = eigh_ranked(X @ X.T if kernel is None else kernel)
        return Spectrum(values, vectors, X.T @ vectors, mean)
    values, vectors = eigh_ranked(X.T @ X)
    return Spectrum(values, X @ vectors, vectors, mean)


def shrink(values: Array, alpha: Array | float) -> Array:
    """Compute 1 / (values + alpha); a direction without data and without penalty gives 0.

    Parameters
    ----------
    values : array (r,)
    alpha : float, or array (t,)

    Returns
    -------
    array (r,), or (r, t)
    """
    alpha = np.asarray(alpha, dtype=np.float64)
    total = values[:, None] + alpha[None, :] if alpha.ndim else values + alpha
    floor = values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    inverse: Array = np.divide(1.0, total, out=np.zeros_like(total), where=total > floor)
    return inverse
