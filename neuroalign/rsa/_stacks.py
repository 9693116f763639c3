"""RDMs of any form and order as rows of pairs with their labels, and back."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.rsa._pairs import permute_pairs
from neuroalign.rsa.rdms import condense, wrap_condensed

Array = npt.NDArray[Any]
MIN_CONDITIONS = 3


class Stack(NamedTuple):
    """Values (..., pair) in the order of ``np.triu_indices``, labels, and the leading dims."""

    values: Array
    labels: Array
    lead: tuple[str, ...]
    coords: dict[str, Any]


def unfold(rdms: xr.DataArray, name: str) -> Stack:
    """Read one RDM or a stack, square or condensed, pairs in any order.

    Raises
    ------
    SchemaError
        When pairs are missing or come twice, values are not finite, or the RDM is asymmetric.
    """
    values, labels = condense(rdms, name=name)
    lead = rdms.dims[: -2 if rdms.dims[-1] == "second" else -1]
    if len(labels) < MIN_CONDITIONS:
        raise SchemaError(
            f"{name}: expected {MIN_CONDITIONS} conditions or more, got {len(labels)}."
        )
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise SchemaError(
            f"{name}: expected finite dissimilarities, got {int((~np.isfinite(values)).sum())} "
            f"missing of {values.size}. Drop the conditions that lack them."
        )
    coords = {
        str(key): coord
        for key, coord in rdms.coords.items()
        if coord.dims and set(coord.dims) <= set(lead)
    }
    return Stack(values, labels, tuple(map(str, lead)), coords)


def reorder(values: Array, labels: Array, wanted: Array, name: str) -> Array:
    """Bring pairs (..., pair) into the order of the wanted labels, dropping other conditions.

    Raises
    ------
    AlignError
        When a wanted label is missing.
    """
    place = {label: index for index, label in enumerate(labels.tolist())}
    missing = [label for label in wanted.tolist() if label not in place]
    if missing:
        raise AlignError(
            f"{name}: expected the conditions of the data, missing {len(missing)} of "
            f"{len(wanted)} ({some(missing)}). Name conditions alike in both."
        )
    order = np.array([place[label] for label in wanted.tolist()])
    return permute_pairs(values, order, len(labels))


def fold(
    values: Array,
    labels: Array,
    lead: Sequence[str] = (),
    coords: Mapping[str, Any] | None = None,
    distance: str = "model",
) -> xr.DataArray:
    """Label pairs (..., pair) as a condensed stack."""
    attrs = {"kind": "dissimilarity", "distance": distance}
    return wrap_condensed(values, labels, tuple(lead), dict(coords or {})).assign_attrs(attrs)
