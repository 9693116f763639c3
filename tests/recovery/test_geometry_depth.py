"""Planted phases of depth and of training come back: the simulations of the specification."""

import numpy as np
import pytest

from neuroalign.geometry import (
    compare_steps,
    estimate_modes,
    label_phases,
    segment_steps,
    trace_dynamics,
    trace_spectra,
)


def drift(
    rng: np.random.Generator, pace: float, jump: float, bounds: tuple[int, ...] = (8, 16)
) -> np.ndarray:
    """24 layers of 50 samples and 64 units that drift, and jump at the bounds."""
    path = [rng.normal(size=(50, 64))]
    for layer in range(1, 24):
        size = jump if layer in bounds else pace
        path.append(np.sqrt(1 - size**2) * path[-1] + size * rng.normal(size=(50, 64)))
    return np.array(path)


@pytest.mark.slow
@pytest.mark.parametrize("pace", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("jump", [0.5, 0.7, 0.9])
def test_planted_phases_of_layers_come_back(pace: float, jump: float) -> None:
    exact = np.zeros(3, dtype=int)
    for seed in range(20):
        path = drift(np.random.default_rng(seed), pace, jump)
        cosine, kernel = (compare_steps(path, measure=measure) for measure in ("cosine", "cka"))
        for place, (compared, cost) in enumerate(
            [(cosine, "mean"), (cosine, "sum"), (kernel, "mean")]
        ):
            found = segment_steps(compared, cost=cost, n_surrogates=0)
            exact[place] += found["boundary"].values.tolist() == [8, 16]
    assert exact.tolist() == [20, 20, 20]


def test_the_gap_over_a_steady_drift_peaks_at_three_phases() -> None:
    gaps = []
    for seed in range(20):
        compared = compare_steps(drift(np.random.default_rng(seed), 0.15, 0.7))
        gaps.append(segment_steps(compared, n_surrogates=0)["gap"].values[:5])
    # The curve of the specification, at one of its settings.
    np.testing.assert_allclose(np.mean(gaps, axis=0), [0.0, 0.09, 0.276, 0.19, 0.15], atol=0.04)


@pytest.mark.slow
def test_a_steady_drift_is_told_from_phases() -> None:
    steady, cut = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for jump, p_values in ((0.2, steady), (0.5, cut)):
            compared = compare_steps(drift(rng, 0.2, jump))
            p_values.append(float(segment_steps(compared, n_surrogates=39, seed=seed)["p_value"]))
    # 5 % expected; binomial limit at 40.
    assert np.mean(np.array(steady) <= 0.05) <= 0.15
    assert 0.35 < np.mean(steady) < 0.65
    assert np.mean(np.array(cut) <= 0.05) == 1.0


def test_updates_of_a_linear_map_lose_rank_as_fast_modes_die(rng: np.random.Generator) -> None:
    basis = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    rates = np.array([0.7] * 4 + [0.1] * 60)
    start = rng.normal(size=(300, 64))
    path = np.array([start * rates**layer @ basis.T + 5.0 for layer in range(5)])
    found = trace_dynamics(path)
    np.testing.assert_allclose(found["stable_rank"], [28.9, 12.3, 3.5, 3.33], rtol=0.08)
    np.testing.assert_allclose(found["entropy_rank"], [55, 48, 5.6, 3.94], rtol=0.06)
    updates = np.diff(path, axis=0)
    modes = estimate_modes(updates[0], updates[1])
    np.testing.assert_allclose(modes["real"], rates, atol=1e-3)
    np.testing.assert_allclose(modes["imaginary"], 0.0, atol=1e-3)
    assert float(modes["r2"]) > 1 - 1e-9


def make_course() -> tuple[np.ndarray, np.ndarray]:
    """Power-law exponents that rise, fall to a third, and rise again over 16 checkpoints."""
    alpha = np.concatenate(
        [np.linspace(1.0, 1.6, 4), np.linspace(1.4, 0.5, 6), np.linspace(0.6, 1.1, 6)]
    )
    return np.geomspace(10, 10**5, 16), alpha


def test_three_phases_of_training_come_back_from_activations(rng: np.random.Generator) -> None:
    steps, alpha = make_course()
    noise = rng.normal(size=(600, 60))
    basis = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    checkpoints = {
        float(step): (noise * np.arange(1, 61) ** (-one / 2)) @ basis
        for step, one in zip(steps, alpha, strict=True)
    }
    course = trace_spectra(checkpoints, ranks=(5, 50))
    np.testing.assert_allclose(course["alpha"], alpha, atol=0.15)
    found = label_phases(
        course["step"],
        course["rankme"],
        alpha=course["alpha"],
        error=course["rankme_error"],
        window=1,
    )
    assert found["name"].values.tolist() == ["warmup", "entropy-seeking", "compression-seeking"]
    assert found["first"].values.tolist() == [steps[0], steps[3], steps[9]]
    assert found["last"].values.tolist() == [steps[3], steps[9], steps[15]]
    assert (found["opposed"] == 1).all()
    assert (np.abs(found["z"]) > 2).all()


def test_phases_survive_noise_on_the_curve() -> None:
    x = np.linspace(0, 1, 60)
    curve = np.where(x < 0.2, 60 - 150 * x, np.where(x < 0.7, 30 + 150 * (x - 0.2), 0))
    curve = np.where(x >= 0.7, 105 - 120 * (x - 0.7), curve)
    right = 0
    for seed in range(20):
        noisy = curve * (1 + 0.01 * np.random.default_rng(seed).normal(size=60))
        found = label_phases(np.arange(60), noisy, min_change=0.05)
        names = found["name"].values.tolist()
        right += names == ["warmup", "entropy-seeking", "compression-seeking"]
    assert right == 20


def test_the_jackknife_error_is_that_of_new_samples() -> None:
    scale = np.arange(1, 31) ** -0.5
    ranks, errors = [], []
    for seed in range(40):
        X = np.random.default_rng(seed).normal(size=(200, 30)) * scale
        course = trace_spectra({0: X}, ranks=(1, 20), seed=seed)
        ranks.append(float(course["rankme"][0]))
        errors.append(float(course["rankme_error"][0]))
    assert 0.7 < np.mean(errors) / np.std(ranks) < 1.5
