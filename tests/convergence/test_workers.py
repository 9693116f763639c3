"""Jobs in other processes: the same answers, and what is lost when a worker dies."""

import os
import signal
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import pytest
from threadpoolctl import threadpool_info

from neuroalign.convergence._workers import EXECUTORS, run_jobs
from neuroalign.errors import LoadError, NeuroalignError, NeuroalignWarning

JOBS = {name: name for name in ("a", "b", "c")}


def shout(word: str) -> str:
    return word.upper()


def complain(word: str) -> str:
    if word == "b":
        raise LoadError("b: expected c, got b. Take c.")
    warnings.warn(f"{word} is loud", NeuroalignWarning, stacklevel=1)
    return word


def die_once(folder: str, word: str) -> str:
    """Count each attempt in a file; b is killed at its first."""
    with Path(folder, word).open("a") as count:
        count.write("x")
    if word == "b" and Path(folder, word).read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    return word


def die_at_b(word: str) -> str:
    if word == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return word


def count_blas(_word: str) -> int:
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


def run(work: Any, executor: str = "processes", workers: int = 2) -> dict[str, Any]:
    return dict(run_jobs(work, JOBS, executor, workers, None))


@pytest.mark.parametrize("executor", ["serial", pytest.param("processes", marks=pytest.mark.slow)])
def test_every_job_is_answered(executor: str) -> None:
    assert run(shout, executor) == {"a": "A", "b": "B", "c": "C"}


@pytest.mark.slow
def test_a_killed_worker_costs_its_job_alone(tmp_path: Path) -> None:
    assert run(partial(die_once, str(tmp_path))) == JOBS
    assert [(tmp_path / name).read_text() for name in JOBS] == ["x", "xx", "x"]


@pytest.mark.slow
def test_a_job_that_kills_twice_is_named_and_no_other() -> None:
    with pytest.raises(NeuroalignError, match="^b: expected its worker to live, but 2 died"):
        run(die_at_b)


@pytest.mark.slow
def test_errors_and_warnings_of_workers_arrive() -> None:
    done = run_jobs(complain, JOBS, "processes", 1, None)
    with pytest.warns(NeuroalignWarning, match="a is loud"):
        assert next(done) == ("a", "a")
    with pytest.raises(LoadError, match="Take c"):
        next(done)


@pytest.mark.slow
def test_processes_share_out_the_threads_of_this_one() -> None:
    own = count_blas("")
    assert set(run(count_blas).values()) == {max(1, own // 2)}


@pytest.mark.slow
def test_what_workers_cannot_make_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # As a class that stands in a notebook: workers import this module, and it is not there.
    ghost = type("Ghost", (), {"__module__": __name__})
    monkeypatch.setitem(globals(), "Ghost", ghost)
    with pytest.raises(TypeError, match="Define classes and functions in a module"):
        dict(run_jobs(shout, {"a": ghost()}, "processes", 1, None))


def test_what_cannot_travel_is_refused_before_any_work() -> None:
    jobs = {"step-1": lambda: 3}
    with pytest.raises(TypeError, match=r"step-1: expected what can be sent.*list_checkpoints"):
        dict(run_jobs(shout, jobs, "processes", 1, None))


@pytest.mark.parametrize(
    ("executor", "workers", "address", "match"),
    [
        ("process", 2, None, "executor: expected one of 'serial', 'processes', 'dask'"),
        ("serial", 0, None, "workers: expected 1 or more, got 0"),
        ("processes", 2, "tcp://host:1", "address: expected None with executor 'processes'"),
    ],
)
def test_places_are_checked(executor: str, workers: int, address: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        run_jobs(shout, JOBS, executor, workers, address)


@pytest.mark.slow
def test_dask_workers_give_the_same_and_are_named_when_they_die(tmp_path: Path) -> None:
    assert run(partial(die_once, str(tmp_path)), "dask") == JOBS
    with pytest.raises(NeuroalignError, match="^b: expected its worker to live, but 2 died"):
        run(die_at_b, "dask")


@pytest.mark.slow
def test_jobs_whose_shared_data_died_with_a_worker_are_done_again_without_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter = distributed.Client.scatter
    # On one worker alone, which may be the one that dies.
    monkeypatch.setattr(
        distributed.Client, "scatter", lambda self, data, **options: scatter(self, data, hash=False)
    )
    assert run(partial(die_once, str(tmp_path)), "dask") == JOBS
    with pytest.raises(NeuroalignError, match="^b: expected its worker to live, but 2 died"):
        run(die_at_b, "dask")


@pytest.mark.slow
def test_dask_workers_of_an_address_are_used() -> None:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        done = run_jobs(shout, JOBS, "dask", 1, cluster.scheduler_address)
        assert dict(done) == {"a": "A", "b": "B", "c": "C"}


def test_the_table_names_all_places() -> None:
    assert list(EXECUTORS) == ["serial", "processes", "dask"]
