"""Gabor energies."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from neuroalign import schema
from neuroalign.errors import SchemaError
from neuroalign.features import gabor_features
from neuroalign.features.image_filters import make_gabor


def grating(orientation: float, frequency: float, size: int = 48, phase: float = 0.3) -> np.ndarray:
    row, column = np.indices((size, size)) / size
    angle = np.deg2rad(orientation)
    wave = 2 * np.pi * frequency * (column * np.cos(angle) + row * np.sin(angle))
    return 0.5 + 0.5 * np.cos(wave + phase)[None]


@pytest.mark.parametrize("orientation", [0.0, 45.0, 90.0, 157.5])
@pytest.mark.parametrize("frequency", [4.0, 8.0, 16.0])
def test_a_grating_excites_its_own_channel_most(orientation: float, frequency: float) -> None:
    features = gabor_features({"a": grating(orientation, frequency)}, grid=1)
    best = features.isel(feature=int(features.argmax("feature").item()))
    assert (float(best.orientation), float(best.frequency)) == (orientation, frequency)


def test_energies_equal_convolution_in_space(rng: np.random.Generator) -> None:
    image = rng.random((9, 12))
    features = gabor_features({"a": image[None]}, n_orientations=3, n_scales=2, grid=3)
    for number, (frequency, orientation) in enumerate(
        (f, o) for f in (2.0, 4.0) for o in (0.0, 60.0, 120.0)
    ):
        kernel = make_gabor(image.shape, orientation, frequency, 1.0)
        full = convolve2d(image - image.mean(), kernel)[8:17, 11:23]
        cells = (abs(full) ** 2).reshape(3, 3, 3, 4).mean((1, 3)).ravel()
        found = features.values[0, number * 9 : (number + 1) * 9]
        np.testing.assert_allclose(found, cells, rtol=1e-5)
        assert set(features.orientation.values[number * 9 : (number + 1) * 9]) == {orientation}


def test_one_response_equals_the_sum_over_pixels(rng: np.random.Generator) -> None:
    image = rng.random((6, 6))
    features = gabor_features({"a": image[None]}, n_orientations=1, n_scales=1, grid=6)
    kernel, centred = make_gabor((6, 6), 0.0, 2.0, 1.0), image - image.mean()
    total = sum(centred[r, c] * kernel[2 - r + 5, 4 - c + 5] for r in range(6) for c in range(6))
    where = (features.row.values == 2) & (features.column.values == 4)
    np.testing.assert_allclose(features.values[0, where], abs(total) ** 2, rtol=1e-5)


def test_filters_ignore_light_and_come_in_quadrature() -> None:
    kernel = make_gabor((32, 32), 30.0, 4.0, 1.0)
    assert abs(kernel.sum()) < 1e-12
    np.testing.assert_allclose(kernel.real, kernel.real[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(kernel.imag, -kernel.imag[::-1, ::-1], atol=1e-12)


def test_the_bandwidth_is_full_width_at_half_height() -> None:
    spectrum = abs(np.fft.fft2(make_gabor((128, 128), 0.0, 16.0, 1.0), s=(1024, 1024)))[0, :512]
    above = np.flatnonzero(spectrum > spectrum.max() / 2) * 128 / 1024
    assert abs(np.log2(above[-1] / above[0]) - 1) < 0.05


def test_phase_hardly_matters_away_from_the_border() -> None:
    stimuli = {f"p{p}": grating(0.0, 8.0, phase=p) for p in (0.0, 1.0, 2.0)}
    features = gabor_features(stimuli, grid=3)
    own = features.isel(feature=(features.frequency == 8) & (features.orientation == 0))
    centre = own.isel(feature=4).values
    np.testing.assert_allclose(centre, centre[0], rtol=0.02)


def test_light_changes_nothing_and_contrast_squares(rng: np.random.Generator) -> None:
    image = rng.random((1, 32, 32))
    features = gabor_features({"a": image, "b": image + 3, "c": 2 * image}, n_scales=3)
    np.testing.assert_allclose(features.values[1], features.values[0], rtol=1e-3)
    np.testing.assert_allclose(features.values[2], 4 * features.values[0], rtol=1e-4)


def test_labels_follow_the_schema(rng: np.random.Generator) -> None:
    images = {name: rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for name in "ba"}
    features = gabor_features(images, n_orientations=2, n_scales=3, grid=4)
    assert features.shape == (2, 2 * 3 * 16)
    assert features.dtype == np.float32
    assert list(features.stimulus.values) == ["b", "a"]
    assert set(features.space.values) == {"gabor"}
    schema.check(features)


def test_too_fine_a_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"n_scales: expected frequencies up to 6 cycles/image"):
        gabor_features({"a": np.zeros((1, 12, 12))})


def test_too_fine_a_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="grid: expected at most 12 cells for 12 pixels, got 13"):
        gabor_features({"a": np.zeros((1, 12, 12))}, n_scales=1, grid=13)


@pytest.mark.parametrize("name", ["n_orientations", "n_scales", "grid"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        gabor_features({"a": np.zeros((1, 32, 32))}, **{name: 0})


@pytest.mark.parametrize("name", ["lowest_frequency", "bandwidth"])
def test_scales_that_are_not_positive_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a positive number, got 0.0"):
        gabor_features({"a": np.zeros((1, 32, 32))}, **{name: 0.0})


def test_images_of_several_sizes_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"images of one size, got \(32, 33\) for 'b'"):
        gabor_features({"a": np.zeros((1, 32, 32)), "b": np.zeros((1, 32, 33))})


def test_what_is_no_image_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"stimuli\['a'\]: expected an image with 1 or 3"):
        gabor_features({"a": np.zeros((2, 32, 32))})
