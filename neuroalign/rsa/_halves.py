"""Two halves of data that share no run, or no presentation, and the RDMs of each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.rsa._cells import NoiseLike
from neuroalign.rsa._labelled import need_responses
from neuroalign.rsa._stacks import Stack, reorder, unfold
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.joining import gather_rdms
from neuroalign.schema import check_responses

Array = npt.NDArray[Any]
Order = Callable[[Array, np.random.Generator], Array]
Given = xr.DataArray | Mapping[str, xr.DataArray]
HALVES = np.array(["first", "second"])


class Job(NamedTuple):
    """What every split shares."""

    by: str
    unit: str | None
    distance: str
    fold: str | None
    noise: NoiseLike
    over: tuple[str, ...]


def _code(responses: xr.DataArray, names: Sequence[str]) -> Array:
    """Number the rows by their labels, in order of first appearance."""
    keys = list(zip(*(responses[name].values.tolist() for name in names), strict=True))
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([place[key] for key in keys]) if names else np.zeros(responses.sizes["sample"])


def _deal(
    responses: xr.DataArray,
    job: Job,
    order: Order,
    rng: np.random.Generator,
) -> Array:
    """Which half each row belongs to, 0 or 1."""
    groups = [
        name
        for name in job.over
        if name in responses.coords and responses[name].dims == ("sample",)
    ]
    within = _code(responses, groups if job.unit else [*groups, job.by])
    half = np.zeros(responses.sizes["sample"], dtype=np.intp)
    for one in np.unique(within):
        rows = np.flatnonzero(within == one)
        part = responses.isel(sample=rows)
        codes = np.arange(len(rows)) if job.unit is None else _code(part, [job.unit])
        if codes.max() < 1:
            what = "presentations of each condition" if job.unit is None else f"'{job.unit}'"
            where = [part[name].values[0] for name in (groups if job.unit else [*groups, job.by])]
            raise SchemaError(
                f"responses: expected 2 or more {what}, got 1"
                f"{f' in {some(where)}' if where else ''}. Halves need two."
            )
        half[rows] = order(codes, rng) % 2
    return half


def _halve_responses(
    responses: xr.DataArray,
    job: Job,
    order: Order,
    rng: np.random.Generator,
) -> tuple[Stack, Stack]:
    check_responses(responses)
    absent = [
        name
        for name in (job.by, job.unit)
        if name is not None
        and (name not in responses.coords or responses[name].dims != ("sample",))
    ]
    if absent:
        raise SchemaError(
            f"responses: expected coord '{absent[0]}' on 'sample', got {some(responses.coords)}. "
            "Name another in by= or unit=; unit=None deals single presentations."
        )
    half = _deal(responses, job, order, rng)
    rdms = [
        compute_rdm(
            responses.isel(sample=np.flatnonzero(half == one)),
            by=job.by,
            distance=job.distance,
            fold=job.fold,
            noise=job.noise,
            over=job.over,
            form="condensed",
        )
        for one in (0, 1)
    ]
    every = set(responses[job.by].values.tolist())
    for name, rdm in zip(HALVES, rdms, strict=True):
        held = set(rdm["first"].values.tolist()) | set(rdm["second"].values.tolist())
        if held != every or not np.isfinite(rdm.values).all():
            lost = f": no {some(sorted(every - held))}" if held != every else ""
            raise SchemaError(
                f"responses: expected every condition in both halves, got a {name} half with "
                f"missing distances{lost}. Drop conditions that few runs have, or split by another "
                "unit."
            )
    one, other = (unfold(rdm, "rdms") for rdm in rdms)
    return one, other._replace(
        values=reorder(other.values, other.labels, one.labels, "rdms"), labels=one.labels
    )


def _is_rdm(one: Any) -> bool:
    dims = one.dims if isinstance(one, xr.DataArray) else ()
    return dims[-1:] == ("pair",) or dims[-2:] == ("first", "second")


def holds_rdms(given: Given) -> bool:
    """Tell RDMs that are computed already from responses."""
    held = list(given.values()) if isinstance(given, Mapping) else [given]
    return bool(held) and all(map(_is_rdm, held))


def name_distance(given: Given, distance: str) -> str:
    """The distance of RDMs that are computed already, else the one to compute."""
    if not holds_rdms(given):
        return distance
    held = given.values() if isinstance(given, Mapping) else (given,)
    names = {str(one.attrs.get("distance", "unknown")) for one in held}
    return names.pop() if len(names) == 1 else "unknown"


def compute_halves(
    given: Given, job: Job, order: Order, rng: np.random.Generator
) -> tuple[Stack, Stack]:
    """RDMs of both halves, pairs in one order.

    Parameters
    ----------
    given : DataArray, or mapping
        Responses, those of several subjects by name, or RDMs of the units by name or in a stack.
    job : Job
    order : function of codes of units and a generator, to codes whose parity is the half
    rng : Generator

    Returns
    -------
    Stack, Stack

    Raises
    ------
    AlignError, SchemaError, ValueError
    """
    if isinstance(given, Mapping) and holds_rdms(given):
        given = gather_rdms(given, "responses", job.unit or "unit")
    if isinstance(given, xr.DataArray) and holds_rdms(given):
        return _halve_rdms(given, job, order, rng)
    need_responses(given)
    if isinstance(given, xr.DataArray):
        return _halve_responses(given, job, order, rng)
    if not given or not job.over:
        raise ValueError(
            f"over: expected the name of the dim for {len(given)} arrays first, got {job.over}. "
            "Pass over='subject'."
        )
    parts = [
        _halve_responses(one, job._replace(over=job.over[1:]), order, rng) for one in given.values()
    ]
    one, other = (_join(halves, list(given), job.over[0]) for halves in zip(*parts, strict=True))
    return one, other


def _join(halves: Sequence[Stack], names: list[str], dim: str) -> Stack:
    first = halves[0]
    for name, half in zip(names, halves, strict=True):
        extra = set(half.labels.tolist()) ^ set(first.labels.tolist())
        if extra or half.values.shape != first.values.shape:
            raise AlignError(
                f"responses['{name}']: expected the conditions and slices of the first array, got "
                f"{some(sorted(extra)) or half.values.shape}. Keep those that all have."
            )
    values = [reorder(one.values, one.labels, first.labels, "responses") for one in halves]
    return Stack(
        np.stack(values), first.labels, (dim, *first.lead), {**first.coords, dim: np.array(names)}
    )


def _halve_rdms(
    rdms: xr.DataArray, job: Job, order: Order, rng: np.random.Generator
) -> tuple[Stack, Stack]:
    """Mean RDMs of both halves of the units of a stack."""
    stack = unfold(rdms, "responses")
    if job.fold is not None or job.noise is not None or job.over:
        raise ValueError(
            "fold, noise, over: expected none of them for RDMs, which are computed already, got "
            f"{job.fold!r}, {'None' if job.noise is None else 'noise'}, {job.over}. Leave them out."
        )
    if job.unit not in stack.lead:
        raise SchemaError(
            f"responses: expected RDMs with a leading dim '{job.unit}', got {stack.lead}. "
            "Name the dim of independent units in unit=."
        )
    axis = stack.lead.index(job.unit)
    n = stack.values.shape[axis]
    if n < 2:
        raise SchemaError(
            f"responses: expected RDMs of 2 or more '{job.unit}', got {n}. Halves need two."
        )
    half = order(np.arange(n), rng) % 2
    lead = tuple(dim for dim in stack.lead if dim != job.unit)
    coords = {key: c for key, c in stack.coords.items() if job.unit not in c.dims}
    means = [stack.values.take(np.flatnonzero(half == k), axis).mean(axis) for k in (0, 1)]
    return Stack(means[0], stack.labels, lead, coords), Stack(means[1], stack.labels, lead, coords)
