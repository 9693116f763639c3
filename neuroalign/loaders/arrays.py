"""Bare arrays and their labels to responses and features."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import NeuroalignWarning, SchemaError, choose, some
from neuroalign.schema import (
    MODALITIES,
    SCHEMA_VERSION,
    as_labels,
    check_features,
    check_responses,
)

LABELS = ("stimulus", "run", "session", "subject", "roi", "hemisphere", "neuroid")
PLACES = ("roi", "hemisphere")
SECONDS = ("onset", "duration", "time")
# Beyond these [s] numbers are rather milliseconds: a response to one event, a run of a day.
LONGEST = {"time": 30.0, "onset": 1e5}
Values = Sequence[Any] | npt.NDArray[Any]


def _coords(named: Mapping[str, Values | None], dim: str, size: int) -> dict[str, Any]:
    """Check the length of each label and turn names into strings."""
    coords: dict[str, Any] = {}
    for name, values in named.items():
        if values is None:
            continue
        if isinstance(values, Mapping | set | frozenset):
            raise SchemaError(
                f"{name}: expected one label for each {dim}, got a {type(values).__name__} "
                f"({some(values)}). Give a list of {size}, in the order of the {dim}s."
            )
        # An array of text is checked with the whole; for a long recording once is enough.
        text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
        column = _texts(values, name) if name in LABELS and not text else np.asarray(values)
        if column.shape != (size,):
            raise SchemaError(
                f"{name}: expected {size} values (one for each {dim}), got shape {column.shape}. "
                f"Give every {dim} its {name}."
            )
        if name in SECONDS and column.dtype.kind not in "uif":
            raise SchemaError(f"{name}: expected seconds, got {column.dtype}. Convert to numbers.")
        if name == "onset":
            _warn_long(name, column)
        coords[name] = (dim, column)
    return coords


def _warn_long(name: str, column: npt.NDArray[Any]) -> None:
    """Say so when times are too long to be seconds."""
    longest = float(np.nanmax(np.abs(column), initial=0.0))
    if longest > LONGEST[name]:
        since = "the event" if name == "time" else "the start of the run"
        warnings.warn(
            f"{name}: expected seconds from {since}, got up to {longest:g}. Divide milliseconds "
            "by 1000.",
            NeuroalignWarning,
            stacklevel=3 if name == "time" else 4,
        )


def _check_turned(
    array: npt.NDArray[Any], samples: Mapping[str, Any], columns: Mapping[str, Any]
) -> None:
    """Say so when labels fit the other axis: recordings often come as (channel, trial)."""
    n_rows, n_columns = array.shape[:2]
    rows = {np.size(labels) for labels in samples.values() if labels is not None}
    across = {np.size(labels) for labels in columns.values() if labels is not None}
    if n_rows != n_columns and rows == {n_columns} and across <= {n_rows}:
        turned = "values.T" if array.ndim == 2 else "values.swapaxes(0, 1)"
        raise SchemaError(
            f"values: expected one row for each of {n_columns} samples, got shape {array.shape}, "
            f"whose second axis they fit. Pass {turned}."
        )


def _check_modality(modality: str) -> None:
    """Refuse a modality that is none, and name the one that is meant."""
    meant = str(modality).casefold()
    if modality not in MODALITIES and meant in MODALITIES:
        raise ValueError(
            f"modality: expected one of {', '.join(map(repr, MODALITIES))}, got '{modality}'. "
            f"Did you mean '{meant}'?"
        )
    choose(dict.fromkeys(MODALITIES), modality, "modality")


def _numbers(values: Any, dims: Sequence[str], dtype: str) -> npt.NDArray[Any]:
    """Take real numbers of the dims that are meant, without losing any on the way."""
    if isinstance(values, xr.DataArray):
        wanted = tuple(dims)[: values.ndim]
        if any(dim in dims for dim in values.dims) and values.dims != wanted:
            raise SchemaError(
                f"values: expected dims {wanted}, got {values.dims}. Transpose it first."
            )
        values = values.values
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise SchemaError(f"values: expected real numbers, got dtype {array.dtype}. Convert them.")
    if array.dtype == dtype:
        return array.copy()
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if np.isinf(converted).any() and not np.isinf(array).any():
        raise SchemaError(
            f"values: expected numbers within {dtype}, got up to {np.nanmax(np.abs(array)):g}. "
            "Rescale them, or pass dtype='float64'."
        )
    return converted


def _texts(values: Values, name: str) -> npt.NDArray[Any]:
    """Check labels; a neuroid may lie in no region and in no hemisphere, which is ''."""
    if name not in PLACES:
        return as_labels(values, name)
    items = np.asarray(values, dtype=object).ravel().tolist()
    column = as_labels(["-" if item == "" else item for item in items], name)
    column[[item == "" for item in items]] = ""
    return column


def _number_repeats(stimulus: Values) -> npt.NDArray[np.integer[Any]]:
    labels = pd.Series(as_labels(stimulus, "stimulus"))
    return labels.groupby(labels).cumcount().to_numpy()


def from_arrays(
    values: Any,
    *,
    modality: str,
    stimulus: Values | None = None,
    run: Values | None = None,
    onset: Values | None = None,
    duration: Values | None = None,
    session: Values | None = None,
    subject: Values | None = None,
    repeat: Values | None = None,
    neuroid: Values | None = None,
    roi: Values | None = None,
    time: Values | None = None,
    units: str = "a.u.",
    sampling_rate: float | None = None,
    sample_coords: Mapping[str, Values] | None = None,
    neuroid_coords: Mapping[str, Values] | None = None,
    attrs: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> xr.DataArray:
    """Label an array of responses.

    Parameters
    ----------
    values : array (sample, neuroid) or (sample, neuroid, time)
    modality : {"fmri", "meg", "eeg", "ieeg", "spikes", "calcium", "behaviour", "model"}
    stimulus, run, session, subject : sequence of str (sample,), optional
        ``stimulus``, or ``run`` with ``onset``, is required.
    onset, duration : sequence of float (sample,), optional
        [s], onset from the start of the run.
    repeat : sequence of int (sample,), optional
        Counted from 0 for each stimulus when not given.
    neuroid, roi : sequence of str (neuroid,), optional
        '' is no region. Neuroids are named ``neuroid-0000`` and so on when not given.
    time : sequence of float (time,), optional
        [s] from stimulus onset; required with three dims.
    units : str
    sampling_rate : float, optional
        [Hz]
    sample_coords, neuroid_coords : mapping of str to sequence, optional
        More coords.
    attrs : mapping, optional
    dtype : str

    Returns
    -------
    DataArray (sample, neuroid) or (sample, neuroid, time)

    Raises
    ------
    SchemaError
        When lengths differ or labels are missing.
    ValueError
        When the modality is unknown.

    Warns
    -----
    NeuroalignWarning
        When ``time`` goes beyond 30 s (and `sampling_rate` does not fit its steps), or ``onset``
        beyond 100 000 s, as milliseconds do.

    Examples
    --------
    >>> import numpy as np
    >>> responses = from_arrays(
    ...     np.zeros((4, 2)), modality="fmri", stimulus=["cat", "dog"] * 2, roi=["V1", "V2"]
    ... )
    >>> responses.dims, responses["repeat"].values.tolist()
    (('sample', 'neuroid'), [0, 0, 1, 1])
    """
    _check_modality(modality)
    array = _numbers(values, ("sample", "neuroid", "time"), dtype)
    if array.ndim not in (2, 3):
        raise SchemaError(
            f"values: expected 2 dims (sample, neuroid) or 3 with time, got shape {array.shape}. "
            "Reshape it."
        )
    n_samples, n_neuroids = array.shape[:2]
    _check_turned(array, {"stimulus": stimulus, "run": run, "onset": onset}, {"neuroid": neuroid})
    if repeat is None and stimulus is not None:
        repeat = _number_repeats(stimulus)
    if neuroid is None:
        neuroid = [f"neuroid-{index:04d}" for index in range(n_neuroids)]
    samples = dict(
        stimulus=stimulus,
        run=run,
        onset=onset,
        duration=duration,
        session=session,
        subject=subject,
        repeat=repeat,
        **(sample_coords or {}),
    )
    coords = _coords(samples, "sample", n_samples)
    coords |= _coords(
        {"neuroid": neuroid, "roi": roi, **(neuroid_coords or {})}, "neuroid", n_neuroids
    )
    if array.ndim == 3:
        if time is None:
            raise SchemaError("time: expected times [s] for 3-D values, got none. Pass time=.")
        coords |= _coords({"time": time}, "time", array.shape[2])
        moments = coords["time"][1]
        # A rate that fits the steps says that they are seconds, however long the trial.
        if sampling_rate is None or not np.allclose(np.diff(moments) * sampling_rate, 1.0, 1e-3):
            _warn_long("time", moments)
    known: dict[str, Any] = {
        "kind": "responses",
        "modality": modality,
        "units": units,
        "schema_version": SCHEMA_VERSION,
    }
    if sampling_rate is not None:
        known["sampling_rate"] = float(sampling_rate)
    dims = ("sample", "neuroid", "time")[: array.ndim]
    labelled = xr.DataArray(array, dims=dims, coords=coords, attrs={**known, **(attrs or {})})
    return check_responses(labelled)


def features_from_arrays(
    values: Any,
    *,
    stimulus: Values | None = None,
    run: Values | None = None,
    onset: Values | None = None,
    duration: Values | None = None,
    space: Values | None = None,
    model: str = "",
    layer: str = "",
    dtype: str = "float32",
) -> xr.DataArray:
    """Label an array of stimulus features.

    Parameters
    ----------
    values : array (sample, feature)
    stimulus, run : sequence of str (sample,), optional
    onset, duration : sequence of float (sample,), optional
        [s]
    space : sequence of str (feature,), optional
        Feature space of each column, for banded models.
    model, layer : str
    dtype : str

    Returns
    -------
    DataArray (sample, feature)

    Raises
    ------
    SchemaError
        When lengths differ or labels are missing.

    Examples
    --------
    >>> values = [[1.0, 0.0], [0.5, 2.0]]
    >>> features = features_from_arrays(values, stimulus=["cat", "dog"], layer="fc")
    >>> features.dims, features.attrs["layer"]
    (('sample', 'feature'), 'fc')
    """
    array = _numbers(values, ("sample", "feature"), dtype)
    if array.ndim != 2:
        raise SchemaError(
            f"values: expected (sample, feature), got shape {array.shape}. Reshape it."
        )
    _check_turned(array, {"stimulus": stimulus, "run": run, "onset": onset}, {"space": space})
    samples = {"stimulus": stimulus, "run": run, "onset": onset, "duration": duration}
    coords = _coords(samples, "sample", len(array))
    if space is not None:
        coords |= _coords({"space": as_labels(space, "space")}, "feature", array.shape[1])
    attrs = {"kind": "features", "model": model, "layer": layer, "schema_version": SCHEMA_VERSION}
    return check_features(
        xr.DataArray(array, dims=("sample", "feature"), coords=coords, attrs=attrs)
    )
