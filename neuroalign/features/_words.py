"""Words in time: whatever holds them in, texts, labels and the stretches that share context out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import SchemaError, some
from neuroalign.schema import SCHEMA_VERSION, add_history, as_labels

Array = npt.NDArray[Any]
WordSource = pd.DataFrame | xr.DataArray | xr.Dataset | Sequence[str] | Mapping[str, Any]

TEXTS = ("stimulus", "word", "words", "text")
LABELS = ("run", "session", "subject", "segment")
TIMES = ("onset", "duration")
# What separates the stretches that know nothing of each other.
WALLS = ("subject", "session", "run", "segment")


@dataclass(frozen=True)
class Words:
    """Words in the order given.

    Parameters
    ----------
    text : list of str
    coords : dict of str to array (sample,)
    parts : list of int arrays
        Rows of each run (and segment), in order.
    """

    text: list[str]
    coords: dict[str, Array]
    parts: list[Array]


def as_words(words: WordSource) -> Words:
    """Check words and list them in the order given.

    Parameters
    ----------
    words : DataFrame, DataArray, Dataset, mapping or sequence of str
        See `extract_text`.

    Returns
    -------
    Words

    Raises
    ------
    SchemaError
        When there is no word, one is missing or no string, or times are no numbers or run
        backward within a run.
    """
    table = _as_table(words, "words")
    name = _find_text(list(table.columns), "words")
    if table.empty:
        raise SchemaError("words: expected at least one word, got none. Check the transcript.")
    text = as_labels(table[name].to_numpy(dtype=object), f"words.{name}")
    coords: dict[str, Array] = {"stimulus": text}
    for label in LABELS:
        if label in table:
            coords[label] = as_labels(table[label].to_numpy(dtype=object), f"words.{label}")
    for time in TIMES:
        if time in table:
            coords[time] = _read_times(table[time], time)
    parts = _split([coords[wall] for wall in WALLS if wall in coords], len(text))
    _check_order(text, coords.get("onset"), parts)
    return Words(text.tolist(), coords, parts)


def _as_table(words: Any, name: str) -> pd.DataFrame:
    """Make a table of words, from whatever holds them."""
    if isinstance(words, pd.DataFrame):
        return words.reset_index(drop=True)
    if isinstance(words, xr.DataArray | xr.Dataset):
        return _read_labelled(words)
    if isinstance(words, Mapping):
        if not words:
            raise SchemaError(f"{name}: expected at least one run, got none. Check the folder.")
        runs = as_labels(list(words), name).tolist()
        tables = {
            run: _as_table(part, f"{name}['{run}']")
            for run, part in zip(runs, words.values(), strict=True)
        }
        renamed = [
            table.rename(columns={_find_text(list(table.columns), f"{name}['{run}']"): "stimulus"})
            for run, table in tables.items()
        ]
        named = [table.assign(run=run) for run, table in zip(tables, renamed, strict=True)]
        return pd.concat(named, ignore_index=True)
    if isinstance(words, Sequence | np.ndarray) and not isinstance(words, str | bytes):
        return pd.DataFrame({"stimulus": np.asarray(words, dtype=object).ravel()})
    raise SchemaError(
        f"{name}: expected a table, a DataArray, a mapping of runs or a list of words, got "
        f"{type(words).__name__}. Split a text into words: text.split()."
    )


def _read_labelled(words: xr.DataArray | xr.Dataset) -> pd.DataFrame:
    known = {str(key) for key in (words.coords if isinstance(words, xr.DataArray) else words)}
    known |= {str(key) for key in words.coords}
    columns = {key: words[key].values for key in (*TEXTS, *LABELS, *TIMES) if key in known}
    if isinstance(words, xr.DataArray) and not set(TEXTS) & set(columns):
        columns["stimulus"] = words.values
    flat = {key: value for key, value in columns.items() if value.ndim == 1}
    return pd.DataFrame(flat)


def _find_text(columns: Sequence[Any], name: str) -> str:
    for text in TEXTS:
        if text in columns:
            return text
    raise SchemaError(
        f"{name}: expected one of {some(TEXTS)} that holds the words, got {some(columns)}. "
        "Rename it."
    )


def _read_times(column: "pd.Series[Any]", name: str) -> Array:
    times = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(times))
    if len(bad):
        raise SchemaError(
            f"words.{name}: expected seconds, got {column.iloc[bad[0]]!r} in row {bad[0]} "
            f"({len(bad)} of {len(times)} rows). Correct or drop them."
        )
    return times


def _split(walls: Sequence[Array], n_words: int) -> list[Array]:
    """List the rows of each stretch, stretches in the order in which they first appear."""
    if not walls:
        return [np.arange(n_words)]
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*(wall.tolist() for wall in walls), strict=True)):
        rows.setdefault(key, []).append(row)
    return [np.array(part) for part in rows.values()]


def _check_order(text: Array, onset: Array | None, parts: Sequence[Array]) -> None:
    if onset is None:
        return
    for part in parts:
        back = np.flatnonzero(np.diff(onset[part]) < 0)
        if len(back):
            before, after = part[back[0]], part[back[0] + 1]
            raise SchemaError(
                f"words: expected words in order of time within a run, got '{text[after]}' at "
                f"{onset[after]:g} s after '{text[before]}' at {onset[before]:g} s. Sort them, or "
                "name their runs."
            )


def label_words(
    values: Array, words: Words, space: str, attrs: Mapping[str, Any], history: str
) -> xr.DataArray:
    """Put labels on features of words.

    Parameters
    ----------
    values : array (sample, feature)
    words : Words
    space : str
        Feature space of all columns, for banded models.
    attrs : mapping
        ``model``, ``layer``, ``layer_order``, ``preprocessing`` and what else is worth keeping.
    history : str

    Returns
    -------
    DataArray (sample, feature)
    """
    coords: dict[str, Any] = {key: ("sample", value) for key, value in words.coords.items()}
    coords["space"] = ("feature", np.full(values.shape[1], space))
    common = {"kind": "features", "modality": "model", "schema_version": SCHEMA_VERSION}
    array = xr.DataArray(
        values, coords, ("sample", "feature"), attrs={**common, **attrs}, name="features"
    )
    return add_history(array, history)
