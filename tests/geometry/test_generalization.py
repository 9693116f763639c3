"""Readouts meet only conditions and folds that they were not trained on."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neuroalign.errors import SchemaError
from neuroalign.geometry import generalize_across_conditions
from neuroalign.geometry._trials import deal_folds, read_trials
from neuroalign.geometry.generalization import list_pairs
from neuroalign.schema import check

NAMES = [format(i, "03b") for i in range(8)]
BITS = np.array([[int(c) for c in name] for name in NAMES])
ON = [name for name in NAMES if name[0] == "1"]


def simulate(rng: np.random.Generator, n: int, noise: float = 0.5) -> tuple[Any, Any]:
    """A factorised code of three bits (8 n, 40)."""
    axes = 4 * np.linalg.qr(rng.normal(size=(40, 3)))[0].T
    labels = np.repeat(NAMES, n)
    return np.repeat(BITS @ axes, n, axis=0) + noise * rng.normal(size=(8 * n, 40)), labels


def test_accuracy_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 6, noise=2.0)
    y = np.isin(labels, ON)
    accuracy = {}
    for one in ON:
        for other in sorted(set(NAMES) - set(ON)):
            test = np.isin(labels, [one, other])
            pipe = make_pipeline(StandardScaler(), LinearSVC(random_state=0, max_iter=5000))
            accuracy[f"{one}, {other}"] = pipe.fit(X[~test], y[~test]).score(X[test], y[test])
    found = generalize_across_conditions(X, ON, conditions=labels, n_null=0)
    assert found["left_out"].values.tolist() == list(accuracy)
    np.testing.assert_allclose(found["accuracy"], list(accuracy.values()))
    assert float(found["ccgp"]) == pytest.approx(np.mean(list(accuracy.values())))
    assert np.isnan(found["p_value"])


def test_levels_train_on_one_and_test_on_the_other(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 6, noise=2.0)
    level = [name for name in NAMES if name[1] == "1"]
    own, y = np.isin(labels, level), np.isin(labels, ON)
    truth = []
    for train in (own, ~own):
        pipe = make_pipeline(StandardScaler(), LinearSVC(random_state=0, max_iter=5000))
        truth.append(pipe.fit(X[train], y[train]).score(X[~train], y[~train]))
    found = generalize_across_conditions(X, ON, conditions=labels, across=level)
    np.testing.assert_allclose(found["accuracy"], truth)
    assert found["left_out"].values.tolist() == ["outside across", "across"]


def test_abstract_code_generalises_beyond_its_null(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 10)
    found = generalize_across_conditions(X, ON, conditions=labels, n_null=99)
    assert float(found["ccgp"]) > 0.95
    assert float(found["p_value"]) == 0.01
    assert 0.35 < float(found["ccgp_null"].mean()) < 0.65
    check(found)


@pytest.mark.slow
def test_conditions_in_any_place_keep_the_level_of_the_null() -> None:
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = np.repeat(3 * rng.normal(size=(8, 25)), 4, axis=0) + rng.normal(size=(32, 25))
        options = {"conditions": np.repeat(NAMES, 4), "n_null": 99, "seed": seed}
        p_values.append(float(generalize_across_conditions(X, ON, **options)["p_value"]))
    # 6 % in a larger simulation; 9 of 60 would come once in a thousand times.
    assert np.mean(np.array(p_values) <= 0.05) < 0.15
    assert 0.3 < np.mean(p_values) < 0.7


def test_splits_share_no_condition() -> None:
    positive = np.isin(NAMES, ON)
    splits = list_pairs(positive)
    assert len(splits) == 16
    for split in splits:
        assert not (split.train & split.test).any()
        assert split.test.sum() == 2
        assert positive[split.test].sum() == 1


def test_folds_of_runs_and_trials_share_nothing(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 6)
    run = np.tile([f"r{i}" for i in range(6)], 8)
    trials = read_trials(X, labels, run)
    assert trials.groups is not None
    folds = deal_folds(trials, 3, seed=0)
    assert len(folds) == 3
    for train, test in folds:
        assert not np.intersect1d(trials.groups[train], trials.groups[test]).size
    free = deal_folds(read_trials(X, labels, None), 5, seed=0)
    tested = np.concatenate([test for _, test in free])
    assert sorted(tested.tolist()) == list(range(48))
    for _, test in free:
        assert set(labels[test]) == set(NAMES)
    assert deal_folds(read_trials(X[::6], labels[::6], None), 5, seed=0) == []


def test_run_that_gives_the_answer_away_is_held_out(rng: np.random.Generator) -> None:
    # In each run the sides differ by a direction of that run alone.
    run = np.repeat([f"r{i}" for i in range(6)], 16)
    labels = np.tile(np.repeat(NAMES, 2), 6)
    side = np.where(np.isin(labels, ON), 1.0, -1.0)
    drift = np.repeat(rng.normal(size=(6, 60)), 16, axis=0) * side[:, None]
    X = 2 * drift + rng.normal(size=(96, 60))
    free = generalize_across_conditions(X, ON, conditions=labels, n_null=0)
    whole = generalize_across_conditions(X, ON, conditions=labels, fold=run, n_folds=6, n_null=0)
    assert float(free["ccgp"]) > 0.9
    assert float(whole["ccgp"]) < 0.75


def test_seed_gives_the_same_and_more_trials_are_dropped(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 6, noise=2.0)
    options = {"conditions": labels[3:], "n_null": 20, "seed": 5}
    one, two = (generalize_across_conditions(X[3:], ON, **options) for _ in range(2))
    xr.testing.assert_identical(one, two)
    assert one.attrs["n"] == 24


def test_faults_are_named(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 3)
    with pytest.raises(ValueError, match="across: expected conditions of both sides"):
        generalize_across_conditions(X, ON, conditions=labels, across=ON)
    with pytest.raises(ValueError, match="C: expected a number above 0"):
        generalize_across_conditions(X, ON, conditions=labels, C=0)
    with pytest.raises(ValueError, match="n_null: expected 0 or more"):
        generalize_across_conditions(X, ON, conditions=labels, n_null=-1)
    with pytest.raises(ValueError, match="n_folds: expected 2 or more"):
        generalize_across_conditions(X, ON, conditions=labels, n_folds=1)


def test_haxby_animals_generalise_above_their_null_level(haxby_blocks: xr.DataArray) -> None:
    shown = np.isin(haxby_blocks["stimulus"], ["face", "cat", "house", "chair"])
    data = haxby_blocks.isel(sample=shown)
    options = {"fold": "run", "n_folds": 4, "n_null": 99}
    found = generalize_across_conditions(data, ["face", "cat"], across=["face", "house"], **options)
    assert 0.5 < float(found["ccgp"]) < 0.95


def test_folds_without_both_sides_are_named(rng: np.random.Generator) -> None:
    labels = np.repeat(list("abcd"), 10)
    with pytest.raises(SchemaError, match="fold: expected a fold that holds both sides"):
        generalize_across_conditions(
            rng.normal(size=(40, 5)), ["a", "b"], conditions=labels, fold=labels, n_null=3
        )
