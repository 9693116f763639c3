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
