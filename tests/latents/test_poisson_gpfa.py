"""Poisson GPFA: the Fourier prior, expectations by sampling, planted latents, ragged, real data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from scipy.integrate import dblquad
from scipy.special import gammaln

from neuroalign.latents import PoissonGPFA, score_recovery
from neuroalign.latents._counts_process import (
    choose_waves,
    count_constant,
    expect_log_rate,
    infer_block,
)
from neuroalign.latents._counts_process_fit import cut_windows
from neuroalign.latents._fourier_gp import find_circle, find_spectrum, make_basis
from neuroalign.latents._linear_fit import Readout
from neuroalign.loaders import simulate_gaussian_processes

# Few steps are enough here; models rightly say when they are too few.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(max_iter|epochs). expected to converge:neuroalign.errors.NeuroalignWarning"
)


def compare_prior(n_bins: int, circle: int, length: float) -> float:
    """Relative Frobenius error of the prior covariance."""
    basis = make_basis(n_bins, circle, length)
    found = (basis.rows.T * find_spectrum(basis, length)) @ basis.rows
    lag = np.subtract.outer(np.arange(n_bins), np.arange(n_bins))
    known = np.exp(-0.5 * (lag / length) ** 2)
    return float(np.linalg.norm(found - known) / np.linalg.norm(known))


@pytest.mark.parametrize("circle", [100, 101, 24])
def test_waves_are_orthonormal_over_the_circle(circle: int) -> None:
    rows = make_basis(circle, circle, 1.0).rows
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)
    assert len(rows) == circle


def test_frequencies_are_symmetric() -> None:
    frequency = make_basis(60, 100, 10.0).frequency
    np.testing.assert_array_equal(frequency, -frequency[::-1])
    assert len(frequency) == 19


def test_the_prior_is_the_kernel_within_a_thousandth() -> None:
    assert compare_prior(60, find_circle(60, 10.0), 10.0) < 1e-3


def test_a_length_beyond_the_room_is_refused() -> None:
    with pytest.raises(ValueError, match="timescale: expected a length above 0 and up to 10 bins"):
        find_spectrum(make_basis(60, 100, 5.0), 11.0)


def draw_state(rng: np.random.Generator) -> tuple[Any, ...]:
    """Counts, a readout and waves of one small trial."""
    readout = Readout(rng.normal(size=(6, 2)), rng.normal(size=6), np.ones(6))
    waves = choose_waves(make_basis(12, find_circle(12, 4.0), 3.0), np.array([3.0, 4.0]))
    Y = rng.poisson(2.0, size=(1, 12, 6)).astype(float)
    return Y, np.ones_like(Y), readout, waves


def test_the_expected_likelihood_agrees_with_sampling(rng: np.random.Generator) -> None:
    Y, seen, readout, waves = draw_state(rng)
    state = infer_block(Y, seen, readout, waves, None, 50, 1e-9)
    root = np.linalg.cholesky(state.covariance[0])
    u = state.u + rng.normal(size=(40_000, root.shape[0])) @ root.T
    log_rate = waves.expand(u) @ readout.loadings.T + readout.offset
    known = (Y * log_rate - np.exp(log_rate) - gammaln(Y + 1)).sum(axis=(1, 2))
    closed = np.exp(expect_log_rate(state.mean, state.spread, readout))
    linear = state.mean @ readout.loadings.T + readout.offset
    found = (Y * linear - closed).sum() + count_constant(Y)[0]
    assert found == pytest.approx(known.mean(), abs=4 * known.std() / 200)


def test_the_bound_is_its_expectation_less_the_divergence(rng: np.random.Generator) -> None:
    Y, seen, readout, waves = draw_state(rng)
    state = infer_block(Y, seen, readout, waves, None, 50, 1e-9)
    linear = state.mean @ readout.loadings.T + readout.offset
    closed = np.exp(expect_log_rate(state.mean, state.spread, readout))
    S, u = state.covariance[0], state.u[0]
    divergence = 0.5 * (np.trace(S) + u @ u - len(u) - np.linalg.slogdet(S)[1])
    assert state.bound[0] == pytest.approx((Y * linear - closed).sum() - divergence)


def test_the_posterior_is_where_the_slope_vanishes(rng: np.random.Generator) -> None:
    Y, seen, readout, waves = draw_state(rng)
    state = infer_block(Y, seen, readout, waves, None, 100, 1e-12)
    slope = waves.project((Y - state.rate) @ readout.loadings) - state.u
    assert np.abs(slope).max() < 1e-4


def test_the_bound_is_below_the_likelihood_and_near(rng: np.random.Generator) -> None:
    model = PoissonGPFA(1, timescale=3.0, max_iter=10)
    X = rng.poisson(np.exp(rng.normal(size=(20, 1, 2))), size=(20, 3, 2))
    bound = model.fit(X).log_prob(X[:1])[0]
    C, d = model.params_["loadings"].values[:, 0], model.params_["offset"].values
    var, tau = float(model.params_["variance"][0]), float(model.params_["timescale"][0])
    K = var * np.array([[1, np.exp(-0.5 / tau**2)], [np.exp(-0.5 / tau**2), 1]]) + 1e-9 * np.eye(2)
    inverse, norm = np.linalg.inv(K), 1 / (2 * np.pi * np.sqrt(np.linalg.det(K)))

    def joint(b: float, a: float) -> float:
        log_rate = np.outer(C, [a, b]) + d[:, None]
        fit = (X[0] * log_rate - np.exp(log_rate) - gammaln(X[0] + 1)).sum()
        return float(norm * np.exp(fit - 0.5 * np.array([a, b]) @ inverse @ np.array([a, b])))

    reach = 6 * np.sqrt(var)
    exact = np.log(dblquad(joint, -reach, reach, -reach, reach, epsabs=1e-10)[0])
    assert exact - 0.05 < bound < exact + 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_latents_and_timescales_come_back(seed: int) -> None:
    data = simulate_gaussian_processes(60, 40, 40, length=8.0, seed=seed)
    model = PoissonGPFA(2, timescale=0.12, max_iter=60).fit(data.responses[:40])
    z, known = model.transform(data.responses).values, data.truth["latents"].values[..., :2]
    assert np.min(score_recovery(z, known, np.arange(40), np.arange(40, 60))) > 0.95
    np.testing.assert_allclose(model.params_["timescale"], 0.16, rtol=0.25)
    assert np.min(np.diff(model.history_["objective"])) > -1e-3
    assert model.score(data.responses[40:]) > 0.9 * data.oracle["co_bps"]


def test_a_trial_in_windows_means_what_it_means_whole() -> None:
    data = simulate_gaussian_processes(6, 150, 30, length=5.0, seed=1)
    options: dict[str, Any] = {"timescale": 0.1, "max_iter": 15}
    model = PoissonGPFA(2, timescale_range=(0.06, 0.12), **options).fit(data.responses)
    whole = PoissonGPFA(2, timescale_range=(0.06, 0.5), **options).fit(data.responses)
    for other in (model, whole):
        other._model.readout, other._scale = whole._model.readout, whole._scale
        other._model.lengths = np.array([4.5, 5.0])
    one, two = model.transform(data.responses), whole.transform(data.responses)
    assert len(cut_windows(1, 150, 6.0).trial) > 3
    assert float(np.abs(one - two).max()) < 0.02 * float(two.std())
    np.testing.assert_allclose(
        model.log_prob(data.responses), whole.log_prob(data.responses), rtol=2e-3
    )


def test_windows_take_every_bin_once() -> None:
    for n_bins in (48, 49, 72, 73, 150, 151):
        windows = cut_windows(2, n_bins, 6.0)
        ones = np.ones((len(windows.trial), windows.length))
        np.testing.assert_array_equal(windows.join(ones, 2, n_bins), 1.0)
        spots = np.tile(np.arange(n_bins, dtype=float), (2, 1))
        np.testing.assert_array_equal(windows.join(windows.cut(spots), 2, n_bins), spots)


def test_constant_stretches_and_one_trial_are_fitted(rng: np.random.Generator) -> None:
    X = rng.poisson(1.0, size=(1, 6, 60)).astype(float)
    X[:, :, 20:50] = 0.0
    model = PoissonGPFA(1, max_iter=30).fit(X)
    assert np.isfinite(model.predict_rates(X)).all()
    assert model.predict_rates(X)[0, :, 30:40].mean() < 0.2


def test_one_bin_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="X: expected trials of at least 2 bins, got 1"):
        PoissonGPFA(1).fit(rng.poisson(2.0, size=(9, 4, 1)))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "latents": ({"n_latents": 9}, "n_latents: expected an integer from 1 to 4"),
    "iterations": ({"max_iter": 0}, "max_iter: expected an integer >= 1"),
    "tolerance": ({"tol": -1.0}, "tol: expected at least 0"),
    "timescale": ({"timescale": 0.0}, "timescale: expected a number > 0"),
    "range": ({"timescale_range": (6.0, 20.0)}, "timescale_range: expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_refused(case: str, rng: np.random.Generator) -> None:
    options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        PoissonGPFA(**{"n_latents": 1, **options}).fit(rng.poisson(1.0, size=(4, 4, 12)))


def test_signals_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="X: expected counts, got"):
        PoissonGPFA(1).fit(rng.normal(size=(4, 4, 12)))


def test_held_out_planning_spikes_are_smooth(real_data: Path, rng: np.random.Generator) -> None:
    file = scipy.io.loadmat(real_data / "place_cell_kramer_eden/10_spikes-1.mat", squeeze_me=True)
    X = file["train"].reshape(50, 1, 40, 50).sum(axis=3).astype(float)
    model = PoissonGPFA(1).fit(X[::2])
    shuffled = X[1::2][:, :, rng.permutation(40)]
    assert model.log_prob(X[1::2]).sum() > model.log_prob(shuffled).sum()


def test_the_default_start_finds_short_timescales() -> None:
    data = simulate_gaussian_processes(30, 40, 30, length=1.2, seed=0)
    slow, found = (PoissonGPFA(2, timescale=t).fit(data.responses) for t in (0.1, None))
    scores = [float(one.log_prob(data.responses).sum()) for one in (slow, found)]
    assert scores[1] > scores[0] + 20
    np.testing.assert_allclose(found.params_["timescale"], 1.2 * 0.02, rtol=0.3)


def test_a_timescale_in_milliseconds_is_refused() -> None:
    data = simulate_gaussian_processes(4, 40, 8, seed=0)
    with pytest.raises(ValueError, match=r"timescale: expected at most twice .* \(1.6\), got 100"):
        PoissonGPFA(2, timescale=100.0).fit(data.responses)
