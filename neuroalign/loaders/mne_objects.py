"""MNE's objects to responses and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, SchemaError, require, some
from neuroalign.loaders._mne import FRAMES, describe, label_channels, name_samples, source_of
from neuroalign.loaders.arrays import from_arrays
from neuroalign.schema import as_labels, check_responses

mne: Any = require("mne", "meg")
Array = npt.NDArray[Any]
# Coords that the schema owns: a metadata column of such a name gets a prefix.
OWNED = {"stimulus", "repeat", "run", "session", "subject", "onset", "duration", "time"}
OWNED |= {"sample", "neuroid", "event_sample", "event_code", "valid"}
CHANNEL = {"meg": "mag", "eeg": "eeg", "ieeg": "seeg"}


def _plain_column(column: Any) -> Array:
    """Numbers as they are; anything else as text, with 'n/a' where it is missing."""
    if column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype):
        return np.asarray(column.to_numpy())
    return np.array(["n/a" if pd.isna(item) else str(item) for item in column], dtype=np.str_)


def _read_metadata(metadata: Any) -> dict[str, Array]:
    if metadata is None:
        return {}
    names = {str(name): str(name).replace("/", "_") for name in metadata.columns}
    return {
        f"metadata_{plain}" if plain in OWNED else plain: _plain_column(metadata[name])
        for name, plain in names.items()
    }


def _name_epochs(epochs: Any, stimulus: str | Sequence[str] | None) -> list[str]:
    if stimulus is None:
        names: dict[int, str] = {}
        for label, code in epochs.event_id.items():
            if code in names:
                raise LoadError(
                    f"event_id: expected one name a code, got '{names[code]}' and '{label}' for "
                    f"{code}. Pass stimulus=."
                )
            names[int(code)] = str(label)
        return [names[int(code)] for code in epochs.events[:, 2]]
    if isinstance(stimulus, str):
        if epochs.metadata is None or stimulus not in epochs.metadata:
            columns = [] if epochs.metadata is None else list(epochs.metadata.columns)
            raise LoadError(
                f"stimulus: expected a column of the metadata, got '{stimulus}'. "
                f"Columns: {some(columns) or 'none'}."
            )
        return [str(item) for item in as_labels(epochs.metadata[stimulus].tolist(), stimulus)]
    return list(stimulus)


def _from_epochs(epochs: Any, stimulus: Any) -> tuple[Array, dict[str, Any]]:
    values = epochs.get_data(copy=False)
    extra = {"event_sample": epochs.events[:, 0], "event_code": epochs.events[:, 2]}
    return values, {
        "stimulus": _name_epochs(epochs, stimulus),
        "time": epochs.times,
        "sample_coords": extra | _read_metadata(epochs.metadata),
    }


def _from_evokeds(evokeds: Sequence[Any], stimulus: Any) -> tuple[Array, dict[str, Any]]:
    first = evokeds[0]
    for number, evoked in enumerate(evokeds):
        if evoked.ch_names != first.ch_names or not np.array_equal(evoked.times, first.times):
            raise LoadError(
                f"inst: expected the channels and times of '{first.comment}' in all, got others "
                f"in number {number} ('{evoked.comment}'). Pick and crop them alike."
            )
    names = [evoked.comment or f"evoked-{n:02d}" for n, evoked in enumerate(evokeds)]
    return np.array([evoked.data for evoked in evokeds]), {
        "stimulus": names if stimulus is None else list(stimulus),
        "time": first.times,
        "sample_coords": {"n_averages": [int(evoked.nave) for evoked in evokeds]},
    }


def _from_raw(raw: Any, stimulus: Any) -> tuple[Array, dict[str, Any]]:
    seconds = 1 / raw.info["sfreq"]
    return raw.get_data().T, {
        "stimulus": None if stimulus is None else list(stimulus),
        "onset": np.arange(raw.n_times) / raw.info["sfreq"],
        "duration": np.full(raw.n_times, seconds),
    }


def from_mne(
    inst: Any,
    *,
    stimulus: str | Sequence[str] | None = None,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
    dtype: str = "float32",
) -> xr.DataArray:
    """Turn epochs, averages or a recording of MNE into responses.

    Parameters
    ----------
    inst : mne.Epochs, mne.Evoked, sequence of mne.Evoked, or mne.io.Raw
        All its channels are taken: pick before.
    stimulus : str or sequence of str (sample,), optional
        For epochs a column of the metadata, or labels; names of ``event_id`` when not given.
        Averages are named by their comments.
    run, session, subject : str, optional
        The same for all samples; a recording is ``run-01`` when not named.
    dtype : str
        ``"float64"`` keeps the values bit by bit.

    Returns
    -------
    DataArray (sample, neuroid, time), or (sample, neuroid) of a recording
        In V, T and T/m. Epochs have coords ``event_sample``, ``event_code`` and their metadata;
        no ``onset``, because epochs do not know when their recording began. Averages have
        ``n_averages``.

    Raises
    ------
    LoadError, SchemaError

    Warns
    -----
    NeuroalignWarning
        When sensors lie farther than 0.3 m from the origin, as millimetres read as metres do.

    Examples
    --------
    >>> import mne
    >>> import numpy as np
    >>> info = mne.create_info(["Fz", "Cz"], 100.0, "eeg")
    >>> epochs = mne.EpochsArray(np.ones((3, 2, 20)), info, event_id={"tone": 1}, verbose="error")
    >>> responses = from_mne(epochs)
    >>> responses.shape, responses["stimulus"].values.tolist()
    ((3, 2, 20), ['tone', 'tone', 'tone'])
    """
    listed = isinstance(inst, list | tuple)
    first = inst[0] if listed and inst else inst
    if isinstance(first, mne.BaseEpochs) and not listed:
        values, known = _from_epochs(inst, stimulus)
    elif isinstance(first, mne.Evoked):
        values, known = _from_evokeds(inst if listed else [inst], stimulus)
    elif isinstance(first, mne.io.BaseRaw) and not listed:
        values, known = _from_raw(inst, stimulus)
        run = run or "run-01"
    else:
        raise LoadError(
            f"inst: expected Epochs, Evoked, a list of Evoked or Raw of MNE, "
            f"got {type(first).__name__}. Read a file with load_meg or load_epochs."
        )
    facts = describe(first.info)
    attrs = facts.pop("attrs") | {"history": f"from_mne: {type(first).__name__}"}
    source = source_of(first)
    return from_arrays(
        values,
        **facts,
        **known,
        neuroid=first.ch_names,
        neuroid_coords=label_channels(first.info, source or "inst"),
        attrs=attrs | ({"source": source} if source else {}),
        dtype=dtype,
        **name_samples(len(values), run=run, session=session, subject=subject),
    )


def _make_info(responses: xr.DataArray, sfreq: float) -> Any:
    """Channels with types, positions and bad ones; a sensor's direction is not known."""
    names = [str(name) for name in responses["neuroid"].values]
    default = CHANNEL.get(str(responses.attrs.get("modality", "")), "misc")
    kinds: Any = (
        responses["channel_type"].values.tolist() if "channel_type" in responses.coords else default
    )
    info = mne.create_info(names, sfreq, kinds, verbose="warning")
    if {"x", "y", "z"} <= set(responses.coords):
        places = np.stack([responses[axis].values for axis in "xyz"], axis=1) / 1000
        known = {name: code for code, name in FRAMES.items()}
        frame = known.get(str(responses.attrs.get("space", "")), known["head"])
        for channel, place in zip(info["chs"], places, strict=True):
            if np.isfinite(place).all():
                channel["loc"][:3], channel["coord_frame"] = place, frame
    if "bad" in responses.coords:
        info["bads"] = [
            name for name, bad in zip(names, responses["bad"].values, strict=True) if bad
        ]
    edges = {
        edge: float(responses.attrs[edge])
        for edge in ("highpass", "lowpass")
        if edge in responses.attrs
    }
    # Positions are on the head already, so sensors need no move from the helmet.
    return mne.Info({**info, **edges, "dev_head_t": mne.Transform("meg", "head")})


