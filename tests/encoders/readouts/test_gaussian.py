"""The Gaussian readout: its formula, and receptive fields that come back."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from neuroalign.encoders.readouts import GaussianReadout, TrainingPlan
from neuroalign.encoders.readouts.gaussian import GaussianPool, GaussianSample
from neuroalign.errors import SchemaError

SIDE = 9
CENTERS = np.array([[2.0, 6.0], [4.0, 4.0], [6.0, 1.5], [3.0, 3.0]])
SPREADS = np.array([0.8, 1.2, 1.0, 1.6])


def simulate_fields(seed: int, n: int = 600) -> tuple[xr.DataArray, np.ndarray]:
    """Smooth feature maps, and neuroids that pool them under known Gaussians, with noise."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(n, SIDE * SIDE, 4))
    row, column = (place.ravel() for place in np.indices((SIDE, SIDE)))
    places = np.stack([row, column], axis=1)
    apart = ((places[None] - CENTERS[:, None]) ** 2).sum(axis=2)
    maps = np.exp(-0.5 * apart / SPREADS[:, None] ** 2)
    maps /= maps.sum(axis=1, keepdims=True)
    weights = rng.normal(size=(4, 4))
    clean = np.einsum("nkc,vk,vc->nv", tokens, maps, weights)
    noisy = clean + 0.5 * clean.std(axis=0) * rng.normal(size=clean.shape)
    coords = {"row": ("token", row), "column": ("token", column)}
    return xr.DataArray(tokens, coords, ("sample", "token", "feature")), noisy


def test_the_net_computes_its_formula() -> None:
    positions = torch.rand(6, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    net = GaussianPool(positions, 3, 2)
    tokens = torch.randn(5, 6, 3)
    found = net(tokens).detach().numpy()
    center, spread = net.center().detach().numpy(), net.spread().detach().numpy()
    for v in range(2):
        apart = (positions.numpy() - center[v]) / spread[v]
        weights = np.exp(-0.5 * (apart**2).sum(axis=1))
        pooled = np.tensordot(tokens.numpy(), weights / weights.sum(), axes=(1, 0))
        expected = pooled @ net.feature[v].detach().numpy() + net.bias[v].item()
        np.testing.assert_allclose(found[:, v], expected, atol=1e-5)


def test_a_point_is_interpolated_between_its_tokens() -> None:
    layout = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    net = GaussianSample(layout, (2, 2), 1, 1).eval()
    with torch.no_grad():
        net.free_center.copy_(torch.atanh(torch.tensor([[0.5, 0.0]])))
        net.feature.fill_(1.0)
    tokens = torch.tensor([[[0.0], [4.0], [8.0], [12.0]]])
    # Halfway down, three quarters to the right.
    assert net(tokens).item() == pytest.approx(4 + 3.0)


def test_a_point_is_drawn_in_training_only() -> None:
    layout = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    net = GaussianSample(layout, (2, 2), 1, 1)
    tokens = torch.arange(4.0).reshape(1, 4, 1)
    assert net.train()(tokens).item() != net(tokens).item()
    assert net.eval()(tokens).item() == net(tokens).item()


def test_a_token_without_place_is_not_looked_at() -> None:
    positions = torch.tensor([[torch.nan, torch.nan], [-1.0, 0.0], [1.0, 0.0]])
    maps = GaussianPool(positions, 2, 3).maps()
    assert (maps[:, 0] == 0).all()
    torch.testing.assert_close(maps.sum(dim=1), torch.ones(3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_receptive_fields_come_back(seed: int) -> None:
    tokens, responses = simulate_fields(seed)
    plan = TrainingPlan(epochs=60, learning_rate=0.03, schedule="cosine")
    readout = GaussianReadout(plan=plan, seed=seed).fit(tokens, responses)
    assert np.abs(readout.center_.values - CENTERS).max() < 0.4
    assert np.abs(readout.spread_.mean("axis").values / SPREADS - 1).max() < 0.25
    assert (readout.validation_score_ > readout.baseline_score_).all()
    assert np.mean(readout.validation_score_) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_published_form_finds_points_of_smooth_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = gaussian_filter(rng.normal(size=(600, SIDE, SIDE, 4)), (0, 1.5, 1.5, 0))
    points = np.array([[2, 6], [4, 4], [6, 2], [3, 3]])
    weights = rng.normal(size=(4, 4))
    responses = np.einsum("nvc,vc->nv", maps[:, points[:, 0], points[:, 1]], weights)
    responses += 0.3 * responses.std(axis=0) * rng.normal(size=responses.shape)
    plan = TrainingPlan(epochs=60, learning_rate=0.03, schedule="cosine")
    readout = GaussianReadout(how="sample", plan=plan, baseline=False, seed=seed)
    readout.fit(maps.reshape(600, -1, 4), responses)
    assert np.abs(readout.center_.values - points).max() < 0.5
    # The uncertainty falls as the place is found.
    assert readout.spread_.values.max() < 0.5 * (SIDE - 1) / 2


def test_a_point_needs_a_full_grid(rng: np.random.Generator) -> None:
    tokens, responses = simulate_fields(0, 20)
    with pytest.raises(SchemaError, match="X: expected tokens that fill a grid row by row"):
        GaussianReadout(how="sample").fit(tokens[:, 1:], responses)
    with pytest.raises(ValueError, match="how: .*pool"):
        GaussianReadout(how="point").fit(tokens, responses)
