"""Scores of a fusion, their nulls and latencies, and what models share of them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.rsa import _latencies
from neuroalign.rsa._label_permutations import (
    find_time_clusters,
    judge,
    normalise_rows,
    permute_rows_of,
)

Array = npt.NDArray[Any]
Columns = dict[str, tuple[tuple[str, ...], Array]]
SUBJECT = "subject"
# Orders of the conditions that go into one product.
BLOCK = 16


class Sides(NamedTuple):
    """RDMs in time (subject or 1, time, pair) and in space (subject or 1, roi, pair)."""

    time: Array
    roi: Array
    method: str
    basis: Array | None


def multiply(roi: Array, time: Array) -> Array:
    """Similarities (subject or 1, roi, time)."""
    if len(roi) == 1:
        # One product with all subjects is faster than one for each.
        flat = time.reshape(-1, time.shape[-1]) @ roi[0].T
        return np.swapaxes(flat.reshape(*time.shape[:2], -1), 1, 2)
    return np.asarray(roi @ np.swapaxes(time, 1, 2))


def permute_score(sides: Sides, Z: Array, orders: Array) -> Array:
    """Means over subjects under each order of the conditions: (permutation, roi, time)."""
    # Products are linear in the side that stays: its mean gives the mean of all.
    time = Z.mean(axis=0, keepdims=True) if len(sides.roi) == 1 else Z
    moved = permute_rows_of(sides.roi, sides.method, sides.basis, orders)
    return np.stack([multiply(roi, time).mean(axis=0) for roi in moved])


def judge_all(mean: Array, null: Array, cluster_level: float, dims: tuple[str, ...]) -> Columns:
    """p values of mean scores (..., time) alone, for all at once, and by clusters of times."""
    p_value, p_fwer = judge(mean, null)
    number, p_cluster = find_time_clusters(mean, null, cluster_level)
    return {
        "p_value": (dims, p_value),
        "p_fwer": (dims, p_fwer),
        "cluster": (dims, number),
        "p_cluster": (dims, p_cluster),
    }


def time_courses(
    score: Array,
    times: Array,
    threshold: float,
    least: int,
    window: tuple[float, float] | None,
    n_draws: int,
    level: float,
    seed: int,
) -> Columns:
    """Onsets and peaks of scores (roi, time, subject), with their bounds over subjects."""
    mean = score.mean(axis=-1)
    onset = _latencies.find_onsets(mean, times, threshold, least)
    peak = _latencies.find_peaks(mean, times, window)
    columns: Columns = {
        "onset": (("roi",), onset),
        "peak": (("roi",), peak),
    }
    if not n_draws:
        return columns
    courses = _latencies.resample_means(score, n_draws, seed)
    onsets = _latencies.find_onsets(courses, times, threshold, least)
    peaks = _latencies.find_peaks(courses, times, window)
    apart = peaks[:, :, None] - peaks[:, None]
    pair = ("roi", "roi_other")
    columns["onset_share"] = (("roi",), np.isfinite(onsets).mean(axis=0))
    columns["peak_difference"] = (pair, peak[:, None] - peak)
    columns["peak_difference_p"] = (pair, _latencies.compare_draws(apart))
    for name, dims, draws in (
        ("onset", ("roi",), onsets),
        ("peak", ("roi",), peaks),
        ("peak_difference", pair, apart),
    ):
        low, high = _latencies.bound(draws, level)
        columns |= {f"{name}_lower": (dims, low), f"{name}_upper": (dims, high)}
    return columns


def _find_common(with_roi: Array, with_model: Array, between: Array) -> Array:
    """R2 of one predictor plus R2 of another less R2 of both, from their correlations."""
    rest = 1 - between**2
    # Two predictors that are the same explain together what one does.
    same = rest < 1e-10
    both = with_roi**2 + with_model**2 - 2 * with_roi * with_model * between
    both = np.where(same, with_roi**2, both / np.where(same, 1.0, rest))
    return np.asarray(with_roi**2 + with_model**2 - both)


def _permute_products(sides: Sides, Z: Array, rows: Array, orders: Array) -> Iterator[Array]:
    """Similarities (subject, region and model, time) under each order of the conditions."""
    models = np.broadcast_to(rows, (len(sides.roi), *rows.shape))
    both = np.concatenate([sides.roi, models], axis=1)
    moves = permute_rows_of(both, sides.method, sides.basis, orders)
    while block := list(islice(moves, BLOCK)):
        # All orders of a block in one product, which reads the RDMs in time once.
        stacked = np.concatenate(block, axis=1)
        yield from np.split(multiply(stacked, Z), len(block), axis=1)


def share_variance(
    sides: Sides, Z: Array, rows: Array, orders: Array, cluster_level: float
) -> Columns:
    """Variance of the RDMs in time that each model (model, pair) and each region share."""
    regions, models = (normalise_rows(x, sides.method, sides.basis) for x in (sides.roi, rows))
    between = np.moveaxis(regions @ models.T, -1, 1)[..., None]
    n_regions = regions.shape[1]

    def share(products: Array) -> Array:
        """Common variance (subject, model, roi, time)."""
        with_roi, with_model = np.split(products, [n_regions], axis=1)
        return _find_common(with_roi[:, None], with_model[:, :, None], between)

    still = np.arange(orders.shape[1])[None]
    found = share(next(_permute_products(sides, Z, rows, still)))
    # Region and model move together: what they share with each other is no finding.
    null = np.stack([share(one).mean(axis=0) for one in _permute_products(sides, Z, rows, orders)])
    judged = judge_all(found.mean(axis=0), null, cluster_level, ("model", "roi", "time"))
    del judged["cluster"]
    columns: Columns = {f"commonality_{key}": column for key, column in judged.items()}
    columns["commonality"] = (("model", "roi", "time", SUBJECT), np.moveaxis(found, 0, -1))
    return columns
