"""What a task takes is known before, and refused when it is too much."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from neuroalign.errors import NeuroalignError
from neuroalign.study import memory
from neuroalign.study.config import Study
from neuroalign.study.results import Results
from neuroalign.study.runner import describe_step, plan_study, run_study
from neuroalign.study.tasks import Task, list_tasks
from tests.study.conftest import describe_study

pytestmark = pytest.mark.usefixtures("plain_page")


def find(study: Study, name: str) -> Task:
    return next(task for task in list_tasks(study) if task.name == name)


def test_sizes_are_written_as_people_read_them() -> None:
    assert [memory.say_bytes(n) for n in (0, 12, 1500, 2.5e9)] == [
        *("0 bytes", "12 bytes", "1.5 kB", "2.5 GB")
    ]


def test_inputs_are_measured_once_they_are_there(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    tasks = {task.name: task for task in list_tasks(study)}
    results = Results(tmp_path / "results")
    # Files that are merely opened are known before; what is computed is not.
    files_known = memory.measure_inputs(tasks["ridge"], tasks, results)
    assert files_known == {"net": 24 * 5 * 4, "brain": 24 * 6 * 4}
    computed = tasks | {"net": replace(tasks["net"], call="align.delay_features")}
    before = memory.measure_inputs(tasks["ridge"], computed, results)
    assert before == {"net": None, "brain": 24 * 6 * 4}
    before["brain"] = None
    assert memory.describe_inputs(before) == ""
    run_study(study)
    after = memory.measure_inputs(tasks["ridge"], tasks, results)
    assert after == {"net": 24 * 5 * 4, "brain": 24 * 6 * 4}
    assert memory.estimate_memory(tasks["ridge"], after) == 3 * 24 * 11 * 4
    files = memory.measure_inputs(tasks["brain"], tasks, results)
    assert files == {"files": (tmp_path / "responses.nc").stat().st_size}
    assert memory.describe_inputs(after | before | {"net": 480}) == ">= 480 bytes"


def test_of_parts_that_are_called_one_by_one_the_largest_counts(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    run_study(study)
    task = find(study, "ridge")
    results = Results(tmp_path / "results")
    parts = {"a": results.read(find(study, "net")), "b": results.read(find(study, "net"))[:, :2]}
    stack = replace(task, name="stack", key="0" * 32)
    results.write(stack, parts, {})
    options = {"features": "@stack"}
    one = replace(task, options=options)
    assert memory.measure_inputs(one, {"stack": stack}, results) == {"stack": 24 * 7 * 4}
    each = replace(one, each=("features",))
    assert memory.measure_inputs(each, {"stack": stack}, results) == {"stack": 24 * 5 * 4}


def test_calls_that_stream_are_let_through(write_study: Callable[..., Study]) -> None:
    study = write_study(run={"memory_budget": "1 KB"})
    task = find(study, "ridge")
    assert not memory.streams(task)
    with pytest.raises(NeuroalignError, match="encoding.ridge: .*within run.memory_budget of 1 kB"):
        memory.check_memory(task, {"net": 800, "brain": 400})
    memory.check_memory(task, {"net": 800, "brain": None})
    memory.check_memory(replace(task, budget=0), {"net": 8000})
    loader = find(study, "brain")
    assert memory.streams(loader)
    memory.check_memory(loader, {"files": 10**9})
    streaming = replace(
        task, call="features.extract", section="features", options={"memory_budget": 7}
    )
    assert memory.streams(streaming)
    assert memory.estimate_memory(streaming, {"images": 10**9}) == 7


def test_a_run_refuses_before_any_work_what_it_can_know(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    run_study(study)
    tight = write_study(seed=4, run={"memory_budget": "1 KB"})
    with pytest.raises(NeuroalignError, match=r"encoding.ridge: .*got 1.06 kB \(net 480 bytes"):
        run_study(tight)
    line = describe_step(plan_study(tight)[2])
    assert (line["bytes"], line["memory"]) == ("1.06 kB", "3.17 kB")
    assert line["seconds"].startswith("about ")


def test_files_on_disk_are_refused_before_any_work(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study(run={"memory_budget": "1 KB"})
    rows = [describe_step(step) for step in plan_study(study)]
    assert [row["memory"] for row in rows] == ["part by part"] * 2 + ["3.17 kB", "1.73 kB"]
    with pytest.raises(NeuroalignError, match="encoding.ridge: expected inputs within"):
        run_study(study)
    assert not [*(tmp_path / "results").glob("steps/*")]


def test_what_is_known_late_is_refused_late(write_study: Callable[..., Study]) -> None:
    matched = {"call": "align.match", "with": {"features": "@net", "responses": "@brain"}}
    net = describe_study()["features"]["net"]
    ridge = describe_study()["encoding"]["ridge"]
    parts = {"features": "@matched.features", "responses": "@matched.responses"}
    study = write_study(
        features={"net": net, "matched": matched},
        encoding={"ridge": ridge | {"with": ridge["with"] | parts}},
        run={"memory_budget": "1 KB"},
    )
    assert describe_step(plan_study(study)[3])["memory"] == "not known yet"
    with pytest.raises(NeuroalignError, match="encoding.ridge: expected inputs within"):
        run_study(study)
    states = [step.state for step in plan_study(study)]
    assert states == ["done", "done", "done", "to do", "to do"]


def test_tasks_side_by_side_share_the_budget(write_study: Callable[..., Study]) -> None:
    assert memory.find_peak([5, 1, 4], 2) == 9
    study = write_study()
    run_study(study)
    said: list[str] = []
    run_study(write_study(seed=4, run={"memory_budget": "2 KB"}), say=said.append)
    assert said[2].startswith("memory: tasks may hold about 3.17 kB at once, more than")
