"""Volumes onto the cortical surface, and who neighbours whom among voxels and vertices."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import coo_array, csr_array

from neuroalign._adjacency import (
    ball_neighbours,
    geodesic_neighbours,
    mesh_adjacency,
    voxel_adjacency,
)
from neuroalign.errors import LoadError, SchemaError, choose, require
from neuroalign.loaders._surface_runs import PathLike
from neuroalign.loaders.fmri import load_fmri
from neuroalign.loaders.gifti import HEMISPHERES, SIDES, open_gifti
from neuroalign.schema import add_history, check_responses

nib: Any = require("nibabel", "fmri")
datasets: Any = require("nilearn.datasets", "fmri")
surface: Any = require("nilearn.surface", "fmri")
Array = npt.NDArray[Any]
Mesh = tuple[Array, Array]
MeshSource = str | tuple[PathLike | None, PathLike | None]


def _fsaverage5(part: str) -> list[Mesh | None]:
    """The mesh that nilearn brings along, (coordinates, faces) of left and right."""
    parts = datasets.load_fsaverage("fsaverage5")[part].parts
    return [
        (np.asarray(m.coordinates), np.asarray(m.faces)) for m in map(parts.get, SIDES.values())
    ]


MESHES: dict[str, Callable[[str], list[Mesh | None]]] = {"fsaverage5": _fsaverage5}


def _read_mesh(path: PathLike, side: str) -> Mesh:
    arrays = {int(array.intent): array.data for array in open_gifti(path, side).darrays}
    if not {1008, 1009} <= set(arrays):
        raise LoadError(
            f"{path}: expected a mesh (points and triangles), got intents {sorted(arrays)}. "
            "Name a surf.gii file."
        )
    return np.asarray(arrays[1008]), np.asarray(arrays[1009])


def _meshes(source: MeshSource, part: str, name: str) -> list[Mesh | None]:
    """(coordinates, faces) of the left and the right hemisphere."""
    if isinstance(source, str):
        return choose(MESHES, source, name)(part)
    if len(source) != 2:
        raise LoadError(
            f"{name}: expected a pair (left, right) of files, got {len(source)}. "
            "Name both, left first."
        )
    return [
        None if path is None else _read_mesh(path, side)
        for path, side in zip(source, HEMISPHERES, strict=True)
    ]


def _to_images(responses: xr.DataArray) -> tuple[Any, Any]:
    """The volumes of responses, zero outside, and the mask of where they are."""
    missing = {"i", "j", "k"} - set(responses.coords) | {"affine", "grid_shape"} - set(
        responses.attrs
    )
    if missing or responses.ndim != 2:
        raise SchemaError(
            f"responses: expected voxels (sample, neuroid) with their grid, got {responses.dims} "
            f"without {sorted(missing)}. Load them with load_fmri."
        )
    grid = tuple(int(size) for size in responses.attrs["grid_shape"])
    affine = np.array(responses.attrs["affine"], dtype=float).reshape(4, 4)
    place = tuple(responses[axis].values for axis in "ijk")
    # Numpy would write what lies at -1 into the last voxel.
    if (np.stack(place) < 0).any():
        raise SchemaError(
            f"responses: expected voxels only, got {int((np.stack(place) < 0).any(axis=0).sum())} "
            "neuroids without i j k. Select the voxels."
        )
    volumes = np.zeros((*grid, responses.sizes["sample"]), dtype=np.float32)
    volumes[place] = np.asarray(responses.values, dtype=np.float32).T
    inside = np.zeros(grid, dtype=np.uint8)
    inside[place] = 1
    return nib.Nifti1Image(volumes, affine), nib.Nifti1Image(inside, affine)


def project_to_surface(
    image: xr.DataArray | PathLike,
    mesh: MeshSource = "fsaverage5",
    *,
    inner_mesh: MeshSource | None = None,
    interpolation: str = "linear",
    radius: float = 3.0,
    space: str | None = None,
) -> xr.DataArray:
    """Sample volumes at the vertices of a mesh, through nilearn's ``vol_to_surf``.

    Parameters
    ----------
    image : DataArray (sample, neuroid) of voxels, or path
        A path is read by `load_fmri`. Volume and mesh must lie in one space: nobody checks that.
    mesh : "fsaverage5", or pair (left, right) of ``surf.gii`` paths
        The pial surface; None in the pair leaves a hemisphere out.
    inner_mesh : same as mesh, optional
        The white surface: sample between the two. Without it, in a ball about each vertex, and
        for "fsaverage5" its own white surface.
    interpolation : {"linear", "nearest_most_frequent"}
        The second is for labels.
    radius : float
        Of the ball [mm].
    space : str, optional
        Name of the mesh; "fsaverage5" is known.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, in memory, on ``hemisphere`` and ``vertex``; x y z [mm] are those of the mesh.
        NaN at vertices that no voxel of the responses reaches. Sample coords are kept.

    Raises
    ------
    LoadError, SchemaError, ValueError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(size=(10, 10, 10, 1)).astype("float32")
    >>> affine = np.diag([20.0, 24.0, 20.0, 1.0])
    >>> affine[:3, 3] = -90, -126, -80
    >>> with TemporaryDirectory() as folder:
    ...     nib.save(nib.Nifti1Image(values, affine), f"{folder}/map.nii")
    ...     surface = project_to_surface(load_fmri(f"{folder}/map.nii", labels=[["cat"]], tr=2.0))
    >>> surface.shape, surface.attrs["n_vertices"]
    ((1, 20484), [10242, 10242])
    """
    responses = load_fmri(image) if isinstance(image, str | Path) else check_responses(image)
    volumes, inside = _to_images(responses)
    outer = _meshes(mesh, "pial", "mesh")
    inner: list[Mesh | None] = [None, None]
    if inner_mesh is not None or isinstance(mesh, str):
        inner = _meshes(inner_mesh or mesh, "white_matter", "inner_mesh")
    values, counts, xyz = [], [0, 0], []
    for number, (own, white) in enumerate(zip(outer, inner, strict=True)):
        if own is None:
            continue
        with warnings.catch_warnings():
            # Vertices without a voxel are means over nothing: NaN is what we promise there.
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            warnings.filterwarnings("ignore", message="invalid value encountered")
            drawn = surface.vol_to_surf(
                volumes,
                list(own),
                radius=radius,
                interpolation=interpolation,
                mask_img=inside,
                inner_mesh=None if white is None else list(white),
            )
        values.append(np.asarray(drawn, dtype=np.float32).reshape(len(own[0]), -1).T)
        counts[number] = len(own[0])
        xyz.append(own[0])
    if not values:
        raise LoadError("mesh: expected at least one hemisphere, got none. Name the mesh of one.")
    hemisphere = np.repeat(HEMISPHERES, counts)
    vertex = np.concatenate([np.arange(count) for count in counts])
    places = np.concatenate(xyz).astype(np.float32)
    names = [f"{side}-{index}" for side, index in zip(hemisphere, vertex.tolist(), strict=True)]
    kept = {str(k): v for k, v in responses.coords.items() if v.dims == ("sample",)}
    own_coords: dict[str, Any] = {
        "neuroid": ("neuroid", np.array(names)),
        "hemisphere": ("neuroid", hemisphere),
        "vertex": ("neuroid", vertex),
    } | {axis: ("neuroid", places[:, n]) for n, axis in enumerate("xyz")}
    attrs = {k: v for k, v in responses.attrs.items() if k not in ("affine", "grid_shape", "space")}
    attrs["n_vertices"] = counts
    named = space or (mesh if isinstance(mesh, str) else None)
    if named is not None:
        attrs["space"] = named
    projected = xr.DataArray(
        np.concatenate(values, axis=1), kept | own_coords, ("sample", "neuroid"), attrs=attrs
    )
    step = f"project_to_surface: {named or 'given mesh'}, {interpolation}"
    return check_responses(add_history(projected, step))


def adjacency_of(
    responses: xr.DataArray,
    radius: float | None = None,
    *,
    mesh: MeshSource = "fsaverage5",
    connectivity: int = 6,
) -> csr_array:
    """Say which neuroids are neighbours, for cluster statistics and searchlights.

    Parameters
    ----------
    responses : DataArray (..., neuroid)
        Voxels with ``i j k`` (and x y z [mm] for a radius), vertices with ``hemisphere`` and
        ``vertex``, or both (CIFTI). Voxels and vertices are never neighbours.
    radius : float, optional
        [mm]: all within it, straight for voxels and along the mesh for vertices, the neuroid
        itself included. Without it: direct neighbours, without itself.
    mesh : "fsaverage5", or pair (left, right) of ``surf.gii`` paths
        Read for vertices only. Paths along it may cross vertices that are not among the neuroids.
    connectivity : {6, 18, 26}
        Of voxels, without a radius.

    Returns
    -------
    csr_array of bool (neuroid, neuroid)
        Symmetric, in the order of the neuroids.

    Raises
    ------
    LoadError, SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> place = {"i": [0, 1, 2], "j": [0, 0, 0], "k": [0, 0, 0]}  # three voxels in a row
    >>> responses = from_arrays(
    ...     [[1.0, 2.0, 3.0]], modality="fmri", stimulus=["cat"], neuroid_coords=place
    ... )
    >>> adjacency_of(responses).toarray().astype(int).tolist()
    [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    n = responses.sizes["neuroid"]
    empty = np.full(n, -1)
    vertex = responses["vertex"].values if "vertex" in responses.coords else empty
    grid = (
        np.stack([responses[axis].values for axis in "ijk"], axis=1)
        if {"i", "j", "k"} <= set(responses.coords)
        else np.stack([empty] * 3, axis=1)
    )
    placeless = (vertex < 0) & (grid[:, 0] < 0)
    if placeless.any():
        raise SchemaError(
            f"responses: expected a vertex or i j k for each neuroid, got {int(placeless.sum())} "
            "without. Load volumes or surfaces with their places."
        )
    blocks: list[tuple[Array, csr_array]] = []
    voxels = np.flatnonzero(vertex < 0)
    if len(voxels):
        blocks.append((voxels, _voxel_block(responses, grid, voxels, radius, connectivity)))
    if (vertex >= 0).any():
        meshes = _meshes(mesh, "pial" if radius is None else "white_matter", "mesh")
        blocks += _vertex_blocks(responses, vertex, meshes, radius)
    parts = [(places, block.tocoo()) for places, block in blocks]
    rows = np.concatenate([places[block.row] for places, block in parts])
    columns = np.concatenate([places[block.col] for places, block in parts])
    return coo_array((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=(n, n)).tocsr()


def _voxel_block(
    responses: xr.DataArray, grid: Array, voxels: Array, radius: float | None, connectivity: int
) -> csr_array:
    if radius is None:
        return voxel_adjacency(grid[voxels], connectivity)
    if not {"x", "y", "z"} <= set(responses.coords):
        raise SchemaError("responses: expected x y z [mm] for a radius, got none. Assign them.")
    xyz = np.stack([responses[axis].values for axis in "xyz"], axis=1)
    return ball_neighbours(xyz[voxels], radius)


def _vertex_blocks(
    responses: xr.DataArray, vertex: Array, meshes: list[Mesh | None], radius: float | None
) -> list[tuple[Array, csr_array]]:
    hemisphere = responses["hemisphere"].values
    counts = responses.attrs.get("n_vertices", [None, None])
    blocks = []
    for side, own, count in zip(HEMISPHERES, meshes, counts, strict=True):
        places = np.flatnonzero((hemisphere == side) & (vertex >= 0))
        if not len(places):
            continue
        found = 0 if own is None else len(own[0])
        wanted = int(vertex[places].max()) + 1 if count is None else int(count)
        if own is None or (found != wanted if count is not None else found < wanted):
            raise LoadError(
                f"mesh: expected the {wanted} {SIDES[side]} vertices of responses, got {found}. "
                "Pass the surf.gii pair of their space."
            )
        whole = (
            mesh_adjacency(own[1], found)
            if radius is None
            else geodesic_neighbours(own[0], own[1], radius)
        )
        blocks.append((places, whole[vertex[places]][:, vertex[places]]))
    return blocks
