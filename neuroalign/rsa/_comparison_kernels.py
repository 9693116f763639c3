"""Comparisons of RDMs on bare arrays: (a, pair) against (b, pair) gives (a, b).

Most similarities are inner products of transformed RDMs: ``normalise_<name>(A, weights)`` gives
rows Z with ``similarity = Z_a @ Z_b.T``, so that means of Z rows are the best average RDMs that a
noise ceiling needs. Pairs are in the order of ``numpy.triu_indices(n, 1)``; a bootstrap over
conditions is a ``Weights`` with their multiplicities, never a copied RDM.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg

from neuroalign.rsa._pairs import count_conditions, find_pairs, square_up, weigh_pairs
from neuroalign.rsa._ranks import rank_rows, sum_signs

Array = npt.NDArray[Any]
# Below this share of its size an RDM is constant, but for rounding.
FLAT = 1e-13


class Weights(NamedTuple):
    """How often each condition (n,) and each pair (pair,) counts; a missing pair counts 0."""

    conditions: Array
    pairs: Array


Compare = Callable[[Array, Array, Weights], Array]


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
    pairs = weigh_pairs(conditions)
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
    flat = np.abs(centred[:, used]).max(axis=1, initial=0.0) <= FLAT * size
    centred[flat] = 0.0
    return centred


def normalise_cosine(A: Array, weights: Weights) -> Array:
    """Unit norm."""
    return scale_to_unit(A * np.sqrt(weights.pairs))


def normalise_pearson(A: Array, weights: Weights) -> Array:
    """Mean 0, unit norm."""
    return scale_to_unit(center_rows(A, weights.pairs) * np.sqrt(weights.pairs))


def scale_ranks(R: Array, weights: Weights) -> Array:
    """Ranks with mean 0 over the norm of ranks without ties."""
    n = weights.pairs.sum()
    scaled: Array = R * np.sqrt(12 * weights.pairs / max(n**3 - n, 1.0))
    return scaled


def normalise_spearman(A: Array, weights: Weights) -> Array:
    """Ranks with mean 0 and unit norm; ties raise it (see rho-a)."""
    return normalise_pearson(rank_rows(A, weights.pairs), weights)


def normalise_rho_a(A: Array, weights: Weights) -> Array:
    """Ranks with mean 0 over the norm of ranks without ties.

    ``12 x'y / (n^3 - n) - 3 (n + 1) / (n - 1)`` is this product: what random breaking of ties
    gives on average, so that models that predict ties are not favoured.
    """
    return scale_ranks(rank_rows(A, weights.pairs), weights)


def find_effects(sums: Array, counts: Array) -> Array:
    """Best effects (row, n) of conditions on inner products of complete, repeated RDMs.

    With g = -d / 2, sums h_a = sum_b c_b g_ab and N = sum(c), the normal equations are
    ``(N - 2 c_a + 2) u_a + sum_b c_b u_b = h_a``: a diagonal and one outer product.
    """
    spread = counts.sum() - 2 * counts + 2
    scaled = sums / spread
    common = (scaled @ counts) / (1 + (counts / spread).sum())
    effects: Array = scaled - common[:, None] / spread
    return effects


def normalise_whitened_cosine(A: Array, weights: Weights) -> Array:
    """Unit norm under the inverse covariance of distances whose conditions have equal noise.

    That covariance V (4 for a pair with itself, 1 for pairs that share a condition) makes
    ``x' V^-1 y`` the product of ``-d / 2`` after the best row and column effects are removed, with
    a zero diagonal among the data: n x n normal equations instead of pair x pair.
    """
    counts = weights.conditions
    first, second = find_pairs(len(counts))
    gram = -A / 2
    if np.array_equal(weights.pairs, weigh_pairs(counts)):
        effects = find_effects(square_up(gram) @ counts, counts)
    else:
        table = square_up(weights.pairs[None])[0]
        diagonal = table.sum(axis=1) + 2 * counts
        # A condition that was never drawn has no effect to be found.
        normal = table + np.diag(np.where(diagonal > 0, diagonal, 1.0))
        # A missing pair has no weight, whatever its value.
        sums = (square_up(gram) * table).sum(axis=2)
        effects = linalg.solve(normal, sums.T, assume_a="pos").T
    residual = (gram - effects[:, first] - effects[:, second]) * np.sqrt(2 * weights.pairs)
    diagonals = 2 * effects * np.sqrt(counts)
    return scale_to_unit(np.concatenate([residual, diagonals], axis=1))


def normalise_whitened_correlation(A: Array, weights: Weights) -> Array:
    """As the whitened cosine, after the mean is subtracted (which is the best one under V)."""
    return normalise_whitened_cosine(center_rows(A, weights.pairs), weights)


def compare_by_conditions(A: Array, B: Array, sigma: Array, *, center: bool) -> Array:
    """Whitened cosine, or correlation with the generalised least squares mean, for any sigma.

    For V = Xi * Xi, Xi the covariance of pair contrasts, ``x' V^-1 y = tr(Q X Q Y) / 4``, where
    ``Q = S^-1 - S^-1 1 1' S^-1 / (1' S^-1 1)`` and X, Y are square distances: one product of
    matrices for each RDM.

    Parameters
    ----------
    A, B : array (a, pair), (b, pair)
    sigma : array (n, n)
        Noise covariance S of the condition estimates, positive definite.

    Returns
    -------
    array (a, b)
    """
    n = len(sigma)
    precision = linalg.cho_solve(linalg.cho_factor(sigma, lower=True), np.eye(n))
    away = precision.sum(axis=1)
    Q = precision - np.outer(away, away) / away.sum()

    def weigh_rows(rows: Array) -> Array:
        squares = square_up(rows)
        # Effects of rows and columns cancel in Q: taken out before, they cost no digits.
        squares -= squares.mean(axis=2, keepdims=True)
        squares -= squares.mean(axis=1, keepdims=True)
        made: Array = (squares.reshape(-1, n) @ Q).reshape(squares.shape)
        return made

    left, right = weigh_rows(A), weigh_rows(B)
    if center:
        one = weigh_rows(np.ones((1, A.shape[1])))[0]
        size = np.vdot(one, one.T)
        for made, rows in ((left, A), (right, B)):
            made -= (made.reshape(len(made), -1) @ one.T.ravel() / size)[:, None, None] * one
            made[np.ptp(rows, axis=1) <= FLAT * np.abs(rows).max(axis=1, initial=0.0)] = 0.0
    turned = np.ascontiguousarray(np.swapaxes(right, 1, 2)).reshape(len(right), -1)
    inner = left.reshape(len(left), -1) @ turned.T
    norms = [np.sqrt(np.einsum("aij,aji->a", made, made).clip(0)) for made in (left, right)]
    size = np.outer(*norms)
    similarity: Array = np.divide(inner, size, out=np.zeros_like(inner), where=size > 0)
    return similarity


def covary_distances(n: int, sigma: Array, signal: Array | None, n_folds: int) -> Array:
    """Covariance (pair, pair) of crossnobis distances, up to a factor.

    ``4 / M * Delta * Xi + 2 / (M (M - 1)) * Xi * Xi``, Xi the covariance of pair contrasts and
    Delta their second moments of signal, from the RDM ``signal`` (pair,). Diedrichsen et al.
    (2020), arXiv:2007.02789.
    """
    first, second = find_pairs(n)

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
        Z[np.ptp(A, axis=1) <= FLAT * np.abs(A).max(axis=1, initial=0.0)] = 0.0
    return scale_to_unit(Z)


NORMALISERS: dict[str, Callable[[Array, Weights], Array]] = {
    "cosine": normalise_cosine,
    "pearson": normalise_pearson,
    "spearman": normalise_spearman,
    "rho_a": normalise_rho_a,
    "whitened_cosine": normalise_whitened_cosine,
    "whitened_correlation": normalise_whitened_correlation,
}


def _multiply(normalise: Callable[[Array, Weights], Array]) -> Compare:
    def compare(A: Array, B: Array, weights: Weights) -> Array:
        similarity: Array = normalise(A, weights) @ normalise(B, weights).T
        return similarity

    return compare


def compare_tau_a(A: Array, B: Array, weights: Weights) -> Array:
    """Kendall's tau-a: copies of a pair are tied with each other."""
    total, _, _ = sum_signs(A, B, weights.pairs)
    n = weights.pairs.sum()
    tau: Array = total / (n * (n - 1) / 2)
    return tau


def compare_tau_b(A: Array, B: Array, weights: Weights) -> Array:
    """Kendall's tau-b; a constant RDM compares as 0."""
    total, untied_a, untied_b = sum_signs(A, B, weights.pairs)
    norm = np.sqrt(np.outer(untied_a, untied_b))
    tau: Array = np.divide(total, norm, out=np.zeros_like(total), where=norm > 0)
    return tau


TAUS: dict[str, Compare] = {"tau_a": compare_tau_a, "tau_b": compare_tau_b}
KERNELS: dict[str, Compare] = {
    **{name: _multiply(normalise) for name, normalise in NORMALISERS.items()},
    **TAUS,
}
# What follows when the rows are ranks already, as `rank_rows` gives them.
RANK_KERNELS: dict[str, Compare] = {
    "spearman": _multiply(normalise_pearson),
    "rho_a": _multiply(scale_ranks),
    **TAUS,
}
