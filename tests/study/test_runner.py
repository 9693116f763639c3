"""A run keeps what is whole, computes what is not, and ends in one page."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
import yaml

from neuroalign.errors import NeuroalignError
from neuroalign.study.config import Study, make_study
from neuroalign.study.results import Results
from neuroalign.study.runner import (
    describe_step,
    forget,
    list_shown,
    plan_study,
    read_study_folder,
    run_study,
    write_page,
)
from neuroalign.study.tasks import list_tasks
from tests.study.conftest import describe_study


def list_states(study: Study) -> list[str]:
    return [step.state for step in plan_study(study)]


def test_a_run_is_planned_done_and_kept(write_study: Callable[..., Study], tmp_path: Path) -> None:
    study = write_study()
    assert list_states(study) == ["to do"] * 4
    said: list[str] = []
    page = run_study(study, say=said.append)
    assert page == tmp_path / "results" / "report.html"
    assert said[0] == "4 of 4 tasks to do (serial)"
    assert list_states(study) == ["done"] * 4
    said.clear()
    run_study(study, say=said.append)
    assert said == ["0 of 4 tasks to do (serial)"]
    text = page.read_text()
    assert "ridge" in text
    assert "rdm" in text


@pytest.mark.usefixtures("plain_page")
def test_the_page_shows_a_study_that_can_be_run_and_no_secrets(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study(run={"executor": "dask", "address": "tcp://user:pw@host:1"})
    made = study.model_copy(update={"run": study.run.model_copy(update={"executor": "serial"})})
    shown = run_study(made).read_text().partition("\n")[2].rpartition("\n")[0]
    assert "user:pw" not in shown
    again = make_study(yaml.safe_load(shown), study.folder / "study.yaml")
    assert again.encoding == study.encoding
    assert (again.title, again.seed) == (study.title, study.seed)


@pytest.mark.usefixtures("plain_page")
def test_what_is_corrupt_is_computed_anew_and_said(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    run_study(study)
    results, task = Results(tmp_path / "results"), list_tasks(study)[3]
    before = results.read(task)
    chunk = next(results.place(task).rglob("c/0/0"))
    chunk.write_bytes(b"spoilt")
    assert list_states(study) == ["done", "done", "done", "corrupt"]
    said: list[str] = []
    run_study(study, say=said.append)
    assert said[0].startswith("rdm: corrupt, computed anew (")
    assert said[1] == "1 of 4 tasks to do (serial)"
    assert re.fullmatch(r"rdm: done in [0-9.e-]+ s \(1 of 1\)", said[2])
    assert results.read(task).identical(before)


@pytest.mark.usefixtures("plain_page")
def test_only_what_changed_is_computed(write_study: Callable[..., Study]) -> None:
    run_study(write_study())
    other = describe_study()["rsa"]
    other["rdm"]["with"]["distance"] = "cosine"
    changed = write_study(rsa=other)
    assert list_states(changed) == ["done", "done", "done", "to do"]


def test_a_task_that_fails_leaves_the_others(write_study: Callable[..., Study]) -> None:
    bad = describe_study()["rsa"]
    bad["rdm"]["with"]["distance"] = "no such distance"
    study = write_study(rsa=bad)
    with pytest.raises(ValueError, match="distance: ") as caught:
        run_study(study)
    assert caught.value.__notes__ == ["in rsa.rdm"]
    assert list_states(study) == ["done", "done", "done", "to do"]


def test_a_plan_is_told_in_words(write_study: Callable[..., Study]) -> None:
    study = write_study()
    line = describe_step(plan_study(study)[2])
    assert line["reads"] == "net, brain"
    assert (line["task"], line["call"]) == ("ridge", "evaluate.cross_validate")
    first = describe_step(plan_study(study)[0])
    assert (first["reads"], first["bytes"][-3:], first["seconds"]) == ("files", " kB", "")


@pytest.mark.usefixtures("plain_page")
def test_results_can_be_forgotten(write_study: Callable[..., Study]) -> None:
    study = write_study()
    run_study(study)
    forget(study)
    assert list_states(study) == ["to do"] * 4


@pytest.mark.usefixtures("plain_page")
def test_a_folder_tells_its_study_wherever_it_lies(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    run_study(study)
    moved = tmp_path / "elsewhere"
    (tmp_path / "results").rename(moved)
    again, tasks = read_study_folder(moved)
    assert again == study
    assert [task.key for task in tasks] == [task.key for task in list_tasks(study)]
    assert str(tmp_path) not in (moved / "study.json").read_text()
    (moved / "study.json").write_text(json.dumps({"config": 1}))
    with pytest.raises(NeuroalignError, match="expected the record of a finished study"):
        read_study_folder(moved)


@pytest.mark.usefixtures("plain_page")
def test_warnings_are_told_and_no_old_page_stays(write_study: Callable[..., Study]) -> None:
    run_study(write_study())
    late = {
        "values": [[1.0, 2.0], [3.0, 5.0]],
        "modality": "fmri",
        "run": ["a", "a"],
        "onset": [0, 2e5],
    }
    told: list[str] = []
    study = write_study(
        data={"late": {"call": "loaders.from_arrays", "with": late}},
        features={}, encoding={}, rsa={},
    )  # fmt: skip
    page = run_study(study, say=told.append, update=True)
    assert told[2].startswith("late: done in ")
    assert told[3].startswith("late: warning: onset: ")
    assert not page.exists()


@pytest.mark.usefixtures("plain_page")
def test_a_section_runs_alone_and_forgets_nothing(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    said: list[str] = []
    run_study(study, section="rsa", say=said.append)
    assert said[0] == "2 of 2 tasks to do (serial)"
    assert [task.name for task in read_study_folder(tmp_path / "results")[1]] == ["brain", "rdm"]
    assert [step.task.name for step in plan_study(study, section="rsa")] == ["brain", "rdm"]
    said.clear()
    page = run_study(study, say=said.append)
    assert said[0] == "2 of 4 tasks to do (serial)"
    said.clear()
    run_study(study, section="rsa", say=said.append)
    assert said == ["0 of 4 tasks to do (serial)"]
    assert page.read_text().endswith("ridge, rdm")
    forget(study, section="rsa")
    assert list_states(study) == ["to do", "done", "done", "to do"]


@pytest.mark.usefixtures("plain_page")
def test_seconds_of_before_are_foreseen(write_study: Callable[..., Study]) -> None:
    run_study(write_study())
    steps = {step.task.name: step for step in plan_study(write_study(seed=8))}
    assert (steps["ridge"].state, steps["brain"].state) == ("to do", "done")
    assert steps["ridge"].seconds is not None
    assert describe_step(steps["ridge"])["seconds"].startswith("about ")


@pytest.mark.usefixtures("plain_page")
def test_what_was_warned_of_stands_in_what_is_drawn(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    run_study(study)
    results = Results(tmp_path / "results")
    tasks = list_tasks(study)
    made = results.read(tasks[2]).assign_attrs(warnings="first")
    results.remove(tasks[2])
    results.write(tasks[2], made.compute(), {"seconds": 1, "warnings": ["second\nhalf", "first"]})
    shown = list_shown(study, tasks, tmp_path / "results")
    assert shown["ridge"].attrs["warnings"] == "first\nsecond half"


def test_summaries_open_the_page_and_matter_ends_its_section(
    write_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study()
    kinds = {"brain": "x", "net": "x", "ridge": "dissimilarity", "rdm": "layers"}
    made = {name: xr.DataArray([0.0], attrs={"kind": kind}) for name, kind in kinds.items()}
    monkeypatch.setattr("neuroalign.schema.check", lambda one, name: one)
    monkeypatch.setattr(Results, "read", lambda self, task, *more: made[task.name])
    monkeypatch.setattr(Results, "read_record", lambda self, task: {})
    assert list(list_shown(study, list_tasks(study), tmp_path)) == ["rdm", "ridge"]


def test_a_page_is_written_again_and_the_record_left(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    page = run_study(write_study(), section="rsa")
    before = (tmp_path / "results" / "study.json").read_bytes()
    page.unlink()
    assert write_page(tmp_path / "results") == page
    assert "rdm" in page.read_text()
    assert (tmp_path / "results" / "study.json").read_bytes() == before
