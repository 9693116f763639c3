"""MEG, EEG and intracranial recordings to responses, through MNE.

Every format that ``mne.io.read_raw`` opens comes in; FIF, BrainVision, EDF, BDF, EEGLAB and CTF
are first checked to be whole, because MNE reads a cut one as a shorter recording.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import LoadError, choose, require, some
from neuroalign.loaders import _epoching as epoching
from neuroalign.loaders._meg_files import check_recording
from neuroalign.loaders._mne import (
    check_samples,
    describe,
    label_channels,
    name_samples,
    pick_channels,
    reading,
    source_of,
)
from neuroalign.loaders.arrays import from_arrays
from neuroalign.loaders.events import load_events
from neuroalign.loaders.mne_objects import from_mne

mne: Any = require("mne", "meg")
PathLike = Path | str
# Samples of a continuous recording held at once in float64.
BLOCK = 1 << 16


def open_raw(recording: Any, *, projectors: bool = True, verify: bool = True) -> Any:
    """Open a recording without reading its samples.

    Parameters
    ----------
    recording : path or mne.io.BaseRaw
        An opened one passes through, and stays as it is.
    projectors : bool
        Apply the projectors (SSP) that it holds.
    verify : bool
        Compare the sizes that headers promise with those on disk.

    Returns
    -------
    mne.io.BaseRaw

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    if isinstance(recording, mne.io.BaseRaw):
        raw = recording
    else:
        path = check_recording(recording, verify=verify)
        with reading(path):
            raw = mne.io.read_raw(path, preload=False, verbose="warning")
        parts = [Path(part) for part in raw.filenames if part and Path(part) != path]
        for part in parts if path.suffix == ".fif" else ():
            check_recording(part, verify=verify)
    if not projectors or not raw.info["projs"]:
        return raw
    return (raw.copy() if raw is recording else raw).apply_proj(verbose="warning")


def _name(recording: Any) -> str:
    if isinstance(recording, mne.io.BaseRaw):
        return source_of(recording) or "recording"
    return str(recording)


def _steps(raw: Any, bad: Sequence[str]) -> list[str]:
    active = sum(bool(item["active"]) for item in raw.info["projs"])
    steps = {
        f"{active} projectors applied": active > 0,
        f"bad channels dropped: {', '.join(bad)}": bool(bad),
    }
    return [step for step, done in steps.items() if done]


