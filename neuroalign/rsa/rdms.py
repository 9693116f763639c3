"""Square and condensed RDMs, and two of them brought into one order of conditions."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.schema import check_rdm

Array = npt.NDArray[Any]
HOW = {"strict": True, "inner": False}


def find_conditions(rdm: xr.DataArray) -> npt.NDArray[np.str_]:
    """Name the conditions of an RDM in the order in which they first appear.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    array of str (condition,)

    Raises
    ------
    SchemaError
    """
    check_rdm(rdm)
    if rdm.dims[-1] == "second":
        return np.asarray(rdm["first"].values)
    missing = {"first", "second"} - set(map(str, rdm.coords))
    if missing:
        raise SchemaError(
            f"rdm: expected coords 'first' and 'second' on 'pair', missing {sorted(missing)}. "
            "Name both conditions of each pair."
        )
    both = np.concatenate([rdm["first"].values[:1], rdm["second"].values, rdm["first"].values])
    _, place = np.unique(both, return_index=True)
    return np.asarray(both[np.sort(place)])


def _place_pairs(rdm: xr.DataArray, labels: Array) -> tuple[Array, Array]:
    """Give rows and columns of the pairs of a condensed RDM, each pair exactly once."""
    order = np.argsort(labels)
    rows, columns = (
        order[np.searchsorted(labels, rdm[end].values, sorter=order)] for end in ("first", "second")
    )
    n = len(labels)
    key = np.minimum(rows, columns) * n + np.maximum(rows, columns)
    complete = len(np.unique(key)) == len(key) == n * (n - 1) // 2 and (rows != columns).all()
    if not complete:
        raise SchemaError(
            f"rdm: expected each of the {n * (n - 1) // 2} pairs of {n} conditions once, "
            f"got {len(np.unique(key))} different ones in {len(key)}. Fill absent pairs with NaN."
        )
    return rows, columns


def _condition_coords(rdm: xr.DataArray, labels: Array) -> dict[str, Array]:
    """What is known of each condition besides its name, such as its category."""
    square = rdm.dims[-1] == "second"
    known: dict[str, Array] = {}
    for end in ("first", "second"):
        dim = end if square else "pair"
        for key, coord in rdm.coords.items():
            suffix = str(key).removeprefix(f"{end}_")
            if suffix == str(key) or coord.dims != (dim,):
                continue
            table = dict(zip(rdm[end].values.tolist(), coord.values.tolist(), strict=True))
            held = known.get(suffix)
            old = {} if held is None else dict(zip(labels.tolist(), held.tolist(), strict=True))
            merged = {**{k: v for k, v in old.items() if v is not None}, **table}
            known[suffix] = np.array([merged.get(label) for label in labels.tolist()], dtype=object)
    return {key: np.array(values.tolist()) for key, values in known.items()}


def _lead_coords(rdm: xr.DataArray, lead: tuple[Any, ...]) -> dict[Any, Any]:
    return {key: c for key, c in rdm.coords.items() if set(c.dims) <= set(lead)}


def wrap_square(
    values: Array, labels: Array, lead: tuple[Any, ...], coords: dict[Any, Any], known: Any = None
) -> xr.DataArray:
    """Label values (..., n, n)."""
    ends: dict[Any, Any] = {"first": labels, "second": labels}
    for key, column in (known or {}).items():
        ends |= {f"{end}_{key}": (end, column) for end in ("first", "second")}
    return xr.DataArray(values, {**coords, **ends}, (*lead, "first", "second"))


def wrap_condensed(
    values: Array, labels: Array, lead: tuple[Any, ...], coords: dict[Any, Any], known: Any = None
) -> xr.DataArray:
    """Label values (..., pair) in the order (0, 1), (0, 2), ... (1, 2), ..."""
    first, second = np.triu_indices(len(labels), 1)
    ends: dict[Any, Any] = {"first": ("pair", labels[first]), "second": ("pair", labels[second])}
    for key, column in (known or {}).items():
        ends |= {f"first_{key}": ("pair", column[first]), f"second_{key}": ("pair", column[second])}
    return xr.DataArray(values, {**coords, **ends}, (*lead, "pair"))


def to_square(rdm: xr.DataArray) -> xr.DataArray:
    """Unfold condensed RDMs.

    Parameters
    ----------
    rdm : DataArray (..., pair) or (..., first, second)

    Returns
    -------
    DataArray (..., first, second)
        A copy: never a view of the argument. The diagonal is 0.

    Raises
    ------
    SchemaError
        When a pair is absent or comes twice.
    """
    labels = find_conditions(rdm)
    if rdm.dims[-1] == "second":
        return rdm.copy(deep=True)
    lead, n = rdm.dims[:-1], len(labels)
    rows, columns = _place_pairs(rdm, labels)
    values = np.zeros((*rdm.shape[:-1], n, n), dtype=rdm.dtype)
    values[..., rows, columns] = values[..., columns, rows] = rdm.values
    known = _condition_coords(rdm, labels)
    square = wrap_square(values, labels, lead, _lead_coords(rdm, lead), known)
    return square.assign_attrs(rdm.attrs)


def to_condensed(rdm: xr.DataArray, conditions: Any = None) -> xr.DataArray:
    """Keep each pair of conditions once.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Symmetric; the diagonal is left out.
    conditions : sequence of str, optional
        Keep these, in this order; as they stand when not given.

    Returns
    -------
    DataArray (..., pair)
        A copy: never a view of the argument. Pairs in the order (0, 1), (0, 2), ... (1, 2), ...

    Raises
    ------
    SchemaError
        For RDMs of kind 'cross': their two triangles differ and their diagonal counts.
    AlignError
        When conditions are named that the RDM lacks.
    """
    labels = find_conditions(rdm)
    if rdm.attrs.get("kind") == "cross":
        raise SchemaError(
            "rdm: expected kind 'dissimilarity', got 'cross'. Its triangles differ and its "
            "diagonal counts: average it with its transpose first, or keep it square."
        )
    wanted = labels if conditions is None else np.asarray(conditions, dtype=np.str_)
    place = {label: i for i, label in enumerate(labels.tolist())}
    absent = [label for label in wanted.tolist() if label not in place]
    if absent:
        raise AlignError(
            f"conditions: expected names that the RDM has, got {some(absent)}. "
            f"It has {some(labels.tolist())}."
        )
    chosen = np.array([place[label] for label in wanted.tolist()], dtype=np.intp)
    first, second = np.triu_indices(len(chosen), 1)
    if rdm.dims[-1] == "second":
        lead = rdm.dims[:-2]
        values = rdm.values[..., chosen[first], chosen[second]]
    else:
        lead, n = rdm.dims[:-1], len(labels)
        where = np.zeros((n, n), dtype=np.intp)
        rows, columns = _place_pairs(rdm, labels)
        where[rows, columns] = where[columns, rows] = np.arange(len(rows))
        values = rdm.values[..., where[chosen[first], chosen[second]]]
    known = {key: v[chosen] for key, v in _condition_coords(rdm, labels).items()}
    condensed = wrap_condensed(values, wanted, lead, _lead_coords(rdm, lead), known)
    return condensed.assign_attrs(rdm.attrs)


def align_rdms(
    a: xr.DataArray, b: xr.DataArray, *, how: str = "strict"
) -> tuple[xr.DataArray, xr.DataArray]:
    """Bring two RDMs, or stacks, into the order of conditions of the first.

    Parameters
    ----------
    a, b : DataArray (..., first, second) or (..., pair)
    how : {"strict", "inner"}
        ``strict``: both hold the same conditions; ``inner``: keep those they share.

    Returns
    -------
    DataArray (..., pair), DataArray (..., pair)

    Raises
    ------
    AlignError
        When conditions differ (``strict``), or fewer than 3 are shared.
    """
    same = choose(HOW, how, "how")
    ours, theirs = find_conditions(a), find_conditions(b)
    if same and set(ours.tolist()) != set(theirs.tolist()):
        only = sorted(set(ours.tolist()) ^ set(theirs.tolist()))
        raise AlignError(
            f"b: expected the conditions of a, got {len(only)} in one only ({some(only)}). "
            "Use how='inner' to compare those that both have."
        )
    held = set(theirs.tolist())
    shared = np.array([label for label in ours.tolist() if label in held], dtype=np.str_)
    if len(shared) < 3:
        raise AlignError(
            f"b: expected 3 or more conditions of a, got {len(shared)} shared "
            f"({some(ours.tolist())} against {some(theirs.tolist())}). Name conditions alike."
        )
    return to_condensed(a, shared), to_condensed(b, shared)
