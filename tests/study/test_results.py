"""Results on disk: whole or absent, and every change is found."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, SchemaError
from neuroalign.study.config import Study
from neuroalign.study.results import Results, as_parts
from neuroalign.study.tasks import Task, list_tasks


@pytest.fixture
def task(write_study: Callable[..., Study]) -> Task:
    return list_tasks(write_study())[0]


def make_array(value: float = 1.0) -> xr.DataArray:
    return xr.DataArray(np.full((3, 2), value), dims=("first", "second"), name="x")


def test_what_was_written_comes_back(tmp_path: Path, task: Task) -> None:
    results = Results(tmp_path / "out")
    assert results.find_fault(task) == "absent"
    results.write(task, make_array(), {"seconds": 1.5})
    assert results.find_fault(task) is None
    xr.testing.assert_identical(results.read(task), make_array())
    assert results.read_record(task)["seconds"] == 1.5
    assert [path.name for path in results.steps.iterdir()] == [f"brain-{task.key}"]


def test_parts_are_named_and_taken(tmp_path: Path, task: Task) -> None:
    results = Results(tmp_path / "out")
    made = {
        name: xr.Dataset({"features": make_array(value)})
        for name, value in (("layer/1", 1.0), ("layer.2", 2.0))
    }
    results.write(task, made, {})
    assert list(results.read(task)) == ["layer/1", "layer.2"]
    assert float(results.read(task, "layer.2")["features"].max()) == 2.0
    taken = results.read(task, "features")
    assert {name: float(one.max()) for name, one in taken.items()} == {"layer/1": 1, "layer.2": 2}
    with pytest.raises(SchemaError, match=r"@brain.layer1: .*Did you mean 'layer/1'"):
        results.read(task, "layer1")


def test_numbers_are_kept_and_other_things_refused() -> None:
    assert as_parts(0.5, "cka")["result"]["value"].item() == 0.5
    with pytest.raises(SchemaError, match="cka: expected a call that gives labelled .* got list"):
        as_parts([1, 2], "cka")


def spoil_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


SPOIL: dict[str, Callable[[Path], Any]] = {
    "flipped": spoil_bytes,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("how", SPOIL)
@pytest.mark.parametrize("which", range(5))
def test_every_spoilt_file_is_found_and_replaced(
    tmp_path: Path, task: Task, how: str, which: int
) -> None:
    results = Results(tmp_path / "out")
    results.write(task, make_array(), {})
    files = sorted(path for path in results.place(task).rglob("*") if path.is_file())
    path = files[which % len(files)]
    SPOIL[how](path)
    if path.name == "manifest.json" and how == "flipped":
        assert "manifest" in str(results.find_fault(task))
    assert results.find_fault(task) not in (None, "absent")
    with pytest.raises(DataCorruptionError):
        results.read(task)
    results.write(task, make_array(2.0), {})
    assert float(results.read(task).max()) == 2.0


def test_a_whole_result_of_another_process_stays(tmp_path: Path, task: Task) -> None:
    results = Results(tmp_path / "out")
    results.write(task, make_array(1.0), {})
    results.write(task, make_array(2.0), {})
    assert float(results.read(task).max()) == 1.0


def test_a_failed_write_leaves_nothing(tmp_path: Path, task: Task, monkeypatch: Any) -> None:
    results = Results(tmp_path / "out")

    def fill(*arguments: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "save", fill)
    with pytest.raises(OSError, match="No space left"):
        results.write(task, make_array(), {})
    assert list(results.steps.iterdir()) == []


def name_remnant(node: str, process: int) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("platform.node", lambda: node)
        patch.setattr("os.getpid", lambda: process)
        return f".brain@{storage.name_owner()}.partial"


def test_remnants_of_dead_processes_go_and_those_of_living_stay(
    tmp_path: Path, monkeypatch: Any
) -> None:
    results = Results(tmp_path / "out")
    results.steps.mkdir(parents=True)
    monkeypatch.setattr("platform.node", lambda: "node-7")
    dead = results.steps / name_remnant("node-7", 999_999_999)
    alive = results.steps / name_remnant("node-7", os.getppid())
    own = results.steps / name_remnant("node-7", os.getpid())
    # Ends in the name of this machine, and is another.
    foreign = results.steps / name_remnant("rack-node-7", 999_999_999)
    for path in (dead, alive, own, foreign):
        path.mkdir()
    assert results.clear_remnants() == [dead.name]
    assert not dead.exists()
    assert all(path.exists() for path in (alive, own, foreign))


def test_remnants_of_other_machines_go_after_a_week(tmp_path: Path) -> None:
    results = Results(tmp_path / "out")
    results.steps.mkdir(parents=True)
    young, old = (results.steps / name_remnant(name, 1) for name in ("there", "elsewhere"))
    for path in (young, old):
        path.mkdir()
    os.utime(old, (0, 0))
    assert results.clear_remnants() == [old.name]
    assert young.exists()


def test_a_remnant_of_a_process_whose_number_is_ours_now_goes(
    tmp_path: Path, monkeypatch: Any
) -> None:
    results = Results(tmp_path / "out")
    results.steps.mkdir(parents=True)
    with monkeypatch.context() as before:
        before.setattr(storage, "SESSION", "0000")
        path = results.steps / f".brain@{storage.name_owner()}.partial"
    path.mkdir()
    assert results.clear_remnants() == [path.name]


def test_unfinished_records_and_pages_of_dead_processes_go(tmp_path: Path) -> None:
    results = Results(tmp_path / "out")
    results.steps.mkdir(parents=True)
    dead = name_remnant(storage.platform.node(), 999_999_999).split("@")[1]
    left = [results.folder / f".{dead}.{name}" for name in ("study.json", "report.html")]
    for path in left:
        path.write_text("half")
    assert len(results.clear_remnants()) == 2
    assert not any(path.exists() for path in left)


def test_the_place_of_the_study_is_not_told(tmp_path: Path, task: Task) -> None:
    results = Results(tmp_path / "out")
    results.write(task, make_array(), {})
    text = (results.place(task) / "manifest.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["task"]["folder"] == ""
