"""Open NWB files with pynwb and read their tables, inside the file and nowhere else.

A link that leads to another file is refused before pynwb sees the file, which would follow it:
a file must not make us open others.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import DataCorruptionError, LoadError, require, some
from neuroalign.loaders._files import check_file
from neuroalign.loaders._tables import read_seconds

pynwb: Any = require("pynwb", "spikes")
tables: Any = require("hdmf.common", "spikes")
build: Any = require("hdmf.build", "spikes")
Array = npt.NDArray[Any]
# What pynwb and hdmf raise on a file that does not follow the schema.
UNREADABLE = (
    build.BuildError,
    build.ConstructError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


def _check_links(group: h5py.Group, seen: set[int]) -> None:
    """Refuse what lies in another file, wherever it stands below a group."""
    where, path = group.name.rstrip("/"), group.file.filename
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise LoadError(
                f"{path}: expected all data in this file, got a link to '{link.filename}' at "
                f"'{where}/{name}'. Copy the file whole, without links."
            )
        # What a soft link leads to stands elsewhere in this file, and is met there.
        if isinstance(link, h5py.SoftLink):
            continue
        child = group[name]
        if isinstance(child, h5py.Dataset) and (child.external or child.is_virtual):
            raise LoadError(
                f"{path}: expected all data in this file, got '{where}/{name}' stored in "
                "another. Copy the file whole, without links."
            )
        if isinstance(child, h5py.Group):
            # Hard links may run in circles.
            address = h5py.h5o.get_info(child.id).addr
            if address not in seen:
                seen.add(address)
                _check_links(child, seen)


def _check_hdf5(path: Path) -> None:
    with h5py.File(path, "r") as file:
        try:
            if "nwb_version" not in file.attrs:
                raise LoadError(
                    f"{path}: expected NWB 2 or later, got HDF5 without an NWB version. Read it "
                    "with h5py and loaders.from_spikes, or write it with pynwb."
                )
            _check_links(file, set())
        # h5py says KeyError for an object whose header is damaged.
        except KeyError as error:
            raise DataCorruptionError(
                f"{path}: damaged: expected whole objects in HDF5, got '{error}'. "
                "Download it again."
            ) from error


def _find_cause(error: BaseException) -> str:
    """Say what pynwb says last, which is what was wrong first, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error.args[-1]) if error.args else ""
    return " ".join((text or type(error).__name__).split())


@contextmanager
def open_nwb(path: Path | str) -> Iterator[Any]:
    """Open an NWB file for reading; damage met on the way names the file.

    Parameters
    ----------
    path : path

    Yields
    ------
    pynwb.NWBFile
        Its data are read when asked for, while the file is open.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = check_file(path, (".nwb", ".h5", ".hdf5"))
    with ExitStack() as stack:
        try:
            _check_hdf5(path)
            try:
                with warnings.catch_warnings():
                    # Remarks on schema versions and on series that are not read here: nothing
                    # that a reader of the file can act on.
                    warnings.filterwarnings("ignore", module=r"(pynwb|hdmf)\b")
                    file = stack.enter_context(
                        pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True)
                    ).read()
            except UNREADABLE as error:
                raise LoadError(
                    f"{path}: expected NWB that pynwb {pynwb.__version__} reads, got: "
                    f"{_find_cause(error)}. Write the file again with pynwb."
                ) from error
            yield file
        except (OSError, RuntimeError) as error:
            kind = "truncated" if "truncated" in str(error) else "damaged"
            raise DataCorruptionError(
                f"{path}: {kind}: expected a whole NWB (HDF5) file, got '{error}'. "
                "Download it again."
            ) from error


def as_text(value: Any) -> str:
    """Decode bytes; leave the rest as its text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def name_session(file: Any) -> tuple[str, str]:
    """Read the ids of session and subject, '' where there is none."""
    subject = file.subject.subject_id if file.subject is not None else None
    return file.session_id or "", subject or ""


