"""Planted spectra come back: from few samples with the known bias, from noisy repeats without."""

import numpy as np
import pytest

from neuroalign.errors import NeuroalignWarning
from neuroalign.geometry import (
    compute_spectrum,
    cross_validate_spectrum,
    describe_spectrum,
    effective_rank,
    fit_power_law,
)

D = 200
VALUES = 1 / np.arange(1, D + 1)


def draw(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, D)) * np.sqrt(VALUES)


@pytest.mark.parametrize(
    ("n", "alpha", "rank"), [(300, 1.10, 51), (1000, 1.006, 59), (5000, 1.01, 63)]
)
def test_few_samples_make_spectra_steep_and_ranks_small(n: int, alpha: float, rank: float) -> None:
    # The specified numbers are of one draw each.
    samples = [draw(n, seed) for seed in range(3)]
    found = np.mean([fit_power_law(compute_spectrum(X)).alpha for X in samples])
    assert found == pytest.approx(alpha, abs=0.05)
    assert np.mean([effective_rank(X) for X in samples]) == pytest.approx(rank, abs=3.5)


def test_as_many_samples_as_ranks_are_refused() -> None:
    X = draw(100, 0)
    assert effective_rank(X) == pytest.approx(38, abs=2)
    # The hundredth eigenvalue of 100 centred samples is rounding: fitted, it would give 2.3.
    with pytest.raises(ValueError, match="ranks: expected the last of at most 99"):
        fit_power_law(compute_spectrum(X))
    assert fit_power_law(compute_spectrum(X), ranks=(12, 99)).alpha > 1.4
    with pytest.warns(NeuroalignWarning, match="alpha is too large"):
        assert np.isnan(describe_spectrum(X)["alpha"])


def test_published_ranks_of_a_power_law() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(1000, D))
    X = np.linalg.qr(noise - noise.mean(axis=0))[0] * np.sqrt(VALUES)
    assert effective_rank(X) == pytest.approx(63.37, abs=0.01)
    assert effective_rank(X, kind="singular") == pytest.approx(164.6, abs=0.1)
    assert float(describe_spectrum(X)["participation_ratio"]) == pytest.approx(21.07, abs=0.01)
    assert fit_power_law(compute_spectrum(X)).alpha == pytest.approx(1, abs=1e-9)


def test_centring_and_kind_change_the_rank_of_shifted_noise() -> None:
    X = np.random.default_rng(2).normal(size=(5000, 50))
    assert effective_rank(X) == pytest.approx(49.7, abs=0.3)
    assert effective_rank(X + 10) == pytest.approx(49.7, abs=0.3)
    shifted = effective_rank(X + 10, kind="singular", center=False)
    assert shifted == pytest.approx(9.6, abs=0.2)


# Exponent, noise of a unit, what plain and cross-validated components find.
NOISY = [(0.7, 0.1, 0.58, 0.673), (1.0, 0.1, 0.65, 1.015), (1.3, 0.1, 0.50, 1.337)]


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "noise", "plain", "crossed"), NOISY)
def test_exponents_come_back_through_noise(
    alpha: float, noise: float, plain: float, crossed: float
) -> None:
    rng = np.random.default_rng(3)
    signal = rng.normal(size=(1500, 400)) * np.arange(1, 401) ** (-alpha / 2)
    found = cross_validate_spectrum(signal + noise * rng.normal(size=(2, 1500, 400)), seed=1)
    assert float(found["plain_alpha"]) == pytest.approx(plain, abs=0.02)
    assert float(found["alpha"]) == pytest.approx(crossed, abs=0.03)
    share = (eigenvalues(alpha)).sum() / (eigenvalues(alpha).sum() + 400 * noise**2)
    assert float(found["reliability"]) == pytest.approx(share, abs=0.02)


def eigenvalues(alpha: float) -> np.ndarray:
    return np.asarray(np.arange(1, 401) ** -alpha)


@pytest.mark.slow
def test_too_much_noise_makes_exponents_small() -> None:
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(1500, 400)) * np.arange(1, 401) ** -0.65
    found = cross_validate_spectrum(signal + 0.177 * rng.normal(size=(2, 1500, 400)), seed=1)
    assert float(found["reliability"]) == pytest.approx(0.22, abs=0.02)
    assert float(found["alpha"]) == pytest.approx(1.06, abs=0.1)
