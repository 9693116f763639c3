"""One task in whatever process: read what goes in, call, write what comes out."""

import time
import warnings
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from neuroalign.errors import SchemaError
from neuroalign.provenance import collect
from neuroalign.study.calls import SECTIONS, build, find
from neuroalign.study.results import Results
from neuroalign.study.tasks import Task


def _call(task: Task, options: dict[str, Any]) -> Any:
    call = find(task.call, SECTIONS[task.section], task.name)
    if not task.each:
        return call(**options)
    stacks = {name: options[name] for name in task.each}
    for name, stack in stacks.items():
        if not isinstance(stack, dict):
            raise SchemaError(
                f"{task.name}: expected option '{name}' to have parts for 'each', got one result. "
                "Leave 'each' out."
            )
    first = next(iter(stacks.values()))
    if any(set(stack) != set(first) for stack in stacks.values()):
        raise SchemaError(
            f"{task.name}: expected the same parts in {', '.join(task.each)}, got "
            f"{[sorted(stack) for stack in stacks.values()]}. Make them from one entry."
        )
    return {
        part: call(**{**options, **{name: stack[part] for name, stack in stacks.items()}})
        for part in first
    }


def run_task(description: dict[str, Any], others: dict[str, Any], out: str, threads: int) -> str:
    """Run one task and store its result.

    Parameters
    ----------
    description : dict
        `Task.describe` of it.
    others : dict
        Name -> description of the tasks that it reads.
    out : str
        Folder of the results.
    threads : int
        Threads of linear algebra; 0 leaves them as they are.

    Returns
    -------
    str
        Its name.
    """
    task = Task(**description)
    results = Results(out)
    known = {name: Task(**one) for name, one in others.items()}

    def look_up(reference: str) -> Any:
        name, _, part = reference.partition(".")
        return results.read(known[name], part)

    started = time.perf_counter()
    with (
        warnings.catch_warnings(record=True) as caught,
        threadpool_limits(threads if threads else None),
    ):
        warnings.simplefilter("always")
        try:
            folder = Path(task.folder)
            made = _call(task, {k: build(v, look_up, folder) for k, v in task.options.items()})
        except Exception as error:
            # Its message names an argument; which entry of the study gave it is known here alone.
            error.add_note(f"in {task.section}.{task.name}")
            raise
    notes = {
        "seconds": round(time.perf_counter() - started, 3),
        "warnings": sorted({str(one.message) for one in caught if _concerns_user(one)}),
        "provenance": collect({"call": task.call, "key": task.key}),
    }
    results.write(task, made, notes)
    return task.name


def _concerns_user(warning: warnings.WarningMessage) -> bool:
    return not issubclass(warning.category, DeprecationWarning | ImportWarning | ResourceWarning)
