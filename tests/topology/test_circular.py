"""Angles that were planted come back, up to rotation and reflection; scores obey their formulas."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data as images
from skimage.transform import downscale_local_mean

from neuroalign import storage
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import compute_rdm
from neuroalign.topology import (
    circular_correlation,
    compute_persistence,
    draw_surrogate,
    find_circular_coordinates,
    keep_dense,
    score_angles,
    summarize_diagrams,
)

Array = np.ndarray[Any, Any]


def plant_ring(rng: np.random.Generator, n: int = 200) -> tuple[Array, Array]:
    angle = rng.uniform(0, 2 * np.pi, n)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    return ring + 0.1 * rng.normal(size=(n, 2)), angle


def plant_head_directions(rng: np.random.Generator) -> tuple[Array, Array]:
    """Counts of 40 cells with bumps of tuning around their preferred direction."""
    angle, preferred = rng.uniform(0, 2 * np.pi, 400), rng.uniform(0, 2 * np.pi, 40)
    rates = 20 * np.exp(3 * (np.cos(angle[:, None] - preferred) - 1))
    return np.sqrt(rng.poisson(rates)), angle


def correlate(angle: Any, truth: Array) -> float:
    return float(score_angles(angle, truth)["correlation"])


@pytest.mark.parametrize("plant", [plant_ring, plant_head_directions])
@pytest.mark.parametrize("landmarks", [None, 100])
def test_a_ring_gives_its_angle(rng: np.random.Generator, plant: Any, landmarks: int) -> None:
    points, truth = plant(rng)
    result = find_circular_coordinates(points, landmarks=landmarks)
    assert correlate(result["angle"].isel(coordinate=0), truth) > 0.95
    length = (result["death"] - result["birth"]).item()
    assert length > 3 * result["next_length"].item()


def test_density_weights_even_out_uneven_sampling(rng: np.random.Generator) -> None:
    truth = rng.vonmises(0, 0.7, 300)
    points = np.column_stack([np.cos(truth), np.sin(truth)]) + 0.1 * rng.normal(size=(300, 2))
    found = [
        correlate(find_circular_coordinates(points, weights=name)["angle"].values[:, 0], truth)
        for name in ("uniform", "density")
    ]
    assert found[1] > 0.95
    assert found[1] > found[0] + 0.05


def test_an_rdm_gives_the_angle_of_its_points(rng: np.random.Generator) -> None:
    points, truth = plant_ring(rng, 60)
    names = [f"s{i:02d}" for i in range(60)]
    data = from_arrays(points, stimulus=names, modality="model", dtype="float64")
    from_points = find_circular_coordinates(data)["angle"]
    rdm = compute_rdm(data, distance="squared_euclidean")
    from_rdm = find_circular_coordinates(rdm)["angle"]
    assert from_points["stimulus"].values.tolist() == names
    assert abs(circular_correlation(from_points[:, 0], from_rdm[:, 0])) > 1 - 1e-4
    assert correlate(from_rdm[:, 0], truth) > 0.95


def test_a_torus_gives_two_independent_angles(rng: np.random.Generator) -> None:
    first, second = rng.uniform(0, 2 * np.pi, (2, 600))
    # The loops of this torus are mixed: the second circle holds the sum of both angles.
    waves = [f(x) for x in (first, first + second) for f in (np.cos, np.sin)]
    points = np.column_stack(waves) + 0.05 * rng.normal(size=(600, 4))
    angles = find_circular_coordinates(points, n_coordinates=2, landmarks=200)["angle"].values
    found = [[correlate(angles[:, k], x) for k in (0, 1)] for x in (first, first + second)]
    assert np.max(found, axis=1).min() > 0.95
    assert abs(circular_correlation(*angles.T)) < 0.05


def test_survives_storage(rng: np.random.Generator, tmp_path: Path) -> None:
    result = find_circular_coordinates(plant_ring(rng, 60)[0], landmarks=40)
    storage.save(result, tmp_path / "angles.nc")
    assert storage.load(tmp_path / "angles.nc").identical(result)
    assert ((result["angle"] >= 0) & (result["angle"] < 2 * np.pi)).all()


def test_correlation_equals_its_sum_over_pairs(rng: np.random.Generator) -> None:
    a, b = rng.uniform(0, 7, (2, 30))
    sines = [np.sin(x[:, None] - x) for x in (a, b)]
    expected = (sines[0] * sines[1]).sum() / np.sqrt((sines[0] ** 2).sum() * (sines[1] ** 2).sum())
    assert circular_correlation(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_ignore_rotation_and_reflection(rng: np.random.Generator, sign: int) -> None:
    truth = rng.uniform(0, 2 * np.pi, 100)
    score = score_angles(sign * truth + 1.3, truth)
    assert float(score["correlation"]) == pytest.approx(1)
    assert float(score["resultant"]) == pytest.approx(1)
    assert float(score["median_error"]) < 1e-9
    assert int(score["reflected"]) == int(sign == -1)
    assert np.cos(float(score["rotation"]) + sign * 1.3) == pytest.approx(1)


def test_unrelated_angles_score_near_zero(rng: np.random.Generator) -> None:
    a, b = rng.uniform(0, 2 * np.pi, (2, 2000))
    score = score_angles(a, b)
    assert float(score["correlation"]) < 0.05
    assert float(score["median_error"]) == pytest.approx(np.pi / 2, abs=0.15)
    assert np.isnan(circular_correlation(np.zeros(5), b[:5]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prime": 2}, r"expected an odd prime, .* got 2, 1 and 0.5"),
        ({"prime": 9}, "prime: expected a prime, got 9"),
        ({"position": 1.0}, r"a share in \(0, 1\), got 47, 1 and 1.0"),
        ({"weights": "flat"}, "weights: expected one of 'uniform', 'density'"),
        ({"n_coordinates": 99}, "n_coordinates: expected as many loops .* got 99 and"),
    ],
)
def test_bad_options_are_named(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_circular_coordinates(plant_ring(rng, 40)[0], **options)


def test_loops_that_never_meet_are_named(rng: np.random.Generator) -> None:
    small, large = plant_ring(rng, 60)[0], plant_ring(rng, 60)[0]
    both = np.concatenate([0.01 * small, 10 + large])
    with pytest.raises(ValueError, match="n_coordinates: expected loops that live at the same"):
        find_circular_coordinates(both, n_coordinates=2)


def test_angles_of_other_length_are_named() -> None:
    with pytest.raises(
        SchemaError, match=r"angles: expected two of shape .* got \(3,\) and \(4,\)"
    ):
        score_angles(np.zeros(3), np.zeros(4))


def cut_patches(rng: np.random.Generator) -> Array:
    """High-contrast 3 x 3 patches of log intensity, of unit contrast, as Lee & Mumford cut them."""
    patches = []
    for name in ("camera", "astronaut", "coffee", "chelsea", "rocket"):
        picture = np.asarray(getattr(images, name)(), dtype=float)
        gray = picture if picture.ndim == 2 else picture @ [0.2989, 0.587, 0.114]
        # Averages of 2 x 2 pixels are finer than the 8 bits, whose steps clump patches.
        small = np.log1p(downscale_local_mean(gray, (2, 2)))
        windows = np.lib.stride_tricks.sliding_window_view(small, (3, 3)).reshape(-1, 9)
        patches.append(rng.choice(windows, 5000, replace=False))
    cut = np.concatenate(patches)
    cut -= cut.mean(axis=1, keepdims=True)
    grid = cut.reshape(-1, 3, 3)
    steps = [(np.diff(grid, axis=k) ** 2).sum(axis=(1, 2)) for k in (1, 2)]
    contrast = np.sqrt(steps[0] + steps[1])
    high = np.argsort(contrast)[-len(cut) // 5 :]
    return cut[high] / contrast[high, None]


@pytest.mark.slow
def test_natural_image_patches_lie_on_the_primary_circle() -> None:
    """The densest fifth by neighbour 100, of 5,000 patches: settings that were searched for.

    Draws of patches differ, and so do choices of landmarks: of 6 draws 5 have a median ratio (over
    5 choices) of 1.7 or more, from 1.2 to 3.1. With neighbour 50 they are 3, with the densest 30 %
    they are 4. Spheres stay at 1.2 or below throughout.
    """
    ratios = []
    for seed in range(5):
        patches = cut_patches(np.random.default_rng(seed))
        for points in (patches, draw_surrogate(patches, "sphere", seed=seed)):
            core = keep_dense(points, n_neighbors=100, keep=0.2)
            tables = [
                summarize_diagrams(compute_persistence(core, landmarks=150, seed=k))
                for k in range(3)
            ]
            ratios.append(np.median([float(one["longest_bar_ratio"][1]) for one in tables]))
    found, null = np.reshape(ratios, (5, 2)).T
    assert np.median(found) >= 1.7
    assert null.max() <= 1.2
    assert (found > null).all()
