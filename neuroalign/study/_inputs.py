"""What commands ask of the files they are given: dims, labels, and names for their entries."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroalign import storage
from neuroalign.errors import NeuroalignError, SchemaError
from neuroalign.study._describe_tables import LABELLERS
from neuroalign.study.description import name_kind
from neuroalign.study.results import WHOLE, Results
from neuroalign.study.runner import read_study_folder

Content = dict[str, Any]


def check_stored(path: Path, argument: str) -> None:
    """Refuse a file that is of another format than what the library stores.

    Raises
    ------
    SchemaError
    """
    kind = name_kind(path) if path.exists() else ""
    if kind in ("", "stored array"):
        return
    advice = (
        LABELLERS
        if kind == "bare array"
        else f"read it by a loader, see 'neuroalign info {path.name}'"
    )
    raise SchemaError(
        f"{argument}: expected a .nc or .zarr that storage.save wrote, got '{path.name}', of the "
        f"kind: {kind}. In Python, {advice}; then storage.save it."
    )


def read_input(path: Path, argument: str, dims: Iterable[str]) -> Any:
    """Open a file and check that it has one of these dims."""
    check_stored(path, argument)
    made = storage.load(path, verify=False)
    if not set(dims) & set(map(str, made.dims)):
        raise SchemaError(
            f"{argument}: expected a file whose array has the dim {' or '.join(dims)}, got "
            f"'{path.name}' with {', '.join(map(str, made.dims))}. See 'neuroalign info "
            f"{path.name}', and the order of the arguments."
        )
    return made


def load_entry(path: Path, folder: Path) -> Content:
    """The entry that loads a file; its path is told from the study's folder."""
    return {
        "call": "storage.load",
        "with": {"path": {"path": Path(os.path.relpath(path.resolve(), folder)).as_posix()}},
    }


def name_files(paths: Sequence[Path], taken: Iterable[str] = ()) -> list[str]:
    """Name entries after files, each once.

    Parameters
    ----------
    paths : sequence of Path
    taken : iterable of str
        Names that others have.

    Returns
    -------
    list of str
    """
    names: list[str] = []
    for path in paths:
        clean = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:48] or "file"
        used = {*taken, *names}
        numbered = (f"{clean}-{number}" for number in range(2, len(used) + 3))
        names.append(clean if clean not in used else next(n for n in numbered if n not in used))
    return names


def count_labels(array: Any, coord: str) -> int:
    """Different labels of a coord on samples; 0 where there is none."""
    there = coord in array.coords and array[coord].dims == ("sample",)
    return len(np.unique(array[coord].values)) if there else 0


def count_runs(array: Any, run: str = "run") -> list[int]:
    """In how many runs each stimulus is; none without both labels."""
    if not (count_labels(array, "stimulus") and count_labels(array, run)):
        return []
    pairs = set(zip(array["stimulus"].values.tolist(), array[run].values.tolist(), strict=True))
    return [*np.unique([stimulus for stimulus, _ in pairs], return_counts=True)[1].tolist()]


def list_encodings(path: Path) -> list[tuple[str, Path]]:
    """Find the encoding results in the folder of a finished study: name, store.

    Raises
    ------
    NeuroalignError
        When it holds none.
    """
    _, tasks = read_study_folder(path)
    results, found = Results(path), []
    for task in tasks:
        for name, store in results.read_record(task)["parts"].items():
            place = results.place(task) / store["file"]
            if storage.load(place, verify=False).attrs.get("kind") == "encoding":
                part = path.name if name == WHOLE else f"{path.name}-{name.replace('.', '-')}"
                found.append((part, place))
    if not found:
        raise NeuroalignError(
            f"{path}: expected a study with an encoding result, got none. Run 'neuroalign encode'."
        )
    return found


def is_study(path: Path) -> bool:
    return path.is_dir() and path.suffix != ".zarr"
