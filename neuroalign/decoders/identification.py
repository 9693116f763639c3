"""Retrieval and identification: how well decoded embeddings tell which stimulus was shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import check_same_rows, unwrap
from neuroalign.decoders._identification import (
    SIMILARITIES,
    compare_rows,
    draw_hits,
    expect_hits,
    find_beaten,
)
from neuroalign.errors import SchemaError, choose
from neuroalign.stats.intervals import bootstrap_interval

Array = npt.NDArray[Any]
# Retrieval among few saturates: the larger number is asked for too, where there are as many.
USUAL_CANDIDATES = (300, 1000)
DIRECTIONS = ("to_embedding", "to_brain")


def identify(
    predicted: Any,
    true: Any,
    *,
    n_candidates: int | Sequence[int] | None = None,
    top: int | Sequence[int] = (1, 5),
    n_draws: int = 30,
    metric: str = "cosine",
    center: Any = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Retrieve each stimulus by its decoded embedding, among candidates drawn at random.

    Parameters
    ----------
    predicted, true : DataArray or array (sample, feature) or (sample, token, feature)
        Row by row of the same stimuli, each once: average repeats first. Tokens are joined.
    n_candidates : int or sequence of int, optional
        Items of a draw, the right one included. None: those of 300 and 1000 that the items allow,
        else all of them.
    top : int or sequence of int
        A hit is among the ``top`` most similar.
    n_draws : int
        Draws of candidates without replacement.
    metric : {"cosine", "correlation"}
    center : array (feature,) or (token, feature), optional
        Taken from both sides first: the mean of the training embeddings, which cosines would
        otherwise share.
    level : float
        Of the intervals.
    n_resamples, seed : int
        Of the bootstrap; ``seed`` also of the draws and of ties.

    Returns
    -------
    Dataset
        ``retrieval`` (direction, candidates, top): mean over draws of the share of hits, and
        ``retrieval_draw`` (draw, ...) each of them. ``expected``: the mean over all draws there
        are, with ``lower`` and ``upper`` from a bootstrap over items. ``chance``
        (candidates, top). ``two_way`` (direction), with ``two_way_lower`` and ``two_way_upper``:
        share of the other items that are less similar; chance 0.5. Direction ``to_embedding``
        looks up true embeddings by the decoded one, ``to_brain`` the other way round.

    Raises
    ------
    AlignError, SchemaError
        When rows name other stimuli, shapes differ, or a stimulus comes twice.
    ValueError
        For numbers out of range, and on NaN.

    Notes
    -----
    Draws share items: their spread is no error of the mean, so intervals resample items.
    Equal similarities are put in random order: predictions that are all alike are at chance.

    References
    ----------
    Lin, Sprague & Singh (2022), NeurIPS 35, arXiv:2210.01769; Scotti et al. (2023), NeurIPS 36,
    arXiv:2305.18274, section 3.2: retrieval among 300, mean of 30 draws.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(size=(50, 8))
    >>> found = identify(true + rng.normal(size=true.shape), true, n_candidates=20, top=1)
    >>> found["retrieval"].dims, float(found["chance"].item())
    (('direction', 'candidates', 'top'), 0.05)
    """
    choose(SIMILARITIES, metric, "metric")
    given, wanted = _read_pair(predicted, true, center)
    n = len(given)
    sizes = _read_sizes(n_candidates, n)
    tops = _read_tops(top, sizes)
    if n_draws < 1:
        raise ValueError(f"n_draws: expected at least 1, got {n_draws}. 30 are usual.")
    similarity = compare_rows(given, wanted, metric)
    rng = np.random.default_rng(seed)
    drawn = np.empty((n_draws, 2, len(sizes), len(tops)))
    hits = np.empty((n, 2, len(sizes), len(tops)))
    better = np.empty((n, 2))
    for way, table in enumerate((similarity, similarity.T)):
        ahead = find_beaten(table, rng)
        better[:, way] = 1 - ahead.sum(axis=1) / (n - 1)
        for place, size in enumerate(sizes.tolist()):
            drawn[:, way, place] = draw_hits(ahead, size, tops, n_draws, rng)
            hits[:, way, place] = expect_hits(ahead, size, tops)
    options: dict[str, Any] = {
        "method": "percentile", "level": level, "n_resamples": n_resamples, "seed": seed,
    }  # fmt: skip
    found, pairs = bootstrap_interval(hits, **options), bootstrap_interval(better, **options)
    dims = ("direction", "candidates", "top")
    result = xr.Dataset(
        {
            "retrieval": (dims, drawn.mean(axis=0)),
            "retrieval_draw": (("draw", *dims), drawn),
            "expected": (dims, hits.mean(axis=0)),
            "lower": (dims, found["lower"].values),
            "upper": (dims, found["upper"].values),
            "chance": (dims[1:], tops / sizes[:, None]),
            "two_way": (dims[:1], better.mean(axis=0)),
            "two_way_lower": (dims[:1], pairs["lower"].values),
            "two_way_upper": (dims[:1], pairs["upper"].values),
        },
        coords={"direction": list(DIRECTIONS), "candidates": sizes, "top": tops},
        attrs={
            "kind": "estimate", "method": "retrieval", "headline": "retrieval", "metric": metric,
            "n_items": n, "n_draws": n_draws, "level": level, "seed": seed,
        },
    )  # fmt: skip
    return result.assign_attrs(verdict=_judge(result))