def load_meg(
    recording: Any,
    *,
    window: tuple[float, float],
    events: Any = None,
    event_id: Mapping[str, int] | None = None,
    stimulus: str = "trial_type",
    baseline: tuple[float | None, float | None] | None = None,
    decimate: int = 1,
    picks: str | Sequence[str] | None = None,
    drop_bad: bool = True,
    projectors: bool = True,
    allow_dropped: bool = False,
    allow_nan: bool = False,
    run: str = "run-01",
    session: str | None = None,
    subject: str | None = None,
    dtype: str = "float32",
    verify: bool = True,
) -> xr.DataArray:
    """Load windows around events of an MEG, EEG or intracranial recording.

    Parameters
    ----------
    recording : path or mne.io.BaseRaw
        Any format of ``mne.io.read_raw``: FIF, BrainVision (.vhdr), EDF, BDF, EEGLAB (.set), CTF
        and others; or a recording that was opened, and filtered, with MNE.
    window : (float, float)
        [s] from the event, both ends included.
    events : path, DataFrame or array (event, 3), optional
        A BIDS events.tsv or a table as `load_events` gives it, with onsets from the start of the
        recording; or MNE's events, whose samples count from ``first_samp``. Annotations, or else
        the stimulus channel, when not given; annotations ``BAD...`` and ``EDGE...`` are no events.
    event_id : mapping of str to int, optional
        Names of the codes to keep. For annotations its keys are kept.
    stimulus : str
        The column of the events file that names what was shown.
    baseline : (float, float), optional
        [s]; the mean in it is subtracted, at the full rate. None at one end is the window's end.
    decimate : int
        Keep one sample of so many, time 0 included; needs a low-pass below the new Nyquist.
    picks : str or sequence of str, optional
        Channel names or types (``"eeg"``, ``"mag"``, ``"meg"``, ``"all"``); brain channels when
        not given.
    drop_bad : bool
        Drop channels marked bad; else they stay, with ``bad`` true.
    projectors : bool
        Apply the projectors (SSP) of the file.
    allow_dropped : bool
        Warn, instead of refusing, when the window of an event leaves the data or overlaps a
        ``BAD`` annotation.
    allow_nan : bool
        Warn, instead of refusing, when samples are NaN or infinite.
    run : str
    session, subject : str, optional
    dtype : str
        ``"float64"`` keeps MNE's values bit by bit.
    verify : bool
        Compare the sizes that headers promise with those on disk.

    Returns
    -------
    DataArray (sample, neuroid, time)
        In V, T and T/m; coords ``channel_type``, ``units``, ``x y z`` [mm] (NaN where unknown, in
        head coordinates) and ``bad``; attrs ``n_dropped_events``, ``highpass``, ``lowpass`` [Hz].

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Warns
    -----
    NeuroalignWarning
        When sensors lie farther than 0.3 m from the origin, as millimetres read as metres do.

    Examples
    --------
    >>> import mne
    >>> import numpy as np
    >>> import pandas as pd
    >>> info = mne.create_info(["Fz", "Cz"], 100.0, "eeg")
    >>> recording = mne.io.RawArray(np.arange(400.0).reshape(2, 200), info, verbose="error")
    >>> shown = {"onset": [0.5, 1.2], "duration": 0.1, "stimulus": ["face", "house"]}
    >>> responses = load_meg(recording, window=(-0.1, 0.3), events=pd.DataFrame(shown))
    >>> responses["stimulus"].values.tolist(), responses.shape
    (['face', 'house'], (2, 2, 41))
    """
    name = _name(recording)
    raw = open_raw(recording, projectors=projectors, verify=verify)
    if isinstance(events, str | Path):
        events = load_events(events, stimulus=stimulus)
    with reading(name):
        found = epoching.find_events(raw, events, event_id=event_id, name=name)
    offsets, keep = epoching.plan_window(window, decimate, raw.info, name)
    epoching.check_baseline(baseline, offsets, raw.info)
    used = epoching.check_windows(raw, found, offsets, allow_dropped, name)
    channels, bad = pick_channels(raw.info, picks, drop_bad, name)
    info, sfreq = mne.pick_info(raw.info, channels), float(raw.info["sfreq"])
    with reading(name):
        values = epoching.cut_windows(raw, channels, used, offsets, keep, baseline, dtype)
    check_samples(values, info, name, allow_nan)
    facts = describe(info)
    steps = [f"load_meg: {len(used)} windows of {window[0]:g} to {window[1]:g} s"]
    steps += _steps(raw, bad)
    steps += [f"baseline {baseline} s subtracted"] if baseline is not None else []
    steps += [f"decimated by {decimate}"] if decimate > 1 else []
    attrs = facts.pop("attrs") | {
        "n_dropped_events": len(found) - len(used),
        "source": source_of(raw),
        "history": "\n".join(steps),
    }
    return from_arrays(
        values,
        **(facts | {"sampling_rate": sfreq / decimate}),
        stimulus=used["stimulus"].tolist(),
        onset=used["sample"].to_numpy() / sfreq,
        duration=used["duration"].to_numpy(),
        neuroid=info.ch_names,
        time=offsets[keep] / sfreq,
        neuroid_coords=label_channels(info, name),
        attrs=attrs,
        dtype=dtype,
        **name_samples(len(used), run=run, session=session, subject=subject),
    )


def load_continuous(
    recording: Any,
    *,
    picks: str | Sequence[str] | None = None,
    drop_bad: bool = True,
    projectors: bool = True,
    allow_nan: bool = False,
    run: str = "run-01",
    session: str | None = None,
    subject: str | None = None,
    dtype: str = "float32",
    verify: bool = True,
) -> xr.DataArray:
    """Load a whole recording, one sample a time point.

    Parameters
    ----------
    recording, picks, drop_bad, projectors, allow_nan, run, session, subject, dtype, verify
        As in `load_meg`.

    Returns
    -------
    DataArray (sample, neuroid)
        ``onset`` [s] counts from the first sample of the recording, whatever ``first_samp``.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Warns
    -----
    NeuroalignWarning
        When sensors lie farther than 0.3 m from the origin, as millimetres read as metres do.

    Examples
    --------
    >>> import mne
    >>> import numpy as np
    >>> info = mne.create_info(["Fz", "Cz"], 100.0, "eeg")
    >>> recording = mne.io.RawArray(np.arange(100.0).reshape(2, 50), info, verbose="error")
    >>> responses = load_continuous(recording)
    >>> responses.shape, responses["onset"].values[-1].item()
    ((50, 2), 0.49)
    """
    name = _name(recording)
    raw = open_raw(recording, projectors=projectors, verify=verify)
    channels, bad = pick_channels(raw.info, picks, drop_bad, name)
    info, sfreq = mne.pick_info(raw.info, channels), float(raw.info["sfreq"])
    values = np.empty((raw.n_times, len(channels)), dtype=dtype)
    with reading(name):
        for start in range(0, raw.n_times, BLOCK):
            stop = min(start + BLOCK, raw.n_times)
            values[start:stop] = raw.get_data(channels, start, stop).T
    check_samples(values, info, name, allow_nan)
    facts = describe(info)
    steps = [f"load_continuous: {raw.n_times} samples at {sfreq:g} Hz", *_steps(raw, bad)]
    attrs = facts.pop("attrs") | {"source": source_of(raw), "history": "\n".join(steps)}
    return from_arrays(
        values,
        **facts,
        onset=np.arange(raw.n_times) / sfreq,
        duration=np.full(raw.n_times, 1 / sfreq),
        neuroid=info.ch_names,
        neuroid_coords=label_channels(info, name),
        attrs=attrs,
        dtype=dtype,
        **name_samples(raw.n_times, run=run, session=session, subject=subject),
    )


