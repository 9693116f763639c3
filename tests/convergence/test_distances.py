"""Distances from a region of origin."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.convergence import measure_distances
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import load_cortical_maps

Planted = tuple[xr.Dataset, xr.DataArray]


@pytest.fixture(scope="module")
def everywhere() -> xr.Dataset:
    """All vertices; V1 is the occipital pole of either hemisphere."""
    maps = load_cortical_maps(("thickness",))
    return maps.assign_coords(roi=("neuroid", np.where(maps["y"].values < -95, "V1", "rest")))


def test_straight_distances_are_those_to_the_centroid_of_the_own_hemisphere(
    everywhere: xr.Dataset,
) -> None:
    found = measure_distances(everywhere, kinds=("euclidean",))["euclidean"]
    left = (everywhere["hemisphere"] == "L").values & (everywhere["roi"] == "V1").values
    xyz = np.stack([everywhere[axis].values for axis in "xyz"], axis=1).astype(float)
    place = 7000
    assert everywhere["hemisphere"].values[place] == "L"
    wanted = np.linalg.norm(xyz[place] - xyz[left].mean(axis=0))
    np.testing.assert_allclose(found.values[place], wanted)


def test_paths_along_the_cortex_are_zero_in_the_origin_and_longer_than_straight_lines(
    everywhere: xr.Dataset,
) -> None:
    from neuroalign.loaders.surface import MESHES

    found = measure_distances(everywhere, kinds=("geodesic",))["geodesic"].values
    origin = (everywhere["roi"] == "V1").values
    assert (found[origin] == 0).all()
    assert np.isfinite(found).all()
    points, _ = MESHES["fsaverage5"]("white_matter")[0]
    sources = points[origin[: len(points)]]
    for place in (100, 5000, 9000):
        nearest = np.linalg.norm(sources - points[place], axis=1).min()
        assert found[place] >= nearest - 1e-6


def test_paths_agree_with_another_search(everywhere: xr.Dataset) -> None:
    networkx = pytest.importorskip("networkx")
    from neuroalign.loaders.surface import MESHES

    points, faces = MESHES["fsaverage5"]("white_matter")[0]
    graph = networkx.Graph()
    for one in faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]:
        lengths = np.linalg.norm(points[one[:, 0]] - points[one[:, 1]], axis=1)
        graph.add_weighted_edges_from(zip(*one.T.tolist(), lengths.tolist(), strict=True))
    sources = set(np.flatnonzero((everywhere["roi"] == "V1").values[: len(points)]).tolist())
    wanted = networkx.multi_source_dijkstra_path_length(graph, sources)
    found = measure_distances(everywhere, kinds=("geodesic",))["geodesic"].values
    for place in (3, 4000, 10000):
        assert found[place] == pytest.approx(wanted[place])


def test_maps_cover_all_vertices_and_agree_at_the_neuroids(planted: Planted) -> None:
    result, _ = planted
    found = measure_distances(result)
    assert found["geodesic_map"].shape == (20484,)
    right = (found["hemisphere"] == "R").values
    places = found["vertex"].values + 10242 * right
    for kind in ("geodesic", "euclidean"):
        np.testing.assert_allclose(found[f"{kind}_map"].values[places], found[kind], rtol=1e-4)


def test_ranks_are_taken_from_the_hierarchy_given(planted: Planted) -> None:
    found = measure_distances(planted[0], kinds=(), hierarchy={"V1": 1, "V2": 2})["hierarchy"]
    assert (found[found["roi"].values == "V2"] == 2).all()
    assert np.isnan(found[found["roi"].values == "IT"]).all()


def test_an_origin_in_one_hemisphere_is_mirrored_for_straight_lines_only(
    planted: Planted,
) -> None:
    result = planted[0]
    alone = result.isel(neuroid=~((result["roi"] == "V1") & (result["hemisphere"] == "R")).values)
    assert np.isfinite(measure_distances(alone, kinds=("euclidean",))["euclidean"]).all()
    with pytest.raises(AlignError, match="in every hemisphere"):
        measure_distances(alone)


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ("roi", {}, "expected coord 'roi'"),
        ("x", {}, "expected coords x y z"),
        ("vertex", {"kinds": ("geodesic",)}, "expected coords 'hemisphere' and 'vertex'"),
    ],
)
def test_what_is_missing_is_named(
    planted: Planted, change: str, options: dict[str, tuple[str]], match: str
) -> None:
    with pytest.raises(SchemaError, match=match):
        measure_distances(planted[0].drop_vars(change), **options)  # type: ignore[arg-type]


def test_the_origin_must_be_a_region(planted: Planted) -> None:
    with pytest.raises(AlignError, match="origin: expected one of the regions"):
        measure_distances(planted[0], "MT")


def test_regions_without_a_rank_are_named(planted: Planted) -> None:
    ranks = {"V1": 0, "V2": 1, "V4": 2, "LO": 3, "TI": 4}
    found = measure_distances(planted[1], kinds=("euclidean",), hierarchy=ranks)
    assert "got none for 'IT', and ranks of 'TI', which no neuroid has" in found.attrs["warnings"]
    assert "; hierarchy 0 to 3 rank, median 1.5" in found.attrs["verdict"]
    whole = measure_distances(planted[1], kinds=("euclidean",), hierarchy=ranks | {"IT": 4})
    assert "warnings" not in whole.attrs
