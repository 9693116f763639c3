"""Spikes drawn from a known model."""

import numpy as np
import pytest

from neuroalign.encoders import simulate_glm
from neuroalign.schema import check_responses


def test_without_filters_counts_are_poisson() -> None:
    spikes = simulate_glm(np.full((20_000, 2), [-1.0, 0.5]), seed=1)
    check_responses(spikes)
    rate = np.exp([-1.0, 0.5])
    np.testing.assert_allclose(spikes.mean("sample"), rate, rtol=0.03)
    np.testing.assert_allclose(spikes.var("sample"), rate, rtol=0.06)


def test_coupling_acts_at_its_lag_and_not_across_runs() -> None:
    filters = np.zeros((2, 2, 2))
    filters[1, 0, 1] = 30.0
    drive = np.full((400, 2), [-2.0, -30.0])
    run = np.repeat([f"run-{k}" for k in range(4)], 100)
    spikes = simulate_glm(drive, filters, link="softplus", run=run).values
    expected = np.zeros(400, dtype=bool)
    expected[2:] = spikes[:-2, 0] > 1
    expected[[0, 1, 100, 101, 200, 201, 300, 301]] = False
    assert (spikes[expected, 1] > 5).all()
    assert not spikes[[0, 1, 100, 101, 200, 201, 300, 301], 1].any()


def test_refractory_bins_stay_empty() -> None:
    spikes = simulate_glm(np.full((2000, 1), 1.0), refractory=3).values[:, 0]
    assert spikes.max() == 1
    assert np.diff(np.flatnonzero(spikes)).min() == 4


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="filters: expected drive"):
        simulate_glm(np.zeros((5, 2)), np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match="link: expected one of 'exp', 'softplus'"):
        simulate_glm(np.zeros((5, 2)), link="log")
    with pytest.raises(ValueError, match="filters: expected rates that stay finite"):
        simulate_glm(np.full((200, 1), 1.0), np.full((5, 1, 1), 2.0))
