"""Bring features on their own clock (events, frames, words) to the samples of the responses.

Every run is worked alone: what happens in one run never reaches the samples of the next.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._hrf import HRFS, weigh_events
from neuroalign.errors import AlignError, choose, some
from neuroalign.schema import add_history, check_features, check_responses

Array = npt.NDArray[Any]
Weigh = Callable[[Array, Array, Array, Array], Array]


def convolve_hrf(
    features: xr.DataArray, responses: xr.DataArray, *, hrf: str = "glover", lag: float = 0.0
) -> xr.DataArray:
    """Predict the haemodynamic course of features at the onset of each response sample.

    Parameters
    ----------
    features : DataArray (sample, feature)
        Held constant from ``onset`` for ``duration`` [s] within ``run``: events (see
        `events_to_features`), video frames or volumes. Zero duration: an impulse of area 1 s.
    responses : DataArray (sample, neuroid)
        With ``run`` and ``onset``; gives the times, nothing else.
    hrf : {"glover", "spm"}
        Scaled to area 1, so that a feature that stays at 1 converges to 1.
    lag : float
        [s] added to the onsets of the features; negative when events are marked too late.
        See `estimate_lag`.

    Returns
    -------
    DataArray (sample, feature)
        Row by row the samples of the responses. Computed in closed form, without a time grid.

    Raises
    ------
    AlignError
        When times are missing, or a run has no event that reaches it.
    SchemaError, ValueError

    References
    ----------
    Glover (1999), NeuroImage 9, 416-429, doi:10.1006/nimg.1998.0419.

    Examples
    --------
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> flash = features_from_arrays([[1.0]], run=["run-01"], onset=[4.0], duration=[2.0])
    >>> volumes = from_arrays(
    ...     np.zeros((10, 1)), modality="fmri", run=["run-01"] * 10, onset=np.arange(10) * 2.0
    ... )
    >>> int(convolve_hrf(flash, volumes).values.argmax())  # the peak, 6 s after the flash
    5
    """
    shape = choose(HRFS, hrf, "hrf")

    def weigh(times: Array, _length: Array, onset: Array, duration: Array) -> Array:
        return weigh_events(times, onset, duration, shape)

    result = _spread(features, responses, weigh, ("onset",), lag)
    return add_history(result, f"convolve_hrf: {hrf}, lag {lag:g} s").assign_attrs(hrf=hrf, lag=lag)


def resample_features(
    features: xr.DataArray, responses: xr.DataArray, *, lag: float = 0.0
) -> xr.DataArray:
    """Average features over the duration of each response sample.

    Parameters
    ----------
    features : DataArray (sample, feature)
        Held constant from ``onset`` for ``duration`` [s] within ``run``; 0 where none is on. Zero
        duration: an impulse of area 1 s.
    responses : DataArray (sample, neuroid[, time])
        With ``run``, ``onset`` and ``duration``.
    lag : float
        [s] added to the onsets of the features.

    Returns
    -------
    DataArray (sample, feature)
        Row by row the samples of the responses.

    Raises
    ------
    AlignError
        When times are missing, or a run has no event that reaches it.
    SchemaError
    """
    result = _spread(features, responses, _overlap, ("onset", "duration"), lag)
    return add_history(result, f"resample_features: lag {lag:g} s").assign_attrs(lag=lag)


def _overlap(times: Array, length: Array, onset: Array, duration: Array) -> Array:
    """Give the share of each sample in which each event is on."""
    start = np.maximum(times[:, None], onset)
    stop = np.minimum((times + length)[:, None], onset + duration)
    share = np.clip(stop - start, 0, None) / length[:, None]
    instant = duration == 0
    inside = (onset >= times[:, None]) & (onset < (times + length)[:, None])
    share[:, instant] = (inside / length[:, None])[:, instant]
    return np.asarray(share)


def check_timed(array: xr.DataArray, name: str, coords: tuple[str, ...]) -> None:
    """Check that samples know their run and times, and that these are finite.

    Raises
    ------
    AlignError
    """
    for coord in ("run", *coords):
        if coord not in array.coords or array[coord].dims != ("sample",):
            raise AlignError(
                f"{name}: expected coord '{coord}' on 'sample', got {some(array.coords)}. "
                "Say when each sample happened: run, onset [s] and duration [s]."
            )
    for coord in coords:
        values = array[coord].values
        bad = np.flatnonzero(~np.isfinite(values) | ((values < 0) & (coord == "duration")))
        if len(bad):
            raise AlignError(
                f"{name}: expected {coord} in seconds, got {values[bad[0]]} in row {bad[0]} "
                f"({len(bad)} of {len(values)} rows). Correct or drop them."
            )


def _spread(
    features: xr.DataArray,
    responses: xr.DataArray,
    weigh: Weigh,
    clock: tuple[str, ...],
    lag: float,
) -> xr.DataArray:
    """Weigh the features of each run into its samples."""
    if not isinstance(lag, int | float | np.number):
        raise ValueError(
            f"lag: expected a number of seconds, got {type(lag).__name__}. "
            "Of estimate_lag, take attrs['lag']."
        )
    check_features(features)
    check_responses(responses)
    if features.dims != ("sample", "feature"):
        raise AlignError(
            f"features: expected dims ('sample', 'feature'), got {features.dims}. "
            "Average over tokens or times first."
        )
    check_timed(features, "features", ("onset", "duration"))
    check_timed(responses, "responses", clock)
    values = features.values
    spread = np.zeros((responses.sizes["sample"], values.shape[1]), dtype=values.dtype)
    length = responses["duration"].values if "duration" in clock else responses["onset"].values
    for run in np.unique(responses["run"].values):
        rows = np.flatnonzero(responses["run"].values == run)
        events = np.flatnonzero(features["run"].values == run)
        if not len(events):
            raise AlignError(
                f"features: expected run '{run}' of responses, got runs "
                f"{some(np.unique(features['run'].values))}. Name runs alike on both sides."
            )
        times = responses["onset"].values[rows].astype(np.float64)
        onset = features["onset"].values[events].astype(np.float64) + lag
        duration = features["duration"].values[events].astype(np.float64)
        weights = weigh(times, length[rows], onset, duration)
        if not weights.any():
            raise AlignError(
                f"features: expected times that reach run '{run}' ({times.min():g} to "
                f"{times.max():g} s), got {onset.min():g} to {(onset + duration).max():g} s. "
                "Count onsets in seconds from the start of the run."
            )
        spread[rows] = (weights @ values[events]).astype(values.dtype)
    kept = {
        name: coord
        for name, coord in features.coords.items()
        if "sample" not in coord.dims and name not in responses.coords
    }
    kept |= {name: coord for name, coord in responses.coords.items() if coord.dims == ("sample",)}
    return xr.DataArray(spread, kept, features.dims, attrs=features.attrs)