def _read_fif(path: Path) -> Any:
    return mne.read_epochs(path, preload=True, verbose="warning")


def _read_eeglab(path: Path) -> Any:
    return mne.read_epochs_eeglab(path, verbose="warning")


EPOCHS: dict[str, Callable[[Path], Any]] = {
    ".fif": _read_fif,
    ".gz": _read_fif,
    ".set": _read_eeglab,
}


def load_epochs(
    path: PathLike,
    *,
    stimulus: str | Sequence[str] | None = None,
    picks: str | Sequence[str] | None = None,
    drop_bad: bool = True,
    allow_nan: bool = False,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
    dtype: str = "float32",
    verify: bool = True,
) -> xr.DataArray:
    """Load epochs that were cut and saved with MNE or EEGLAB.

    Parameters
    ----------
    path : path
        ``-epo.fif`` (also gzipped), or an EEGLAB ``.set`` with trials.
    stimulus : str or sequence of str (sample,), optional
        A column of the metadata, or labels; names of ``event_id`` when not given.
    picks, drop_bad, allow_nan, run, session, subject, dtype, verify
        As in `load_meg`.

    Returns
    -------
    DataArray (sample, neuroid, time)
        With the metadata's columns as coords on ``sample``. Projectors of the file are applied.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Warns
    -----
    NeuroalignWarning
        When sensors lie farther than 0.3 m from the origin, as millimetres read as metres do.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import mne
    >>> import numpy as np
    >>> info = mne.create_info(["Fz", "Cz"], 100.0, "eeg")
    >>> values = 1e-6 * np.arange(120.0).reshape(3, 2, 20)
    >>> epochs = mne.EpochsArray(values, info, event_id={"tone": 1}, verbose="error")
    >>> with TemporaryDirectory() as folder:
    ...     _ = epochs.save(f"{folder}/sub-01-epo.fif", verbose="error")
    ...     load_epochs(f"{folder}/sub-01-epo.fif")["stimulus"].values.tolist()
    ['tone', 'tone', 'tone']
    """
    path = check_recording(path, verify=verify)
    if path.is_dir() or path.suffix.lower() not in EPOCHS:
        raise LoadError(
            f"{path}: expected epochs in one of {list(EPOCHS)}, got another ending. "
            "Read a continuous recording with load_meg."
        )
    # Epochs that lack are said below.
    with reading(path, idle=("Epochs-object is empty",)):
        epochs = choose(EPOCHS, path.suffix.lower(), "path")(path)
    if not len(epochs):
        causes = sorted({cause for log in epochs.drop_log for cause in log})
        raise LoadError(
            f"{path}: expected one good epoch or more, got 0 of {len(epochs.drop_log)} (dropped "
            f"for {some(causes) or 'no cause given'}). Reject fewer when cutting them."
        )
    channels, bad = pick_channels(epochs.info, picks, drop_bad, path)
    epochs = epochs.pick(channels, exclude=())
    check_samples(epochs.get_data(copy=False), epochs.info, path, allow_nan)
    responses = from_mne(
        epochs, stimulus=stimulus, run=run, session=session, subject=subject, dtype=dtype
    )
    steps = [f"load_epochs: {len(epochs)} epochs", *_steps(epochs, bad)]
    return responses.assign_attrs(history="\n".join(steps), source=path.name)
