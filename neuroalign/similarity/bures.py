"""Bures distance and its normalised similarity, between covariances.

In: positive semidefinite matrices (..., unit, unit). Out: an array (...). Of covariances between
stimuli it is the Procrustes distance of the representations; of covariances between units it is
the 2-Wasserstein distance of two centred Gaussians.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError

Array = npt.NDArray[Any]
# Rounding may leave eigenvalues this far below 0, relative to the largest.
SLACK = 1e-8


def take_root(matrices: Array) -> Array:
    """Symmetric roots of positive semidefinite matrices (..., p, p); negative eigenvalues as 0."""
    values, vectors = np.linalg.eigh(matrices)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(
        vectors, -1, -2
    )
    return root


def sum_singular(products: Array) -> Array:
    """Nuclear norm of matrices (..., p, q)."""
    total: Array = np.linalg.svd(products, compute_uv=False).sum(axis=-1)
    return total


def _read(values: Any, name: str) -> Array:
    matrix: Array = np.asarray(values, dtype=np.float64)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise SchemaError(
            f"{name}: expected square matrices (..., unit, unit), got shape {matrix.shape}. "
            "Pass covariances, or Gram matrices of centred units."
        )
    scale = np.abs(matrix).max(axis=(-1, -2), initial=0.0)[..., None, None]
    if not (np.abs(matrix - np.swapaxes(matrix, -1, -2)) <= SLACK * scale).all():
        raise SchemaError(
            f"{name}: expected finite symmetric matrices, got others. Average it with its "
            "transpose if rounding made it so."
        )
    values = np.linalg.eigvalsh(matrix)
    if (values < -SLACK * scale[..., 0]).any():
        raise SchemaError(
            f"{name}: expected no negative eigenvalues, got {values.min():.3g}. "
            "Crossvalidated estimates are no covariances; shrink it or pass the plain one."
        )
    return matrix


def _measure(A: Any, B: Any) -> tuple[Array, Array, Array]:
    one, other = _read(A, "A"), _read(B, "B")
    if one.shape[-1] != other.shape[-1]:
        raise SchemaError(
            f"B: expected {one.shape[-1]} units as A, got {other.shape[-1]}. "
            "Compare Gram matrices of the same stimuli, or pad with zeros."
        )
    fidelity = sum_singular(take_root(one) @ take_root(other))
    return fidelity, np.trace(one, axis1=-2, axis2=-1), np.trace(other, axis1=-2, axis2=-1)


def bures_distance(A: Any, B: Any) -> Array:
    """Bures distance of covariances: the least distance between their roots under rotation.

    Parameters
    ----------
    A, B : array (..., unit, unit)
        Symmetric, positive semidefinite.

    Returns
    -------
    array (...)
        ``sqrt(tr A + tr B - 2 tr (A^1/2 B A^1/2)^1/2)``, a metric.

    Raises
    ------
    SchemaError
        When a matrix is not symmetric or has negative eigenvalues, or sizes differ.

    References
    ----------
    Bhatia, Jain & Lim (2019), Expo. Math. 37(2), doi:10.1016/j.exmath.2018.01.002.

    Examples
    --------
    >>> float(bures_distance(np.diag([4.0, 1.0]), np.diag([1.0, 1.0])))
    1.0
    """
    fidelity, one, other = _measure(A, B)
    distance: Array = np.sqrt(np.maximum(one + other - 2 * fidelity, 0.0))
    return distance


def bures_similarity(A: Any, B: Any) -> Array:
    """Normalised Bures similarity (NBS) of covariances.

    Parameters
    ----------
    A, B : array (..., unit, unit)
        Symmetric, positive semidefinite.

    Returns
    -------
    array (...)
        ``tr (A^1/2 B A^1/2)^1/2 / sqrt(tr A tr B)``, 0 to 1: the cosine of the angular Procrustes
        distance when A and B are Gram matrices between stimuli. NaN for a matrix of zeros.

    Raises
    ------
    SchemaError

    References
    ----------
    Tang, Maddox, Dickens, Diethe & Damianou (2020), arXiv:2003.11498; Harvey, Larsen & Williams
    (2024), PMLR 243, on its duality with Procrustes.

    Examples
    --------
    >>> float(bures_similarity(np.eye(2), 3 * np.eye(2)).round(6))
    1.0
    """
    fidelity, one, other = _measure(A, B)
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity: Array = np.clip(fidelity / np.sqrt(one * other), 0.0, 1.0)
    return similarity
