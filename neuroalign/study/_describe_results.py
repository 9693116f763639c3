"""Folders that studies filled: whose they are, and whether every result is as it was written."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from neuroalign.errors import some
from neuroalign.study._findings import WRONG, title
from neuroalign.study.checking import verify_study
from neuroalign.study.config import read_study
from neuroalign.study.records import BEGUN, RECORD
from neuroalign.study.runner import PAGE, find_out, read_study_folder
from neuroalign.study.writing import FILE


def describe_results(path: Path) -> list[str]:
    """Describe a folder of results; each is held against its hashes."""
    study, tasks = read_study_folder(path)
    faults = {name: fault for name, fault in verify_study(path).items() if fault}
    counts = Counter(task.section for task in tasks)
    whole = "whole" if not faults else f"{len(faults)} of {len(tasks)} results damaged"
    lines = [
        title(path, f"results of the study '{study.title}', {whole}"),
        f"tasks: {len(tasks)} ({', '.join(f'{n} {section}' for section, n in counts.items())})",
        f"names: {some([task.name for task in tasks], limit=30)}",
        f"seed: {study.seed}",
    ]
    if (path / PAGE).is_file():
        lines.append(f"page: {PAGE}")
    if (path / BEGUN).is_file():
        lines.append(f"{WRONG}a later run did not end. Run the study again: what is done is kept.")
    return [*lines, *(f"{WRONG}{name}: {fault}" for name, fault in faults.items())]


def describe_begun(path: Path) -> list[str]:
    """Describe a folder whose study runs now, or was killed or failed."""
    begun: dict[str, Any] = json.loads((path / BEGUN).read_text(encoding="utf-8"))
    done = len([*path.glob("steps/[!.]*/manifest.json")])
    return [
        title(path, f"results of the study '{begun['title']}', not finished"),
        f"done: {done} tasks",
        f"{WRONG}no {RECORD}: the study runs now, failed or was killed. Run it again: what is done "
        "is kept.",
    ]


def describe_study(path: Path) -> list[str]:
    """Describe the file of a study; raise when it is none."""
    study = read_study(path)
    counts = Counter(section for section, _ in study.entries().values())
    return [
        title(path, f"the study '{study.title}' of {len(study.entries())} entries"),
        *(f"{section}: {n}" for section, n in counts.items()),
        f"names: {some(study.entries(), limit=30)}",
        f"a study: neuroalign run {path} --dry-run shows its plan",
    ]


def describe_home(path: Path) -> list[str]:
    """Describe a folder with a study file, and its results where there are some."""
    path = path.resolve()
    study = read_study(path / FILE)
    whole = f"the study '{study.title}' of {len(study.entries())} tasks"
    out = find_out(study)
    rows = {RECORD: describe_results, BEGUN: describe_begun}
    described = next((rows[name] for name in rows if (out / name).is_file()), None)
    if described is None:
        return [title(path, f"{whole}, not run"), f"run it: neuroalign run {FILE}"]
    return [title(path, whole), *described(out)]
