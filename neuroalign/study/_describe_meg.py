"""What recordings, epochs, averages and source estimates hold, through MNE."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroalign.errors import LoadError, require, some
from neuroalign.loaders._meg_files import check_recording
from neuroalign.loaders._mne import (
    check_places,
    check_samples,
    describe,
    list_types,
    pick_channels,
    reading,
)
from neuroalign.loaders.meg import BLOCK, load_epochs, open_raw
from neuroalign.loaders.sources import load_source_estimates
from neuroalign.study._findings import (
    attempt,
    collect,
    count_kinds,
    count_names,
    describe_array,
    title,
)

mne: Any = require("mne", "meg")


def _describe_info(info: Any, path: Path) -> list[str]:
    facts = describe(info)
    # Warnings become lines.
    check_places(info, path.name)
    lines = [
        f"channels: {len(info['ch_names'])}: {count_kinds(list_types(info))}",
        f"units: {facts['units']}",
        f"rate: {info['sfreq']:.9g} Hz, filtered {info['highpass']:g} to {info['lowpass']:g} Hz",
    ]
    if info["bads"]:
        lines.append(f"bad: {len(info['bads'])}: {some(info['bads'], 12)}")
    if info["projs"]:
        active = sum(bool(item["active"]) for item in info["projs"])
        lines.append(f"projectors: {len(info['projs'])}, {active} applied")
    return lines


def _look(raw: Any, path: Path) -> None:
    """Check the good brain channels of a whole recording, block by block."""
    channels, _ = pick_channels(raw.info, None, True, path)
    low, high = np.full(len(channels), np.inf), np.full(len(channels), -np.inf)
    with reading(path):
        for start in range(0, raw.n_times, BLOCK):
            block = raw.get_data(channels, start, min(start + BLOCK, raw.n_times))
            low = np.minimum(low, block.min(axis=1))
            high = np.maximum(high, block.max(axis=1))
    check_samples(np.stack([low, high]), mne.pick_info(raw.info, channels), path, True)


def _describe_events(raw: Any, path: Path) -> tuple[list[str], list[str]]:
    lines: list[str] = []
    wrong: list[str] = []
    if len(raw.annotations):
        lines.append(f"annotations: {count_names(raw.annotations.description)}")
    if "stim" in list_types(raw.info, path):

        def read_codes() -> Any:
            with reading(path):
                return mne.find_events(raw, shortest_event=1, verbose="warning")

        events, wrong = attempt(read_codes)
        lines += [] if events is None else [f"codes: {count_names(events[:, 2])}"]
    return lines or ["events: none"], wrong


def describe_raw(path: Path) -> list[str]:
    """Describe a continuous recording; raise when it is cut or MNE cannot read it."""
    raw = open_raw(path, projectors=False)
    seconds = raw.n_times / raw.info["sfreq"]
    events, lost = _describe_events(raw, path)
    _, wrong = attempt(lambda: _look(raw, path))
    first = [f"first sample: {raw.first_samp}"] if raw.first_samp else []
    return [
        title(path, "recording, whole"),
        *_describe_info(raw.info, path),
        f"samples: {raw.n_times}, {seconds:g} s",
        *first,
        *events,
        *lost,
        *wrong,
    ]


def describe_epochs(path: Path) -> list[str]:
    """Describe epochs; raise when they are cut."""
    read, wrong = collect(lambda: load_epochs(path, allow_nan=True, drop_bad=False))
    channels = count_kinds(read["channel_type"].values.tolist())
    return [
        title(path, "epochs, whole"),
        *describe_array(read),
        f"channels: {read.sizes['neuroid']}: {channels}",
        f"events: {count_names(read['stimulus'].values)}",
        *wrong,
    ]


def describe_eeglab(path: Path) -> list[str]:
    """Describe an EEGLAB set, which holds a recording or trials."""
    try:
        return describe_raw(path)
    except LoadError as error:
        if "number of trials" not in str(error):
            raise
    return describe_epochs(path)


def describe_averages(path: Path) -> list[str]:
    """Describe evoked responses; raise when they are cut."""
    check_recording(path)
    with reading(path):
        averages = mne.read_evokeds(path, proj=False, verbose="warning")
    lines = [
        title(path, f"averages, whole: {len(averages)}"),
        *_describe_info(averages[0].info, path),
    ]
    wrong = []
    for average in averages:
        span = f"{average.times[0]:g} to {average.times[-1]:g} s"
        lines.append(f"'{average.comment}': {average.nave} trials, {span}")
        channels, _ = pick_channels(average.info, None, True, path)
        info = mne.pick_info(average.info, channels)
        values = average.data[channels].T
        _, faults = attempt(lambda v=values, i=info: check_samples(v, i, path, True))  # type: ignore[misc]
        wrong += faults
    return [*lines, *wrong]


def describe_sources(path: Path) -> list[str]:
    """Describe a source estimate with its other hemisphere; raise when either is cut."""
    estimate = load_source_estimates(path)
    lines = [title(path, "source estimate, whole"), *describe_array(estimate)]
    if "hemisphere" in estimate.coords:
        sides = count_kinds(estimate["hemisphere"].values.tolist())
        lines.append(f"vertices: {estimate.sizes['neuroid']}: {sides}")
    peak = int(np.abs(estimate.values[0]).max(axis=0).argmax())
    return [*lines, f"peak: at {float(estimate['time'][peak]):g} s"]


def describe_space(path: Path) -> list[str]:
    """Describe a source space."""
    check_recording(path)
    with reading(path):
        space = mne.read_source_spaces(path, verbose="warning")
    parts = [f"{part['type']}: {part['nuse']} of {part['np']} points in use" for part in space]
    return [title(path, f"source space of {len(space)} parts, whole"), *parts]


def describe_codes(path: Path) -> list[str]:
    """Describe events in MNE's own form."""
    check_recording(path)
    with reading(path):
        events = mne.read_events(path, verbose="warning")
    span = f"samples: {events[:, 0].min()} to {events[:, 0].max()}" if len(events) else "no samples"
    return [title(path, f"{len(events)} events"), span, f"codes: {count_names(events[:, 2])}"]
