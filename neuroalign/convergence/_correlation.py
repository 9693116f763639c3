"""Correlations of many weightings or many maps at once, by matrix products.

In: bare arrays. Out: r, NaN where a side does not vary.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr

Array = npt.NDArray[Any]
# Variances below this share of the mean square are rounding.
ROUNDING = 1e-12


def correlate(x: Array, y: Array) -> float:
    """Pearson correlation over the places where both are known."""
    known = np.isfinite(x) & np.isfinite(y)
    return float(correlate_weighted(x[known], y[known], np.ones((1, int(known.sum()))))[0])


def correlate_weighted(x: Array, y: Array, weights: Array) -> Array:
    """Pearson correlation of x and y (n,) under each row of weights (b, n)."""
    if len(x) < 2:
        return np.full(len(weights), np.nan)
    x, y = x - x.mean(), y - y.mean()
    table = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    total, sx, sy, sxx, syy, sxy = (weights @ table).T
    return _divide(total, sx, sy, sxx, syy, sxy)


def correlate_maps(values: Array, maps: Array) -> Array:
    """Pearson correlation (s, m) of maps (s, n), which may hold NaN, with values (m, n)."""
    known = np.isfinite(maps)
    if not known.any():
        return np.full((len(maps), len(values)), np.nan)
    means = np.nanmean(values, axis=1, keepdims=True)
    values = values - means
    filled = np.where(known, maps, 0.0) - np.where(known, np.nanmean(maps), 0.0)
    share = known.astype(np.float64)
    total, sy, syy = (one.sum(axis=1)[:, None] for one in (share, filled, filled**2))
    sx, sxx, sxy = share @ values.T, share @ (values**2).T, filled @ values.T
    return _divide(total, sx, sy, sxx, syy, sxy)


def _divide(total: Array, sx: Array, sy: Array, sxx: Array, syy: Array, sxy: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        vx, vy = sxx / total - (sx / total) ** 2, syy / total - (sy / total) ** 2
        r = (sxy / total - sx * sy / total**2) / np.sqrt(vx * vy)
        varies = (vx > ROUNDING * sxx / total) & (vy > ROUNDING * syy / total)
    return np.where(varies, np.clip(r, -1, 1), np.nan)


def draw_weights(n_units: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """Draw how often each unit enters each resample (b, unit)."""
    share = np.full(n_units, 1 / n_units)
    return rng.multinomial(n_units, share, size=n_resamples).astype(np.float64)


def find_bounds(draws: Array, level: float) -> tuple[float, float]:
    """Percentile interval of those draws that have a value; NaN when fewer than half have."""
    known = draws[np.isfinite(draws)]
    if len(known) * 2 < len(draws) or not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def naive_p(x: Array, y: Array) -> float:
    """Two-sided p of a correlation that takes every place for independent."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(pearsonr(x, y).pvalue)


def state(name: str, value: Any, lower: Any, upper: Any) -> str:
    """Say a number with its interval, where there is one."""
    if not np.isfinite(value):
        return f"{name} not defined"
    known = np.isfinite(lower) and np.isfinite(upper)
    return f"{name} {value:.3f}" + (f" [{lower:.3f} to {upper:.3f}]" if known else "")


def count_two_sided(observed: float, null: Array) -> float:
    """p = (1 + #{|null| >= |observed|}) / (1 + n) over the draws that have a value."""
    known = null[np.isfinite(null)]
    if not np.isfinite(observed) or not len(known):
        return np.nan
    # A draw that is the observed arrangement itself may differ from it by rounding.
    reached = (np.abs(known) >= abs(observed) - 1e-9).sum()
    return float((1 + reached) / (1 + len(known)))
