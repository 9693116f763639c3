"""The semantic spatial transformer: its warps, and maps that move with content."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from neuroalign.encoders.readouts import (
    FactorizedReadout,
    SemanticSpatialTransformer,
    TrainingPlan,
)
from neuroalign.encoders.readouts._warps import MOVED, WARPS, AffineNet, WarpedMap, warp_images
from neuroalign.encoders.readouts.factorized import FactorizedMap
from neuroalign.errors import NeuroalignWarning, SchemaError

SIDE = 9
SHORT = TrainingPlan(epochs=2, batch_size=16)
LONG = TrainingPlan(epochs=60, learning_rate=0.02, schedule="cosine")


def simulate_moving(seed: int, reach: float = 2.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth tokens, and neuroids that look ``reach`` x content columns beside their place."""
    rng = np.random.default_rng(seed)
    tokens = gaussian_filter(rng.normal(size=(600, SIDE, SIDE, 4)), (0, 1, 1, 0))
    tokens /= tokens.std()
    content = rng.uniform(-1, 1, size=600)
    tokens[..., 0] = 0.3 * tokens[..., 0] + content[:, None, None]
    row, column = np.indices((SIDE, SIDE))
    centers = np.array([[4.0, 4.0], [3.0, 4.5], [5.0, 3.5]])
    looked = centers[None, :, 1] + reach * content[:, None]
    apart = (row - centers[:, 0, None, None]) ** 2 + (column - looked[..., None, None]) ** 2
    maps = np.exp(-0.5 * apart / 1.2**2)
    maps /= maps.sum(axis=(2, 3), keepdims=True)
    weights = rng.normal(size=(3, 4))
    weights[:, 0] = 0
    clean = np.einsum("nvij,nijc,vc->nv", maps, tokens, weights)
    noisy = clean + 0.3 * clean.std(axis=0) * rng.normal(size=clean.shape)
    return tokens.reshape(600, -1, 4), noisy, looked


@pytest.mark.parametrize("warp", [*WARPS, "translation+rotation"])
@pytest.mark.parametrize("moved", MOVED)
def test_it_starts_as_the_factorised_readout(warp: str, moved: str) -> None:
    torch.manual_seed(0)
    net = WarpedMap((3, 4), 5, 2, warp, MOVED[moved])
    peer = FactorizedMap(12, 5, 2)
    peer.load_state_dict({key: net.state_dict()[key] for key in peer.state_dict()})
    tokens = torch.randn(6, 12, 5)
    torch.testing.assert_close(net(tokens), peer(tokens), atol=1e-5, rtol=1e-5)


def test_warps_are_those_of_torch() -> None:
    torch.manual_seed(0)
    images, theta = torch.randn(3, 2, 5, 6), torch.randn(3, 2, 2, 3)
    flat = images.reshape(6, 1, 5, 6)
    grid = torch.nn.functional.affine_grid(theta.flatten(0, 1), [6, 1, 5, 6], align_corners=True)
    expected = torch.nn.functional.grid_sample(flat, grid, align_corners=True)
    torch.testing.assert_close(warp_images(images, theta), expected.reshape(images.shape))


@pytest.mark.parametrize(
    ("warp", "free", "expected"),
    [
        ("translation", [0.5, 0.0], lambda image: np.pad(image, ((0, 0), (0, 1)))[:, 1:]),
        ("translation", [0.0, 0.5], lambda image: np.pad(image, ((0, 1), (0, 0)))[1:]),
        ("rotation", [np.pi / 2], np.rot90),
        ("rotation", [np.pi], lambda image: image[::-1, ::-1]),
        ("scale", [-60.0, -60.0], lambda image: np.full((5, 5), image[2, 2])),
        ("affine", [-2.0, 0, 0, 0, 0, 0], np.fliplr),
    ],
)
def test_each_warp_does_what_it_is_called(warp: str, free: list[float], expected: object) -> None:
    image = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    _, make = WARPS[warp]
    theta = make(torch.tensor([[free]]))[..., :2, :]
    warped = warp_images(torch.from_numpy(image)[None, None], theta)[0, 0].numpy()
    np.testing.assert_allclose(warped, expected(image), atol=1e-4)  # type: ignore[operator]


def test_shear_moves_rows_by_their_height() -> None:
    theta = WARPS["shear"][1](torch.tensor([[[0.5, 0.0]]]))[..., :2, :]
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2] = 1
    # The bottom row shows what lies one column to its right: the line leans.
    warped = warp_images(image, theta)[0, 0]
    np.testing.assert_array_equal(warped[::2].argmax(dim=1), [3, 2, 1])
    np.testing.assert_allclose(warped[1], [0, 0, 0.5, 0.5, 0])


