"""Events of a recording, and the windows around them; no event is lost in silence."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import LoadError, NeuroalignWarning, require, some
from neuroalign.loaders._mne import list_types

mne: Any = require("mne", "meg")
# MNE loads its parts when they are asked for, and this one never by itself.
mne_baseline: Any = require("mne.baseline", "meg")
Array = npt.NDArray[Any]
# "BAD_blink", "bad segment", "EDGE boundary", but neither "badger" nor "edges".
ARTIFACT = re.compile(r"(?:(?P<bad>[Bb]ad|BAD)|[Ee]dge|EDGE)(?![a-z])")


def is_artifact(text: object, *, bad: bool = False) -> bool:
    """Tell an annotation of an artifact from a stimulus; ``bad``: not from an edge."""
    found = ARTIFACT.match(str(text))
    return found is not None and not (bad and found["bad"] is None)


def _marked(raw: Any) -> list[int]:
    """Rows of the annotations that are events, not artifacts."""
    texts = enumerate(raw.annotations.description)
    return [row for row, text in texts if not is_artifact(text)]


def _from_annotations(raw: Any, event_id: Mapping[str, int] | None, name: object) -> pd.DataFrame:
    marks, keep = raw.annotations, _marked(raw)
    if not keep:
        raise LoadError(
            f"{name}: expected annotations or a stimulus channel, got neither. Pass events=."
        )
    known = dict.fromkeys(str(marks.description[row]) for row in keep)
    absent = [label for label in event_id or () if label not in known]
    if absent:
        raise LoadError(
            f"event_id: expected annotations that occur in {name}, got none of {some(absent)}. "
            f"Names there: {some(known)}."
        )
    keep = [row for row in keep if event_id is None or str(marks.description[row]) in event_id]
    labels = [str(marks.description[row]) for row in keep]
    codes = {label: code + 1 for code, label in enumerate(dict.fromkeys(labels))}
    # MNE knows whether onsets count from the first sample or from the measurement's date.
    found, _ = mne.events_from_annotations(raw, event_id=codes, regexp=None, verbose="warning")
    return pd.DataFrame(
        {
            "sample": found[:, 0] - raw.first_samp,
            "duration": np.asarray(marks.duration)[keep],
            "stimulus": labels,
        }
    )


def _from_array(
    events: Array, event_id: Mapping[str, int] | None, raw: Any, name: object
) -> pd.DataFrame:
    events = np.asarray(events)
    if events.ndim != 2 or events.shape[1] != 3 or events.dtype.kind not in "iu":
        raise LoadError(
            f"events: expected integers (event, 3) as MNE finds them, got {events.dtype} "
            f"{events.shape}. Pass a table with onset [s] instead."
        )
    names = {int(code): str(code) for code in events[:, 2]}
    if event_id is not None:
        absent = [label for label, code in event_id.items() if code not in names]
        if absent:
            raise LoadError(
                f"event_id: expected codes that occur in {name}, got none of {some(absent)}. "
                f"Codes there: {sorted(names)[:10]}."
            )
        names = {int(code): label for label, code in event_id.items()}
        if len(names) < len(event_id):
            raise LoadError(
                f"event_id: expected one name a code, got {dict(event_id)}. "
                "Give each code one name."
            )
        events = events[np.isin(events[:, 2], list(names))]
    labels = [names[int(code)] for code in events[:, 2]]
    place = events[:, 0] - raw.first_samp
    return pd.DataFrame({"sample": place, "duration": 0.0, "stimulus": labels})


def _from_table(table: pd.DataFrame, raw: Any) -> pd.DataFrame:
    missing = [column for column in ("onset", "stimulus") if column not in table]
    if missing:
        raise LoadError(
            f"events: expected columns 'onset' [s] and 'stimulus', got {list(table.columns)}. "
            "Read the file with load_events."
        )
    onset = table["onset"].to_numpy(dtype=float)
    broken = np.flatnonzero(~np.isfinite(onset))
    if len(broken):
        raise LoadError(
            f"events: expected onsets [s], got {onset[broken[0]]} in row {broken[0]}. "
            "Correct or drop those rows."
        )
    duration = table["duration"].to_numpy(float) if "duration" in table else np.zeros(len(onset))
    return pd.DataFrame(
        {
            "sample": np.round(onset * raw.info["sfreq"]).astype(int),
            "duration": duration,
            "stimulus": table["stimulus"].to_numpy(dtype=str),
        }
    )


def find_events(
    raw: Any,
    events: Any,
    *,
    event_id: Mapping[str, int] | None = None,
    name: object = "recording",
) -> pd.DataFrame:
    """Read events in any of their forms.

    Returns
    -------
    DataFrame
        ``sample`` (int, from the first of the recording), ``duration`` [s], ``stimulus``.

    Raises
    ------
    LoadError
    """
    if isinstance(events, pd.DataFrame):
        found = _from_table(events, raw)
    elif events is not None:
        found = _from_array(events, event_id, raw, name)
    elif not _marked(raw) and "stim" in list_types(raw.info, name):
        triggers = mne.find_events(raw, shortest_event=1, verbose="warning")
        found = _from_array(triggers, event_id, raw, name)
    else:
        found = _from_annotations(raw, event_id, name)
    if found.empty:
        raise LoadError(f"{name}: expected events, got none. Pass events=, or check event_id=.")
    return found


def _reasons(raw: Any, first: Array, last: Array) -> list[str]:
    """Why a window (first and last sample) cannot be used; '' where it can."""
    n, sfreq = raw.n_times, raw.info["sfreq"]
    reasons = [
        f"starts {-a / sfreq:g} s before the recording"
        if a < 0
        else (f"ends {(b - n + 1) / sfreq:g} s after it" if b >= n else "")
        for a, b in zip(first, last, strict=True)
    ]
    marks = raw.annotations
    spans = [i for i, text in enumerate(marks.description) if is_artifact(text, bad=True)]
    if spans:
        codes = {str(marks.description[i]): i + 1 for i in spans}
        placed, _ = mne.events_from_annotations(raw, event_id=codes, regexp=None, verbose="warning")
        for i, start in zip(spans, placed[:, 0] - raw.first_samp, strict=True):
            stop = start + int(np.ceil(marks.duration[i] * sfreq))
            for row in np.flatnonzero((first < stop) & (last >= start)):
                reasons[row] = reasons[row] or f"overlaps '{marks.description[i]}'"
    return reasons


def check_windows(
    raw: Any, events: pd.DataFrame, offsets: Array, allow_dropped: bool, name: object
) -> pd.DataFrame:
    """Keep the events whose windows lie in good data; say which do not.

    Raises
    ------
    LoadError
        Unless ``allow_dropped``, which makes it a warning.
    """
    place = events["sample"].to_numpy()
    reasons = _reasons(raw, place + offsets[0], place + offsets[-1])
    lost = [row for row, reason in enumerate(reasons) if reason]
    if not lost:
        return events
    shown = "; ".join(
        f"event {row} '{events['stimulus'][row]}' at {place[row] / raw.info['sfreq']:g} s "
        f"{reasons[row]}"
        for row in lost[:3]
    )
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    text = f"{name}: {len(lost)} of {len(events)} events cannot be used: {shown}{more}."
    if not allow_dropped or len(lost) == len(events):
        raise LoadError(
            f"{text} Expected whole windows of good data. Shorten the window, correct the "
            "events, or pass allow_dropped=True."
        )
    warnings.warn(text, NeuroalignWarning, stacklevel=4)
    return events.drop(index=lost).reset_index(drop=True)


def plan_window(
    window: tuple[float, float], decimate: int, info: Any, name: object
) -> tuple[Array, Array]:
    """Samples of a window relative to the event, and which of them stay after decimation.

    Raises
    ------
    LoadError
        When the window is empty, or decimation would alias.
    """
    sfreq, lowpass = float(info["sfreq"]), info["lowpass"]
    if len(window) != 2 or not window[0] < window[1]:
        raise LoadError(
            f"window: expected (start, stop) in seconds, got {window}. Pass such as (-0.2, 0.8)."
        )
    if not isinstance(decimate, int) or decimate < 1:
        raise LoadError(
            f"decimate: expected a whole number from 1, got {decimate}. Pass 1 to keep all samples."
        )
    nyquist = sfreq / decimate / 2
    if decimate > 1 and (lowpass is None or lowpass >= nyquist):
        raise LoadError(
            f"decimate: expected a low-pass below the new Nyquist frequency ({nyquist:g} Hz), got "
            f"{lowpass if lowpass is None else f'{lowpass:g}'} Hz in {name}: higher frequencies "
            f"would fold back. Filter first (raw.filter(None, {nyquist * 2 / 3:.3g})) and pass "
            "the Raw, or decimate less."
        )
    first, last = (round(edge * sfreq) for edge in window)
    offsets = np.arange(first, last + 1)
    # Counted from the event, so that time 0 stays.
    return offsets, offsets % decimate == 0


def check_baseline(
    baseline: tuple[float | None, float | None] | None, offsets: Array, info: Any
) -> None:
    """Refuse a baseline that holds no sample of the window.

    Raises
    ------
    LoadError
    """
    if baseline is None:
        return
    times = offsets / float(info["sfreq"])
    first, last = (times[0], times[-1]) if len(baseline) != 2 else baseline
    start, stop = (times[0] if first is None else first), (times[-1] if last is None else last)
    # Half a sample, as MNE takes it.
    slack = 0.5 / float(info["sfreq"])
    if len(baseline) != 2 or not times[0] - slack <= start <= stop <= times[-1] + slack:
        raise LoadError(
            f"baseline: expected (start, stop) in the window ({times[0]:g} to {times[-1]:g} s), "
            f"got {baseline}. Widen the window, or pass None."
        )


def cut_windows(
    raw: Any,
    channels: Array,
    events: pd.DataFrame,
    offsets: Array,
    keep: Array,
    baseline: tuple[float | None, float | None] | None,
    dtype: str,
) -> Array:
    """Read each window (event, channel, time); the baseline is subtracted at the full rate."""
    times = offsets / raw.info["sfreq"]
    values = np.empty((len(events), len(channels), int(keep.sum())), dtype=dtype)
    for row, place in enumerate(events["sample"].to_numpy()):
        start = int(place + offsets[0])
        data = raw.get_data(channels, start, start + len(offsets))
        if baseline is not None:
            data = mne_baseline.rescale(data, times, baseline, copy=False, verbose="warning")
        values[row] = data[:, keep]
    return values
