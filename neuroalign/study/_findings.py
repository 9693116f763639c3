"""Collect faults as lines instead of stopping at the first."""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from neuroalign.errors import LoadError, NeuroalignWarning, SchemaError, some
from neuroalign.loaders._tables import read_seconds, read_table

T = TypeVar("T")
WRONG = "wrong: "
# Recordings at rest have no events.
REST = "rest"


def collect(read: Callable[[], T]) -> tuple[T, list[str]]:
    """Read; what it warns of comes as lines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NeuroalignWarning)
        result = read()
    warned = [item for item in caught if issubclass(item.category, NeuroalignWarning)]
    return result, [f"{WRONG}{item.message}" for item in warned]


def attempt(read: Callable[[], T]) -> tuple[T | None, list[str]]:
    """Read; what is wrong comes as lines, and None for what could not be read."""
    try:
        return collect(read)
    except (LoadError, SchemaError, FileNotFoundError) as error:
        return None, [f"{WRONG}{error}"]


def count_names(names: Iterable[Any], limit: int = 20) -> str:
    """Each name and how often it stands, such as ``2: 'face x 4', 'house x 4'``."""
    found, counts = np.unique(np.array([str(name) for name in names]), return_counts=True)
    shown = [f"{name} x {count}" for name, count in zip(found, counts, strict=True)]
    return f"{len(shown)}: {some(shown, limit)}" if shown else "none"


def count_kinds(kinds: Iterable[str]) -> str:
    """How many of each kind, such as ``60 eeg, 2 eog``."""
    found, counts = np.unique(np.array(list(kinds)), return_counts=True)
    return ", ".join(f"{count} {kind}" for kind, count in zip(found, counts, strict=True))


def describe_array(array: Any) -> list[str]:
    """Sizes, units, rate and labels of responses in the schema."""
    sizes = ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())
    lines = [f"sizes: {sizes}", f"units: {array.attrs.get('units', 'a.u.')}"]
    if "sampling_rate" in array.attrs:
        lines.append(f"rate: {array.attrs['sampling_rate']:g} Hz")
    if "time" in array.coords and array.sizes["time"]:
        lines.append(f"time: {float(array['time'][0]):g} to {float(array['time'][-1]):g} s")
    return lines


def describe_loaded(path: Path, responses: Any) -> list[str]:
    """Describe what a loader gave that needs nothing but the path."""
    lines = [title(path, f"{responses.attrs['modality']} responses, whole")]
    lines += describe_array(responses)
    if "stimulus" in responses.coords:
        lines.append(f"events: {count_names(responses['stimulus'].values)}")
    broken = int(responses.size - np.isfinite(responses.values).sum())
    holes = [f"{WRONG}{broken} of {responses.size} values not finite"] if broken else []
    return [*lines, *holes]


def title(path: Path, what: str) -> str:
    """First line of a description."""
    return f"{path.name}: {what}"


def check_onsets(path: Path, duration: float | None) -> None:
    """Check that onsets of a BIDS events.tsv are seconds inside the run.

    Raises
    ------
    LoadError
    """
    table = read_table(path)
    if "onset" not in table or "duration" not in table:
        raise LoadError(f"{path}: expected onset and duration, got {some(table.columns)}.")
    onset = read_seconds(table, "onset", path)
    late = np.flatnonzero(onset >= (np.inf if duration is None else duration))
    if len(late):
        raise LoadError(
            f"{path}: expected events inside the run ({duration:g} s), got {len(late)} of "
            f"{len(onset)} that start later: first onset {onset[late[0]]:g}. Check units and run."
        )
