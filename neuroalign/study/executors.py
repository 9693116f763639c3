"""Where tasks run: one after another here, in processes, on dask workers, in a SLURM job array.

To add one: a function ``(jobs, run, out, done, begun) -> None`` and its row in ``EXECUTORS``. It
runs each job after those that it needs, and calls ``done(name)`` as they finish, and
``begun(name)`` as they start where it knows: elsewhere jobs wait in queues of their own. Whatever
ends it, no process that it started goes on computing.
"""

import concurrent.futures
import multiprocessing
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroalign._clusters import connect, deafen, kill_on_interrupt
from neuroalign.errors import NeuroalignError, require
from neuroalign.study.config import Run
from neuroalign.study.worker import run_task

# How often a task is given to another worker when the first one dies.
TRIES = 2
# What a worker holds before it reads anything: the interpreter and its libraries.
LIBRARIES = 10**9
LEAN = (
    "It may have run out of memory: take fewer workers, a smaller memory_budget, or fewer neuroids "
    "or features at a time."
)
Done = Callable[[str], None]
Begun = Callable[[str], None]


class WorkerError(NeuroalignError, ChildProcessError):
    """A process that was to do a task died, or a job of a cluster failed."""


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


def _say_nothing(name: str) -> None:
    """Start without a word."""


def run_here(jobs: list[Job], run: Run, out: Path, done: Done, begun: Begun = _say_nothing) -> None:
    """Run one after another in this process."""
    for job in jobs:
        begun(job.name)
        run_task(job.description, job.others, str(out), 0)
        done(job.name)


def _admit_all(ready: list[Job], n_running: int) -> list[Job]:
    return ready


def _schedule(
    jobs: list[Job],
    submit: Callable[[Job], Any],
    wait: Callable[[list[Any]], list[Any]],
    collect: Callable[[Any, str], None],
    done: Done,
    admit: Callable[[list[Job], int], list[Job]] = _admit_all,
) -> None:
    """Submit each job when all that it needs has finished."""
    waiting = {job.name: job for job in jobs}
    needed = set(waiting)
    running: dict[Any, str] = {}
    while waiting or running:
        ready = [job for job in waiting.values() if not job.needs & needed]
        for job in admit(ready, len(running)):
            running[submit(waiting.pop(job.name))] = job.name
        for future in wait(list(running)):
            name = running.pop(future)
            collect(future, name)
            needed.discard(name)
            done(name)


def _wait_first(futures: list[Any]) -> list[Any]:
    return list(concurrent.futures.wait(futures, return_when="FIRST_COMPLETED").done)


def _follow(lifeline: Any) -> None:
    """End this process with the one that holds the other end of a pipe, however that ends."""

    def watch() -> None:
        with suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_in_processes(
    jobs: list[Job], run: Run, out: Path, done: Done, begun: Begun = _say_nothing
) -> None:
    """Run in processes of this machine; what a killed process had is done again by another."""
    losses: Counter[str] = Counter()
    left = {job.name: job for job in jobs}
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with reader, writer:
        while left:
            try:
                _run_in_pool(left, losses, run, out, done, begun, context, reader)
            except BrokenProcessPool as error:
                # Who died was alone when it died for the second time.
                dead = [name for name, count in losses.items() if count >= TRIES]
                if dead:
                    raise WorkerError(
                        f"{dead[0]}: expected its worker to live, but it died {TRIES} times while "
                        f"'{dead[0]}' was to be done. {LEAN}"
                    ) from error


