"""Representational similarity analysis as a measure: how alike two RDMs are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose
from neuroalign.rsa import _comparison_kernels as kernels
from neuroalign.rsa._pairs import find_pairs, square_up
from neuroalign.rsa.distances import DISTANCES, compute_rdm
from neuroalign.similarity._measures import double_center, scale_to_unit

Array = npt.NDArray[Any]


def _entries(name: str) -> Callable[[Array], Array]:
    """Normalise the entries of the upper triangle, and put half of each in both triangles."""

    def normalise(square: Array) -> Array:
        rows = square[find_pairs(len(square))][None]
        unit = kernels.NORMALISERS[name](rows, kernels.weigh(rows.shape[1]))
        halved: Array = square_up(unit / np.sqrt(2))[0]
        return halved

    return normalise


def _whitened(square: Array) -> Array:
    """With equal noise of conditions, whitening is centring (Diedrichsen et al. 2021)."""
    return scale_to_unit(double_center(-square / 2))


# Only comparisons that are an inner product: others are in ``rsa.compare_rdms``.
NORMALISERS: dict[str, Callable[[Array], Array]] = {
    "pearson": _entries("pearson"),
    "spearman": _entries("spearman"),
    "cosine": _entries("cosine"),
    "rho_a": _entries("rho_a"),
    "whitened_cosine": _whitened,
}


def prepare_rdm(square: Array, *, comparison: str = "pearson") -> Array:
    """Normalise an RDM so that the comparison is an inner product: (n, n).

    References
    ----------
    Kriegeskorte, Mur & Bandettini (2008), doi:10.3389/neuro.06.004.2008; Schütt et al. (2023),
    eLife 12:e82566 (rho_a, whitening).
    """
    normalise = choose(NORMALISERS, comparison, "params['comparison']")
    return normalise(np.asarray(square, dtype=np.float64))


def prepare_rsa(X: Array, *, distance: str = "correlation", comparison: str = "pearson") -> Array:
    """Compute an RDM as `neuroalign.rsa.compute_rdm` does and normalise it: (n, n).

    ``distance`` is a name in ``rsa.DISTANCES`` that needs neither folds nor noise.

    Raises
    ------
    SchemaError
        For patterns that have no such distance, as constant ones have no correlation.
    """
    choose(NORMALISERS, comparison, "params['comparison']")
    square = _measure(X, distance)
    lost = int(np.isnan(square).any(axis=1).sum()) if np.isnan(square).any() else 0
    if lost:
        alone = np.isnan(square).sum(axis=1) == len(square) - 1
        raise SchemaError(
            f"a, b: expected patterns that have a {distance} distance, got {int(alone.sum())} "
            "stimuli with a constant pattern. Leave them out, or use params "
            "{'distance': 'squared_euclidean'}."
        )
    return prepare_rdm(square, comparison=comparison)


# Products of rows: single precision is lost once, not in differences, and takes half the time.
BY_PRODUCT = ("correlation", "cosine")


def _measure(X: Array, distance: str) -> Array:
    if distance in BY_PRODUCT:
        if distance == "correlation":
            # A mean in double precision leaves 0 of a constant pattern.
            X = X - X.mean(axis=1, keepdims=True, dtype=np.float64).astype(X.dtype)
        return np.asarray(DISTANCES[distance].kernel(X[None])[0])
    # Names that sort as the rows stand.
    names = np.array([f"{row:09d}" for row in range(len(X))])
    data = xr.DataArray(X, {"stimulus": ("sample", names)}, ("sample", "feature"))
    return np.asarray(compute_rdm(data, distance=distance).values)
