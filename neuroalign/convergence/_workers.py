"""Jobs one after another, in processes of this machine, or on dask workers.

In: a function, named jobs, and where they run. Out: name and answer of each as it is done. A worker
that dies costs its job alone, which another does again, once. To add a place: a function
``(work, jobs, place)`` that yields ``(name, answer)``, and its row in ``EXECUTORS``.
"""

import copyreg
import multiprocessing
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pickle import PicklingError
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from neuroalign._clusters import connect
from neuroalign._threads import count_threads
from neuroalign.errors import NeuroalignError, choose, require

# How often a job is given to a worker when the first one dies with it.
TRIES = 2
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
UNSHOWN = (DeprecationWarning, ImportWarning, ResourceWarning)

Work = Callable[[Any], Any]
Answers = Iterator[tuple[str, Any]]


class Place(NamedTuple):
    """How many workers, and the address of a dask scheduler, if there is one."""

    workers: int
    address: str | None


class Answer(NamedTuple):
    """What a job gave, or the error that it raised, and what it warned of."""

    value: Any
    error: Exception | None
    warned: list[tuple[str, type[Warning]]]


class PlainPickler(ForkingPickler):
    """Tensors by value: torch would pass them in shared memory, of which containers have little."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.dispatch_table = copyreg.dispatch_table


def pack(thing: Any, name: str) -> bytes:
    """Make bytes of what another process is to have.

    Raises
    ------
    TypeError
        When it cannot travel.
    """
    try:
        return bytes(PlainPickler.dumps(thing))
    except (AttributeError, TypeError, PicklingError) as error:
        raise TypeError(
            f"{name}: expected what can be sent to another process, got {type(thing).__name__} "
            f"({error}). Pass networks, what convergence.list_checkpoints gives, or functions "
            "that stand in a module (no lambda, no function in a function); or use "
            "executor='serial'."
        ) from error


def do(work: Work, job: Any, threads: int) -> Answer:
    """Do one job with that many threads of linear algebra."""
    value, failed = None, None
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(threads):
        warnings.simplefilter("always")
        try:
            value = work(job)
        except Exception as error:  # noqa: BLE001
            # Whatever it is, the caller raises it again.
            failed = _prepare(error)
    warned = [(str(one.message), one.category) for one in caught]
    return Answer(value, failed, [one for one in warned if not issubclass(one[1], UNSHOWN)])


def _prepare(error: Exception) -> Exception:
    """Keep where an error arose, and see that it can travel."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        ForkingPickler.loads(PlainPickler.dumps(error))
    except (AttributeError, TypeError, ValueError, PicklingError):
        return NeuroalignError(f"{type(error).__name__}: {error}")
    return error


def _open(answer: Answer) -> Any:
    """Give the value; say here what was warned of there."""
    for text, category in answer.warned:
        warnings.warn(text, category, stacklevel=2)
    if answer.error is not None:
        raise answer.error
    return answer.value


def _run_here(work: Work, jobs: Mapping[str, Any], place: Place) -> Answers:
    for name, job in jobs.items():
        yield name, work(job)


def _serve(pipe: Connection, threads: int) -> None:
    """Do jobs until there are no more, or no one who wants them."""
    # Libraries that a job will import read these then; those in memory obey `do`.
    os.environ |= dict.fromkeys(THREADS, str(threads))
    with pipe, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        shared = pipe.recv_bytes()
        while True:
            content = pipe.recv_bytes()
            try:
                work = ForkingPickler.loads(shared)
                answer = do(work, ForkingPickler.loads(content), threads)
            except (AttributeError, ImportError) as error:
                answer = Answer(None, _explain(error), [])
            pipe.send_bytes(pack(answer, "answer"))


def _explain(error: Exception) -> TypeError:
    return TypeError(
        f"checkpoints: expected what another process can make again, got '{error}'. Define classes "
        "and functions in a module that can be imported, not in a notebook or a prompt."
    )


class _Worker:
    """A process and the name of the job that it has."""

    def __init__(self, work: bytes, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, threads))
        self.process.start()
        # Held here too, the pipe would not end with the process.
        other.close()
        self.job: str | None = None
        self.work: bytes | None = work

    def take(self, name: str, content: bytes) -> None:
        self.job = name
        # A process that died already is found when its answer is read.
        with suppress(BrokenPipeError, ConnectionResetError):
            if self.work is not None:
                self.pipe.send_bytes(self.work)
                self.work = None
            self.pipe.send_bytes(content)

    def read(self) -> Answer | None:
        """Give what the worker answers; None when it died."""
        try:
            answer: Answer = ForkingPickler.loads(self.pipe.recv_bytes())
        except (EOFError, ConnectionResetError):
            return None
        return answer

    def stop(self) -> None:
        self.pipe.close()
        if self.job is not None:
            self.process.kill()
        self.process.join()


