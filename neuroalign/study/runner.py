"""Run a study: plan it, do what is not done, and end in one page.

In: a study. Out: a folder with a checked result for each task, ``study.json`` and ``report.html``.
A run that was killed is run again: what is whole is kept, what is corrupt is computed anew and
said. What a folder may be used for: see `neuroalign.study.records`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroalign import __version__, provenance, report, schema
from neuroalign.errors import NeuroalignError, choose
from neuroalign.study._progress import Progress
from neuroalign.study._scratch import clear_scratch
from neuroalign.study._seals import bring_home, redact
from neuroalign.study.calls import SECTIONS
from neuroalign.study.config import OURS, Study
from neuroalign.study.executors import EXECUTORS, Job
from neuroalign.study.memory import (
    check_memory,
    describe_inputs,
    estimate_memory,
    find_peak,
    measure_inputs,
    say_bytes,
    streams,
)
from neuroalign.study.records import (
    RECORD,
    check_place,
    claim_folder,
    describe_study,
    make_folder,
    write_record,
)
from neuroalign.study.results import Results
from neuroalign.study.safe_yaml import write_yaml
from neuroalign.study.tasks import Task, list_tasks
from neuroalign.study.worker import WORK

PAGE = "report.html"
# Sections whose results are means to an end, drawn only when asked for.
HIDDEN = ("data", "features")
# Kinds that sum up other results open the page; those that others were made of close their section.
SUMMARIES, MATTER = ("layers",), ("dissimilarity", "cross")


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
        That it took, when it is done; else that a task of its name took before, if one did.
    sizes : dict of str to int or None
        Bytes of each input, see `neuroalign.study.memory.measure_inputs`; of what is to be done.
    """

    task: Task
    state: str
    fault: str
    seconds: float | None
    sizes: dict[str, int | None]

    @property
    def memory(self) -> int | None:
        """Estimated bytes at its peak; None where it cannot be known yet."""
        return None if self.state == "done" else estimate_memory(self.task, self.sizes)


def find_out(study: Study, out: Path | str | None = None) -> Path:
    """Folder of the results: as asked for, else as the study says, beside its file."""
    return Path(out) if out is not None else study.folder / study.out


def plan_study(
    study: Study, out: Path | str | None = None, *, section: str | None = None
) -> list[Step]:
    """Say what a run would do.

    Parameters
    ----------
    study : Study
    out : path, optional
        Instead of the folder that the study names.
    section : str, optional
        Only the tasks of this section and what they need.

    Returns
    -------
    list of Step
        In the order of the run.

    Raises
    ------
    FileNotFoundError
        When a file that the study names is not there.
    SchemaError
        When there is nothing in the section.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from neuroalign.study import read_study
    >>> text = "data: {sim: {call: loaders.simulate_linear, with: {n_samples: 20}}}"
    >>> with TemporaryDirectory() as folder:
    ...     written = Path(folder, "study.yaml").write_text(text)
    ...     [step.state for step in plan_study(read_study(Path(folder, "study.yaml")))]
    ['to do']
    """
    results = Results(find_out(study, out))
    tasks = list_tasks(study if section is None else study.restrict(section))
    known = {task.name: task for task in tasks}
    return [_look(results, task, known) for task in tasks]


def _look(results: Results, task: Task, known: dict[str, Task]) -> Step:
    fault = results.find_fault(task)
    if fault is None:
        return Step(task, "done", "", results.read_record(task).get("seconds"), {})
    sizes = measure_inputs(task, known, results)
    state = "to do" if fault == "absent" else "corrupt"
    return Step(task, state, "" if state == "to do" else fault, _remember(results, task), sizes)


