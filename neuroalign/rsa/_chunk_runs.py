"""Chunks of independent work: here, in processes, or on dask workers, with the same results.

Work is a function of a shared object and the number of a chunk. It uses one thread of linear
algebra wherever it runs: products are small, and so the bits do not depend on the machine.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from neuroalign._chunks import ChunkedFolder, open_chunked
from neuroalign.errors import require

Array = npt.NDArray[Any]
Work = Callable[[Any, int], dict[str, Array]]
# How often a chunk may be lost with its worker before the run gives up.
MOST_LOSSES = 3
# Seconds between attempts to reach workers.
PAUSES = (0.5, 2.0, 5.0)


def _run_one(work: Work, shared: Any, number: int) -> tuple[int, dict[str, Array]]:
    with threadpool_limits(1, "blas"):
        return number, work(shared, number)


def _run_here(
    work: Work, shared: Any, numbers: list[int], _n_jobs: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    for number in numbers:
        yield _run_one(work, shared, number)


def _run_in_processes(
    work: Work, shared: Any, numbers: list[int], n_jobs: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")
    yield from pool(delayed(_run_one)(work, shared, number) for number in numbers)


def _run_on_workers(
    work: Work, shared: Any, numbers: list[int], client: Any
) -> Iterator[tuple[int, dict[str, Array]]]:
    distributed: Any = require("distributed", "dask")

    def send() -> Any:
        # Each worker has its own copy, so that one that dies takes nothing along. One that dies
        # in this very moment is still on the scheduler's list for a while.
        for pause in PAUSES:
            try:
                return client.scatter([shared], broadcast=True, hash=False)[0]
            except (KeyError, OSError):
                time.sleep(pause)
        return client.scatter([shared], broadcast=True, hash=False)[0]

    def submit(number: int) -> Any:
        future = client.submit(_run_one, work, place[0], number, pure=False)
        running[future.key] = number
        return future

    running: dict[Any, int] = {}
    place, losses = [send()], dict.fromkeys(numbers, 0)
    waiting = list(numbers)
    width = 2 * max(1, len(client.scheduler_info()["workers"]))
    first = [submit(waiting.pop(0)) for _ in numbers[:width]]
    done = distributed.as_completed(first)
    for future in done:
        number = running.pop(future.key)
        if future.status in ("cancelled", "lost") and losses[number] < MOST_LOSSES:
            losses[number] += 1
            place[0] = send()
            done.add(submit(number))
            continue
        yield future.result()
        if waiting:
            done.add(submit(waiting.pop(0)))


def run_chunks(
    work: Work,
    shared: Any,
    numbers: list[int],
    *,
    n_jobs: int = 1,
    client: Any = None,
    progress: bool = False,
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Do the work of all chunks, in any order.

    Parameters
    ----------
    work : callable
        Of the shared object and a number; gives named arrays.
    shared : object
        Sent once to each dask worker; large arrays are mapped, not copied, into processes.
    numbers : list of int
    n_jobs : int
        Processes on this machine; -1: as many as there are CPUs.
    client : dask.distributed.Client, optional
        Used instead of processes.
    progress : bool

    Yields
    ------
    int, dict of str to array
        As they come.

    Raises
    ------
    ValueError
    """
    if n_jobs == 0:
        raise ValueError("n_jobs: expected 1 or more processes, or -1 for all, got 0.")
    if client is not None:
        results = _run_on_workers(work, shared, numbers, client)
    else:
        run = _run_here if n_jobs == 1 else _run_in_processes
        results = run(work, shared, numbers, n_jobs)
    yield from tqdm(results, total=len(numbers), desc="chunks", disable=not progress)


def fill_chunks(
    work: Work,
    shared: Any,
    parts: list[slice],
    rows: dict[str, int],
    *,
    chunk: int,
    store: Path | str | None = None,
    key: str = "",
    n_jobs: int = 1,
    client: Any = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Fill arrays (row, center) chunk by chunk, in memory or in a folder.

    Parameters
    ----------
    work : callable
        Gives each named array (row, center) of one part.
    shared : object
    parts : list of slice
        Centers of each chunk; all of ``chunk`` centers but the last.
    rows : dict of str to int
        Rows of each array.
    chunk : int
    store : path, optional
        A folder in which an interrupted run goes on.
    key : str
        What the arrays depend on; a folder with another is refused.
    n_jobs, client, progress
        See `run_chunks`.

    Returns
    -------
    dict of str to array (row, center)
        float64.

    Raises
    ------
    FileExistsError, ValueError
    """
    shapes = {name: (count, parts[-1].stop) for name, count in rows.items()}
    options: dict[str, Any] = {"n_jobs": n_jobs, "client": client, "progress": progress}
    if store is None:
        arrays = {name: np.empty(shape) for name, shape in shapes.items()}
        for number, values in run_chunks(work, shared, list(range(len(parts))), **options):
            for name, array in arrays.items():
                array[:, parts[number]] = values[name]
        return arrays
    target = ChunkedFolder(Path(store), key, shapes, chunk, "float64")
    target.prepare()
    for number, values in run_chunks(work, shared, target.list_pending(), **options):
        target.write(number, values)
    return {name: array[:] for name, array in open_chunked(Path(store), list(shapes)).items()}
