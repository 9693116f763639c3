"""One task: its call sees what the study says, and its warnings are kept."""

import warnings
from collections.abc import Callable
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

    def warn(task: Task, options: dict[str, Any]) -> xr.DataArray:
        warnings.warn("two runs look alike", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return xr.DataArray(np.zeros(2), dims="x")

    monkeypatch.setattr(worker, "_call", warn)
    worker.run_task(task.describe(), {}, str(tmp_path / "out"), 0)
    record = Results(tmp_path / "out").read_record(task)
    assert record["warnings"] == ["two runs look alike"]
    assert record["seconds"] >= 0
