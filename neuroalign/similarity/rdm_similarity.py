"""Representational similarity analysis as a measure: how alike two RDMs are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose
from neuroalign.rsa import _comparison_kernels as kernels
from neuroalign.rsa._pairs import square_up
from neuroalign.rsa.distances import compute_rdm
from neuroalign.similarity._measures import double_center, scale_to_unit

Array = npt.NDArray[Any]


def _entries(name: str) -> Callable[[Array], Array]:
    """Normalise the entries of the upper triangle, and put half of each in both triangles."""

    def normalise(square: Array) -> Array:
        rows = square[np.triu_indices(len(square), 1)][None]
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
    """Compute an RDM by `neuroalign.rsa.compute_rdm` and normalise it: (n, n).

    ``distance`` is a name in ``rsa.DISTANCES`` that needs neither folds nor noise.
    """
    choose(NORMALISERS, comparison, "params['comparison']")
    # Names that sort as the rows stand.
    names = np.array([f"{row:09d}" for row in range(len(X))])
    data = xr.DataArray(X, {"stimulus": ("sample", names)}, ("sample", "feature"))
    return prepare_rdm(compute_rdm(data, distance=distance).values, comparison=comparison)
