"""Every balanced division is listed once, and factors pair what differs in them alone."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroalign.geometry import list_dichotomies, pair_by_factors

BITS = [format(i, "03b") for i in range(8)]
FACTORS = {f"bit {k}": [name for name in BITS if name[k] == "1"] for k in range(3)}


@given(st.sampled_from([4, 6, 8, 10]))
def test_all_divisions_come_once(n: int) -> None:
    sides = list_dichotomies(n)
    assert sides.shape == (comb(n, n // 2) // 2, n)
    assert (sides.sum(axis=1) == n // 2).all()
    both = {tuple(side) for side in np.vstack([sides, ~sides]).tolist()}
    assert len(both) == 2 * len(sides)


@pytest.mark.parametrize("n", [12, 40])
def test_some_are_drawn_without_repetition(n: int) -> None:
    sides = list_dichotomies(n, at_most=50, seed=1)
    assert sides.shape == (50, n)
    assert len(np.unique(sides, axis=0)) == 50
    assert (sides.sum(axis=1) == n // 2).all()
    assert not sides[:, -1].any()
    np.testing.assert_array_equal(sides, list_dichotomies(n, at_most=50, seed=1))
    assert not np.array_equal(sides, list_dichotomies(n, at_most=50, seed=2))


def test_pairs_differ_in_one_factor() -> None:
    pairs = pair_by_factors(BITS, FACTORS)
    assert list(pairs) == list(FACTORS)
    for k, name in enumerate(FACTORS):
        assert len(pairs[name]) == 4
        for one, other in pairs[name]:
            assert [i for i in range(3) if one[i] != other[i]] == [k]
            assert one[k] == "1"


def test_factors_that_do_not_tell_conditions_apart_pair_nothing() -> None:
    assert pair_by_factors(BITS, {"bit 0": FACTORS["bit 0"]}) == {}


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="n_conditions: expected an even number from 4, got 5"):
        list_dichotomies(5)
    with pytest.raises(ValueError, match="at_most: expected a number, as 40 conditions"):
        list_dichotomies(40)
    with pytest.raises(ValueError, match="at_most: expected 1 or more"):
        list_dichotomies(4, at_most=0)
    with pytest.raises(ValueError, match=r"factors\['x'\]: expected conditions of .* got 'no'"):
        pair_by_factors(BITS, {"x": ["no"]})
    with pytest.raises(ValueError, match=r"factors\['x'\]: expected half of 4 conditions or more"):
        pair_by_factors(BITS, {"x": BITS[:3]})
    with pytest.raises(ValueError, match=r"factors\['x'\]: expected a list of conditions"):
        pair_by_factors(BITS, {"x": "000"})
