"""How well predictions fit: one number for each neuroid (and time).

In: observed and predicted responses of the same samples. Out: scores over the other dims.
To add one: a function of ``(observed, predicted)`` arrays and its row in ``METRICS``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import rankdata

from neuroalign import _spike_scores
from neuroalign.errors import AlignError, choose

Array = npt.NDArray[Any]


def _is_constant(values: Array) -> Array:
    constant: Array = (values == values[:1]).all(axis=0)
    return constant


def pearson(observed: Array, predicted: Array) -> Array:
    """Pearson correlation over the first axis.

    Parameters
    ----------
    observed, predicted : array (sample, ...)

    Returns
    -------
    array (...)
        float64; NaN where either side is constant or holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])).round(3).item()
    0.993
    """
    observed, predicted = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    x, y = observed - observed.mean(axis=0), predicted - predicted.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    result: Array = np.where(_is_constant(observed) | _is_constant(predicted), np.nan, r)
    return np.clip(result, -1.0, 1.0)


def r2(observed: Array, predicted: Array) -> Array:
    """Coefficient of determination about the mean of the observed rows.

    Parameters
    ----------
    observed, predicted : array (sample, ...)

    Returns
    -------
    array (...)
        float64; NaN where the observed side is constant or either holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])).item()
    1.0
    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])).item()  # no better than the mean
    0.0
    """
    observed, predicted = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    total = ((observed - observed.mean(axis=0)) ** 2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1.0 - ((observed - predicted) ** 2).sum(axis=0) / total
    result: Array = np.where(_is_constant(observed), np.nan, share)
    return result


def spearman(observed: Array, predicted: Array) -> Array:
    """Spearman rank correlation over the first axis, ties at their mean rank.

    Parameters
    ----------
    observed, predicted : array (sample, ...)

    Returns
    -------
    array (...)
        float64; NaN where either side is constant or holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 1000.0])).item()
    1.0
    """
    return pearson(
        rankdata(observed, axis=0, nan_policy="propagate"),
        rankdata(predicted, axis=0, nan_policy="propagate"),
    )


def bits_per_spike(observed: Array, predicted: Array) -> Array:
    """Bits per spike of predicted rates, beyond the mean of the observed counts.

    Parameters
    ----------
    observed, predicted : array (sample, ...)
        Counts and rates, >= 0.

    Returns
    -------
    array (...)
        float64; NaN without spikes or where either side holds NaN, -inf when a spike falls where
        the predicted rate is 0. The null is the mean of the observed rows themselves; for that of
        the training rows call ``encoders.bits_per_spike`` with ``null=model.mean_rate_``.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([0.0, 2.0, 0.0, 2.0])
    >>> bits_per_spike(counts, np.array([0.1, 1.9, 0.1, 1.9])).round(2).item()
    0.93
    >>> bits_per_spike(counts, np.full(4, counts.mean())).item()
    0.0
    """
    result: Array = np.where(
        _lacks(observed, predicted), np.nan, _spike_scores.bits_per_spike(observed, predicted)
    )
    return result


def pseudo_r2(observed: Array, predicted: Array) -> Array:
    """Share of the Poisson deviance explained, about the mean of the observed counts.

    Parameters
    ----------
    observed, predicted : array (sample, ...)
        Counts and rates, >= 0.

    Returns
    -------
    array (...)
        float64; NaN where the observed side is constant or either holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([0.0, 2.0, 0.0, 2.0])
    >>> pseudo_r2(counts, np.array([0.1, 1.9, 0.1, 1.9])).round(2).item()
    0.93
    """
    result: Array = np.where(
        _lacks(observed, predicted), np.nan, _spike_scores.pseudo_r2(observed, predicted)
    )
    return result


def _lacks(observed: Array, predicted: Array) -> Array:
    return np.asarray(np.isnan(observed).any(axis=0) | np.isnan(predicted).any(axis=0))


METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "pearson": pearson,
    "r2": r2,
    "spearman": spearman,
    "bits_per_spike": bits_per_spike,
    "pseudo_r2": pseudo_r2,
}
# Which have no value where predictions do not vary.
CORRELATIONS = ("pearson", "spearman")


# What some call a metric that has another name here.
MEANT = {"r": "pearson", "correlation": "pearson", "rho": "spearman", "R2": "r2"}


def choose_metric(metric: str) -> Callable[[Array, Array], Array]:
    """Find a metric by its name.

    Raises
    ------
    ValueError
        When there is none; says which name may be meant.

    Examples
    --------
    >>> choose_metric("pearson") is pearson
    True
    >>> choose_metric("R2")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: metric: expected one of ... Did you mean 'r2'?
    """
    if isinstance(metric, str) and metric in MEANT:
        raise ValueError(
            f"metric: expected one of {', '.join(map(repr, METRICS))}, got '{metric}'. "
            f"Did you mean '{MEANT[metric]}'?"
        )
    return choose(METRICS, metric, "metric")


def score(observed: xr.DataArray, predicted: xr.DataArray, metric: str = "pearson") -> xr.DataArray:
    """Score predictions of the same samples and neuroids.

    Parameters
    ----------
    observed, predicted : DataArray (sample, neuroid) or (sample, neuroid, time)
    metric : {"pearson", "r2", "spearman", "bits_per_spike", "pseudo_r2"}
        The last two for counts and rates.

    Returns
    -------
    DataArray (neuroid,) or (neuroid, time)
        attrs: ``metric`` and ``n_constant``, how many entries are NaN for want of variance.

    Raises
    ------
    AlignError
        When shapes or labels differ.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> values = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    >>> observed = from_arrays(values, modality="eeg", stimulus=["cat", "dog", "cup"])
    >>> predicted = observed.copy(data=np.array([[2.0, 0.0], [4.0, 0.0], [6.0, 0.0]]))
    >>> found = score(observed, predicted)
    >>> found.values.tolist(), found.attrs["n_constant"]
    ([1.0, nan], 1)
    """
    function = choose_metric(metric)
    for name, array in (("observed", observed), ("predicted", predicted)):
        if not isinstance(array, xr.DataArray):
            raise AlignError(
                f"{name}: expected a DataArray (sample, neuroid), got {type(array).__name__}. "
                "For bare arrays call the function in scores.METRICS."
            )
    if observed.dims != predicted.dims or observed.shape != predicted.shape:
        raise AlignError(
            f"predicted: expected dims {dict(observed.sizes)}, got {dict(predicted.sizes)}. "
            "Predict the same samples and neuroids."
        )
    for coord in ("stimulus", "neuroid"):
        if coord in observed.coords and coord in predicted.coords:
            first, second = observed[coord].values, predicted[coord].values
            if not np.array_equal(first, second):
                row = int(np.flatnonzero(first != second)[0])
                raise AlignError(
                    f"predicted: expected {coord} '{first[row]}' in row {row}, "
                    f"got '{second[row]}'. Run neuroalign.align.match first."
                )
    values = function(observed.values, predicted.values)
    template = observed.isel(sample=0, drop=True)
    keep = {name: coord for name, coord in template.coords.items() if coord.ndim}
    constant = _is_constant(observed.values) | (
        _is_constant(predicted.values) & (metric in CORRELATIONS)
    )
    return xr.DataArray(
        values.astype(np.float64),
        dims=template.dims,
        coords=keep,
        attrs={"metric": metric, "n_constant": int(constant.sum())},
    )
