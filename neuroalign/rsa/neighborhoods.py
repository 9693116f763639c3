"""Neighbourhoods of searchlights: balls of voxels, discs on a mesh, and how whole they are."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import csr_array, issparse

from neuroalign._adjacency import (
    BLOCK,
    TOLERANCE_MM,
    ball_neighbours,
    geodesic_neighbours,
    walk_neighbours,
)
from neuroalign._arrays import copy_geometry
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.rsa._sentences import describe_neighborhoods
from neuroalign.schema import SCHEMA_VERSION

Array = npt.NDArray[Any]
UNITS = ("mm", "voxel")


class Balls(NamedTuple):
    """Members of each neuroid's neighbourhood, and how many a whole one has (NaN: unknown)."""

    members: csr_array
    whole: Array


class Request(NamedTuple):
    """What was asked for."""

    responses: xr.DataArray
    radius: float
    unit: str
    mesh: Any


def find_neighborhoods(
    responses: xr.DataArray,
    radius: float,
    *,
    shape: str = "volume",
    unit: str = "mm",
    mesh: Any = None,
    min_neuroids: int = 1,
    min_fraction: float = 0.0,
) -> xr.Dataset:
    """Find, for each neuroid as a center, all neuroids within a radius of it, itself included.

    A place at the radius itself is inside (``<=``): voxels of 1 and a radius of 1 give 7, 2 gives
    33, 3 gives 123. rsatoolbox takes ``<``.

    Parameters
    ----------
    responses : DataArray (..., neuroid)
        For volumes with ``i j k`` (and attr ``affine`` for mm), or ``x y z`` [mm] alone; for
        surfaces, with a mesh of coordinates, ``vertex`` and ``hemisphere``.
    radius : float
        In ``unit``; along the edges of the mesh on surfaces.
    shape : {"volume", "surface"}
    unit : {"mm", "voxel"}
        ``voxel`` counts steps on the grid, whatever their length.
    mesh : mapping of hemisphere to (coordinates [mm], faces), one such pair, or sparse array
        For surfaces: ``{"L": (coordinates, faces), "R": ...}``; a pair is for neuroids of one
        hemisphere; a sparse (neuroid, neuroid) array holds lengths [mm] of the edges. Paths on a
        mesh may cross vertices that are no neuroids, on a sparse array they may not.
    min_neuroids : int
        Centers with fewer have no neighbourhood: their results are NaN.
    min_fraction : float
        The same, for the share of a whole ball (or disc) that lies among the neuroids. What the
        edge of the volume or the mask cuts off counts as missing.

    Returns
    -------
    Dataset
        ``member`` (entry), positions of neuroids, center by center; ``size`` (neuroid), how many
        each center has (0 when left out); ``n_found`` before it was, and ``n_whole`` of a whole
        ball (NaN when unknown). Coords of the neuroids are kept. It can be saved; see
        `neighbor_matrix`.

    Raises
    ------
    SchemaError
        When places are not known.
    ValueError

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> grid = np.stack(np.meshgrid(*[range(5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    >>> data = from_arrays(np.zeros((1, 125)), stimulus=["a"], modality="fmri")
    >>> data = data.assign_coords({axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")})
    >>> int(find_neighborhoods(data, 1, unit="voxel")["size"].max())
    7
    """
    find = choose(SHAPES, shape, "shape")
    choose(dict.fromkeys(UNITS), unit, "unit")
    if not radius > 0:
        raise ValueError(f"radius: expected > 0 {unit}, got {radius}. Give it in {unit}.")
    if not 0 <= min_fraction <= 1:
        raise ValueError(f"min_fraction: expected 0 to 1, got {min_fraction}. It is a share.")
    balls = find(Request(responses, float(radius), unit, mesh))
    if min_fraction > 0 and np.isnan(balls.whole).any():
        raise ValueError(
            "min_fraction: expected 0 for places without a grid or a mesh, got "
            f"{min_fraction}: a whole ball has no number of places there. Use min_neuroids."
        )
    found = np.diff(balls.members.indptr)
    kept = (found >= min_neuroids) & ~(found < min_fraction * balls.whole)
    names = responses["neuroid"].values if "neuroid" in responses.coords else None
    if names is None:
        raise SchemaError("responses: expected coord 'neuroid', got none. Name the neuroids.")
    coords = {key: c for key, c in responses.coords.items() if c.dims == ("neuroid",)}
    result = xr.Dataset(
        {
            "member": ("entry", balls.members.indices[np.repeat(kept, found)].astype(np.int64)),
            "size": ("neuroid", np.where(kept, found, 0).astype(np.int64)),
            "n_found": ("neuroid", found.astype(np.int64)),
            "n_whole": ("neuroid", balls.whole.astype(np.float64)),
        },
        coords,
        attrs={
            "kind": "estimate",
            "method": f"find_neighborhoods ({shape})",
            "radius": float(radius),
            "unit": unit,
            "min_neuroids": min_neuroids,
            "min_fraction": float(min_fraction),
            "schema_version": SCHEMA_VERSION,
        },
    )
    result.attrs |= {"headline": "size", "verdict": describe_neighborhoods(result)}
    return copy_geometry(responses, result)


