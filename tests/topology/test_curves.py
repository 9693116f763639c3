"""Curves, landscapes and images are those of gudhi, and obey their definitions."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from gudhi.representations import BettiCurve, Landscape, PersistenceImage

from neuroalign.topology import (
    betti_curve,
    compute_persistence,
    persistence_image,
    persistence_landscape,
    take_bars,
)

GRID = np.linspace(0.1, 2.0, 30)


@pytest.fixture
def diagrams(rng: np.random.Generator) -> xr.Dataset:
    return compute_persistence(rng.normal(size=(40, 3)))


@pytest.mark.parametrize("dimension", [0, 1])
def test_betti_curve_equals_gudhi(diagrams: xr.Dataset, dimension: int) -> None:
    theirs = BettiCurve(predefined_grid=GRID)(take_bars(diagrams, dimension))
    ours = betti_curve(diagrams, dimension=dimension, grid=GRID)
    np.testing.assert_array_equal(ours, theirs)


def test_betti_curve_counts_the_last_component(diagrams: xr.Dataset) -> None:
    curve = betti_curve(diagrams, dimension=0)
    assert curve.values[0] == 40
    assert curve.values[-1] == 1


def test_landscape_equals_gudhi(diagrams: xr.Dataset) -> None:
    model = Landscape(5, 30, sample_range=[GRID[0], GRID[-1]], keep_endpoints=True)
    theirs = model.fit_transform([take_bars(diagrams, 1)])[0].reshape(5, 30) / np.sqrt(2)
    np.testing.assert_allclose(persistence_landscape(diagrams, grid=GRID), theirs, atol=1e-12)


def test_landscape_pads_with_zero(rng: np.random.Generator) -> None:
    square = compute_persistence([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    layers = persistence_landscape(square, n_layers=3)
    assert layers.sizes == {"layer": 3, "distance": 100}
    assert float(layers[1:].max()) == 0
    assert float(layers[0].max()) == pytest.approx((np.sqrt(2) - 1) / 2, rel=0.02)


def test_image_equals_gudhi(diagrams: xr.Dataset) -> None:
    bars = take_bars(diagrams, 1)
    births, lengths = np.linspace(0.5, 2, 12), np.linspace(0, 0.5, 15)
    model = PersistenceImage(
        bandwidth=0.1,
        weight=lambda x: x[1],
        resolution=[12, 15],
        im_range=[births[0], births[-1], lengths[0], lengths[-1]],
    )
    theirs = model.fit_transform([bars])[0].reshape(15, 12)
    ours = persistence_image(diagrams, bandwidth=0.1, birth_grid=births, length_grid=lengths)
    ratio = theirs.max() / ours.values.max()
    np.testing.assert_allclose(ours.values.T * ratio, theirs, atol=1e-10 * theirs.max())


def test_image_holds_the_weight_of_all_bars(diagrams: xr.Dataset) -> None:
    wide = np.linspace(-1, 4, 400)
    image = persistence_image(diagrams, bandwidth=0.1, birth_grid=wide, length_grid=wide)
    bars = take_bars(diagrams, 1)
    mass = float(image.sum()) * (wide[1] - wide[0]) ** 2
    assert mass == pytest.approx((bars[:, 1] - bars[:, 0]).sum(), rel=1e-6)


def test_no_bars_give_zeros() -> None:
    line = compute_persistence([[0.0], [1.0], [3.0]])
    for function in (betti_curve, persistence_landscape, persistence_image):
        assert float(abs(function(line)).max()) == 0


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (betti_curve, {"grid": [1.0, 0.0]}, "grid: expected increasing distances"),
        (persistence_landscape, {"n_layers": 0}, "n_layers: expected 1 or more, got 0"),
        (persistence_image, {"bandwidth": 0.0}, "bandwidth: expected a distance above 0, got 0"),
    ],
)
def test_bad_options_are_named(
    diagrams: xr.Dataset, function: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(diagrams, **options)
