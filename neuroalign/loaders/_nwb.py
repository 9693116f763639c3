"""Open NWB files and read their tables through h5py, inside the file and nowhere else.

A link that leads to another file is refused at the door: a file must not make us open others.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import DataCorruptionError, LoadError, some
from neuroalign.loaders._files import check_file

Array = npt.NDArray[Any]


@contextmanager
def open_nwb(path: Path | str) -> Iterator[h5py.File]:
    """Open an NWB file for reading; damage met on the way names the file.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = check_file(path, (".nwb", ".h5", ".hdf5"))
    try:
        with h5py.File(path, "r") as file:
            if "nwb_version" not in file.attrs:
                raise LoadError(
                    f"{path}: expected NWB 2 or later, got HDF5 without an NWB version. Read it "
                    "with h5py and loaders.from_spikes, or write it with pynwb."
                )
            yield file
    except (OSError, RuntimeError) as error:
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise DataCorruptionError(
            f"{path}: {kind}: expected a whole NWB (HDF5) file, got '{error}'. Download it again."
        ) from error


def find_child(group: h5py.Group, name: str) -> Any:
    """Return a group or dataset below a group, or None; refuse what lies in another file.

    Raises
    ------
    LoadError
    """
    here: Any = group
    for part in name.strip("/").split("/"):
        if not isinstance(here, h5py.Group):
            return None
        link = here.get(part, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise LoadError(
                f"{group.file.filename}: expected all data in this file, got a link to "
                f"'{link.filename}' at '{here.name}/{part}'. Copy the file whole, without links."
            )
        if isinstance(link, h5py.SoftLink):
            base = here.file if link.path.startswith("/") else here
            here = find_child(base, link.path)
        else:
            here = here[part]
    if isinstance(here, h5py.Dataset) and (here.external or here.is_virtual):
        raise LoadError(
            f"{group.file.filename}: expected all data in this file, got '{here.name}' stored in "
            "another. Copy the file whole, without links."
        )
    return here


def as_text(value: Any) -> str:
    """Decode bytes; leave the rest as its text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_text(file: h5py.File, name: str) -> str:
    """Read a text, or '' where there is none."""
    found = find_child(file, name)
    return "" if not isinstance(found, h5py.Dataset) or found.shape else as_text(found[()])


def split_ragged(file: h5py.File, table: h5py.Group, column: str) -> list[Array] | None:
    """Read a ragged column once and split it by its index: one array a row, None if absent.

    Raises
    ------
    DataCorruptionError
        When the index does not fit the values.
    """
    values, index = find_child(table, column), find_child(table, f"{column}_index")
    if values is None:
        return None
    flat = values[:]
    if index is None:
        return [flat[row : row + 1] for row in range(len(flat))]
    ends = index[:].astype(np.int64)
    last = int(ends[-1]) if len(ends) else 0
    if (np.diff(ends, prepend=0) < 0).any() or last != len(flat):
        raise DataCorruptionError(
            f"{file.filename}: expected {table.name}/{column}_index to rise to {len(flat)}, got "
            f"{last} at its end. Write the table again with pynwb."
        )
    return np.split(flat, ends[:-1]) if len(ends) else []


def read_table(table: h5py.Group) -> pd.DataFrame:
    """Read the plain columns (one number or text a row) of a table, indexed by its ids."""
    ids = find_child(table, "id")
    n_rows = len(ids) if ids is not None else 0
    columns: dict[str, Any] = {}
    for name in table:
        column: Any = None if f"{name}_index" in table else find_child(table, name)
        plain = isinstance(column, h5py.Dataset) and column.shape == (n_rows,)
        kind = str(column.attrs.get("neurodata_type", "")) if plain else ""
        if not plain or name == "id" or kind in ("VectorIndex", "DynamicTableRegion"):
            continue
        if h5py.check_ref_dtype(column.dtype) is not None:
            continue
        values = column[:]
        if values.dtype.kind in "OS":
            values = np.array([as_text(value) for value in values.tolist()], dtype=object)
        columns[name] = values
    return pd.DataFrame(columns, index=pd.Index(ids[:] if n_rows else [], name="id"))


def select_rows(table: pd.DataFrame, query: str, argument: str) -> Array:
    """Rows (bool) for which a pandas expression over the columns holds.

    Raises
    ------
    LoadError
        When the expression is not one over the columns.
    """
    listed = some(table.columns, 12) or "none"
    # A query needs columns and constants only: no Python names, no methods.
    if "@" in query or "__" in query:
        raise LoadError(f"{argument}: expected an expression over columns, got '{query}'.")
    try:
        chosen = table.eval(query, engine="python", local_dict={}, global_dict={})
        keep = np.asarray(chosen)
    except (pd.errors.UndefinedVariableError, SyntaxError, TypeError, ValueError, KeyError) as no:
        raise LoadError(
            f"{argument}: expected an expression over the columns {listed}, got '{query}' "
            f"({no}). Correct it."
        ) from no
    except (AttributeError, NotImplementedError) as no:
        raise LoadError(
            f"{argument}: expected comparisons of columns and constants, got '{query}' ({no})."
        ) from no
    if keep.dtype != bool or keep.shape != (len(table),):
        raise LoadError(f"{argument}: expected true or false a row, got '{query}'. Compare.")
    if not keep.any():
        raise LoadError(
            f"{argument}: expected one row or more of {len(table)} with '{query}', got none."
        )
    return keep


def find_intervals(file: h5py.File) -> list[str]:
    """Names of the interval tables, trials first."""
    group = find_child(file, "intervals")
    names = sorted(group) if isinstance(group, h5py.Group) else []
    return sorted(names, key=lambda name: name != "trials")


def _walk_series(group: h5py.Group, where: str) -> Iterator[str]:
    """Paths of the RoiResponseSeries below a group."""
    for name in group:
        child, path = find_child(group, name), f"{where}/{name}"
        if isinstance(child, h5py.Group):
            if as_text(child.attrs.get("neurodata_type", "")) == "RoiResponseSeries":
                yield path
            else:
                yield from _walk_series(child, path)


def find_traces(file: h5py.File) -> list[str]:
    """Paths of all series of roi traces in a file."""
    found: list[str] = []
    for room in ("processing", "acquisition"):
        group = find_child(file, room)
        if isinstance(group, h5py.Group):
            found += _walk_series(group, room)
    return found


def as_names(values: Sequence[Any], where: str) -> Array:
    """Turn a column into labels; 1.0 is '1'.

    Raises
    ------
    LoadError
        On a missing value, naming the row.
    """
    items = np.asarray(values, dtype=object).tolist()
    labels = []
    for row, item in enumerate(items):
        if item is None or item == "" or item != item:
            raise LoadError(
                f"{where}: expected a name in every row, got a missing value in row {row}. "
                "Leave such rows out with interval_filter=."
            )
        whole = isinstance(item, float) and item.is_integer()
        labels.append(str(int(item)) if whole else str(item))
    return np.array(labels, dtype=np.str_)


def read_intervals(
    file: h5py.File,
    intervals: str | None,
    *,
    align: str,
    stop: str,
    stimulus: str | None,
    interval_filter: str | None,
    need_duration: bool,
) -> tuple[str, pd.DataFrame]:
    """Read one interval table as events: its name; onset, duration [s] and stimulus.

    Raises
    ------
    LoadError
    """
    path, names = file.filename, find_intervals(file)
    name = intervals or "trials"
    if name not in names:
        asked = "trial table" if intervals is None else "interval table"
        raise LoadError(
            f"{path}: {asked} '{name}' absent, choose one of: {', '.join(names) or 'none'}. "
            "Pass intervals=."
        )
    table = read_table(find_child(file, f"intervals/{name}"))
    for column in (align, stop, *([stimulus] if stimulus else [])):
        if column not in table:
            raise LoadError(
                f"{path}: expected column '{column}' in '{name}', got "
                f"{some(table.columns, 20)}. Pass align=, stop= or stimulus=."
            )
    if interval_filter:
        table = table[select_rows(table, interval_filter, "interval_filter")]
    onset = pd.to_numeric(table[align], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(onset))
    if len(bad):
        raise LoadError(
            f"{path}: expected {align} in seconds in '{name}', got '{table[align].iloc[bad[0]]}' "
            f"in row {bad[0]} ({len(bad)} of {len(table)} rows). Leave them out with "
            f"interval_filter='{align} == {align}'."
        )
    events = pd.DataFrame({"onset": onset})
    duration = pd.to_numeric(table[stop], errors="coerce").to_numpy(dtype=float) - onset
    if need_duration or (np.isfinite(duration) & (duration >= 0)).all():
        events["duration"] = duration
    if stimulus:
        events["stimulus"] = as_names(table[stimulus].tolist(), f"{path}: {name}.{stimulus}")
    return name, events
