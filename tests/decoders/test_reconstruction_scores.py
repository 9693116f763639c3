"""Scores of images: formulas, peers, the legacy mode by hand, and faults."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from neuroalign.decoders import (
    identify_pairs,
    score_pixels,
    score_reconstructions,
    score_structure,
)
from neuroalign.errors import AlignError, SchemaError
from neuroalign.schema import check

C1, C2 = 0.01**2, 0.03**2


def make_images(rng: np.random.Generator, shape: tuple[int, ...] = (4, 20, 24)) -> np.ndarray:
    smooth = gaussian_filter(rng.normal(size=shape), (0, 2, 2, 0)[: len(shape)])
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def ssim_by_hand(x: np.ndarray, y: np.ndarray, blur: object, crop: tuple[slice, ...]) -> float:
    """Wang et al. (2004), eq. 13, with windows that lie inside the image."""
    mx, my = blur(x), blur(y)  # type: ignore[operator]
    vx, vy = blur(x * x) - mx**2, blur(y * y) - my**2  # type: ignore[operator]
    cxy = blur(x * y) - mx * my  # type: ignore[operator]
    top = (2 * mx * my + C1) * (2 * cxy + C2)
    return float((top / ((mx**2 + my**2 + C1) * (vx + vy + C2)))[crop].mean())


def test_pixel_correlation_is_that_of_numpy(rng: np.random.Generator) -> None:
    shown, made = make_images(rng, (4, 20, 24, 3)), make_images(rng, (4, 20, 24, 3))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(shown, made, strict=True)]
    np.testing.assert_allclose(score_pixels(shown, made), expected, atol=1e-12)


def test_structure_equals_its_formula_in_two_dims(rng: np.random.Generator) -> None:
    shown, made = make_images(rng), make_images(rng)
    got = score_structure(shown, made)
    inside = (slice(5, -5), slice(5, -5))

    def blur(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, 1.5, truncate=3.5)

    expected = [ssim_by_hand(a, b, blur, inside) for a, b in zip(shown, made, strict=True)]
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_the_legacy_mode_compares_columns_one_by_one(rng: np.random.Generator) -> None:
    shown, made = make_images(rng), make_images(rng)

    def blur(column: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(column, 1.5, truncate=3.5)

    expected = [
        np.mean([ssim_by_hand(a[:, c], b[:, c], blur, (slice(5, -5),)) for c in range(24)])
        for a, b in zip(shown, made, strict=True)
    ]
    got = score_structure(shown, made, mode="legacy_multichannel")
    np.testing.assert_allclose(got, expected, atol=1e-10)
    assert np.abs(got - score_structure(shown, made)).max() > 0.01


def test_colours_are_channels_or_made_grey(rng: np.random.Generator) -> None:
    shown, made = make_images(rng, (2, 20, 24, 3)), make_images(rng, (2, 20, 24, 3))
    each = [score_structure(shown[..., c], made[..., c]) for c in range(3)]
    np.testing.assert_allclose(score_structure(shown, made, mode="color"), np.mean(each, axis=0))
    grey = [part @ [0.2125, 0.7154, 0.0721] for part in (shown, made)]
    np.testing.assert_allclose(score_structure(shown, made), score_structure(*grey), atol=1e-12)
    single = score_structure(grey[0][..., None], grey[1][..., None])
    np.testing.assert_allclose(single, score_structure(*grey))


def test_bytes_and_other_sizes_are_taken(rng: np.random.Generator) -> None:
    shown = (255 * make_images(rng)).astype(np.uint8)
    np.testing.assert_allclose(score_pixels(shown, shown, size=50), 1.0)
    np.testing.assert_allclose(score_structure(shown, shown, size=50), 1.0)
    np.testing.assert_allclose(score_pixels(shown, shown / 255), 1.0)


def test_an_image_of_one_colour_has_no_correlation(rng: np.random.Generator) -> None:
    shown = make_images(rng)
    made = shown.copy()
    made[1] = 0.5
    got = score_pixels(shown, made)
    assert np.isnan(got).tolist() == [False, True, False, False]
    assert np.isfinite(score_reconstructions(shown, made)["score"]).all()


def test_two_way_identification_equals_a_loop(rng: np.random.Generator) -> None:
    true = rng.normal(size=(15, 4, 5))
    made = true + 3 * rng.normal(size=true.shape)
    flat, other = true.reshape(15, -1), made.reshape(15, -1)
    expected = []
    for i in range(15):
        r = [np.corrcoef(other[i], flat[j])[0, 1] for j in range(15)]
        expected.append(np.mean([r[j] < r[i] for j in range(15) if j != i]))
    np.testing.assert_allclose(identify_pairs(true, made), expected)
    noise = identify_pairs(rng.normal(size=(400, 30)), rng.normal(size=(400, 30)))
    assert abs(noise.mean() - 0.5) < 0.05


def test_the_report_holds_scores_controls_and_intervals(rng: np.random.Generator) -> None:
    shown = xr.DataArray(
        make_images(rng, (30, 16, 16)), dims=("sample", "row", "column"),
        coords={"stimulus": ("sample", [f"image-{i}" for i in range(30)])},
    )  # fmt: skip
    made = (0.7 * shown + 0.3 * shown.values[::-1]).clip(0, 1)
    found = check(score_reconstructions(shown, made, features={"rows": lambda x: x.mean(axis=2)}))
    assert found["measure"].values.tolist() == ["PixCorr", "SSIM", "two-way rows"]
    assert (found["lower"] < found["score"]).all()
    assert (found["score"] < found["upper"]).all()
    assert (found["score"] > found["shuffled"] + 0.1).all()
    assert found["score_image"]["stimulus"].values[3] == "image-3"
    assert "over 30 images" in found.attrs["verdict"]


def test_faults_are_named(rng: np.random.Generator) -> None:
    shown = make_images(rng)
    with pytest.raises(SchemaError, match=r"true: expected images .* got \(4, 3, 20, 20\)"):
        score_pixels(np.zeros((4, 3, 20, 20)), np.zeros((4, 3, 20, 20)))
    with pytest.raises(ValueError, match="reconstructed: expected uint8, or numbers from 0 to 1"):
        score_pixels(shown, 255 * shown)
    with pytest.raises(ValueError, match="true: expected uint8, or numbers .* got nan"):
        score_pixels(np.full_like(shown, np.nan), shown)
    with pytest.raises(SchemaError, match="reconstructed: expected images of shape"):
        score_pixels(shown, shown[:, :10])
    with pytest.raises(SchemaError, match="true: expected at least 11 rows"):
        score_structure(shown[:, :8], shown[:, :8])
    with pytest.raises(ValueError, match="mode: expected one of '2d'"):
        score_structure(shown, shown, mode="3d")
    with pytest.raises(SchemaError, match="channel.* for mode 'color'"):
        score_structure(shown, shown, mode="color")
    with pytest.raises(SchemaError, match="reconstructed: expected features"):
        identify_pairs(shown, shown[:3])
    with pytest.raises(ValueError, match="true: expected finite features"):
        identify_pairs(np.full((3, 4), np.nan), np.ones((3, 4)))
    named = xr.DataArray(shown, dims=("sample", "row", "column"),
                         coords={"stimulus": ("sample", [*"abcd"])})  # fmt: skip
    with pytest.raises(AlignError, match="reconstructed: expected the 'stimulus' of true"):
        score_pixels(named, named[::-1])
