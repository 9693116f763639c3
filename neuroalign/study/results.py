"""Results of tasks on disk: whole or absent, checked when read.

A result is a folder ``steps/NAME-KEY`` that holds one store for each part and ``manifest.json``. It
is written under another name and takes its own in one step, so that a kill at any time leaves
either the whole or a remnant, which the next run takes away.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import xarray as xr

from neuroalign import storage
from neuroalign._formats import MANIFEST as STORE
from neuroalign._formats import check_zarr, hash_file
from neuroalign.errors import DataCorruptionError, SchemaError
from neuroalign.study._seals import read_record, redact, to_text
from neuroalign.study._trust import Signature, forbid_strangers, is_settled, look_over
from neuroalign.study.calls import suggest
from neuroalign.study.tasks import Task

MANIFEST = "manifest.json"
PARTIAL = ".partial"
# Name of the part of a result that has one alone.
WHOLE = "result"
ABSENT = "absent"
# How long one process waits for another that is putting a whole result where a broken one was.
PATIENCE = 1.0
# Stores that this process has hashed, and the state of their files then.
_SEEN: dict[Path, Signature] = {}


def as_parts(made: Any, where: str) -> dict[str, xr.DataArray | xr.Dataset]:
    """Take what a call returned apart into what can be stored.

    Raises
    ------
    SchemaError
        When it is no labelled array, number, or mapping of those.
    """
    if isinstance(made, xr.DataArray | xr.Dataset):
        return {WHOLE: made}
    if isinstance(made, int | float) and not isinstance(made, bool):
        value = xr.Dataset({"value": float(made)}, attrs={"kind": "estimate", "method": where})
        return {WHOLE: value}
    if isinstance(made, Mapping) and made:
        return {str(key): as_parts(one, where)[WHOLE] for key, one in made.items()}
    raise SchemaError(
        f"{where}: expected a call that gives labelled arrays, a number or a mapping of those, got "
        f"{type(made).__name__}. Only such results can be stored and passed on."
    )


class Results:
    """The results of a study in one folder.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.steps = self.folder / "steps"

    def place(self, task: Task) -> Path:
        """Where the result of a task lies."""
        return self.steps / f"{task.name}-{task.key}"

    def _name_partial(self, task: Task) -> Path:
        return self.steps / f".{task.name}@{storage.name_owner()}{PARTIAL}"

    def write(self, task: Task, made: Any, notes: Mapping[str, Any]) -> None:
        """Store a result, whole; one that another process put there meanwhile stays.

        Raises
        ------
        SchemaError
            When it is nothing that can be stored.
        OSError
            When it cannot be written; says why and what to do.
        """
        parts = as_parts(made, task.name)
        place, partial = self.place(task), self._name_partial(task)
        try:
            partial.mkdir(parents=True)
            stores = {}
            for number, (name, part) in enumerate(parts.items()):
                path = storage.save(part, partial / f"{number:04d}.zarr")  # type: ignore[type-var]
                stores[name] = {"file": path.name, "sha256": hash_file(path / STORE)}
            # Where the study lay on this machine is nobody's business elsewhere.
            record = {"task": task.describe() | {"folder": ""}, "parts": stores, **notes}
            with storage.write_whole(partial / MANIFEST) as file:
                file.write_text(to_text(redact(record)), encoding="utf-8")
            forbid_strangers(partial)
            self._put(task, partial)
        except OSError as error:
            storage.say_why(error, place)
            raise
        finally:
            _take_away(partial)

    def _put(self, task: Task, partial: Path) -> None:
        """Give a whole result its name, unless a whole one bears it."""
        place = self.place(task)
        while True:
            try:
                partial.rename(place)
                return
            except OSError:
                if not os.path.lexists(place):
                    raise
            if self.find_fault(task) is None:
                return
            aside = self._name_partial(task)
            with suppress(FileNotFoundError):
                place.rename(aside)
                # Another process may have mended it between the look and the grasp.
                if self._find_fault(task, aside) is None:
                    with suppress(OSError):
                        aside.rename(place)
                _take_away(aside)

    def read_record(self, task: Task) -> dict[str, Any]:
        """Read the manifest of a result.

        Raises
        ------
        DataCorruptionError
        """
        return self._read_record(task, self.place(task))

    def _read_record(self, task: Task, place: Path) -> dict[str, Any]:
        path = place / MANIFEST
        record = read_record(path, f"the manifest of '{task.name}'")
        if record["task"]["key"] != task.key:
            raise DataCorruptionError(
                f"{path}: expected the manifest of '{task.name}' with key {task.key}, got that of "
                f"{record['task']['key']}. Run the study again: it is computed anew."
            )
        return record

    def read(self, task: Task, part: str = "", *, verify: bool = True) -> Any:
        """Read a result, or a part of it.

        Parameters
        ----------
        task : Task
        part : str
            A part of a mapping, a variable of a Dataset, or one variable of every part; the whole
            by default.
        verify : bool
            Hold every file against its hash, but for those that this process has held against it
            and that have not been touched since.

        Returns
        -------
        DataArray, Dataset, or dict of those

        Raises
        ------
        DataCorruptionError
        SchemaError
            When there is no such part.
        """
        place = self.place(task)
        before = _identify(place)
        try:
            return self._read(task, place, part, verify)
        except (DataCorruptionError, OSError):
            if not _wait_for_another(place, before):
                raise
        return self._read(task, place, part, verify)

    def _read(self, task: Task, place: Path, part: str, verify: bool) -> Any:
        state, stores = self._open(task, place)
        found = {}
        for name, path in stores.items():
            if not part or part not in stores or part == name:
                if verify:
                    _check(path, state, fresh=False)
                found[name] = storage.load(path, verify=False)
        whole = found[WHOLE] if list(found) == [WHOLE] else found
        return _take(whole, part, task.name) if part else whole

    def _open(self, task: Task, place: Path) -> tuple[Signature, dict[str, Path]]:
        """State of the files of a result, and its parts, whose own records are as written."""
        try:
            state = look_over(place, self.steps)
        except OSError as error:
            raise DataCorruptionError(
                f"{place}: expected the result of '{task.name}', got '{error.strerror}'. Run the "
                "study again: what is not whole is computed anew."
            ) from error
        stores = {}
        for name, store in self._read_record(task, place)["parts"].items():
            path = stores[name] = place / store["file"]
            # A record that was planted could name any place.
            known = re.fullmatch(r"[0-9]{4}\.zarr", store["file"]) and (path / STORE).is_file()
            if not known or hash_file(path / STORE) != store["sha256"]:
                raise DataCorruptionError(
                    f"{path}: expected the part '{name}' as it was written, got another or none. "
                    "Run the study again: it is computed anew."
                )
        return state, stores

    def find_fault(self, task: Task, *, fresh: bool = False) -> str | None:
        """Say what is wrong with a result; None when it is whole, "absent" when there is none.

        Parameters
        ----------
        task : Task
        fresh : bool
            Hash all files, also those that this process has hashed before.
        """
        return self._find_fault(task, self.place(task), fresh=fresh)

    def _find_fault(self, task: Task, place: Path, *, fresh: bool = False) -> str | None:
        if not os.path.lexists(place):
            return ABSENT
        try:
            state, stores = self._open(task, place)
            for path in stores.values():
                _check(path, state, fresh=fresh)
        except (DataCorruptionError, OSError, ValueError) as error:
            return str(error)
        return None

    def remove(self, task: Task) -> None:
        """Take a result away, where there is one."""
        _take_away(self.place(task))

    def clear_remnants(self) -> list[str]:
        """Take away what killed processes left, those of other machines after a week.

        Returns
        -------
        list of str
            Names of what is gone.
        """
        gone = []
        for path, owner in self._list_remnants():
            if storage.is_abandoned(path, owner):
                _take_away(path)
                gone.append(path.name)
        return gone

    def _list_remnants(self) -> Iterator[tuple[Path, str]]:
        for path in sorted(self.steps.glob(f".*@*{PARTIAL}")):
            yield path, path.name.removesuffix(PARTIAL).rpartition("@")[2]
        # Of the record of the study and its page.
        for path in sorted(self.folder.glob(f".*{PARTIAL}.*")):
            yield path, path.name[1:].partition(PARTIAL)[0]


