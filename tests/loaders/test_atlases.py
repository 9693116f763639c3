"""Regions reach the neuroids they belong to, whatever the format of the atlas."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignWarning, SchemaError
from neuroalign.loaders.atlases import _check_names, add_roi
from neuroalign.storage import load, save

AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])
DLABEL = "small_nifti_cifti/tpl-fsLR_atlas-4S_scale-156_den-91k_dseg.dlabel.nii"
NIBABEL = Path(nib.__file__).parent


def responses(n: int, attrs: dict, **coords: object) -> xr.DataArray:
    named = {key: ("neuroid", np.asarray(value)) for key, value in coords.items()}
    named["neuroid"] = ("neuroid", np.array([f"n{number}" for number in range(n)]))
    named["stimulus"] = ("sample", np.array(["a", "b"]))
    values = np.zeros((2, n), "float32")
    return xr.DataArray(values, named, ("sample", "neuroid"), attrs={"modality": "fmri"} | attrs)


@pytest.fixture
def voxels() -> xr.DataArray:
    ijk = np.argwhere(np.ones((2, 2, 3)))[[11, 0, 4]]
    attrs = {"affine": AFFINE.ravel().tolist(), "grid_shape": [2, 2, 3], "source": "bold.nii"}
    return responses(3, attrs, i=ijk[:, 0], j=ijk[:, 1], k=ijk[:, 2])


@pytest.fixture
def vertices() -> xr.DataArray:
    attrs = {"n_vertices": [4, 5], "space": "tiny"}
    return responses(4, attrs, hemisphere=list("RLLR"), vertex=[4, 0, 3, 1])


def volume(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def label(path: Path, codes: list[int], side: str) -> Path:
    table = nib.gifti.GiftiLabelTable()
    for key, name in enumerate(["???", "V1", "V2"]):
        entry = nib.gifti.GiftiLabel(key, 1, 0, 0, 1)
        entry.label = name
        table.labels.append(entry)
    array = nib.gifti.GiftiDataArray(np.array(codes, "int32"), intent="NIFTI_INTENT_LABEL")
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": side})
    nib.save(nib.gifti.GiftiImage(meta=meta, darrays=[array], labeltable=table), path)
    return path


def pair(folder: Path) -> tuple[Path, Path]:
    left = label(folder / "lh.label.gii", [1, 0, 0, 2], "CortexLeft")
    return left, label(folder / "rh.label.gii", [0, 1, 0, 0, 2], "CortexRight")


def annot(path: Path, codes: list[int]) -> Path:
    colours = np.array([[25, 5, 25, 0], [10, 20, 30, 0], [50, 60, 70, 0]])
    names = ["unknown", "V1", "V2"]
    nib.freesurfer.write_annot(path, np.array(codes), colours, names, fill_ctab=True)
    return path


def dlabel(path: Path, codes: list[int], n_maps: int = 1) -> Path:
    surface = nib.cifti2.BrainModelAxis.from_surface
    mask = np.zeros((2, 2, 3), bool)
    mask[1, 1, 1:] = True
    brain = surface([0, 3], 4, "CORTEX_LEFT") + surface([1, 4], 5, "CORTEX_RIGHT")
    brain = brain + nib.cifti2.BrainModelAxis.from_mask(mask, "THALAMUS_LEFT", AFFINE)
    table = {key: (name, (0, 0, 0, 1)) for key, name in enumerate(["???", "V1", "V2", "thal"])}
    axis = nib.cifti2.LabelAxis([f"map{n}" for n in range(n_maps)], [table] * n_maps)
    nib.save(nib.Cifti2Image(np.array([codes] * n_maps, "float32"), header=(axis, brain)), path)
    return path


def test_voxels_take_the_label_under_them(voxels: xr.DataArray, tmp_path: Path) -> None:
    codes = np.zeros((2, 2, 3), "int16")
    codes[1, 1, 2], codes[0, 1, 1] = 7, 2
    path = volume(tmp_path / "atlas.nii.gz", codes)
    assert add_roi(voxels, path)["roi"].values.tolist() == ["7", "", "2"]
    named = add_roi(voxels, path, names={7: "FFA", 2: "PPA"})
    assert named["roi"].values.tolist() == ["FFA", "", "PPA"]
    assert named.attrs["history"] == "add_roi: 2 regions of atlas.nii.gz"
    assert "roi" not in voxels.coords


def test_regions_survive_storage(voxels: xr.DataArray, tmp_path: Path) -> None:
    path = volume(tmp_path / "atlas.nii", np.eye(3)[None, :2].repeat(2, axis=0))
    labelled = add_roi(voxels, path)
    save(labelled, tmp_path / "r.nc")
    xr.testing.assert_identical(load(tmp_path / "r.nc"), labelled)


def test_an_atlas_on_another_grid_is_refused(voxels: xr.DataArray, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"big\.nii: expected the grid \(2, 2, 3\)"):
        add_roi(voxels, volume(tmp_path / "big.nii", np.ones((3, 3, 3), "int16")))
    moved = AFFINE.copy()
    moved[0, 3] = 5
    path = volume(tmp_path / "moved.nii", np.ones((2, 2, 3), "int16"), moved)
    with pytest.raises(LoadError, match=r"moved\.nii: expected the affine of bold\.nii.* 5 mm"):
        add_roi(voxels, path)


def test_a_map_is_no_atlas(voxels: xr.DataArray, tmp_path: Path) -> None:
    path = volume(tmp_path / "z.nii", np.full((2, 2, 3), 0.5, "float32"))
    with pytest.raises(LoadError, match="expected whole numbers as labels"):
        add_roi(voxels, path)


def test_vertices_take_the_label_of_their_side(vertices: xr.DataArray, tmp_path: Path) -> None:
    labelled = add_roi(vertices, pair(tmp_path))
    assert labelled["roi"].values.tolist() == ["V2", "V1", "V2", "V1"]
    left = add_roi(vertices, (pair(tmp_path)[0], None), names={1: "BA17"})
    assert left["roi"].values.tolist() == ["", "BA17", "V2", ""]


def test_annotations_name_their_vertices(vertices: xr.DataArray, tmp_path: Path) -> None:
    left = annot(tmp_path / "lh.aparc.annot", [1, 0, 0, 0])
    right = annot(tmp_path / "rh.aparc.annot", [0, -1, 0, 0, 2])
    labelled = add_roi(vertices, (left, right))
    assert labelled["roi"].values.tolist() == ["V2", "V1", "", ""]


def test_nibabels_own_annotation_names_all_regions() -> None:
    path = NIBABEL / "gifti/tests/data/rh.aparc.annot.gii"
    n = len(nib.load(path).darrays[0].data)
    whole = responses(n, {"n_vertices": [0, n]}, hemisphere=["R"] * n, vertex=np.arange(n))
    roi = add_roi(whole, (None, path))["roi"].values
    codes, table = nib.load(path).darrays[0].data, nib.load(path).labeltable.get_labels_as_dict()
    inside = roi != ""
    assert [table[code] for code in codes[inside][:500]] == roi[inside][:500].tolist()
    assert len(set(roi[inside])) > 30


def test_grayordinates_take_the_label_of_their_structure(
    vertices: xr.DataArray, tmp_path: Path
) -> None:
    path = dlabel(tmp_path / "a.dlabel.nii", [1, 2, 1, 0, 3, 0])
    assert add_roi(vertices, path)["roi"].values.tolist() == ["", "V1", "V2", "V1"]
    attrs = {"n_vertices": [4, 5], "affine": AFFINE.ravel().tolist(), "grid_shape": [2, 2, 3]}
    both = responses(
        3,
        attrs,
        structure=["THALAMUS_LEFT", "CORTEX_LEFT", "THALAMUS_RIGHT"],
        hemisphere=["L", "L", "R"],
        vertex=[-1, 3, -1],
        i=[1, -1, 1],
        j=[1, -1, 1],
        k=[1, -1, 1],
    )
    assert add_roi(both, path)["roi"].values.tolist() == ["thal", "V2", ""]


def test_the_real_dlabel_without_data_is_named_as_truncated(
    vertices: xr.DataArray, real_data: Path
) -> None:
    with pytest.raises(DataCorruptionError, match=r"dlabel\.nii: truncated"):
        add_roi(vertices, real_data / DLABEL)


def test_surfaces_of_another_size_or_side_are_refused(
    vertices: xr.DataArray, tmp_path: Path
) -> None:
    left, right = pair(tmp_path)
    long = label(tmp_path / "long.label.gii", [1] * 9, "CortexLeft")
    with pytest.raises(LoadError, match="expected the 4 left vertices .* got 9.* space 'tiny'"):
        add_roi(vertices, (long, right))
    with pytest.raises(LoadError, match="Swap left and right"):
        add_roi(vertices, (right, left))
    path = dlabel(tmp_path / "a.dlabel.nii", [1, 2, 1, 0, 3, 0])
    other = vertices.assign_attrs(n_vertices=[32492, 5])
    with pytest.raises(LoadError, match="expected 32492 vertices in CORTEX_LEFT .* got 4"):
        add_roi(other, path)


def test_surfaces_need_pairs_and_volumes_one_file(
    vertices: xr.DataArray, voxels: xr.DataArray, tmp_path: Path
) -> None:
    left, right = pair(tmp_path)
    with pytest.raises(LoadError, match=r"atlas: expected a pair \(left, right\)"):
        add_roi(vertices, left)
    path = volume(tmp_path / "a.nii", np.ones((2, 2, 3), "int16"))
    with pytest.raises(LoadError, match="atlas: expected one file, got 2"):
        add_roi(voxels, (path, path))
    with pytest.raises(LoadError, match="atlas: expected a file or a pair of files, got none"):
        add_roi(voxels, (None, None))
    with pytest.raises(SchemaError, match=r"missing \['hemisphere', 'n_vertices', 'vertex'\]"):
        add_roi(voxels, (left, right))


def test_an_annotation_of_an_unknown_version_is_named(
    vertices: xr.DataArray, tmp_path: Path
) -> None:
    path = annot(tmp_path / "lh.aparc.annot", [1, 0, 0, 0])
    content = path.read_bytes()
    version = (-2).to_bytes(4, "big", signed=True)
    path.write_bytes(content.replace(version, (-9).to_bytes(4, "big", signed=True)))
    with pytest.raises(DataCorruptionError, match=r"annotation, got 'Unrecognised"):
        add_roi(vertices, (path, None))


def test_damaged_and_unknown_atlases_are_named(vertices: xr.DataArray, tmp_path: Path) -> None:
    path = annot(tmp_path / "lh.aparc.annot", [1, 0, 0, 0])
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataCorruptionError, match=r"lh\.aparc\.annot: expected a FreeSurfer"):
        add_roi(vertices, (path, None))
    with pytest.raises(ValueError, match=r"atlas ending: expected one of '\.dlabel\.nii'"):
        add_roi(vertices, tmp_path / "atlas.csv")
    func = NIBABEL / "gifti/tests/data/task.func.gii"
    with pytest.raises(LoadError, match="expected one array of labels, got 10 arrays"):
        add_roi(vertices, (func, None))
    two = dlabel(tmp_path / "two.dlabel.nii", [1, 2, 1, 0, 3, 0], n_maps=2)
    with pytest.raises(LoadError, match="expected one map of labels, got 2"):
        add_roi(vertices, two)


def test_an_atlas_that_names_nothing_warns(voxels: xr.DataArray, tmp_path: Path) -> None:
    path = volume(tmp_path / "empty.nii", np.zeros((2, 2, 3), "int16"))
    with pytest.warns(NeuroalignWarning, match=r"empty\.nii: expected regions on the neuroids"):
        add_roi(voxels, path)


def test_a_region_of_code_0_is_not_given_to_places_the_atlas_lacks(
    vertices: xr.DataArray, tmp_path: Path
) -> None:
    path = dlabel(tmp_path / "x.dlabel.nii", [0, 1, 0, 1, 2, 2])
    # Vertex 0 left is of code 0; the atlas holds no vertex 0 right.
    own = vertices.assign_coords(vertex=("neuroid", [4, 0, 3, 0]))
    labelled = add_roi(own, path, names={0: "first", 1: "second"})
    assert labelled["roi"].values.tolist() == ["second", "first", "second", ""]
    left = label(tmp_path / "lh.label.gii", [0, 0, 0, 1], "CortexLeft")
    labelled = add_roi(own, (left, None), names={0: "first", 1: "second"})
    assert labelled["roi"].values.tolist() == ["", "first", "second", ""]


@pytest.mark.parametrize("names", [["V1"], {"V1": 1}, {"1": "V1"}, {1: 2}])
def test_names_are_given_by_code(names: Any) -> None:
    with pytest.raises(LoadError, match="names: expected a mapping of int codes to names"):
        _check_names(names, np.array([1, 2]))


def test_names_of_codes_that_are_not_there_are_refused() -> None:
    with pytest.raises(LoadError, match=r"names: expected codes that neuroids have .*got \[7\]"):
        _check_names({7: "V1"}, np.array([1, 2]))
