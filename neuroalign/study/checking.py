"""Whether results on disk are what was written, and whether they come out again."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import DataCorruptionError, NeuroalignError
from neuroalign.study._seals import read_record
from neuroalign.study.records import RECORD, check_place
from neuroalign.study.results import Results
from neuroalign.study.runner import read_study_folder, run_study
from neuroalign.study.tasks import Task


def verify_study(out: Path | str) -> dict[str, str]:
    """Hold every file of every result against its hash.

    Parameters
    ----------
    out : path
        Folder of a finished study.

    Returns
    -------
    dict of str to str
        Task -> what is wrong with it; "" where nothing is.

    Raises
    ------
    NeuroalignError
        When the folder holds no finished study.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from neuroalign.study import read_study
    >>> text = "data: {sim: {call: loaders.simulate_linear, with: {n_samples: 20}}}"
    >>> with TemporaryDirectory() as folder:
    ...     written = Path(folder, "study.yaml").write_text(text)
    ...     page = run_study(read_study(Path(folder, "study.yaml")))
    ...     verify_study(page.parent)
    {'sim': ''}
    """
    check_place(Path(out))
    record = Path(out) / RECORD
    try:
        keys = read_record(record, "the record of a finished study")["tasks"]
    except DataCorruptionError as error:
        raise NeuroalignError(str(error)) from error
    results = Results(out)
    # What is asked here is what the disk holds now, not what was seen before.
    return {
        name: results.find_fault(_name_task(name, key), fresh=True) or ""
        for name, key in keys.items()
    }


def _name_task(name: str, key: str) -> Task:
    """A task of which no more than its place is known: its manifest may be spoilt."""
    return Task(name, "", "", {}, (), (), key, "", 0)


def reproduce_study(out: Path | str) -> dict[str, float]:
    """Run a finished study again, elsewhere, and compare every result.

    Parameters
    ----------
    out : path
        Folder of a finished study.

    Returns
    -------
    dict of str to float
        Task -> largest absolute difference; 0 for the same bits, infinity where shapes, labels
        or missing values differ.

    Raises
    ------
    NeuroalignError
        When the folder holds no finished study, or what it read has changed since.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from neuroalign.study import read_study
    >>> text = "data: {sim: {call: loaders.simulate_linear, with: {n_samples: 20}}}"
    >>> with TemporaryDirectory() as folder:
    ...     written = Path(folder, "study.yaml").write_text(text)
    ...     page = run_study(read_study(Path(folder, "study.yaml")))
    ...     reproduce_study(page.parent)
    {'sim': 0.0}
    """
    study, tasks = read_study_folder(out)
    before = Results(out)
    with tempfile.TemporaryDirectory(prefix="neuroalign-") as folder:
        run_study(study, folder)
        _, again = read_study_folder(folder)
        after = Results(folder)
        changed = [one.name for one, new in zip(tasks, again, strict=True) if one.key != new.key]
        if changed:
            raise NeuroalignError(
                f"{out}: expected the files, options and version of then, got others for "
                f"{', '.join(changed)}. Bring back what changed, or run the study anew."
            )
        return {task.name: compare(before.read(task), after.read(task)) for task in tasks}


def compare(one: Any, other: Any) -> float:
    """Largest absolute difference of two results; infinity where they differ in more than that."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return float("inf")
        return max((compare(one[key], other[key]) for key in one), default=0.0)
    if one.identical(other):
        return 0.0
    pairs = [(one, other)]
    if isinstance(one, xr.Dataset) and isinstance(other, xr.Dataset):
        if set(one.variables) != set(other.variables):
            return float("inf")
        pairs = [(one[name], other[name]) for name in one.variables]
    return max(_compare_arrays(a.values, b.values) for a, b in pairs)


def _compare_arrays(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.dtype.kind not in "fc":
        return 0.0 if np.array_equal(a, b) else float("inf")
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    known = ~np.isnan(a) & (a != b)
    return float(np.abs(a[known] - b[known]).max()) if known.any() else 0.0