def _remember(results: Results, task: Task) -> float | None:
    """Seconds that the newest result of this name took, whatever its key."""
    ways = "[0-9a-f]" * len(task.key)
    found = [*results.steps.glob(f"{task.name}-{ways}/manifest.json")]
    for path in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True):
        try:
            return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def run_study(
    study: Study,
    out: Path | str | None = None,
    *,
    say: Callable[[str], None] | None = None,
    update: bool = False,
    section: str | None = None,
    starts: bool = False,
) -> Path:
    """Run what is not done, and write the report.

    Parameters
    ----------
    study : Study
    out : path, optional
        Instead of the folder that the study names.
    say : callable, optional
        Takes a line for each thing that happens.
    update : bool
        The study replaces whatever filled the folder, see `neuroalign.study.records`.
    section : str, optional
        Only the tasks of this section and what they need. The record and the page also hold what
        was done of the rest before.
    starts : bool
        Say also when a task begins, here or in processes of this machine.

    Returns
    -------
    Path
        The report; there is no such file where no result is of a kind that is drawn.

    Raises
    ------
    NeuroalignError
        When a task fails (the others' results stay), when its inputs alone are more than the
        budget, or when the folder belongs to another study.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from neuroalign.study import read_study
    >>> text = "data: {sim: {call: loaders.simulate_linear, with: {n_samples: 20}}}"
    >>> with TemporaryDirectory() as folder:
    ...     written = Path(folder, "study.yaml").write_text(text)
    ...     page = run_study(read_study(Path(folder, "study.yaml")), say=print)
    ...     sorted(path.name for path in page.parent.iterdir())  # doctest: +ELLIPSIS
    1 of 1 tasks to do (serial)
    sim: done in ... s (1 of 1)
    ['steps', 'study.json']
    """
    tell = say or (lambda line: None)
    out = find_out(study, out)
    make_folder(out)
    results = Results(out)
    for remnant in results.clear_remnants():
        tell(f"remnant of a killed run taken away: {remnant}")
    whole = study.entries()
    if section is not None:
        study = _widen(study, out, section)
    partial = len(study.entries()) < len(whole)
    steps = plan_study(study, out)
    for step in steps:
        if step.state != "done":
            check_memory(step.task, step.sizes)
    for line in claim_folder(study, out, update=update, partial=partial):
        tell(line)
    for step in steps:
        if step.state == "corrupt":
            tell(f"{step.task.name}: corrupt, computed anew ({step.fault})")
    known = {step.task.name: step.task for step in steps}
    todo = {step.task.name for step in steps if step.state != "done"}
    tell(f"{len(todo)} of {len(steps)} tasks to do ({study.run.executor})")
    for line in _warn_peak(study, steps):
        tell(line)
    jobs = [_as_job(task, known, todo) for task in known.values() if task.name in todo]
    progress = Progress(tell, results, {job.name: known[job.name] for job in jobs}, starts=starts)
    execute = choose(EXECUTORS, study.run.executor, "run.executor")
    execute(jobs, study.run, out, progress.finish, progress.begin)
    # What is not done goes on from there; of what is, only options that were changed left anything.
    waiting = set(whole) - set(known)
    clear_scratch(out / WORK, lambda name: name.rpartition("-")[0] not in waiting)
    return finish_study(study, list(known.values()), out, partial=partial)


def _widen(study: Study, out: Path, section: str) -> Study:
    """A section and what it needs, and what is done of the rest of the study."""
    kept = set(study.restrict(section).entries())
    for step in plan_study(study, out):
        if step.state == "done" and set(step.task.inputs) <= kept:
            kept.add(step.task.name)
    return study.keep(kept)


def _warn_peak(study: Study, steps: list[Step]) -> list[str]:
    estimates = [step.memory for step in steps if step.memory is not None]
    peak, budget = find_peak(estimates, study.run.at_once), study.run.budget
    if peak <= budget:
        return []
    hint = "take fewer workers, or " if study.run.at_once > 1 else ""
    return [
        f"memory: tasks may hold about {say_bytes(peak)} at once, more than run.memory_budget of "
        f"{say_bytes(budget)}: {hint}see --dry-run for which"
    ]


