"""Cores: maps that turn with the image, weights drawn anew, and planted filters that are learnt."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from neuroalign.encoders import readouts
from neuroalign.encoders.readouts import (
    FactorizedReadout,
    GaussianReadout,
    RotationEquivariantCore,
    SmallCore,
    TrainingPlan,
)
from neuroalign.encoders.readouts._groups import make_turns
from neuroalign.encoders.readouts.cores import halve
from neuroalign.errors import SchemaError

SHORT = TrainingPlan(epochs=2, batch_size=16)
LONG = TrainingPlan(epochs=40, learning_rate=0.02, schedule="cosine")
PLACES = [(3, 3), (3, 5), (4, 4), (5, 3), (5, 5), (2, 2), (4, 2), (2, 4)]
READOUTS = [
    thing
    for thing in map(readouts.__getattr__, readouts.__all__)
    if isinstance(thing, type) and hasattr(thing, "_build")
]


def draw_bar(angle: float) -> np.ndarray:
    """A line of 5 x 5 pixels between two of the other sign, inside a disc."""
    row, column = np.indices((5, 5)) - 2
    apart = column * np.sin(angle) + row * np.cos(angle)
    bar: np.ndarray = np.exp(-(apart**2)) - np.exp(-((np.abs(apart) - 2) ** 2))
    return bar * (np.hypot(row, column) <= 2.5)


def simulate_bars(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """White noise, and cells that answer to lying or standing bars of either sign at a place."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(2000, 8, 8))
    cells = [(angle, place) for angle in (0.0, np.pi / 2) for place in PLACES]
    clean = np.stack(
        [
            abs(np.tensordot(images[:, r - 2 : r + 3, c - 2 : c + 3], draw_bar(angle)))
            for angle, (r, c) in cells
        ],
        axis=1,
    )
    noisy = clean + 0.2 * clean.std(axis=0) * rng.normal(size=clean.shape)
    return images.reshape(2000, -1, 1), noisy


def settle(core: nn.Module, n_features: int, side: int) -> nn.Module:
    """Give the normalisation statistics that are not those it starts from."""
    core.train()(torch.randn(8, n_features, side, side) * 3 + 1)
    return core.eval()


