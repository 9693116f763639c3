"""Many RDMs as one stack, or as their mean, aligned by condition label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.rsa._labelled import need_rdm
from neuroalign.rsa.rdms import find_conditions, to_condensed


def _join_attrs(arrays: list[xr.DataArray]) -> dict[str, Any]:
    """Keep the attrs that all have alike; distances that differ are no one distance."""
    first = arrays[0].attrs
    same = {
        key: value
        for key, value in first.items()
        if all(key in one.attrs and np.array_equal(one.attrs[key], value) for one in arrays)
    }
    kinds = sorted({str(one.attrs.get("kind", "")) for one in arrays})
    if len(kinds) > 1:
        raise SchemaError(f"rdms: expected RDMs of one kind, got {some(kinds)}. Stack them apart.")
    return same if "distance" in same else {**same, "distance": "unknown"}


def _check_lead(name: str, one: xr.DataArray, first: xr.DataArray) -> None:
    same = one.dims == first.dims and one.shape == first.shape
    for dim in first.dims[:-1] if same else ():
        if (dim in first.coords) != (dim in one.coords):
            same = False
        elif dim in first.coords:
            same = same and np.array_equal(one[dim].values, first[dim].values)
    if not same:
        raise AlignError(
            f"rdms['{name}']: expected the leading dims of the first {dict(first.sizes)} with the "
            f"same labels, got {dict(one.sizes)}. Select what all have first."
        )


def split_samples(responses: xr.DataArray, key: str) -> dict[str, xr.DataArray]:
    """Parts by a coord on samples, in order of appearance."""
    labels = responses[key].values.astype(str)
    return {
        name: responses.isel(sample=np.flatnonzero(labels == name)).drop_vars(key)
        for name in dict.fromkeys(labels.tolist())
    }


def stack_rdms(rdms: Mapping[str, xr.DataArray], *, over: str = "subject") -> xr.DataArray:
    """Put RDMs of several subjects, or other units, into one stack.

    Parameters
    ----------
    rdms : mapping of name to DataArray (..., first, second) or (..., pair)
        Of the same conditions in any order, square and condensed mixed; leading dims alike.
    over : str
        The new leading dim, whose labels are the names.

    Returns
    -------
    DataArray (over, ..., pair)
        In the order of conditions of the first. Attrs that all have alike are kept; distances
        that differ become ``unknown``.

    Raises
    ------
    AlignError
        When conditions or leading dims differ.
    SchemaError
        When there is no RDM, kinds differ, or one has the dim already.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> people = {name: from_matrix(rng.random(6), list("abcd")) for name in ("s1", "s2")}
    >>> dict(stack_rdms(people).sizes)
    {'subject': 2, 'pair': 6}
    """
    if not isinstance(rdms, Mapping) or not rdms:
        raise SchemaError(
            f"rdms: expected a mapping of names to RDMs, got {type(rdms).__name__} of "
            f"{len(rdms) if isinstance(rdms, Mapping) else 'no names'}. "
            "Name them: {'sub-01': rdm, ...}."
        )
    for name, one in rdms.items():
        need_rdm(one, f"rdms['{name}']")
    wanted = find_conditions(next(iter(rdms.values())))
    aligned: list[xr.DataArray] = []
    for name, one in rdms.items():
        only = sorted(set(find_conditions(one).tolist()) ^ set(wanted.tolist()))
        if only:
            raise AlignError(
                f"rdms['{name}']: expected the conditions of the first RDM, got {len(only)} in "
                f"one only ({some(only)}). Keep shared ones by rsa.to_condensed(rdm, conditions)."
            )
        if over in one.dims:
            raise SchemaError(
                f"rdms['{name}']: expected no dim '{over}', got {one.dims}. Name another in over=."
            )
        held = to_condensed(one, wanted)
        _check_lead(name, held, aligned[0] if aligned else held)
        aligned.append(held.drop_vars(over, errors="ignore"))
    names = np.array([str(name) for name in rdms], dtype=np.str_)
    first = aligned[0]
    kept = {
        key: coord
        for key, coord in first.coords.items()
        if all(
            key in one.coords and coord.variable.identical(one.coords[key].variable)
            for one in aligned
        )
    }
    return xr.DataArray(
        np.stack([one.values for one in aligned]),
        {**kept, over: names},
        (over, *first.dims),
        attrs=_join_attrs(aligned),
    )


def gather_rdms(
    rdms: Mapping[str, xr.DataArray] | xr.DataArray, name: str, over: str
) -> xr.DataArray:
    """Take RDMs as they come: a labelled stack, or a mapping of names to RDMs.

    Raises
    ------
    AlignError, SchemaError
    """
    if isinstance(rdms, Mapping) and not isinstance(rdms, xr.Dataset):
        for key, one in rdms.items():
            need_rdm(one, f"{name}['{key}']")
        return stack_rdms(rdms, over=over)
    return need_rdm(rdms, name)


def refuse_swapped(models: Any, data: xr.DataArray, over: str) -> None:
    """Say so when what stands first has subjects and what stands second has none.

    Raises
    ------
    SchemaError
    """
    first = models.values() if isinstance(models, Mapping) else [models]
    dims = {str(dim) for one in first if isinstance(one, xr.DataArray) for dim in one.dims}
    if over in dims and data.sizes.get(over, 1) == 1:
        raise SchemaError(
            f"models: expected model RDMs without '{over}', got some with it, and data without. "
            "Are they the wrong way round? Call infer(models, data)."
        )


def average_rdms(
    rdms: Mapping[str, xr.DataArray] | xr.DataArray,
    *,
    over: str = "subject",
    weights: Mapping[str, float] | None = None,
) -> xr.DataArray:
    """Average RDMs pair by pair.

    Parameters
    ----------
    rdms : mapping of name to RDM, or DataArray with dim ``over``
        A mapping is brought together as `stack_rdms` does.
    over : str
        The dim to average.
    weights : mapping of name to float, optional
        0 or more for each label of ``over``; equal when not given.

    Returns
    -------
    DataArray (..., pair)
        A pair that is missing in one RDM is missing in the mean.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> people = {"s1": from_matrix([1.0, 1, 1], "abc"), "s2": from_matrix([3.0, 1, 1], "abc")}
    >>> average_rdms(people, weights={"s1": 3, "s2": 1}).values.tolist()
    [1.5, 1.0, 1.0]
    """
    stack = to_condensed(gather_rdms(rdms, "rdms", over))
    if over not in stack.dims:
        raise SchemaError(f"rdms: expected dim '{over}', got {stack.dims}. Name another in over=.")
    share = np.ones(stack.sizes[over])
    if weights is not None:
        labels = stack[over].values.tolist() if over in stack.coords else []
        if set(weights) != set(labels):
            raise AlignError(
                f"weights: expected one for each of {some(labels)}, got {some(weights)}. Name all."
            )
        share = np.array([weights[label] for label in labels], dtype=np.float64)
    if not np.isfinite(share).all() or (share < 0).any() or share.sum() <= 0:
        raise ValueError(
            f"weights: expected numbers of 0 or more, not all 0, got {share.tolist()}. Use counts."
        )
    axis = stack.dims.index(over)
    mean = np.tensordot(share / share.sum(), np.moveaxis(stack.values, axis, 0), 1)
    return stack.isel({over: 0}, drop=True).copy(data=mean.astype(stack.dtype))
