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
from scipy import linalg

Array = npt.NDArray[Any]


class Spectrum(NamedTuple):
    """Eigenvalues and the two projections of one (centred) matrix of n rows and p columns.

    ``values`` (r,), ``left`` (n, r), ``right`` (p, r), ``center`` (p,), with r the rank.
    """

    values: Array
    left: Array
    right: Array
    center: Array


class FoldFactors(NamedTuple):
    """What one inner fold needs to predict its test rows for any penalty and any target.

    ``values`` (r,), ``left`` (n_train, r), ``held_out`` (n_test, r), and the two row indices.
    """

    values: Array
    left: Array
    held_out: Array
    train: Array
    test: Array


def is_dual(shape: tuple[int, ...], solver: str = "auto") -> bool:
    """Tell whether the samples (dual) or the features (primal) span the smaller Gram matrix."""
    return solver == "dual" or (solver == "auto" and shape[1] > shape[0])


def eigh_ranked(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues (ascending) and eigenvectors, without those that rounding alone makes."""
    values, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    kept = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    return values[kept], vectors[:, kept]


def eigh_gram(X: Array, *, center: bool = True, solver: str = "auto") -> Spectrum:
    """Factorise a matrix through the smaller of its two Gram matrices, in float64.

    Parameters
    ----------
    X : array (n, p)
    center : bool
        Subtract the column means first.
    solver : {"auto", "primal", "dual"}
        ``auto`` takes the dual when p > n.

    Returns
    -------
    Spectrum
    """
    X = np.asarray(X, dtype=np.float64)
    mean = X.mean(axis=0) if center else np.zeros(X.shape[1])
    X = X - mean
    if is_dual(X.shape, solver):
        values, vectors = eigh_ranked(X @ X.T)
        return Spectrum(values, vectors, X.T @ vectors, mean)
    values, vectors = eigh_ranked(X.T @ X)
    return Spectrum(values, X @ vectors, vectors, mean)


def column_means(values: Array) -> Array:
    """Average over rows in float64: a plain float32 sum drifts with many rows and a large mean."""
    means: Array = values.mean(axis=0, dtype=np.float64).astype(values.dtype)
    return means


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


def factorise_folds(
    X: Array, folds: list[tuple[Array, Array]], *, center: bool = True, solver: str = "auto"
) -> list[FoldFactors]:
    """Factorise the training rows of each fold, and project its test rows.

    Parameters
    ----------
    X : array (n, p)
    folds : list of (train, test) row indices
    center : bool
        Centre with the means of the training rows of each fold.
    solver : {"auto", "primal", "dual"}

    Returns
    -------
    list of FoldFactors
        In the dtype of X; factorised in float64. In the dual the n x n Gram matrix is
        built once and each fold takes its blocks.
    """
    wide = np.asarray(X, dtype=np.float64)
    if is_dual(wide.shape, solver):
        if center:
            wide = wide - wide.mean(axis=0)
        kernel = wide @ wide.T
        factors = [_factorise_block(kernel, train, test, center) for train, test in folds]
    else:
        factors = [_factorise_rows(wide, train, test, center) for train, test in folds]
    return [
        FoldFactors(
            one.values, one.left.astype(X.dtype), one.held_out.astype(X.dtype), one.train, one.test
        )
        for one in factors
    ]


def _factorise_rows(X: Array, train: Array, test: Array, center: bool) -> FoldFactors:
    spectrum = eigh_gram(X[train], center=center, solver="primal")
    held_out = (X[test] - spectrum.center) @ spectrum.right
    return FoldFactors(spectrum.values, spectrum.left, held_out, train, test)


def _factorise_block(kernel: Array, train: Array, test: Array, center: bool) -> FoldFactors:
    inner, outer = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
    if center:
        mean = inner.mean(axis=0)
        outer = outer - outer.mean(axis=1, keepdims=True) - mean + mean.mean()
        inner = inner - mean - mean[:, None] + mean.mean()
    values, vectors = eigh_ranked(inner)
    return FoldFactors(values, vectors, outer @ vectors, train, test)


def fold_losses(
    factors: list[FoldFactors], Y: Array, alphas: Array, *, center: bool = True
) -> tuple[Array, Array]:
    """Sum squared errors on held-out rows for every penalty and target.

    Parameters
    ----------
    factors : list of FoldFactors
    Y : array (n, t)
        One chunk of targets.
    alphas : array (a,)
    center : bool
        Centre the targets with the training means of each fold.

    Returns
    -------
    array (a, t)
        Mean squared error over all held-out rows of all folds.
    array (t,)
        The same for the prediction that knows only the training mean.
    """
    losses, null = np.zeros((len(alphas), Y.shape[1])), np.zeros(Y.shape[1])
    n_rows = sum(len(fold.test) for fold in factors)
    for fold in factors:
        known, unknown = Y[fold.train], Y[fold.test]
        if center:
            mean = column_means(known)
            known, unknown = known - mean, unknown - mean
        projected = fold.left.T @ known
        null += np.einsum("ij,ij->j", unknown, unknown)
        for row, alpha in enumerate(alphas):
            scale = shrink(fold.values, float(alpha)).astype(Y.dtype)
            error = (fold.held_out * scale) @ projected
            error -= unknown
            losses[row] += np.einsum("ij,ij->j", error, error)
    return losses / n_rows, null / n_rows
