"""Clusters of neighbours: found where planted, on grids, meshes and in time, at their level."""

import mne
import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from neuroalign import schema
from neuroalign._adjacency import mesh_adjacency, voxel_adjacency
from neuroalign.errors import AlignError, SchemaError
from neuroalign.stats import find_clusters

SIDE = 8
GRID = np.stack(np.meshgrid(*[np.arange(SIDE)] * 2, [0], indexing="ij"), -1).reshape(-1, 3)
INSIDE = (GRID[:, 0] < 3) & (GRID[:, 1] < 3)


def _maps(rng: np.random.Generator, n: int = 12, height: float = 0.0) -> xr.DataArray:
    values = rng.normal(size=(n, SIDE * SIDE)) + height * INSIDE
    coords = {"neuroid": [f"v{i}" for i in range(SIDE**2)]} | {
        axis: ("neuroid", GRID[:, i]) for i, axis in enumerate("ijk")
    }
    attrs = {"grid_shape": [SIDE, SIDE, 1], "affine": np.eye(4).ravel().tolist()}
    return xr.DataArray(values, dims=("subject", "neuroid"), coords=coords, attrs=attrs)


@pytest.mark.parametrize("statistic", ["cluster", "tfce"])
def test_a_planted_patch_is_found_in_a_volume(statistic: str, rng: np.random.Generator) -> None:
    adjacency = voxel_adjacency(GRID)
    found = find_clusters(
        _maps(rng, height=1.5), adjacency, statistic=statistic, n_permutations=200
    )
    schema.check(found)
    hit = found["p_value"].values <= 0.05
    assert hit[INSIDE].mean() > 0.6
    assert hit[~INSIDE].mean() < 0.1
    assert found["p_value"].attrs["grid_shape"] == [SIDE, SIDE, 1]


def test_clusters_equal_those_of_mne(rng: np.random.Generator) -> None:
    maps, adjacency = _maps(rng, height=1.0), voxel_adjacency(GRID)
    ours = find_clusters(maps, adjacency, threshold=2.0, n_permutations=100, tail="two-sided")
    t, clusters, p, _ = mne.stats.permutation_cluster_1samp_test(
        maps.values,
        threshold=2.0,
        n_permutations=100,
        adjacency=adjacency.astype(float).tocoo(),
        out_type="mask",
        seed=0,
        verbose="ERROR",
    )
    np.testing.assert_allclose(ours["statistic"], t)
    assert ours.attrs["n_clusters"] == len(clusters)
    for number, (members, value) in enumerate(zip(clusters, p, strict=True), start=1):
        np.testing.assert_array_equal(ours["cluster"].values == number, members)
        np.testing.assert_allclose(ours["p_value"].values[members], value)


def test_the_family_is_wrong_as_rarely_as_said(rng: np.random.Generator) -> None:
    adjacency = voxel_adjacency(GRID)
    wrong = 0
    for seed in range(60):
        smooth = _maps(rng, n=10)
        values = smooth.values.reshape(10, SIDE, SIDE)
        smooth.values[:] = gaussian_filter(values, (0, 1, 1)).reshape(10, -1)
        found = find_clusters(smooth, adjacency, n_permutations=99, seed=seed)
        wrong += bool((found["p_value"] <= 0.05).any())
    assert wrong <= 8


def test_surfaces_and_times_have_neighbours_too(rng: np.random.Generator) -> None:
    faces = np.array([[i, i + 1, i + 2] for i in range(18)])
    values = rng.normal(size=(10, 20, 6))
    values[:, :5, 2:4] += 2.5
    maps = xr.DataArray(
        values,
        dims=("subject", "neuroid", "time"),
        coords={"neuroid": [f"v{i}" for i in range(20)], "time": np.arange(6) / 10},
    )
    found = find_clusters(maps, mesh_adjacency(faces, 20), n_permutations=200)
    assert found["p_value"].dims == ("neuroid", "time")
    hit = found["p_value"].values <= 0.05
    assert hit[:5, 2:4].mean() > 0.9
    assert hit[5:].mean() < 0.1
    assert len(np.unique(found["cluster"].values[:5, 2:4])) == 1