def neighbor_matrix(neighbors: Any, responses: xr.DataArray | None = None) -> csr_array:
    """Give neighbourhoods as a sparse array, and check that they are those of the responses.

    Parameters
    ----------
    neighbors : Dataset of `find_neighborhoods`, or sparse array (neuroid, neuroid)
        A row holds the members of a center's neighbourhood; ``loaders.adjacency_of`` with a
        radius gives such an array too.
    responses : DataArray (..., neuroid), optional

    Returns
    -------
    csr_array of bool (center, neuroid)

    Raises
    ------
    AlignError
        When they belong to other neuroids.
    SchemaError

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> neighbor_matrix(csr_array(np.eye(3, dtype=bool))).shape
    (3, 3)
    """
    if issparse(neighbors):
        array = csr_array(neighbors)
        array.eliminate_zeros()
        names = None
    elif isinstance(neighbors, xr.Dataset) and {"member", "size"} <= set(neighbors.data_vars):
        size, names = neighbors["size"].values, neighbors["neuroid"].values
        member, indptr = neighbors["member"].values, np.concatenate([[0], np.cumsum(size)])
        ones = np.ones(len(member), dtype=np.bool_)
        array = csr_array((ones, member, indptr), shape=(len(size), len(size)))
    else:
        raise SchemaError(
            "neighbors: expected what find_neighborhoods returns or a sparse array, got "
            f"{type(neighbors).__name__}. Call find_neighborhoods(responses, radius)."
        )
    if responses is not None:
        own, n = responses["neuroid"].values, responses.sizes["neuroid"]
        if array.shape != (n, n) or (names is not None and not np.array_equal(names, own)):
            got = array.shape if names is None else f"{len(names)} from {some(names, 2)}"
            raise AlignError(
                f"neighbors: expected the {n} neuroids of responses from {some(own, 2)}, got "
                f"{got}. Find them on the same neuroids in the same order."
            )
    array.sort_indices()
    return csr_array(
        (np.ones(array.nnz, dtype=np.bool_), array.indices, array.indptr), shape=array.shape
    )


def _stack_coords(responses: xr.DataArray, axes: str) -> Array | None:
    if not set(axes) <= set(map(str, responses.coords)):
        return None
    return np.stack([np.asarray(responses[axis].values) for axis in axes], axis=1)


def _find_volume(request: Request) -> Balls:
    """Balls on the grid, or among points where there is none."""
    grid = _stack_coords(request.responses, "ijk")
    xyz = _stack_coords(request.responses, "xyz")
    affine = request.responses.attrs.get("affine")
    on_grid = grid is not None and (request.unit == "voxel" or affine is not None)
    if on_grid and grid is not None:
        steps = np.eye(3)
        if request.unit == "mm":
            steps = np.array(affine, dtype=np.float64).reshape(4, 4)[:3, :3]
        return _find_on_grid(grid.astype(np.int64), steps, request.radius)
    if xyz is None or request.unit == "voxel":
        need = "i j k" if request.unit == "voxel" else "i j k and attr 'affine', or x y z [mm]"
        raise SchemaError(
            f"responses: expected {need} on 'neuroid', got {some(request.responses.coords, 12)}. "
            "Load the places of the voxels, or assign them."
        )
    members = ball_neighbours(xyz, request.radius)
    return Balls(members, np.full(len(xyz), np.nan))


