"""Designs with a free response shape: each feature through several functions, side by side.

To add a function of the haemodynamic response: one of (times, onset, duration, shape) that gives
weights (sample, event), and its row in ``BASES``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._hrf import HRFS, DoubleGamma, weigh_events
from neuroalign.align.resampling import resample, spread
from neuroalign.errors import choose
from neuroalign.schema import add_history

Array = npt.NDArray[Any]
# Steps of the differences that stand for derivatives: [s], and a share of the dispersion's unit.
TIME_STEP, DISPERSION_STEP = 0.1, 0.01


def _follow(times: Array, onset: Array, duration: Array, shape: DoubleGamma) -> Array:
    return weigh_events(times, onset, duration, shape)


def _follow_earlier(times: Array, onset: Array, duration: Array, shape: DoubleGamma) -> Array:
    """What is added where the response comes earlier, a second [1/s]."""
    later = weigh_events(times, onset + TIME_STEP, duration, shape)
    change: Array = (weigh_events(times, onset, duration, shape) - later) / TIME_STEP
    return change


def _follow_narrower(times: Array, onset: Array, duration: Array, shape: DoubleGamma) -> Array:
    """What is added where the peak is narrower."""
    wide = shape._replace(dispersion=shape.dispersion + DISPERSION_STEP)
    wider = weigh_events(times, onset, duration, wide)
    change: Array = (weigh_events(times, onset, duration, shape) - wider) / DISPERSION_STEP
    return change


BASES: dict[str, Callable[[Array, Array, Array, DoubleGamma], Array]] = {
    "canonical": _follow,
    "time": _follow_earlier,
    "dispersion": _follow_narrower,
}


def design_hrf(
    features: xr.DataArray,
    responses: xr.DataArray,
    basis: Sequence[str] = ("canonical", "time", "dispersion"),
    *,
    hrf: str = "glover",
    lag: float = 0.0,
) -> xr.DataArray:
    """Set the canonical course of features and its derivatives side by side.

    Weights of the derivatives let a response come earlier or later, and be narrower or wider.

    Parameters
    ----------
    features : DataArray (sample, feature)
        With ``run``, ``onset`` and ``duration`` [s], as for `convolve_hrf`.
    responses : DataArray (sample, neuroid)
        With ``run`` and ``onset``; gives the times, nothing else.
    basis : sequence of {"canonical", "time", "dispersion"}
    hrf : {"glover", "spm"}
    lag : float
        [s] added to the onsets of the features.

    Returns
    -------
    DataArray (sample, feature)
        Function by function, with coord ``basis`` on ``feature``; rows as the responses. The
        derivatives are not made orthogonal to the canonical course.

    Raises
    ------
    AlignError
        When times are missing, or a run has no event that reaches it.
    SchemaError, ValueError

    Notes
    -----
    Derivatives are differences over 0.1 s and over 0.01 of the dispersion, as in nilearn.

    References
    ----------
    Friston et al. (1998), NeuroImage 7(1), doi:10.1006/nimg.1997.0306.

    Examples
    --------
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> flash = features_from_arrays([[1.0]], run=["run-01"], onset=[4.0], duration=[2.0])
    >>> volumes = from_arrays(
    ...     np.zeros((10, 1)), modality="fmri", run=["run-01"] * 10, onset=np.arange(10) * 2.0
    ... )
    >>> design_hrf(flash, volumes)["basis"].values.tolist()
    ['canonical', 'time', 'dispersion']
    """
    shape = choose(HRFS, hrf, "hrf")
    names = _read_once(basis, "basis", "Pass ('canonical', 'time'), say.")
    parts = []
    for name in names:
        function = choose(BASES, name, "basis")

        def weigh(
            times: Array, _length: Array, onset: Array, duration: Array, function: Any = function
        ) -> Array:
            weights: Array = function(times, onset, duration, shape)
            return weights

        parts.append(spread(features, responses, weigh, ("onset",), lag))
    result = stand_side_by_side(parts, "basis", np.asarray(names))
    text = f"design_hrf: {hrf} {' + '.join(names)}, lag {lag:g} s"
    return add_history(result, text).assign_attrs(hrf=hrf, lag=lag)


def design_fir(
    features: xr.DataArray, responses: xr.DataArray, delays: Sequence[float] | Array
) -> xr.DataArray:
    """Set copies of events side by side, each some seconds later: one weight a time after them.

    It takes events at any time, which share a sample by how long they are on in it; features that
    are on the samples of the responses already go through `delay_features`.

    Parameters
    ----------
    features : DataArray (sample, feature)
        With ``run``, ``onset`` and ``duration`` [s], see `events_to_features`. Zero duration: an
        impulse of area 1 s.
    responses : DataArray (sample, neuroid)
        With ``run``, ``onset`` and ``duration`` (the TR of volumes).
    delays : sequence of float
        [s]; multiples of the TR are usual.

    Returns
    -------
    DataArray (sample, feature)
        Delay by delay, with coord ``delay`` [s] on ``feature``; rows as the responses.

    Raises
    ------
    AlignError
        When times are missing, or all events of a run lie beyond its end after a delay.
    SchemaError, ValueError

    References
    ----------
    Glover (1999), NeuroImage 9, 416-429, doi:10.1006/nimg.1998.0419.

    Examples
    --------
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> flash = features_from_arrays([[1.0]], run=["run-01"], onset=[1.0], duration=[2.0])
    >>> volumes = from_arrays(
    ...     np.zeros((4, 1)), modality="fmri", run=["run-01"] * 4, onset=np.arange(4) * 2.0,
    ...     duration=[2.0] * 4,
    ... )
    >>> design_fir(flash, volumes, [0.0, 2.0]).values.tolist()
    [[0.5, 0.0], [0.5, 0.5], [0.0, 0.5], [0.0, 0.0]]
    """
    steps = _read_once(delays, "delays", "Pass [0.0, 2.0, 4.0], say.")
    numbers = np.asarray(steps)
    if numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ValueError(f"delays: expected numbers of seconds, got {delays}. Pass [0.0, 2.0].")
    parts = [resample(features, responses, lag=float(step)) for step in numbers]
    result = stand_side_by_side(parts, "delay", numbers.astype(np.float64))
    return add_history(
        result.assign_attrs(history=features.attrs.get("history", ""), lag=0.0),
        f"design_fir: {numbers.tolist()} s",
    )


def _read_once(given: Any, name: str, advice: str) -> list[Any]:
    """Take a sequence of different things.

    Raises
    ------
    ValueError
    """
    items = [] if isinstance(given, str) else list(np.atleast_1d(np.asarray(given)).tolist())
    if not items or len(set(items)) < len(items):
        raise ValueError(f"{name}: expected a sequence, each once, got {given!r}. {advice}")
    return items


def stand_side_by_side(parts: list[xr.DataArray], name: str, labels: Array) -> xr.DataArray:
    """Join designs of the same features, part by part, with a label on each."""
    first = parts[0]
    coords = {key: coord for key, coord in first.coords.items() if "feature" not in coord.dims}
    for key, coord in first.coords.items():
        if coord.dims == ("feature",):
            coords[key] = ("feature", np.tile(coord.values, len(parts)))
    coords[name] = ("feature", np.repeat(labels, first.sizes["feature"]))
    values = np.hstack([part.values for part in parts])
    return xr.DataArray(values, coords, first.dims, attrs=first.attrs)