def _as_job(task: Task, known: dict[str, Task], todo: set[str]) -> Job:
    others = {name: known[name].describe() for name in task.inputs}
    return Job(task.name, frozenset(task.inputs) & todo, task.describe(), others)


def list_shown(study: Study, tasks: list[Task], out: Path) -> dict[str, Any]:
    """Results that the page draws, in its order, by the name that they bear there.

    Warnings of the calls stand in their attrs, one a line.
    """
    results, entries = Results(out), study.entries()
    sections, shown = list(SECTIONS), []
    for task in tasks:
        wanted = entries[task.name][1].report
        if wanted or (wanted is None and task.section not in HIDDEN):
            drawable = _list_drawable(task, results.read(task))
            # Drawn several times, and read once.
            drawable = {name: one.compute() for name, one in drawable.items()}
            for name, one in list(drawable.items())[:1]:
                drawable[name] = _add_warnings(one, results.read_record(task).get("warnings", []))
            place = sections.index(task.section)
            for name, one in drawable.items():
                kind = one.attrs["kind"]
                shown.append(((kind not in SUMMARIES, place, kind in MATTER), name, one))
    return {name: one for _, name, one in sorted(shown, key=lambda row: row[0])}


def _add_warnings(made: Any, warnings: list[str]) -> Any:
    lines = [*str(made.attrs.get("warnings", "")).splitlines(), *warnings]
    text = "\n".join(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
    return made.assign_attrs(warnings=text) if text else made


def finish_study(study: Study, tasks: list[Task], out: Path, *, partial: bool = False) -> Path:
    """Write the record of a study whose tasks are done, and its page."""
    shown = list_shown(study, tasks, out)
    record = {
        "title": study.title,
        "config": describe_study(study, out),
        "partial": partial,
        "tasks": {task.name: task.key for task in tasks},
        "provenance": json.loads(provenance.collect({"seed": study.seed})),
        "version": __version__,
    }
    write_record(out, record)
    return _write_page(study, shown, out)


def write_page(out: Path | str) -> Path:
    """Write the page of a finished study again, from its results; see `run_study`."""
    study, tasks = read_study_folder(out)
    return _write_page(study, list_shown(study, tasks, Path(out)), Path(out))


def _write_page(study: Study, shown: dict[str, Any], out: Path) -> Path:
    page = out / PAGE
    if shown:
        report.write_html(shown, page, title=study.title, study=_describe(study))
    else:
        # An older page would show what is no longer a result.
        page.unlink(missing_ok=True)
    return page


def _describe(study: Study) -> str:
    """The study as YAML that can be run, without what is nobody's business elsewhere."""
    text = study.model_dump_json(by_alias=True, exclude_defaults=True, exclude=set(OURS))
    return write_yaml(redact(json.loads(text)))


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
    check_place(Path(out))
    path = Path(out) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = bring_home(record["config"])
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
    memory = step.memory
    about = "" if step.state == "done" else "about "
    return {
        "task": step.task.name,
        "section": step.task.section,
        "call": step.task.call,
        "state": step.state,
        "reads": ", ".join(step.task.inputs) or ("files" if step.task.input_bytes else ""),
        "bytes": describe_inputs(step.sizes),
        "memory": _say_memory(step) if memory is None else say_bytes(memory),
        "seconds": "" if step.seconds is None else f"{about}{step.seconds:.3g}",
    }


def _say_memory(step: Step) -> str:
    """Why a task to be done has no estimate of its memory."""
    if step.state == "done":
        return ""
    return "part by part" if streams(step.task) else "not known yet"


def forget(study: Study, out: Path | str | None = None, *, section: str | None = None) -> None:
    """Take away the results of a study, so that it is computed anew."""
    results = Results(find_out(study, out))
    for task in list_tasks(study if section is None else study.restrict(section)):
        results.remove(task)
