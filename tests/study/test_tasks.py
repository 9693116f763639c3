"""Keys of tasks: what changes a result changes its key, and nothing else does."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from neuroalign.study import tasks
from neuroalign.study.config import Study
from tests.study.conftest import describe_study


def list_keys(study: Study) -> dict[str, str]:
    return {task.name: task.key for task in tasks.list_tasks(study)}


def test_a_study_has_one_set_of_keys(write_study: Callable[..., Study]) -> None:
    keys = list_keys(write_study())
    changed = write_study(title="other", run={"executor": "processes", "memory_budget": "1GB"})
    assert list_keys(changed) == keys
    turned = describe_study()["encoding"]
    turned["ridge"]["with"] = dict(reversed(turned["ridge"]["with"].items()))
    assert list_keys(write_study(encoding=turned)) == keys


def differ(a: dict[str, str], b: dict[str, str]) -> set[str]:
    return {name for name in a if a[name] != b[name]}


def test_a_file_that_changes_reaches_what_reads_it(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    before = list_keys(study)
    content = bytearray((tmp_path / "features.nc").read_bytes())
    content[-1] ^= 1
    (tmp_path / "features.nc").write_bytes(content)
    assert differ(before, list_keys(study)) == {"net", "ridge"}


def test_options_seed_and_version_reach_what_depends_on_them(
    write_study: Callable[..., Study], monkeypatch: Any
) -> None:
    before = list_keys(write_study())
    other = describe_study()["encoding"]
    other["ridge"]["with"]["encoder"]["alphas"] = 2.0
    assert differ(before, list_keys(write_study(encoding=other))) == {"ridge"}
    # Only cross-validation draws numbers here.
    assert differ(before, list_keys(write_study(seed=4))) == {"ridge"}
    monkeypatch.setattr(tasks, "__version__", "9.9")
    assert differ(before, list_keys(write_study())) == set(before)


def test_a_folder_is_hashed_with_the_names_in_it(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("x")
    before = tasks.hash_files([tmp_path / "d"])
    (tmp_path / "d" / "a").rename(tmp_path / "d" / "b")
    after = tasks.hash_files([tmp_path / "d"])
    assert (before[1], after[1]) == (1, 1)
    assert before[0] != after[0]


def test_content_cannot_pass_for_another_file(tmp_path: Path) -> None:
    for name, files in {"one": {"a": "xb\0y"}, "two": {"a": "x", "b": "y"}}.items():
        for inner, content in files.items():
            (tmp_path / name / "d").mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "d" / inner).write_text(content)
    one, two = (tasks.hash_files([tmp_path / name / "d"])[0] for name in ("one", "two"))
    assert one != two


def test_a_file_is_read_once_until_something_touches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "f", []
    path.write_text("x")
    monkeypatch.setattr("neuroalign.study._trust.TICK", -1.0)
    monkeypatch.setattr(tasks.hashlib, "file_digest", lambda *_: read.append(1) or blake2b(b""))
    first = tasks.hash_files([path])
    assert tasks.hash_files([path]) == first
    assert len(read) == 1
    path.write_text("yy")
    tasks.hash_files([path])
    assert len(read) == 2
    # Of what was written just now, no clock could tell another writing.
    monkeypatch.setattr("neuroalign.study._trust.TICK", 60.0)
    path.write_text("zzz")
    tasks.hash_files([path])
    tasks.hash_files([path])
    assert len(read) == 4


def test_a_missing_file_is_named(write_study: Callable[..., Study], tmp_path: Path) -> None:
    study = write_study()
    (tmp_path / "responses.nc").unlink()
    with pytest.raises(FileNotFoundError, match=r"data.brain: .*'responses.nc'"):
        tasks.list_tasks(study)


def test_where_it_runs_reaches_calls_but_no_key(write_study: Callable[..., Study]) -> None:
    trace: dict[str, Any] = {
        "call": "convergence.trace",
        "with": {"checkpoints": "@net", "stimuli": None, "responses": "@brain"},
    }
    found = {}
    for executor in ("serial", "processes", "slurm"):
        run = {"executor": executor, "workers": 3, "memory_budget": "3KB"}
        tasks_ = tasks.list_tasks(write_study(convergence={"course": trace}, run=run))
        found[executor] = tasks_[-1]
    assert found["processes"].options["executor"] == "processes"
    assert found["processes"].options["workers"] == 3
    # A job of a cluster is alone on its machine.
    assert found["slurm"].options["executor"] == "serial"
    assert found["slurm"].options["address"] is None
    assert len({task.key for task in found.values()}) == 1
    assert found["serial"].budget == 3000
    given: dict[str, Any] = {**trace, "with": {**trace["with"], "workers": 1}}
    own = tasks.list_tasks(write_study(convergence={"course": given}, run={"workers": 5}))[-1]
    assert own.options["workers"] == 1


def test_tasks_of_one_machine_share_the_budget(write_study: Callable[..., Study]) -> None:
    extract = {
        "call": "features.extract",
        "with": {"model": None, "stimuli": "@brain", "layers": "all"},
    }
    budgets = {}
    for executor in ("serial", "processes", "slurm"):
        run = {"executor": executor, "workers": 4, "memory_budget": "8KB"}
        study = write_study(features={"net": extract}, encoding={}, run=run)
        (task,) = (one for one in tasks.list_tasks(study) if one.name == "net")
        budgets[executor] = task.options["memory_budget"]
    assert budgets == {"serial": 8000, "processes": 2000, "slurm": 8000}
