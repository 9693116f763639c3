"""Finite impulse responses: copies of the features, each some samples later."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neuroalign.align.resampling import check_timed
from neuroalign.errors import AlignError
from neuroalign.schema import add_history, check_features

# Onsets count as evenly spaced when steps differ by less than this share of a step.
JITTER = 1e-3


def delay_features(features: xr.DataArray, delays: Sequence[int] = (1, 2, 3, 4)) -> xr.DataArray:
    """Set delayed copies of the features side by side, so that an encoder learns the response.

    Parameters
    ----------
    features : DataArray (sample, feature)
        On the clock of the responses, with ``run`` and ``onset`` evenly spaced within each run, in
        any order; see `resample`.
    delays : sequence of int
        [samples]; 2 gives a sample the features of two samples before. Negative ones look ahead.

    Returns
    -------
    DataArray (sample, feature)
        Delay by delay, with coord ``delay`` [s] on ``feature``. Samples whose past lies before
        their run hold 0: nothing crosses from run to run.

    Raises
    ------
    AlignError
        When times are missing or uneven.
    ValueError
        When a delay is no whole number, comes twice, or all are longer than every run.
    """
    check_features(features)
    if features.dims != ("sample", "feature"):
        raise AlignError(f"features: expected dims ('sample', 'feature'), got {features.dims}.")
    steps = np.asarray(delays)
    if steps.ndim != 1 or not len(steps) or steps.dtype.kind not in "iu":
        raise ValueError(f"delays: expected whole numbers of samples, got {delays}.")
    if len(np.unique(steps)) < len(steps):
        raise ValueError(f"delays: expected each once, got {list(delays)}.")
    check_timed(features, "features", ("onset",))
    longest = int(np.unique(features["run"].values, return_counts=True)[1].max())
    if np.abs(steps).min() >= longest:
        raise ValueError(
            f"delays: expected some below the length of a run ({longest}), got "
            f"{np.abs(steps).min()} and more. Give samples, not milliseconds."
        )
    values = features.values
    delayed = np.zeros((len(values), len(steps), values.shape[1]), dtype=values.dtype)
    step = _read_step(features)
    for run in np.unique(features["run"].values):
        rows = np.flatnonzero(features["run"].values == run)
        rows = rows[np.argsort(features["onset"].values[rows], kind="stable")]
        for place, delay in enumerate(steps.tolist()):
            if abs(delay) < len(rows):
                target = rows[delay:] if delay >= 0 else rows[:delay]
                source = rows[: len(rows) - delay] if delay >= 0 else rows[-delay:]
                delayed[target, place] = values[source]
    coords = {name: c for name, c in features.coords.items() if "feature" not in c.dims}
    for name, coord in features.coords.items():
        if coord.dims == ("feature",):
            coords[name] = ("feature", np.tile(coord.values, len(steps)))
    coords["delay"] = ("feature", np.repeat(steps * step, values.shape[1]))
    flat = delayed.reshape(len(values), -1)
    result = xr.DataArray(flat, coords, features.dims, attrs=features.attrs)
    return add_history(result, f"delay_features: {steps.tolist()} samples")


def _read_step(features: xr.DataArray) -> float:
    """Read the time between samples [s], which must be the same in all runs."""
    steps, names = [], []
    for run in np.unique(features["run"].values):
        onset = np.sort(features["onset"].values[features["run"].values == run])
        steps.append(np.diff(onset))
        names += [str(run)] * (len(onset) - 1)
    every = np.concatenate(steps)
    if not len(every):
        raise AlignError("features: expected several samples in a run, got one in each.")
    step = float(np.median(every))
    uneven = np.flatnonzero(np.abs(every - step) > JITTER * step)
    if step <= 0 or len(uneven):
        row = int(uneven[0]) if len(uneven) else 0
        raise AlignError(
            f"features: expected onsets every {step:g} s, got a step of {every[row]:g} s in run "
            f"'{names[row]}'. Use resample to bring them to the samples of responses."
        )
    return step
