"""NWB files to counts of spikes around the events of an interval table.

All times in NWB are seconds from one reference; the date of it and its zone do not matter here.
Only spikes and tables are read, never raw traces; the file is closed before the counts return.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError, some
from neuroalign.loaders._nwb import (
    find_intervals,
    find_traces,
    name_session,
    open_nwb,
    read_columns,
    read_intervals,
    select_rows,
    split_ragged,
)
from neuroalign.loaders.spikes import bin_trials

Array = npt.NDArray[Any]


def _list_contents(file: Any) -> str:
    rooms = {"acquisition": file.acquisition, "processing": file.processing}
    parts = [f"{room}: {', '.join(sorted(things)) or 'none'}" for room, things in rooms.items()]
    return "; ".join(parts)


def _find_units(file: Any) -> Any:
    if file.units is None:
        raise LoadError(
            f"{file.container_source}: expected a units table, got none; the file holds "
            f"{_list_contents(file)}. Sort the spikes first, or use load_nwb_traces."
        )
    return file.units


def _read_trains(units: Any) -> dict[str, Array]:
    trains = split_ragged(units, "spike_times")
    if trains is None:
        raise LoadError(
            f"{units.container_source}: expected spike_times in the units table, got columns "
            f"{some(units.colnames, 12)}. Add the spikes."
        )
    names = [str(number) for number in units.id.data[:].tolist()]
    if len(names) != len(trains) or len(set(names)) != len(names):
        raise DataCorruptionError(
            f"{units.container_source}: expected one unique id for each of {len(trains)} units, "
            f"got {len(set(names))} ids for {len(names)} rows. Write the units table again."
        )
    return dict(zip(names, trains, strict=True))


def _label_electrodes(units: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Add what the first electrode of each unit says; the table's own columns win."""
    labelled = table.copy()
    if "location" in table and "region" not in table:
        labelled["region"] = table["location"]
    rows = split_ragged(units, "electrodes")
    if rows is None or len(rows) != len(table):
        return labelled
    column = units["electrodes"]
    electrodes = read_columns(getattr(column, "target", column).table)
    numbers = np.array([int(row[0]) if len(row) else -1 for row in rows])
    if numbers.max(initial=-1) >= len(electrodes):
        raise DataCorruptionError(
            f"{units.container_source}: expected rows of {len(electrodes)} electrodes, got row "
            f"{numbers.max()}. Write the units table again."
        )
    first = electrodes.reset_index().reindex(numbers)
    labelled["n_electrodes"] = [len(row) for row in rows]
    labelled["electrode"] = [
        "" if number < 0 else str(int(i))
        for number, i in zip(numbers, first["id"].fillna(-1), strict=True)
    ]
    for column, name in {"location": "region", "x": "x", "y": "y", "z": "z"}.items():
        if column in first and name not in labelled:
            labelled[name] = first[column].to_numpy()
    return labelled


def read_units(
    file: Any, unit_filter: str | None
) -> tuple[dict[str, Array], pd.DataFrame, dict[str, Array]]:
    """Read trains, the table of units by name, and when each was recorded.

    Raises
    ------
    LoadError
    """
    units = _find_units(file)
    trains = _read_trains(units)
    table = _label_electrodes(units, read_columns(units))
    keep = np.ones(len(table), dtype=bool)
    if unit_filter:
        keep = select_rows(table.reset_index(), unit_filter, "unit_filter")
    spans = split_ragged(units, "obs_intervals")
    observed = {} if spans is None else dict(zip(trains, spans, strict=True))
    table.index = pd.Index(list(trains))
    kept = [name for name, chosen in zip(trains, keep, strict=True) if chosen]
    # A unit without any interval was written without them, not recorded never.
    seen = {name: observed[name] for name in kept if len(observed.get(name, ()))}
    return {name: trains[name] for name in kept}, table.loc[kept], seen


