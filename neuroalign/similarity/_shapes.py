"""Kernels of the shape metrics: partial whitening, the best move of units, and what is left."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from neuroalign.errors import AlignError, SchemaError
from neuroalign.similarity._pairs import center, read_pair, read_units

Array = npt.NDArray[Any]


def rotate_units(products: Array) -> Array:
    left, _, right = np.linalg.svd(products, full_matrices=False)
    best: Array = left @ right
    return best


def permute_units(products: Array) -> Array:
    best = np.zeros(products.shape)
    best[linear_sum_assignment(products, maximize=True)] = 1.0
    return best


GROUPS: dict[str, Callable[[Array], Array]] = {
    "orthogonal": rotate_units,
    "permutation": permute_units,
}


def _sum_rotated(products: Array) -> float:
    # The nuclear norm needs no singular vectors.
    return float(np.linalg.svd(products, compute_uv=False).sum())


def _sum_permuted(products: Array) -> float:
    return float(products[linear_sum_assignment(products, maximize=True)].sum())


OVERLAPS: dict[str, Callable[[Array], float]] = {
    "orthogonal": _sum_rotated,
    "permutation": _sum_permuted,
}


def finish_euclidean(overlap: float, one: float, other: float) -> float:
    return float(np.sqrt(max(one**2 + other**2 - 2 * overlap, 0.0)))


def finish_cosine(overlap: float, one: float, other: float) -> float:
    product = one * other
    return float(np.clip(overlap / product, -1.0, 1.0)) if product > 0 else float("nan")


def finish_angular(overlap: float, one: float, other: float) -> float:
    return float(np.arccos(finish_cosine(overlap, one, other)))


METRICS: dict[str, Callable[[float, float, float], float]] = {
    "angular": finish_angular,
    "euclidean": finish_euclidean,
}


def whiten_partly(X: Array, alpha: float = 1.0) -> Array:
    """Centre, and shrink the spread of principal axes towards a common one.

    Parameters
    ----------
    X : array (n, p)
    alpha : float
        1 leaves the axes as they are, 0 gives them all the same variance.

    Returns
    -------
    array (n, p)
        Of the same total variance; the map is symmetric, so that it commutes with rotations and
        permutations of units.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha: expected 0 (CCA-like) to 1 (Procrustes), got {alpha}. 1 is usual."
        )
    X = center(X)
    if alpha == 1:
        return X
    left, lengths, right = np.linalg.svd(X, full_matrices=False)
    kept = lengths > lengths.max(initial=0.0) * max(X.shape) * np.finfo(np.float64).eps
    if not kept.any():
        return X
    left, lengths, right = left[:, kept], lengths[kept], right[kept]
    total = (lengths**2).sum()
    typical = np.sqrt((lengths**4).sum() / total)
    spread = alpha * lengths + (1 - alpha) * typical
    spread *= np.sqrt(total / (spread**2).sum())
    whitened: Array = (left * spread) @ right
    return whitened


def reduce_units(X: Array) -> Array:
    """Rotate to no more units than samples, which rotations do not see."""
    if X.shape[1] <= len(X):
        return X
    left, lengths, _ = np.linalg.svd(X, full_matrices=False)
    reduced: Array = left * lengths
    return reduced


def keep_units(X: Array) -> Array:
    return X


REDUCTIONS: dict[str, Callable[[Array], Array]] = {
    "orthogonal": reduce_units,
    "permutation": keep_units,
}


def pad_units(X: Array, n_units: int) -> Array:
    """Add units that are always 0."""
    padded: Array = np.pad(X, [(0, 0), (0, n_units - X.shape[1])])
    return padded


def measure(one: Array, other: Array, group: str, finish: Any) -> float:
    overlap = OVERLAPS[group](one.T @ other)
    return float(finish(overlap, np.linalg.norm(one), np.linalg.norm(other)))


def read_several(
    representations: Mapping[str, Any], alpha: float, reduce: Callable[[Array], Array]
) -> list[Array]:
    """Whiten each once, and pad all to the largest."""
    if len(representations) < 2:
        raise SchemaError(
            f"representations: expected 2 or more, got {len(representations)}. "
            "Pass a mapping of name to array (sample, unit)."
        )
    names = list(representations)
    for name in names[1:]:
        try:
            read_pair(representations[names[0]], representations[name])
        except AlignError as error:
            raise AlignError(f"representations: '{name}' against '{names[0]}': {error}") from error
    shapes = [
        reduce(whiten_partly(read_units(values, name), alpha))
        for name, values in representations.items()
    ]
    largest = max(shape.shape[1] for shape in shapes)
    return [pad_units(shape, largest) for shape in shapes]
