"""Trains, windows and unit tables, checked and put together into counts around events."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, NeuroalignWarning, choose, some
from neuroalign.loaders._binning import count_whole_bins, find_observed, merge_intervals
from neuroalign.loaders._tables import read_seconds
from neuroalign.loaders.arrays import from_arrays

Array = npt.NDArray[Any]
Trains = Mapping[str, Array]
Window = tuple[float, float]
# Takes a unit's name, the starts [s] of the windows, the number of bins: counts (trial, bin).
Counter = Callable[[str, Array, int], Array]
# Bins often end a little before the recording does; a larger share outside is worth a warning.
LEFT_OUT = 0.01
# Shares and counts beyond which clocks or units of time are likely mixed up.
AWAY, CROWDED, OVERLAPS = 0.25, 0.02, 20.0
FEW, FEW_SPIKES = 4, 100
UNIT_TEXTS = ("region", "quality", "electrode")
UNIT_NUMBERS = ("x", "y", "z", "n_electrodes")

# How many make a second; dividing keeps 300 ms at exactly the float 0.3.
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}
# Micro sign and Greek mu look alike.
SPELLED = {"\N{MICRO SIGN}s": "us", "\N{GREEK SMALL LETTER MU}s": "us"}


def check_trains(trains: Trains) -> dict[str, Array]:
    """Return trains as sorted float64 in native byte order.

    Raises
    ------
    LoadError
        When these are no mapping, there is none, or a time is not finite; the unit is named.
    """
    if not isinstance(trains, Mapping):
        raise LoadError(
            f"trains: expected a mapping of unit name to spike times [s], got "
            f"{type(trains).__name__}. Pass {{'unit-1': times}}; from_spikes takes other layouts."
        )
    if not trains:
        raise LoadError("trains: expected one unit or more, got none. Loosen the selection.")
    clean = {}
    for name, values in trains.items():
        times = np.asarray(values, dtype=np.float64).ravel()
        bad = np.flatnonzero(~np.isfinite(times))
        if len(bad):
            raise LoadError(
                f"trains['{name}']: expected finite spike times [s], got {times[bad[0]]} at "
                f"position {bad[0]} ({len(bad)} of {len(times)}). Drop those spikes."
            )
        clean[str(name)] = times if (times[1:] >= times[:-1]).all() else np.sort(times)
    return clean


def read_scale(time_unit: str, sampling_rate: float | None) -> float:
    """Give how many units of time make a second."""
    scales = PER_SECOND | {"samples": float(sampling_rate or 0)}
    scale = choose(scales, SPELLED.get(time_unit, time_unit), "time_unit")
    if not scale > 0:
        raise LoadError(
            f"sampling_rate: expected Hz above 0 for times in samples, got {sampling_rate}. "
            "Pass the rate of the recording."
        )
    return scale


def check_width(bin_width: float) -> float:
    """Return a bin width [s] that is above 0."""
    number = isinstance(bin_width, int | float | np.number)
    if not (number and np.isfinite(bin_width) and bin_width > 0):
        raise LoadError(f"bin_width: expected seconds above 0, got {bin_width}. Try 0.01.")
    return float(bin_width)


def read_window(window: Any, name: str = "window") -> Window:
    """Read (start, stop) [s].

    Raises
    ------
    LoadError
    """
    try:
        start, stop = (float(edge) for edge in window)
    except (TypeError, ValueError) as error:
        raise LoadError(
            f"{name}: expected (start, stop) in seconds, got {window!r}. "
            "Pass two numbers, such as (-0.2, 0.8)."
        ) from error
    return start, stop


def count_bins(window: Window, bin_width: float, name: str = "window") -> int:
    """Count the bins of a window; refuse one that they do not fill.

    Raises
    ------
    LoadError
        With the nearest window that fits.
    """
    start, stop = read_window(window, name)
    check_width(bin_width)
    if not (np.isfinite([start, stop]).all() and stop > start):
        raise LoadError(
            f"{name}: expected (start, stop) in seconds with stop > start, got ({start:g}, "
            f"{stop:g}). Swap or widen them."
        )
    ratio = (stop - start) / bin_width
    whole = max(round(ratio), 1)
    if abs(ratio - whole) > 1e-6 * max(ratio, 1):
        raise LoadError(
            f"{name}: expected a multiple of bin_width {bin_width:g} s, got ({start:g}, {stop:g}), "
            f"{ratio:.6g} bins. The nearest that fits is ({start:g}, "
            f"{start + whole * bin_width:.10g})."
        )
    return whole


def label_units(units: pd.DataFrame | None, names: Sequence[str]) -> dict[str, Array]:
    """Read the coords of units from a table indexed by their names."""
    if units is None:
        return {}
    table = units.set_axis([str(label) for label in units.index], axis=0)
    absent = [name for name in names if name not in table.index]
    if absent or not table.index.is_unique:
        raise LoadError(
            f"units: expected one row, indexed by name, for each of {len(names)} units, got "
            f"{len(table)} rows ({len(absent)} units without: {some(absent)}). Set the index."
        )
    table = table.loc[list(names)]
    coords = {}
    for column in UNIT_TEXTS:
        if column in table:
            texts = ["unknown" if pd.isna(v) or v == "" else str(v) for v in table[column]]
            coords[column] = np.array(texts, dtype=np.str_)
    for column in UNIT_NUMBERS:
        if column in table:
            coords[column] = pd.to_numeric(table[column], errors="coerce").to_numpy()
    return coords


def find_recorded(
    names: Sequence[str], starts: Array, n_bins: int, width: float, observed: Trains, slack: float
) -> Array:
    """Which bins each unit was recorded in: bool (trial, unit, bin)."""
    recorded = np.ones((len(starts), len(names), n_bins), dtype=bool)
    known: dict[bytes, Array] = {}
    for column, name in enumerate(names):
        if name not in observed:
            continue
        spans = np.asarray(observed[name], dtype=float)
        if spans.ndim != 2 or spans.shape[1] != 2 or not (spans[:, 1] >= spans[:, 0]).all():
            raise LoadError(
                f"observed['{name}']: expected intervals (interval, 2) with stop >= start [s], "
                f"got shape {spans.shape}. Correct or drop them."
            )
        # Units of one probe share their intervals; each set is worked out once.
        key = spans.tobytes()
        if key not in known:
            known[key] = find_observed(starts, n_bins, width, slack, merge_intervals(spans))
        recorded[:, column] = known[key]
    return recorded


def bin_events(
    names: Sequence[str],
    count: Counter,
    events: pd.DataFrame,
    *,
    window: Window | None,
    bin_width: float,
    units: pd.DataFrame | None,
    ragged_stop: bool,
    observed: Trains | None,
    slack: float,
    labels: Mapping[str, str | None],
    source: str,
) -> xr.DataArray:
    """Count by `count` around events and label the counts; see `spikes.bin_trials`."""
    width = check_width(bin_width)
    onset = read_seconds(events, "onset", "events")
    if len(onset) == 0:
        raise LoadError("events: expected one event or more, got none. Loosen the selection.")
    ragged = ragged_stop or window is None
    timed = ragged or "duration" in events
    length = read_seconds(events, "duration", "events", 0) if timed else None
    if window is None:
        assert length is not None
        n_bins, start = int(count_whole_bins(length, width).max()), 0.0
        if n_bins == 0:
            raise LoadError(
                f"events: expected durations of one bin ({width:g} s) or more, got at most "
                f"{length.max():g} s. Pass window=, or narrower bins."
            )
    else:
        n_bins, start = count_bins(window, width), float(window[0])
    starts = onset + start
    values = np.empty((len(onset), len(names), n_bins), dtype=np.float32)
    for column, name in enumerate(names):
        values[:, column] = count(name, starts, n_bins)
    valid = np.ones((len(onset), n_bins), dtype=bool)
    steps = [f"bin_trials: {n_bins} bins of {width:g} s from {start:g} s"]
    if ragged:
        assert length is not None
        valid = np.arange(n_bins) < count_whole_bins(length - start, width)[:, None]
        values[~np.broadcast_to(valid[:, None], values.shape)] = np.nan
        steps.append("bins not wholly inside their trial set to NaN")
    if observed:
        recorded = find_recorded(names, starts, n_bins, width, observed, slack)
        values[~recorded] = np.nan
        valid = valid & recorded.any(axis=1)
        steps.append(f"bins not recorded set to NaN: {int((~recorded).sum())} of {recorded.size}")
    columns = {name: events[name].to_numpy() for name in ("stimulus", "repeat") if name in events}
    for name, label in labels.items():
        if name in events:
            columns[name] = events[name].to_numpy()
        elif label is not None:
            columns[name] = np.full(len(onset), label)
    if "stimulus" not in columns and "run" not in columns:
        raise LoadError(
            f"events: expected column 'stimulus', or run=, got columns {list(events.columns)}. "
            "Name what was shown in each trial."
        )
    responses = from_arrays(
        values,
        modality="spikes",
        stimulus=columns.get("stimulus"),
        repeat=columns.get("repeat"),
        run=columns.get("run"),
        session=columns.get("session"),
        subject=columns.get("subject"),
        onset=onset,
        duration=length if length is not None else np.full(len(onset), n_bins * width),
        neuroid=list(names),
        time=start + (np.arange(n_bins) + 0.5) * width,
        units="count",
        sampling_rate=1 / width,
        neuroid_coords=label_units(units, names),
        attrs={"source": source, "history": "\n".join(steps)},
    )
    if ragged or observed:
        responses = responses.assign_coords(valid=(("sample", "time"), valid))
    return responses


def find_largest(trains: Trains, onset: Array) -> float:
    """Find the largest time [s] in play, spikes and events."""
    ends = [abs(edge) for times in trains.values() if len(times) for edge in (times[0], times[-1])]
    return float(max([*ends, np.abs(onset).max(initial=0), 0.0]))


def count_outside(trains: Trains, begin: float, end: float) -> tuple[int, int]:
    """Count the spikes of sorted trains outside ``begin`` to ``end`` [s], and all of them.

    Raises
    ------
    LoadError
        When all lie outside: nothing would be left but zeros.
    """
    full = [times for times in trains.values() if len(times)]
    total = sum(map(len, full))
    inside = sum(int(np.ptp(np.searchsorted(times, [begin, end]))) for times in full)
    if total and not inside:
        first, last = min(times[0] for times in full), max(times[-1] for times in full)
        raise LoadError(
            f"trains: expected spikes from {begin:g} to {end:g} s, got all {total} outside, from "
            f"{first:g} to {last:g} s. Are they in ms or us? Pass time_unit= (bin_trials: use "
            "from_spikes). Else correct the clock."
        )
    return total - inside, total


def check_clock(
    trains: Trains, onset: Array, window: Window | None, observed: Trains | None = None
) -> None:
    """Refuse events that all lie away from all spikes; warn of signs of other units of time.

    Raises
    ------
    LoadError

    Warns
    -----
    NeuroalignWarning
        When events lie outside the spikes and nothing says what was recorded, when they crowd in
        a corner of the recording, or when windows reach over many trials.
    """
    full = [times for times in trains.values() if len(times)]
    if not full or len(onset) == 0:
        return
    first, last = min(times[0] for times in full), max(times[-1] for times in full)
    start, stop = (0.0, 0.0) if window is None else read_window(window)
    reach = max(last - first, 1.0)
    if onset.min() + start > last + reach or onset.max() + stop < first - reach:
        raise LoadError(
            f"events: expected onsets on the clock of the spikes ({first:g} to {last:g} s), got "
            f"{onset.min():g} to {onset.max():g} s. Check the time units and the clock."
        )
    if len(onset) <= FEW or sum(map(len, full)) < FEW_SPIKES:
        return
    span = float(np.ptp(onset))
    away = int(((onset > last) | (onset < first)).sum())
    gaps = np.diff(np.sort(onset))
    gap = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else np.inf
    signs = {
        f"events: expected onsets within the spikes ({first:g} to {last:g} s), got {away} of "
        f"{len(onset)} outside, whose counts are 0 as far as nothing says otherwise. Pass "
        "observed= with what was recorded, or drop them.": observed is None
        and away > AWAY * len(onset),
        f"events: expected to be spread over the recording, got all within {span:g} s of "
        f"{reach:g} s of spikes. Check the time unit of both.": span < CROWDED * reach,
        f"window: expected seconds around an event, got {stop - start:g} s where events are "
        f"{gap:g} s apart. Check its unit.": stop - start > OVERLAPS * gap,
    }
    for message, holds in signs.items():
        if holds:
            warnings.warn(message, NeuroalignWarning, stacklevel=3)


def report_outside(trains: Trains, start: float, stop: float) -> list[str]:
    """Note the spikes that no bin counts; warn of many."""
    outside, total = count_outside(trains, start, stop)
    if outside > LEFT_OUT * total:
        warnings.warn(
            f"trains: expected spikes from {start:g} to {stop:g} s, got {outside} of {total} "
            f"({outside / total:.1%}) outside. Widen start and stop, cut the trains, or pass "
            "time_unit= where they are not in seconds.",
            NeuroalignWarning,
            stacklevel=3,
        )
    return [f"{outside} of {total} spikes outside left out"] if outside else []
