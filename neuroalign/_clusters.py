"""Processes that end with who started them, and a dask cluster made of such."""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from neuroalign.errors import require


@contextmanager
def deafen() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: it is their parent that stops them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It comes with the first process, and its start lets interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def kill_on_interrupt(
    before: set[Any], release: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Kill the processes that were not there before when interrupted: they may compute long."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        release()
        for child in set(multiprocessing.active_children()) - before:
            child.kill()
        raise


@contextmanager
def connect(
    address: str | None,
    workers: int,
    *,
    memory_limit: int | str = "auto",
    allowed_failures: int | None = None,
) -> Iterator[Any]:
    """Open a client of the scheduler at an address, else of a cluster made here.

    Parameters
    ----------
    address : str or None
    workers : int
        Processes of one thread each in a cluster made here.
    memory_limit : int or str
        Bytes that each may hold.
    allowed_failures : int or None
        Workers that a task may bring down before it counts as lost; None: dask's own number.

    Yields
    ------
    distributed.Client

    Raises
    ------
    MissingExtraError
    """
    distributed: Any = require("distributed", "dask")
    if address is not None:
        with distributed.Client(address) as client:
            yield client
        return
    dask: Any = require("dask", "dask")
    key = "distributed.scheduler.allowed-failures"
    before = set(multiprocessing.active_children())
    with dask.config.set({} if allowed_failures is None else {key: allowed_failures}):
        with deafen():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=memory_limit,
                # Not the well-known port, where another may be, and not open to the network.
                dashboard_address="127.0.0.1:0",
                # What fails is told by who asked; the log of a cluster that ends is for nobody.
                silence_logs=logging.CRITICAL,
            )

        def release() -> None:
            for nanny in cluster.workers.values():
                nanny.auto_restart = False

        with cluster, distributed.Client(cluster) as client, kill_on_interrupt(before, release):
            yield client