def _judge(result: xr.Dataset) -> str:
    first = result.isel(direction=0, candidates=0, top=0)
    return (
        f"Top-{int(first['top'])} retrieval among {int(first['candidates'])} is "
        f"{float(first['retrieval']):.3f} [{float(first['lower']):.3f}, "
        f"{float(first['upper']):.3f}: {result.attrs['level']:.0%} over items], chance "
        f"{float(first['chance']):.4f}; two-way identification {float(first['two_way']):.3f}, "
        "chance 0.5."
    )


def _read_pair(predicted: Any, true: Any, center: Any) -> tuple[Array, Array]:
    check_same_rows(predicted, true, ("predicted", "true"))
    for name, side in (("predicted", predicted), ("true", true)):
        if isinstance(side, xr.DataArray) and "stimulus" in side.coords:
            names, counts = np.unique(side["stimulus"].values, return_counts=True)
            if (counts > 1).any():
                raise SchemaError(
                    f"{name}: expected each stimulus once, got '{names[counts > 1][0]}' "
                    f"{counts.max()} times. Decode the average of its repeats "
                    "(align.average_repeats)."
                )
    given, wanted = (np.asarray(unwrap(side)[0], np.float64) for side in (predicted, true))
    if given.shape != wanted.shape or given.ndim not in (2, 3) or len(given) < 2:
        raise SchemaError(
            f"predicted: expected (sample, feature) or (sample, token, feature) as true "
            f"{wanted.shape}, of two rows at least, got {given.shape}. Predict the same items."
        )
    if center is not None:
        middle = np.asarray(center, dtype=np.float64)
        if middle.shape != given.shape[1:]:
            raise SchemaError(
                f"center: expected one embedding {given.shape[1:]}, got {middle.shape}. "
                "Average the training embeddings over samples."
            )
        given, wanted = given - middle, wanted - middle
    for name, side in (("predicted", given), ("true", wanted)):
        bad = ~np.isfinite(side).reshape(len(side), -1).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name}: expected finite numbers, got NaN or infinity in {int(bad.sum())} rows "
                f"(first: {int(np.argmax(bad))}). Leave those items out."
            )
    return given.reshape(len(given), -1), wanted.reshape(len(wanted), -1)


def _read_sizes(n_candidates: int | Sequence[int] | None, n: int) -> npt.NDArray[np.intp]:
    usual = [size for size in USUAL_CANDIDATES if size <= n] or [n]
    sizes = np.unique(np.atleast_1d(usual if n_candidates is None else n_candidates))
    if sizes.dtype.kind not in "iu" or not len(sizes) or sizes[0] < 2 or sizes[-1] > n:
        raise ValueError(
            f"n_candidates: expected whole numbers from 2 to the {n} items, got {n_candidates}. "
            "Leave it None for what there is."
        )
    return sizes.astype(np.intp)


def _read_tops(top: int | Sequence[int], sizes: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    tops = np.unique(np.atleast_1d(top))
    if tops.dtype.kind not in "iu" or not len(tops) or tops[0] < 1 or tops[-1] >= sizes[0]:
        raise ValueError(
            f"top: expected whole numbers from 1 to below {sizes[0]} candidates, got {top}. "
            "1 and 5 are usual."
        )
    return tops.astype(np.intp)
