"""A stored object says what it is."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders import simulate_linear
from neuroalign.storage import save
from neuroalign.study.description import describe_file


def test_kind_sizes_and_coords_are_listed(tmp_path: Path) -> None:
    text = describe_file(save(simulate_linear(n_samples=9), tmp_path / "planted.zarr"))
    assert text.startswith("planted.zarr: matched\nsizes: ")
    assert "sample 9" in text
    assert "'stimulus'" in text


def test_damage_is_an_error(tmp_path: Path) -> None:
    path = save(simulate_linear(n_samples=9), tmp_path / "planted.nc")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataCorruptionError, match=r"planted\.nc"):
        describe_file(path)


def write_image(path: Path) -> Path:
    image = nib.Nifti1Image(np.ones((4, 5, 6, 7), np.int16), np.diag([3.0, 3, 2, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((3, 3, 2, 2.5))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_an_image_says_its_grid_and_its_tr(ending: str, tmp_path: Path) -> None:
    text = describe_file(write_image(tmp_path / f"sub-01_bold{ending}"))
    assert "grid: 4 x 5 x 6 voxels of 3 x 3 x 2 mm, 7 volume(s)" in text
    assert "TR: 2.5 s, 17.5 s in all" in text
    assert ("CRC holds" in text) == (ending == ".nii.gz")


def test_a_flipped_byte_in_an_image_is_found(tmp_path: Path) -> None:
    path = write_image(tmp_path / "bold.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match=r"bold\.nii\.gz"):
        describe_file(path)


def test_events_say_their_span_and_their_stimuli(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_events.tsv"
    path.write_text("onset\tduration\ttrial_type\n0\t2\tface\n4\t2\thouse\n8\t2\tface\n")
    text = describe_file(path)
    assert "3 events" in text
    assert "span: 0 to 10 s" in text
    assert "stimuli (2): 'face x 2', 'house x 1'" in text


def test_events_without_an_onset_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_events.tsv"
    path.write_text("time\ttrial_type\n0\tface\n")
    with pytest.raises(LoadError, match=r"sub-01_events\.tsv.*onset"):
        describe_file(path)


def test_a_path_without_format_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no format")
    with pytest.raises(LoadError, match="notes: expected an ending that tells the format"):
        describe_file(tmp_path / "notes")


def test_commas_instead_of_tabs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_events.tsv"
    path.write_text("onset,duration,trial_type\n0,2,face\n")
    with pytest.raises(LoadError, match="expected columns apart by tabs, got commas"):
        describe_file(path)
