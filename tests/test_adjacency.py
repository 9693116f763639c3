"""Neighbours equal brute force, and what geometry says of grids and spheres."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from neuroalign._adjacency import (
    ball_neighbours,
    geodesic_neighbours,
    mesh_adjacency,
    voxel_adjacency,
)


def icosphere(times: int) -> tuple[np.ndarray, np.ndarray]:
    """An icosahedron whose triangles were cut in four, so many times."""
    g = (1 + 5**0.5) / 2
    base = [(0, a, b * g) for a in (-1, 1) for b in (-1, 1)]
    points = [tuple(np.roll(p, shift)) for shift in range(3) for p in base]
    points = [tuple(np.array(p) / np.hypot(1, g)) for p in points]
    near = cdist(points, points) < 1.1
    n = len(points)
    faces = [
        (a, b, c)
        for a in range(n)
        for b in range(a + 1, n)
        for c in range(b + 1, n)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    for _ in range(times):
        middle: dict[tuple[int, int], int] = {}
        cut = []
        for face in faces:
            m = [_middle(points, middle, face[e], face[(e + 1) % 3]) for e in range(3)]
            cut += [(face[0], m[0], m[2]), (face[1], m[1], m[0]), (face[2], m[2], m[1]), tuple(m)]
        faces = cut
    return np.array(points), np.array(faces)


def _middle(points: list, middle: dict[tuple[int, int], int], a: int, b: int) -> int:
    key = (min(a, b), max(a, b))
    if key not in middle:
        point = np.array(points[a]) + np.array(points[b])
        points.append(tuple(point / np.linalg.norm(point)))
        middle[key] = len(points) - 1
    return middle[key]


def grid(*shape: int) -> np.ndarray:
    return np.argwhere(np.ones(shape, bool))


@pytest.mark.parametrize(("connectivity", "reach"), [(6, 1.0), (18, 2**0.5), (26, 3**0.5)])
def test_voxels_equal_brute_force_on_scattered_voxels(
    rng: np.random.Generator, connectivity: int, reach: float
) -> None:
    ijk = rng.permutation(grid(6, 5, 7))[:120] - 3
    expected = (cdist(ijk, ijk) <= reach + 1e-9) & ~np.eye(len(ijk), dtype=bool)
    found = voxel_adjacency(ijk, connectivity)
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.dtype == bool


@pytest.mark.parametrize(("connectivity", "middle"), [(6, 6), (18, 18), (26, 26)])
def test_the_middle_of_a_cube_has_all_neighbours(connectivity: int, middle: int) -> None:
    assert voxel_adjacency(grid(3, 3, 3), connectivity).sum(axis=1)[13] == middle


def test_a_grid_has_the_edges_that_counting_gives() -> None:
    a, b, c = 4, 5, 6
    edges = (a - 1) * b * c + a * (b - 1) * c + a * b * (c - 1)
    assert voxel_adjacency(grid(a, b, c)).nnz == 2 * edges


def test_one_voxel_and_none_have_no_neighbours() -> None:
    assert voxel_adjacency(np.array([[3, 4, 5]])).nnz == 0
    assert voxel_adjacency(np.empty((0, 3), int)).shape == (0, 0)


def test_unknown_connectivity_and_repeated_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match="connectivity: expected one of '6', '18', '26', got '8'"):
        voxel_adjacency(grid(2, 2, 2), 8)
    with pytest.raises(ValueError, match="expected each voxel once"):
        voxel_adjacency(np.zeros((2, 3), int))


def test_a_sphere_of_triangles_obeys_euler() -> None:
    points, faces = icosphere(3)
    found = mesh_adjacency(faces, len(points))
    assert len(points) == 642
    assert found.nnz // 2 == len(points) + len(faces) - 2
    assert np.bincount(found.sum(axis=1))[[5, 6]].tolist() == [12, 630]
    assert (found != found.T).nnz == 0


def test_faces_outside_the_mesh_are_refused() -> None:
    with pytest.raises(ValueError, match="faces: expected vertices 0 to 2, got 0 to 3"):
        mesh_adjacency(np.array([[0, 1, 3]]), 3)


def floyd_warshall(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    distance = np.full((len(points), len(points)), np.inf)
    np.fill_diagonal(distance, 0)
    for face in faces:
        for a, b in zip(face, np.roll(face, 1), strict=True):
            distance[a, b] = distance[b, a] = np.linalg.norm(points[a] - points[b])
    for k in range(len(points)):
        distance = np.minimum(distance, distance[:, [k]] + distance[[k]])
    return distance


@pytest.mark.parametrize("radius", [0.2, 0.7, 1.9])
def test_paths_along_the_mesh_equal_brute_force(radius: float) -> None:
    points, faces = icosphere(2)
    expected = floyd_warshall(points, faces) <= radius + 1e-4
    np.testing.assert_array_equal(geodesic_neighbours(points, faces, radius).toarray(), expected)


def test_paths_on_a_sphere_are_near_the_arc() -> None:
    points, faces = icosphere(3)
    points = points * 50
    arc = 50 * np.arccos(np.clip(points @ points.T / 2500, -1, 1))
    found = geodesic_neighbours(points, faces, 40.0).toarray()
    # Chords cut the arc by under 1 %, detours along edges add at most 15 %.
    assert not found[arc > 40 * 1.02].any()
    assert found[arc < 40 / 1.17].all()


def test_blocks_do_not_change_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    points, faces = icosphere(2)
    whole = geodesic_neighbours(points, faces, 0.6)
    monkeypatch.setattr("neuroalign._adjacency.BLOCK", 5 * len(points))
    assert (geodesic_neighbours(points, faces, 0.6) != whole).nnz == 0


def test_balls_equal_brute_force_and_reach_their_radius(rng: np.random.Generator) -> None:
    xyz = (grid(5, 5, 5) * 3.0 + 0.1).astype("float32")
    expected = cdist(grid(5, 5, 5), grid(5, 5, 5)) <= 2
    np.testing.assert_array_equal(ball_neighbours(xyz, 6.0).toarray(), expected)
    cloud = rng.normal(size=(80, 3)) * 10
    np.testing.assert_array_equal(ball_neighbours(cloud, 8).toarray(), cdist(cloud, cloud) <= 8)


def test_a_radius_without_size_and_a_point_without_place_are_refused() -> None:
    with pytest.raises(ValueError, match="radius: expected > 0 mm, got 0"):
        ball_neighbours(np.zeros((2, 3)), 0)
    with pytest.raises(ValueError, match="xyz: expected finite positions"):
        ball_neighbours(np.full((2, 3), np.nan), 1)
