"""What tables, transcripts and folders of stimuli hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroalign.errors import LoadError, some
from neuroalign.loaders._npy import open_npy
from neuroalign.loaders._tables import read_table
from neuroalign.loaders.events import load_events
from neuroalign.loaders.stimuli import KINDS, list_stimuli
from neuroalign.loaders.transcript import WORDS, load_transcript
from neuroalign.study._findings import WRONG, attempt, count_names, title

MISSING = ("", "n/a", "nan", "NaN")
# Who gives labels to an array that has none.
LABELLERS = (
    "label responses by loaders.from_arrays(values, stimulus=..., modality=...), features by "
    "loaders.features_from_arrays, an RDM by rsa.from_matrix"
)
# What tells the kinds of tables apart.
COLUMNS = (
    "events have the columns onset, duration [s] and trial_type, apart by tabs",
    f"words have the columns onset, duration [s] and {' or '.join(WORDS)}",
    "confounds have numbers only, and 'confounds' in the name of the file or a column "
    "framewise_displacement",
)


def _describe_span(events: Any) -> list[str]:
    if not len(events):
        return []
    stop = (events["onset"] + events["duration"]).max()
    return [f"span: {events['onset'].min():g} to {stop:g} s"]


def _describe_events(path: Path, events: Any, what: str) -> list[str]:
    return [
        title(path, f"{len(events)} {what}"),
        *_describe_span(events),
        f"stimuli ({events['stimulus'].nunique()}): "
        + count_names(events["stimulus"]).partition(": ")[2],
    ]


def describe_confounds(path: Path, table: pd.DataFrame) -> list[str]:
    """Describe confounds: NaN belongs in the first row only."""
    text = table.to_numpy(dtype=str)
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    foreign = np.isnan(numbers) & ~np.isin(text, MISSING)
    holes = np.isnan(numbers) & ~foreign
    lines = [
        title(path, f"{table.shape[1]} confounds of {table.shape[0]} volumes"),
        f"columns: {some(table.columns, 12)}",
    ]
    if len(table) and holes[0].any():
        lines.append(
            f"first row: {int(holes[0].sum())} columns without a value, as derivatives are"
        )
    late = table.columns[holes[1:].any(axis=0)].tolist() if len(table) else []
    text_columns = table.columns[foreign.any(axis=0)].tolist()
    if late:
        lines.append(f"{WRONG}no value after the first row in {len(late)}: {some(late)}")
    if text_columns:
        lines.append(f"{WRONG}expected numbers, got text in {some(text_columns)}")
    return lines if len(table) else [*lines, f"{WRONG}no rows"]


def describe_table(path: Path) -> list[str]:
    """Describe events, words, confounds or another table, told apart by their columns."""
    table = read_table(path)
    if "confounds" in path.name or ("onset" not in table and "framewise_displacement" in table):
        return describe_confounds(path, table)
    words = [name for name in WORDS if name in table]
    if words and "trial_type" not in table:
        return describe_words(path)
    # One column with commas in it is a table apart by commas, which the loader names.
    if "onset" not in table and "events" not in path.name and len(table.columns) > 1:
        return [
            title(path, f"table of {len(table)} rows, of no kind that is known"),
            f"columns: {some(table.columns, 12)}",
            *COLUMNS,
        ]
    return _describe_events(path, load_events(path), "events")


def describe_words(path: Path) -> list[str]:
    """Describe a transcript; raise when it is cut, or times run backward."""
    words = load_transcript(path)
    return [
        title(path, f"{len(words)} words, {words['stimulus'].nunique()} different"),
        *_describe_span(words),
        f"first: {some(words['stimulus'], 8)}",
    ]


def describe_array(path: Path) -> list[str]:
    """Describe a bare array, and say who gives it labels."""
    values = open_npy(path)
    lines = [
        title(path, f"array {values.shape}, {values.dtype}, without labels"),
        LABELLERS,
    ]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        lines.append(f"values: {int((~np.isfinite(values)).sum())} of {values.size} not finite")
    return lines


def describe_stimuli(path: Path) -> list[str]:
    """Describe a folder of images, videos or sounds; raise when it holds none."""
    endings = {entry.suffix.lower() for entry in path.rglob("*")}
    lines, faults = [], []
    for kind, known in KINDS.items():
        if endings.isdisjoint(known):
            continue
        stimuli, wrong = attempt(lambda kind=kind: list_stimuli(path, kind=kind))  # type: ignore[misc]
        faults += wrong
        if stimuli is not None:
            size = sum(file.stat().st_size for file in stimuli.values())
            lines.append(f"{kind}: {len(stimuli)} files, {size / 1e6:.3g} MB: {some(stimuli)}")
    if not lines and not faults:
        held = sorted(entry.name for entry in path.iterdir())
        raise LoadError(
            f"{path}: expected a folder of BIDS, ALF, phy, suite2p, features, images, videos, "
            f"sounds or files that 'neuroalign info' knows, got {some(held)}. Name the folder that "
            "holds them."
        )
    return [title(path, "folder of stimuli"), *lines, *faults]