def _check(path: Path, state: Signature, *, fresh: bool) -> None:
    """Hash the files of a store unless this process did, and they are as they were."""
    key = path.absolute()
    files = tuple(one for one in state if one[0].startswith(f"{path.name}/"))
    if fresh or _SEEN.get(key) != files:
        check_zarr(path)
    # What was written a moment ago could be changed in the same tick of the clock.
    if is_settled(files):
        _SEEN[key] = files


def _take_away(path: Path) -> None:
    """Take away what may be gone, or be going, or be held by others."""
    with suppress(OSError):
        storage.remove(path)


def _identify(place: Path) -> tuple[int, int] | None:
    try:
        state = place.lstat()
    except OSError:
        return None
    return state.st_ino, state.st_ctime_ns


def _wait_for_another(place: Path, before: tuple[int, int] | None) -> bool:
    """Wait for a result that another process is replacing; tell whether there is another."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        now = _identify(place)
        if now is not None:
            return now != before
        time.sleep(PATIENCE / 20)
    return False


def _take(whole: Any, part: str, name: str) -> Any:
    if isinstance(whole, dict) and part in whole:
        return whole[part]
    if isinstance(whole, xr.Dataset) and part in whole:
        return whole[part]
    if isinstance(whole, dict) and all(
        isinstance(one, xr.Dataset) and part in one for one in whole.values()
    ):
        return {key: one[part] for key, one in whole.items()}
    known = list(whole) if isinstance(whole, dict | xr.Dataset) else []
    raise SchemaError(
        f"@{name}.{part}: expected a part of '{name}', got none of that name."
        f"{suggest(part, known)} It has: {', '.join(map(str, known)) or 'no parts'}."
    )
