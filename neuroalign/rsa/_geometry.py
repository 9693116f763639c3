"""Comparisons of RDMs as shapes: Bures similarity and Riemannian distance of their kernels."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from neuroalign.errors import SchemaError
from neuroalign.rsa._pairs import count_conditions, square_up

Array = npt.NDArray[Any]
# Kernels of RDMs that no points have are brought to the nearest that some have.
FLOOR = 1e-12


def center_kernels(A: Array) -> Array:
    """Centred inner products (a, n, n) of points whose squared distances are A (a, pair)."""
    squared = square_up(A)
    row = squared.mean(axis=1, keepdims=True)
    kernel: Array = -(squared - row - np.swapaxes(row, 1, 2) + row.mean(axis=2, keepdims=True)) / 2
    return kernel


def take_roots(kernels: Array) -> Array:
    """Points (a, n, n) whose inner products are the kernels; negative eigenvalues become 0."""
    values, vectors = np.linalg.eigh(kernels)
    roots: Array = vectors * np.sqrt(np.clip(values, 0, None))[:, None, :]
    return roots


def bures_similarity(A: Array, B: Array) -> Array:
    """Normalised Bures similarity: ``|X'Y|_* / (|X| |Y|)``, X and Y points with distances A, B."""
    X, Y = take_roots(center_kernels(A)), take_roots(center_kernels(B))
    size_x, size_y = (np.linalg.norm(Z, axis=(1, 2)) for Z in (X, Y))
    out = np.empty((len(A), len(B)))
    for i, x in enumerate(X):
        out[i] = np.linalg.svd(x.T @ Y, compute_uv=False).sum(axis=1)
    size = np.outer(size_x, size_y)
    return np.asarray(np.divide(out, size, out=np.zeros_like(out), where=size > 0))


def _second_moments(A: Array) -> Array:
    """Positive definite second moments (a, n - 1, n - 1) of contrasts against the first."""
    n = count_conditions(A.shape[1])
    contrasts = np.concatenate([-np.ones((n - 1, 1)), np.eye(n - 1)], axis=1)
    moments: Array = contrasts @ center_kernels(A) @ contrasts.T
    return moments


def _add_noise(A: Array, ridge: float) -> Array:
    """Add a share of the mean distance to each distance, as independent noise does."""
    if not ridge:
        return A
    return np.asarray(A + ridge * np.clip(A.mean(axis=1, keepdims=True), 0, None))


def find_definite(A: Array, ridge: float = 0.0) -> Array:
    """Which RDMs (a, pair) have positive definite second moments."""
    low = np.linalg.eigvalsh(_second_moments(_add_noise(A, ridge)))
    return np.asarray(low[:, 0] > FLOOR * low[:, -1])


def riemannian_distance(
    A: Array, B: Array, *, ridge: float = 0.0, names: tuple[str, str] = ("a", "b")
) -> Array:
    """Negative affine-invariant distance of second moments, over scale and added noise of A.

    ``min |log eig(exp(s) G_a + exp(t) N, G_b)|`` over s and t, N the moments of equal noise.
    Shahbazi et al. (2021), NeuroImage 239, doi:10.1016/j.neuroimage.2021.118271.

    Raises
    ------
    SchemaError
        When second moments are not positive definite.
    """
    noise = np.ones((count_conditions(A.shape[1]) - 1,) * 2)
    noise.flat[:: len(noise) + 1] += 1
    A, B = _add_noise(A, ridge), _add_noise(B, ridge)
    first, second = _second_moments(A), _second_moments(B)
    for name, rows, moments in zip(names, (A, B), (first, second), strict=True):
        flat = int((~find_definite(rows)).sum())
        if flat:
            raise SchemaError(
                f"{name}: expected RDMs whose second moments are positive definite for method "
                f"'riemannian', got {flat} of {len(moments)} that are not (conditions with equal "
                "patterns, fewer channels than conditions, or noisy crossvalidated distances). "
                f"Use ridge={max(2 * ridge, 0.1):g} or more, which adds noise, or 'bures' or "
                "'whitened_cosine', or average more data."
            )
    return -np.array([[_fit_distance(a, b, noise) for b in second] for a in first])


def _fit_distance(first: Array, second: Array, noise: Array) -> float:
    """Distance to the second moments, NaN when these are not positive definite."""
    try:
        lower = linalg.cholesky(second, lower=True)
    except linalg.LinAlgError:
        return float("nan")

    def whiten(matrix: Array) -> Array:
        half = linalg.solve_triangular(lower, matrix, lower=True)
        made: Array = linalg.solve_triangular(lower, half.T, lower=True)
        return made

    ours, added = whiten(first), whiten(noise)

    def measure(theta: Array) -> float:
        values = np.linalg.eigvalsh(np.exp(theta[0]) * ours + np.exp(theta[1]) * added)
        return float(np.linalg.norm(np.log(np.maximum(values, FLOOR))))

    # Noise may be far below the signal: from several starts the best is kept.
    starts = [(0.0, 0.0), (0.0, -8.0), (0.0, -20.0)]
    found = [optimize.minimize(measure, start, method="Nelder-Mead") for start in starts]
    return float(min(result.fun for result in found))
