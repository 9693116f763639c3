"""The tasks of a study: what each calls, what it needs, and the key that names its result.

A key is a hash of the call, its options, the version of the code, the keys of what goes in and the
content of the files it reads: what changes any of them changes the key, and nothing else does.
"""

import hashlib
import inspect
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroalign import __version__
from neuroalign.study._trust import Signature, is_settled
from neuroalign.study.calls import SECTIONS, find, find_files, list_references
from neuroalign.study.config import Entry, Run, Study

# Files that this process has hashed, and their state then: a plan and a run read each once.
_SEEN: dict[Path, tuple[Signature, bytes]] = {}


@dataclass(frozen=True)
class Task:
    """One entry of a study, ready to run in any process.

    Attributes
    ----------
    name, section, call : str
    options : dict
        As YAML holds them, with the seed of the study where the call takes one.
    each : tuple of str
        Options whose parts are called one by one.
    inputs : tuple of str
        Names of the tasks that it reads.
    key : str
        32 hexadecimal digits.
    folder : str
        From which its paths are read.
    input_bytes : int
        Size of the files that it reads.
    budget : int
        Bytes that its inputs may take; 0 for any number.
    """

    name: str
    section: str
    call: str
    options: dict[str, Any]
    each: tuple[str, ...]
    inputs: tuple[str, ...]
    key: str
    folder: str
    input_bytes: int
    budget: int = 0

    def describe(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def _list_contents(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _hash_file(path: Path) -> bytes:
    """Hash the content of a file, unless this process did and nothing touched it since."""
    key, state = path.absolute(), path.stat()
    now = ((str(key), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns),)
    known = _SEEN.get(key)
    if known is not None and known[0] == now:
        return known[1]
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest()
    # What was written a moment ago could be changed in the same tick of the clock.
    if is_settled(now):
        _SEEN[key] = (now, digest)
    return digest


def hash_files(paths: list[Path]) -> tuple[str, int]:
    """Hash the names and the content of files and folders; also their size in bytes.

    Each process reads a file once, as long as nothing touches it.
    """
    digest, size = hashlib.blake2b(digest_size=16), 0
    for path in paths:
        for one in _list_contents(path):
            digest.update(f"{one.relative_to(path.parent).as_posix()}\0".encode())
            # All of one length, so that no content can pass for a name.
            digest.update(_hash_file(one))
            size += one.stat().st_size
    return digest.hexdigest(), size


def _list_surroundings(run: Run) -> dict[str, Any]:
    """Options that say where and how a call runs, and change no number."""
    # A call in a job of a cluster is alone there.
    executor = run.executor if run.executor in ("processes", "dask") else "serial"
    return {
        "memory_budget": run.budget // run.at_once,
        "progress": False,
        "executor": executor,
        "workers": run.workers,
        "address": run.address if executor == "dask" else None,
    }


def _complete(study: Study, section: str, entry: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options with what a study decides for all of its calls, and those that make the key."""
    taken = inspect.signature(find(entry.call, SECTIONS[section], section)).parameters
    around = {key: value for key, value in _list_surroundings(study.run).items() if key in taken}
    seed = {"seed": study.seed} if "seed" in taken else {}
    # How much memory there is changes no number, whoever says it.
    given = {key: value for key, value in entry.options.items() if key != "memory_budget"}
    return around | seed | entry.options, seed | given


def list_tasks(study: Study) -> list[Task]:
    """List the tasks of a study in an order in which they can run.

    Parameters
    ----------
    study : Study

    Returns
    -------
    list of Task

    Raises
    ------
    FileNotFoundError
        When a named file is not there.
    """
    tasks: dict[str, Task] = {}
    for name, (section, entry) in study.entries().items():
        options, telling = _complete(study, section, entry)
        inputs = tuple(
            dict.fromkeys(one.partition(".")[0] for one in list_references(entry.options))
        )
        # One by one: an option may itself be called 'path'.
        named = find_files(list(options.values()), study.folder, f"{section}.{name}")
        # Options say which file is which; their order in the YAML says nothing.
        files, size = hash_files(sorted(set(named)))
        parts = {
            "version": __version__,
            "call": entry.call,
            "options": telling,
            "each": entry.each,
            "inputs": {one: tasks[one].key for one in inputs},
            "files": files,
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        tasks[name] = Task(
            name, section, entry.call, options, entry.each, inputs, key, str(study.folder), size,
            study.run.budget,
        )  # fmt: skip
    return list(tasks.values())
