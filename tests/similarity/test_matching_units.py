"""Matching single units."""

from itertools import permutations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from neuroalign import errors
from neuroalign.errors import MissingExtraError
from neuroalign.similarity import matching_units
from neuroalign.similarity.matching_units import (
    match_softly,
    match_units,
    matching_score,
    pair_one_to_one,
    pair_semi,
    pair_soft,
    prepare_matching,
    soft_matching_distance,
)

seeds = st.integers(0, 2**31)
METHODS = ["one_to_one", "soft", "semi", "semi_both"]


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_one_to_one_is_the_best_of_all_orders(seed: int) -> None:
    X, Y = np.random.default_rng(seed).normal(size=(2, 8, 4))
    r = np.corrcoef(X.T, Y.T)[:4, 4:]
    best = max(r[range(4), list(order)].sum() for order in permutations(range(4)))
    found = match_units(X, Y)
    assert found.correlations.sum() == pytest.approx(best)
    np.testing.assert_allclose(found.correlations, r[found.first, found.second])


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_transport_between_equally_many_units_is_the_assignment(seed: int) -> None:
    X, Y = np.random.default_rng(seed).normal(size=(2, 20, 6))
    found, plan = match_units(X, Y), match_softly(X, Y)
    expected = np.zeros((6, 6))
    expected[found.first, found.second] = 1 / 6
    np.testing.assert_array_equal(plan, expected)
    cost = 1 - np.corrcoef(X.T, Y.T)[:6, 6:]
    by_pot = ot.emd(np.full(6, 1 / 6), np.full(6, 1 / 6), cost)
    assert (by_pot * cost).sum() == pytest.approx((plan * cost).sum())


def test_transport_between_unequal_sides_is_the_linear_programme(
    rng: np.random.Generator,
) -> None:
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 5))
    plan, cost = match_softly(X, Y), 1 - np.corrcoef(X.T, Y.T)[:3, 3:]
    rows = np.kron(np.eye(3), np.ones(5))
    columns = np.kron(np.ones(3), np.eye(5))
    masses = np.concatenate([np.full(3, 1 / 3), np.full(5, 1 / 5)])
    best = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=masses).fun
    assert (plan * cost).sum() == pytest.approx(best)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 3)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 5)


def test_a_planted_order_comes_back_through_noise(rng: np.random.Generator) -> None:
    X, order = rng.normal(size=(60, 10)), rng.permutation(10)
    Y = X[:, order] * rng.uniform(0.5, 2, 10) + 0.3 * rng.normal(size=(60, 10))
    found = match_units(X[:, :7], Y)
    np.testing.assert_array_equal(order[found.second], np.arange(7))
    np.testing.assert_array_equal(match_softly(X, Y).argmax(axis=0), order)


@pytest.mark.parametrize("method", METHODS)
def test_noise_matches_in_sample_and_not_on_held_out_stimuli(
    method: str, rng: np.random.Generator
) -> None:
    X, Y = rng.normal(size=(40, 60)), rng.normal(size=(40, 50))
    assert match_units(X, Y).correlations.mean() > 0.25
    assert abs(matching_score(X, Y, method=method)) < 0.06


@pytest.mark.parametrize("method", METHODS)
def test_the_same_units_match_perfectly_in_any_order(method: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 6))
    assert matching_score(X, 3 * X[:, ::-1] + 1, method=method) == pytest.approx(1)


def test_a_rotation_of_units_is_not_forgiven(rng: np.random.Generator) -> None:
    X = rng.normal(size=(80, 20))
    Q = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    assert matching_score(X, X @ Q, method="one_to_one") < 0.7


def test_only_the_second_side_may_lack_units_in_semi_matching(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 12))
    few = X[:, :3]
    forward, backward = (matching_score(*pair, method="semi") for pair in ((few, X), (X, few)))
    assert forward == pytest.approx(1)
    assert backward < 0.6
    both = matching_score(X, few, method="semi_both")
    assert both == pytest.approx((forward + backward) / 2)


def test_rows_agree_with_the_function(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(30, 6))
    sides = [prepare_matching(side, n_splits=3, seed=2) for side in (X, Y)]
    for method, pair in (("one_to_one", pair_one_to_one), ("soft", pair_soft), ("semi", pair_semi)):
        expected = matching_score(X, Y, method=method, n_splits=3, seed=2)
        assert pair(*sides) == pytest.approx(expected)


def test_dead_units_correlate_zero(rng: np.random.Generator) -> None:
    X = rng.normal(size=(30, 4))
    dead = X.copy()
    dead[:, 1] = 0.1
    assert matching_score(X, dead, method="one_to_one") == pytest.approx(0.75)
    assert match_units(X, dead).correlations[1] == 0


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_soft_matching_distance_is_a_metric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y, Z = (rng.normal(size=(8, p)) for p in (2, 3, 4))
    xy, yz, xz = (soft_matching_distance(*pair) for pair in ((X, Y), (Y, Z), (X, Z)))
    assert xz <= xy + yz + 1e-9
    assert soft_matching_distance(Y, X) == pytest.approx(xy)
    assert soft_matching_distance(X, X[:, [1, 0]]) < 1e-6
    assert xy > 1e-3


def test_the_metric_holds_for_dead_units_too(rng: np.random.Generator) -> None:
    X, dead = rng.normal(size=(8, 1)), np.ones((8, 1))
    assert soft_matching_distance(X, dead) == pytest.approx(1)


def test_unequal_sides_need_the_extra(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        matching_units, "require", lambda _, extra: errors.require("no_such_module", extra)
    )
    X = rng.normal(size=(10, 3))
    assert match_softly(X, X).sum() == pytest.approx(1)
    with pytest.raises(MissingExtraError, match=r"neuroalign\[topology\]"):
        match_softly(X, X[:, :2])


def test_bad_methods_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(10, 3))
    with pytest.raises(ValueError, match="method: expected one of 'one_to_one', 'soft', 'semi'"):
        matching_score(X, X, method="hungarian")


def test_haxby_voxels_match_on_held_out_blocks(
    haxby_halves: tuple[np.ndarray, np.ndarray],
) -> None:
    X, Y = haxby_halves
    order = np.random.default_rng(0).permutation(len(Y))
    assert match_units(X, Y[order]).correlations.mean() > 0.2
    assert abs(matching_score(X, Y[order], method="one_to_one")) < 0.05
    assert matching_score(X, Y, method="one_to_one") > 0.06