def _run_in_pool(
    left: dict[str, Job],
    losses: Counter[str],
    run: Run,
    out: Path,
    done: Done,
    begun: Begun,
    context: Any,
    lifeline: Any,
) -> None:
    """Do what is left in one pool; jobs in whose time a worker died go first, each alone."""
    threads = max(1, count_cpus() // run.workers)
    running: set[str] = set()

    def admit(ready: list[Job], n_running: int) -> list[Job]:
        suspects = [job for job in ready if losses[job.name]]
        if suspects or any(losses[name] for name in running):
            return [] if n_running else suspects[:1]
        # No more than run, so that those that may have killed a worker are few.
        return ready[: run.workers - n_running]

    def submit(job: Job) -> Any:
        running.add(job.name)
        begun(job.name)
        with deafen():
            return pool.submit(run_task, job.description, job.others, str(out), threads)

    def collect(future: Any, name: str) -> None:
        future.result()
        running.discard(name)

    def finish(name: str) -> None:
        del left[name]
        done(name)

    before = set(multiprocessing.active_children())
    rest = [
        Job(job.name, job.needs & set(left), job.description, job.others) for job in left.values()
    ]
    with concurrent.futures.ProcessPoolExecutor(
        run.workers, context, initializer=_follow, initargs=(lifeline,)
    ) as pool:
        try:
            with kill_on_interrupt(before):
                _schedule(rest, submit, _wait_first, collect, finish, admit)
        except BrokenProcessPool:
            losses.update(running)
            raise
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_on_dask(
    jobs: list[Job], run: Run, out: Path, done: Done, begun: Begun = _say_nothing
) -> None:
    """Run on dask workers: of ``run.address``, else of a cluster made here.

    Of a cluster made here, a worker that holds more than its share of ``run.memory_budget`` (and
    what the libraries take) is killed, and its task tried again.
    """
    distributed: Any = require("distributed", "dask")
    limit = run.budget // run.workers + LIBRARIES
    with connect(run.address, run.workers, memory_limit=limit) as client:

        def submit(job: Job) -> Any:
            # Workers elsewhere run in other folders.
            place = str(out.absolute())
            return client.submit(run_task, job.description, job.others, place, 1, pure=False)

        def wait(futures: list[Any]) -> list[Any]:
            return list(distributed.wait(futures, return_when="FIRST_COMPLETED").done)

        def collect(future: Any, name: str) -> None:
            try:
                future.result()
            except distributed.KilledWorker as error:
                raise WorkerError(
                    f"{name}: expected its worker to live, but {error.allowed_failures + 1} died "
                    f"while '{name}' was to be done. {LEAN}"
                ) from error

        _schedule(jobs, submit, wait, collect, done)


def run_on_slurm(
    jobs: list[Job], run: Run, out: Path, done: Done, begun: Begun = _say_nothing
) -> None:
    """Run as SLURM job arrays, one for each generation of tasks, by submitit."""
    submitit: Any = require("submitit", "slurm")
    folder = _make_private(out.absolute() / "slurm")
    try:
        executor = submitit.AutoExecutor(folder=str(folder), cluster="slurm")
    except RuntimeError as error:
        raise WorkerError(
            f"run.executor: expected SLURM on this machine, got none ({error}). Run the study "
            "where 'sbatch' and 'srun' are, or choose another executor."
        ) from error
    settings: dict[str, Any] = {
        "slurm_array_parallelism": run.workers,
        "mem_gb": max(1, -(-run.budget // 10**9)),
    }
    executor.update_parameters(**(settings | run.slurm))
    for generation in cut_generations(jobs):
        left = generation
        for attempt in range(TRIES):
            left = _run_array(executor, left, out, done, last=attempt + 1 == TRIES)
            if not left:
                break


def _run_array(executor: Any, jobs: list[Job], out: Path, done: Done, *, last: bool) -> list[Job]:
    """Run one job array to its end; give back the jobs that died without a word."""
    failed: Any = require("submitit.core.utils", "slurm")
    arrays: list[list[Any]] = [
        [job.description for job in jobs],
        [job.others for job in jobs],
        [str(out.absolute())] * len(jobs),
        [1] * len(jobs),
    ]
    sent = executor.map_array(run_task, *arrays)
    died: list[Job] = []
    faults: list[WorkerError] = []
    try:
        for job, one in zip(jobs, sent, strict=True):
            try:
                one.result()
            except failed.UncompletedJobError as error:
                if not last and not isinstance(error, failed.FailedJobError):
                    died.append(job)
                else:
                    faults.append(_tell_failure(job, one, error))
            else:
                _clear_submission(one)
                done(job.name)
    except BaseException:
        for one in sent:
            one.cancel(check=False)
        raise
    if faults:
        raise faults[0]
    return died


def _tell_failure(job: Job, sent: Any, error: Exception) -> WorkerError:
    lines = [line for line in str(error).splitlines() if line.strip(" -")]
    # The last line of a trace, before submitit says where its logs are.
    end = next((n for n, line in enumerate(lines) if line.startswith("You can check")), len(lines))
    # An error has a name and a colon; what follows are its other lines and its notes.
    named = [n for n, line in enumerate(lines[:end]) if re.match(r"[\w.]+: ", line)]
    said = " ".join(lines[named[-1] if named else max(0, end - 1) : end])
    told = WorkerError(
        f"{job.name}: expected its SLURM job {sent.job_id} to end well, got '{said}'. See "
        f"{sent.paths.stderr}. Longer jobs need 'slurm: {{timeout_min: ...}}' in run, larger ones "
        "a larger memory_budget."
    )
    told.__cause__ = error
    return told


def _make_private(folder: Path) -> Path:
    """Make the folder from which submitit reads what to run: nobody else may write there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.lstat()
    ours = not folder.is_symlink() and (os.name != "posix" or state.st_uid == os.getuid())
    if not ours:
        raise NeuroalignError(
            f"{folder}: expected a folder of yours, got a link or one of user {state.st_uid}. "
            "Remove it: what lies there would be run in your name."
        )
    folder.chmod(0o700)
    return folder


def _clear_submission(sent: Any) -> None:
    """Take away the files that were sent to a job and came from it; its logs stay."""
    for path in (sent.paths.submitted_pickle, sent.paths.result_pickle):
        with suppress(OSError):
            path.unlink()


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


EXECUTORS: Mapping[str, Callable[[list[Job], Run, Path, Done, Begun], None]] = {
    "serial": run_here,
    "processes": run_in_processes,
    "dask": run_on_dask,
    "slurm": run_on_slurm,
}
