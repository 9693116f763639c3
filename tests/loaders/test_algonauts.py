"""The Algonauts training set comes in with its images' ids; pickles stay closed."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import LoadError
from neuroalign.loaders import load_algonauts

N_IMAGES, SIZES = 11, {"lh": 6, "rh": 5}
IDS = [13, 27, 5, 72999, 0, 31, 8, 1000, 44, 45, 46]


@pytest.fixture
def study(tmp_path: Path, rng: np.random.Generator) -> Path:
    """One subject as unpacked; the mappings are files that must not be opened."""
    folder = tmp_path / "subj03"
    for part in ("training_split/training_images", "training_split/training_fmri", "roi_masks"):
        (folder / part).mkdir(parents=True)
    for number, image in enumerate(IDS):
        name = f"train-{number + 1:04d}_nsd-{image:05d}.png"
        (folder / "training_split/training_images" / name).write_bytes(b"\x89PNG")
    for stem, size in SIZES.items():
        values = rng.normal(size=(N_IMAGES, size)).astype(np.float32)
        np.save(folder / f"training_split/training_fmri/{stem}_training_fmri.npy", values)
        masks = folder / "roi_masks"
        np.save(masks / f"{stem}.floc-faces_challenge_space.npy", np.arange(size) % 4)
        np.save(masks / f"{stem}.streams_challenge_space.npy", np.full(size, 5))
        everywhere = np.zeros(163842, dtype=int)
        everywhere[np.arange(size) * 100 + 7] = 1
        np.save(masks / f"{stem}.all-vertices_fsaverage_space.npy", everywhere)
    (folder / "roi_masks/mapping_floc-faces.npy").write_bytes(b"a pickle")
    return folder


def read(folder: Path, stem: str) -> np.ndarray:
    return np.load(folder / f"training_split/training_fmri/{stem}_training_fmri.npy")


def test_both_hemispheres_left_first_with_ids_from_the_names(study: Path) -> None:
    responses = load_algonauts(study)
    expected = np.concatenate([read(study, "lh"), read(study, "rh")], axis=1)
    np.testing.assert_array_equal(responses.values, expected)
    assert responses.chunks is not None
    assert responses["stimulus"].values.tolist() == [f"nsd-{image:05d}" for image in IDS]
    assert responses["hemisphere"].values.tolist() == ["L"] * 6 + ["R"] * 5
    assert responses["vertex"].values[[1, 6]].tolist() == [107, 7]
    assert responses["subject"].values[0] == "subj03"
    storage.save(responses.compute(), study / "responses.nc")
    back = storage.load(study / "responses.nc").compute()
    xr.testing.assert_identical(back, responses.compute())


def test_one_hemisphere_alone(study: Path) -> None:
    responses = load_algonauts(study, hemisphere="R")
    np.testing.assert_array_equal(responses.values, read(study, "rh"))
    with pytest.raises(ValueError, match="hemisphere: expected one of 'L', 'R', got 'left'"):
        load_algonauts(study, hemisphere="left")


def test_regions_are_named_without_reading_the_pickles(study: Path) -> None:
    names = ["", "OFA", "FFA-1", "FFA-2", "", "OFA"]
    responses = load_algonauts(study, hemisphere="L", roi="floc-faces")
    assert responses["roi"].values.tolist() == names
    both = load_algonauts(study, hemisphere="L", roi=["floc-faces", "streams"])
    assert both["roi"].values.tolist() == [name or "ventral" for name in names]
    assert both["roi_floc-faces"].values.tolist() == names
    with pytest.raises(ValueError, match="roi: expected one of 'prf-visualrois'"):
        load_algonauts(study, roi="floc-cars")


def test_without_the_map_of_vertices_there_are_none(study: Path) -> None:
    (study / "roi_masks/lh.all-vertices_fsaverage_space.npy").unlink()
    responses = load_algonauts(study)
    assert "vertex" not in responses.coords
    assert responses["neuroid"].values[0] == "L-0"


def test_images_that_do_not_count_up_are_named(study: Path) -> None:
    images = study / "training_split/training_images"
    (images / "train-0004_nsd-72999.png").unlink()
    with pytest.raises(LoadError, match="expected images numbered 1 to 11, missing '4'"):
        load_algonauts(study)
    (images / "cat.png").write_bytes(b"")
    with pytest.raises(LoadError, match="expected images 'train-0001_nsd-00013.png', got 'cat.png"):
        load_algonauts(study)


def test_files_of_different_subjects_are_refused(study: Path) -> None:
    masks = study / "roi_masks"
    np.save(masks / "lh.streams_challenge_space.npy", np.zeros(9, dtype=int))
    with pytest.raises(LoadError, match=r"lh.streams_challenge_space.npy: expected 6 labels"):
        load_algonauts(study, roi="streams")
    np.save(masks / "lh.streams_challenge_space.npy", np.full(6, 8))
    with pytest.raises(LoadError, match="expected labels 0 to 7, got '8'"):
        load_algonauts(study, roi="streams")
    np.save(masks / "lh.all-vertices_fsaverage_space.npy", np.ones(4))
    with pytest.raises(LoadError, match="expected 6 vertices, as in lh_training_fmri.npy, got 4"):
        load_algonauts(study)
    np.save(study / "training_split/training_fmri/lh_training_fmri.npy", np.zeros((10, 6)))
    with pytest.raises(LoadError, match=r"lh_training_fmri.npy: expected floats \(11 images"):
        load_algonauts(study)


def test_pickled_responses_are_refused(study: Path) -> None:
    held = np.array([{"lh": 1}, None], dtype=object)
    path = study / "training_split/training_fmri/lh_training_fmri.npy"
    np.save(path, held, allow_pickle=True)
    with pytest.raises(LoadError, match="got pickled objects"):
        load_algonauts(study)
