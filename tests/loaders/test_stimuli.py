"""Stimulus folders become maps, and doubtful files are named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.stimuli import list_stimuli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/002.png", "a/001.JPG", "c.jpeg"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    for name in ("notes.txt", ".hidden.png", "__MACOSX/001.png", "a/Thumbs.db"):
        path = tmp_path / "set" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ("stem", ["001", "002", "c"]),
        ("name", ["001.JPG", "002.png", "c.jpeg"]),
        ("path", ["a/001.JPG", "b/002.png", "c.jpeg"]),
    ],
)
def test_ids_come_from_the_names(folder: Path, ids: str, names: list[str]) -> None:
    found = list_stimuli(folder, ids=ids)
    assert list(found) == names
    assert [path.name for path in found.values()] == ["001.JPG", "002.png", "c.jpeg"]


def test_only_the_folder_itself_is_read_when_asked(folder: Path) -> None:
    assert list(list_stimuli(folder, recursive=False)) == ["c"]


@pytest.mark.parametrize(("kind", "name"), [("video", "v.MP4"), ("audio", "s.wav")])
def test_other_kinds_have_their_endings(folder: Path, kind: str, name: str) -> None:
    (folder / name).write_bytes(b"RIFF0000")
    assert list(list_stimuli(folder, kind=kind)) == [name[0]]


def test_a_table_names_the_files(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("stimulus_id,filename\n02,c.jpeg\n01,a/001.JPG\n")
    assert list_stimuli(folder, table=path) == {
        "01": folder / "a/001.JPG",
        "02": folder / "c.jpeg",
    }
    frame = pd.DataFrame({"image": ["x"], "file": ["c.jpeg"]})
    found = list_stimuli(folder, table=frame, stimulus="image", filename="file")
    assert list(found) == ["x"]


def test_two_files_of_one_id_are_both_named(folder: Path) -> None:
    (folder / "b/c.png").write_bytes((folder / "b/002.png").read_bytes())
    with pytest.raises(LoadError, match=r"c\.jpeg: .*got 'c' again, which .*b/c\.png has"):
        list_stimuli(folder)
    frame = pd.DataFrame({"stimulus_id": ["x", "x"], "filename": ["c.jpeg", "b/002.png"]})
    with pytest.raises(LoadError, match="got 'x' again"):
        list_stimuli(folder, table=frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty one"),
        (b"<!DOCTYPE html><p>504", "HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1", "got a pointer to it"),
    ],
)
def test_failed_downloads_are_named(folder: Path, content: bytes, message: str) -> None:
    (folder / "b/003.jpg").write_bytes(content)
    with pytest.raises(DataCorruptionError, match=rf"003\.jpg: .*{message}"):
        list_stimuli(folder)


def test_links_to_absent_content_are_named(folder: Path) -> None:
    (folder / "b/003.jpg").symlink_to(folder / "annex/objects/gone")
    with pytest.raises(DataCorruptionError, match=r"003\.jpg: .*a link to what is not here"):
        list_stimuli(folder)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"stimulus_id": ["x"]}, "expected column 'filename', got 'stimulus_id'"),
        ({"stimulus_id": ["x"], "filename": ["gone.png"]}, "1 of 1 are not there \\('gone.png'"),
        ({"stimulus_id": ["x"], "filename": ["../set/c.jpeg"]}, "expected files inside"),
        ({"stimulus_id": [""], "filename": ["c.jpeg"]}, "stimulus_id: expected strings"),
        ({"stimulus_id": [1], "filename": ["c.jpeg"]}, "stimulus_id: expected strings, got 1"),
        ({"stimulus_id": ["x"], "filename": ["notes.txt"]}, "expected a .jpg or"),
    ],
)
def test_bad_tables_are_named(folder: Path, pairs: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list_stimuli(folder, table=pd.DataFrame(pairs))


def test_folders_without_stimuli_say_what_they_hold(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"expected video files .* got only '\.db', '\.jpeg'"):
        list_stimuli(folder, kind="video")
    (folder / "empty").mkdir()
    with pytest.raises(LoadError, match="got no files"):
        list_stimuli(folder / "empty")


def test_wrong_arguments_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a folder, got none"):
        list_stimuli(folder / "gone")
    with pytest.raises(LoadError, match="expected a folder, got a file"):
        list_stimuli(folder / "c.jpeg")
    with pytest.raises(ValueError, match="kind: expected one of 'image'"):
        list_stimuli(folder, kind="images")
    with pytest.raises(ValueError, match="ids: expected one of 'stem'"):
        list_stimuli(folder, ids="stems")