@pytest.mark.parametrize(("statistic", "threshold"), [("tfce", None), ("cluster", 2.0)])
def test_the_lower_tail_mirrors_the_upper(
    statistic: str, threshold: float | None, rng: np.random.Generator
) -> None:
    maps, adjacency = _maps(rng, height=1.5), voxel_adjacency(GRID)
    options = {"statistic": statistic, "threshold": threshold, "n_permutations": 50}
    upper = find_clusters(maps, adjacency, **options)
    lower = find_clusters(-maps, adjacency, tail="less", **options)
    np.testing.assert_allclose(lower["statistic"], -upper["statistic"])
    np.testing.assert_allclose(lower["p_value"], upper["p_value"])
    assert (upper["p_value"].values[INSIDE] <= 0.05).mean() > 0.6


def test_without_a_cluster_nothing_is_significant(rng: np.random.Generator) -> None:
    found = find_clusters(_maps(rng), voxel_adjacency(GRID), threshold=50.0, n_permutations=20)
    assert (found["p_value"] == 1).all()
    assert found.attrs["n_clusters"] == 0


def test_faults_are_named(rng: np.random.Generator) -> None:
    maps, adjacency = _maps(rng), voxel_adjacency(GRID)
    with pytest.raises(AlignError, match=r"adjacency: expected shape \(64, 64\)"):
        find_clusters(maps, adjacency[:5, :5])
    with pytest.raises(SchemaError, match=r"values: expected dims \('subject', 'neuroid'"):
        find_clusters(maps.T, adjacency)
    with pytest.raises(ValueError, match="values: expected at least 2 subjects, got 1"):
        find_clusters(maps[:1], adjacency)
    with pytest.raises(ValueError, match="values: expected finite maps"):
        find_clusters(maps.where(maps < 1), adjacency)
    with pytest.raises(ValueError, match="threshold: expected None under statistic 'tfce'"):
        find_clusters(maps, adjacency, statistic="tfce", threshold=2.0)
    with pytest.raises(ValueError, match=r"threshold: expected \|t\| above 0, got -2"):
        find_clusters(maps, adjacency, threshold=-2.0, tail="less")
    with pytest.raises(ValueError, match="values: expected places that vary.*got 64"):
        find_clusters(maps * 0, adjacency)
    with pytest.raises(ValueError, match="tail: expected one of 'greater'"):
        find_clusters(maps, adjacency, tail="up")
    with pytest.raises(ValueError, match="n_permutations: expected at least 1"):
        find_clusters(maps, adjacency, n_permutations=0)


def test_courses_need_no_neighbours_in_space(rng: np.random.Generator) -> None:
    courses = rng.normal(size=(12, 2, 30))
    courses[:, 1, 10:15] += 2.0
    values = xr.DataArray(courses, dims=("subject", "neuroid", "time"))
    ours = find_clusters(values, n_permutations=200)
    apart = find_clusters(values, csr_array((2, 2)), n_permutations=200)
    xr.testing.assert_identical(ours, apart)
    assert np.flatnonzero(ours["p_value"].values[1] < 0.05).tolist() == [10, 11, 12, 13, 14]
    one = find_clusters(values[:, 1:], n_permutations=200)
    t, clusters, *_ = mne.stats.permutation_cluster_1samp_test(
        courses[:, 1], n_permutations=200, tail=1, seed=0, threshold=1.7959, verbose="ERROR"
    )
    np.testing.assert_allclose(one["statistic"].values[0], t)
    assert one.attrs["n_clusters"] == len(clusters)
    with pytest.raises(AlignError, match="expected which of 2 neuroids are neighbours, got None"):
        find_clusters(values[:, :, 0])
