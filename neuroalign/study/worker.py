"""One task in whatever process: read what goes in, call, write what comes out."""

import inspect
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from neuroalign.errors import SchemaError, require
from neuroalign.provenance import collect
from neuroalign.study._scratch import hold_scratch
from neuroalign.study.calls import SECTIONS, build, find
from neuroalign.study.memory import check_memory, measure_inputs
from neuroalign.study.results import Results
from neuroalign.study.tasks import Task

# Folder in the results, with one folder for each task that goes on from what it left there.
WORK = "work"
# Sections whose calls keep in ``folder`` what they have done so far.
RESUMED = ("convergence",)


def _call(task: Task, options: dict[str, Any], scratch: Path | None = None) -> Any:
    call = find(task.call, SECTIONS[task.section], task.name)
    if not task.each:
        return call(**options, **({} if scratch is None else {"folder": scratch}))
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
    made = {}
    for number, part in enumerate(first):
        own = {} if scratch is None else {"folder": scratch / f"{number:04d}"}
        made[part] = call(**{**options, **{name: one[part] for name, one in stacks.items()}}, **own)
    return made


def find_scratch(task: Task, out: Path) -> Path | None:
    """Folder from which a call goes on after a kill; None for calls that take none."""
    if task.section not in RESUMED or "folder" in task.options:
        return None
    call = find(task.call, SECTIONS[task.section], task.name)
    taken = "folder" in inspect.signature(call).parameters
    return out / WORK / f"{task.name}-{task.key}" if taken else None


def _join_cluster(task: Task) -> dict[str, Any]:
    """Let a call on a dask worker use the cluster that the worker is of.

    It could start none of its own there, and on a worker that it holds it would wait for itself.
    """
    if task.options.get("executor") != "dask":
        return {}
    distributed: Any = require("distributed", "dask")
    try:
        worker = distributed.get_worker()
    except ValueError:
        return {}
    distributed.secede()
    return {"address": task.options.get("address") or worker.scheduler.address}


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

    Raises
    ------
    NeuroalignError
        When what it reads is more than its budget, before anything is computed.
    """
    task = Task(**description)
    results = Results(out)
    known = {name: Task(**one) for name, one in others.items()}

    def look_up(reference: str) -> Any:
        name, _, part = reference.partition(".")
        return results.read(known[name], part)

    if results.find_fault(task) is None:
        # Another run of the same study was faster.
        return task.name
    check_memory(task, measure_inputs(task, known, results))
    place = find_scratch(task, Path(out))
    with hold_scratch(place) if place is not None else nullcontext() as scratch:
        with threadpool_limits(threads if threads else None):
            made, notes = _compute(task, look_up, scratch)
        results.write(task, made, notes)
    return task.name


def _compute(
    task: Task, look_up: Callable[[str], Any], scratch: Path | None
) -> tuple[Any, dict[str, Any]]:
    """Call; what came of it, and how it went."""
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            folder = Path(task.folder)
            options = {k: build(v, look_up, folder) for k, v in task.options.items()}
            made = _call(task, options | _join_cluster(task), scratch)
        except Exception as error:
            # Its message names an argument; which entry of the study gave it is known here alone.
            error.add_note(f"in {task.section}.{task.name}")
            raise
    return made, {
        "seconds": round(time.perf_counter() - started, 3),
        "warnings": sorted({str(one.message) for one in caught if _concerns_user(one)}),
        "provenance": collect({"call": task.call, "key": task.key}),
    }


def _concerns_user(warning: warnings.WarningMessage) -> bool:
    return not issubclass(warning.category, DeprecationWarning | ImportWarning | ResourceWarning)
