"""Folders of several things, of no one format: what in them can be described, and how."""

from pathlib import Path
from shlex import quote

from neuroalign.loaders.stimuli import KINDS as STIMULI
from neuroalign.study._describe_tables import describe_stimuli
from neuroalign.study._findings import title
from neuroalign.study.description import name_kind

# More is a dataset of its own, whose folders are to be asked one by one.
MOST_ROWS = 40


def _holds_something(path: Path) -> bool:
    """Tell whether anything in a folder of several things can be described."""
    inside = (one for one in path.rglob("*") if one.is_file())
    return any(name_kind(one) or _is_stimulus(one) for one in inside)


def _is_stimulus(path: Path) -> bool:
    return any(path.suffix.lower() in endings for endings in STIMULI.values())


def _list_known(path: Path) -> list[tuple[Path, str]]:
    """What lies in a folder and can be described, and its kind."""
    found = []
    for entry in sorted(path.iterdir()):
        kind = "" if entry.name.startswith(".") else name_kind(entry)
        if kind != "folder of several things" or _holds_something(entry):
            found.append((entry, kind))
    return [(entry, kind) for entry, kind in found if kind]


def describe_mixed(path: Path) -> list[str]:
    """Describe a folder of stimuli, or list what else is in it; raise when nothing is known."""
    known = _list_known(path)
    if not known or any(_is_stimulus(one) for one in path.rglob("*")):
        return describe_stimuli(path)
    lines = [
        f"{entry.name}: {kind}: neuroalign info {quote(str(entry))}"
        for entry, kind in known[:MOST_ROWS]
    ]
    more = [f"and {len(known) - MOST_ROWS} more"] if len(known) > MOST_ROWS else []
    return [title(path, f"folder of several things, {len(known)} of them known"), *lines, *more]
