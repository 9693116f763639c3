"""Bits per spike and pseudo-R2."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import poisson
from sklearn.metrics import d2_tweedie_score

from neuroalign._spike_scores import bits_per_spike, pseudo_r2

Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def pair(rng: np.random.Generator) -> Pair:
    """Counts and rates."""
    rate = np.exp(rng.normal(size=(60, 3)) - 1)
    return rng.poisson(rate).astype(float), rate


def test_bits_per_spike_equal_the_likelihood_ratio_of_scipy(pair: Pair) -> None:
    y, mu = pair
    gain = poisson.logpmf(y, mu).sum(axis=0) - poisson.logpmf(y, 0.4).sum(axis=0)
    expected = gain / y.sum(axis=0) / np.log(2)
    np.testing.assert_allclose(bits_per_spike(y, mu, null=0.4), expected, rtol=1e-12)


def test_cohen_equals_scikit_learn_and_mcfadden_scipy(pair: Pair) -> None:
    y, mu = pair
    expected = [d2_tweedie_score(y[:, j], mu[:, j], power=1) for j in range(3)]
    np.testing.assert_allclose(pseudo_r2(y, mu), expected, rtol=1e-10)
    full = poisson.logpmf(y, mu).sum(axis=0) / poisson.logpmf(y, y.mean(axis=0)).sum(axis=0)
    np.testing.assert_allclose(pseudo_r2(y, mu, kind="mcfadden"), 1 - full, rtol=1e-10)


def test_weights_count_as_repeats(pair: Pair, rng: np.random.Generator) -> None:
    y, mu = pair
    weight = rng.integers(0, 3, size=60)
    again = pseudo_r2(np.repeat(y, weight, axis=0), np.repeat(mu, weight, axis=0))
    np.testing.assert_allclose(pseudo_r2(y, mu, sample_weight=weight), again, rtol=1e-10)


def test_the_null_explains_nothing_and_the_counts_all(pair: Pair) -> None:
    y, _ = pair
    constant = np.broadcast_to(y.mean(axis=0), y.shape)
    np.testing.assert_allclose(bits_per_spike(y, constant), 0.0, atol=1e-12)
    np.testing.assert_allclose(pseudo_r2(y, constant), 0.0, atol=1e-12)
    np.testing.assert_allclose(pseudo_r2(y, y), 1.0)


def test_labels_stay_and_missing_bins_are_left_out(pair: Pair) -> None:
    y, mu = pair
    lost = y.copy()
    lost[:7, 1] = np.nan
    labelled = xr.DataArray(lost, dims=("sample", "neuroid"), coords={"neuroid": list("abc")})
    found = bits_per_spike(labelled, mu)
    assert found["neuroid"].values.tolist() == ["a", "b", "c"]
    assert float(found[1]) == pytest.approx(float(bits_per_spike(y[7:, 1], mu[7:, 1])))


def test_silent_neurons_give_nan_and_impossible_spikes_minus_infinity() -> None:
    assert np.isnan(bits_per_spike([0.0, 0.0], [0.1, 0.1]))
    assert np.isnan(pseudo_r2([1.0, 1.0], [0.1, 0.1]))
    assert bits_per_spike([1.0, 0.0], [0.0, 0.1]) == -np.inf


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="predicted: expected shape"):
        bits_per_spike([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="observed: expected counts or rates >= 0, got -1"):
        bits_per_spike([-1.0], [1.0])
    with pytest.raises(ValueError, match="kind: expected one of 'cohen', 'mcfadden'"):
        pseudo_r2([1.0], [1.0], kind="nagelkerke")
