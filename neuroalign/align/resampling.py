"""Bring features on their own clock (events, frames, words) to the samples of the responses.

Every run is worked alone: what happens in one run never reaches the samples of the next.
To add a way to resample: a function of times to weights, and its row in ``RESAMPLERS``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._hrf import HRFS, weigh_events
from neuroalign.errors import AlignError, choose, some
from neuroalign.schema import add_history, check_features, check_responses

Array = npt.NDArray[Any]
Weigh = Callable[[Array, Array, Array, Array], Array]
# Of the largest sum of weights: samples below lie outside the features, where sums are side lobes.
LEAST_COVER = 0.1
# The unit of impulses of area 1 s.
RATE = "1/s"


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

    result = spread(features, responses, weigh, ("onset",), lag)
    return add_history(result, f"convolve_hrf: {hrf}, lag {lag:g} s").assign_attrs(hrf=hrf, lag=lag)


def resample(
    features: xr.DataArray,
    responses: xr.DataArray,
    *,
    method: str = "mean",
    lag: float = 0.0,
    window: int = 3,
    normalize: bool = False,
    fill: float = 0.0,
) -> xr.DataArray:
    """Bring features (frames, words, events) to the samples of the responses, run by run.

    Parameters
    ----------
    features : DataArray (sample, feature)
        With ``run``, ``onset`` and ``duration`` [s].
    responses : DataArray (sample, neuroid[, time])
        With ``run``, ``onset`` and ``duration``. The duration of a sample is its share of time
        (the TR of volumes).
    method : {"mean", "last", "lanczos"}
        "mean": average over the duration of the sample of features held constant while they are
        on, 0 while none is; zero duration: an impulse of area 1 s.
        "last": the last feature whose onset lies before the end of the sample, however long ago;
        of several with one onset, the last row.
        "lanczos": sum of the features, each an impulse in the middle of its duration, weighted by
        a low-pass Lanczos kernel around the middle of the sample. Its cutoff is half the rate of
        the responses, 1 / (2 duration).
    lag : float
        [s] added to the onsets of the features.
    window : int
        Lobes of the Lanczos kernel on each side: it ends ``window`` durations away.
    normalize : bool
        For "lanczos". False: the plain sum, so that more words in a sample give more (words at
        irregular times). True: weights divided by their sum, so that a constant stays itself
        (frames at regular times); samples whose sum is below a tenth of the largest of the run,
        which the features hardly reach, get ``fill``.
    fill : float
        Value of the samples that no feature reaches (before the first, for "last"): 0, or NaN.

    Returns
    -------
    DataArray (sample, feature)
        Row by row the samples of the responses. ``attrs["units"]``, where features have one, is
        that of the result: impulses (``features.word_rate``, "1/s") are "1/s" by "mean",
        "1/sample" by the plain sum of "lanczos", and "1" where weights sum to one.

    Raises
    ------
    AlignError
        When times are missing, a response has no duration, or a run has no event that reaches it.
    SchemaError, ValueError

    Notes
    -----
    ``w(u) = sinc(u) sinc(u / window)`` for ``|u| <= window`` and else 0, with ``u`` the distance
    in durations and ``sinc(u) = sin(pi u) / (pi u)``. A sharp kernel near the cutoff: half the
    amplitude passes there. LeBel et al. centre the kernel on the onset of the volume; for that, add
    half the duration of a sample to ``lag``.

    References
    ----------
    Duchon (1979), J. Appl. Meteorology 18, 1016-1022 (Lanczos filter).
    LeBel et al. (2023), Scientific Data 10, 555 (words to volumes: three lobes, plain sum).

    Examples
    --------
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> words = features_from_arrays(
    ...     [[1.0], [5.0]], run=["run-01"] * 2, onset=[0.2, 2.5], duration=[0.3, 0.4]
    ... )
    >>> volumes = from_arrays(
    ...     np.zeros((3, 1)), modality="fmri", run=["run-01"] * 3, onset=[0.0, 2.0, 4.0],
    ...     duration=[2.0] * 3,
    ... )
    >>> resample(words, volumes, method="last").values[:, 0].tolist()
    [1.0, 5.0, 5.0]
    """
    weigh = choose(RESAMPLERS, method, "method")
    if not isinstance(window, int | np.integer) or window < 1:
        raise ValueError(f"window: expected a number of lobes from 1 on, got {window}. Use 3.")
    weigh = partial(weigh, window=int(window), normalize=normalize)
    result = spread(features, responses, weigh, ("onset", "duration"), lag, fill)
    chosen = f", {window} lobes, normalize={normalize}" if method == "lanczos" else ""
    text = f"resample: {method}{chosen}, lag {lag:g} s"
    result = _name_units(result, method == "lanczos" and not normalize, method == "mean")
    return add_history(result, text).assign_attrs(lag=lag, resampling=method)


def _name_units(result: xr.DataArray, summed: bool, averaged: bool) -> xr.DataArray:
    """Correct the units: a sum over a sample is no rate, nor is the value of one impulse."""
    units = str(result.attrs.get("units", ""))
    if not units or averaged:
        return result
    if units == RATE:
        return result.assign_attrs(units="1/sample" if summed else "1")
    return result.assign_attrs(units=f"{units}, summed over a sample") if summed else result


def _average(
    times: Array, length: Array, onset: Array, duration: Array, *, window: int, normalize: bool
) -> Array:
    """Give the share of each sample in which each event is on."""
    start = np.maximum(times[:, None], onset)
    stop = np.minimum((times + length)[:, None], onset + duration)
    share = np.clip(stop - start, 0, None) / length[:, None]
    instant = duration == 0
    inside = (onset >= times[:, None]) & (onset < (times + length)[:, None])
    share[:, instant] = (inside / length[:, None])[:, instant]
    return np.asarray(share)


def _hold_last(
    times: Array, length: Array, onset: Array, duration: Array, *, window: int, normalize: bool
) -> Array:
    """Give all weight to the last event that began before the end of the sample."""
    order = np.argsort(onset, kind="stable")
    rank = np.searchsorted(onset[order], times + length, side="left") - 1
    weights = np.zeros((len(times), len(onset)))
    known = np.flatnonzero(rank >= 0)
    weights[known, order[rank[known]]] = 1
    return weights


def _low_pass(
    times: Array, length: Array, onset: Array, duration: Array, *, window: int, normalize: bool
) -> Array:
    """Weigh events by a Lanczos kernel around the middle of each sample."""
    middle = times + length / 2
    distance = (middle[:, None] - (onset + duration / 2)) / length[:, None]
    weights = np.sinc(distance) * np.sinc(distance / window)
    weights[np.abs(distance) > window] = 0
    if normalize:
        total = weights.sum(1)
        reached = total > LEAST_COVER * total.max()
        weights[~reached] = 0
        weights[reached] /= total[reached, None]
    return np.asarray(weights)


RESAMPLERS: dict[str, Callable[..., Array]] = {
    "mean": _average,
    "last": _hold_last,
    "lanczos": _low_pass,
}


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


def spread(
    features: xr.DataArray,
    responses: xr.DataArray,
    weigh: Weigh,
    clock: tuple[str, ...],
    lag: float,
    fill: float = 0.0,
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
    if "duration" in clock and not (responses["duration"].values > 0).all():
        raise AlignError(
            "responses: expected durations above 0 s, got 0. Give each sample its share of time, "
            "the TR of volumes."
        )
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
        spread[rows[~weights.any(1)]] = fill
    kept = {
        name: coord
        for name, coord in features.coords.items()
        if "sample" not in coord.dims and name not in responses.coords
    }
    kept |= {name: coord for name, coord in responses.coords.items() if coord.dims == ("sample",)}
    return xr.DataArray(spread, kept, features.dims, attrs=features.attrs)
