"""Narratives through BIDS: its derivatives in the layout of fMRIPrep."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neuroalign.loaders.narratives import load_narratives


@pytest.fixture
def root(tmp_path: Path, rng: np.random.Generator) -> Path:
    (tmp_path / "dataset_description.json").write_text('{"Name": "N", "BIDSVersion": "1.4.0"}')
    place = tmp_path / "derivatives" / "fmriprep" / "sub-001" / "func"
    place.mkdir(parents=True)
    (tmp_path / "task-pieman_bold.json").write_text(json.dumps({"RepetitionTime": 1.5}))
    stem = "sub-001_task-pieman_run-1_space-MNI152NLin2009cAsym_res-native_desc-"
    image = nib.Nifti1Image(rng.normal(size=(3, 3, 2, 6)).astype("f4"), np.eye(4))
    image.header.set_zooms((3, 3, 3, 1.5))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, place / f"{stem}preproc_bold.nii.gz")
    mask = np.zeros((3, 3, 2), np.uint8)
    mask[1] = 1
    nib.save(nib.Nifti1Image(mask, np.eye(4)), place / f"{stem}brain_mask.nii.gz")
    return tmp_path


def test_a_listener_loads_by_story(root: Path) -> None:
    responses = load_narratives(root, subject="001", task="pieman")
    assert responses.shape == (6, 6)
    assert responses["onset"].values.tolist() == [0, 1.5, 3, 4.5, 6, 7.5]
    assert "stimulus" not in responses.coords


def test_an_unknown_story_is_named(root: Path) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match="tunnel"):
        load_narratives(root, subject="001", task="tunnel")
