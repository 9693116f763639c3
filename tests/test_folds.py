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


def test_groups_are_dealt_anew_by_seed() -> None:
    groups = np.repeat(list("abcdef"), 2)
    first, again, other = (
        _folds.make_folds(12, groups=groups, n_splits=3, seed=seed, shuffle_groups=True)
        for seed in (0, 0, 1)
    )
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(first, other, strict=True))
    assert all(not set(groups[train]) & set(groups[test]) for train, test in other)


def test_stretches_follow_time_whatever_the_order_of_rows(rng: np.random.Generator) -> None:
    time = rng.permutation(20).astype(float)
    folds = _folds.cut_contiguous(4, np.zeros(20), time)
    assert [sorted(time[test].tolist()) for _, test in folds] == [
        list(np.arange(5.0) + 5 * fold) for fold in range(4)
    ]
    assert _tested_once(folds, 20)
    assert all(len(train) == 15 for train, _ in folds)
    with pytest.raises(ValueError, match="n_splits: expected at least 2 stretches, got 1"):
        _folds.cut_contiguous(1, np.zeros(20))


def test_a_gap_drops_what_brute_force_drops(rng: np.random.Generator) -> None:
    run, time = rng.integers(3, size=60), rng.permutation(60) * 0.7
    folds = _folds.make_folds(60, groups=rng.integers(8, size=60), n_splits=4)
    purged = _folds.purge_folds(folds, 2.1, run, time)
    for (train, test), (left, same) in zip(folds, purged, strict=True):
        near = [
            any(run[i] == run[j] and abs(time[i] - time[j]) <= 2.1 + 1e-9 for j in test)
            for i in train
        ]
        assert left.tolist() == train[~np.array(near)].tolist()
        assert same is test


def test_a_gap_counts_rows_without_times() -> None:
    folds = _folds.cut_contiguous(2, np.repeat(["a", "b"], 5))
    assert _folds.purge_folds(folds, 9, np.repeat(["a", "b"], 5))[0][0].tolist() == [5, 6, 7, 8, 9]
    one = _folds.purge_folds(_folds.cut_contiguous(2, np.zeros(10)), 2, np.zeros(10))
    assert [train.tolist() for train, _ in one] == [[7, 8, 9], [0, 1, 2]]


def test_a_gap_that_leaves_nothing_is_refused() -> None:
    folds = _folds.cut_contiguous(2, np.zeros(10))
    with pytest.raises(ValueError, match="gap: expected training rows farther than 5.*fold 0"):
        _folds.purge_folds(folds, 5, np.zeros(10))
    with pytest.raises(ValueError, match="gap: expected a number >= 0, got -1"):
        _folds.purge_folds(folds, -1, np.zeros(10))


def test_a_single_inner_fold_is_refused_by_the_name_of_its_argument() -> None:
    with pytest.raises(ValueError, match="cv: expected at least 2 folds, got 1"):
        _folds.read_folds(1, np.zeros((6, 1)), None)
