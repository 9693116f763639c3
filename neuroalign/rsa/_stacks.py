"""RDMs of any form and order as rows of pairs with their labels, and back."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.schema import check_rdm

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
    check_rdm(rdms, name)
    if rdms.attrs.get("kind") == "cross":
        raise SchemaError(
            f"{name}: expected kind 'dissimilarity', got 'cross'. Average both halves first."
        )
    if rdms.dims[-1] == "pair":
        values, labels = _from_pairs(rdms, name)
        lead = rdms.dims[:-1]
    else:
        labels = np.asarray(rdms["first"].values)
        values = rdms.values[..., *np.triu_indices(len(labels), 1)]
        lead = rdms.dims[:-2]
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


def _from_pairs(rdms: xr.DataArray, name: str) -> tuple[Array, Array]:
    for coord in ("first", "second"):
        if coord not in rdms.coords:
            raise SchemaError(f"{name}: expected coord '{coord}' on 'pair', got none. Assign it.")
    first, second = np.asarray(rdms["first"].values), np.asarray(rdms["second"].values)
    mixed = np.stack([first, second], axis=1).ravel()
    labels = mixed[np.sort(np.unique(mixed, return_index=True)[1])]
    place = {label: index for index, label in enumerate(labels.tolist())}
    a = np.array([place[label] for label in first.tolist()])
    b = np.array([place[label] for label in second.tolist()])
    n = len(labels)
    where = np.full((n, n), -1)
    where[a, b] = where[b, a] = np.arange(len(a))
    upper = where[np.triu_indices(n, 1)]
    if len(a) != n * (n - 1) // 2 or (upper < 0).any():
        raise SchemaError(
            f"{name}: expected each of {n * (n - 1) // 2} pairs of {n} conditions once, got "
            f"{len(a)} pairs. Keep both labels of a pair together when selecting."
        )
    return rdms.values[..., upper], labels


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


def permute_pairs(values: Array, order: Array, n: int) -> Array:
    """Take pairs (..., pair) of n conditions in a new order of conditions."""
    a, b = np.triu_indices(len(order), 1)
    low, high = np.minimum(order[a], order[b]), np.maximum(order[a], order[b])
    taken: Array = values[..., low * n - low * (low + 1) // 2 + high - low - 1]
    return taken


def fold(
    values: Array,
    labels: Array,
    lead: Sequence[str] = (),
    coords: Mapping[str, Any] | None = None,
    distance: str = "model",
) -> xr.DataArray:
    """Label pairs (..., pair) as a condensed stack."""
    first, second = np.triu_indices(len(labels), 1)
    named = {"first": ("pair", labels[first]), "second": ("pair", labels[second])}
    attrs = {"kind": "dissimilarity", "distance": distance}
    return xr.DataArray(values, {**(coords or {}), **named}, (*lead, "pair"), attrs=attrs)
