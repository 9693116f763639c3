"""Run a study: plan it, do what is not done, and end in one page.

In: a study. Out: a folder with a checked result for each task, ``study.json`` and ``report.html``.
A run that was killed is run again: what is whole is kept, what is corrupt is computed anew and
said.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroalign import __version__, provenance, report, schema, storage
from neuroalign.errors import NeuroalignError, choose
from neuroalign.study.config import Study
from neuroalign.study.executors import EXECUTORS, Job
from neuroalign.study.results import Results
from neuroalign.study.tasks import Task, list_tasks

RECORD = "study.json"
PAGE = "report.html"
# Sections whose results are means to an end, drawn only when asked for.
HIDDEN = ("data", "features")


@dataclass(frozen=True)
class Step:
    """One line of a plan.

    Attributes
    ----------
    task : Task
    state : {"done", "to do", "corrupt"}
    fault : str
        What is wrong with a corrupt result.
    seconds : float or None
        That it took, when it is done.
    """

    task: Task
    state: str
    fault: str = ""
    seconds: float | None = None


def find_out(study: Study, out: Path | str | None = None) -> Path:
    """Folder of the results: as asked for, else as the study says, beside its file."""
    return Path(out) if out is not None else study.folder / study.out


def plan_study(study: Study, out: Path | str | None = None) -> list[Step]:
    """Say what a run would do.

    Parameters
    ----------
    study : Study
    out : path, optional
        Instead of the folder that the study names.

    Returns
    -------
    list of Step
        In the order of the run.

    Raises
    ------
    FileNotFoundError
        When a file that the study names is not there.
    """
    results = Results(find_out(study, out))
    return [_look(results, task) for task in list_tasks(study)]


def _look(results: Results, task: Task) -> Step:
    fault = results.find_fault(task)
    if fault is None:
        return Step(task, "done", seconds=results.read_record(task).get("seconds"))
    return Step(task, "to do") if fault == "absent" else Step(task, "corrupt", fault)


def run_study(
    study: Study,
    out: Path | str | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Run what is not done, and write the report.

    Parameters
    ----------
    study : Study
    out : path, optional
        Instead of the folder that the study names.
    say : callable, optional
        Takes a line for each thing that happens.

    Returns
    -------
    Path
        The report; there is no such file where no result is of a kind that is drawn.

    Raises
    ------
    NeuroalignError
        When a task fails; the others' results stay.
    """
    tell = say or (lambda line: None)
    out = find_out(study, out)
    out.mkdir(parents=True, exist_ok=True)
    results = Results(out)
    for remnant in results.clear_remnants():
        tell(f"remnant of a killed run taken away: {remnant}")
    steps = plan_study(study, out)
    for step in steps:
        if step.state == "corrupt":
            tell(f"{step.task.name}: corrupt, computed anew ({step.fault})")
    known = {step.task.name: step.task for step in steps}
    todo = {step.task.name for step in steps if step.state != "done"}
    tell(f"{len(todo)} of {len(steps)} tasks to do ({study.run.executor})")
    jobs = [_as_job(task, known, todo) for task in known.values() if task.name in todo]

    def finish(name: str) -> None:
        tell(f"{name}: done")
        for warning in results.read_record(known[name])["warnings"]:
            tell(f"{name}: warning: {warning}")

    choose(EXECUTORS, study.run.executor, "run.executor")(jobs, study.run, out, finish)
    return finish_study(study, list(known.values()), out)


def _as_job(task: Task, known: dict[str, Task], todo: set[str]) -> Job:
    others = {name: known[name].describe() for name in task.inputs}
    return Job(task.name, frozenset(task.inputs) & todo, task.describe(), others)


def finish_study(study: Study, tasks: list[Task], out: Path) -> Path:
    """Write the record of a study whose tasks are done, and its page."""
    results = Results(out)
    entries = study.entries()
    shown: dict[str, Any] = {}
    for task in tasks:
        wanted = entries[task.name][1].report
        if wanted or (wanted is None and task.section not in HIDDEN):
            shown |= _list_drawable(task, results.read(task))
    record = {
        "title": study.title,
        "config": json.loads(study.model_dump_json(by_alias=True))
        | {"folder": os.path.relpath(study.folder, out)},
        "tasks": {task.name: task.key for task in tasks},
        "provenance": json.loads(provenance.collect({"seed": study.seed})),
        "version": __version__,
    }
    with storage.write_whole(out / RECORD) as file:
        file.write_text(json.dumps(record, indent=1), encoding="utf-8")
    page = out / PAGE
    if shown:
        report.write_html(shown, page, title=study.title)
    else:
        # An older page would show what is no longer a result.
        page.unlink(missing_ok=True)
    return page


def _list_drawable(task: Task, made: Any) -> dict[str, Any]:
    """Results of a task that the report knows, by the name that they bear there."""
    parts = made if isinstance(made, dict) else {"": made}
    found = {}
    for part, one in parts.items():
        try:
            schema.check(one, task.name)
        except ValueError:
            # A table of numbers or an array in between, which has no screen.
            continue
        found[f"{task.name} {part}".strip()] = one
    return found


def read_study_folder(out: Path | str) -> tuple[Study, list[Task]]:
    """Read back the study that made a folder of results, and its tasks as they were.

    Raises
    ------
    NeuroalignError
        When the folder holds no finished study.
    """
    path = Path(out) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = record["config"]
        folder = (Path(out) / config["folder"]).resolve()
        study = Study.model_validate({**config, "folder": folder})
        keys = record["tasks"]
        found = [_find_task(Path(out), name, key) for name, key in keys.items()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NeuroalignError(
            f"{path}: expected the record of a finished study, got '{error}'. Run the study first."
        ) from error
    return study, found


def _find_task(out: Path, name: str, key: str) -> Task:
    manifest = out / "steps" / f"{name}-{key}" / "manifest.json"
    return Task(**json.loads(manifest.read_text(encoding="utf-8"))["task"])


def describe_step(step: Step) -> dict[str, str]:
    """One line of a plan as text."""
    size = step.task.input_bytes
    return {
        "task": step.task.name,
        "section": step.task.section,
        "call": step.task.call,
        "state": step.state,
        "reads": ", ".join(step.task.inputs) or (f"{size / 1e6:.1f} MB" if size else ""),
        "seconds": "" if step.seconds is None else f"{step.seconds:g}",
    }


def forget(study: Study, out: Path | str | None = None) -> None:
    """Take away the results of a study, so that it is computed anew."""
    results = Results(find_out(study, out))
    for task in list_tasks(study):
        results.remove(task)
