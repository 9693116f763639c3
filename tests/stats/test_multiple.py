"""The false discovery rate against scipy."""

import numpy as np
import pytest
import scipy.stats

from neuroalign.stats import fdr


def test_q_values_agree_with_scipy(rng: np.random.Generator) -> None:
    p = rng.random((7, 9)) ** 2
    expected = scipy.stats.false_discovery_control(p.ravel()).reshape(p.shape)
    np.testing.assert_allclose(fdr(p), expected, atol=1e-12)


def test_missing_tests_stay_missing_and_do_not_count() -> None:
    q = fdr(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(q, [0.02, np.nan, 0.04])


def test_values_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="p_value: expected values in 0 to 1"):
        fdr(np.array([0.2, 1.5]))


def test_by_agrees_with_scipy_and_stays_below_one(rng: np.random.Generator) -> None:
    p = rng.random(200)
    expected = scipy.stats.false_discovery_control(p, method="by")
    np.testing.assert_allclose(fdr(p, "by"), expected, atol=1e-12)
    assert fdr(p, "by").max() <= 1
    with pytest.raises(ValueError, match="method: expected one of 'bh', 'by', got 'bonferroni'"):
        fdr(p, "bonferroni")


def _false_share(rng: np.random.Generator, method: str, correlation: float) -> float:
    """Mean share of false discoveries at 0.1 among 100 tests, 70 of them of nothing."""
    shares = []
    for _ in range(400):
        z = np.sqrt(correlation) * rng.normal() + np.sqrt(1 - correlation) * rng.normal(size=100)
        z[:30] += 3.0
        found = fdr(scipy.stats.norm.sf(z), method) <= 0.1
        shares.append(found[30:].sum() / max(found.sum(), 1))
    return float(np.mean(shares))


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_false_discoveries_stay_at_their_level(
    correlation: float, rng: np.random.Generator
) -> None:
    assert _false_share(rng, "bh", correlation) <= 0.085
    assert _false_share(rng, "by", correlation) <= 0.04


@pytest.mark.slow
def test_the_level_is_used_up_without_dependence(rng: np.random.Generator) -> None:
    # Benjamini & Hochberg hold 0.1 x 70 / 100 exactly, so that a much smaller share is a mistake.
    assert _false_share(rng, "bh", 0.0) == pytest.approx(0.07, abs=0.012)


@pytest.mark.slow
def test_opposite_dependence_holds_its_level(rng: np.random.Generator) -> None:
    shares = []
    for _ in range(400):
        half = rng.normal(size=50)
        q = fdr(scipy.stats.norm.sf(np.concatenate([half, -half])), "by")
        shares.append(float((q <= 0.1).any()))
    assert np.mean(shares) <= 0.1
