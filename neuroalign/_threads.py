"""Pieces of one job side by side, each with one thread of BLAS.

Products of a piece that fits a core's cache gain little from more threads, and what lies between
products gains nothing: so pieces are shared out, not products.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

Item = TypeVar("Item")
Found = TypeVar("Found")


def count_threads() -> int:
    """Count the threads that BLAS may use now: its share of the processor, or a caller's limit."""
    counts = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(counts, default=1)


def map_threads(function: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
    """Apply a function to independent items, in as many threads as BLAS may use.

    Parameters
    ----------
    function : callable
        Spends its time in BLAS or numpy; writes, if at all, where no other item does.
    items : iterable

    Returns
    -------
    list
        In the order of the items.
    """
    todo = list(items)
    n_threads = min(count_threads(), len(todo))
    if n_threads < 2:
        # One piece leaves the threads to BLAS.
        return [function(item) for item in todo]
    with threadpool_limits(1), ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(function, item) for item in todo]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
