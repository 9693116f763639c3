"""Damaged, foreign and misplaced images are refused by name."""

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignWarning, SchemaError
from neuroalign.loaders import from_arrays, load_fmri, to_nifti
from neuroalign.loaders.nifti import open_image, open_series, read_mask, read_tr

AFFINE = np.array([[3.0, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1]])


def write(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE, tr: float = 2.0) -> Path:
    image = nib.Nifti1Image(values, affine)
    if values.ndim == 4:
        image.header.set_zooms((3, 3, 4, tr))
        image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(4, 3, 2, 10)).astype("float32")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 0x01
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def html(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><html>log in</html>")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pointer(path: Path) -> None:
    path.write_bytes(b"/annex/objects/MD5E-s1--00.nii.gz\n")


def plain(path: Path) -> None:
    path.write_bytes(b"not an image at all" * 40)


@pytest.mark.parametrize(
    ("ending", "fault", "message"),
    [
        (".nii.gz", flip, "a stream that is damaged"),
        (".nii.gz", cut, "a stream that is damaged"),
        (".nii", cut, "truncated: the header promises"),
        (".nii.gz", html, "got an HTML or XML page"),
        (".nii", html, "got an HTML or XML page"),
        (".nii.gz", empty, "got an empty one"),
        (".nii.gz", pointer, "got a pointer to it"),
        (".nii.gz", plain, "expected gzip content"),
        (".nii", plain, "expected a NIfTI image"),
    ],
)
def test_each_damage_is_named(
    values: np.ndarray, tmp_path: Path, ending: str, fault: object, message: str
) -> None:
    path = write(tmp_path / f"bold{ending}", values)
    fault(path)
    with pytest.raises(DataCorruptionError, match=rf"bold\.nii.*{message}"):
        open_image(path)


def spoil_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("fault", [flip, spoil_middle])
def test_a_flipped_byte_never_gives_values(values: np.ndarray, tmp_path: Path, fault: Any) -> None:
    path = write(tmp_path / "bold.nii.gz", values)
    fault(path)
    responses = load_fmri(path, labels=[["a"] * 10])
    with pytest.raises(DataCorruptionError, match=r"bold\.nii\.gz: expected .* that is damaged"):
        responses.compute()
    with pytest.raises(DataCorruptionError, match=r"bold\.nii\.gz"):
        responses[:1, :1].compute()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_run_that_was_cut_is_found_when_opened(
    values: np.ndarray, tmp_path: Path, ending: str
) -> None:
    path = write(tmp_path / f"bold{ending}", values)
    cut(path)
    with pytest.raises(DataCorruptionError, match=r"bold\.nii"):
        load_fmri(path, labels=[["a"] * 10])


def test_whole_streams_of_several_members_or_with_more_bytes_are_read(
    values: np.ndarray, tmp_path: Path
) -> None:
    whole = write(tmp_path / "plain.nii", values).read_bytes()
    members = gzip.compress(whole[:700]) + gzip.compress(whole[700:])
    for content in (members, gzip.compress(whole + b"more")):
        (tmp_path / "bold.nii.gz").write_bytes(content)
        responses = load_fmri(tmp_path / "bold.nii.gz", labels=[["a"] * 10])
        np.testing.assert_array_equal(responses.values, values.reshape(-1, 10).T)


def test_a_stream_that_is_whole_but_short_is_truncated(values: np.ndarray, tmp_path: Path) -> None:
    whole = write(tmp_path / "plain.nii", values).read_bytes()
    (tmp_path / "bold.nii.gz").write_bytes(gzip.compress(whole[:-100]))
    with pytest.raises(DataCorruptionError, match=r"bold\.nii\.gz: truncated: the header promises"):
        load_fmri(tmp_path / "bold.nii.gz", labels=[["a"] * 10])


def test_without_verify_a_wrong_crc_is_let_through(values: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "bold.nii.gz", values)
    flip(path)
    responses = load_fmri(path, labels=[["a"] * 10], verify=False)
    np.testing.assert_array_equal(responses.values, values.reshape(-1, 10).T)


def test_voxels_bear_their_place(tmp_path: Path) -> None:
    wide = np.zeros((12, 1, 2, 3), dtype="float32")
    responses = load_fmri(write(tmp_path / "bold.nii", wide), labels=[["a"] * 3])
    assert responses["neuroid"].values[[0, 1, -1]].tolist() == ["0-0-0", "0-0-1", "11-0-1"]
    assert responses["neuroid"].dtype == np.dtype("<U6")


def test_missing_files_show_their_neighbours(values: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "bold.nii", values)
    with pytest.raises(FileNotFoundError, match=r"blod\.nii.*bold\.nii"):
        open_image(tmp_path / "blod.nii")


def test_headers_that_cannot_be_true_are_refused(values: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "bold.nii", values, tr=2000.0)
    with pytest.raises(LoadError, match=r"bold\.nii: expected a TR of 0.2 to 20.0 s.*got 2000 s"):
        read_tr(open_image(path), path)
    with pytest.raises(LoadError, match="the header implies"):
        open_image(path, max_bytes=100)
    image = nib.Nifti1Image(values, None)
    nib.save(image, tmp_path / "lost.nii")
    with pytest.raises(LoadError, match=r"lost\.nii.*sform and qform codes 0"):
        open_image(tmp_path / "lost.nii")
    with pytest.raises(LoadError, match=r"expected 4 dims"):
        open_series(write(tmp_path / "flat.nii", values[..., 0]))


def test_masks_must_lie_on_the_grid(values: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "bold.nii", values)
    image, ones = open_image(path), np.ones((4, 3, 2), "uint8")
    moved = AFFINE.copy()
    moved[0, 3] += 5
    faults = {
        "expected the grid": (ones[:3], AFFINE),
        "differs by 5 mm in position": (ones, moved),
        "a mask of 0 and 1": (ones * 3, AFFINE),
        "holds voxels, got 0": (ones * 0, AFFINE),
    }
    for message, (mask, affine) in faults.items():
        with pytest.raises(LoadError, match=rf"mask\.nii.*{message}"):
            read_mask(write(tmp_path / "mask.nii", mask, affine), image, path)


def test_values_go_back_to_their_voxels(values: np.ndarray, tmp_path: Path) -> None:
    mask = (values[..., 0] > 0).astype("uint8")
    responses = load_fmri(
        write(tmp_path / "bold.nii.gz", values),
        mask=write(tmp_path / "mask.nii", mask),
        labels=[["rest"] * 10],
    )
    again = nib.load(to_nifti(responses, tmp_path / "again.nii.gz"))
    volume = np.asanyarray(again.dataobj)
    np.testing.assert_array_equal(volume[mask > 0], values[mask > 0])
    assert np.isnan(volume[mask == 0]).all()
    np.testing.assert_array_equal(again.affine, AFFINE)


def test_unplaced_values_cannot_go_back(tmp_path: Path) -> None:
    responses = from_arrays(np.zeros((1, 2)), stimulus=["a"], modality="eeg")
    with pytest.raises(SchemaError, match="expected voxels with their grid"):
        to_nifti(responses, tmp_path / "x.nii")


def test_scaled_and_big_endian_values_are_read_as_meant(tmp_path: Path) -> None:
    raw = np.arange(2 * 2 * 1 * 6, dtype=np.int16).reshape(2, 2, 1, 6)
    image = nib.Nifti1Image(raw, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    image.header.set_zooms((3, 3, 4, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "scaled.nii.gz")
    expected = np.asarray(nib.load(tmp_path / "scaled.nii.gz").dataobj)
    responses = load_fmri(tmp_path / "scaled.nii.gz", labels=[["a"] * 6])
    np.testing.assert_allclose(responses.values, expected.reshape(4, 6).T)

    swapped = nib.Nifti1Image(raw.astype(">i2"), AFFINE, image.header.as_byteswapped(">"))
    nib.save(swapped, tmp_path / "big.nii")
    assert nib.load(tmp_path / "big.nii").get_data_dtype() == np.dtype(">i2")
    responses = load_fmri(tmp_path / "big.nii", labels=[["a"] * 6])
    assert responses.values.dtype == np.dtype("<f4")
    np.testing.assert_allclose(
        responses.values, np.asarray(nib.load(tmp_path / "big.nii").dataobj).reshape(4, 6).T
    )


def test_five_dims_and_single_volumes_are_series(values: np.ndarray, tmp_path: Path) -> None:
    image = nib.Nifti1Image(values[:, :, :, None], AFFINE)
    image.header.set_zooms((3, 3, 4, 1, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "five.nii")
    responses = load_fmri(tmp_path / "five.nii", labels=[["a"] * 10])
    np.testing.assert_array_equal(responses.values, values.reshape(-1, 10).T)
    one = load_fmri(write(tmp_path / "one.nii", values[..., :1]), labels=[["a"]])
    assert one.shape == (1, 24)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_reading_a_run_holds_it_once(ending: str, tmp_path: Path, rng: np.random.Generator) -> None:
    raw = rng.integers(0, 1000, size=(40, 40, 20, 80)).astype(np.int16)
    path = write(tmp_path / f"big{ending}", raw)
    responses = load_fmri(path, labels=[["a"] * 80], detrend=True, standardize="zscore")
    responses.compute()  # what is imported on the way is no part of it
    tracemalloc.start()
    values = responses.values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The run itself and the blocks it is worked in.
    assert peak < 1.75 * values.nbytes


def test_neuroids_without_a_voxel_are_refused(tmp_path: Path) -> None:
    coords = {"neuroid": ["a", "b"]} | {axis: ("neuroid", [0, -1]) for axis in "ijk"}
    affine = np.eye(4).ravel().tolist()
    values = xr.DataArray(
        np.zeros(2), coords, ("neuroid",), attrs={"grid_shape": [2, 2, 2], "affine": affine}
    )
    with pytest.raises(SchemaError, match=r"got 1 neuroids outside it"):
        to_nifti(values, tmp_path / "out.nii")


def test_the_repetition_time_goes_back_with_the_values(values: np.ndarray, tmp_path: Path) -> None:
    responses = load_fmri(write(tmp_path / "x.nii", values, tr=1.35))
    back = load_fmri(to_nifti(responses, tmp_path / "y.nii.gz"))
    np.testing.assert_allclose(back["onset"], responses["onset"], rtol=1e-6)
    np.testing.assert_array_equal(back.values, responses.values)


def test_volumes_without_a_known_rate_do_not_claim_one(tmp_path: Path) -> None:
    grid = {"affine": AFFINE.ravel().tolist(), "grid_shape": [2, 1, 1]}
    places = {"i": [0, 1], "j": [0, 0], "k": [0, 0]}
    betas = from_arrays(
        np.ones((3, 2)),
        modality="fmri",
        stimulus=list("abc"),
        neuroid_coords=places,
        attrs=grid,
    )
    path = to_nifti(betas, tmp_path / "betas.nii")
    with pytest.raises(LoadError, match="expected a TR of 0.2 to 20"):
        load_fmri(path)


@pytest.mark.parametrize("unit", ["meter", "micron"])
def test_positions_in_other_units_than_mm_are_refused(
    values: np.ndarray, tmp_path: Path, unit: str
) -> None:
    path = write(tmp_path / "x.nii", values)
    image = nib.load(path)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "other.nii")
    with pytest.raises(LoadError, match=f"other.nii: expected positions in mm, got .* '{unit}'"):
        load_fmri(tmp_path / "other.nii")


def test_complex_values_are_refused(values: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "phase.nii", values.astype("complex64"))
    with pytest.raises(LoadError, match="phase.nii: expected real numbers, got complex64"):
        load_fmri(path)


def test_a_neuroid_that_comes_twice_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    loaded = load_fmri(write(tmp_path / "bold.nii", values), labels=[["a"] * values.shape[3]])
    with pytest.raises(SchemaError, match="expected each neuroid once"):
        to_nifti(loaded.isel(neuroid=[0, 0, 1]), tmp_path / "out.nii")


def test_a_step_of_one_in_no_unit_is_doubted(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "bold.nii"
    nib.save(nib.Nifti1Image(values, np.diag([3.0, 3, 3, 1])), path)
    with pytest.warns(NeuroalignWarning, match=r"bold\.nii: expected a TR with its unit"):
        load_fmri(path, labels=[["a"] * values.shape[3]])


def test_a_tr_in_words_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(LoadError, match="tr: expected a TR of 0.2 to 20.0 s, got '2' s"):
        load_fmri(write(tmp_path / "bold.nii", values), tr="2")