def _make_events(responses: xr.DataArray, n_times: int) -> tuple[Array, dict[str, int]]:
    labels = responses["stimulus"].values.tolist()
    names = list(dict.fromkeys(labels))
    event_id = {name: number + 1 for number, name in enumerate(names)}
    if "event_code" in responses.coords:
        pairs = dict(zip(labels, responses["event_code"].values.tolist(), strict=True))
        whole = [pairs[label] for label in labels] == responses["event_code"].values.tolist()
        # Codes come back only where each names one stimulus.
        if whole and len(set(pairs.values())) == len(pairs):
            event_id = {name: int(code) for name, code in pairs.items()}
    place = np.arange(len(labels)) * n_times
    if "event_sample" in responses.coords:
        own = responses["event_sample"].values
        # MNE wants each at its own time, one after the other.
        place = own if (np.diff(own) > 0).all() else place
    codes = [event_id[label] for label in labels]
    return np.column_stack([place, np.zeros(len(labels)), codes]).astype(int), event_id


def to_mne(responses: xr.DataArray) -> Any:
    """Turn responses into epochs of MNE, float64.

    Parameters
    ----------
    responses : DataArray (sample, neuroid, time)
        In V, T and T/m, as the loaders give them; evenly spaced times.

    Returns
    -------
    mne.EpochsArray
        The same values, bit by bit when ``responses`` are float64 (save with ``fmt="double"`` to
        keep them); stimuli as ``event_id``; all coords on ``sample`` as metadata. Positions come
        back, but not the directions of MEG sensors: take the ``info`` of the recording for source
        estimates.

    Raises
    ------
    SchemaError
        When there is no ``time`` or no ``stimulus``, or times are uneven.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> from neuroalign.loaders import simulate_linear
    >>> names = {"channel_type": ["eeg", "eeg"]}
    >>> values = 1e-6 * np.random.default_rng(0).normal(size=(3, 2, 20))
    >>> responses = from_arrays(
    ...     values, modality="eeg", stimulus=["a", "b", "a"], time=np.arange(20) / 100, units="V"
    ... )
    >>> to_mne(responses)["a"].get_data().shape
    (2, 2, 20)
    """
    check_responses(responses)
    missing = [name for name in ("time", "stimulus") if name not in responses.coords]
    if missing or "time" not in responses.dims:
        raise SchemaError(
            f"responses: expected dims (sample, neuroid, time) with 'stimulus', got "
            f"{responses.dims} without {missing}. Load epochs with load_meg."
        )
    time = responses["time"].values
    steps = np.diff(time)
    if not len(steps) or np.ptp(steps) > 1e-6 * steps.mean():
        raise SchemaError("responses: expected evenly spaced 'time' [s]. Resample it first.")
    sfreq = float(responses.attrs.get("sampling_rate", 1 / steps.mean()))
    if abs(sfreq * steps.mean() - 1) > 1e-3:
        raise SchemaError(
            f"responses: expected attrs['sampling_rate'] of 'time' ({1 / steps.mean():g} Hz), got "
            f"{sfreq:g} Hz. Correct it."
        )
    events, event_id = _make_events(responses, len(time))
    columns = {
        str(name): coord.values
        for name, coord in responses.coords.items()
        if coord.dims == ("sample",)
    }
    return mne.EpochsArray(
        np.asarray(responses.values, dtype=np.float64),
        _make_info(responses, sfreq),
        events=events,
        tmin=float(time[0]),
        event_id=event_id,
        metadata=pd.DataFrame(columns),
        baseline=None,
        proj=False,
        verbose="warning",
    )
