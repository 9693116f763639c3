"""Read what is to be compared: arrays of the same stimuli in the same order, and their halves."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import check_range, names_conditions
from neuroalign.align.matching import find_stimuli
from neuroalign.align.repeats import average_repeats, split_repeats
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.provenance import hash_array
from neuroalign.rsa._bare import refuse_bare_rdm
from neuroalign.rsa.rdms import find_conditions, to_square

Array = npt.NDArray[Any]
HOW = {"strict": True, "inner": False}
Halves = Callable[[int], tuple[Array, Array]]


class Representation(NamedTuple):
    """Values (n, p), or an RDM (n, n); what gives halves by seed; what hashes the input.

    ``is_random``: other seeds give other halves.
    """

    values: Array
    is_rdm: bool
    halve: Halves | None
    hash: Callable[[], str]
    is_random: bool = False


Named = dict[str, Representation]


class _Source(NamedTuple):
    """One input before rows are chosen: what to take rows of, its labels, its repeats."""

    name: str
    parts: tuple[Any, ...]
    labels: tuple[Array | None, ...]
    repeated: xr.DataArray | None
    is_rdm: bool
    hash: Callable[[], str]


def name_columns(b: Any) -> str:
    """Name the dim of ``b``: features are layers, anything else is a region."""
    members = list(b.values()) if isinstance(b, Mapping) else [b]
    layers = all(isinstance(one, xr.DataArray) and "feature" in one.dims for one in members)
    return "layer_other" if b is None or layers else "roi"


def read_sets(
    a: Any, b: Any, over: str | None, how: str
) -> tuple[Named, Named | None, npt.NDArray[Any]]:
    """Read both sets with their rows in one order.

    Parameters
    ----------
    a, b : array, DataArray, tuple of two halves, or mapping to these; ``b`` may be None
    over : str or None
        Coord on neuroid that splits a single ``b``.
    how : {"strict", "inner"}

    Returns
    -------
    dict, dict or None, array (n,)
        Rows, columns, and the label (or place) of each stimulus.

    Raises
    ------
    AlignError, SchemaError, ValueError
    """
    strict = choose(HOW, how, "how")
    ours = dict(a) if isinstance(a, Mapping) else {_call(a, "a"): a}
    theirs = {} if b is None else dict(b) if isinstance(b, Mapping) else _split(b, over)
    if not ours or (b is not None and not theirs):
        raise SchemaError("a, b: expected one representation or more, got none. Pass some.")
    by_label = all(
        isinstance(part, xr.DataArray)
        for item in (*ours.values(), *theirs.values())
        for part in (item if isinstance(item, tuple) else (item,))
    )
    sources = [
        [
            _read(item, f"{side}['{name}']" if len(items) > 1 or named else side, by_label)
            for name, item in items.items()
        ]
        for side, items, named in (
            ("a", ours, isinstance(a, Mapping)),
            ("b", theirs, isinstance(b, Mapping)),
        )
    ]
    labels = _share([*sources[0], *sources[1]], by_label, strict)
    rows, columns = (
        {
            name: _take(source, labels, by_label)
            for name, source in zip(map(str, items), found, strict=True)
        }
        for items, found in zip((ours, theirs), sources, strict=True)
    )
    return rows, None if b is None else columns, labels


def _call(item: Any, name: str) -> str:
    return str(item.attrs.get("layer", name)) if isinstance(item, xr.DataArray) else name


def _split(b: Any, over: str | None) -> dict[str, Any]:
    """One region for each value of a coord on neuroid; neuroids without one are left out."""
    known = over is not None and isinstance(b, xr.DataArray) and over in b.coords
    if not known or b[over].dims != ("neuroid",):
        return {_call(b, "all"): b}
    values = b[over].values.astype(str)
    found = values[np.sort(np.unique(values, return_index=True)[1])]
    named = {name: b.isel(neuroid=np.flatnonzero(values == name)) for name in found if name}
    return named or {_call(b, "all"): b}


def _read(item: Any, name: str, by_label: bool) -> _Source:
    if isinstance(item, tuple):
        if len(item) != 2:
            raise SchemaError(f"{name}: expected two halves in the tuple, got {len(item)}.")
        one, other = (_read(half, name, by_label) for half in item)
        if one.is_rdm or other.is_rdm:
            raise SchemaError(f"{name}: expected halves of responses, got RDMs. Average them.")
        return _Source(
            name,
            one.parts + other.parts,
            one.labels + other.labels,
            None,
            False,
            lambda: one.hash() + other.hash(),
        )
    if isinstance(item, list) and any(np.ndim(one) > 1 for one in item):
        raise SchemaError(
            f"{name}: expected one representation, got a list of {len(item)} arrays. Name them in "
            "a mapping: {'layer1': array, ...}."
        )
    if not isinstance(item, xr.DataArray):
        values = np.asarray(item)
        refuse_bare_rdm(values, name)
        return _Source(name, (values,), (None,), None, False, partial(hash_array, values))
    if item.dims[-2:] == ("first", "second") or item.dims[-1:] == ("pair",):
        return _read_rdm(item, name)
    if not by_label:
        return _Source(name, (item.values,), (None,), None, False, partial(hash_array, item))
    if "stimulus" not in item.coords or item["stimulus"].dims != item.dims[:1]:
        raise SchemaError(
            f"{name}: expected coord 'stimulus' on '{item.dims[0]}', got {some(item.coords)}. "
            "Assign it, or pass bare arrays (.values) to match rows by place."
        )
    names = item["stimulus"].values
    repeats = len(np.unique(names)) < len(names) and "neuroid" in item.dims
    mean = average_repeats(item) if repeats else item
    repeated = item if repeats else None
    labels = (mean["stimulus"].values,)
    return _Source(name, (mean,), labels, repeated, False, partial(hash_array, item))


def _read_rdm(rdm: xr.DataArray, name: str) -> _Source:
    square = to_square(rdm)
    if square.ndim != 2:
        raise SchemaError(
            f"{name}: expected one RDM, got leading dims {square.dims[:-2]}. Select one, or pass a "
            "mapping of them."
        )
    return _Source(
        name, (square.values,), (find_conditions(rdm),), None, True, partial(hash_array, rdm)
    )


def _share(sources: list[_Source], by_label: bool, strict: bool) -> Array:
    """Find the stimuli to compare, in the order of the first representation."""
    if not by_label:
        counts = {source.name: len(part) for source in sources for part in source.parts}
        if len(set(counts.values())) != 1:
            raise AlignError(
                "a, b: expected the same stimuli as rows of all, got "
                f"{', '.join(f'{count} in {name}' for name, count in counts.items())}. "
                "Label them with 'stimulus' to match by label."
            )
        return np.arange(next(iter(counts.values())))
    first = sources[0].labels[0]
    assert first is not None
    sets = [
        (source.name, set(labels.tolist()))
        for source in sources
        for labels in source.labels
        if labels is not None
    ]
    everywhere = set.intersection(*(names for _, names in sets))
    for name, names in sets:
        extra = sorted(set.union(*(other for _, other in sets)) - names)
        if strict and extra:
            raise AlignError(
                f"{name}: expected the stimuli that the others have, missing {len(extra)}: "
                f"{some(extra)}. Pass how='inner' to compare those that all share."
            )
    shared = np.array([label for label in first.tolist() if label in everywhere])
    if len(shared) < 3:
        raise AlignError(
            f"a, b: expected 3 or more stimuli that all share, got {len(shared)}. "
            "Give stimuli the same names on both sides."
        )
    return shared


def _take(source: _Source, labels: Array, by_label: bool) -> Representation:
    if source.is_rdm:
        names = source.labels[0]
        assert names is not None
        place = {label: i for i, label in enumerate(names.tolist())}
        rows = np.array([place[label] for label in labels.tolist()] if by_label else labels)
        square = _check(source.parts[0][np.ix_(rows, rows)], source.name)
        return Representation(square, True, None, source.hash)
    parts = [_pick(part, labels, source.name) for part in source.parts]
    if len(parts) == 2:
        # One representation measured twice: both ways round are all its random halves.
        return Representation(
            _mean(parts, source.name), False, lambda _: (parts[0], parts[1]), source.hash
        )
    repeated = source.repeated
    if repeated is None:
        return Representation(parts[0], False, None, source.hash)

    def halve(seed: int) -> tuple[Array, Array]:
        if names_conditions(repeated):
            raise SchemaError(
                f"{source.name}: expected presentations, got volumes named by condition. Pass a "
                "tuple of two halves, such as those of odd and even runs."
            )
        first, second = split_repeats(repeated, seed=seed)
        lost = sorted(set(labels.tolist()) - set(first["stimulus"].values.tolist()))
        if lost:
            raise SchemaError(
                f"{source.name}: expected every stimulus twice or more, got {len(lost)} shown "
                f"once ({some(lost)}). Leave them out, or leave out correct."
            )
        return _pick(first, labels, source.name), _pick(second, labels, source.name)

    return Representation(parts[0], False, halve, source.hash, is_random=True)


def _mean(parts: list[Array], name: str) -> Array:
    if parts[0].shape != parts[1].shape:
        raise SchemaError(
            f"{name}: expected halves of one shape, got {parts[0].shape} and {parts[1].shape}."
        )
    return np.asarray((parts[0] + parts[1]) / 2)


def _pick(part: Any, labels: Array, name: str) -> Array:
    if isinstance(part, xr.DataArray):
        return _check(part.values[find_stimuli(part, labels)], name)
    return _check(part, name)


def _check(values: Array, name: str) -> Array:
    """Give floats (n, p), finite."""
    if values.ndim < 2 or values.dtype.kind not in "fiub":
        raise SchemaError(
            f"{name}: expected numbers (sample, unit), got {values.dtype} {values.shape}. "
            "Reshape a single unit with [:, None]."
        )
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        lost = int((~np.isfinite(values)).sum())
        raise SchemaError(
            f"{name}: expected finite values, got {lost} of {values.size} missing or infinite. "
            "Drop those units or stimuli on both sides."
        )
    check_range(values, name)
    return values
