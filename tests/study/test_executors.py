"""Wherever tasks run, the results are the same; a worker that dies costs one task."""

import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuroalign.errors import MissingExtraError, NeuroalignError
from neuroalign.study import executors
from neuroalign.study.checking import compare
from neuroalign.study.config import Run, Study
from neuroalign.study.executors import Job, cut_generations
from neuroalign.study.results import Results
from neuroalign.study.runner import run_study
from neuroalign.study.tasks import list_tasks


def make_job(name: str, *needs: str) -> Job:
    return Job(name, frozenset(needs), {"name": name}, {})


def test_generations_need_only_earlier_ones() -> None:
    jobs = [make_job("d", "b", "c"), make_job("a"), make_job("b", "a"), make_job("c", "a")]
    rounds = [{job.name for job in one} for one in cut_generations(jobs)]
    assert rounds == [{"a"}, {"b", "c"}, {"d"}]


def measure_gap(write_study: Callable[..., Study], tmp_path: Path, run: Any) -> float:
    """Largest difference of any result from that of a serial run."""
    run_study(write_study(), tmp_path / "serial")
    study = write_study(run=run)
    run_study(study, tmp_path / "other")
    serial, other = (Results(tmp_path / name) for name in ("serial", "other"))
    return max(compare(serial.read(task), other.read(task)) for task in list_tasks(study))


@pytest.mark.slow
def test_processes_give_what_serial_gives(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    run = {"executor": "processes", "workers": 2}
    assert measure_gap(write_study, tmp_path, run) < 1e-5


@pytest.mark.slow
def test_dask_gives_what_serial_gives(write_study: Callable[..., Study], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    run = {"executor": "dask", "workers": 2}
    assert measure_gap(write_study, tmp_path, run) < 1e-5


def die_once(description: dict[str, Any], others: Any, out: str, threads: int) -> str:
    """Kill the worker at the first try of task "b"."""
    flag = Path(out) / "died"
    if description["name"] == "b" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(out) / description["name"]).touch()
    return str(description["name"])


def die_always(description: dict[str, Any], others: Any, out: str, threads: int) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


@pytest.mark.slow
def test_what_a_killed_worker_had_is_done_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(executors, "run_task", die_once)
    done: list[str] = []
    jobs = [make_job("a"), make_job("b", "a"), make_job("c", "b")]
    executors.run_in_processes(jobs, Run(workers=1), tmp_path, done.append)
    assert done == ["a", "b", "c"]


@pytest.mark.slow
def test_a_worker_that_always_dies_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(executors, "run_task", die_always)
    with pytest.raises(NeuroalignError, match="a: expected .* it died 2 times while 'a'"):
        executors.run_in_processes([make_job("a")], Run(workers=1), tmp_path, lambda name: None)


def test_slurm_gets_one_array_for_each_generation(tmp_path: Path, monkeypatch: Any) -> None:
    arrays: list[list[str]] = []
    settings: dict[str, Any] = {}

    class Executor:
        def __init__(self, folder: str, cluster: str) -> None:
            assert (Path(folder).name, cluster) == ("slurm", "slurm")

        def update_parameters(self, **options: Any) -> None:
            settings.update(options)

        def map_array(self, function: Any, *columns: Any) -> Any:
            arrays.append([one["name"] for one in columns[0]])
            path = tmp_path / "sent"
            paths = types.SimpleNamespace(submitted_pickle=path, result_pickle=path)
            return [types.SimpleNamespace(result=lambda: None, paths=paths) for _ in columns[0]]

    monkeypatch.setitem(sys.modules, "submitit", types.SimpleNamespace(AutoExecutor=Executor))
    faults = types.SimpleNamespace(UncompletedJobError=OSError, FailedJobError=OSError)
    monkeypatch.setitem(sys.modules, "submitit.core.utils", faults)
    done: list[str] = []
    run = Run(workers=7, memory_budget="3GB", slurm={"slurm_partition": "short"})
    jobs = [make_job("a"), make_job("b"), make_job("c", "a", "b")]
    executors.run_on_slurm(jobs, run, tmp_path, done.append)
    assert arrays == [["a", "b"], ["c"]]
    assert done == ["a", "b", "c"]
    assert settings == {
        "slurm_array_parallelism": 7, "mem_gb": 3, "slurm_partition": "short",
    }  # fmt: skip


def test_slurm_without_submitit_says_what_brings_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"neuroalign\[slurm\]"):
        executors.run_on_slurm([], Run(), tmp_path, print)


@pytest.mark.slow
def test_processes_say_what_begins(write_study: Callable[..., Study], tmp_path: Path) -> None:
    lines: list[str] = []
    study = write_study(run={"executor": "processes", "workers": 2})
    run_study(study, tmp_path / "out", say=lines.append, starts=True)
    begun = [line.partition(":")[0] for line in lines if ": begun (" in line]
    assert sorted(begun) == ["brain", "net", "rdm", "ridge"]
    assert lines[1].endswith(": begun (1 of 4)")
