"""One task: its call sees what the study says, and its warnings are kept."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import Ridge
from neuroalign.errors import SchemaError
from neuroalign.evaluate import cross_validate
from neuroalign.storage import load
from neuroalign.study import worker
from neuroalign.study.config import Study
from neuroalign.study.results import Results
from neuroalign.study.tasks import Task, list_tasks


def run_all(study: Study, out: Path) -> dict[str, Task]:
    tasks = {task.name: task for task in list_tasks(study)}
    for task in tasks.values():
        others = {name: tasks[name].describe() for name in task.inputs}
        worker.run_task(task.describe(), others, str(out), 1)
    return tasks


def test_tasks_give_what_the_calls_give(write_study: Callable[..., Study], tmp_path: Path) -> None:
    tasks = run_all(write_study(), tmp_path / "out")
    found = Results(tmp_path / "out").read(tasks["ridge"])
    expected = cross_validate(
        Ridge(1.0), load(tmp_path / "features.nc"), load(tmp_path / "responses.nc"),
        ceiling=None, seed=3,
    )  # fmt: skip
    np.testing.assert_array_equal(found["score"], expected["score"])
    assert found.attrs["seed"] == 3


def make_task(options: dict[str, Any], each: tuple[str, ...] = ()) -> Task:
    return Task("t", "rsa", "rsa.compute_rdm", options, each, (), "0" * 32, "", 0)


def test_each_part_is_called_for_itself(monkeypatch: Any) -> None:
    calls: list[Any] = []

    def call(**options: Any) -> str:
        calls.append(options)
        return f"rdm of {options['responses']}"

    monkeypatch.setattr(worker, "find", lambda *arguments: call)
    task = make_task({}, ("responses",))
    made = worker._call(task, {"responses": {"a": 1, "b": 2}, "distance": "cosine"})
    assert made == {"a": "rdm of 1", "b": "rdm of 2"}
    assert calls[0] == {"responses": 1, "distance": "cosine"}
    with pytest.raises(SchemaError, match="expected option 'responses' to have parts"):
        worker._call(task, {"responses": 1})
    both = make_task({}, ("responses", "noise"))
    with pytest.raises(
        SchemaError, match=r"the same parts in responses, noise, got \[\['a'\], \['b'\]\]"
    ):
        worker._call(both, {"responses": {"a": 1}, "noise": {"b": 1}})


def test_warnings_and_seconds_are_kept(
    write_study: Callable[..., Study], tmp_path: Path, monkeypatch: Any
) -> None:
    task = list_tasks(write_study())[0]

    def warn(task: Task, options: dict[str, Any], scratch: Path | None) -> xr.DataArray:
        warnings.warn("two runs look alike", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return xr.DataArray(np.zeros(2), dims="x")

    monkeypatch.setattr(worker, "_call", warn)
    worker.run_task(task.describe(), {}, str(tmp_path / "out"), 0)
    record = Results(tmp_path / "out").read_record(task)
    assert record["warnings"] == ["two runs look alike"]
    assert record["seconds"] >= 0


def test_a_call_goes_on_from_its_folder(tmp_path: Path, monkeypatch: Any) -> None:
    def call(checkpoints: Any, folder: Path | None = None) -> xr.DataArray:
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "step").write_text("done")
        if checkpoints == "bad":
            raise ValueError("no such thing")
        return xr.DataArray(np.zeros(2), dims="x")

    monkeypatch.setattr(worker, "find", lambda *arguments: call)
    task = Task(
        "t", "convergence", "convergence.trace", {"checkpoints": "bad"}, (), (), "0" * 32, "", 0
    )
    scratch = worker.find_scratch(task, tmp_path)
    assert scratch == tmp_path / "work" / f"t-{'0' * 32}"
    with pytest.raises(ValueError, match="no such thing"):
        worker.run_task(task.describe(), {}, str(tmp_path), 0)
    assert (scratch / "step").exists()
    good = replace(task, options={"checkpoints": "good"})
    worker.run_task(good.describe(), {}, str(tmp_path), 0)
    assert not scratch.exists()
    both = replace(task, each=("checkpoints",))
    worker._call(both, {"checkpoints": {"a": 1, "b": 2}}, tmp_path / "both")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["0000", "0001"]


def test_only_calls_that_resume_get_a_folder(tmp_path: Path) -> None:
    trace = Task("t", "convergence", "convergence.trace", {}, (), (), "0" * 32, "", 0)
    assert worker.find_scratch(trace, tmp_path) is not None
    assert worker.find_scratch(replace(trace, options={"folder": "x"}), tmp_path) is None
    spin = replace(trace, call="convergence.spin_test")
    assert worker.find_scratch(spin, tmp_path) is None
    # Where a loader's folder is where datasets are kept.
    load = replace(trace, section="data", call="loaders.load_nsd")
    assert worker.find_scratch(load, tmp_path) is None
