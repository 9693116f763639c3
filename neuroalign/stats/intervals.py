"""Bootstrap intervals of any statistic, by resampling independent units."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import DegenerateDataWarning, bootstrap

from neuroalign.errors import choose

Array = npt.NDArray[Any]
METHODS = {"bca": "BCa", "percentile": "percentile", "basic": "basic"}


def bootstrap_interval(
    values: npt.NDArray[Any] | xr.DataArray,
    statistic: Callable[..., Any] = np.mean,
    *,
    groups: npt.NDArray[Any] | None = None,
    level: float = 0.95,
    method: str = "bca",
    n_resamples: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """Interval of a statistic over independent units.

    Parameters
    ----------
    values : array or DataArray (unit, ...)
        Units on the first axis: subjects, runs, stimuli. NaN units give NaN.
    statistic : callable
        Of ``(values, axis=0)``, as ``numpy.mean`` and ``numpy.median``.
    groups : array (unit,), optional
        Units of one group depend on each other and are drawn together: voxels of a subject, repeats
        of a stimulus.
    level : float
        Between 0 and 1.
    method : {"bca", "percentile", "basic"}
        ``bca`` corrects bias and skew. Where it is undefined (a statistic that does not vary over
        resamples), the percentiles stand and ``attrs['n_degenerate']`` counts them.
    n_resamples : int
    seed : int

    Returns
    -------
    Dataset
        Over the other dims: ``estimate``, ``lower``, ``upper``, ``standard_error``.

    Raises
    ------
    ValueError
        With fewer than two units or groups.

    References
    ----------
    Efron (1987), J. Am. Stat. Assoc. 82, 171-185, doi:10.1080/01621459.1987.10478410.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(1.0, 1.0, size=100)
    >>> found = bootstrap_interval(values)
    >>> bool(found["lower"] < 1.0 < found["upper"])
    True
    """
    name = choose(METHODS, method, "method")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}.")
    bare = np.asarray(values, dtype=np.float64)
    if bare.ndim < 1:
        raise ValueError("values: expected units on the first axis, got a single number.")
    labels = np.arange(len(bare)) if groups is None else np.asarray(groups)
    if labels.shape != (len(bare),):
        raise ValueError(f"groups: expected {len(bare)} labels, got shape {labels.shape}.")
    codes = np.unique(labels, return_inverse=True)[1]
    n_units = int(codes.max(initial=-1)) + 1
    if n_units < 2:
        raise ValueError(
            f"{'values' if groups is None else 'groups'}: expected at least 2 independent units, "
            f"got {n_units}. An interval needs more."
        )
    members = [np.flatnonzero(codes == unit) for unit in range(n_units)]

    def resample(units: Array, axis: int = -1) -> Array:
        """Apply the statistic to the rows of drawn units; scipy wants (target, ...draws)."""
        units = np.moveaxis(units, axis, -1)
        drawn = [
            np.ravel(statistic(bare[np.concatenate([members[unit] for unit in row])], axis=0))
            for row in units.reshape(-1, units.shape[-1])
        ]
        return np.moveaxis(np.array(drawn).reshape(*units.shape[:-1], -1), -1, 0)

    estimate = np.asarray(statistic(bare, axis=0))
    low, high, error, degenerate = _resample(
        resample, n_units, name, level, n_resamples, np.random.default_rng(seed)
    )
    dims = values.dims[1:] if isinstance(values, xr.DataArray) else None
    names = dims if dims is not None else tuple(f"dim_{i}" for i in range(estimate.ndim))
    coords = {}
    if isinstance(values, xr.DataArray):
        unit = values.dims[0]
        coords = {key: c for key, c in values.coords.items() if unit not in c.dims}
    columns = {"estimate": estimate, "lower": low, "upper": high, "standard_error": error}
    return xr.Dataset(
        {key: (names, np.reshape(column, estimate.shape)) for key, column in columns.items()},
        coords=coords,
        attrs={
            "kind": "estimate",
            "method": f"bootstrap_interval ({method})",
            "level": level,
            "n_units": n_units,
            "n_resamples": n_resamples,
            "n_degenerate": degenerate,
            "seed": seed,
        },
    )


def _resample(
    statistic: Callable[..., Array],
    n_units: int,
    method: str,
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array, int]:
    """Compute bounds and standard error of each target; percentiles where BCa is undefined."""
    options: dict[str, Any] = {
        "vectorized": True,
        "confidence_level": level,
        "rng": rng,
    }
    units = (np.arange(n_units),)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(units, statistic, method=method, n_resamples=n_resamples, **options)
        plain = bootstrap(
            units,
            statistic,
            method="percentile",
            n_resamples=0,
            bootstrap_result=drawn,
            **options,
        )
    low, high = drawn.confidence_interval
    lost = ~(np.isfinite(low) & np.isfinite(high)) & np.isfinite(plain.confidence_interval.low)
    low = np.where(lost, plain.confidence_interval.low, low)
    high = np.where(lost, plain.confidence_interval.high, high)
    return low, high, drawn.standard_error, int(lost.sum())
