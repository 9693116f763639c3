"""Persistence of a representation: at which distances components, loops and voids come and go."""

from collections.abc import Sequence
from importlib.metadata import version
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.errors import SchemaError, choose, some
from neuroalign.topology._backends import BACKENDS
from neuroalign.topology._points import Cloud, find_lead, is_rdm, read_cloud
from neuroalign.topology.sampling import pick_from_cloud

Array = npt.NDArray[Any]
# Points that a few GB and a few minutes allow, by the highest dimension.
MAX_POINTS = {0: 10_000, 1: 4000, 2: 600}
SIMPLICES = {0: "edges", 1: "triangles", 2: "tetrahedra"}
# Bytes a pair takes in distances, their indices and their copy.
PAIR_BYTES = 28


def check_field(coefficients: int, name: str = "coefficients") -> None:
    """Check that a number is a prime, so that it names a field.

    Raises
    ------
    ValueError
    """
    divisors = range(2, int(max(coefficients, 1) ** 0.5) + 1)
    if coefficients < 2 or any(coefficients % d == 0 for d in divisors):
        raise ValueError(f"{name}: expected a prime, got {coefficients}. Use 2, 3, 11 or 47.")


def check_size(n: int, max_dim: int, max_points: int | None) -> None:
    """Refuse more points than memory and time allow, before anything is computed.

    Raises
    ------
    ValueError
    """
    limit = choose({str(k): v for k, v in MAX_POINTS.items()}, str(max_dim), "max_dim")
    limit = limit if max_points is None else max_points
    if n > limit:
        raise ValueError(
            f"data: expected at most {limit} points for max_dim={max_dim}, got {n}: their "
            f"distances take {n * n * PAIR_BYTES / 1e9:.2g} GB, and there are "
            f"{comb(n, max_dim + 2):.1e} {SIMPLICES[max_dim]}. Pass landmarks={limit} or fewer, "
            "keep_dense points, or raise max_points."
        )


