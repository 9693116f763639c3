"""Where tasks run: one after another here, in processes, on dask workers, in a SLURM job array.

To add one: a function ``(jobs, run, out, done) -> None`` and its row in ``EXECUTORS``. It runs each
job after those that it needs, and calls ``done(name)`` as they finish.
"""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroalign.errors import NeuroalignError, require
from neuroalign.study.config import Run
from neuroalign.study.worker import run_task

# How often a task is given to another worker when the first one dies.
TRIES = 2
Done = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A task and what it waits for."""

    name: str
    needs: frozenset[str]
    description: dict[str, Any]
    others: dict[str, Any]


def count_cpus() -> int:
    """Count the processors that this process may use."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def run_here(jobs: list[Job], run: Run, out: Path, done: Done) -> None:
    """Run one after another in this process."""
    for job in jobs:
        run_task(job.description, job.others, str(out), 0)
        done(job.name)


def _schedule(
    jobs: list[Job],
    submit: Callable[[Job], Any],
    wait: Callable[[list[Any]], list[Any]],
    done: Done,
) -> None:
    """Submit each job when all that it needs has finished."""
    waiting = {job.name: job for job in jobs}
    needed = set(waiting)
    running: dict[Any, str] = {}
    while waiting or running:
        ready = [job for job in waiting.values() if not job.needs & needed]
        for job in ready:
            running[submit(waiting.pop(job.name))] = job.name
        for future in wait(list(running)):
            name = running.pop(future)
            future.result()
            needed.discard(name)
            done(name)


def _wait_first(futures: list[Any]) -> list[Any]:
    return list(concurrent.futures.wait(futures, return_when="FIRST_COMPLETED").done)


def run_in_processes(jobs: list[Job], run: Run, out: Path, done: Done) -> None:
    """Run in processes of this machine; what a killed process had is done again by another."""
    threads = max(1, count_cpus() // run.workers)
    left = {job.name: job for job in jobs}

    def finish(name: str) -> None:
        del left[name]
        done(name)

    for attempt in range(TRIES):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(run.workers, context) as pool:

            def submit(job: Job, pool: Any = pool) -> Any:
                return pool.submit(run_task, job.description, job.others, str(out), threads)

            try:
                rest = [
                    Job(job.name, job.needs & set(left), job.description, job.others)
                    for job in left.values()
                ]
                _schedule(rest, submit, _wait_first, finish)
                return
            except BrokenProcessPool as error:
                if attempt + 1 < TRIES:
                    continue
                raise NeuroalignError(
                    f"run: expected workers to live, but one died {TRIES} times while "
                    f"{', '.join(left)} were to be done. It may have run out of memory: take fewer "
                    "workers, or a smaller memory_budget."
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _connect(run: Run) -> Iterator[Any]:
    distributed: Any = require("distributed", "dask")
    if run.address is not None:
        with distributed.Client(run.address) as client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=run.workers, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def run_on_dask(jobs: list[Job], run: Run, out: Path, done: Done) -> None:
    """Run on dask workers: of ``run.address``, else of a cluster made here."""
    distributed: Any = require("distributed", "dask")
    with _connect(run) as client:

        def submit(job: Job) -> Any:
            return client.submit(
                run_task, job.description, job.others, str(out), 1, pure=False, retries=TRIES
            )

        def wait(futures: list[Any]) -> list[Any]:
            return list(distributed.wait(futures, return_when="FIRST_COMPLETED").done)

        _schedule(jobs, submit, wait, done)


def run_on_slurm(jobs: list[Job], run: Run, out: Path, done: Done) -> None:
    """Run as SLURM job arrays, one for each generation of tasks, by submitit."""
    submitit: Any = require("submitit", "slurm")
    executor = submitit.AutoExecutor(folder=str(out / "slurm"), cluster="slurm")
    executor.update_parameters(
        slurm_array_parallelism=run.workers,
        mem_gb=max(1, run.budget // 10**9),
        **run.slurm,
    )
    for generation in cut_generations(jobs):
        arrays: list[list[Any]] = [
            [job.description for job in generation],
            [job.others for job in generation],
            [str(out)] * len(generation),
            [1] * len(generation),
        ]
        for job, sent in zip(generation, executor.map_array(run_task, *arrays), strict=True):
            sent.result()
            done(job.name)


def cut_generations(jobs: list[Job]) -> list[list[Job]]:
    """Cut jobs into rounds, each needing only earlier ones."""
    left = {job.name: job for job in jobs}
    rounds = []
    while left:
        ready = [job for job in left.values() if not job.needs & set(left)]
        rounds.append(ready)
        for job in ready:
            del left[job.name]
    return rounds


EXECUTORS: Mapping[str, Callable[[list[Job], Run, Path, Done], None]] = {
    "serial": run_here,
    "processes": run_in_processes,
    "dask": run_on_dask,
    "slurm": run_on_slurm,
}
