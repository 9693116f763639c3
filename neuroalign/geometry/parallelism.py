"""Does one difference point the same way wherever it is made? Plain, and freed of noise."""

import warnings
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import NeuroalignWarning
from neuroalign.geometry._cross_grams import (
    MOST_PAIRS,
    CrossGram,
    Parallelism,
    correct_parallelism,
    cross_gram,
    find_best_pairs,
    mean_cosine,
)
from neuroalign.geometry._matrices import Matrix, sign
from neuroalign.geometry._trials import Labels, Trials, read_side, read_trials
from neuroalign.geometry.dichotomies import Pairs

Array = npt.NDArray[Any]
# Standard errors that the signal must exceed for a ratio to it to be a measurement.
LEAST_SIGNAL = 2.0


class Products(NamedTuple):
    """Products of condition means: with noise, and without where trials are repeated."""

    plain: Array
    crossed: CrossGram | None


def multiply_means(trials: Trials) -> Products:
    """Prepare what the parallelism of every dichotomy is read from."""
    means = trials.means
    alone = trials.counts.min() < 2
    return Products(means @ means.T, None if alone else cross_gram(trials))


def measure_pairs(
    products: Products, first: Array, second: Array
) -> tuple[float, Parallelism, bool]:
    """Plain and corrected parallelism of a pairing, and whether its signal stands above noise."""
    score = mean_cosine(products.plain, first, second)
    if products.crossed is None:
        return score, Parallelism(np.nan, np.nan, np.nan, np.nan), True
    corrected = correct_parallelism(products.crossed, first, second)
    # With two trials of a condition no error is known: its NaN refuses nothing.
    weak = corrected.signal <= 0 or corrected.signal < LEAST_SIGNAL * corrected.signal_error
    if weak:
        corrected = corrected._replace(score=np.nan, score_error=np.nan)
    return score, corrected, not weak


def read_pairs(names: Sequence[str], positive: Array, pairs: Pairs) -> tuple[Array, Array]:
    """Turn pairs of names into indices.

    Raises
    ------
    ValueError
        When they do not pair every positive condition with another negative one.
    """
    number = {name: index for index, name in enumerate(names)}
    first = np.array([number.get(pair[0], -1) for pair in pairs])
    second = np.array([number.get(pair[1], -1) for pair in pairs])
    sides = (sorted(first.tolist()), sorted(second.tolist()))
    if sides != (np.flatnonzero(positive).tolist(), np.flatnonzero(~positive).tolist()):
        raise ValueError(
            "pairs: expected every positive condition once, each with another negative one, got "
            f"{list(pairs)}. List (positive, negative) for all."
        )
    return first, second


def parallelism_score(
    responses: Matrix,
    positive: Collection[str],
    *,
    conditions: Labels = "stimulus",
    pairs: Pairs | None = None,
    fold: Labels | None = None,
) -> xr.Dataset:
    """How parallel the differences between paired conditions of two sides are.

    Parameters
    ----------
    responses : array or DataArray (sample, unit)
        Trials; one a condition gives the plain score alone.
    positive : collection of str
        The conditions on one side, half of them.
    conditions : str, or sequence (sample,)
        A coord on sample, or the labels.
    pairs : sequence of (positive, negative), optional
        Which conditions are compared; `pair_by_factors` gives those that differ in one factor.
        None takes the pairing with the largest score, which is biased up, for up to 6 pairs.
    fold : str, or sequence (sample,), optional
        Label of trials that share noise ("run"): products are then taken between folds only.
        None: the noise of trials is independent.

    Returns
    -------
    Dataset
        ``parallelism``, the mean cosine between differences: noise pulls it to 0; ``corrected``,
        freed of noise, NaN where it cannot be known, with ``corrected_error`` (jackknife);
        ``signal``, the mean squared length of a difference without noise, and ``signal_error``.

    Raises
    ------
    SchemaError
        When a condition lies in one fold only.
    ValueError

    Warns
    -----
    NeuroalignWarning
        When the signal is below 0 or 2 of its standard errors: ``corrected`` is then NaN.

    Notes
    -----
    With v_i the differences of halves A and B of the trials, corrected = mean_{i<j} (v_i^A v_j^B +
    v_i^B v_j^A) / 2 over mean_i v_i^A v_i^B, numerator and denominator averaged over all halvings:
    products of different trials (or folds). Long differences weigh more than short ones here,
    while the plain score gives all the same weight.

    References
    ----------
    Bernardi et al. (2020), Cell 183, doi:10.1016/j.cell.2020.09.031; the correction follows
    Walther et al. (2016), doi:10.1016/j.neuroimage.2015.12.012, on crossed products.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names = np.repeat(["old red", "new red", "old blue", "new blue"], 20)
    >>> means = {"old red": [2, 2, 0], "new red": [0, 2, 0], "old blue": [2, 0, 0]}
    >>> X = np.array([means.get(name, [0, 0, 0]) for name in names]) + rng.normal(size=(80, 3))
    >>> pairs = [("old red", "new red"), ("old blue", "new blue")]
    >>> old = ["old red", "old blue"]
    >>> float(parallelism_score(X, old, conditions=names, pairs=pairs)["corrected"]).__round__(1)
    1.0
    """
    trials = read_trials(responses, conditions, fold)
    side = read_side(trials.names, positive)
    products = multiply_means(trials)
    if pairs is not None:
        first, second = read_pairs(trials.names, side, pairs)
    elif side.sum() <= MOST_PAIRS:
        first, second = find_best_pairs(products.plain, side)
    else:
        raise ValueError(
            f"pairs: expected a list of pairs for more than {MOST_PAIRS} of them, got None. "
            "pair_by_factors makes one."
        )
    score, corrected, strong = measure_pairs(products, first, second)
    if not strong:
        warn_weak(1, 1)
    result = xr.Dataset(
        {
            "parallelism": score,
            "corrected": corrected.score,
            "corrected_error": corrected.score_error,
            "signal": corrected.signal,
            "signal_error": corrected.signal_error,
        }
    )
    names = [trials.names[i] for i in np.flatnonzero(side)]
    parameters: dict[str, Any] = {
        "positive": names,
        "pairing": "best" if pairs is None else "given",
    }
    parameters |= {"folds": fold is not None, "n": len(trials.codes)}
    freed = f"{corrected.score:.3f} ± {corrected.score_error:.3f}" if strong else "undefined"
    verdict = f"Parallelism {score:.3f}, freed of noise {freed} (standard error)."
    return sign(result, "parallelism", {"responses": responses}, parameters, "parallelism", verdict)


def warn_weak(n_weak: int, n_total: int) -> None:
    """Say that a noise-corrected parallelism cannot be known."""
    warnings.warn(
        f"responses: expected differences of at least {LEAST_SIGNAL:g} standard errors, got less "
        f"in {n_weak} of {n_total} dichotomies. Their corrected parallelism is NaN; use more "
        "trials or more reliable units.",
        NeuroalignWarning,
        stacklevel=3,
    )
