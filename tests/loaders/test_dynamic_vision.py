"""Movie runs in the layout of the Dynamic Natural Vision study."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders.dynamic_vision import load_dynamic_vision
from neuroalign.storage import load, save


def write_run(root: Path, name: str, repeat: int, values: np.ndarray) -> Path:
    surface = nib.cifti2.BrainModelAxis.from_surface
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, :2] = True
    brain = surface([0, 2], 4, "CORTEX_LEFT") + surface([1], 4, "CORTEX_RIGHT")
    brain = brain + nib.cifti2.BrainModelAxis.from_mask(mask, "THALAMUS_LEFT", np.eye(4))
    path = root / "subject1" / "fmri" / name / "cifti" / f"{name}_{repeat}_Atlas.dtseries.nii"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = nib.cifti2.SeriesAxis(0, 2, len(values))
    nib.save(nib.Cifti2Image(values.astype("f4"), header=(rows, brain)), path)
    return path


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    for name, repeat, size in (("seg1", 1, 245), ("seg1", 2, 246), ("seg3", 1, 245)):
        write_run(tmp_path, name, repeat, 100 + rng.normal(size=(size, 5)))
    write_run(tmp_path, "seg3", 2, np.repeat(np.arange(245.0)[:, None], 5, axis=1))
    return tmp_path


def test_runs_are_cut_to_the_movie(folder: Path) -> None:
    raw = load_dynamic_vision(
        folder, subject="subject1", segments=[1, 3], polynomial=0, standardize=False
    )
    assert raw.shape == (4 * 240, 3)
    assert raw.dtype == np.float32
    path = folder / "subject1/fmri/seg1/cifti/seg1_2_Atlas.dtseries.nii"
    written = np.asarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(raw.values[240:480], written[2:242, :3])
    np.testing.assert_array_equal(raw.values[720:, 0], np.arange(1.0, 241))


def test_repeats_share_their_moments(folder: Path) -> None:
    responses = load_dynamic_vision(folder, subject="subject1", segments=[1, 3])
    assert np.unique(responses["run"].values).tolist() == ["seg1_1", "seg1_2", "seg3_1", "seg3_2"]
    assert responses["stimulus"].values[[4, 244]].tolist() == ["seg1_004", "seg1_004"]
    assert responses["onset"].values[[0, 4, 244]].tolist() == [0, 8, 8]
    assert responses["repeat"].values[[0, 240, 480]].tolist() == [0, 1, 0]
    assert responses["segment"].values[500] == "seg3"
    assert responses["subject"].values[0] == "subject1"
    assert responses.attrs["units"] == "z"


def test_each_run_is_cleaned_by_itself(folder: Path) -> None:
    responses = load_dynamic_vision(folder, subject="subject1", segments=[1, 3])
    runs = responses.values.reshape(4, 240, 3)
    np.testing.assert_allclose(runs.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(runs[:3].std(axis=1), 1, atol=1e-4)
    time = np.linspace(-1, 1, 240)
    for order in range(1, 5):
        np.testing.assert_allclose(np.tensordot(time**order, runs[:3], (0, 1)) / 240, 0, atol=1e-4)
    np.testing.assert_array_equal(runs[3], 0)
    detrended = load_dynamic_vision(
        folder, subject="subject1", segments=[3], standardize=False
    ).values[240:]
    np.testing.assert_allclose(detrended, 120.5, atol=1e-2)


def test_the_subcortex_is_kept_on_wish_and_all_survives_the_store(
    folder: Path, tmp_path: Path
) -> None:
    responses = load_dynamic_vision(folder, subject="subject1", segments=[3], cortex=False)
    assert responses.sizes["neuroid"] == 5
    assert load(save(responses, tmp_path / "r.zarr")).identical(responses.compute())


def test_test_movies_need_ten_repeats(tmp_path: Path) -> None:
    for repeat in range(1, 10):
        write_run(tmp_path, "test2", repeat, np.ones((246, 5)))
    message = r"expected 10 runs of split 'test', got 9\. Missing: 'test2/cifti/test2_10_Atlas"
    with pytest.raises(LoadError, match=message):
        load_dynamic_vision(tmp_path, subject="subject1", split="test", segments=[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"expected 36 runs of split 'train', got 4\. Missing: 'seg2/cifti/seg2_1"),
        ({"segments": [0]}, r"segments: expected distinct numbers from 1 to 18"),
        ({"segments": []}, r"segments: expected distinct numbers"),
        ({"split": "val"}, r"split: expected one of 'train', 'test'"),
        ({"segments": [1], "polynomial": -1}, r"polynomial: expected an order of 0 to 19"),
    ],
)
def test_what_does_not_fit_is_named(
    folder: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_dynamic_vision(folder, subject="subject1", **arguments)  # type: ignore[arg-type]


def test_cut_runs_and_unknown_subjects_are_named(folder: Path) -> None:
    write_run(folder, "seg3", 2, np.ones((200, 5)))
    with pytest.raises(LoadError, match=r"seg3_2_Atlas.*: expected 245 or 246 volumes, got 200"):
        load_dynamic_vision(folder, subject="subject1", segments=[3])
    with pytest.raises(FileNotFoundError, match=r"subject9.fmri: expected the folder of one"):
        load_dynamic_vision(folder, subject="subject9")
