"""Whether deeper layers explain later responses: the temporal score and its nulls."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import rankdata

from neuroalign import provenance
from neuroalign.convergence._correlation import (
    correlate_maps,
    count_two_sided,
    find_bounds,
    state,
)
from neuroalign.convergence.preferences import read_scores
from neuroalign.errors import SchemaError, choose
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]
# Share of the peak from which a time point counts as part of it.
PEAK_SHARE = 0.95


def _find_plateau(course: Array, time: Array, share: float) -> Array:
    """Mean of the times at which a course (layer, ..., time) reaches a share of its peak."""
    top = course.max(axis=-1, keepdims=True)
    # Below zero a share of the peak lies above it, and no time would reach it.
    near = (course >= share * top) & (top > 0)
    with np.errstate(invalid="ignore"):
        latency: Array = (near * time).sum(axis=-1) / near.sum(axis=-1)
    return latency


def _find_center(course: Array, time: Array, _share: float) -> Array:
    """Mean time weighted by what exceeds half of the peak."""
    top = course.max(axis=-1, keepdims=True)
    weight = np.maximum(course - 0.5 * top, 0.0) * (top > 0)
    with np.errstate(invalid="ignore"):
        latency: Array = (weight * time).sum(axis=-1) / weight.sum(axis=-1)
    return latency


RULES: dict[str, Callable[[Array, Array, float], Array]] = {
    "peak": _find_plateau,
    "centroid": _find_center,
}


def temporal_score(
    result: xr.Dataset,
    *,
    window: tuple[float, float] | None = None,
    share: float = PEAK_SHARE,
    n_shuffles: int = 1000,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Correlate the depth of layers with the time at which each predicts best.

    Parameters
    ----------
    result : Dataset
        Of `encode_layers`, with ``time`` [s]; scores are averaged over neuroids first, over those
        that have one (NaN is left out; a layer and time without any scores 0).
    window : tuple of float, optional
        First and last time [s] looked at; from 0, the onset, to the end when None.
    share : float
        Times at which a layer reaches this share of its peak are averaged to its latency.
    n_shuffles, n_resamples : int
        Permutations of the layers, and bootstrap draws of neuroids.
    level : float
    seed : int

    Returns
    -------
    Dataset
        Over (rule, statistic), with rules ``peak``, as published, and ``centroid``, the mean time
        weighted by what exceeds half of the peak, and statistics ``pearson`` and ``spearman``:
        ``score``, ``lower``, ``upper``, ``p_shuffled`` (two-sided), ``n_layers``. ``latency``
        (rule, layer) [s] with ``latency_lower`` and ``latency_upper``; ``course`` (layer, time).
        An interval is NaN where half of the draws have no score, or more: the peaks of all layers
        then fall on the same time point, or a layer predicts nothing. Read ``centroid`` there.

    Raises
    ------
    SchemaError, ValueError

    Notes
    -----
    t*_k is the mean of the time points with R_k(t) >= 0.95 max_t R_k; score = Pearson(k, t*).
    Layers that predict nothing at any time have no latency and are left out. With L layers no p
    falls below about 2 / L!, which is 0.33 for three.

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226, section 2 (temporal score).

    Examples
    --------
    >>> time = np.linspace(0.0, 0.5, 51)
    >>> course = [np.exp(-(((time - peak) / 0.05) ** 2)) for peak in (0.1, 0.2, 0.3, 0.4)]
    >>> result = xr.Dataset(
    ...     {"mean_score": (("layer", "neuroid", "time"), np.array(course)[:, None])},
    ...     coords={"layer": list("abcd"), "depth": ("layer", [0, 1 / 3, 2 / 3, 1]), "time": time},
    ... )
    >>> found = temporal_score(result)
    >>> round(float(found["score"].sel(rule="peak", statistic="pearson")), 3)
    1.0
    """
    scores = read_scores(result)
    if "time" not in scores.dims:
        raise SchemaError(
            "result: expected scores over 'time', got none. Encode time-resolved responses; "
            "spatial_score takes those without."
        )
    if not 0 < share <= 1:
        raise ValueError(f"share: expected above 0 up to 1, got {share}. 0.95 is published.")
    time = np.asarray(scores["time"].values, dtype=np.float64)
    first, last = (0.0, np.inf) if window is None else window
    inside = (time >= first) & (time <= last)
    if inside.sum() < 2:
        raise ValueError(
            f"window: expected two time points or more from {first} to {last} s, got "
            f"{int(inside.sum())}. Times run from {time.min():g} to {time.max():g} s."
        )
    values, time = scores.values[..., inside].astype(np.float64), time[inside]
    depth = np.asarray(scores["depth"].values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    n_neuroids = values.shape[1]
    weights = rng.multinomial(n_neuroids, np.full(n_neuroids, 1 / n_neuroids), size=n_resamples)
    course = _average(values, np.ones((1, n_neuroids)))[:, 0]
    drawn = _average(values, weights)
    shape = (len(RULES), len(STATISTICS))
    table = {name: np.full(shape, np.nan) for name in ("score", "lower", "upper", "p_shuffled")}
    latencies, low, high = (np.full((len(RULES), len(depth)), np.nan) for _ in range(3))
    for row, rule in enumerate(RULES):
        latencies[row] = choose(RULES, rule, "rule")(course, time, share)
        moved = RULES[rule](drawn, time, share)
        bounds = [find_bounds(one, level) for one in moved]
        low[row], high[row] = np.transpose(bounds)
        known = np.isfinite(latencies[row])
        for column, order in enumerate(STATISTICS.values()):
            own = order(latencies[row][None, known])
            r = float(_relate(order(depth[None, known]), own)[0]) if known.sum() > 1 else np.nan
            table["score"][row, column] = r
            draws = _relate(order(depth[None]), order(moved.T))
            table["lower"][row, column], table["upper"][row, column] = find_bounds(draws, level)
            if n_shuffles and known.sum() > 1:
                orders = rng.permuted(np.tile(depth[known], (n_shuffles, 1)), axis=1)
                null = correlate_maps(own, order(orders))[:, 0]
                table["p_shuffled"][row, column] = count_two_sided(r, null)
    answer = xr.Dataset(
        {name: (("rule", "statistic"), one) for name, one in table.items()}
        | {
            "latency": (("rule", "layer"), latencies, {"units": "s"}),
            "latency_lower": (("rule", "layer"), low, {"units": "s"}),
            "latency_upper": (("rule", "layer"), high, {"units": "s"}),
            "course": (("layer", "time"), course),
            "n_layers": ("rule", np.isfinite(latencies).sum(axis=1)),
        },
        coords={
            "rule": list(RULES),
            "statistic": list(STATISTICS),
            "layer": scores["layer"].values,
            "depth": ("layer", depth),
            "time": time,
        },
        attrs={
            "kind": "estimate",
            "method": "temporal_score",
            "level": level,
            "share": share,
            "n_neuroids": n_neuroids,
            "headline": "score",
            "verdict": state(
                "temporal score (peak, Pearson)",
                *(table[name][0, 0] for name in ("score", "lower", "upper")),
            ),
            "n_shuffles": n_shuffles,
            "n_resamples": n_resamples,
            "seed": seed,
            "provenance": provenance.collect(
                {
                    "share": share,
                    "window": [f"{first:g}", f"{last:g}"],
                    "seed": seed,
                    "n_shuffles": n_shuffles,
                    "n_resamples": n_resamples,
                    "level": level,
                },
                {"scores": provenance.hash_array(scores)},
            ),
        },
    )
    return check_estimate(answer)


def _average(values: Array, weights: Array) -> Array:
    """Mean of known scores (layer, neuroid, time) by weights (b, neuroid): (layer, b, time)."""
    known = np.isfinite(values)
    total = np.einsum("bn,lnt->lbt", weights, np.where(known, values, 0.0), optimize=True)
    count = np.einsum("bn,lnt->lbt", weights, known.astype(np.float64), optimize=True)
    return np.asarray(total / np.maximum(count, 1.0))


def _keep(rows: Array) -> Array:
    return rows


def _rank(rows: Array) -> Array:
    """Rank what is known of each row."""
    return np.asarray(rankdata(rows, axis=1, nan_policy="omit"))


def _relate(depth: Array, latencies: Array) -> Array:
    """Correlate depth (1, layer), whose order is its rank, with each row; NaN below two layers."""
    return correlate_maps(depth, latencies)[:, 0]


STATISTICS: dict[str, Callable[[Array], Array]] = {"pearson": _keep, "spearman": _rank}
