"""Pieces of one job side by side, each with one thread of BLAS.

Products of a piece that fits a core's cache gain little from more threads, and what lies between
products gains nothing: so pieces are shared out, not products.
"""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Found = TypeVar("Found")


@lru_cache(maxsize=1)
def _find_pools(_n_modules: int) -> Any:
    """Find the libraries that have threads: looked up anew where a module came in since."""
    return ThreadpoolController()


def count_threads() -> int:
    """Count the threads that BLAS may use now: its share of the processor, or a caller's limit."""
    pools = _find_pools(len(sys.modules)).info()
    counts = [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]
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
    limits = _find_pools(len(sys.modules)).limit(limits=1)
    with limits, ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(function, item) for item in todo]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
