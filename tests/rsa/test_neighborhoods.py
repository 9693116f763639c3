"""Neighbourhoods equal brute force, whole balls count what lies outside, and all can be saved."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from neuroalign import storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import find_neighborhoods, neighbor_matrix


def make_volume(
    shape: tuple[int, int, int] = (6, 5, 4), voxel: tuple[float, float, float] = (2.0, 3.0, 4.0)
) -> xr.DataArray:
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    data = from_arrays(np.zeros((1, len(grid))), stimulus=["a"], modality="fmri")
    data = data.assign_coords({axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")})
    xyz = grid * np.array(voxel)
    data = data.assign_coords({axis: ("neuroid", xyz[:, d]) for d, axis in enumerate("xyz")})
    affine = np.diag([*voxel, 1.0]).ravel().tolist()
    return data.assign_attrs(affine=affine, grid_shape=list(shape))


def make_mesh(n: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """A bumpy sheet of triangles."""
    x, y = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    height = 2 * np.sin(x) * np.cos(y)
    coordinates = np.stack([x, y, height], -1).reshape(-1, 3).astype(float)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + n], 1),
            np.stack([corner + 1, corner + n + 1, corner + n], 1),
        ]
    )
    return coordinates, faces


def make_surface(vertex: np.ndarray, side: str | np.ndarray = "L") -> xr.DataArray:
    data = from_arrays(np.zeros((1, len(vertex))), stimulus=["a"], modality="fmri")
    sides = np.broadcast_to(side, len(vertex))
    return data.assign_coords(vertex=("neuroid", vertex), hemisphere=("neuroid", sides))


def relax(coordinates: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Shortest paths along edges, by Floyd and Warshall."""
    far = np.full((len(coordinates), len(coordinates)), np.inf)
    np.fill_diagonal(far, 0.0)
    for a, b, c in faces:
        for i, j in ((a, b), (b, c), (c, a)):
            far[i, j] = far[j, i] = np.linalg.norm(coordinates[i] - coordinates[j])
    for k in range(len(far)):
        far = np.minimum(far, far[:, k, None] + far[k])
    return far


def weigh(coordinates: np.ndarray, faces: np.ndarray) -> csr_array:
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, 1:]]), axis=1), axis=0)
    more = np.sort(faces[:, [0, 2]], axis=1)
    edges = np.unique(np.concatenate([edges, more]), axis=0)
    length = np.linalg.norm(coordinates[edges[:, 0]] - coordinates[edges[:, 1]], axis=1)
    n = len(coordinates)
    return csr_array((length, (edges[:, 0], edges[:, 1])), shape=(n, n))


@pytest.mark.parametrize("radius", [1.5, 3.0, 4.0, 6.5])
def test_balls_in_mm_equal_all_distances(rng: np.random.Generator, radius: float) -> None:
    data = make_volume()
    data = data.isel(neuroid=rng.permutation(120)[:90])
    xyz = np.stack([data[axis].values for axis in "xyz"], axis=1)
    expected = cdist(xyz, xyz) <= radius
    for one in (data, data.drop_attrs(), data.drop_vars(["i", "j", "k"])):
        found = find_neighborhoods(one, radius)
        np.testing.assert_array_equal(neighbor_matrix(found).toarray(), expected)


def test_balls_of_a_tilted_grid_are_round_in_mm() -> None:
    data = make_volume((5, 5, 5))
    steps = np.array([[2.0, 1.0, 0], [0, 1.5, 0.5], [0.3, 0, 2.5]])
    affine = np.eye(4)
    affine[:3, :3] = steps
    grid = np.stack([data[axis].values for axis in "ijk"], axis=1)
    data = data.assign_attrs(affine=affine.ravel().tolist())
    expected = cdist(grid @ steps.T, grid @ steps.T) <= 4.0
    found = neighbor_matrix(find_neighborhoods(data, 4.0)).toarray()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("radius", "n"), [(1, 7), (2, 33), (3, 123)])
def test_a_place_at_the_radius_is_inside(radius: int, n: int) -> None:
    found = find_neighborhoods(make_volume((7, 7, 7)), radius, unit="voxel")
    assert int(found["size"].max()) == n
    np.testing.assert_array_equal(found["n_whole"], n)


@pytest.mark.parametrize("radius", [2, 3])
def test_the_peer_leaves_out_the_radius_itself(radius: int) -> None:
    searchlight = pytest.importorskip("rsatoolbox.util.searchlight")
    shape = (6, 6, 6)
    centers, expected = searchlight.get_volume_searchlight(np.ones(shape), radius, threshold=1.0)
    data = make_volume(shape)
    ours = neighbor_matrix(find_neighborhoods(data, radius - 1e-3, unit="voxel"))
    assert len(centers) == 216
    for row, members in zip(centers, expected, strict=True):
        own = ours.indices[ours.indptr[row] : ours.indptr[row + 1]]
        np.testing.assert_array_equal(own, np.sort(members))


