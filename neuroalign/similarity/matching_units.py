"""Matching single units of two representations, and how well the matches hold on new stimuli.

In: arrays (sample, unit). Out: pairs of units, a transport plan, or a number. Rotations are not
forgiven: what is compared is tuning of units, not geometry. To add a way of matching: a function
from correlations (p, q) to a plan (p, q) of sum 1, and its row in ``MATCHERS``.

The best of many correlations is large by chance, so scores match on training stimuli and
correlate the matched units on held-out ones. A unit that never varies correlates 0 with all.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from neuroalign.errors import choose, require
from neuroalign.similarity._pairs import (
    Halves,
    find_groups,
    read_pair,
    split_stimuli,
    standardize,
)

Array = npt.NDArray[Any]
# Pivots of the simplex; the default of POT ends too early from some hundred units on.
MAX_PIVOTS = 10_000_000


class Matching(NamedTuple):
    """Matched units: ``first`` and ``second`` (pair,) and their ``correlations`` (pair,)."""

    first: Array
    second: Array
    correlations: Array


def _assign(correlations: Array) -> Array:
    """Pair units one to one; of the larger side some stay alone."""
    plan = np.zeros(correlations.shape)
    rows, columns = linear_sum_assignment(correlations, maximize=True)
    plan[rows, columns] = 1 / len(rows)
    return plan


def _transport(correlations: Array) -> Array:
    """Give every unit of a side the same mass, and move it where it correlates most."""
    p, q = correlations.shape
    if p == q:
        # The corners of the plans are then permutations (Birkhoff): no library needed.
        return _assign(correlations)
    ot: Any = require("ot", "topology")
    plan: Array = ot.emd(
        np.full(p, 1 / p), np.full(q, 1 / q), 1 - correlations, numItermax=MAX_PIVOTS
    )
    return plan


def _pick(correlations: Array) -> Array:
    """Let each first unit take its best second unit, whoever else took it."""
    plan = np.zeros(correlations.shape)
    plan[np.arange(len(plan)), correlations.argmax(axis=1)] = 1 / len(plan)
    return plan


def _pick_both(correlations: Array) -> Array:
    plan: Array = (_pick(correlations) + _pick(correlations.T).T) / 2
    return plan


MATCHERS: dict[str, Callable[[Array], Array]] = {
    "one_to_one": _assign,
    "soft": _transport,
    "semi": _pick,
    "semi_both": _pick_both,
}


def match_units(X: Any, Y: Any) -> Matching:
    """Pair units one to one so that the sum of their correlations is largest.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        The same stimuli in the same order.

    Returns
    -------
    Matching
        As many pairs as the smaller side has units, in the order of the units of X. The
        correlations are of the very stimuli matched on, thus too high: see `matching_score`.

    Raises
    ------
    AlignError, SchemaError

    References
    ----------
    Li, Yosinski, Clune, Lipson & Hopcroft (2016), ICLR, arXiv:1511.07543.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 3))
    >>> match_units(X, X[:, [2, 0, 1]]).second
    array([1, 2, 0])
    """
    one, other = (standardize(side) for side in read_pair(X, Y))
    correlations = one.T @ other
    rows, columns = linear_sum_assignment(correlations, maximize=True)
    return Matching(rows, columns, correlations[rows, columns])


def match_softly(X: Any, Y: Any) -> Array:
    """Spread the units of one representation over those of another (optimal transport).

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        The same stimuli; any numbers of units.

    Returns
    -------
    array (unit of X, unit of Y)
        The plan with the largest mean correlation among those whose rows sum to 1 / p and columns
        to 1 / q. With p = q it is a permutation over p.

    Raises
    ------
    AlignError, SchemaError
    MissingExtraError
        With unequal numbers of units and without the extra ``topology``.

    References
    ----------
    Khosla & Williams (2024), PMLR 243, arXiv:2311.09466.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 2))
    >>> match_softly(X, X[:, [0, 0, 1, 1]]).tolist()
    [[0.25, 0.25, 0.0, 0.0], [0.0, 0.0, 0.25, 0.25]]
    """
    one, other = (standardize(side) for side in read_pair(X, Y))
    return _transport(one.T @ other)


def soft_matching_distance(X: Any, Y: Any) -> float:
    """Distance of two sets of tuning curves, blind to order and number of units.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        Units are centred and scaled to length 1.

    Returns
    -------
    float
        ``sqrt(min_T sum_ij T_ij |x_i - y_j|^2)`` over the plans of `match_softly`, 0 to 2: a
        metric. Of the stimuli matched on; see `matching_score` for held-out ones.

    Raises
    ------
    AlignError, SchemaError, MissingExtraError

    References
    ----------
    Khosla & Williams (2024), PMLR 243, arXiv:2311.09466.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 2))
    >>> round(soft_matching_distance(X, X[:, [0, 0, 1, 1]]), 6)
    0.0
    """
    one, other = (standardize(side) for side in read_pair(X, Y))
    correlations = one.T @ other
    # A constant unit has length 0, not 1.
    squares = (one**2).sum(axis=0)[:, None] + (other**2).sum(axis=0) - 2 * correlations
    plan = _transport(1 - squares / 2)
    return float(np.sqrt(max((plan * squares).sum(), 0.0)))


def matching_score(
    X: Any,
    Y: Any,
    *,
    method: str = "soft",
    n_splits: int = 5,
    groups: Sequence[Any] | Array | None = None,
    seed: int = 0,
) -> float:
    """Match units on training stimuli, correlate the matches on held-out stimuli.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        The same stimuli in the same order; any numbers of units.
    method : {"one_to_one", "soft", "semi", "semi_both"}
        ``one_to_one`` leaves units of the larger side alone, ``soft`` shares out all units evenly,
        ``semi`` gives each unit of X its best unit of Y (asymmetric), ``semi_both`` averages
        ``semi`` both ways.
    n_splits : int
        Folds of stimuli, dealt at random.
    groups : sequence (sample,), optional
        Rows of one group stay together; the stimuli of labelled rows when not given.
    seed : int

    Returns
    -------
    float
        Mean correlation of matched units over folds; about 0 without any relation.

    Raises
    ------
    AlignError, SchemaError, ValueError, MissingExtraError

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 5))
    >>> round(matching_score(X, X[:, ::-1], method="one_to_one"), 6)
    1.0
    """
    match = choose(MATCHERS, method, "method")
    one, other = read_pair(X, Y)
    labels = find_groups(X, groups)
    sides = [prepare_matching(side, n_splits, labels, seed) for side in (one, other)]
    return _score(sides[0], sides[1], match)


def _score(one: list[Halves], other: list[Halves], match: Callable[[Array], Array]) -> float:
    scores = [
        (match(x.train.T @ y.train) * (x.test.T @ y.test)).sum()
        for x, y in zip(one, other, strict=True)
    ]
    return float(np.mean(scores))


def prepare_matching(
    X: Array,
    n_splits: int = 5,
    groups: Sequence[Any] | Array | None = None,
    seed: int = 0,
) -> list[Halves]:
    """Standardise units on both sides of each fold, once a representation."""
    folds = split_stimuli(len(X), n_splits, seed, groups)
    return [Halves(standardize(X[train]), standardize(X[test])) for train, test in folds]


def pair_one_to_one(one: list[Halves], other: list[Halves]) -> float:
    """Held-out correlation of units paired one to one."""
    return _score(one, other, _assign)


def pair_soft(one: list[Halves], other: list[Halves]) -> float:
    """Held-out correlation of softly matched units."""
    return _score(one, other, _transport)


def pair_semi(one: list[Halves], other: list[Halves]) -> float:
    """Held-out correlation of each first unit with its best second unit."""
    return _score(one, other, _pick)
