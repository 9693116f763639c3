"""Which rows train and which rows test, and the proof that they share nothing.

In: the number of rows, their groups or stimuli. Out: a list of (train, test) row indices.
"""

from collections.abc import Iterable, Sequence
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
    shuffle_groups: bool = False,
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
    shuffle_groups : bool
        Let ``seed`` deal whole groups to folds at random, for repeated splits.

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
    shuffle = (groups is None or shuffle_groups) and seed is not None
    splitter = GroupKFold(n_splits, shuffle=shuffle, random_state=seed if shuffle else None)
    return list(splitter.split(rows, groups=labels))


def cut_contiguous(
    n_splits: int,
    run: npt.NDArray[Any],
    time: npt.NDArray[Any] | None = None,
) -> Folds:
    """Cut a recording into stretches of time, one a fold, whatever the order of its rows.

    Parameters
    ----------
    n_splits : int
    run : array (n,)
        Runs follow each other in the order of their names.
    time : array (n,), optional
        What rows are in order of, within a run; as they stand when not given.

    Returns
    -------
    list of (train, test)

    Raises
    ------
    ValueError
        With fewer than two folds or fewer rows than folds.
    """
    n = len(run)
    k = min(n_splits, n)
    _check_count(k, "n_splits", "stretches")
    order = np.lexsort([np.zeros(n) if time is None else time, run])
    parts = [np.sort(part) for part in np.array_split(order, k)]
    return [(np.setdiff1d(np.arange(n), part), part) for part in parts]


def purge_folds(
    folds: Folds,
    gap: float,
    run: npt.NDArray[Any],
    time: npt.NDArray[Any] | None = None,
) -> Folds:
    """Drop training rows that lie close to a test row in the same run.

    Parameters
    ----------
    folds : list of (train, test)
    gap : float
        In the unit of ``time``: rows at this distance or nearer are dropped, before and after.
    run : array (n,)
    time : array (n,), optional
        Onset of each row; its place within the run when not given.

    Returns
    -------
    list of (train, test)
        Test rows as they were.

    Raises
    ------
    ValueError
        When the gap is negative or no training row is left.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, chapter 7, on purging.
    """
    if not gap >= 0:
        raise ValueError(f"gap: expected a number >= 0, got {gap}. Use 0 to drop nothing.")
    codes = np.unique(run, return_inverse=True)[1]
    place = np.empty(len(codes)) if time is None else np.asarray(time, dtype=np.float64)
    if time is None:
        for one in range(codes.max(initial=-1) + 1):
            place[codes == one] = np.arange(int((codes == one).sum()))
    # Onsets are multiples of a TR in binary: a row at the gap itself must not slip through.
    reach = gap * (1 + 1e-9)
    purged = []
    for number, (train, test) in enumerate(folds):
        far = np.ones(len(train), dtype=bool)
        for one in np.unique(codes[test]):
            held = np.sort(place[test[codes[test] == one]])
            rows = np.flatnonzero(codes[train] == one)
            after = np.searchsorted(held, place[train[rows]])
            following = np.abs(held[np.minimum(after, len(held) - 1)] - place[train[rows]])
            preceding = np.abs(held[np.maximum(after - 1, 0)] - place[train[rows]])
            far[rows] = np.minimum(following, preceding) > reach
        if not far.any():
            raise ValueError(
                f"gap: expected training rows farther than {gap:g} from the test rows, got none "
                f"in fold {number}. Use a smaller gap, or hold out whole runs."
            )
        purged.append((train[far], test))
    return purged


def find_repeated(stimulus: Sequence[str] | npt.NDArray[np.str_] | None) -> npt.NDArray[Any] | None:
    """Give the stimuli as an array when one of them comes more than once."""
    if stimulus is None or len(np.unique(stimulus)) == len(stimulus):
        return None
    return np.asarray(stimulus)


def read_folds(cv: Any, X: Any, y: Any, groups: Any = None) -> Folds:
    """Take folds as a count, a splitter or a list, and check that each can be used.

    Parameters
    ----------
    cv : int, splitter, or iterable of (train, test)
        Row numbers or masks.
    X, y : array (n, ...)
    groups : sequence (n,), optional

    Returns
    -------
    list of (train, test)

    Raises
    ------
    ValueError
        When ``cv`` is none of these, or a fold has no training or no test rows, or rows that do
        not exist.
    LeakageError
        When a fold tests a row that it trains on.
    """
    n = len(X)
    if isinstance(cv, int | np.integer) and not isinstance(cv, bool):
        _check_count(int(cv), "cv", "folds")
        return make_folds(n, groups=groups, n_splits=int(cv))
    pairs = cv.split(X, y, groups) if hasattr(cv, "split") else cv
    if not isinstance(pairs, Iterable):
        raise ValueError(
            f"cv: expected a whole number, a splitter or a list of (train, test), got {cv!r}. "
            "5 is usual."
        )
    folds = [(_number_rows(train, n), _number_rows(test, n)) for train, test in pairs]
    if not folds:
        raise ValueError("cv: expected at least one fold, got an empty list. 5 is usual.")
    for number, (train, test) in enumerate(folds):
        if not len(train) or not len(test):
            raise ValueError(
                f"cv: expected training and test rows in every fold, got {len(train)} and "
                f"{len(test)} in fold {number}. Drop that fold."
            )
        if len(np.intersect1d(train, test)):
            raise LeakageError(
                f"cv: expected test rows unseen in training, got "
                f"{len(np.intersect1d(train, test))} shared in fold {number}. Penalties chosen on "
                "known rows are too small. Use other folds."
            )
    return folds


def _number_rows(rows: Any, n: int) -> Rows:
    """Turn row numbers or a mask into row numbers from 0 to n - 1."""
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n,):
        return np.flatnonzero(rows)
    whole = rows.ndim == 1 and (rows.dtype.kind in "iu" or not rows.size)
    if not whole or (rows.size and (rows.min() < -n or rows.max() >= n)):
        raise ValueError(
            f"cv: expected rows from 0 to {n - 1}, or masks of {n} rows, got {some(rows.tolist())}."
            " Number the rows that fit was given."
        )
    numbered: Rows = np.mod(rows.astype(np.intp), n)
    return numbered


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
