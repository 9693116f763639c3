"""Pieces of a job in threads: order, limits and errors."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from neuroalign._threads import count_threads, map_threads


def test_results_keep_the_order_of_items() -> None:
    assert map_threads(lambda n: n * n, range(20)) == [n * n for n in range(20)]


def test_each_piece_has_one_thread_and_the_limit_is_given_back() -> None:
    before = count_threads()
    assert map_threads(lambda _: count_threads(), range(3)) == [1, 1, 1]
    assert count_threads() == before


def test_a_limit_set_outside_holds() -> None:
    names: set[str] = set()
    with threadpool_limits(1):
        map_threads(lambda _: names.add(threading.current_thread().name), range(4))
    assert names == {threading.current_thread().name}


def test_an_error_reaches_the_caller_and_stops_what_waits() -> None:
    done = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("piece 0")
        done.append(number)

    with pytest.raises(ValueError, match="piece 0"):
        map_threads(work, range(2000))
    assert len(done) < 2000


def test_nothing_to_do_is_done() -> None:
    assert map_threads(np.sqrt, []) == []
