"""Whether what lies on a shared disk is ours: no links, nothing that strangers wrote or may write.

In: a folder of results and one entry of it. Out: the files of the entry as the disk counts them, so
that one process need not hash them twice.
"""

import os
import stat
import tempfile
import time
from pathlib import Path

from neuroalign.errors import DataCorruptionError

# Name, number on the disk, size, and times of each file.
Signature = tuple[tuple[str, int, int, int, int], ...]
# Clocks of file systems tick up to so coarsely; what is younger may change without a trace.
TICK = 2.0
ANEW = "Run the study again: it is set aside and computed anew."


def look_over(entry: Path, steps: Path) -> Signature:
    """Read the state of every file of an entry.

    Parameters
    ----------
    entry : Path
        Folder of a result.
    steps : Path
        The folder that holds it. Its owner, its group where it may write there, the administrator
        and oneself are trusted.

    Returns
    -------
    tuple
        Equal for equal files.

    Raises
    ------
    DataCorruptionError
        When something is a link, belongs to a stranger, or may be written by anyone.
    """
    around = steps.stat()
    found = []
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        state = path.lstat()
        _check(path, state, around, steps)
        if stat.S_ISDIR(state.st_mode):
            waiting += [Path(one.path) for one in os.scandir(path)]
            continue
        name = path.relative_to(entry).as_posix()
        found.append((name, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return tuple(sorted(found))


def is_settled(signature: Signature) -> bool:
    """Tell whether any change from now on would show in the signature."""
    return all(max(one[3:]) < (time.time() - TICK) * 1e9 for one in signature)


def _check(path: Path, state: os.stat_result, around: os.stat_result, steps: Path) -> None:
    if not stat.S_ISDIR(state.st_mode) and not stat.S_ISREG(state.st_mode):
        raise DataCorruptionError(
            f"{path}: expected a file or a folder, got a link or a device. Results lie where they "
            f"were written. {ANEW}"
        )
    if os.name != "posix":
        return
    shared = around.st_mode & stat.S_IWGRP and not around.st_mode & stat.S_IWOTH
    known = state.st_uid in (os.getuid(), around.st_uid, 0)
    if not known and not (shared and state.st_gid == around.st_gid):
        raise DataCorruptionError(
            f"{path}: expected a result of yours or of the owner of {steps}, got one of user "
            f"{state.st_uid}. {ANEW}"
        )
    if state.st_mode & stat.S_IWOTH and has_modes(steps):
        raise DataCorruptionError(
            f"{path}: expected a result that its owner may write, got one that anyone may. {ANEW}"
        )


def has_modes(folder: Path) -> bool:
    """Tell whether a file system keeps who may write; some tell of every file that anyone may."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".modes-") as file:
            Path(file.name).chmod(0o600)
            return not Path(file.name).stat().st_mode & stat.S_IWOTH
    except OSError:
        return True


def forbid_strangers(entry: Path) -> None:
    """Take from anyone else the right to write, which a lax umask gives."""
    for folder, _, names in os.walk(entry):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            mode = path.stat().st_mode
            if mode & stat.S_IWOTH:
                path.chmod(stat.S_IMODE(mode) & ~stat.S_IWOTH)
