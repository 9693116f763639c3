"""How far each place of the cortex lies from where vision enters it: straight, along, by rank."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from neuroalign import provenance
from neuroalign._adjacency import mesh_adjacency
from neuroalign._arrays import copy_geometry
from neuroalign.convergence.spins import SIDES, read_places
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.loaders.surface import MESHES
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]
# Coords that distances are computed from.
PLACED = ("roi", "hemisphere", "vertex", "x", "y", "z")


def measure_distances(
    neuroids: xr.DataArray | xr.Dataset,
    origin: str = "V1",
    *,
    kinds: tuple[str, ...] = ("euclidean", "geodesic"),
    hierarchy: Mapping[str, float] | None = None,
    mesh: str = "fsaverage5",
) -> xr.Dataset:
    """Measure how far neuroids lie from a region, or stand above it.

    Parameters
    ----------
    neuroids : DataArray or Dataset with neuroid
        With ``roi``; x y z [mm] for ``euclidean``; ``hemisphere`` and ``vertex`` for ``geodesic``.
    origin : str
        The region that distances start from.
    kinds : sequence of {"euclidean", "geodesic"}
        Straight to the centroid of the origin in the same hemisphere (in either, where none is
        named), or along the edges of the white surface from its nearest vertex.
    hierarchy : mapping of roi to rank, optional
        Adds ``hierarchy``; NaN for regions that it lacks, which ``attrs['warnings']`` names.
    mesh : str

    Returns
    -------
    Dataset
        One variable (neuroid) a kind, [mm], or the rank. Where neuroids are vertices of the mesh
        also ``euclidean_map`` and ``geodesic_map`` (place), on all vertices, left then right, which
        spin tests turn; NaN in a hemisphere without the origin.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    Paths along edges are longer than the true geodesic, by at most 15 % on regular triangles.

    References
    ----------
    Dijkstra (1959), Numerische Mathematik 1, 269-271; the distance from V1 is that of Raugel et al.
    (2025), arXiv:2508.18226, section 2.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from neuroalign.loaders import from_arrays
    >>> responses = from_arrays(
    ...     np.zeros((2, 2)), stimulus=["a", "b"], roi=["V1", "V4"], modality="fmri",
    ...     neuroid_coords={"x": [0.0, 3.0], "y": [0.0, 4.0], "z": [0.0, 0.0]},
    ... )
    >>> measure_distances(responses, kinds=("euclidean",))["euclidean"].values
    array([0., 5.])
    """
    _check_origin(neuroids, origin)
    measured: dict[str, Any] = {}
    for kind in kinds:
        values, full = choose(KINDS, kind, "kinds")(neuroids, origin, mesh)
        measured[kind] = ("neuroid", values, {"units": "mm"})
        if full is not None:
            measured[f"{kind}_map"] = ("place", full, {"units": "mm"})
    said: dict[str, str] = {}
    if hierarchy is not None:
        said = _warn_ranks(hierarchy, neuroids["roi"].values)
        ranks = [float(hierarchy.get(str(roi), np.nan)) for roi in neuroids["roi"].values]
        measured["hierarchy"] = ("neuroid", np.array(ranks), {"units": "rank"})
    coords = {key: one for key, one in neuroids.coords.items() if one.dims == ("neuroid",)}
    attrs = {
        "kind": "estimate",
        "method": "measure_distances",
        "headline": next(iter(measured), ""),
        "verdict": f"distance from {origin}: "
        + "; ".join(
            _say(name, one[1], one[2]["units"])
            for name, one in measured.items()
            if one[0] == "neuroid"
        ),
        "origin": origin,
        "mesh": mesh,
        "history": str(neuroids.attrs.get("history", "")),
        **said,
        "provenance": provenance.collect(
            {"origin": origin, "kinds": list(kinds), "mesh": mesh},
            {
                name: provenance.hash_array(neuroids[name])
                for name in PLACED
                if name in neuroids.coords
            },
        ),
    }
    result = xr.Dataset(measured, coords=coords, attrs=attrs)
    return check_estimate(copy_geometry(neuroids, result))


def _say(name: str, values: Array, units: str) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return f"{name} not defined"
    return f"{name} {known.min():.4g} to {known.max():.4g} {units}, median {np.median(known):.4g}"


def _warn_ranks(hierarchy: Mapping[str, float], regions: Array) -> dict[str, str]:
    present = {str(one) for one in regions} - {""}
    lost, unused = sorted(present - set(hierarchy)), sorted(set(hierarchy) - present)
    if not lost:
        return {}
    more = f", and ranks of {some(unused)}, which no neuroid has" if unused else ""
    return {
        "warnings": f"hierarchy: expected a rank for every region, got none for {some(lost)}{more}."
        " Their rank is NaN: add them, or write regions as neuroids do."
    }


def _check_origin(neuroids: xr.DataArray | xr.Dataset, origin: str) -> None:
    if "roi" not in neuroids.coords:
        raise SchemaError(
            f"neuroids: expected coord 'roi', got {some(neuroids.coords)}. Use loaders.add_roi."
        )
    regions = np.unique(neuroids["roi"].values)
    if origin not in regions:
        raise AlignError(
            f"origin: expected one of the regions {some(regions)}, got '{origin}'. Name the region "
            "that distances start from."
        )


def _measure_straight(
    neuroids: xr.DataArray | xr.Dataset, origin: str, mesh: str
) -> tuple[Array, Array | None]:
    missing = {"x", "y", "z"} - set(map(str, neuroids.coords))
    if missing:
        raise SchemaError(
            f"neuroids: expected coords x y z [mm], missing {sorted(missing)}. Assign them."
        )
    xyz = np.stack([neuroids[axis].values for axis in "xyz"], axis=1).astype(np.float64)
    n = len(xyz)
    side = neuroids["hemisphere"].values if "hemisphere" in neuroids.coords else np.full(n, "")
    inside = neuroids["roi"].values == origin
    centers = {
        str(one): xyz[inside & (side == one)].mean(axis=0) for one in np.unique(side[inside])
    }
    values = np.full(n, np.nan)
    for one in np.unique(side):
        values[side == one] = np.linalg.norm(xyz[side == one] - _find_center(centers, one), axis=1)
    if not {"hemisphere", "vertex"} <= set(map(str, neuroids.coords)) or mesh not in MESHES:
        return values, None
    full = [
        np.linalg.norm(points - _find_center(centers, one), axis=1)
        for one, (points, _) in zip(SIDES, _read_mesh(mesh, "pial"), strict=True)
    ]
    return values, np.concatenate(full)


def _find_center(centers: Mapping[str, Array], side: str) -> Array:
    """Centroid of the origin in a hemisphere, or the mirror image of the other one's."""
    if side in centers:
        return centers[side]
    center = next(iter(centers.values()))
    return center * np.array([-1.0, 1.0, 1.0]) if side in SIDES else center


