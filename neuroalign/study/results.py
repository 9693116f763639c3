"""Results of tasks on disk: whole or absent, checked when read.

A result is a folder ``steps/NAME-KEY`` that holds one store for each part and ``manifest.json``. It
is written under another name and takes its own in one step, so that a kill at any time leaves
either the whole or a remnant, which the next run takes away.
"""

import json
import os
import platform
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from neuroalign import storage
from neuroalign._formats import MANIFEST as STORE
from neuroalign._formats import hash_file
from neuroalign.errors import DataCorruptionError, SchemaError
from neuroalign.study.calls import suggest
from neuroalign.study.tasks import Task

MANIFEST = "manifest.json"
PARTIAL = ".partial"
# Name of the part of a result that has one alone.
WHOLE = "result"


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

    def write(self, task: Task, made: Any, notes: Mapping[str, Any]) -> None:
        """Store a result, whole; one that another process put there meanwhile stays."""
        parts = as_parts(made, task.name)
        self.steps.mkdir(parents=True, exist_ok=True)
        owner = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        partial = self.steps / f".{task.name}-{owner}{PARTIAL}"
        partial.mkdir(mode=0o700)
        try:
            stores = {}
            for number, (name, part) in enumerate(parts.items()):
                path = storage.save(part, partial / f"{number:04d}.zarr")  # type: ignore[type-var]
                stores[name] = {"file": path.name, "sha256": hash_file(path / STORE)}
            # Where the study lay on this machine is nobody's business elsewhere.
            record = {"task": task.describe() | {"folder": ""}, "parts": stores, **notes}
            with storage.write_whole(partial / MANIFEST) as file:
                file.write_text(json.dumps(record, indent=1), encoding="utf-8")
            place = self.place(task)
            if place.exists() and self.find_fault(task) is not None:
                shutil.rmtree(place)
            try:
                partial.rename(place)
            except OSError:
                if self.find_fault(task) is not None:
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def read_record(self, task: Task) -> dict[str, Any]:
        """Read the manifest of a result.

        Raises
        ------
        DataCorruptionError
        """
        path = self.place(task) / MANIFEST
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if record["task"]["key"] != task.key:
                raise KeyError(task.key)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DataCorruptionError(
                f"{path}: expected the manifest of '{task.name}', got '{error}'. Run the study "
                "again: what is not whole is computed anew."
            ) from error
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
            Hold every file against its hash.

        Returns
        -------
        DataArray, Dataset, or dict of those

        Raises
        ------
        DataCorruptionError
        SchemaError
            When there is no such part.
        """
        stores = self.read_record(task)["parts"]
        found = {}
        for name, store in stores.items():
            path = self.place(task) / store["file"]
            if not (path / STORE).is_file() or hash_file(path / STORE) != store["sha256"]:
                raise DataCorruptionError(
                    f"{path}: expected the part '{name}' as it was written, got another or none. "
                    "Run the study again: it is computed anew."
                )
            if not part or part not in stores or part == name:
                found[name] = storage.load(path, verify=verify)
        whole = found[WHOLE] if list(found) == [WHOLE] else found
        return _take(whole, part, task.name) if part else whole

    def find_fault(self, task: Task) -> str | None:
        """Say what is wrong with a result; None when it is whole, "absent" when there is none."""
        if not self.place(task).exists():
            return "absent"
        try:
            self.read(task)
        except (DataCorruptionError, OSError, ValueError) as error:
            return str(error)
        return None

    def remove(self, task: Task) -> None:
        """Take a result away, where there is one."""
        shutil.rmtree(self.place(task), ignore_errors=True)

    def clear_remnants(self) -> list[str]:
        """Take away what killed processes of this machine left; give the names."""
        gone = []
        for path in sorted(self.steps.glob(f".*{PARTIAL}")):
            *_, host, process, _ = path.name.removesuffix(PARTIAL).rsplit("-", 3)
            alive = process.isdigit() and Path(f"/proc/{process}").exists()
            if platform.node().endswith(host) and not alive:
                shutil.rmtree(path, ignore_errors=True)
                gone.append(path.name)
        return gone


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
