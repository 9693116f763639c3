"""Which rows train and which rows test, and the proof that they share nothing.

In: the number of rows, their groups or stimuli. Out: a list of (train, test) row indices.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut

from neuroalign.errors import LeakageError, some

Rows = npt.NDArray[np.intp]
Folds = list[tuple[Rows, Rows]]
LEAVE_ONE_OUT_UP_TO = 12


def make_folds(
    n: int,
    *,
    groups: Sequence[Any] | npt.NDArray[Any] | None = None,
    n_splits: int | None = 5,
    stimulus: Sequence[str] | npt.NDArray[np.str_] | None = None,
    seed: int | None = None,
) -> Folds:
    """Split rows into folds: whole groups, whole stimuli, or contiguous stretches.

    Parameters
    ----------
    n : int
        Number of rows.
    groups : sequence (n,), optional
        Rows of one group (a run, a session) are never divided.
    n_splits : int or None
        Number of folds. None: one fold a group when there are at most 12 groups, else 5 folds;
        as many as there are groups, or more: one fold a group.
    stimulus : sequence of str (n,), optional
        Used when there are no groups and a stimulus comes more than once: its repeats stay
        together.
    seed : int, optional
        Shuffles whole stimuli between folds. Groups and contiguous stretches are not shuffled:
        neighbouring time points on both sides of a split leak.

    Returns
    -------
    list of (train, test)
        Sorted row indices; every row is tested once.

    Raises
    ------
    ValueError
        With fewer than two groups or rows, or labels that do not count n.
    """
    labels = groups if groups is not None else find_repeated(stimulus)
    if labels is None:
        k = min(5 if n_splits is None else n_splits, n)
        _check_count(k, "n_splits", "rows")
        return list(KFold(k).split(np.empty((n, 0))))
    labels = np.asarray(labels)
    name = "groups" if groups is not None else "stimulus"
    if labels.shape != (n,):
        raise ValueError(f"{name}: expected {n} labels, got shape {labels.shape}. Label each row.")
    n_groups = len(np.unique(labels))
    _check_count(n_groups, name, "different labels")
    if n_splits is None and n_groups > LEAVE_ONE_OUT_UP_TO:
        n_splits = 5
    rows = np.empty((n, 0))
    if n_splits is None or n_splits >= n_groups:
        return list(LeaveOneGroupOut().split(rows, groups=labels))
    _check_count(n_splits, "n_splits", "folds")
    shuffle = groups is None and seed is not None
    splitter = GroupKFold(n_splits, shuffle=shuffle, random_state=seed if shuffle else None)
    return list(splitter.split(rows, groups=labels))


def find_repeated(stimulus: Sequence[str] | npt.NDArray[np.str_] | None) -> npt.NDArray[Any] | None:
    """Give the stimuli as an array when one of them comes more than once."""
    if stimulus is None or len(np.unique(stimulus)) == len(stimulus):
        return None
    return np.asarray(stimulus)


def _check_count(count: int, name: str, what: str) -> None:
    if count < 2:
        raise ValueError(f"{name}: expected at least 2 {what}, got {count}. Use more to split.")


def check_leakage(folds: Folds, stimulus: Sequence[str] | npt.NDArray[np.str_]) -> None:
    """Check that no fold tests a stimulus, or a row, that it also trains on.

    Parameters
    ----------
    folds : list of (train, test)
    stimulus : sequence of str (n,)

    Raises
    ------
    LeakageError
        Names the first fold and the stimuli it shares.
    """
    labels = np.asarray(stimulus)
    for number, (train, test) in enumerate(folds):
        shared = np.intersect1d(labels[train], labels[test])
        if len(shared):
            raise LeakageError(
                f"folds: expected test stimuli unseen in training, got {len(shared)} shared in "
                f"fold {number} ({some(shared)}). Use group='stimulus', or pass "
                "allow_shared_stimuli=True when labels are conditions of a continuous design."
            )
