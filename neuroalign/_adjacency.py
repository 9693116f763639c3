"""Which places are neighbours: voxels on a grid, vertices on a mesh, points in space.

Bare arrays in, symmetric boolean CSR arrays out. Adjacencies lack the diagonal; neighbourhoods
within a radius hold it, because a place lies in its own ball.
"""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from neuroalign.errors import choose

Array = npt.NDArray[Any]
# How many of the three axes may differ between neighbouring voxels.
CONNECTIVITY = {"6": 1, "18": 2, "26": 3}
# Coordinates are often float32: a place at the radius itself must not fall out.
TOLERANCE_MM = 1e-4
# Distances held at once by the geodesic search (128 MB).
BLOCK = 1 << 24


def _connect(first: Array, second: Array, n: int) -> csr_array:
    """Edges, each once, to a symmetric boolean matrix."""
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    return coo_array((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=(n, n)).tocsr()


def voxel_adjacency(ijk: Array, connectivity: int = 6) -> csr_array:
    """Connect voxels that share a face (6), also an edge (18), also a corner (26).

    Parameters
    ----------
    ijk : array of int (voxel, 3)
        Unique grid positions, in any order.
    connectivity : {6, 18, 26}

    Returns
    -------
    csr_array of bool (voxel, voxel)

    Raises
    ------
    ValueError
    """
    most = choose(CONNECTIVITY, str(connectivity), "connectivity")
    ijk = np.asarray(ijk, dtype=np.int64).reshape(-1, 3)
    n = len(ijk)
    if n == 0:
        return csr_array((0, 0), dtype=bool)
    # One empty plane at the end of each axis keeps neighbours from wrapping around.
    steps = ijk - ijk.min(axis=0)
    shape = steps.max(axis=0) + 2
    weights = np.array([shape[1] * shape[2], shape[2], 1])
    flat = steps @ weights
    order = np.argsort(flat)
    ranked = flat[order]
    if (np.diff(ranked) == 0).any():
        raise ValueError("ijk: expected each voxel once, got repeated ones. Drop the copies.")
    firsts, seconds = [], []
    for offset in product((-1, 0, 1), repeat=3):
        # Half of the directions; the other half is the mirror image.
        if offset <= (0, 0, 0) or np.abs(offset).sum() > most:
            continue
        wanted = flat + np.array(offset) @ weights
        place = np.minimum(np.searchsorted(ranked, wanted), n - 1)
        found = np.flatnonzero(ranked[place] == wanted)
        firsts.append(found)
        seconds.append(order[place[found]])
    return _connect(np.concatenate(firsts), np.concatenate(seconds), n)


def _edges(faces: Array, n_vertices: int) -> Array:
    """Each edge of the triangles once: (edge, 2)."""
    faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
    if faces.size and (faces.min() < 0 or faces.max() >= n_vertices):
        raise ValueError(
            f"faces: expected vertices 0 to {n_vertices - 1}, got {faces.min()} to "
            f"{faces.max()}. Take faces and vertices from one mesh."
        )
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges: Array = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return edges


def mesh_adjacency(faces: Array, n_vertices: int) -> csr_array:
    """Connect vertices that share an edge of a triangle.

    Parameters
    ----------
    faces : array of int (face, 3)
    n_vertices : int

    Returns
    -------
    csr_array of bool (vertex, vertex)

    Raises
    ------
    ValueError
        When a face names a vertex that does not exist.
    """
    edges = _edges(faces, n_vertices)
    return _connect(edges[:, 0], edges[:, 1], n_vertices)


def geodesic_neighbours(coordinates: Array, faces: Array, radius_mm: float) -> csr_array:
    """Find vertices within a distance along the edges of a mesh (Dijkstra).

    Paths along edges are never shorter than the true geodesic; on regular triangles they are
    longer by at most 15 %.

    Parameters
    ----------
    coordinates : array (vertex, 3)
        [mm]
    faces : array of int (face, 3)
    radius_mm : float

    Returns
    -------
    csr_array of bool (vertex, vertex)
        With the diagonal.

    Raises
    ------
    ValueError
    """
    coordinates = np.asarray(coordinates, dtype=np.float64)
    n = len(coordinates)
    edges = _edges(faces, n)
    lengths = np.linalg.norm(coordinates[edges[:, 0]] - coordinates[edges[:, 1]], axis=1)
    graph = coo_array((lengths, (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
    return walk_neighbours(graph, radius_mm)


def walk_neighbours(lengths: csr_array, radius_mm: float) -> csr_array:
    """Find nodes of a graph within a distance along its edges (Dijkstra).

    Parameters
    ----------
    lengths : csr_array (node, node)
        Lengths of edges [mm], in one direction or both.
    radius_mm : float

    Returns
    -------
    csr_array of bool (node, node)
        With the diagonal.

    Raises
    ------
    ValueError
    """
    limit, n = _check_radius(radius_mm), lengths.shape[0]
    if n == 0:
        return csr_array((0, 0), dtype=bool)
    rows, columns = [], []
    block = max(1, BLOCK // n)
    for start in range(0, n, block):
        sources = np.arange(start, min(start + block, n))
        distances = dijkstra(lengths, directed=False, indices=sources, limit=limit)
        row, column = np.nonzero(np.isfinite(distances))
        rows.append(sources[row])
        columns.append(column)
    at = (np.concatenate(rows), np.concatenate(columns))
    return coo_array((np.ones(len(at[0]), dtype=np.bool_), at), shape=(n, n)).tocsr()


def ball_neighbours(xyz: Array, radius_mm: float) -> csr_array:
    """Find points within a straight distance.

    Parameters
    ----------
    xyz : array (point, 3)
        [mm]
    radius_mm : float

    Returns
    -------
    csr_array of bool (point, point)
        With the diagonal.

    Raises
    ------
    ValueError
    """
    limit = _check_radius(radius_mm)
    xyz = np.asarray(xyz, dtype=np.float64)
    if not np.isfinite(xyz).all():
        raise ValueError("xyz: expected finite positions [mm], got NaN. Drop places without one.")
    n = len(xyz)
    pairs = cKDTree(xyz).query_pairs(limit, output_type="ndarray")
    itself = np.arange(n)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], itself])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], itself])
    return coo_array((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=(n, n)).tocsr()


def _check_radius(radius_mm: float) -> float:
    if not radius_mm > 0:
        raise ValueError(f"radius: expected > 0 mm, got {radius_mm}. Give it in mm.")
    return float(radius_mm) + TOLERANCE_MM