def load_nwb(
    path: Path | str,
    *,
    intervals: str | None = None,
    align: str = "start_time",
    stop: str = "stop_time",
    stimulus: str | None = None,
    window: tuple[float, float] | None = None,
    bin_width: float = 0.05,
    ragged_stop: bool = False,
    unit_filter: str | None = None,
    interval_filter: str | None = None,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Load the spikes of an NWB file, counted around the rows of an interval table.

    Parameters
    ----------
    path : path
        NWB 2, in HDF5.
    intervals : str, optional
        Name of an interval table; ``trials`` when not given. `describe_nwb` lists them.
    align : str
        The column of times [s] that windows count from.
    stop : str
        The column of times [s] at which trials end.
    stimulus : str, optional
        The column that names what was shown; numbers become text, 1.0 becomes '1'. Without it
        samples are known by run and onset only.
    window : (float, float), optional
        [s] from `align`; each trial to its own end when not given.
    bin_width : float
        [s]
    ragged_stop : bool
        End each trial at its own end inside a given window.
    unit_filter, interval_filter : str, optional
        Expressions over the columns of the tables, such as ``"quality == 'good'"``.
    run, session, subject : str, optional
        From the file when not given: its name, ``session_id``, ``subject_id``.

    Returns
    -------
    DataArray (sample, neuroid, time)
        Counts as `bin_trials` gives them; NaN where ``obs_intervals`` say a unit was not
        recorded. Neuroids bear the ids of the units; ``region``, ``x``, ``y``, ``z`` are those
        of the first electrode, in the file's own units.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pynwb
    >>> from pynwb.testing.mock.file import mock_NWBFile
    >>> file = mock_NWBFile()
    >>> file.add_unit(id=4, spike_times=[0.1, 1.2])
    >>> file.add_trial_column("picture", "what was shown")
    >>> for start, picture in enumerate(["cat", "dog"]):
    ...     file.add_trial(float(start), start + 0.5, picture=picture)
    >>> with TemporaryDirectory() as folder:
    ...     with pynwb.NWBHDF5IO(f"{folder}/rat.nwb", "w") as out:
    ...         out.write(file)
    ...     bins = {"window": (0.0, 0.5), "bin_width": 0.5}
    ...     counts = load_nwb(f"{folder}/rat.nwb", stimulus="picture", **bins)
    >>> counts["stimulus"].values.tolist(), counts.values.ravel().tolist()
    (['cat', 'dog'], [1.0, 1.0])
    """
    path = Path(path)
    with open_nwb(path) as file:
        trains, units, observed = read_units(file, unit_filter)
        total = len(file.units)
        name, events = read_intervals(
            file,
            intervals,
            align=align,
            stop=stop,
            stimulus=stimulus,
            interval_filter=interval_filter,
            need_duration=window is None or ragged_stop,
        )
        session_id, subject_id = name_session(file)
    try:
        responses = bin_trials(
            trains,
            events,
            window=window,
            bin_width=bin_width,
            units=units,
            source=path.name,
            ragged_stop=ragged_stop,
            observed=observed or None,
            run=run or path.stem,
            session=session or session_id or None,
            subject=subject or subject_id or None,
        )
    except (LoadError, SchemaError) as error:
        raise type(error)(f"{path}: {error}") from error
    steps = [f"load_nwb: {len(trains)} of {total} units, table '{name}' aligned to {align}"]
    early = sum(int((times < 0).sum()) for times in trains.values())
    if early:
        steps.append(f"{early} spikes before the reference time kept")
    return responses.assign_attrs(history="\n".join([*steps, responses.attrs["history"]]))


def _find_wrongs(name: str, times: Array) -> list[str]:
    """What is odd about one train."""
    bad, finite = int((~np.isfinite(times)).sum()), times[np.isfinite(times)]
    found = {
        "no spikes": len(times) == 0,
        f"{bad} spike times not finite": bad > 0,
        "spike times not sorted": bool((np.diff(finite) < 0).any()),
        f"{int((finite < 0).sum())} spikes before time 0": bool((finite < 0).any()),
    }
    return [f"wrong: unit {name}: {what}" for what, true in found.items() if true]


def describe_nwb(path: Path | str) -> list[str]:
    """Say what an NWB file holds, and what is wrong with it.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of str
        One line each: session, units and spikes, regions, traces, interval tables, and lines
        that begin with ``wrong:``.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
        When the file cannot be read at all.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pynwb
    >>> from pynwb.testing.mock.file import mock_NWBFile
    >>> file = mock_NWBFile(session_id="s1")
    >>> file.add_unit(id=4, spike_times=[0.1, 1.2])
    >>> with TemporaryDirectory() as folder:
    ...     with pynwb.NWBHDF5IO(f"{folder}/rat.nwb", "w") as out:
    ...         out.write(file)
    ...     describe_nwb(f"{folder}/rat.nwb")[2:]
    ['units: 1; spikes: 2 from 0.1 to 1.2 s', 'wrong: no interval tables']
    """
    with open_nwb(path) as file:
        session, subject = (text or "unnamed" for text in name_session(file))
        lines = [
            f"NWB {file.read_io.nwb_version[0]}, session {session}, subject {subject}",
            _list_contents(file),
        ]
        tables = [f"traces: {where}" for where in find_traces(file)]
        for name, intervals in find_intervals(file).items():
            table = read_columns(intervals)
            columns = ", ".join(map(str, table.columns))
            tables.append(f"intervals '{name}': {len(table)} rows; columns {columns}")
        if file.units is None:
            lacks = [] if tables and tables[0].startswith("traces") else ["wrong: no units table"]
            return [*lines, *tables, *lacks]
        trains, units, observed = read_units(file, None)
    n_tables = sum(line.startswith("intervals") for line in tables)
    full = [times[np.isfinite(times)] for times in trains.values()]
    full = [times for times in full if len(times)]
    first, last = (min(map(np.min, full)), max(map(np.max, full))) if full else (0.0, 0.0)
    n_spikes = sum(map(len, trains.values()))
    lines.append(f"units: {len(trains)}; spikes: {n_spikes} from {first:g} to {last:g} s")
    if "region" in units:
        counts = units["region"].replace("", "unknown").value_counts()
        lines.append("regions: " + ", ".join(f"{name} ({n})" for name, n in counts.items()))
    if observed:
        lines.append(f"obs_intervals: for {len(observed)} units")
    wrongs = [line for name, times in trains.items() for line in _find_wrongs(name, times)]
    return [*lines, *tables, *(["wrong: no interval tables"] if not n_tables else []), *wrongs]
