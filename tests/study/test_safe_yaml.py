"""Study files: plain values only, bounded, and what is refused is named by line."""

import time
from pathlib import Path

import pytest

from neuroalign.errors import LoadError
from neuroalign.study.safe_yaml import read_yaml


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_plain_values_come_through(tmp_path: Path) -> None:
    path = write(tmp_path, "a: [1, 2.5, text, null, true]\nb:\n  c: 'x: y'\n")
    assert read_yaml(path) == {"a": [1, 2.5, "text", None, True], "b": {"c": "x: y"}}


def test_numbers_with_an_exponent_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "a: [1e-3, 1e5, 2.5E3, -1.e2, 1.0e-05]\nb: ['1e-3', 1e, e3, 1e3x]\n")
    assert read_yaml(path) == {
        "a": [0.001, 1e5, 2500, -100, 1e-5],
        "b": ["1e-3", "1e", "e3", "1e3x"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system [ls]", "got the tag .*os.system' in line 1"),
        ("a: &x [1]\nb: *x", "got an anchor or alias in line 1"),
        ("a: " + "[" * 30 + "]" * 30, "got more than 20 levels"),
        ("a: 1\nb: 2\na: 3", "got 'a' again in line 3"),
        ("s:\n  - {x: 1, x: 2}", "got 'x' again in line 2"),
        ("a: [1", "expected YAML, got"),
        ("a:\n\tb: 1", "expected YAML, got .*Indent with spaces"),
        ("- 1\n- 2", "expected sections such as 'data:'.* got list"),
        ("", "got NoneType"),
    ],
)
def test_what_is_not_plain_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        read_yaml(write(tmp_path, text))


def test_a_laugh_of_a_billion_takes_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    started = time.perf_counter()
    with pytest.raises(LoadError, match="anchor or alias"):
        read_yaml(write(tmp_path, "\n".join(lines)))
    assert time.perf_counter() - started < 1


def test_large_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="at most 1,000,000 bytes, got 1,000,003"):
        read_yaml(write(tmp_path, "a: " + "x" * 1_000_000))
    (tmp_path / "study.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LoadError, match="expected YAML"):
        read_yaml(tmp_path / "study.yaml")


def test_a_missing_file_names_those_that_are_there(tmp_path: Path) -> None:
    write(tmp_path, "a: 1")
    with pytest.raises(FileNotFoundError, match=r"no such file. There are: study.yaml"):
        read_yaml(tmp_path / "studi.yaml")


def test_folders_and_files_of_other_formats_are_named_by_their_kind(tmp_path: Path) -> None:
    (tmp_path / "brain.zarr").mkdir()
    with pytest.raises(
        LoadError, match=r"a YAML file, got a folder of the kind: stored array\. See"
    ):
        read_yaml(tmp_path / "brain.zarr")
    (tmp_path / "y.npy").write_bytes(b"")
    with pytest.raises(LoadError, match="got a file of the kind: bare array. See 'neuroalign info"):
        read_yaml(tmp_path / "y.npy")
    (tmp_path / "own").mkdir()
    with pytest.raises(LoadError, match="which is a YAML file, got a folder. See 'neuroalign info"):
        read_yaml(tmp_path / "own")
    for name in ("a.yaml", "study.yml"):
        (tmp_path / "own" / name).write_text("data: {}")
    with pytest.raises(LoadError, match=r"Name it: .*own/study\.yml"):
        read_yaml(tmp_path / "own")
