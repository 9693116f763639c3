"""Chunks on disk: committed one by one, resumed, and never half trusted."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign._chunks import ChunkedFolder, cut_targets, open_chunked, read_record, size_chunk
from neuroalign.errors import DataCorruptionError

SHAPES = {"weights": (3, 10), "alpha": (10,)}


def make(folder: Path, key: str = "a", chunk: int = 4) -> ChunkedFolder:
    target = ChunkedFolder(folder, key, SHAPES, chunk, "float32")
    target.prepare()
    return target


def fill(target: ChunkedFolder, numbers: list[int]) -> None:
    weights = np.arange(30.0).reshape(3, 10)
    for number in numbers:
        part = target.parts[number]
        target.write(number, {"weights": weights[:, part], "alpha": weights[0, part]})


def test_targets_are_cut_and_the_rest_is_shorter() -> None:
    assert cut_targets(10, 4) == [slice(0, 4), slice(4, 8), slice(8, 10)]


def test_a_chunk_fits_its_budget() -> None:
    assert size_chunk(10_000, 100, 10, 100 + 10 * 2500, 1000) == 2000
    assert size_chunk(300, 100, 10, 10**9, 1000) == 300
    with pytest.raises(MemoryError, match=r"memory: expected at least 10,100 bytes for 1000 tar"):
        size_chunk(10_000, 100, 10, 5000, 1000)


def test_what_is_written_comes_back_in_any_order(tmp_path: Path) -> None:
    fill(make(tmp_path / "fit"), [2, 0, 1])
    arrays = open_chunked(tmp_path / "fit", list(SHAPES))
    np.testing.assert_array_equal(arrays["weights"][:], np.arange(30.0).reshape(3, 10))
    np.testing.assert_array_equal(arrays["alpha"][:], np.arange(10.0))


def test_an_unfinished_folder_does_not_open_and_resumes(tmp_path: Path) -> None:
    fill(make(tmp_path / "fit"), [0, 2])
    with pytest.raises(DataCorruptionError, match=r"expected 3 whole chunks, got 1 .*first: 1"):
        open_chunked(tmp_path / "fit", list(SHAPES))
    again = make(tmp_path / "fit")
    assert again.list_pending() == [1]
    fill(again, [1])
    assert open_chunked(tmp_path / "fit", list(SHAPES))["alpha"][5] == 5


@pytest.mark.parametrize("place", ["weights/c/0/1", "done/000001.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_chunk_is_done_again(tmp_path: Path, place: str, damage: str) -> None:
    fill(make(tmp_path / "fit"), [0, 1, 2])
    path = tmp_path / "fit" / place
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    changes = {"flip": bytes(content), "cut": bytes(content[: len(content) // 2])}
    path.unlink() if damage == "remove" else path.write_bytes(changes[damage])
    with pytest.raises(DataCorruptionError, match="got 1 that are missing or damaged"):
        open_chunked(tmp_path / "fit", list(SHAPES))
    assert make(tmp_path / "fit").list_pending() == [1]


def test_another_request_does_not_resume(tmp_path: Path) -> None:
    make(tmp_path / "fit")
    with pytest.raises(FileExistsError, match="fit: expected the same request to resume"):
        make(tmp_path / "fit", key="b")
    with pytest.raises(FileExistsError, match="other inputs, parameters or chunks"):
        make(tmp_path / "fit", chunk=5)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="expected a free name, got a folder with other"):
        make(tmp_path)


def test_a_folder_without_its_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a folder with 'journal\.json'"):
        read_record(tmp_path)
    (tmp_path / "journal.json").write_text("{}")
    with pytest.raises(DataCorruptionError, match="expected a record of chunks"):
        read_record(tmp_path)


def test_a_chunk_of_nan_is_on_disk_like_any_other(tmp_path: Path) -> None:
    target = make(tmp_path / "fit")
    fill(target, [0, 1])
    blank = np.full((3, 2), np.nan)
    target.write(2, {"weights": blank, "alpha": blank[0]})
    assert np.isnan(open_chunked(tmp_path / "fit", list(SHAPES))["alpha"][8:]).all()
    (tmp_path / "fit" / "alpha" / "c" / "2").unlink()
    assert make(tmp_path / "fit").list_pending() == [2]