@pytest.mark.parametrize("n_directions", [4, 8])
@pytest.mark.parametrize("side", [12, 11])
@pytest.mark.parametrize("orientations", ["max", "mean"])
def test_turning_the_image_turns_the_maps(n_directions: int, side: int, orientations: str) -> None:
    torch.manual_seed(0)
    core = RotationEquivariantCore(
        2, channels=(3, 4, 2), n_directions=n_directions, halvings=2, orientations=orientations
    )
    settle(core, 2, side)
    image = torch.randn(2, 2, side, side)
    with torch.no_grad():
        maps = core(image)
        assert maps.abs().max() > 0.1
        for turn in (1, 2, 3):
            turned = core(image.rot90(turn, (2, 3)))
            torch.testing.assert_close(turned, maps.rot90(turn, (2, 3)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_directions", [4, 8])
def test_kept_directions_move_on_as_the_image_turns(n_directions: int) -> None:
    torch.manual_seed(0)
    core = RotationEquivariantCore(1, channels=(3, 4), n_directions=n_directions)
    settle(core, 1, 10)
    image = torch.randn(2, 1, 10, 10)
    with torch.no_grad():
        maps = core(image).reshape(2, 4, n_directions, 5, 5)
        turned = core(image.rot90(1, (2, 3))).reshape(2, 4, n_directions, 5, 5)
    expected = maps.rot90(1, (3, 4)).roll(n_directions // 4, dims=2)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=1e-5)


def test_filters_turn_by_an_eighth_about_as_they_would_in_the_plane() -> None:
    turns = make_turns(5, 8).numpy()
    line = draw_bar(0.0).ravel()
    for step in range(8):
        wanted = draw_bar(step * np.pi / 4).ravel()
        assert np.corrcoef(turns[step] @ line, wanted)[0, 1] > 0.95
    np.testing.assert_array_equal(turns[3], turns[2] @ turns[1])


@pytest.mark.parametrize("side", [6, 7])
def test_halving_keeps_the_middle(side: int) -> None:
    line = torch.linspace(-1, 1, side).expand(1, 1, side, side)
    half = halve(line)
    assert half.shape[2:] == ((side + 1) // 2, (side + 1) // 2)
    torch.testing.assert_close(half.flip(3), -half)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_every_readout_takes_a_core(readout: Any, rng: np.random.Generator) -> None:
    images, responses = rng.normal(size=(30, 64, 3)), rng.normal(size=(30, 2))
    core = SmallCore(3, channels=(4, 5), kernel=3)
    before = [parameter.clone() for parameter in core.parameters()]
    fitted = readout(core=core, plan=SHORT).fit(images, responses)
    assert fitted.predict(images).shape == (30, 2)
    assert fitted._field.grid == (4, 4)
    assert fitted._field.n_features == 5
    moved = dict(fitted.modules_[0].core.named_parameters())
    assert not torch.equal(moved["net.layers.0.weight"], before[0])
    for old, new in zip(before, core.parameters(), strict=True):
        assert torch.equal(old, new), "the core that was given stays as it is"


def test_each_net_of_an_ensemble_draws_its_own_core(rng: np.random.Generator) -> None:
    images, responses = rng.normal(size=(30, 64, 3)), rng.normal(size=(30, 2))
    made = FactorizedReadout(core=SmallCore(3), plan=SHORT, n_ensemble=2, baseline=False)
    first, second = (net.core.net.layers[0].weight for net in made.fit(images, responses).modules_)
    assert not torch.equal(first, second)
    torch.rand(7)
    again = made.fit(images, responses).modules_[1].core.net.layers[0].weight
    assert torch.equal(second, again)


def test_a_function_gives_a_core_with_its_weights(rng: np.random.Generator) -> None:
    images, responses = rng.normal(size=(30, 64, 3)), rng.normal(size=(30, 2))
    trained = nn.Conv2d(3, 2, 1)
    trained.requires_grad_(False)
    readout = FactorizedReadout(core=lambda n_features: trained, plan=SHORT, baseline=False)
    kept = readout.fit(images, responses).modules_[0].core.net
    assert kept is not trained
    assert torch.equal(kept.weight, trained.weight)
    made = FactorizedReadout(core=SmallCore, plan=SHORT, baseline=False).fit(images, responses)
    assert made.modules_[0].core.net.layers[0].in_channels == 3


def test_the_core_learns_at_its_own_rate(rng: np.random.Generator) -> None:
    images, responses = rng.normal(size=(30, 64, 3)), rng.normal(size=(30, 2))
    core = SmallCore(3, learning_rate=1e-4, weight_decay=0.5)
    readout = FactorizedReadout(core=core, plan=SHORT, baseline=False).fit(images, responses)
    own, cored = readout._group_all(readout.modules_[0])
    assert (cored["lr"], cored["weight_decay"]) == (1e-4, 0.5)
    assert "lr" not in own
    n_all = len(list(readout.modules_[0].parameters()))
    assert len(own["params"]) + len(cored["params"]) == n_all


def test_places_of_the_map_are_in_pixels(rng: np.random.Generator) -> None:
    row, column = (place.ravel() for place in np.indices((4, 8)))
    coords = {"row": ("token", 10 + row), "column": ("token", 2 * column)}
    images = xr.DataArray(rng.normal(size=(30, 32, 3)), coords, ("sample", "token", "feature"))
    responses = rng.normal(size=(30, 2))
    readout = GaussianReadout(core=SmallCore(3), plan=SHORT, baseline=False).fit(images, responses)
    maps = readout.maps_
    assert maps["row"].values[::4].tolist() == [10.5, 12.5]
    assert maps["column"].values[:4].tolist() == [1, 5, 9, 13]
    assert 10 < float(readout.center_.sel(axis="row").mean()) < 13


def test_faults_of_cores_are_named(rng: np.random.Generator) -> None:
    images, responses = rng.normal(size=(20, 16, 3)), rng.normal(size=(20, 2))

    def fit(core: Any) -> None:
        FactorizedReadout(core=core, plan=SHORT, baseline=False).fit(images, responses)

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(1))

    with pytest.raises(ValueError, match="core: expected a torch.nn.Module, .*, got str"):
        fit("small")
    with pytest.raises(ValueError, match="core: expected parts .*, got Fixed without reset_par"):
        fit(Fixed())
    with pytest.raises(ValueError, match=r"core: expected a net that takes images of shape \(1, 3"):
        fit(SmallCore(4))
    with pytest.raises(ValueError, match=r"core: expected maps .*, got shape \(1, 48\)"):
        fit(nn.Flatten())
    coords = {"row": ("token", [0, 0, 1]), "column": ("token", [0, 1, 0])}
    bent = xr.DataArray(images[:, :3], coords, ("sample", "token", "feature"))
    with pytest.raises(SchemaError, match="X: expected tokens that fill a grid row by row, got 3"):
        FactorizedReadout(core=SmallCore(3)).fit(bent, responses)


def test_faults_of_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"channels: expected one count above 0 .*, got \(\)"):
        SmallCore(3, channels=())
    with pytest.raises(ValueError, match="kernel: expected an odd side, got 4"):
        RotationEquivariantCore(3, kernel=4)
    with pytest.raises(ValueError, match="n_directions: expected 4 or 8, got 6"):
        RotationEquivariantCore(3, n_directions=6)
    with pytest.raises(ValueError, match="orientations: .*keep"):
        RotationEquivariantCore(3, orientations="sum")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "core",
    [
        SmallCore(1, channels=(8,), halvings=0, learning_rate=0.03),
        RotationEquivariantCore(1, channels=(4,), n_directions=4, halvings=0, learning_rate=0.03),
    ],
    ids=["small", "turned"],
)
def test_planted_filters_are_learnt_from_responses_alone(core: nn.Module, seed: int) -> None:
    images, responses = simulate_bars(seed)
    readout = FactorizedReadout(core=core, plan=LONG, seed=seed).fit(images, responses)
    assert readout.validation_score_.mean() > 0.6
    assert abs(readout.baseline_score_.mean()) < 0.2
