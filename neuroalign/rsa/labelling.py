"""Bare matrices of distances as labelled RDMs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose, some
from neuroalign.rsa._labelled import check_rdm
from neuroalign.rsa.rdms import wrap_condensed, wrap_square

KINDS = ("dissimilarity", "cross")
# Of the largest value; single precision leaves a tenth of it.
ROUNDING = 1e-6


def _clear_diagonal(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Dissimilarities without what rounding left on their diagonal; others are refused."""
    size = float(np.nanmax(np.abs(array), initial=0.0))
    diagonal = np.diagonal(array, axis1=-2, axis2=-1)
    own = float(np.nanmax(np.abs(diagonal), initial=0.0))
    skew = float(np.nanmax(np.abs(array - np.swapaxes(array, -1, -2)), initial=0.0))
    if own > ROUNDING * size:
        raise SchemaError(
            f"values: expected a symmetric RDM with zero diagonal, got {own:.3g} on it. "
            "Turn similarities into distances first (1 - r); kind='cross' is for distances of two "
            "independent measurements."
        )
    if skew > 10 * ROUNDING * size:
        raise SchemaError(
            f"values: expected a symmetric RDM with zero diagonal, got entries that differ by "
            f"{skew:.3g} from their mirror image. Use kind='cross', or average both halves."
        )
    cleared = array.copy()
    # A missing value stays: it says that the condition was not measured.
    rounded = np.where(np.isnan(diagonal), diagonal, 0).astype(array.dtype)
    places = np.arange(array.shape[-1])
    cleared[..., places, places] = rounded
    return cleared


def from_matrix(
    values: npt.ArrayLike,
    conditions: Sequence[str],
    *,
    kind: str = "dissimilarity",
    distance: str = "unknown",
    lead: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Label a bare RDM, or a stack of them.

    Parameters
    ----------
    values : array (..., n, n) or (..., n (n - 1) / 2)
        Square, or the pairs above the diagonal row by row, as ``scipy.spatial.distance.pdist``
        and ``rsatoolbox.rdm.RDMs.dissimilarities`` hold them.
    conditions : sequence of str (n,)
        As ``rdms.pattern_descriptors[...]`` names them in rsatoolbox.
    kind : {"dissimilarity", "cross"}
    distance : str
        Name of the distance, such as "correlation".
    lead : mapping of dim to labels, optional
        The leading dims in order, such as ``{"subject": ["s1", "s2"]}``.

    Returns
    -------
    DataArray (..., first, second) or (..., pair)

    Raises
    ------
    SchemaError
        When shapes do not fit the labels, or a dissimilarity is asymmetric or has a diagonal
        other than 0; what rounding leaves there, as ``1 - np.corrcoef(x)`` does, becomes 0.
    ValueError

    Examples
    --------
    >>> from_matrix([1.0, 2.0, 3.0], ["face", "house", "tool"]).sizes["pair"]
    3
    """
    choose(dict.fromkeys(KINDS), kind, "kind")
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise SchemaError(f"values: expected numbers, got {array.dtype}. Convert them to float.")
    array = array.astype(array.dtype if array.dtype.kind == "f" else np.float64)
    names = np.asarray(list(conditions)).astype(np.str_)
    n, leading = len(names), dict(lead or {})
    if len(set(names.tolist())) < n:
        found, counts = np.unique(names, return_counts=True)
        raise SchemaError(
            f"conditions: expected each name once, got copies of {some(found[counts > 1])}. "
            "Number them."
        )
    square = array.ndim >= 2 and array.shape[-2:] == (n, n) and array.ndim == len(leading) + 2
    condensed = array.shape[-1:] == (n * (n - 1) // 2,) and array.ndim == len(leading) + 1
    sizes = tuple(len(labels) for labels in leading.values())
    if not (square or condensed) or array.shape[: len(sizes)] != sizes:
        raise SchemaError(
            f"values: expected shape {(*sizes, n, n)} or {(*sizes, n * (n - 1) // 2)} for {n} "
            f"conditions, got {array.shape}. Name leading dims by lead={{'subject': [...]}}."
        )
    if square and kind == "dissimilarity":
        array = _clear_diagonal(array)
    wrap = wrap_square if square else wrap_condensed
    coords = {dim: np.asarray(labels) for dim, labels in leading.items()}
    made = wrap(array, names, tuple(leading), coords)
    return check_rdm(made.assign_attrs(kind=kind, distance=distance), "values")