def _measure_along(
    neuroids: xr.DataArray | xr.Dataset, origin: str, mesh: str
) -> tuple[Array, Array | None]:
    places = read_places(neuroids, mesh, "neuroids")
    sources = places[neuroids["roi"].values == origin]
    parts, start = [], 0
    for points, faces in _read_mesh(mesh, "white_matter"):
        n = len(points)
        own = sources[(sources >= start) & (sources < start + n)] - start
        edges = mesh_adjacency(faces, n).tocoo()
        lengths = np.linalg.norm(points[edges.row] - points[edges.col], axis=1)
        graph = coo_array((lengths, (edges.row, edges.col)), shape=(n, n)).tocsr()
        blank = np.full(n, np.nan)
        parts.append(dijkstra(graph, indices=np.unique(own), min_only=True) if len(own) else blank)
        start += n
    full = np.concatenate(parts)
    if np.isnan(full[places]).any():
        raise AlignError(
            f"origin: expected '{origin}' in every hemisphere with neuroids, got one without. "
            "Geodesics do not cross; select one hemisphere, or use kinds=('euclidean',)."
        )
    return full[places], full


def _read_mesh(mesh: str, part: str) -> list[tuple[Array, Array]]:
    return [one for one in choose(MESHES, mesh, "mesh")(part) if one is not None]


KINDS: dict[str, Callable[[xr.DataArray | xr.Dataset, str, str], tuple[Array, Array | None]]] = {
    "euclidean": _measure_straight,
    "geodesic": _measure_along,
}