def _run_in_processes(work: Work, jobs: Mapping[str, Any], place: Place) -> Answers:
    for name, job in jobs.items():
        # Before any work is done; packed again when sent, so that one at a time is held twice.
        pack(job, name)
    shared, threads = pack(work, "encoder"), max(1, count_threads() // place.workers)
    waiting = list(jobs)
    tries = dict.fromkeys(jobs, 0)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while len(workers) < min(place.workers, len(waiting) + len(workers)):
                workers.append(_Worker(shared, threads))
            for worker in workers:
                if worker.job is None and waiting:
                    name = waiting.pop(0)
                    tries[name] += 1
                    worker.take(name, pack(jobs[name], name))
            ready = wait([worker.pipe for worker in workers if worker.job is not None])
            for worker in [one for one in workers if one.pipe in ready]:
                name, answer = str(worker.job), worker.read()
                if answer is None:
                    workers.remove(worker)
                    worker.stop()
                    if tries[name] == TRIES:
                        raise _name_dead([name])
                    waiting.insert(0, name)
                    continue
                worker.job = None
                yield name, _open(answer)
    finally:
        for worker in workers:
            worker.stop()


def _name_dead(names: list[str]) -> NeuroalignError:
    return NeuroalignError(
        f"{', '.join(names)}: expected its worker to live, but {TRIES} died. It may have run out "
        "of memory: take fewer workers. In a script, stand the call under "
        "if __name__ == '__main__'."
    )


def _run_on_dask(work: Work, jobs: Mapping[str, Any], place: Place) -> Answers:
    distributed: Any = require("distributed", "dask")
    # We try again ourselves, and name what dies.
    with connect(place.address, place.workers, allowed_failures=0) as client:
        waiting, deaths = list(jobs), dict.fromkeys(jobs, 0)
        # Every round but the last loses a worker.
        for _ in range(TRIES * len(jobs) + 1):
            again: list[str] = []
            shared = client.scatter(work, broadcast=True, hash=False)
            # No more than there are threads: a task that waits on a dead worker would be blamed.
            room = max(1, sum(client.nthreads().values()))
            running: dict[Any, str] = {}
            while waiting or running:
                while waiting and len(running) < room:
                    name = waiting.pop(0)
                    future = client.submit(do, shared, jobs[name], 1, pure=False)
                    running[future] = name
                for future in _wait_for_some(running):
                    name = running.pop(future)
                    try:
                        answer = future.result()
                    except distributed.KilledWorker:
                        deaths[name] += 1
                        again.append(name)
                        continue
                    except distributed.client.FutureCancelledError:
                        # What it needed went with the worker of another, which is to blame.
                        again.append(name)
                        continue
                    yield name, _open(answer)
            waiting = again
            blamed = [name for name in again if deaths[name] == TRIES]
            if blamed:
                raise _name_dead(blamed)
            if not again:
                return
        raise _name_dead(waiting)


def _wait_for_some(running: Mapping[Any, str]) -> list[Any]:
    """Futures that are done, or lost."""
    distributed: Any = require("distributed", "dask")
    try:
        return list(distributed.wait(list(running), return_when="FIRST_COMPLETED").done)
    except distributed.client.FuturesCancelledError:
        return [future for future in running if future.status != "pending"]


EXECUTORS: Mapping[str, Callable[[Work, Mapping[str, Any], Place], Answers]] = {
    "serial": _run_here,
    "processes": _run_in_processes,
    "dask": _run_on_dask,
}


def run_jobs(
    work: Work, jobs: Mapping[str, Any], executor: str, workers: int, address: str | None
) -> Answers:
    """Do jobs in some place.

    Parameters
    ----------
    work : callable
        Of one job; what all jobs share is bound to it, and sent to each worker once.
    jobs : mapping of str to job
    executor : str
        A name in ``EXECUTORS``.
    workers : int
    address : str or None
        Of a dask scheduler; None starts workers here.

    Yields
    ------
    tuple of name and answer
        As they are done, in no order.

    Raises
    ------
    ValueError
        For an unknown executor, fewer than one worker, or an address that nothing uses.
    TypeError
        When a job cannot travel.
    NeuroalignError
        When a worker dies twice with the same job.
    """
    run = choose(EXECUTORS, executor, "executor")
    if workers < 1:
        raise ValueError(f"workers: expected 1 or more, got {workers}.")
    if address is not None and run is not _run_on_dask:
        raise ValueError(
            f"address: expected None with executor '{executor}', got '{address}'. "
            "Use executor='dask'."
        )
    return run(work, jobs, Place(workers, address))
