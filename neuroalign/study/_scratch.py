"""The folder from which a call goes on after a kill: one holder at a time, gone once it is done.

Two runs of one study at the same time have the same tasks. Who comes first holds the folder by a
lock of the system, which a kill frees; who comes second works in a folder of its own.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from neuroalign import storage

if sys.platform != "win32":
    import fcntl

LOCK, PARTIAL = ".lock", ".partial"


@contextmanager
def hold_scratch(place: Path) -> Iterator[Path]:
    """Lend a folder to one call; it goes when the call ends well, and stays when it does not.

    Parameters
    ----------
    place : Path
        Named after the task and its key. Nothing is made here but the folder that holds it.

    Yields
    ------
    Path
        ``place``, or another, empty one while somebody else holds it.
    """
    with _lock(place) as held:
        owner = storage.name_owner()
        mine = place if held else place.with_name(f".{place.name}@{owner}{PARTIAL}")
        try:
            yield mine
        except BaseException:
            if not held:
                _take_away(mine)
            raise
        _take_away(mine)
    _take_away_empty(place.parent)


def clear_scratch(work: Path, is_over: Callable[[str], bool]) -> None:
    """Take away what nobody holds and nobody goes on from, and what killed processes left.

    Parameters
    ----------
    work : Path
        Holds the folders that `hold_scratch` lends.
    is_over : callable
        Tells of the name of a task and its key whether nobody goes on from it.
    """
    found = [*work.glob("*")]
    for path in found:
        owner = path.name.removesuffix(PARTIAL).rpartition("@")[2]
        if path.name.endswith(PARTIAL) and storage.is_abandoned(path, owner):
            _take_away(path)
    names = {path.name.removesuffix(LOCK).removeprefix(".") for path in found
             if path.name.endswith(LOCK) or not path.name.startswith(".")}  # fmt: skip
    for name in sorted(names):
        if is_over(name):
            with _lock(work / name) as held:
                if held:
                    _take_away(work / name)
    _take_away_empty(work)


@contextmanager
def _lock(place: Path) -> Iterator[bool]:
    """Tell whether the place is ours alone as long as the body runs."""
    path = place.with_name(f".{place.name}{LOCK}")
    held = _open(path)
    with held:
        ours = _grasp(held)
        # Who held it before may have taken the file away between our opening and our grasp.
        while ours and not _is_same(held, path):
            held.close()
            held = _open(path)
            ours = _grasp(held)
        try:
            yield ours
        finally:
            if ours:
                with suppress(OSError):
                    path.unlink()
            held.close()


def _open(path: Path) -> IO[str]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another run that ends takes the empty folder away.
        with suppress(FileNotFoundError):
            return path.open("a")


def _grasp(held: IO[str]) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A disk that knows no locks: going on after a kill is worth more there than two equal runs.
        return True
    return True


def _is_same(held: IO[str], path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(held.fileno()), there)


def _take_away(path: Path) -> None:
    with suppress(OSError):
        storage.remove(path)


def _take_away_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