def _find_on_grid(grid: Array, steps: Array, radius: float) -> Balls:
    """Look each offset of a whole ball up for all centres at once."""
    if (grid < 0).any():
        raise SchemaError(
            f"responses: expected i j k of 0 or more, got {int((grid < 0).any(axis=1).sum())} "
            "neuroids without a voxel (vertices?). Select the voxels."
        )
    # Along an axis the ball reaches as far as the rows of the inverse are long.
    reach = np.ceil(np.linalg.norm(np.linalg.inv(steps), axis=1) * radius).astype(int) + 1
    offsets = np.array(list(product(*[range(-far, far + 1) for far in reach])))
    inside = np.linalg.norm(offsets @ steps.T, axis=1) <= radius + TOLERANCE_MM
    offsets = offsets[inside]
    # Room on all sides keeps neighbours from wrapping around.
    shape = grid.max(axis=0) + 1 + 2 * reach
    weights = np.array([shape[1] * shape[2], shape[2], 1])
    table = np.full(int(np.prod(shape)), -1, dtype=np.int32)
    flat = (grid + reach) @ weights
    table[flat] = np.arange(len(grid))
    if (table[flat] != np.arange(len(grid))).any():
        raise SchemaError("responses: expected each voxel once, got repeated i j k. Drop copies.")
    members, sizes = [], []
    block = max(1, BLOCK // len(offsets))
    for start in range(0, len(flat), block):
        found = table[flat[start : start + block, None] + offsets @ weights]
        held = found >= 0
        members.append(found[held])
        sizes.append(held.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    indices = np.concatenate(members)
    ones = np.ones(len(indices), dtype=np.bool_)
    array = csr_array((ones, indices, indptr), shape=(len(grid), len(grid)))
    array.sort_indices()
    return Balls(array, np.full(len(grid), float(len(offsets))))


def _find_surface(request: Request) -> Balls:
    if request.unit != "mm":
        raise ValueError(f"unit: expected 'mm' on surfaces, got '{request.unit}'. Give mm.")
    n = request.responses.sizes["neuroid"]
    if issparse(request.mesh):
        return _find_on_graph(csr_array(request.mesh), n, request.radius)
    vertex = request.responses.coords.get("vertex")
    side = request.responses.coords.get("hemisphere")
    if vertex is None or (isinstance(request.mesh, Mapping) and side is None):
        raise SchemaError(
            "responses: expected coords 'vertex' and 'hemisphere' on 'neuroid', got "
            f"{some(request.responses.coords, 12)}. Load a surface, or pass a sparse mesh."
        )
    places = vertex.values.astype(np.int64)
    if isinstance(request.mesh, Mapping) and side is not None:
        sides = np.asarray(side.values)
        parts = [
            (np.flatnonzero(sides == name), request.mesh.get(name), f"mesh['{name}']")
            for name in np.unique(sides).tolist()
        ]
    else:
        parts = [(np.arange(n), request.mesh, "mesh")]
    rows, columns, whole = [], [], np.empty(n)
    for own, mesh, name in parts:
        if not isinstance(mesh, tuple) or len(mesh) != 2:
            raise ValueError(
                f"{name}: expected (coordinates, faces) or a sparse array of edge lengths, got "
                f"{type(mesh).__name__}. Name each hemisphere that responses have."
            )
        if len(np.unique(places[own])) < len(own):
            raise SchemaError(
                f"{name}: expected each vertex once, got repeated ones. Pass a mapping "
                "{'L': (coordinates, faces), 'R': ...} for two hemispheres."
            )
        if places[own].min() < 0 or places[own].max() >= len(mesh[0]):
            raise SchemaError(
                f"{name}: expected vertices 0 to {len(mesh[0]) - 1}, got {places[own].min()} to "
                f"{places[own].max()} in responses. Take the mesh of their space."
            )
        near = geodesic_neighbours(np.asarray(mesh[0]), np.asarray(mesh[1]), request.radius)
        whole[own] = np.diff(near.indptr)[places[own]]
        found = near[places[own]][:, places[own]].tocoo()
        rows.append(own[found.row])
        columns.append(own[found.col])
    return Balls(_as_matrix(np.concatenate(rows), np.concatenate(columns), n), whole)


def _as_matrix(rows: Array, columns: Array, n: int) -> csr_array:
    return csr_array((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=(n, n))


def _find_on_graph(lengths: csr_array, n: int, radius: float) -> Balls:
    if lengths.shape != (n, n) or (lengths.data < 0).any():
        raise ValueError(
            f"mesh: expected lengths [mm] of 0 or more, of shape {(n, n)}, got {lengths.shape}. "
            "Keep the rows and columns of the neuroids."
        )
    return Balls(walk_neighbours(lengths, radius), np.full(n, np.nan))


SHAPES: dict[str, Callable[[Request], Balls]] = {"volume": _find_volume, "surface": _find_surface}
