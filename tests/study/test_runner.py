"""A run keeps what is whole, computes what is not, and ends in one page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neuroalign.errors import NeuroalignError
from neuroalign.study.config import Study
from neuroalign.study.results import Results
from neuroalign.study.runner import (
    describe_step,
    forget,
    plan_study,
    read_study_folder,
    run_study,
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
    assert results.read(task).identical(before)


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
    assert describe_step(plan_study(study)[0])["reads"].endswith(" MB")


def test_results_can_be_forgotten(write_study: Callable[..., Study]) -> None:
    study = write_study()
    run_study(study)
    forget(study)
    assert list_states(study) == ["to do"] * 4


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
    page = run_study(study, say=told.append)
    assert told[1] == "late: done"
    assert told[2].startswith("late: warning: onset: ")
    assert not page.exists()
