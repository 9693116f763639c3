"""What a folder of results says of the study that filled it, and whether another may.

Results are named by content, so that an edited study is safe: what both versions share is kept, the
rest is computed. What could be lost is the record and the page. The rule: a folder belongs to the
study file that filled it. That file may be edited (what changed is said, and the old record stays
beside the new one as ``study-HASH.json``); another file, or a study that shares no entry, is
refused with the differences, unless the user says that it replaces the old one.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neuroalign import storage
from neuroalign.errors import NeuroalignError, some
from neuroalign.study._seals import redact, to_text
from neuroalign.study.config import OURS, Study

RECORD = "study.json"
# Stands while a study runs, so that one that was killed is known too.
BEGUN = "begun.json"
MOST_SHOWN, LONGEST = 6, 60
# What changes no result.
SILENT = ("run", *OURS)


def describe_study(study: Study, out: Path) -> dict[str, Any]:
    """The study as plain values, its folder told from the folder of the results."""
    config: dict[str, Any] = json.loads(study.model_dump_json(by_alias=True))
    return dict(redact(config)) | {"folder": os.path.relpath(study.folder, out)}


def list_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], *, partial: bool = False
) -> list[str]:
    """Say what differs between two studies.

    Parameters
    ----------
    old, new : mapping
        As `describe_study` gives, or as the YAML holds.
    partial : bool
        One of them holds some of its entries only: what the other has more is no difference.

    Returns
    -------
    list of str
        ``"encoding.ridge.with.group: 'run' -> None"``.
    """
    before, after = ({k: v for k, v in one.items() if k not in SILENT} for one in (old, new))
    lines = []
    for place, one, other in _walk(before, after, ""):
        if not (partial and place.count(".") == 1 and (one is ... or other is ...)):
            lines.append(f"{place}: {_show(one)} -> {_show(other)}")
    return lines


def _walk(old: Any, new: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{place}.{key}" if place else str(key)
            yield from _walk(old.get(key, ...), new.get(key, ...), inner)
    # An empty section and none are the same.
    elif old != new and not (old in (..., {}) and new in (..., {})):
        yield place, old, new


def _show(value: Any) -> str:
    if value is ...:
        return "none"
    text = json.dumps(value) if isinstance(value, Mapping | list) else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _shorten(lines: list[str]) -> str:
    more = len(lines) - MOST_SHOWN
    return "; ".join(lines[:MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _read(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none that can be read."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record["config"], dict):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record


def set_aside(path: Path) -> Path | None:
    """Keep a copy of a file under a name that its content gives; None where there is no file."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    digest = hashlib.blake2b(content, digest_size=4).hexdigest()
    kept = path.with_name(f"{path.stem}-{digest}{path.suffix}")
    with storage.write_whole(kept) as file:
        file.write_bytes(content)
    return kept


def _name_entries(config: Mapping[str, Any]) -> set[str]:
    """``section.entry`` of all."""
    sections = {key: one for key, one in config.items() if isinstance(one, dict) and key != "run"}
    return {f"{section}.{name}" for section, entries in sections.items() for name in entries}


def check_folder(
    study: Study, out: Path, *, update: bool = False, partial: bool = False
) -> list[str]:
    """Say what a study would change of the one that filled a folder; see `claim_folder`.

    Raises
    ------
    NeuroalignError
        When another study filled the folder, or began to.
    """
    before = _read(out / BEGUN) or _read(out / RECORD)
    if before is None:
        return []
    old, new = before["config"], describe_study(study, out)
    changed = list_differences(old, new, partial=partial or bool(before.get("partial")))
    files = [f"{one.get('folder', '')}/{one.get('file') or '?'}" for one in (old, new)]
    places = old.get("folder") == new["folder"]
    named = not (old.get("file") and new["file"]) or old["file"] == new["file"]
    ours = places and named and bool(_name_entries(old) & _name_entries(new))
    if not changed or ours or update:
        return changed
    raise NeuroalignError(
        f"{out}: expected the study that filled this folder ('{old.get('title', '')}', "
        f"{files[0]}), got another ('{study.title}', {files[1]}). Differences: "
        f"{_shorten(changed)}. Give another folder with --out, or --update if this study is to "
        "replace that one: results that both share are kept, and so is the old record."
    )


def claim_folder(
    study: Study, out: Path, *, update: bool = False, partial: bool = False
) -> list[str]:
    """Take a folder for the results of a study, unless it belongs to another.

    Parameters
    ----------
    study : Study
    out : Path
        Exists.
    update : bool
        The study replaces whatever filled the folder.
    partial : bool
        The study holds some of its entries only.

    Returns
    -------
    list of str
        What is to be told: what was edited, and where the old record is.

    Raises
    ------
    NeuroalignError
        When another study filled the folder, or began to.
    """
    changed = check_folder(study, out, update=update, partial=partial)
    told = []
    if changed:
        kept = set_aside(out / RECORD)
        where = f"; the old record is {kept.name}" if kept else ""
        told.append(f"the study changed since it ran here ({_shorten(changed)}){where}")
    config = describe_study(study, out)
    begun = {"title": study.title, "config": config, "partial": partial}
    with storage.write_whole(out / BEGUN) as file:
        file.write_text(json.dumps(begun, indent=1), encoding="utf-8")
    return told


def make_folder(out: Path) -> None:
    """Make the folder of results.

    Raises
    ------
    NeuroalignError
        When it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        there = next((one for one in out.absolute().parents if one.exists()), Path("/"))
        raise NeuroalignError(
            f"{out}: expected a folder for results that can be made, got '{error.strerror}'. Give "
            f"another with --out, or see who may write in {there}."
        ) from error


def check_place(out: Path) -> None:
    """Check that the folder of a study is there.

    Raises
    ------
    NeuroalignError
        With the folders beside it.
    """
    if not out.is_dir():
        what = "a file" if out.exists() else "no such folder"
        place = out.absolute().parent
        beside = (
            sorted(one.parent.name for one in place.glob(f"*/{RECORD}")) if place.is_dir() else []
        )
        raise NeuroalignError(
            f"{out}: expected the folder of a study's results, got {what}. Check the path. Such "
            f"folders beside it: {some(beside) or 'none'}."
        )


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a study that is finished."""
    with storage.write_whole(out / RECORD) as file:
        file.write_text(to_text(record), encoding="utf-8")
    (out / BEGUN).unlink(missing_ok=True)
