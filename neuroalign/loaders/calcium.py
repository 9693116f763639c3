"""Traces of regions of interest (calcium imaging) to responses: continuous, or around events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, choose
from neuroalign.loaders._tables import read_seconds
from neuroalign.loaders.arrays import from_arrays

Array = npt.NDArray[Any]
Window = tuple[float, float]


def _sample_nearest(traces: Array, times: Array, period: float, wanted: Array) -> Array:
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    row = after - (wanted - times[after - 1] <= times[after] - wanted)
    sampled = traces[row]
    # A frame further away than most of a period is not a sample of this time.
    sampled[np.abs(times[row] - wanted) > 0.75 * period] = np.nan
    return sampled


def _sample_linear(traces: Array, times: Array, period: float, wanted: Array) -> Array:
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    left, right = times[after - 1], times[after]
    part = ((wanted - left) / (right - left)).astype(traces.dtype)
    slack = 1e-6 * period
    outside = (wanted < times[0] - slack) | (wanted > times[-1] + slack)
    outside |= right - left > 1.5 * period
    part = np.clip(part, 0, 1)[..., None]
    sampled = traces[after - 1] * (1 - part) + traces[after] * part
    # A frame that is hit needs no partner: NaN * 0 must not spread.
    sampled = np.where(part == 0, traces[after - 1], np.where(part == 1, traces[after], sampled))
    sampled[outside] = np.nan
    return np.asarray(sampled)


SAMPLING = {"nearest": _sample_nearest, "linear": _sample_linear}


def _read_clock(n: int, times: Any, rate: float | None, start: float) -> tuple[Array, float]:
    """Times [s] of the frames and the period [s] between them."""
    if (times is None) == (rate is None):
        raise LoadError(
            f"times, rate: expected one of them, got {'none' if rate is None else 'both'}. "
            "Pass the times of the frames [s], or their rate [Hz] and start= [s]."
        )
    if rate is not None:
        if not (np.isfinite(rate) and rate > 0):
            raise LoadError(f"rate: expected Hz above 0, got {rate}. Read it from the recording.")
        return start + np.arange(n) / rate, 1 / rate
    clock = np.asarray(times, dtype=float)
    if clock.shape != (n,):
        raise LoadError(
            f"times: expected {n} values, one a row of traces (time, roi), got shape "
            f"{clock.shape}. Transpose the traces, or pair them."
        )
    bad = np.flatnonzero(~(np.diff(clock, prepend=-np.inf) > 0) | ~np.isfinite(clock))
    if len(bad):
        raise LoadError(
            f"times: expected finite, increasing seconds, got {clock[bad[0]]} in row {bad[0]} "
            f"({len(bad)} of {n}). Correct or drop those frames."
        )
    return clock, float(np.median(np.diff(clock)))


def from_traces(
    traces: Any,
    *,
    times: Any = None,
    rate: float | None = None,
    start: float = 0.0,
    events: pd.DataFrame | None = None,
    window: Window | None = None,
    how: str = "nearest",
    neuroid: Sequence[str] | None = None,
    neuroid_coords: Any = None,
    units: str = "a.u.",
    source: str = "traces",
    run: str = "run-01",
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Bring traces to responses, as they are or around events.

    Parameters
    ----------
    traces : array (time, roi)
        NaN is kept.
    times : array (time,), optional
        [s] of each frame, increasing.
    rate, start : float, optional
        [Hz] and the time [s] of the first frame, instead of `times`.
    events : DataFrame, optional
        ``onset`` [s] on the same clock, ``duration`` [s] and ``stimulus`` (str), perhaps
        ``run``, ``session``, ``subject``, ``repeat``. Continuous without.
    window : (float, float), optional
        [s] from onset, sampled at the frame rate from its start, stop excluded; when not given
        from 0 to the longest duration, each trial to its own end.
    how : {"nearest", "linear"}
        How frames give the value at a time.
    neuroid : sequence of str (roi,), optional
    neuroid_coords : mapping of str to sequence (roi,), optional
    units, source, run : str
    session, subject : str, optional

    Returns
    -------
    DataArray (sample, neuroid) or (sample, neuroid, time)
        float32. Continuous: one sample a frame, with ``run``, and ``onset`` on the given clock.
        Around events: NaN, and ``valid`` (sample, time) False, where there is no frame near or
        the trial is over.

    Raises
    ------
    LoadError, SchemaError
        When times do not fit the traces, or no event lies in the recording.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> traces = np.arange(40.0).reshape(20, 2)  # 20 frames of 2 cells
    >>> responses = from_traces(traces, rate=10.0, events=events, window=(0.0, 0.3))
    >>> responses[:, 0].values.tolist()
    [[0.0, 2.0, 4.0], [20.0, 22.0, 24.0]]
    """
    values = np.asarray(traces)
    if values.ndim != 2 or values.dtype.kind not in "fiu" or values.shape[0] < 2:
        raise LoadError(
            f"traces: expected numbers (time, roi) of two frames or more, got shape "
            f"{values.shape} of {values.dtype}. Reshape them."
        )
    values = values.astype(np.float32)
    sample = choose(SAMPLING, how, "how")
    clock, period = _read_clock(len(values), times, rate, float(start))
    attrs = {"source": source}
    n = len(values) if events is None else len(events)
    given = {"run": run, "session": session, "subject": subject}
    columns: dict[str, Any] = {
        name: np.full(n, label) for name, label in given.items() if label is not None
    }
    if events is None:
        attrs["history"] = f"from_traces: {n} frames, period {period:g} s"
        grid, valid = None, None
        columns |= {"onset": clock, "duration": np.full(n, period)}
    else:
        onset = read_seconds(events, "onset", "events")
        _check_overlap(onset, clock)
        has_length = window is None or "duration" in events
        length = read_seconds(events, "duration", "events", 0) if has_length else np.empty(0)
        first, last = (0.0, float(length.max())) if window is None else window
        n_points = int(np.floor((last - first) / period + 1e-6))
        if n_points < 1:
            raise LoadError(
                f"window: expected one period ({period:g} s) or more, got {last - first:g} s. "
                "Widen it."
            )
        grid = first + np.arange(n_points) * period
        values = np.moveaxis(sample(values, clock, period, onset[:, None] + grid), 2, 1)
        inside = np.ones((n, n_points), dtype=bool)
        if window is None:
            inside = grid < length[:, None] - 1e-6 * period
            values[~np.broadcast_to(inside[:, None], values.shape)] = np.nan
        unit = np.ones((len(clock), 1), dtype=np.float32)
        near = sample(unit, clock, period, onset[:, None] + grid)
        valid = inside & ~np.isnan(near[..., 0])
        attrs["history"] = f"from_traces: {n_points} points from {first:g} s, {how} frame"
        kept = ("stimulus", "repeat", "run", "session", "subject")
        columns |= {name: events[name].to_numpy() for name in kept if name in events}
        columns["onset"] = onset
        columns["duration"] = length if has_length else np.full(n, n_points * period)
    responses = from_arrays(
        values,
        modality="calcium",
        stimulus=columns.get("stimulus"),
        repeat=columns.get("repeat"),
        run=columns.get("run"),
        session=columns.get("session"),
        subject=columns.get("subject"),
        onset=columns["onset"],
        duration=columns["duration"],
        neuroid=neuroid,
        neuroid_coords=neuroid_coords,
        time=grid,
        units=units,
        sampling_rate=1 / period,
        attrs=attrs,
    )
    if valid is not None and not valid.all():
        responses = responses.assign_coords(valid=(("sample", "time"), valid))
    return responses


def _check_overlap(onset: Array, clock: Array) -> None:
    if not ((onset >= clock[0]) & (onset <= clock[-1])).any():
        got = f"{onset.min():g} to {onset.max():g} s" if len(onset) else "no events"
        raise LoadError(
            f"events: expected onsets inside the recording ({clock[0]:g} to {clock[-1]:g} s), "
            f"got {got}. Check the time units and the clock."
        )
