"""Volumes reach the surface where they lie, and neighbours are those of grid and mesh."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from nilearn.datasets import load_fsaverage, load_mni152_template
from nilearn.surface import vol_to_surf

from neuroalign._adjacency import geodesic_neighbours, mesh_adjacency
from neuroalign.errors import LoadError, SchemaError
from neuroalign.loaders import load_fmri
from neuroalign.loaders.gifti import to_gifti
from neuroalign.loaders.surface import adjacency_of, project_to_surface

AFFINE = np.array([[4, 0, 0, -90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1.0]])
# A square of four triangles about vertex 4, 10 mm wide.
POINTS = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0], [5, 5, 0]], "float32")
FACES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]], "int32")


def write_mesh(path: Path, points: np.ndarray = POINTS, faces: np.ndarray = FACES) -> Path:
    arrays = [
        nib.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(faces, intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
    return path


def ramp(shape: tuple[int, ...], affine: np.ndarray) -> xr.DataArray:
    """Each voxel holds its x, then its y [mm]."""
    ijk = np.argwhere(np.ones(shape, bool))
    xyz = (ijk @ affine[:3, :3].T + affine[:3, 3]).astype("float32")
    coords = {axis: ("neuroid", ijk[:, n]) for n, axis in enumerate("ijk")}
    coords |= {axis: ("neuroid", xyz[:, n]) for n, axis in enumerate("xyz")}
    coords["neuroid"] = ("neuroid", np.array(["-".join(map(str, row)) for row in ijk.tolist()]))
    coords["stimulus"] = ("sample", np.array(["x", "y"]))
    attrs = {"modality": "fmri", "affine": affine.ravel().tolist(), "grid_shape": list(shape)}
    return xr.DataArray(xyz[:, :2].T, coords, ("sample", "neuroid"), attrs=attrs)


def on_vertices(hemisphere: list[str], vertex: list[int], counts: list[int]) -> xr.DataArray:
    coords = {
        "hemisphere": ("neuroid", np.array(hemisphere)),
        "vertex": ("neuroid", np.array(vertex)),
        "neuroid": ("neuroid", np.array([f"n{n}" for n in range(len(vertex))])),
    }
    values = np.zeros((1, len(vertex)), "float32")
    return xr.DataArray(values, coords, ("sample", "neuroid"), attrs={"n_vertices": counts})


def test_a_ramp_keeps_its_place_on_fsaverage5() -> None:
    projected = project_to_surface(ramp((46, 55, 46), AFFINE))
    assert projected.shape == (2, 20484)
    assert projected.attrs["n_vertices"] == [10242, 10242]
    assert projected.attrs["space"] == "fsaverage5"
    assert projected["stimulus"].values.tolist() == ["x", "y"]
    # Sampled between pial and white, thus within the thickness of the cortex of the pial x.
    assert np.abs(projected.values[0] - projected["x"].values).max() < 5
    assert (projected["x"].values[projected["hemisphere"].values == "L"] < 10).all()


def test_values_are_those_of_nilearn(tmp_path: Path) -> None:
    template = load_mni152_template(resolution=8)
    twice = np.stack([template.get_fdata(dtype=np.float32)] * 2, axis=-1)
    image = nib.Nifti1Image(twice, template.affine)
    image.header.set_zooms((8, 8, 8, 2))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "t.nii.gz")
    mesh = load_fsaverage("fsaverage5")
    pial, white = (mesh[part].parts["right"] for part in ("pial", "white_matter"))
    expected = vol_to_surf(template, pial, inner_mesh=white)
    found = project_to_surface(tmp_path / "t.nii.gz")
    np.testing.assert_allclose(found.values[1, 10242:], expected, rtol=1e-5)
    assert "onset" in found.coords


def test_a_projection_goes_back_to_gifti(tmp_path: Path) -> None:
    mesh = (write_mesh(tmp_path / "lh.surf.gii"), None)
    projected = project_to_surface(ramp((9, 9, 3), np.diag([2.0, 2, 2, 1])), mesh, space="square")
    assert projected.attrs["n_vertices"] == [5, 0]
    np.testing.assert_allclose(projected.values[0, 4], 5, atol=0.5)
    written = to_gifti(projected, tmp_path / "lh.func.gii")
    np.testing.assert_array_equal(nib.load(written[0]).darrays[0].data, projected.values[0])


def test_vertices_out_of_reach_are_nan(tmp_path: Path) -> None:
    points = POINTS + np.array([[0, 0, 0]] * 4 + [[0, 0, 500]], "float32")
    mesh = (write_mesh(tmp_path / "far.surf.gii", points), None)
    far = project_to_surface(ramp((9, 9, 3), np.diag([2.0, 2, 2, 1])), mesh)
    assert np.isnan(far.values[:, 4]).all()
    assert not np.isnan(far.values[:, :4]).all()


def test_what_has_no_grid_is_not_projected(tmp_path: Path) -> None:
    coords = {"stimulus": ("sample", np.array(["a"]))}
    vertices = on_vertices(["L"], [0], [1, 0]).assign_coords(coords)
    with pytest.raises(SchemaError, match="expected voxels .* without .*'affine'"):
        project_to_surface(vertices)
    voxels = ramp((2, 2, 2), AFFINE)
    mixed = voxels.assign_coords(i=("neuroid", np.array([-1, 0, 0, 0, 1, 1, 1, 1])))
    with pytest.raises(SchemaError, match="expected voxels only, got 1 neuroids without i j k"):
        project_to_surface(mixed)
    with pytest.raises(ValueError, match="mesh: expected one of 'fsaverage5', got 'fsaverage4'"):
        project_to_surface(voxels, "fsaverage4")
    with pytest.raises(LoadError, match="mesh: expected at least one hemisphere"):
        project_to_surface(voxels, (None, None))
    func = Path(nib.__file__).parent / "gifti/tests/data/task.func.gii"
    with pytest.raises(LoadError, match=r"task\.func\.gii: expected a mesh"):
        project_to_surface(voxels, (func, None))


def test_real_voxels_have_the_neighbours_of_their_grid(real_data: Path) -> None:
    responses = load_fmri(real_data / "small_nifti_cifti/nipy_functional.nii.gz")
    a, b, c = 17, 21, 3
    edges = (a - 1) * b * c + a * (b - 1) * c + a * b * (c - 1)
    assert adjacency_of(responses).nnz == 2 * edges
    # 4 x 4 x 8 mm: a ball of 4 mm holds the four neighbours of a slice and the voxel itself.
    flat = (a - 1) * b * c + a * (b - 1) * c
    assert adjacency_of(responses, radius=4.0).nnz == 2 * flat + a * b * c


def test_fsaverage5_has_the_degrees_of_an_icosphere() -> None:
    whole = on_vertices(["L"] * 10242 + ["R"] * 10242, [*range(10242)] * 2, [10242, 10242])
    found = adjacency_of(whole)
    degrees = found.sum(axis=1)
    assert np.bincount(degrees)[[5, 6]].tolist() == [24, 20460]
    assert found[:10242, 10242:].nnz == 0


def test_selected_vertices_keep_their_order(tmp_path: Path) -> None:
    path = write_mesh(tmp_path / "m.surf.gii")
    some = on_vertices(["R", "L", "L", "L"], [4, 4, 0, 2], [5, 5])
    found = adjacency_of(some, mesh=(path, path)).toarray()
    expected = np.zeros((4, 4), bool)
    expected[1, 2:] = expected[2:, 1] = True
    np.testing.assert_array_equal(found, expected)


def test_a_radius_follows_the_mesh(tmp_path: Path) -> None:
    path = write_mesh(tmp_path / "m.surf.gii")
    corners = on_vertices(["L"] * 2, [0, 2], [5, 0])
    # 2 x 7.07 mm over the middle, which is not among the neuroids.
    assert adjacency_of(corners, 14.0, mesh=(path, None)).nnz == 2
    assert adjacency_of(corners, 14.2, mesh=(path, None)).nnz == 4


def test_a_radius_on_fsaverage5_is_that_of_its_white_surface() -> None:
    part = on_vertices(["L"] * 300, [*range(300)], [10242, 0])
    mesh = load_fsaverage("fsaverage5")["white_matter"].parts["left"]
    whole = geodesic_neighbours(mesh.coordinates, mesh.faces, 6.0)
    assert (adjacency_of(part, 6.0) != whole[:300, :300]).nnz == 0
    assert mesh_adjacency(mesh.faces, 10242).nnz == 2 * 30720


def test_voxels_and_vertices_stay_apart(tmp_path: Path) -> None:
    path = write_mesh(tmp_path / "m.surf.gii")
    both = on_vertices(["L", "", "L", ""], [0, -1, 1, -1], [5, 0])
    ijk = {axis: ("neuroid", np.array([-1, 1, -1, 1])) for axis in "ij"}
    both = both.assign_coords(ijk | {"k": ("neuroid", np.array([-1, 1, -1, 2]))})
    found = adjacency_of(both, mesh=(path, None)).toarray()
    assert np.argwhere(found).tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]
    with pytest.raises(SchemaError, match="expected x y z"):
        adjacency_of(both, 5.0, mesh=(path, None))


def test_meshes_of_another_space_are_refused(tmp_path: Path) -> None:
    some = on_vertices(["L"], [0], [32492, 32492])
    with pytest.raises(LoadError, match="mesh: expected the 32492 left vertices .* got 10242"):
        adjacency_of(some)
    with pytest.raises(LoadError, match=r"mesh: expected a pair \(left, right\) of files, got 3"):
        adjacency_of(some, mesh=("a", "b", "c"))
    with pytest.raises(SchemaError, match="expected a vertex or i j k for each neuroid, got 1"):
        adjacency_of(some.drop_vars("vertex"))
    with pytest.raises(ValueError, match="radius: expected > 0 mm"):
        adjacency_of(on_vertices(["L"], [0], [10242, 10242]), radius=-1.0)