def test_what_the_edge_cuts_off_counts_as_missing() -> None:
    data = make_volume((5, 5, 5), (1.0, 1.0, 1.0))
    found = find_neighborhoods(data, 1, min_fraction=1.0)
    inner = np.all([(data[axis] > 0) & (data[axis] < 4) for axis in "ijk"], axis=0)
    np.testing.assert_array_equal(found["size"], np.where(inner, 7, 0))
    assert int(found["n_found"].min()) == 4
    fewer = find_neighborhoods(data, 1, min_neuroids=5)
    np.testing.assert_array_equal(fewer["size"] == 0, found["n_found"] == 4)


def test_discs_on_a_mesh_equal_brute_force() -> None:
    coordinates, faces = make_mesh()
    far = relax(coordinates, faces)
    kept = np.setdiff1d(np.arange(49), [10, 11, 24])[::-1]
    found = find_neighborhoods(make_surface(kept), 3.0, shape="surface", mesh=(coordinates, faces))
    np.testing.assert_array_equal(neighbor_matrix(found).toarray(), far[np.ix_(kept, kept)] <= 3)
    np.testing.assert_array_equal(found["n_whole"], (far <= 3).sum(axis=1)[kept])
    graph = find_neighborhoods(
        make_surface(np.arange(49)), 3.0, shape="surface", mesh=weigh(coordinates, faces)
    )
    np.testing.assert_array_equal(neighbor_matrix(graph).toarray(), far <= 3)


def test_hemispheres_never_touch() -> None:
    mesh = make_mesh(4)
    data = make_surface(np.tile(np.arange(16), 2), np.repeat(["L", "R"], 16))
    found = find_neighborhoods(data, 2.5, shape="surface", mesh={"L": mesh, "R": mesh})
    matrix = neighbor_matrix(found).toarray()
    assert not matrix[:16, 16:].any()
    np.testing.assert_array_equal(matrix[:16, :16], matrix[16:, 16:])


def test_they_are_saved_and_read_back(tmp_path: Path) -> None:
    found = find_neighborhoods(make_volume(), 4.0, min_fraction=0.5)
    again = storage.load(storage.save(found, tmp_path / "near.nc")).compute()
    xr.testing.assert_identical(again, found)
    np.testing.assert_array_equal(
        neighbor_matrix(again).toarray(), neighbor_matrix(found).toarray()
    )


def test_faults_are_named() -> None:
    data, mesh = make_volume(), make_mesh(3)
    sheet = make_surface(np.arange(9))
    with pytest.raises(ValueError, match="radius: expected > 0 mm, got 0"):
        find_neighborhoods(data, 0)
    with pytest.raises(ValueError, match="unit: expected one of 'mm', 'voxel'"):
        find_neighborhoods(data, 2, unit="cm")
    with pytest.raises(ValueError, match="min_fraction: expected 0 to 1"):
        find_neighborhoods(data, 2, min_fraction=70)
    with pytest.raises(ValueError, match="min_fraction: expected 0 for places without a grid"):
        find_neighborhoods(data.drop_attrs(), 2, min_fraction=0.5)
    with pytest.raises(SchemaError, match="expected i j k on 'neuroid'"):
        find_neighborhoods(data.drop_vars(["i", "j", "k"]), 2, unit="voxel")
    with pytest.raises(SchemaError, match="expected each voxel once"):
        find_neighborhoods(data.isel(neuroid=[0, 0]), 2)
    with pytest.raises(SchemaError, match="i j k of 0 or more, got 120"):
        find_neighborhoods(data.assign_coords(i=data["i"] - 9), 2)
    with pytest.raises(ValueError, match="unit: expected 'mm' on surfaces"):
        find_neighborhoods(sheet, 2, shape="surface", unit="voxel", mesh=mesh)
    with pytest.raises(ValueError, match=r"mesh\['L'\]: expected \(coordinates, faces\)"):
        find_neighborhoods(sheet, 2, shape="surface", mesh={"R": mesh})
    with pytest.raises(SchemaError, match="expected vertices 0 to 8, got 0 to 11"):
        find_neighborhoods(make_surface(np.arange(12)), 2, shape="surface", mesh=mesh)
    with pytest.raises(SchemaError, match="expected each vertex once"):
        find_neighborhoods(make_surface(np.array([1, 1])), 2, shape="surface", mesh=mesh)
    with pytest.raises(SchemaError, match="expected coords 'vertex' and 'hemisphere'"):
        find_neighborhoods(data, 2, shape="surface", mesh=mesh)
    with pytest.raises(ValueError, match="mesh: expected lengths"):
        find_neighborhoods(sheet, 2, shape="surface", mesh=csr_array((3, 3)))
    with pytest.raises(AlignError, match="neighbors: expected the 119 neuroids"):
        neighbor_matrix(find_neighborhoods(data, 2), data[:, 1:])
