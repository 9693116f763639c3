"""Square and condensed RDMs, and two of them brought into one order of conditions."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.rsa._labelled import check_rdm
from neuroalign.rsa._pairs import find_pairs, name_pairs

Array = npt.NDArray[Any]
HOW = {"strict": True, "inner": False}


class _Pairs(NamedTuple):
    """Names of conditions, and rows and columns of the pairs of a condensed RDM."""

    labels: npt.NDArray[np.str_]
    rows: Array
    columns: Array


def _read_pairs(rdm: xr.DataArray, name: str) -> _Pairs:
    missing = {"first", "second"} - set(map(str, rdm.coords))
    if missing:
        raise SchemaError(
            f"{name}: expected coords 'first' and 'second' on 'pair', missing {sorted(missing)}. "
            "Name both conditions of each pair."
        )
    return _Pairs(*name_pairs(rdm["first"].values, rdm["second"].values))


def _find_places(pairs: _Pairs, name: str) -> Array:
    """Where each pair stands (n, n), each pair exactly once."""
    n, size = len(pairs.labels), len(pairs.rows)
    where = np.full((n, n), -1)
    where[pairs.rows, pairs.columns] = where[pairs.columns, pairs.rows] = np.arange(size)
    found = int((where[find_pairs(n)] >= 0).sum())
    if not found == size == n * (n - 1) // 2:
        raise SchemaError(
            f"{name}: expected each of the {n * (n - 1) // 2} pairs of {n} conditions once, "
            f"got {found} different ones in {size}. Fill absent pairs with NaN."
        )
    return where


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
    square = rdm.dims[-1] == "second"
    return np.asarray(rdm["first"].values) if square else _read_pairs(rdm, "rdm").labels


def condense(rdm: xr.DataArray, conditions: Any = None, name: str = "rdm") -> tuple[Array, Array]:
    """Values (..., pair) in the order (0, 1), (0, 2), ... (1, 2), ..., and names of conditions.

    Raises
    ------
    SchemaError
        For RDMs of kind 'cross' or else asymmetric, and when a pair is absent or comes twice.
    AlignError
        When conditions are named that the RDM lacks, or named twice.
    """
    check_rdm(rdm, name)
    if rdm.attrs.get("kind") == "cross":
        raise SchemaError(
            f"{name}: expected kind 'dissimilarity', got 'cross'. Its triangles differ and its "
            "diagonal counts: average it with its transpose first, or keep it square."
        )
    pairs = None if rdm.dims[-1] == "second" else _read_pairs(rdm, name)
    # Of kind 'dissimilarity' it is checked already.
    unsure = pairs is None and rdm.attrs.get("kind") != "dissimilarity"
    if unsure and not np.allclose(rdm.values, np.swapaxes(rdm.values, -1, -2), equal_nan=True):
        raise SchemaError(
            f"{name}: expected a symmetric RDM, got two triangles that differ. Average it with "
            "its transpose first."
        )
    labels = np.asarray(rdm["first"].values) if pairs is None else pairs.labels
    wanted = labels if conditions is None else np.asarray(conditions, dtype=np.str_)
    chosen = _place_conditions(labels, wanted)
    first, second = find_pairs(len(chosen))
    if pairs is None:
        return rdm.values[..., chosen[first], chosen[second]], wanted
    same = np.array_equal(chosen, np.arange(len(labels)))
    if same and pairs.rows is find_pairs(len(labels))[0]:
        return rdm.values.copy(), wanted
    return rdm.values[..., _find_places(pairs, name)[chosen[first], chosen[second]]], wanted


def _place_conditions(labels: Array, wanted: Array) -> Array:
    place = {label: i for i, label in enumerate(labels.tolist())}
    absent = [label for label in wanted.tolist() if label not in place]
    if absent:
        raise AlignError(
            f"conditions: expected names that the RDM has, got {some(absent)}. "
            f"It has {some(labels.tolist())}."
        )
    if len(set(wanted.tolist())) < len(wanted):
        raise AlignError(
            f"conditions: expected each name once, got {len(wanted)} names of "
            f"{len(set(wanted.tolist()))} conditions. Drop the copies."
        )
    return np.array([place[label] for label in wanted.tolist()], dtype=np.intp)


def find_condition_coords(rdm: xr.DataArray, labels: Array) -> dict[str, Array]:
    """What is known of every condition besides its name, such as its category."""
    ends: dict[str, tuple[str, Array]]
    if rdm.dims[-1] == "second":
        ends = {end: (end, np.arange(len(labels))) for end in ("first", "second")}
    else:
        pairs = _read_pairs(rdm, "rdm")
        ends = {"first": ("pair", pairs.rows), "second": ("pair", pairs.columns)}
    known: dict[str, Array] = {}
    filled: dict[str, Array] = {}
    for end, (dim, codes) in ends.items():
        for key, coord in rdm.coords.items():
            suffix = str(key).removeprefix(f"{end}_")
            if suffix == str(key) or coord.dims != (dim,):
                continue
            held = known.setdefault(suffix, np.empty(len(labels), dtype=coord.dtype))
            known[suffix] = held.astype(np.result_type(held.dtype, coord.dtype))
            known[suffix][codes] = coord.values
            filled.setdefault(suffix, np.zeros(len(labels), dtype=bool))[codes] = True
    return {key: column for key, column in known.items() if filled[key].all()}


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
    first, second = find_pairs(len(labels))
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

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> condensed = from_matrix(np.array([1.0, 2.0, 3.0]), ["a", "b", "c"])
    >>> to_square(condensed).values.tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]
    """
    check_rdm(rdm)
    if rdm.dims[-1] == "second":
        return rdm.copy(deep=True)
    values, labels = condense(rdm)
    lead, n = rdm.dims[:-1], len(labels)
    square = np.zeros((*rdm.shape[:-1], n, n), dtype=rdm.dtype)
    rows, columns = find_pairs(n)
    square[..., rows, columns] = square[..., columns, rows] = values
    known = find_condition_coords(rdm, labels)
    made = wrap_square(square, labels, lead, _lead_coords(rdm, lead), known)
    return made.assign_attrs(rdm.attrs)


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
        For asymmetric RDMs, as those of kind 'cross', whose diagonal counts.
    AlignError
        When conditions are named that the RDM lacks, or named twice.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> square = from_matrix(np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]]), ["a", "b", "c"])
    >>> to_condensed(square).values.tolist()
    [1.0, 2.0, 3.0]
    """
    values, wanted = condense(rdm, conditions)
    lead = rdm.dims[: -2 if rdm.dims[-1] == "second" else -1]
    labels = find_conditions(rdm)
    chosen = _place_conditions(labels, wanted)
    known = {key: v[chosen] for key, v in find_condition_coords(rdm, labels).items()}
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

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> a = from_matrix(np.array([1.0, 2.0, 3.0]), ["x", "y", "z"])
    >>> b = from_matrix(np.array([3.0, 2.0, 1.0]), ["z", "y", "x"])  # the same, reordered
    >>> one, other = align_rdms(a, b)
    >>> one.values.tolist() == other.values.tolist()
    True
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
