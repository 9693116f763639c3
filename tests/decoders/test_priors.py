"""The diffusion prior: moments that come back, a posterior in closed form, its algebra."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from neuroalign._training import TrainingPlan
from neuroalign.decoders import DiffusionPrior
from neuroalign.decoders._denoiser import Diffusion, make_signal_shares
from neuroalign.errors import AlignError, FitError

SMALL: dict[str, Any] = {"n_steps": 10, "width": 16, "plan": TrainingPlan(epochs=2)}


def plan_epochs(epochs: int, rate: float = 2e-3) -> TrainingPlan:
    return TrainingPlan(
        epochs=epochs, batch_size=64, learning_rate=rate, schedule="cosine", clip=1.0
    )


def draw_moons(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two moons in a plane of eight dims, a little thick, and a noisy look at them."""
    angle, up = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
    first = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    second = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    flat = np.where(up[:, None], first, second) + 0.08 * rng.normal(size=(n, 2))
    plane = np.linalg.qr(np.random.default_rng(9).normal(size=(8, 8)))[0][:2]
    y = 2 * flat @ plane + 0.15 * rng.normal(size=(n, 8)) + np.arange(8) / 4
    return y + rng.normal(size=y.shape), y


def measure_moments(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Errors of the mean, by the size of the spread, and of the covariance."""
    covariance = np.cov(truth.T)
    step = np.linalg.norm(found.mean(axis=0) - truth.mean(axis=0))
    wide = np.linalg.norm(np.cov(found.T) - covariance) / np.linalg.norm(covariance)
    return float(step / np.sqrt(np.trace(covariance))), float(wide)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sampled_moons_have_the_moments_of_moons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = draw_moons(rng, 4000)
    new_x, new_y = draw_moons(rng, 4000)
    prior = DiffusionPrior(width=128, validation=0.0, plan=plan_epochs(40), seed=seed).fit(x, y)
    mean, covariance = measure_moments(prior.sample(new_x)[:, 0], new_y)
    assert mean < 0.1
    assert covariance < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_samples_given_a_look_follow_the_posterior(seed: int) -> None:
    """Normal embeddings, seen with normal noise: mean and covariance are known for each look."""
    rng = np.random.default_rng(seed)
    spread = np.diag([2.0, 1.0, 1.0, 0.5])
    y = rng.normal(size=(4000, 4)) @ spread
    x = y + 0.7 * rng.normal(size=y.shape)
    prior = DiffusionPrior(width=96, validation=0.0, plan=plan_epochs(40), seed=seed).fit(x, y)
    gain = spread**2 @ np.linalg.inv(spread**2 + 0.49 * np.eye(4))
    truth = spread**2 - gain @ spread**2
    drawn = prior.sample(x[:100], n_draws=100)
    inner = np.mean([np.cov(one.T) for one in drawn], axis=0)
    # Blind to the look, the first would be 5.5; 100 steps alone take 5 to 10 % off the variance.
    assert np.linalg.norm(inner - truth) / np.linalg.norm(truth) < 0.3
    assert abs(np.trace(inner) / np.trace(truth) - 1) < 0.15
    miss = drawn.mean(axis=1) - x[:100] @ gain.T
    assert np.sqrt((miss**2).mean() / ((x[:100] @ gain.T) ** 2).mean()) < 0.15


def test_noise_takes_all_signal_and_never_gives_back() -> None:
    shares = make_signal_shares(100)
    assert shares[0] == 1.0
    assert shares[-1] < 1e-3
    assert (shares.diff() <= 0).all()
    time = np.arange(101) / 100
    expected = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(shares[:95], (expected / expected[0])[:95], rtol=1e-10)


def expect_variance(n_steps: int, variance: float) -> float:
    """Variance that running backwards gives with the exact answer, step by step."""
    shares = make_signal_shares(n_steps).numpy()
    found = 1.0
    for now, before in zip(shares[:0:-1], shares[-2::-1], strict=True):
        kept = now / before
        clean = variance * now**0.5 / (variance * now + 1 - now)
        pull = (before**0.5 * (1 - kept) * clean + kept**0.5 * (1 - before)) / (1 - now)
        found = pull**2 * found + (1 - before) / (1 - now) * (1 - kept)
    return found


def test_more_steps_lose_less_of_the_variance() -> None:
    lost = [1 - expect_variance(n, 4.0) / 4 for n in (50, 100, 400, 1000)]
    assert lost[0] > lost[1] > lost[2] > lost[3] > 0
    assert lost[1] < 0.05 < 2 * lost[1]


class Exact(torch.nn.Module):
    """What is left to add for a normal distribution of variance 4: linear in the noisy value."""

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.shares, self.n_steps = make_signal_shares(n_steps).float(), n_steps

    def forward(self, noisy: torch.Tensor, time: torch.Tensor, given: torch.Tensor) -> Any:
        share = self.shares[(time * self.n_steps).round().long()][:, None, None]
        best = 4 * share.sqrt() / (4 * share + 1 - share) * noisy
        return (best - share.sqrt() * noisy) / (1 - share).sqrt().clamp(min=1e-9)


def test_running_backwards_with_the_exact_answer_gives_the_distribution() -> None:
    zero, one = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    net = Diffusion(Exact(400), 400, zero, one)
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = net.sample(torch.zeros(20000, 1, 2), 1.0, lambda n: torch.randn(n, 1, 3))[:, 0]
    np.testing.assert_allclose(np.cov(drawn.T), expect_variance(400, 4.0) * np.eye(3), atol=0.12)
    np.testing.assert_allclose(drawn.mean(dim=0), 0, atol=0.05)


def test_the_loss_of_the_exact_answer_is_the_least() -> None:
    zero, one = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    torch.manual_seed(0)
    clean, given = 2 * torch.randn(20000, 1, 3), torch.zeros(20000, 1, 2)
    exact = Diffusion(Exact(50), 50, zero, one)
    plain = Diffusion(Exact(50), 50, zero, one)
    plain.denoiser.forward = lambda noisy, time, given: 0 * noisy
    with torch.no_grad():
        assert exact.lose(clean, given, 0.2) < plain.lose(clean, given, 0.2)
        shares = make_signal_shares(50)[1:]
        least = (4 * (1 - shares) / (4 * shares + 1 - shares)).mean()
        assert float(exact.lose(clean, given, 0.0)) == pytest.approx(float(least), rel=0.03)


@pytest.mark.parametrize("denoiser", ["mlp", "transformer"])
def test_shapes_labels_and_seeds(rng: np.random.Generator, denoiser: str) -> None:
    names = [f"image-{i}" for i in range(30)]
    y = xr.DataArray(
        rng.normal(size=(30, 2, 3)).astype(np.float32), dims=("sample", "token", "feature"),
        coords={"stimulus": ("sample", names)},
    )  # fmt: skip
    prior = DiffusionPrior(denoiser=denoiser, **SMALL).fit(y, y)
    drawn = prior.sample(y[:4], n_draws=5)
    assert drawn.dims == ("sample", "draw", "token", "feature")
    assert drawn.shape == (4, 5, 2, 3)
    assert drawn["stimulus"].values.tolist() == names[:4]
    np.testing.assert_array_equal(drawn.values, prior.sample(y[:4], n_draws=5).values)
    assert np.abs(drawn.values - prior.sample(y[:4], n_draws=5, seed=1).values).max() > 0.01
    assert np.abs(drawn.values - prior.sample(y[:4], n_draws=5, guidance=2.0).values).max() > 1e-5
    predicted = prior.predict(y)
    np.testing.assert_allclose(prior.predict(y[7:9]).values, predicted.values[7:9], atol=1e-5)
    first = prior.sample(y[:1], n_draws=16).mean("draw")
    np.testing.assert_allclose(predicted.values[:1], first.values, atol=1e-5)


def test_responses_of_another_size_are_conditions_too(rng: np.random.Generator) -> None:
    prior = DiffusionPrior(denoiser="transformer", **SMALL)
    prior.fit(rng.normal(size=(30, 7)), rng.normal(size=(30, 2, 3)))
    assert prior.sample(rng.normal(size=(4, 7))).shape == (4, 1, 2, 3)


def test_a_killed_fit_goes_on(rng: np.random.Generator, tmp_path: Any) -> None:
    y = rng.normal(size=(40, 3))
    made = [
        DiffusionPrior(checkpoint=folder, **SMALL).fit(y, y).sample(y)
        for folder in (None, tmp_path, tmp_path)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])
    with pytest.raises(FitError, match="checkpoint: expected the state of this run"):
        DiffusionPrior(checkpoint=tmp_path, drop=0.5, **SMALL).fit(y, y)


@pytest.mark.slow
def test_it_keeps_the_scikit_learn_contract(broken_checks: Callable[..., list[str]]) -> None:
    prior = DiffusionPrior(n_steps=10, width=32, validation=0.0, plan=plan_epochs(30, 0.01))
    assert broken_checks(prior) == []


def test_faults_are_named(rng: np.random.Generator) -> None:
    y = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match="denoiser: expected one of 'mlp', 'transformer'"):
        DiffusionPrior(denoiser="unet").fit(y, y)
    with pytest.raises(ValueError, match="n_steps: expected at least 1"):
        DiffusionPrior(n_steps=0).fit(y, y)
    with pytest.raises(ValueError, match="width: expected a multiple of 4"):
        DiffusionPrior(denoiser="transformer", width=10).fit(y, y)
    with pytest.raises(ValueError, match="drop: expected a share"):
        DiffusionPrior(drop=1.0).fit(y, y)
    with pytest.raises(ValueError, match="guidance: expected 0 or more, got -1"):
        DiffusionPrior(guidance=-1).fit(y, y)
    with pytest.raises(ValueError, match="guidance: expected 1 for a prior with drop 0"):
        DiffusionPrior(guidance=3, drop=0).fit(y, y)
    with pytest.raises(ValueError, match="n_draws: expected at least 1"):
        DiffusionPrior(**SMALL).fit(y, y).sample(y, n_draws=0)
    named = [
        xr.DataArray(y, dims=("sample", "feature"), coords={"stimulus": ("sample", names)})
        for names in ([str(i) for i in range(20)], [str(i) for i in range(20)][::-1])
    ]
    with pytest.raises(AlignError, match="y: expected the 'stimulus' of X"):
        DiffusionPrior(**SMALL).fit(*named)
