"""Processes end with who started them, whatever ends it."""

import multiprocessing
import os
import signal
import time

import pytest

from neuroalign._clusters import connect, deafen, kill_on_interrupt

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX signals")


def _sleep() -> None:
    time.sleep(60)


def _start() -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_sleep, daemon=True)
    process.start()
    return process


@needs_signals
def test_the_deaf_hear_no_interrupt_and_their_parent_does_again() -> None:
    with deafen():
        child = _start()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    time.sleep(1.0)
    os.kill(child.pid or 0, signal.SIGINT)
    time.sleep(0.3)
    assert child.is_alive()
    child.kill()
    child.join()


def test_an_interrupt_kills_what_was_started_since_and_an_error_does_not() -> None:
    older = _start()
    before, released = {older}, []
    younger = _start()
    with pytest.raises(ValueError, match="an error"), kill_on_interrupt(before):
        raise ValueError("an error")
    assert younger.is_alive()
    with (
        pytest.raises(KeyboardInterrupt),
        kill_on_interrupt(before, lambda: released.append(1)),
    ):
        raise KeyboardInterrupt
    younger.join(10)
    assert not younger.is_alive()
    assert older.is_alive()
    assert released == [1]
    older.kill()
    older.join()


def _interrupt_in_a_cluster() -> None:
    with connect(None, 2) as client:
        assert client.submit(sum, [1, 2, 3]).result() == 6
        with connect(client.scheduler.address, 0) as other:
            assert sum(other.nthreads().values()) == 2
        raise KeyboardInterrupt


def test_a_cluster_is_made_here_and_ends_with_an_interrupt() -> None:
    pytest.importorskip("distributed")
    before = set(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt):
        _interrupt_in_a_cluster()
    assert set(multiprocessing.active_children()) <= before
