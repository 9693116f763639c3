"""Finite impulse responses: copies of the features, each some samples later."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neuroalign.align._runs import find_runs
from neuroalign.align.designs import stand_side_by_side
from neuroalign.align.resampling import check_timed
from neuroalign.errors import AlignError
from neuroalign.schema import add_history, check_features


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

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import features_from_arrays
    >>> clock = {"run": ["run-01"] * 3, "onset": [0.0, 2.0, 4.0]}
    >>> series = features_from_arrays(np.array([[1.0], [2.0], [3.0]]), **clock)
    >>> delay_features(series, [0, 1]).values.tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """
    check_features(features)
    if features.dims != ("sample", "feature"):
        raise AlignError(
            f"features: expected dims ('sample', 'feature'), got {features.dims}. "
            "Flatten or average the others."
        )
    steps = np.asarray(delays)
    if steps.ndim != 1 or not len(steps) or steps.dtype.kind not in "iu":
        raise ValueError(
            f"delays: expected whole numbers of samples, got {delays}. Write integers in a "
            "sequence: (2,) is one delay, range(1, 5) four; 4 s at a TR of 2 s are 2 samples."
        )
    if len(np.unique(steps)) < len(steps):
        raise ValueError(f"delays: expected each once, got {list(delays)}. Drop the copies.")
    check_timed(features, "features", ("onset",))
    longest = int(np.unique(features["run"].values, return_counts=True)[1].max())
    if np.abs(steps).min() >= longest:
        raise ValueError(
            f"delays: expected some below the length of a run ({longest}), got "
            f"{np.abs(steps).min()} and more. Give samples, not milliseconds."
        )
    labels, onset = features["run"].values, np.asarray(features["onset"].values, np.float64)
    runs, step = find_runs(labels, onset, "features", "See resample, which takes events.")
    if np.isnan(step):
        raise AlignError(
            "features: expected several samples in a run, got one in each. Name runs, not samples."
        )
    parts = []
    for delay in steps.tolist():
        moved = np.zeros_like(features.values)
        for rows in runs:
            if abs(delay) < len(rows):
                target = rows[delay:] if delay >= 0 else rows[:delay]
                source = rows[: len(rows) - delay] if delay >= 0 else rows[-delay:]
                moved[target] = features.values[source]
        parts.append(features.copy(data=moved))
    result = stand_side_by_side(parts, "delay", steps * step)
    return add_history(result, f"delay_features: {steps.tolist()} samples")
