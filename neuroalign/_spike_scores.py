"""How well rates explain counts: bits per spike, and shares of the deviance.

In: observed counts and predicted rates [spikes per bin] of the same samples. Out: one number for
each neuroid; undefined for values below 0. ``scores.METRICS`` holds both, about the held-out mean.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import gammaln, xlogy

from neuroalign.errors import choose

Array = npt.NDArray[Any]


def sum_likelihood(observed: Any, rate: Any, weight: Any = 1.0) -> Array:
    """Sum the Poisson log-likelihood over the first axis, without ``log y!``.

    Parameters
    ----------
    observed, rate : array (sample, ...)
        Counts, and rates [spikes per bin]. Bins where either is NaN are left out.
    weight : array (sample, ...)

    Returns
    -------
    array (...)
        Nats; -inf where a spike falls in a bin of rate 0.
    """
    y, mu = np.broadcast_arrays(np.asarray(observed, np.float64), np.asarray(rate, np.float64))
    found: Array = np.nansum(weight * (xlogy(y, mu) - mu), axis=0)
    return found


def bits_per_spike(observed: Any, predicted: Any, null: Any = None) -> Any:
    """Information that the predicted rates carry about each spike, beyond a constant rate.

    Parameters
    ----------
    observed : DataArray or array (sample, ...)
        Counts; NaN is left out.
    predicted : DataArray or array (sample, ...)
        Rates [spikes per bin].
    null : float or array (...) or (sample, ...), optional
        Rate of the null [spikes per bin]. Pass the mean rate of the training bins when the
        observed ones are held out (``model.mean_rate_``); None takes the mean of the observed.

    Returns
    -------
    DataArray or array (...)
        Bits. NaN without spikes; -inf when a spike falls where the predicted rate is 0.

    Raises
    ------
    ValueError
        When shapes differ, or anything is below 0.

    References
    ----------
    Pillow et al. (2008), Nature 454, 995-999: log-likelihood ratio over the number of spikes.

    Examples
    --------
    >>> from neuroalign.encoders import bits_per_spike
    >>> round(float(bits_per_spike([1.0, 0.0], [1.0, 0.0])), 6)
    1.0
    """
    y, mu, again = _check(observed, predicted)
    known = np.isfinite(y) & np.isfinite(mu)
    rate = _mean(y, known) if null is None else np.asarray(null, np.float64)
    y = np.where(known, y, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = sum_likelihood(y, mu) - sum_likelihood(y, np.broadcast_to(rate, y.shape))
        bits = gain / np.nansum(y, axis=0) / np.log(2)
    return again(np.where(np.nansum(y, axis=0) > 0, bits, np.nan))


def _share_deviance(y: Array, mu: Array, rate: Array, w: Array) -> Array:
    best = sum_likelihood(y, y, w)
    found: Array = 1.0 - (best - sum_likelihood(y, mu, w)) / (best - sum_likelihood(y, rate, w))
    return found


def _share_likelihood(y: Array, mu: Array, rate: Array, w: Array) -> Array:
    # log y! belongs to the likelihood: without it the ratio would depend on the unit of a bin.
    from_counts = np.nansum(w * gammaln(y + 1.0), axis=0)
    found: Array = 1.0 - (sum_likelihood(y, mu, w) - from_counts) / (
        sum_likelihood(y, rate, w) - from_counts
    )
    return found


PSEUDO_R2: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "cohen": _share_deviance,
    "mcfadden": _share_likelihood,
}


def pseudo_r2(
    observed: Any,
    predicted: Any,
    kind: str = "cohen",
    *,
    null: Any = None,
    sample_weight: Any = None,
) -> Any:
    """Share of the deviance, or of the log-likelihood, that the predicted rates explain.

    Parameters
    ----------
    observed : DataArray or array (sample, ...)
        Counts; NaN is left out.
    predicted : DataArray or array (sample, ...)
        Rates [spikes per bin].
    kind : {"cohen", "mcfadden"}
        ``cohen``: 1 - D / D_null with the Poisson deviance D. ``mcfadden``: 1 - L / L_null with the
        full log-likelihood L, which cannot reach 1.
    null : float or array, optional
        As in `bits_per_spike`.
    sample_weight : array (sample,), optional

    Returns
    -------
    DataArray or array (...)
        NaN where the observed counts are constant.

    Raises
    ------
    ValueError
        On an unknown kind, other shapes, or values below 0.

    References
    ----------
    Cohen et al. (2003), Applied Multiple Regression, 13.2; McFadden (1974), in Frontiers in
    Econometrics, 105-142.

    Examples
    --------
    >>> from neuroalign.encoders import pseudo_r2
    >>> float(pseudo_r2([1.0, 0.0, 2.0], [1.0, 0.0, 2.0]))
    1.0
    """
    function = choose(PSEUDO_R2, kind, "kind")
    y, mu, again = _check(observed, predicted)
    known = np.isfinite(y) & np.isfinite(mu)
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    weight = np.broadcast_to(weight.reshape(-1, *[1] * (y.ndim - 1)), y.shape)
    rate = _mean(y, known * weight) if null is None else np.asarray(null, np.float64)
    y = np.where(known, y, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = function(y, mu, np.broadcast_to(rate, y.shape), weight)
    flat = np.nanmax(np.where(known, y, -np.inf), axis=0) <= np.nanmin(
        np.where(known, y, np.inf), axis=0
    )
    return again(np.where(flat, np.nan, found))


def _mean(y: Array, weight: Array) -> Array:
    count = weight.sum(axis=0)
    total = (weight * np.nan_to_num(y)).sum(axis=0)
    found: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return found


def _check(observed: Any, predicted: Any) -> tuple[Array, Array, Callable[[Array], Any]]:
    y, mu = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    if y.shape != mu.shape:
        raise ValueError(
            f"predicted: expected shape {y.shape} as observed, got {mu.shape}. "
            "Predict the same samples and neuroids."
        )
    remedies = {
        "observed": "Pass spikes per bin, neither z-scored nor centred",
        "predicted": "Predict rates per bin, as PoissonGLM does",
    }
    for (name, remedy), values in zip(remedies.items(), (y, mu), strict=True):
        if (values < 0).any():
            raise ValueError(
                f"{name}: expected counts or rates >= 0, got {np.nanmin(values):g}. {remedy}."
            )
    if not isinstance(observed, xr.DataArray):
        return y, mu, lambda found: found[()]
    template = observed.isel({observed.dims[0]: 0}, drop=True)
    return y, mu, lambda found: template.copy(data=found)
