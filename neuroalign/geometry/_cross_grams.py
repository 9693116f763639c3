"""Inner products of condition means, with and without the noise in them.

In: trials. Out: G (condition, condition), and G without each trial (or fold) in turn, from which
any parallelism has its standard error by the jackknife.
"""

from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError, some
from neuroalign.geometry._trials import Trials

Array = npt.NDArray[Any]
MOST_PAIRS = 6


class CrossGram(NamedTuple):
    """Unbiased products (C, C), those with one unit left out (unit, C, C), stratum (unit,)."""

    values: Array
    without: Array
    strata: Array


class Parallelism(NamedTuple):
    """Noise-corrected parallelism, its error, the signal it was divided by, and its error."""

    score: float
    score_error: float
    signal: float
    signal_error: float


def cross_gram(trials: Trials) -> CrossGram:
    """Products of means over pairs of different trials (or of different folds).

    This is the mean over all halvings of the trials of products between halves.
    """
    return _cross_trials(trials) if trials.groups is None else _cross_folds(trials)


def _cross_trials(trials: Trials) -> CrossGram:
    counts, means, codes = trials.counts, trials.means, trials.codes
    plain = means @ means.T
    square = np.einsum("ij,ij->i", trials.values, trials.values)
    total = np.bincount(codes, weights=square, minlength=len(counts))
    own = np.arange(len(counts))
    values = plain.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        values[own, own] = (counts**2 * np.diagonal(plain) - total) / (counts * (counts - 1))
        # Without trial t of condition c, row and column c change.
        row, n = np.arange(len(codes)), counts[codes]
        product = trials.values @ means.T
        changed = (n[:, None] * plain[codes] - product) / (n - 1)[:, None]
        size = n**2 * plain[codes, codes] - 2 * n * product[row, codes] - total[codes] + 2 * square
        changed[row, codes] = size / ((n - 1) * (n - 2))
    without = np.repeat(values[None], len(codes), axis=0)
    without[row, codes] = changed
    without[row, :, codes] = changed
    return CrossGram(values, without, codes)


def _cross_folds(trials: Trials) -> CrossGram:
    assert trials.groups is not None
    n_folds, n_conditions = int(trials.groups.max()) + 1, len(trials.names)
    sums = np.zeros((n_folds, n_conditions, trials.values.shape[1]))
    np.add.at(sums, (trials.groups, trials.codes), trials.values)
    counts = np.zeros((n_folds, n_conditions))
    np.add.at(counts, (trials.groups, trials.codes), 1)
    present = (counts > 0).astype(np.float64)
    rare = [name for name, n in zip(trials.names, present.sum(axis=0), strict=True) if n < 2]
    if rare:
        raise SchemaError(
            f"fold: expected every condition in two folds or more, got {some(rare)} in one. Leave "
            "them out, or use other folds."
        )
    means = sums / np.maximum(counts, 1)[:, :, None]
    within, shared = means @ means.transpose(0, 2, 1), present[:, :, None] * present[:, None]

    def combine(total: Array, number: Array, inside: Array, both: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((total @ total.T - inside) / (np.outer(number, number) - both))

    total, number = means.sum(axis=0), present.sum(axis=0)
    inside, both = within.sum(axis=0), shared.sum(axis=0)
    without = [
        combine(total - means[f], number - present[f], inside - within[f], both - shared[f])
        for f in range(n_folds)
    ]
    strata = np.zeros(n_folds, dtype=np.intp)
    return CrossGram(combine(total, number, inside, both), np.array(without), strata)


def contrast(gram: Array, first: Array, second: Array) -> Array:
    """Products (..., pair, pair) of the differences first - second, from those of conditions."""

    def part(left: Array, right: Array) -> Array:
        return np.asarray(gram[..., left[:, None], right[None, :]])

    return part(first, first) - part(first, second) - part(second, first) + part(second, second)


def mean_cosine(gram: Array, first: Array, second: Array) -> float:
    """Mean cosine of the angles between differences."""
    products = contrast(gram, first, second)
    size = np.sqrt(np.diagonal(products))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = products / np.outer(size, size)
    m = len(first)
    return float((cosine.sum() - np.trace(cosine)) / (m * (m - 1)))


def find_best_pairs(gram: Array, positive: Array) -> tuple[Array, Array]:
    """The pairing of the two sides that gives the largest mean cosine."""
    first, second = np.flatnonzero(positive), np.flatnonzero(~positive)
    m = len(first)
    all_first, all_second = np.repeat(first, m), np.tile(second, m)
    products = contrast(gram, all_first, all_second)
    size = np.sqrt(np.maximum(np.diagonal(products), np.finfo(np.float64).tiny))
    cosine = products / np.outer(size, size)
    orders = np.array(list(permutations(range(m))))
    index = np.arange(m) * m + orders
    best = int(np.argmax(cosine[index[:, :, None], index[:, None, :]].sum(axis=(1, 2))))
    return first, second[orders[best]]


def correct_parallelism(grams: CrossGram, first: Array, second: Array) -> Parallelism:
    """Ratio of mean products of different differences to their mean squared length."""
    m = len(first)

    def measure(gram: Array) -> tuple[Array, Array]:
        products = contrast(gram, first, second)
        trace = np.trace(products, axis1=-2, axis2=-1)
        return (products.sum(axis=(-2, -1)) - trace) / (m * (m - 1)), trace / m

    used = np.isin(grams.strata, np.r_[first, second]) | (grams.strata.max() == 0)
    across, signal = measure(grams.values)
    across_without, signal_without = measure(grams.without[used])
    strata = grams.strata[used]
    with np.errstate(divide="ignore", invalid="ignore"):
        score, scores = across / signal, across_without / signal_without
    return Parallelism(
        float(score), _jackknife(scores, strata), float(signal), _jackknife(signal_without, strata)
    )


def _jackknife(values: Array, strata: Array) -> float:
    """Standard error from values with one unit of a stratum left out; NaN if one is undefined."""
    counts = np.bincount(strata)
    mean = np.bincount(strata, weights=values) / np.maximum(counts, 1)
    spread = (counts - 1)[strata] / counts[strata] * (values - mean[strata]) ** 2
    return float(np.sqrt(spread.sum()))