def split_ragged(table: Any, column: str) -> list[Array] | None:
    """Read a ragged column once and split it by its index: one array a row, None if absent.

    Raises
    ------
    DataCorruptionError
        When the index does not fit the values.
    """
    if column not in table.colnames:
        return None
    found = table[column]
    if not isinstance(found, tables.VectorIndex):
        flat = np.asarray(found.data[:])
        return [flat[row : row + 1] for row in range(len(flat))]
    flat, ends = np.asarray(found.target.data[:]), np.asarray(found.data[:]).astype(np.int64)
    last = int(ends[-1]) if len(ends) else 0
    if (np.diff(ends, prepend=0) < 0).any() or last != len(flat):
        raise DataCorruptionError(
            f"{table.container_source}: expected {table.name}/{column}_index to rise to "
            f"{len(flat)}, got {last} at its end. Write the table again with pynwb."
        )
    return np.split(flat, ends[:-1]) if len(ends) else []


def read_columns(table: Any) -> pd.DataFrame:
    """Read the plain columns (one number or text a row) of a table, indexed by its ids."""
    ids = np.asarray(table.id.data[:])
    columns: dict[str, Any] = {}
    for name in table.colnames:
        column = table[name]
        if isinstance(column, tables.VectorIndex | tables.DynamicTableRegion):
            continue
        dtype = getattr(column.data, "dtype", None)
        # Columns of references (electrode groups, images) are no labels.
        if np.shape(column.data) != ids.shape or isinstance(dtype, list):
            continue
        if h5py.check_ref_dtype(dtype) is not None:
            continue
        values = np.asarray(column.data[:])
        if values.dtype.kind in "OS":
            values = np.array([as_text(value) for value in values.tolist()], dtype=object)
        columns[name] = values
    return pd.DataFrame(columns, index=pd.Index(ids, name="id"))


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
        raise LoadError(
            f"{argument}: expected an expression over columns, got '{query}'. "
            "Leave '@' and '__' out."
        )
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
            f"{argument}: expected comparisons of columns and constants, got '{query}' ({no}). "
            "Compare, and join by 'and' and 'or'."
        ) from no
    if keep.dtype != bool or keep.shape != (len(table),):
        raise LoadError(f"{argument}: expected true or false a row, got '{query}'. Compare.")
    if not keep.any():
        raise LoadError(
            f"{argument}: expected one row or more of {len(table)} with '{query}', got none. "
            "Widen the expression."
        )
    return keep


def find_intervals(file: Any) -> dict[str, Any]:
    """Find the interval tables by name, trials first."""
    known = [file.trials, file.epochs, file.invalid_times, *(file.intervals or {}).values()]
    found = {table.name: table for table in known if table is not None}
    return {name: found[name] for name in sorted(found, key=lambda name: (name != "trials", name))}


def _walk_series(container: Any, where: str) -> Iterator[tuple[str, Any]]:
    path = f"{where}/{container.name}"
    if isinstance(container, pynwb.ophys.RoiResponseSeries):
        yield path, container
        return
    for child in sorted(container.children, key=lambda child: child.name):
        yield from _walk_series(child, path)


def find_traces(file: Any) -> dict[str, Any]:
    """Find all series of roi traces in a file by path."""
    rooms: dict[str, Mapping[str, Any]] = {
        "processing": file.processing,
        "acquisition": file.acquisition,
    }
    return {
        path: series
        for room, things in rooms.items()
        for name in sorted(things)
        for path, series in _walk_series(things[name], room)
    }


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
    file: Any,
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
    path, found = file.container_source, find_intervals(file)
    name = intervals or "trials"
    if name not in found:
        asked = "trial table" if intervals is None else "interval table"
        raise LoadError(
            f"{path}: {asked} '{name}' absent, choose one of: {', '.join(found) or 'none'}. "
            "Pass intervals=."
        )
    table = read_columns(found[name])
    for column in (align, stop, *([stimulus] if stimulus else [])):
        if column not in table:
            raise LoadError(
                f"{path}: expected column '{column}' in '{name}', got "
                f"{some(table.columns, 20)}. Pass align=, stop= or stimulus=."
            )
    if interval_filter:
        table = table[select_rows(table, interval_filter, "interval_filter")]
    advice = f"Leave them out with interval_filter='{align} == {align}'."
    onset = read_seconds(table, align, f"{path}: {name}", advice=advice)
    events = pd.DataFrame({"onset": onset})
    duration = pd.to_numeric(table[stop], errors="coerce").to_numpy(dtype=float) - onset
    if need_duration or (np.isfinite(duration) & (duration >= 0)).all():
        events["duration"] = duration
    if stimulus:
        events["stimulus"] = as_names(table[stimulus].tolist(), f"{path}: {name}.{stimulus}")
    return name, events
