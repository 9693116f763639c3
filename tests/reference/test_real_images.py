"""Real images and series, with the numbers that are known of them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders import from_arrays, load_cifti, load_fmri, to_nifti
from neuroalign.loaders.nifti import open_image

IMAGES = {
    "nitime_fmri/fmri1.nii.gz": ((10, 10, 18, 40), 1.35),
    "nitime_fmri/fmri2.nii.gz": ((10, 10, 18, 40), 1.35),
    "small_nifti_cifti/tedana_echo1.nii.gz": ((39, 50, 33, 5), 2.0),
    "small_nifti_cifti/nipy_functional.nii.gz": ((17, 21, 3, 20), 2.0),
}
DLABEL = "small_nifti_cifti/tpl-fsLR_atlas-4S_scale-156_den-91k_dseg.dlabel.nii"


@pytest.mark.parametrize("name", IMAGES)
def test_series_load_with_affine_tr_and_values(name: str, real_data: Path) -> None:
    shape, tr = IMAGES[name]
    image = nib.load(real_data / name)
    responses = load_fmri(real_data / name)
    assert responses.shape == (shape[3], int(np.prod(shape[:3])))
    assert responses.attrs["grid_shape"] == list(shape[:3])
    assert responses.attrs["sampling_rate"] == pytest.approx(1 / tr)
    np.testing.assert_array_equal(responses.attrs["affine"], image.affine.ravel())
    expected = np.asanyarray(image.dataobj).reshape(-1, shape[3]).T
    np.testing.assert_allclose(responses.values, expected, rtol=1e-6)


@pytest.mark.parametrize("name", IMAGES)
def test_values_go_back_to_the_same_place(name: str, real_data: Path, tmp_path: Path) -> None:
    responses = load_fmri(real_data / name)
    first = responses.isel(sample=0, drop=True).compute()
    again, image = nib.load(to_nifti(first, tmp_path / "x.nii.gz")), nib.load(real_data / name)
    np.testing.assert_array_equal(again.affine, image.affine)
    expected = np.asanyarray(image.dataobj[..., 0]).astype(np.float32)
    np.testing.assert_allclose(np.asanyarray(again.dataobj), expected, rtol=1e-6)


def test_an_oblique_affine_gives_the_places_of_nibabel(real_data: Path) -> None:
    path = real_data / "nitime_fmri/fmri1.nii.gz"
    responses = load_fmri(path)
    index = np.stack([responses[axis].values for axis in "ijk"], axis=1)
    place = np.stack([responses[axis].values for axis in "xyz"], axis=1)
    affine = nib.load(path).affine
    assert np.abs(affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))).max() > 0.1
    np.testing.assert_allclose(place, nib.affines.apply_affine(affine, index), atol=1e-4)


def test_two_runs_of_one_scan_load_together(real_data: Path) -> None:
    paths = [real_data / f"nitime_fmri/fmri{number}.nii.gz" for number in (1, 2)]
    responses = load_fmri(paths)
    assert responses.sizes["sample"] == 80
    assert responses["onset"].values[[0, 39, 40]] == pytest.approx([0, 39 * 1.35, 0])


def test_an_anatomical_image_is_whole_and_no_series(real_data: Path) -> None:
    path = real_data / "small_nifti_cifti/nipy_anatomical.nii.gz"
    assert open_image(path).shape == (33, 41, 25)
    with pytest.raises(LoadError, match=r"nipy_anatomical.*expected 4 dims"):
        load_fmri(path)


def test_a_header_without_its_data_is_named_as_truncated(real_data: Path) -> None:
    with pytest.raises(DataCorruptionError, match="dlabel.nii: truncated: the header promises"):
        load_cifti(real_data / DLABEL)


def test_homotopic_regions_at_rest_go_together(real_data: Path) -> None:
    table = pd.read_csv(real_data / "nitime_fmri/fmri_timeseries.csv")
    responses = from_arrays(
        table.to_numpy(),
        modality="fmri",
        run=["rest"] * len(table),
        onset=np.arange(len(table)) * 1.89,
        neuroid=table.columns,
        sampling_rate=1 / 1.89,
    )
    names = responses["neuroid"].values.tolist()
    correlation = pd.DataFrame(np.corrcoef(responses.values.T), index=names, columns=names)
    pairs = [(name, f"R{name[1:]}") for name in names if name[0] == "L" and f"R{name[1:]}" in names]
    assert len(pairs) == 13
    assert np.mean([correlation.loc[pair] for pair in pairs]) == pytest.approx(0.54, abs=0.005)
    assert correlation.loc["LPCC", "RPCC"] == pytest.approx(0.84, abs=0.005)
    assert correlation.loc["LCau", "RCau"] == pytest.approx(0.49, abs=0.005)
