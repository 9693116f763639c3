"""How much memory a task takes, as far as it can be known before: bytes that go in, an estimate.

Files count as they lie on disk, results as they lie in memory. What streams is let through: calls
that take ``memory_budget`` or ``memory``, and those that hand on what lies on disk part by part.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroalign import storage
from neuroalign.errors import LoadError, NeuroalignError
from neuroalign.study.calls import SECTIONS, build, find, list_references
from neuroalign.study.results import Results
from neuroalign.study.tasks import Task

# Inputs in single precision, and a copy of them in double.
COPIES = 3
# Options of calls that hold no more than they are told to.
BOUNDS = ("memory_budget", "memory")
# Rooms whose calls give lazy arrays, or work block by block.
LAZY_ROOMS = ("loaders", "align", "storage")
# Calls of other rooms that do.
LAZY_CALLS = ("study.select_samples",)
# Opens a file without reading its values, so that its size is known before it has run.
OPENS = "storage.load"
FILES = "files"
UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))


def say_bytes(size: float) -> str:
    """Write a size as people read it, such as "1.2 GB"."""
    unit, name = next((one for one in UNITS if size >= one[0]), UNITS[-1])
    return f"{size / unit:.3g} {name}"


def streams(task: Task) -> bool:
    """Whether a task takes its inputs part by part."""
    taken = inspect.signature(find(task.call, SECTIONS[task.section], task.name)).parameters
    return any(one in taken for one in BOUNDS) or _hands_on(task)


def _hands_on(task: Task) -> bool:
    return task.call in LAZY_CALLS or task.call.partition(".")[0] in LAZY_ROOMS


def _look_up(reference: str) -> Any:
    raise LoadError(f"{reference}: expected a file, got a result. Wait for it.")


def _open(task: Task, part: str, results: Results) -> Any:
    """What a task gave or, where it opens a stored file, is going to give; None if unknown."""
    try:
        if results.place(task).exists():
            return results.read(task, part, verify=False)
        if task.call != OPENS or task.each:
            return None
        path = build(task.options.get("path"), _look_up, Path(task.folder))
        made = storage.load(path, verify=False)
        return made[part] if part else made
    # Whether it is whole, and has such a part, is said when its turn comes.
    except (LoadError, OSError, KeyError, ValueError):
        return None


def measure_inputs(
    task: Task, known: Mapping[str, Task], results: Results
) -> dict[str, int | None]:
    """Say how many bytes each input of a task has.

    Parameters
    ----------
    task : Task
    known : mapping of str to Task
        Those that it reads.
    results : Results

    Returns
    -------
    dict of str to int or None
        Reference (``net``, ``matched.features``) to its bytes in memory, the largest part of it
        for an option in ``each``; None where the result is not there yet and no stored file that
        is merely opened. ``"files"`` holds the bytes on disk of the files.
    """
    sizes: dict[str, int | None] = {FILES: task.input_bytes} if task.input_bytes else {}
    for option, value in task.options.items():
        for reference in list_references(value):
            name, _, part = reference.partition(".")
            sizes[reference] = None
            made = _open(known[name], part, results)
            if made is None:
                continue
            parts = [one.nbytes for one in made.values()] if isinstance(made, dict) else []
            whole = max(parts, default=0) if option in task.each else sum(parts)
            sizes[reference] = whole if isinstance(made, dict) else int(made.nbytes)
    return sizes


def estimate_memory(task: Task, sizes: Mapping[str, int | None]) -> int | None:
    """Estimate the bytes that a task holds at its peak.

    Returns
    -------
    int or None
        Inputs and a copy of them in double precision, or the budget that a streaming call was
        given; None where an input is not there yet or a call hands on what lies on disk.
    """
    if streams(task):
        bounds = [task.options.get(one) for one in BOUNDS]
        return next((one for one in bounds if isinstance(one, int)), None)
    known = [one for one in sizes.values() if one is not None]
    return COPIES * sum(known) if len(known) == len(sizes) else None


def check_memory(task: Task, sizes: Mapping[str, int | None]) -> None:
    """Refuse a task whose inputs alone are more than the budget.

    Raises
    ------
    NeuroalignError
    """
    known: dict[str, int] = {name: size for name, size in sizes.items() if size is not None}
    total = sum(known.values())
    if not task.budget or total <= task.budget or streams(task):
        return
    parts = ", ".join(f"{name} {say_bytes(size)}" for name, size in known.items())
    raise NeuroalignError(
        f"{task.section}.{task.name}: expected inputs within run.memory_budget of "
        f"{say_bytes(task.budget)}, got {say_bytes(total)} ({parts}). Raise run.memory_budget "
        "where the machine has more, select neuroids, samples or features before, or call a "
        f"function that takes 'memory_budget' or 'memory' instead of {task.call}."
    )


def find_peak(estimates: list[int], at_once: int) -> int:
    """Bytes of as many of the largest tasks as run side by side."""
    return sum(sorted(estimates, reverse=True)[:at_once])


def describe_inputs(sizes: Mapping[str, int | None]) -> str:
    """Bytes of all inputs as text; "at least" where one is not there yet."""
    known = [one for one in sizes.values() if one is not None]
    some = "" if len(known) == len(sizes) else ">= "
    return f"{some}{say_bytes(sum(known))}" if known else ""
