"""Haemodynamic response functions in closed form: no time grid, no oversampling.

In: times [s] after an event. Out: the response to an impulse, or to a step. A boxcar is the
difference of two steps, so that regressors of events at any onset are exact.
To add one: a row of ``HRFS``.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc
from scipy.stats import gamma

Array = npt.NDArray[Any]


class DoubleGamma(NamedTuple):
    """A gamma density that peaks, less a share of one that undershoots; times in seconds."""

    delay: float
    undershoot: float
    dispersion: float
    undershoot_dispersion: float
    ratio: float


HRFS = {
    # Glover (1999), NeuroImage 9, doi:10.1006/nimg.1998.0419, with the parameters of nipy.
    "glover": DoubleGamma(6.0, 12.0, 0.9, 0.9, 0.48),
    # The canonical function of SPM; Friston et al. (1998), doi:10.1006/nimg.1997.0306.
    "spm": DoubleGamma(6.0, 16.0, 1.0, 1.0, 0.167),
}


def impulse_response(times: Array, shape: DoubleGamma) -> Array:
    """Response to a unit impulse at time 0 [1/s]; its integral is 1.

    Parameters
    ----------
    times : array (...)
        [s]; the response is 0 before 0.
    shape : DoubleGamma

    Returns
    -------
    array (...)
    """
    peak = gamma.pdf(times, shape.delay / shape.dispersion, scale=shape.dispersion)
    under = gamma.pdf(
        times,
        shape.undershoot / shape.undershoot_dispersion,
        scale=shape.undershoot_dispersion,
    )
    response: Array = (peak - shape.ratio * under) / (1 - shape.ratio)
    return response


def step_response(times: Array, shape: DoubleGamma) -> Array:
    """Response to a unit step at time 0: the integral of the impulse response, 1 at the end.

    Parameters
    ----------
    times : array (...)
        [s]
    shape : DoubleGamma

    Returns
    -------
    array (...)
    """
    after = np.maximum(np.asarray(times, dtype=np.float64), 0.0)
    peak = gammainc(shape.delay / shape.dispersion, after / shape.dispersion)
    under = gammainc(
        shape.undershoot / shape.undershoot_dispersion, after / shape.undershoot_dispersion
    )
    response: Array = (peak - shape.ratio * under) / (1 - shape.ratio)
    return response


def weigh_events(times: Array, onset: Array, duration: Array, shape: DoubleGamma) -> Array:
    """Response at each time to each event of unit height.

    Parameters
    ----------
    times : array (sample,)
    onset, duration : array (event,)
        [s]; an event without duration is an impulse of area 1 s.
    shape : DoubleGamma

    Returns
    -------
    array (sample, event)
    """
    since = times[:, None] - onset[None, :]
    weights = step_response(since, shape) - step_response(since - duration, shape)
    instant = duration == 0
    weights[:, instant] = impulse_response(since[:, instant], shape)
    return weights
