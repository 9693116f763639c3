"""Folds keep groups whole, and leakage is refused."""

import numpy as np
import pytest

from neuroalign import _folds
from neuroalign.errors import LeakageError


def _tested_once(folds: _folds.Folds, n: int) -> bool:
    return sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(n))


def test_without_groups_folds_are_contiguous() -> None:
    folds = _folds.make_folds(23, n_splits=4)
    assert all((np.diff(test) == 1).all() for _, test in folds)
    assert _tested_once(folds, 23)


def test_groups_are_never_divided() -> None:
    groups = np.repeat(list("abcdefg"), 3)
    folds = _folds.make_folds(21, groups=groups, n_splits=3)
    assert len(folds) == 3
    assert all(not set(groups[train]) & set(groups[test]) for train, test in folds)
    assert _tested_once(folds, 21)


@pytest.mark.parametrize(("n_groups", "expected"), [(4, 4), (12, 12), (13, 5)])
def test_up_to_twelve_groups_are_left_out_one_by_one(n_groups: int, expected: int) -> None:
    groups = np.repeat(np.arange(n_groups), 2)
    assert len(_folds.make_folds(2 * n_groups, groups=groups, n_splits=None)) == expected


def test_fewer_groups_than_folds_means_one_fold_each() -> None:
    assert len(_folds.make_folds(6, groups=list("aabbcc"), n_splits=5)) == 3


def test_repeats_of_a_stimulus_stay_together() -> None:
    stimulus = np.array([f"s{i % 10}" for i in range(30)])
    folds = _folds.make_folds(30, stimulus=stimulus, n_splits=5)
    _folds.check_leakage(folds, stimulus)
    assert _tested_once(folds, 30)


def test_a_seed_moves_whole_stimuli_and_repeats_itself() -> None:
    stimulus = np.array([f"s{i % 10}" for i in range(30)])
    first, again, other = (
        _folds.make_folds(30, stimulus=stimulus, n_splits=5, seed=seed) for seed in (1, 1, 2)
    )
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    assert any(a[1].tolist() != b[1].tolist() for a, b in zip(first, other, strict=True))


def test_unique_stimuli_fall_back_to_contiguous_folds() -> None:
    folds = _folds.make_folds(9, stimulus=[f"s{i}" for i in range(9)], n_splits=3)
    assert folds[0][1].tolist() == [0, 1, 2]


def test_shared_stimuli_are_listed() -> None:
    folds = [(np.array([0, 1]), np.array([2, 3]))]
    with pytest.raises(LeakageError, match=r"folds: expected test stimuli unseen.*got 1.*'cat'"):
        _folds.check_leakage(folds, ["cat", "dog", "cat", "cow"])


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="groups: expected at least 2 different labels, got 1"):
        _folds.make_folds(4, groups=["a"] * 4)


def test_labels_must_count_the_rows() -> None:
    with pytest.raises(ValueError, match=r"groups: expected 4 labels, got shape \(3,\)"):
        _folds.make_folds(4, groups=["a", "b", "c"])