def compute_persistence(
    data: Any,
    *,
    max_dim: int = 1,
    metric: str = "euclidean",
    rdm_transform: str = "auto",
    backend: str = "ripser",
    landmarks: int | None = None,
    landmark_method: str = "maxmin",
    threshold: float = np.inf,
    coefficients: int = 2,
    max_points: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Compute the persistence diagrams of the Vietoris-Rips filtration of points or of an RDM.

    Parameters
    ----------
    data : array or DataArray (sample, unit), or DataArray (..., pair) or (..., first, second)
        Points, or RDMs, told by their dims: one diagram for each RDM of a stack. A bare square
        matrix that may be an RDM is refused: label it by `rsa.from_matrix`.
    max_dim : {0, 1, 2}
        Highest dimension: components, loops, voids.
    metric : {"euclidean", "city_block", "cosine", "correlation"}
        Of points. The last two are chords between points on the unit sphere, sqrt(2 - 2 r), which
        are metrics, as 1 - r is not.
    rdm_transform : {"auto", "root", "ranks", "none"}
        Distances of RDMs that grow like squares (squared Euclidean, crossnobis, correlation ...)
        are no metric. ``root``: sqrt(max(d, 0)). ``ranks``: ranks divided by their number, the
        same scale for all RDMs. ``none``: max(d, 0). ``auto``: ``none`` when the RDM names a
        metric as its ``distance`` (euclidean, city_block), ``root`` otherwise.
    backend : {"ripser", "gudhi"}
        ripser rounds distances to float32; gudhi keeps float64 and needs more memory.
    landmarks : int, optional
        Use this many points only, see `pick_landmarks`.
    landmark_method : {"maxmin", "random"}
    threshold : float
        Largest distance in the filtration; bars that last longer die at infinity.
    coefficients : int
        A prime: homology over the field of so many elements.
    max_points : int, optional
        Refuse more (landmarks, where given). Not given: 10,000, 4000 or 600 for ``max_dim`` 0, 1
        or 2.
    seed : int
        Of the landmarks.

    Returns
    -------
    Dataset
        Over ``pair_id``: ``dimension``, ``birth`` and ``death`` of each bar, in the units of
        distance (a bar lives for ``birth <= t < death``, with t the diameter of simplices); one
        component dies at infinity. Bars of no length are left out. ``landmark_row`` (landmark):
        rows used, when chosen. Of a stack all have its leading dims too; shorter diagrams are
        filled with bars of ``dimension`` -1 from NaN to NaN, which `take_bars` leaves out, and
        ``n_negative`` and ``covering_radius`` are the largest. The attrs hold ``preprocessing`` in
        words, ``n_points``, ``n_used``, ``covering_radius`` and ``n_negative``, the number of
        distances below 0 that were set to 0.

    Raises
    ------
    SchemaError
        For NaN, RDMs of kind 'cross', or a bare matrix that may be an RDM.
    ValueError
        For more points than ``max_points``, or an unknown option.
    MissingExtraError
        When ripser or gudhi are not installed.

    References
    ----------
    Edelsbrunner, Letscher & Zomorodian (2002), Discrete & Computational Geometry 28, 511-533,
    doi:10.1007/s00454-002-2885-2. Bauer (2021), Ripser, Journal of Applied and Computational
    Topology 5, 391-423, doi:10.1007/s41468-021-00071-5.

    Examples
    --------
    A square has one loop, from its side to its diagonal.

    >>> diagrams = compute_persistence([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> loop = diagrams.isel(pair_id=diagrams["dimension"].values == 1)
    >>> loop["birth"].values.round(3).tolist(), loop["death"].values.round(3).tolist()
    ([1.0], [1.414])
    """
    run = choose(BACKENDS, backend, "backend")
    check_field(coefficients)
    if not threshold > 0:
        raise ValueError(f"threshold: expected a distance above 0, got {threshold}. Use inf.")

    def measure(one: Any) -> tuple[xr.Dataset, Cloud, float]:
        cloud = read_cloud(one, metric, rdm_transform)
        check_size(cloud.n if landmarks is None else landmarks, max_dim, max_points)
        rows, radius = None, 0.0
        if landmarks is not None:
            rows, radius = pick_from_cloud(cloud, landmarks, landmark_method, seed)
        found = wrap_bars(run(cloud.measure_all(rows), max_dim, threshold, coefficients))
        if rows is not None:
            found["landmark_row"] = ("landmark", rows)
        return found, cloud, radius

    lead = find_lead(data)
    flat = data.stack(rdm_number=lead, create_index=False) if lead else data
    parts = [_take(flat, k) for k in range(flat.sizes["rdm_number"])] if lead else [data]
    found, clouds, radii = zip(*map(measure, parts), strict=True)
    result = join_stack(list(found), data, lead) if lead else found[0]
    steps, n_points = clouds[0].steps, clouds[0].n
    n_used = n_points if landmarks is None else landmarks
    if landmarks is not None:
        steps = f"{steps}; {landmarks} {landmark_method} points"
    parameters: dict[str, str | float | bool | list[str]] = {
        "max_dim": max_dim,
        "metric": metric,
        "rdm_transform": rdm_transform,
        "backend": backend,
        "landmarks": landmarks or 0,
        "landmark_method": landmark_method,
        "threshold": str(threshold),
        "coefficients": coefficients,
        "seed": seed,
        "backend_version": version(backend),
    }
    labelled = data if isinstance(data, xr.DataArray) else np.asarray(data, dtype=np.float64)
    return result.assign_attrs(
        kind="estimate",
        method="persistence",
        headline="death",
        verdict=_describe(found[0].assign_attrs(max_dim=max_dim), n_used)
        if not lead
        else _count(found, lead),
        metric="rdm" if is_rdm(data) else metric,
        preprocessing=steps,
        backend=backend,
        max_dim=max_dim,
        coefficients=coefficients,
        threshold=float(threshold),
        n_points=n_points,
        n_used=n_used,
        n_negative=max(cloud.n_negative for cloud in clouds),
        covering_radius=max(radii),
        seed=seed,
        schema_version=schema.SCHEMA_VERSION,
        provenance=provenance.collect(parameters, {"data": provenance.hash_array(labelled)}),
    )


def _describe(found: xr.Dataset, n_used: int) -> str:
    """Say how many bars there are, and how far the longest stands out."""
    parts = []
    for k in range(int(found.attrs["max_dim"]) + 1):
        bars = find_finite(take_bars(found, k))
        lengths = np.sort(bars[:, 1] - bars[:, 0])[::-1]
        told = f"H{k} has {len(lengths)} bars that die"
        if len(lengths) > 1:
            told += f", the longest {lengths[0]:.3g}, {lengths[0] / lengths[1]:.2f} times the next"
        elif len(lengths):
            told += f", of {lengths[0]:.3g}"
        parts.append(told)
    return f"{n_used} points: {'; '.join(parts)}."


def _count(found: Sequence[xr.Dataset], lead: tuple[str, ...]) -> str:
    bars = [one.sizes["pair_id"] for one in found]
    return f"{len(found)} diagrams over {', '.join(lead)}, of {min(bars)} to {max(bars)} bars."


def _take(flat: xr.DataArray, number: int) -> xr.DataArray:
    """One RDM of a stack, without its labels: they say nothing of its pairs."""
    one = flat.isel(rdm_number=number)
    return one.drop_vars([key for key, coord in one.coords.items() if not coord.dims])


def wrap_bars(bars: list[Array]) -> xr.Dataset:
    """Label the diagrams of dimensions 0, 1, ... as one table, longest bars first in each."""
    ordered = [one[np.argsort(one[:, 0] - one[:, 1], kind="stable")] for one in bars]
    table = np.concatenate(ordered)
    dimension = np.repeat(np.arange(len(bars)), [len(one) for one in bars])
    return xr.Dataset(
        {
            "dimension": ("pair_id", dimension),
            "birth": ("pair_id", table[:, 0]),
            "death": ("pair_id", table[:, 1]),
        }
    )


def join_stack(found: list[xr.Dataset], data: xr.DataArray, lead: tuple[str, ...]) -> xr.Dataset:
    """Fill diagrams up to one number of bars and give them the leading dims of a stack."""
    longest = max(one.sizes["pair_id"] for one in found)
    filled = [
        one.pad(
            pair_id=(0, longest - one.sizes["pair_id"]),
            constant_values={"dimension": -1, "birth": np.nan, "death": np.nan},
        )
        for one in found
    ]
    shape = tuple(data.sizes[dim] for dim in lead)
    columns = {
        str(key): (
            (*lead, *map(str, filled[0][key].dims)),
            np.stack([one[key].values for one in filled]).reshape(*shape, -1),
        )
        for key in filled[0].data_vars
    }
    coords = {key: c for key, c in data.coords.items() if c.dims and set(c.dims) <= set(lead)}
    return xr.Dataset(columns, coords)


def check_diagrams(diagrams: xr.Dataset, name: str = "diagrams") -> xr.Dataset:
    """Check that a Dataset holds diagrams.

    Raises
    ------
    SchemaError
    """
    needed = {"dimension", "birth", "death"}
    if not isinstance(diagrams, xr.Dataset) or not needed <= set(map(str, diagrams.data_vars)):
        held = some(diagrams) if isinstance(diagrams, xr.Dataset) else type(diagrams).__name__
        raise SchemaError(
            f"{name}: expected a Dataset with 'dimension', 'birth' and 'death', got {held}. "
            "Use compute_persistence."
        )
    return diagrams


def take_bars(diagrams: xr.Dataset, dimension: int, name: str = "diagrams") -> Array:
    """Take the diagram of one dimension out of the table.

    Parameters
    ----------
    diagrams : Dataset
        What `compute_persistence` returned.
    dimension : int
    name : str
        Argument named in the message.

    Returns
    -------
    array (bar, 2)
        Births and deaths, longest first; a death may be infinite.

    Raises
    ------
    SchemaError
        When it holds no diagrams, those of a stack, or none of that dimension.

    Examples
    --------
    >>> take_bars(compute_persistence([[0.0], [1.0]]), 0).tolist()
    [[0.0, inf], [0.0, 1.0]]
    """
    check_diagrams(diagrams, name)
    if diagrams["dimension"].ndim > 1:
        raise SchemaError(
            f"{name}: expected one diagram, got a stack over {diagrams['dimension'].dims[:-1]}. "
            "Select one with isel."
        )
    highest = int(diagrams.attrs.get("max_dim", diagrams["dimension"].values.max(initial=0)))
    if not 0 <= dimension <= highest:
        raise SchemaError(
            f"{name}: expected diagrams of dimension {dimension}, got 0 to {highest}. "
            f"Compute them with max_dim={dimension}."
        )
    held_rows = diagrams["dimension"].values == dimension
    both = np.column_stack([diagrams["birth"].values, diagrams["death"].values])
    bars: Array = both[held_rows]
    return bars


def find_finite(bars: Array) -> Array:
    """Keep the bars that die."""
    return bars[np.isfinite(bars[:, 1])]
