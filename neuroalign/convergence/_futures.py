"""Maps from courses of features to courses of responses, with halves of the trials beside them.

In: courses by condition, (condition, time, ...), with NaN where a film has ended. Out: for each
source, split and window the correlation of predictions with held-out averages, and those of halves.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from neuroalign._folds import Folds
from neuroalign.convergence._courses import Courses, Frames
from neuroalign.evaluate._fitting import pass_groups
from neuroalign.scores import pearson

Array = npt.NDArray[Any]


def predict_split(
    encoder: Any, source: Courses, target: Courses, frames: Frames, train: Array, test: Array
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Predict held-out conditions from maps to the average and to each half.

    Parameters
    ----------
    encoder : estimator
    source, target : Courses
    frames : Frames
    train, test : array of int (row,)
        Rows of ``frames``.

    Returns
    -------
    array (test row, neuroid), list of pairs of the same
    """
    groups = frames.condition[train]
    if source.halves:
        pairs = [(source.full, target.full)]
        for ours, theirs in zip(source.halves, target.halves, strict=True):
            pairs += list(zip(ours, theirs, strict=True))
        found = [
            _map(encoder, frames.take(X), frames.take(Y), groups, train, test) for X, Y in pairs
        ]
    else:
        # One matrix of features for all: its factorisation is shared by the halves.
        parts = [target.full, *(half for pair in target.halves for half in pair)]
        Y = np.concatenate([frames.take(part) for part in parts], axis=1)
        both = _map(encoder, frames.take(source.full), Y, groups, train, test)
        found = np.split(both, len(parts), axis=1)
    rest = found[1:]
    return found[0], list(zip(rest[::2], rest[1::2], strict=True))


def _map(encoder: Any, X: Array, Y: Array, groups: Array, train: Array, test: Array) -> Array:
    model = clone(encoder)
    model.fit(X[train], Y[train], **pass_groups(model, groups))
    return np.asarray(model.predict(X[test]), dtype=np.float64).reshape(len(test), -1)


def correlate_halves(
    encoder: Any,
    source: Courses,
    target: Courses,
    frames: Frames,
    windows: Sequence[Array],
    folds: Folds,
    orders: list[Array],
) -> tuple[Array, Array]:
    """Correlate on held-out conditions, all of their frames together.

    Parameters
    ----------
    encoder : estimator
    source, target : Courses
    frames : Frames
    windows : sequence of bool array (row,)
        Rows that are scored; maps are fitted to all rows of training conditions.
    folds : list of (train, test)
        Of conditions.
    orders : list of array (permutation, condition)
        For each split the condition whose prediction stands for each that is held out.

    Returns
    -------
    array (3, split, window, neuroid)
        r of predictions and average; mean r of the halves' predictions; mean r of the halves.
    array (permutation, split, window, neuroid)
        r with the predictions of other conditions, at the frames that both have.
    """
    found = np.full((3, len(folds), len(windows), target.full.shape[2]), np.nan)
    null = np.full((len(orders[0]), *found.shape[1:]), np.nan)
    full = frames.take(target.full)
    halves = [tuple(frames.take(half) for half in pair) for pair in target.halves]
    for split, (known, held) in enumerate(folds):
        train, test = (np.flatnonzero(np.isin(frames.condition, one)) for one in (known, held))
        guess, pairs = predict_split(encoder, source, target, frames, train, test)
        for number, window in enumerate(windows):
            inside = window[test]
            rows = test[inside]
            if len(rows) < 2:
                continue
            found[0, split, number] = pearson(full[rows], guess[inside])
            model = [pearson(one[inside], two[inside]) for one, two in pairs]
            data = [pearson(one[rows], two[rows]) for one, two in halves]
            found[1, split, number] = np.mean(model, axis=0)
            found[2, split, number] = np.mean(data, axis=0)
            place = _place(frames, rows, target.full.shape[:2])
            for draw, order in enumerate(orders[split]):
                swapped = place[order[frames.condition[rows]], frames.time[rows]]
                both = swapped >= 0
                if both.sum() > 1:
                    moved = guess[inside][swapped[both]]
                    null[draw, split, number] = pearson(full[rows[both]], moved)
    return found, null


def _place(frames: Frames, rows: Array, shape: tuple[int, ...]) -> Array:
    """Number of each frame among ``rows``, -1 where it is not there: (condition, time)."""
    place = np.full(shape, -1)
    place[frames.condition[rows], frames.time[rows]] = np.arange(len(rows))
    return place


def draw_orders(
    folds: Folds, n_conditions: int, n_permutations: int, rng: np.random.Generator
) -> list[Array]:
    """Let held-out conditions of each split change places: arrays (permutation, condition)."""
    orders = []
    for _, held in folds:
        order = np.tile(np.arange(n_conditions), (n_permutations, 1))
        order[:, held] = rng.permuted(order[:, held], axis=1)
        orders.append(order)
    return orders
