"""What a BIDS folder holds: subjects, sessions, tasks, runs and spaces, and what is missing."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from neuroalign.errors import some
from neuroalign.loaders._bids_names import BidsRun, parse_name
from neuroalign.loaders._files import check_file
from neuroalign.loaders._tables import read_table
from neuroalign.study._findings import REST, WRONG, attempt, check_onsets, title

ELECTRIC = ("meg", "eeg", "ieeg")
RECORDINGS = (".fif", ".edf", ".bdf", ".vhdr", ".set", ".ds", ".con", ".sqd", ".nwb", ".mefd")
DESCRIPTION = "dataset_description.json"


def _list_electric(root: Path, subject: str) -> list[Path]:
    home = root / f"sub-{subject}"
    folders = [
        folder for kind in ELECTRIC for folder in (*home.glob(kind), *home.glob(f"ses-*/{kind}"))
    ]
    return [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in RECORDINGS and path.stem.endswith(ELECTRIC)
    ]


def _check_electric(path: Path) -> list[str]:
    parsed = parse_name(path.name)
    task = "" if parsed is None else parsed.entities.get("task", "")
    stem = path.stem.rpartition("_")[0]
    stem = stem.split("_split-")[0]
    faults = [] if path.is_dir() else attempt(partial(check_file, path, (path.suffix,)))[1]
    for ending in (f"{path.stem.rpartition('_')[2]}.json", "channels.tsv"):
        if not any(path.parent.glob(f"{stem}*_{ending}")):
            faults.append(f"{WRONG}{path}: expected {stem}_{ending} beside it, got none")
    events = path.parent / f"{stem}_events.tsv"
    if events.exists():
        faults += attempt(partial(check_onsets, events, None))[1]
    elif REST not in task.lower() and task != "noise":
        faults.append(f"{WRONG}{path}: expected {events.name} beside it, got none")
    return faults


def _list_line(name: str, labels: Iterable[str]) -> list[str]:
    found = sorted({label for label in labels if label})
    return [f"{name}: {len(found)}: {some(found, 12)}"] if found else []


def _check_folder(path: Path, subjects: list[str]) -> list[str]:
    faults = []
    description = path / DESCRIPTION
    if not description.exists():
        faults.append(f"{WRONG}{path}: expected {DESCRIPTION}, got none. Write it.")
    else:
        try:
            json.loads(description.read_text(encoding="utf-8"))
        except ValueError as error:
            faults.append(f"{WRONG}{description}: expected JSON, got '{error}'. Mend the file.")
    if not subjects:
        faults.append(f"{WRONG}{path}: expected folders sub-*, got none")
    participants = path / "participants.tsv"
    if participants.exists():
        table, wrong = attempt(lambda: read_table(participants))
        faults += wrong
        named = set() if table is None else set(table.get("participant_id", []))
        lost = sorted(named - {f"sub-{subject}" for subject in subjects})
        if lost:
            faults.append(f"{WRONG}{participants}: {some(lost)} have no folder")
    return faults


def _describe_runs(path: Path, subjects: list[str]) -> tuple[list[BidsRun], list[str]]:
    """Functional runs and their faults; a folder of MEG alone needs no library for images."""
    if not any(next(path.glob(f"sub-*{level}/func"), None) for level in ("", "/ses-*")):
        return [], []
    from neuroalign.study._describe_runs import check_run, list_runs  # noqa: PLC0415

    runs = list_runs(path, subjects)
    return runs, [fault for run in runs for fault in check_run(path, run)]


def describe_bids(path: Path) -> list[str]:
    """Describe a BIDS dataset, or a folder of its derivatives."""
    subjects = [folder.name[4:] for folder in sorted(path.glob("sub-*")) if folder.is_dir()]
    runs, broken = _describe_runs(path, subjects)
    electric = [file for subject in subjects for file in _list_electric(path, subject)]
    names = [parsed.entities for file in electric if (parsed := parse_name(file.name))]
    sessions = [*(run.session for run in runs), *(name.get("ses", "") for name in names)]
    tasks = [*(run.task for run in runs), *(name.get("task", "") for name in names)]
    lines = [title(path, "BIDS folder")]
    lines += _list_line("subjects", subjects)
    lines += _list_line("sessions", sessions)
    lines += _list_line("tasks", tasks)
    lines += [f"runs: {len(runs)} functional, {len(electric)} of MEG or EEG"]
    lines += _list_line("spaces", (run.space for run in runs))
    lines += _list_line("endings", [*(run.ending for run in runs), *(f.suffix for f in electric)])
    derived = [folder for folder in sorted(path.glob("derivatives/*")) if folder.is_dir()]
    lines += _list_line("derivatives", [folder.name for folder in derived])
    faults = _check_folder(path, subjects)
    faults += broken
    faults += [fault for file in electric for fault in _check_electric(file)]
    if subjects and not runs and not electric:
        faults.append(f"{WRONG}{path}: expected files in func, meg, eeg or ieeg, got none")
    return [*lines, *faults]