def test_joined_warps_multiply() -> None:
    torch.manual_seed(0)
    net = AffineNet(3, 2, "translation+rotation")
    torch.nn.init.normal_(net.net[2].weight)
    summary = torch.randn(4, 3)
    free = net.net(summary).reshape(4, 2, 3)
    move, turn = WARPS["translation"][1](free[..., :2]), WARPS["rotation"][1](free[..., 2:])
    torch.testing.assert_close(net(summary), (move @ turn)[..., :2, :])


def test_many_rows_are_predicted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = WarpedMap((3, 3), 2, 4, "affine", MOVED["both"])
    tokens = torch.randn(7, 9, 2)
    whole = net(tokens).detach()
    monkeypatch.setattr("neuroalign.encoders.readouts._warps.AT_ONCE", 120)
    with torch.no_grad():
        torch.testing.assert_close(net(tokens), whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("warp", ["translation", "affine"])
def test_maps_that_move_beat_fixed_ones_and_are_followed(warp: str, seed: int) -> None:
    tokens, responses, looked = simulate_moving(seed)
    readout = SemanticSpatialTransformer(warp=warp, moved="maps", plan=LONG, seed=seed)
    readout.fit(tokens, responses)
    fixed = FactorizedReadout(plan=LONG, seed=seed, baseline=False).fit(tokens, responses)
    assert readout.validation_score_.mean() > 0.9
    assert readout.validation_score_.mean() > fixed.validation_score_.mean() + 0.08
    assert readout.validation_score_.mean() > readout.baseline_score_.mean() + 0.08
    maps = readout.warp_maps(tokens).values.clip(min=0)
    found = maps @ np.tile(np.arange(SIDE), SIDE) / maps.sum(axis=2)
    assert min(np.corrcoef(found[:, v], looked[:, v])[0, 1] for v in range(3)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_published_both_factors_move(seed: int) -> None:
    tokens, responses, _ = simulate_moving(seed)
    plan = TrainingPlan(epochs=60, learning_rate=0.02, schedule="cosine")
    readout = SemanticSpatialTransformer(loss="mse_concordance", plan=plan, seed=seed)
    readout.fit(tokens, responses)
    assert readout.validation_score_.mean() > readout.baseline_score_.mean() + 0.08


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_maps_that_stay_are_as_well_read_by_the_factorised_readout(seed: int) -> None:
    tokens, responses, _ = simulate_moving(seed, reach=0.0)
    readout = SemanticSpatialTransformer(plan=LONG, seed=seed, baseline=False)
    fixed = FactorizedReadout(plan=LONG, seed=seed, baseline=False)
    moving, still = (one.fit(tokens, responses).validation_score_ for one in (readout, fixed))
    assert still.mean() > moving.mean() - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_a_place_ridge_wins_and_this_is_said(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(400, 9, 6))
    responses = tokens.reshape(400, -1) @ rng.normal(size=(54, 5))
    responses += 0.3 * responses.std(axis=0) * rng.normal(size=responses.shape)
    with pytest.warns(NeuroalignWarning, match="ridge on the same tokens, got r"):
        readout = SemanticSpatialTransformer(plan=LONG, seed=seed).fit(tokens, responses)
    assert (readout.baseline_score_ > readout.validation_score_).all()


def test_maps_for_each_stimulus_are_labelled() -> None:
    tokens, responses, _ = simulate_moving(0)
    readout = SemanticSpatialTransformer(plan=SHORT, baseline=False).fit(tokens, responses)
    maps = readout.warp_maps(tokens[:5])
    assert maps.dims == ("sample", "neuroid", "token")
    assert maps["row"].values[SIDE] == 1
    assert np.abs(maps.values - readout.maps_.values).max() > 1e-4


def test_the_affines_learn_at_their_own_rate() -> None:
    readout = SemanticSpatialTransformer(warp_rate=1e-5)
    net = WarpedMap((3, 3), 2, 4, "affine", MOVED["both"])
    own, warps = readout._group_parameters(net)
    assert "lr" not in own
    assert warps["lr"] == 1e-5
    assert len(own["params"]) + len(warps["params"]) == len(list(net.parameters()))


def test_faults_are_named() -> None:
    tokens, responses, _ = simulate_moving(0)
    with pytest.raises(ValueError, match="warp: .*shear"):
        SemanticSpatialTransformer(warp="translation+twist").fit(tokens, responses)
    with pytest.raises(ValueError, match="moved: .*features"):
        SemanticSpatialTransformer(moved="none").fit(tokens, responses)
    coords = {"row": ("token", [0, 0, 1]), "column": ("token", [0, 1, 0])}
    bent = xr.DataArray(tokens[:, :3], coords, ("sample", "token", "feature"))
    with pytest.raises(SchemaError, match="X: expected tokens that fill a grid row by row, got 3"):
        SemanticSpatialTransformer().fit(bent, responses)
