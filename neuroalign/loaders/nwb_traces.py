"""NWB files to traces of regions of interest: continuous, or around the rows of a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError, some
from neuroalign.loaders._nwb import (
    as_text,
    find_traces,
    name_session,
    open_nwb,
    read_columns,
    read_intervals,
    select_rows,
)
from neuroalign.loaders.calcium import Window, from_traces


def _find_series(file: Any, series: str | None) -> tuple[str, Any]:
    found = find_traces(file)
    wanted = [path for path in found if series is None or f"/{path}".endswith(f"/{series}")]
    if len(wanted) != 1:
        raise LoadError(
            f"{file.container_source}: expected one series of traces (RoiResponseSeries), got "
            f"{len(wanted)}{f' named {series!r}' if series else ''}; the file holds "
            f"{some(found) or 'none'}. Pass series=."
        )
    return wanted[0], found[wanted[0]]


def _read_rois(file: Any, name: str, traces: Any) -> tuple[pd.DataFrame, str]:
    """The table of the rois of a series, in its order, and the place of the plane."""
    plane, rows = traces.rois.table, np.asarray(traces.rois.data[:])
    whole = read_columns(plane)
    if rows.max(initial=-1) >= len(whole):
        raise DataCorruptionError(
            f"{file.container_source}: expected rows of {len(whole)} rois in '{name}/rois', got "
            f"row {rows.max()}. Write the series again."
        )
    imaging = getattr(plane, "imaging_plane", None)
    return whole.iloc[rows], "" if imaging is None else imaging.location or ""


def load_nwb_traces(
    path: Path | str,
    *,
    series: str | None = None,
    intervals: str | None = None,
    align: str = "start_time",
    stop: str = "stop_time",
    stimulus: str | None = None,
    window: Window | None = None,
    how: str = "nearest",
    roi_filter: str | None = None,
    interval_filter: str | None = None,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Load the traces of an NWB file (fluorescence, dF/F, deconvolved).

    Parameters
    ----------
    path : path
        NWB 2, in HDF5.
    series : str, optional
        Name of the RoiResponseSeries, with its container where that is needed
        (``"DfOverF/RoiResponseSeries"``); the only one when not given.
    intervals : str, optional
        Name of an interval table; continuous when not given.
    align, stop, stimulus, interval_filter
        As in `load_nwb`.
    window, how
        As in `from_traces`.
    roi_filter : str, optional
        Expression over the columns of the roi table, such as ``"accepted == 1"``.
    run, session, subject : str, optional
        From the file when not given.

    Returns
    -------
    DataArray (sample, neuroid) or (sample, neuroid, time)
        float32 in the unit of the file (conversion and offset applied); neuroids bear the ids
        of the rois.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import pynwb
    >>> from pynwb.testing.mock.file import mock_NWBFile
    >>> from pynwb.testing.mock.ophys import mock_RoiResponseSeries
    >>> file = mock_NWBFile()  # a file of two cells and three frames
    >>> traces = np.arange(6.0).reshape(3, 2)
    >>> _ = mock_RoiResponseSeries(data=traces, rate=10.0, n_rois=2, nwbfile=file)
    >>> with TemporaryDirectory() as folder:
    ...     with pynwb.NWBHDF5IO(f"{folder}/mouse.nwb", "w") as out:
    ...         out.write(file)
    ...     responses = load_nwb_traces(f"{folder}/mouse.nwb")
    >>> responses.values.tolist(), responses["onset"].values.tolist()
    ([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [0.0, 0.1, 0.2])
    """
    path, events = Path(path), None
    with open_nwb(path) as file:
        name, traces = _find_series(file, series)
        table, place = _read_rois(file, name, traces)
        values = np.asarray(traces.data[:])
        values = values.reshape(len(values), -1)
        if values.shape[1] != len(table):
            raise LoadError(
                f"{path}: expected {name} as (time, roi) with {len(table)} rois, got "
                f"{np.shape(traces.data)}. Write it again, transposed."
            )
        factor, shift = float(traces.conversion), float(traces.offset)
        unit, rate = as_text(traces.unit or "a.u."), traces.rate
        times = None if traces.timestamps is None else np.asarray(traces.timestamps[:])
        start = 0.0 if traces.starting_time is None else float(traces.starting_time)
        if intervals is not None:
            _, events = read_intervals(
                file,
                intervals,
                align=align,
                stop=stop,
                stimulus=stimulus,
                interval_filter=interval_filter,
                need_duration=window is None,
            )
        session_id, subject_id = name_session(file)
    keep = np.ones(len(table), dtype=bool)
    if roi_filter:
        keep = select_rows(table.reset_index(), roi_filter, "roi_filter")
    try:
        responses = from_traces(
            values[:, keep] * np.float32(factor) + np.float32(shift),
            times=times,
            rate=rate,
            start=start,
            events=events,
            window=window,
            how=how,
            neuroid=[str(number) for number in table.index[keep]],
            neuroid_coords={"region": np.full(int(keep.sum()), place or "unknown")},
            units=unit,
            source=path.name,
            run=run or path.stem,
            session=session or session_id or None,
            subject=subject or subject_id or None,
        )
    except (LoadError, SchemaError) as error:
        raise type(error)(f"{path}: {error}") from error
    step = f"load_nwb_traces: {name}, {int(keep.sum())} of {len(keep)} rois"
    return responses.assign_attrs(history=f"{step}\n{responses.attrs['history']}")
