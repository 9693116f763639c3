"""Comparisons of RDMs on bare arrays: (a, pair) against (b, pair) gives (a, b).

Most similarities are inner products of transformed RDMs: ``normalise_<name>(A, weights)`` gives
rows Z with ``similarity = Z_a @ Z_b.T``, so that means of Z rows are the best average RDMs that a
noise ceiling needs. Pairs are in the order of ``numpy.triu_indices(n, 1)``; a bootstrap over
conditions is a ``Weights`` with their multiplicities, never a copied RDM.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg

from neuroalign.rsa._ranks import rank_rows

Array = npt.NDArray[Any]
# Sign matrices of rank correlations are held for so many numbers at once.
CHUNK = 4_000_000


class Weights(NamedTuple):
    """How often each condition (n,) and each pair (pair,) counts; a missing pair counts 0."""

    conditions: Array
    pairs: Array


def count_conditions(n_pairs: int) -> int:
    """How many conditions have so many pairs."""
    return (1 + math.isqrt(1 + 8 * n_pairs)) // 2


def weigh(n_pairs: int, counts: Array | None = None, observed: Array | None = None) -> Weights:
    """Weigh pairs by the multiplicities of their conditions.

    Parameters
    ----------
    n_pairs : int
    counts : array (n,), optional
        How often a bootstrap drew each condition. Pairs of a condition with its own copy are no
        distances and never count.
    observed : bool array (pair,), optional

    Returns
    -------
    Weights
    """
    n = count_conditions(n_pairs)
    conditions = np.ones(n) if counts is None else np.asarray(counts, dtype=np.float64)
    first, second = np.triu_indices(n, 1)
    pairs = conditions[first] * conditions[second]
    return Weights(conditions, pairs if observed is None else pairs * observed)


def scale_to_unit(Z: Array) -> Array:
    """Divide rows by their norm; a row of zeros stays zero, so that it compares as 0."""
    norm = np.sqrt(np.einsum("ij,ij->i", Z, Z))[:, None]
    unit: Array = np.divide(Z, norm, out=np.zeros_like(Z), where=norm > 0)
    return unit


def center_rows(A: Array, pairs: Array) -> Array:
    """Subtract weighted means; rows that are constant but for rounding become exactly 0."""
    used = pairs > 0
    centred: Array = A - (A @ pairs / pairs.sum())[:, None]
    size = np.abs(A[:, used]).max(axis=1, initial=0.0)
    flat = np.abs(centred[:, used]).max(axis=1, initial=0.0) <= 1e-13 * size
    centred[flat] = 0.0
    return centred


def normalise_cosine(A: Array, weights: Weights) -> Array:
    """Unit norm."""
    return scale_to_unit(A * np.sqrt(weights.pairs))


def normalise_pearson(A: Array, weights: Weights) -> Array:
    """Mean 0, unit norm."""
    return scale_to_unit(center_rows(A, weights.pairs) * np.sqrt(weights.pairs))


def normalise_spearman(A: Array, weights: Weights) -> Array:
    """Ranks with mean 0 and unit norm; ties raise it (see rho-a)."""
    return normalise_pearson(rank_rows(A, weights.pairs), weights)


def normalise_rho_a(A: Array, weights: Weights) -> Array:
    """Ranks with mean 0 over the norm of ranks without ties.

    ``12 x'y / (n^3 - n) - 3 (n + 1) / (n - 1)`` is this product: what random breaking of ties
    gives on average, so that models that predict ties are not favoured.
    """
    n = weights.pairs.sum()
    scale = np.sqrt(12 * weights.pairs / max(n**3 - n, 1.0))
    scaled: Array = rank_rows(A, weights.pairs) * scale
    return scaled


def normalise_whitened_cosine(A: Array, weights: Weights) -> Array:
    """Unit norm under the inverse covariance of distances whose conditions have equal noise.

    That covariance V (4 for a pair with itself, 1 for pairs that share a condition) makes
    ``x' V^-1 y`` the product of ``-d / 2`` after the best row and column effects are removed, with
    a zero diagonal among the data: n x n normal equations instead of pair x pair.
    """
    n = len(weights.conditions)
    first, second = np.triu_indices(n, 1)
    table = np.zeros((n, n))
    table[first, second] = table[second, first] = weights.pairs
    diagonal = table.sum(axis=1) + 2 * weights.conditions
    # A condition that was never drawn has no effect to be found.
    normal = table + np.diag(np.where(diagonal > 0, diagonal, 1.0))
    gram = -A / 2
    # A missing pair has no weight, whatever its value.
    sums = (square_up(gram) * table).sum(axis=2)
    effects = linalg.solve(normal, sums.T, assume_a="pos").T
    residual = (gram - effects[:, first] - effects[:, second]) * np.sqrt(2 * weights.pairs)
    diagonals = 2 * effects * np.sqrt(weights.conditions)
    return scale_to_unit(np.concatenate([residual, diagonals], axis=1))


def normalise_whitened_correlation(A: Array, weights: Weights) -> Array:
    """As the whitened cosine, after the mean is subtracted (which is the best one under V)."""
    return normalise_whitened_cosine(center_rows(A, weights.pairs), weights)


def square_up(A: Array) -> Array:
    """Unfold (a, pair) to (a, n, n)."""
    n = count_conditions(A.shape[1])
    first, second = np.triu_indices(n, 1)
    square = np.zeros((len(A), n, n))
    square[:, first, second] = square[:, second, first] = A
    return square


def whiten_by_conditions(A: Array, sigma: Array) -> Array:
    """Rows whose products are ``x' V^-1 y`` for any covariance of conditions, V = Xi * Xi.

    Parameters
    ----------
    A : array (a, pair)
    sigma : array (n, n)
        Noise covariance of the condition estimates, positive definite.

    Returns
    -------
    array (a, n * n)
        ``P L^-1 (-D / 2) L^-T P`` flattened, L the Cholesky factor of sigma (products are the same
        for every root) and P the projection away from ``L^-1 1``.
    """
    lower = linalg.cholesky(sigma, lower=True)
    root = linalg.solve_triangular(lower, np.eye(len(sigma)), lower=True)
    away = root.sum(axis=1)
    keep = root - np.outer(away, away @ root) / (away @ away)
    flat: Array = (keep @ (-square_up(A) / 2) @ keep.T).reshape(len(A), -1)
    return flat


def normalise_by_conditions(A: Array, sigma: Array, *, center: bool) -> Array:
    """Whitened cosine, or correlation with the generalised least squares mean, for any sigma."""
    Z = whiten_by_conditions(A, sigma)
    if center:
        one = whiten_by_conditions(np.ones((1, A.shape[1])), sigma)
        Z = Z - np.outer(Z @ one[0] / (one[0] @ one[0]), one[0])
        Z[np.ptp(A, axis=1) <= 1e-13 * np.abs(A).max(axis=1, initial=0.0)] = 0.0
    return scale_to_unit(Z)


def covary_distances(n: int, sigma: Array, signal: Array | None, n_folds: int) -> Array:
    """Covariance (pair, pair) of crossnobis distances, up to a factor.

    ``4 / M * Delta * Xi + 2 / (M (M - 1)) * Xi * Xi``, Xi the covariance of pair contrasts and
    Delta their second moments of signal, from the RDM ``signal`` (pair,). Diedrichsen et al.
    (2020), arXiv:2007.02789.
    """
    first, second = np.triu_indices(n, 1)

    def contrast(table: Array) -> Array:
        rows: Array = table[first] - table[second]
        made: Array = rows[:, first] - rows[:, second]
        return made

    xi = contrast(sigma)
    noise = 2 / (n_folds * (n_folds - 1)) * xi * xi
    if signal is None:
        return noise
    delta = contrast(-square_up(signal[None])[0] / 2)
    covariance: Array = noise + 4 / n_folds * delta * xi
    return covariance


def normalise_by_covariance(A: Array, covariance: Array, *, center: bool) -> Array:
    """Unit norm under the inverse of any covariance (pair, pair) of distances."""
    lower = linalg.cholesky(covariance, lower=True)
    Z = linalg.solve_triangular(lower, A.T, lower=True).T
    if center:
        one = linalg.solve_triangular(lower, np.ones(A.shape[1]), lower=True)
        Z = Z - np.outer(Z @ one / (one @ one), one)
        Z[np.ptp(A, axis=1) <= 1e-13 * np.abs(A).max(axis=1, initial=0.0)] = 0.0
    return scale_to_unit(Z)


NORMALISERS: dict[str, Callable[[Array, Weights], Array]] = {
    "cosine": normalise_cosine,
    "pearson": normalise_pearson,
    "spearman": normalise_spearman,
    "rho_a": normalise_rho_a,
    "whitened_cosine": normalise_whitened_cosine,
    "whitened_correlation": normalise_whitened_correlation,
}


def _multiply(name: str) -> Callable[[Array, Array, Weights], Array]:
    def compare(A: Array, B: Array, weights: Weights) -> Array:
        normalise = NORMALISERS[name]
        similarity: Array = normalise(A, weights) @ normalise(B, weights).T
        return similarity

    return compare


def _sum_signs(A: Array, B: Array, pairs: Array) -> tuple[Array, Array, Array]:
    """Sum of products of signs over pairs of pairs, and how many pairs of pairs are not tied."""
    used = pairs > 0
    A, B, w = A[:, used], B[:, used], pairs[used]
    # Ranks are exact in single precision, distances are not.
    ranked = [np.unique(row, return_inverse=True)[1] for row in (*A, *B)]
    R = np.asarray(ranked, dtype=np.float32).reshape(len(A) + len(B), -1)
    total = np.zeros((len(A), len(B)))
    untied = np.zeros(len(R))
    step = max(1, CHUNK // R.size)
    for i in range(0, R.shape[1], step):
        signs = np.sign(R[:, i : i + step, None] - R[:, None, i:])
        # Within the block each pair of pairs is met twice, beyond it once.
        factor = np.outer(w[i : i + step], w[i:])
        factor[:, : min(step, R.shape[1] - i)] /= 2
        signs = signs.reshape(len(R), -1)
        flat = factor.ravel().astype(np.float32)
        weighed = signs[: len(A)] * flat
        total += weighed @ signs[len(A) :].T
        untied += np.abs(signs) @ flat
    return total, untied[: len(A)], untied[len(A) :]


def compare_tau_a(A: Array, B: Array, weights: Weights) -> Array:
    """Kendall's tau-a: copies of a pair are tied with each other."""
    total, _, _ = _sum_signs(A, B, weights.pairs)
    n = weights.pairs.sum()
    tau: Array = total / (n * (n - 1) / 2)
    return tau


def compare_tau_b(A: Array, B: Array, weights: Weights) -> Array:
    """Kendall's tau-b; a constant RDM compares as 0."""
    total, untied_a, untied_b = _sum_signs(A, B, weights.pairs)
    norm = np.sqrt(np.outer(untied_a, untied_b))
    tau: Array = np.divide(total, norm, out=np.zeros_like(total), where=norm > 0)
    return tau


KERNELS: dict[str, Callable[[Array, Array, Weights], Array]] = {
    **{name: _multiply(name) for name in NORMALISERS},
    "tau_a": compare_tau_a,
    "tau_b": compare_tau_b,
}
