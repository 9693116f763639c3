"""How well RDMs repeat: halves of runs or repeats against each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.errors import SchemaError, choose
from neuroalign.rsa._bootstrap import MIN_UNIQUE, draw
from neuroalign.rsa._cells import NoiseLike
from neuroalign.rsa._comparison_kernels import KERNELS, NORMALISERS, Weights, weigh
from neuroalign.rsa._halves import HALVES, Given, Job, compute_halves, holds_rdms, name_distance
from neuroalign.rsa._latencies import bound
from neuroalign.rsa._sentences import describe_reliability
from neuroalign.rsa._stacks import Stack
from neuroalign.rsa._stacks import fold as label_pairs

Array = npt.NDArray[Any]


def _alternate(codes: Array, _rng: np.random.Generator) -> Array:
    """Every second unit, in the order of their names or rows."""
    return codes


def _shuffle(codes: Array, rng: np.random.Generator) -> Array:
    """Units in random order."""
    return rng.permutation(int(codes.max()) + 1)[codes]


SPLITS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "odd_even": _alternate,
    "random": _shuffle,
}


def split_rdms(
    responses: Given,
    *,
    by: str = "stimulus",
    unit: str | None = "run",
    split: str = "odd_even",
    distance: str = "correlation",
    fold: str | None = None,
    noise: NoiseLike = None,
    over: str | Sequence[str] = (),
    seed: int = 0,
) -> xr.DataArray:
    """Compute RDMs of two halves of the data that share no run, or no presentation.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time]), or mapping
        Also responses of subjects by name, with their dim first in ``over``; or RDMs that are
        computed already, of the units by name or in a stack (unit, ..., pair): they are dealt in
        two halves and averaged. ``by`` and ``distance`` are not used then, as the result names the
        distance of the RDMs; ``fold``, ``noise`` and ``over`` are refused.
    by, distance, fold, noise, over
        As in `compute_rdm`. A fold needs two runs or more in each half. A named noise is estimated
        in each half.
    unit : str or None
        Coord on sample whose values stay whole: "run", "session". None: the presentations of each
        condition are dealt, which are independent only when their noise is.
    split : {"odd_even", "random"}
        ``odd_even``: every second unit, by their order in the data. Of an odd number the first
        half gets one more.
    seed : int

    Returns
    -------
    DataArray (half, ..., pair)
        Halves are made within each subject when ``over`` has "subject", or any other coord on
        sample.

    Raises
    ------
    SchemaError
        With fewer than two units, or when a half lacks a condition.
    ValueError

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> values = np.random.default_rng(0).normal(size=(12, 8))
    >>> runs = np.repeat(["1", "2", "3", "4"], 3)
    >>> data = from_arrays(values, stimulus=["a", "b", "c"] * 4, run=runs, modality="fmri")
    >>> dict(split_rdms(data, distance="crossnobis", fold="run").sizes)
    {'half': 2, 'pair': 3}
    """
    order = choose(SPLITS, split, "split")
    job = Job(by, unit, distance, fold, noise, (over,) if isinstance(over, str) else tuple(over))
    halves = compute_halves(responses, job, order, np.random.default_rng(seed))
    values = np.stack([half.values for half in halves])
    first = halves[0]
    coords = {**first.coords, "half": HALVES}
    return label_pairs(
        values, first.labels, ("half", *first.lead), coords, name_distance(responses, distance)
    )


def _correlate(A: Array, B: Array, method: str, weights: Weights) -> Array:
    """Similarity of each row with its own counterpart (row,)."""
    if method in NORMALISERS:
        return np.asarray(
            (NORMALISERS[method](A, weights) * NORMALISERS[method](B, weights)).sum(1)
        )
    compare = KERNELS[method]
    pairs = zip(A, B, strict=True)
    return np.array([compare(a[None], b[None], weights)[0, 0] for a, b in pairs])


def _predict_whole(r: Array) -> Array:
    """Reliability of twice the data; not beyond -1, where the formula has its pole."""
    clipped = np.clip(r, -0.999, 1.0)
    return np.asarray(np.maximum(2 * clipped / (1 + clipped), -1.0))


def _make_splits(
    responses: Given, job: Job, split: str, n_splits: int, seed: int
) -> Iterator[tuple[Stack, Stack]]:
    order = choose(SPLITS, split, "split")
    # One number a split, so that the first one is that of split_rdms with this seed.
    for one in range(n_splits):
        yield compute_halves(responses, job, order, np.random.default_rng(seed + one))


def estimate_reliability(
    responses: Given,
    *,
    by: str = "stimulus",
    unit: str | None = "run",
    split: str = "random",
    distance: str = "correlation",
    fold: str | None = None,
    noise: NoiseLike = None,
    over: str | Sequence[str] = (),
    method: str = "pearson",
    n_splits: int = 20,
    n_bootstrap: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Estimate how well RDMs repeat, from halves of the data.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time]), or mapping
        Also of subjects by name, or RDMs of units by name or in a stack, as in `split_rdms`.
    by, unit, split, distance, fold, noise, over
        As in `split_rdms`: "subject", "roi" and "time" in ``over`` give one value each.
    method : str
        Comparison of the halves: a name in ``COMPARISONS`` but ``bures`` and ``riemannian``.
    n_splits : int
        Random splits, whose similarities are averaged; 1 for ``odd_even``, which has one.
    n_bootstrap : int
        Resamples of conditions for the interval; 0 for none.
    level : float
    seed : int

    Returns
    -------
    Dataset
        Of kind ``estimate``, over the dims of ``over``: ``half`` (the mean similarity of halves)
        and ``reliability`` = 2 half / (1 + half), of all data; ``lower``, ``upper`` of the latter
        for other conditions; ``split_sd``, of the similarity over splits.

    Raises
    ------
    SchemaError, ValueError

    Notes
    -----
    The formula of Spearman and Brown holds where errors of distances halve in variance with twice
    the data. Those of crossnobis distances do so where signal prevails; where noise prevails they
    fall faster, and the reliability of all data is higher than given here. Splits of one
    data set depend on each other: their spread is no standard error.

    References
    ----------
    Spearman (1910) and Brown (1910), British Journal of Psychology 3; Walther et al. (2016),
    NeuroImage 137, doi:10.1016/j.neuroimage.2015.12.012 (reliability of distances).

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> values = np.tile(rng.normal(size=(8, 30)), (4, 1)) + rng.normal(size=(32, 30))
    >>> runs, names = np.repeat(["1", "2", "3", "4"], 8), list("abcdefgh") * 4
    >>> data = from_arrays(values, stimulus=names, run=runs, modality="fmri")
    >>> bool(estimate_reliability(data, n_bootstrap=0)["reliability"] > 0.5)
    True
    """
    choose(KERNELS, method, "method")
    if split == "odd_even":
        n_splits = 1
    if n_splits < 1 or n_bootstrap < 0 or not 0 < level < 1:
        raise ValueError(
            "n_splits, n_bootstrap, level: expected 1 or more, 0 or more, and 0 to 1, got "
            f"{n_splits}, {n_bootstrap}, {level}."
        )
    job = Job(by, unit, distance, fold, noise, (over,) if isinstance(over, str) else tuple(over))
    found: list[Array] = []
    draws: list[Array] = []
    for one, other in _make_splits(responses, job, split, n_splits, seed):
        A, B = (half.values.reshape(-1, half.values.shape[-1]) for half in (one, other))
        if not found:
            first, counts = one, _draw_conditions(len(one.labels), n_bootstrap, seed)
        order = [one.labels.tolist().index(label) for label in first.labels.tolist()]
        found.append(_correlate(A, B, method, weigh(A.shape[1])))
        resampled = [
            _correlate(A, B, method, weigh(A.shape[1], counts=row[np.argsort(order)]))
            for row in counts
        ]
        draws.append(np.reshape(resampled, (n_bootstrap, len(A))))
    shape = first.values.shape[:-1]
    half = np.mean(found, axis=0)
    columns = {"half": half, "reliability": _predict_whole(half)}
    if n_bootstrap:
        low, high = bound(_predict_whole(np.mean(draws, axis=0)), level)
        columns |= {"lower": low, "upper": high}
    if n_splits > 1:
        columns["split_sd"] = np.std(found, axis=0, ddof=1)
    parameters: dict[str, str | float | bool | list[str]] = {
        "by": "" if holds_rdms(responses) else by,
        "unit": unit or "",
        "split": split,
        "distance": name_distance(responses, distance),
        "fold": fold or "",
        "metric": method,
        "n_splits": n_splits,
        "n_bootstrap": n_bootstrap,
        "level": level,
    }
    attrs = {
        **parameters,
        "kind": "estimate",
        "method": f"split-half reliability of RDMs ({method})",
        "seed": seed,
        "provenance": provenance.collect(parameters, _hash(responses)),
    }
    made = {key: (first.lead, value.reshape(shape)) for key, value in columns.items()}
    result = xr.Dataset(made, coords=first.coords, attrs=attrs)
    result = result.assign_attrs(headline="reliability", verdict=describe_reliability(result))
    return schema.check_estimate(result)


def _hash(given: Given) -> dict[str, str]:
    if isinstance(given, Mapping):
        return {f"responses {key}": provenance.hash_array(one) for key, one in given.items()}
    return {"responses": provenance.hash_array(given)}


def _draw_conditions(n: int, n_bootstrap: int, seed: int) -> Array:
    if n_bootstrap and n < MIN_UNIQUE:
        raise SchemaError(
            f"responses: expected {MIN_UNIQUE} conditions or more to resample, got {n}. "
            "Use n_bootstrap=0."
        )
    rng = np.random.default_rng([seed, 5])
    return np.array([draw(n, rng, MIN_UNIQUE) for _ in range(n_bootstrap)])
