"""Names of files after BIDS: parse them, and find what applies to a file by inheritance."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuroalign.errors import LoadError, some

PAIR = re.compile(r"([A-Za-z]+)-([A-Za-z0-9+.]+)")
# What processing adds to the name of a recording; files beside raw data never bear these.
DERIVED = ("space", "res", "den", "desc", "cohort", "hemi")


@dataclass(frozen=True)
class Name:
    """One file name taken apart: ``{'sub': '01', ...}``, ``bold`` and ``.nii.gz``."""

    entities: dict[str, str]
    suffix: str
    ending: str


@dataclass(frozen=True)
class BidsRun:
    """One recording in one version: its files (two for a pair of hemispheres) and its labels."""

    paths: tuple[Path, ...]
    name: str
    subject: str
    task: str
    session: str
    run: str
    space: str
    ending: str
    entities: dict[str, str] = field(repr=False)


def parse_name(name: str) -> Name | None:
    """Take a file name apart; None when it does not follow BIDS."""
    stem, dot, ending = name.partition(".")
    entities: dict[str, str] = {}
    suffix = ""
    for part in stem.split("_"):
        pair = PAIR.fullmatch(part)
        if suffix or (pair is None and not part.isalnum()):
            return None
        if pair is None:
            suffix = part
        else:
            entities[pair[1]] = pair[2]
    return Name(entities, suffix, dot + ending) if entities or suffix else None


def same_label(label: str, wanted: str) -> bool:
    """Compare labels; indices compare as numbers, so that run 1 is run 01."""
    return label == wanted or (label.isdigit() and wanted.isdigit() and int(label) == int(wanted))


def strip_derived(entities: Mapping[str, str]) -> dict[str, str]:
    """Entities of the recording itself."""
    return {key: label for key, label in entities.items() if key not in DERIVED}


def find_inherited(
    root: Path, entities: Mapping[str, str], suffix: str, ending: str
) -> list[tuple[int, int, Path]]:
    """Files that apply to a recording, from the most general to the closest.

    A file applies when it lies in the dataset's folder, the subject's, the session's or their
    ``func``, and each of its entities is one of the recording's. ``(depth, entities, path)``.
    """
    folders = [root, root / f"sub-{entities['sub']}"]
    if "ses" in entities:
        folders.append(folders[-1] / f"ses-{entities['ses']}")
    folders.append(folders[-1] / "func")
    found = []
    for depth, folder in enumerate(folders):
        for path in sorted(folder.glob(f"*{suffix}{ending}")):
            name = parse_name(path.name)
            if name is None or (name.suffix, name.ending) != (suffix, ending):
                continue
            if all(entities.get(key) == label for key, label in name.entities.items()):
                found.append((depth, len(name.entities), path))
    return sorted(found)


def read_sidecar(
    root: Path, entities: Mapping[str, str], suffix: str = "bold"
) -> dict[str, tuple[Any, Path]]:
    """Read the JSON that applies to a recording; closer files win. Key -> (value, its file).

    Raises
    ------
    LoadError
        When a file is not a JSON object.
    """
    merged: dict[str, tuple[Any, Path]] = {}
    for _, _, path in find_inherited(root, entities, suffix, ".json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LoadError(f"{path}: expected JSON, got '{error}'. Mend the file.") from error
        if not isinstance(content, dict):
            raise LoadError(
                f"{path}: expected a JSON object, got {type(content).__name__}. Mend the file."
            )
        merged |= {key: (value, path) for key, value in content.items()}
    return merged


def find_closest(root: Path, entities: Mapping[str, str], suffix: str) -> Path | None:
    """Find the one table (``.tsv``) that applies most closely to a recording.

    Raises
    ------
    LoadError
        When two apply equally.
    """
    found = find_inherited(root, entities, suffix, ".tsv")
    if not found:
        return None
    best = [path for *rank, path in found if rank == list(found[-1][:2])]
    if len(best) > 1:
        raise LoadError(
            f"{best[0].parent}: expected one {suffix}.tsv for a recording, got "
            f"{some([path.name for path in best])}. Keep one."
        )
    return best[0]
