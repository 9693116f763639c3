"""Dense series: values, places, kinds of file, and the way back."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError
from neuroalign.loaders.cifti import load_cifti, to_cifti
from neuroalign.storage import load, save

AFFINE = np.array([[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1.0]])
DLABEL = "small_nifti_cifti/tpl-fsLR_atlas-4S_scale-156_den-91k_dseg.dlabel.nii"


def small_brain() -> nib.cifti2.BrainModelAxis:
    surface = nib.cifti2.BrainModelAxis.from_surface
    left = surface([0, 2, 3], 5, "CORTEX_LEFT")
    right = surface([1, 4], 5, "CORTEX_RIGHT")
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 2, 1:4] = True
    return left + right + nib.cifti2.BrainModelAxis.from_mask(mask, "THALAMUS_LEFT", AFFINE)


def write(path: Path, values: np.ndarray, brain: object, rows: object = None) -> Path:
    rows = rows or nib.cifti2.SeriesAxis(0, 0.72, len(values))
    nib.save(nib.Cifti2Image(values, header=(rows, brain)), path)
    return path


@pytest.fixture
def run(rng: np.random.Generator, tmp_path: Path) -> Path:
    values = rng.normal(size=(6, 8)).astype("float32")
    values[1, 2] = np.nan
    return write(tmp_path / "run.dtseries.nii", values, small_brain())


def test_values_and_places_equal_the_file(run: Path) -> None:
    responses = load_cifti(run)
    np.testing.assert_array_equal(responses.values, np.asarray(nib.load(run).dataobj))
    assert responses["vertex"].values.tolist() == [0, 2, 3, 1, 4, -1, -1, -1]
    assert responses["k"].values.tolist() == [-1, -1, -1, -1, -1, 1, 2, 3]
    assert responses["hemisphere"].values.tolist() == list("LLLRRLLL")
    assert responses["structure"].values[[0, 7]].tolist() == ["CORTEX_LEFT", "THALAMUS_LEFT"]
    assert responses["neuroid"].values[[1, 5]].tolist() == ["CORTEX_LEFT-2", "THALAMUS_LEFT-1-2-1"]
    np.testing.assert_allclose(responses["x"].values[[0, 5]], [np.nan, 88])
    assert responses.attrs["n_vertices"] == [5, 5]


def test_the_series_gives_the_times_and_stays_lazy(run: Path) -> None:
    responses = load_cifti([run, run], runs=["a", "b"], labels=[list("abcdef")] * 2)
    assert responses.chunks == ((6, 6), (8,))
    np.testing.assert_allclose(responses["onset"].values[[1, 6, 7]], [0.72, 0, 0.72])
    assert responses["stimulus"].values[6] == "a"
    assert load_cifti(run, tr=1.0)["duration"].values[0] == 1.0


def test_a_series_that_starts_late_keeps_its_start(tmp_path: Path) -> None:
    late = nib.cifti2.SeriesAxis(2.5, 0.7, 3)
    path = write(tmp_path / "late.dtseries.nii", np.zeros((3, 8), "f4"), small_brain(), late)
    responses = load_cifti(path)
    np.testing.assert_allclose(responses["onset"].values, [2.5, 3.2, 3.9])
    new = nib.load(to_cifti(responses, tmp_path / "new.dtseries.nii"))
    assert new.header.get_axis(0) == late


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty one"),
        (b"<!DOCTYPE html><html>504</html>", "got an HTML or XML page"),
        (b"../.git/annex/objects/x", "got a pointer to it"),
        (b"\0" * 600, "expected a CIFTI-2 file"),
    ],
)
def test_other_content_under_the_name_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.dtseries.nii"
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match=rf"x\.dtseries\.nii: .*{message}"):
        load_cifti(path)


def test_values_go_back_bit_equal_with_their_axes(run: Path, tmp_path: Path) -> None:
    old, new = nib.load(run), nib.load(to_cifti(load_cifti(run), tmp_path / "new.dtseries.nii"))
    assert np.asarray(old.dataobj).tobytes() == np.asarray(new.dataobj).tobytes()
    assert new.get_data_dtype() == np.float32
    for axis in range(2):
        assert old.header.get_axis(axis) == new.header.get_axis(axis)


def test_what_was_stored_goes_back_too(run: Path, tmp_path: Path) -> None:
    save(load_cifti(run), tmp_path / "r.zarr")
    stored = load(tmp_path / "r.zarr")
    xr.testing.assert_identical(stored.load(), load_cifti(run).load())
    new = nib.load(to_cifti(stored, tmp_path / "new.dtseries.nii"))
    assert new.header.get_axis(1) == small_brain()
    assert np.asarray(new.dataobj).tobytes() == np.asarray(nib.load(run).dataobj).tobytes()


def test_scores_become_named_maps(run: Path, tmp_path: Path) -> None:
    scores = load_cifti(run).mean("sample", keep_attrs=True).rename("r")
    new = nib.load(to_cifti(scores, tmp_path / "score.dscalar.nii"))
    assert new.header.get_axis(0).name.tolist() == ["r"]
    assert new.header.get_axis(1) == small_brain()
    labelled = load_cifti(run, labels=[list("abcdef")])
    maps = nib.load(to_cifti(labelled, tmp_path / "maps.dscalar.nii"))
    assert maps.header.get_axis(0).name.tolist() == list("abcdef")
    plain = nib.load(to_cifti(load_cifti(run), tmp_path / "plain.dscalar.nii"))
    assert plain.header.get_axis(0).name[5] == "sample 5"


def test_a_selection_goes_back_alone(run: Path, tmp_path: Path) -> None:
    part = load_cifti(run).isel(neuroid=[1, 2, 6])
    axis = nib.load(to_cifti(part, tmp_path / "part.dtseries.nii")).header.get_axis(1)
    assert axis == small_brain()[[1, 2, 6]]


def test_cortex_alone_needs_no_grid(tmp_path: Path, rng: np.random.Generator) -> None:
    brain = small_brain()[:5]
    path = write(tmp_path / "c.dtseries.nii", rng.normal(size=(3, 5)).astype("f4"), brain)
    responses = load_cifti(path)
    assert "affine" not in responses.attrs
    assert nib.load(to_cifti(responses, tmp_path / "n.dtseries.nii")).header.get_axis(1) == brain


def test_the_real_grayordinates_have_their_known_counts(
    real_data: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    brain = nib.load(real_data / DLABEL).header.get_axis(1)
    values = rng.normal(size=(2, 91282)).astype("float32")
    responses = load_cifti(write(tmp_path / "real.dtseries.nii", values, brain))
    counts = dict(zip(*np.unique(responses["structure"], return_counts=True), strict=True))
    assert counts["CORTEX_LEFT"] == 29696
    assert counts["CORTEX_RIGHT"] == 29716
    assert responses.attrs["n_vertices"] == [32492, 32492]
    new = nib.load(to_cifti(responses, tmp_path / "back.dtseries.nii"))
    assert new.header.get_axis(1) == brain
    assert np.asarray(new.dataobj).tobytes() == values.tobytes()


def test_a_real_file_without_its_data_is_named_as_truncated(real_data: Path) -> None:
    with pytest.raises(DataCorruptionError, match=r"dlabel\.nii: truncated: the header promises"):
        load_cifti(real_data / DLABEL)


def test_a_cut_series_is_named_as_truncated(run: Path) -> None:
    run.write_bytes(run.read_bytes()[:-8])
    with pytest.raises(DataCorruptionError, match=r"run\.dtseries\.nii: truncated"):
        load_cifti(run)
    run.write_bytes(run.read_bytes()[:900])
    with pytest.raises(DataCorruptionError, match="expected a CIFTI-2 file"):
        load_cifti(run)


@pytest.mark.parametrize("word", [b"SurfaceNumberOfVertices", b"AppliesToMatrixDimension"])
def test_a_damaged_header_is_named(run: Path, word: bytes) -> None:
    run.write_bytes(run.read_bytes().replace(word, b"x" * len(word)))
    with pytest.raises(DataCorruptionError, match=r"run\.dtseries\.nii: expected a "):
        load_cifti(run)


def test_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    brain, values = small_brain(), np.zeros((1, 8), "float32")
    scalar = nib.cifti2.ScalarAxis(["z"])
    path = write(tmp_path / "z.dscalar.nii", values, brain, scalar)
    with pytest.raises(LoadError, match=r"expected a dtseries, got a dscalar \(axes ScalarAxis, B"):
        load_cifti(path)
    label = nib.cifti2.LabelAxis(["atlas"], [{0: ("???", (0, 0, 0, 0))}])
    path = write(tmp_path / "a.dlabel.nii", values, brain, label)
    with pytest.raises(LoadError, match="expected a dtseries, got a dlabel"):
        load_cifti(path)


def test_volumes_are_no_grayordinates(tmp_path: Path) -> None:
    path = tmp_path / "bold.dtseries.nii"
    nib.save(nib.Nifti2Image(np.zeros((2, 2, 2, 3), "f4"), np.eye(4)), path)
    with pytest.raises(LoadError, match="got Nifti2Image without CIFTI axes"):
        load_cifti(path)


def test_runs_that_differ_in_place_or_time_are_refused(run: Path, tmp_path: Path) -> None:
    values = np.zeros((3, 7), "float32")
    other = write(tmp_path / "other.dtseries.nii", values, small_brain()[:7])
    with pytest.raises(LoadError, match=r"other.*expected the 8 grayordinates of run.*\(7\)"):
        load_cifti([run, other])
    slow = nib.cifti2.SeriesAxis(0, 2, 3)
    other = write(tmp_path / "slow.dtseries.nii", np.zeros((3, 8), "f4"), small_brain(), slow)
    with pytest.raises(LoadError, match=r"slow.*expected the TR of run.*0.72 s.*got 2 s"):
        load_cifti([run, other])


def test_series_without_plausible_seconds_are_refused(tmp_path: Path) -> None:
    for axis, message in (
        (nib.cifti2.SeriesAxis(0, 1, 3, "HERTZ"), "expected a series in SECOND, got HERTZ"),
        (nib.cifti2.SeriesAxis(0, 720, 3), "expected a TR of 0.2 to 20.0 s, got 720 s"),
    ):
        path = write(tmp_path / "x.dtseries.nii", np.zeros((3, 8), "f4"), small_brain(), axis)
        with pytest.raises(LoadError, match=message):
            load_cifti(path)
    with pytest.raises(LoadError, match="path: expected one or more runs"):
        load_cifti([])


def test_unknown_surfaces_are_refused(tmp_path: Path) -> None:
    brain = nib.cifti2.BrainModelAxis.from_surface([0, 1], 4, "CEREBELLUM")
    path = write(tmp_path / "x.dtseries.nii", np.zeros((3, 2), "f4"), brain)
    with pytest.raises(LoadError, match=r"expected surfaces CORTEX_LEFT and .* got \['CEREBELLUM"):
        load_cifti(path)


def test_what_cannot_be_written_is_refused(run: Path, tmp_path: Path) -> None:
    responses, path = load_cifti(run), tmp_path / "x.dtseries.nii"
    with pytest.raises(SchemaError, match="expected one run, one sample each 0.72 s"):
        to_cifti(load_cifti([run, run]), path)
    with pytest.raises(SchemaError, match=r"for a dtseries, got \('neuroid',\)"):
        to_cifti(responses[0], path)
    with pytest.raises(SchemaError, match="expected each structure in one piece"):
        to_cifti(responses.isel(neuroid=[0, 3, 1]), path)
    with pytest.raises(SchemaError, match=r"missing \['structure'\]"):
        to_cifti(responses.drop_vars("structure"), path)
    with pytest.raises(ValueError, match="path ending: expected one of '.dtseries.nii'"):
        to_cifti(responses, tmp_path / "x.nii")
    del responses.attrs["affine"]
    with pytest.raises(SchemaError, match="expected attrs affine and grid_shape"):
        to_cifti(responses, path)
