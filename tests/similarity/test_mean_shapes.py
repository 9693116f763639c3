"""Mean shapes."""

import numpy as np
import pytest

from neuroalign.errors import SchemaError
from neuroalign.similarity.mean_shapes import average_shapes
from neuroalign.similarity.procrustes import shape_distance


def rotated(rng: np.random.Generator, X: np.ndarray, noise: float, n: int = 6) -> dict:
    turned = (X @ np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(n))
    return {f"{i}": one + noise * rng.normal(size=one.shape) for i, one in enumerate(turned)}


@pytest.mark.parametrize("metric", ["angular", "euclidean"])
def test_the_mean_of_noisy_rotations_is_nearer_to_the_truth_than_any(
    metric: str, rng: np.random.Generator
) -> None:
    X = rng.normal(size=(30, 4))
    shapes = rotated(rng, X, 0.5)
    found = average_shapes(shapes, metric=metric)
    error = shape_distance(found.values, X)
    assert found.converged
    assert error < 0.6 * min(shape_distance(shape, X) for shape in shapes.values())


@pytest.mark.parametrize("metric", ["angular", "euclidean"])
@pytest.mark.parametrize("group", ["orthogonal", "permutation"])
def test_no_step_away_from_the_mean_lowers_the_squared_distances(
    metric: str, group: str, rng: np.random.Generator
) -> None:
    shapes = rotated(rng, rng.normal(size=(12, 4)), 0.3, 4)
    found = average_shapes(shapes, metric=metric, group=group, tolerance=1e-10)
    options = {"metric": metric, "group": group}
    least = sum(shape_distance(found.values, shape, **options) ** 2 for shape in shapes.values())
    assert (found.distances**2).sum() == pytest.approx(least)
    for _ in range(10):
        step = 0.02 * rng.normal(size=found.values.shape) * found.values.std()
        moved = found.values + step - step.mean(0)
        total = sum(shape_distance(moved, shape, **options) ** 2 for shape in shapes.values())
        assert total > least


def test_two_shapes_meet_halfway_on_the_sphere(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(2, 20, 3))
    found = average_shapes({"x": X, "y": Y}, metric="angular")
    np.testing.assert_allclose(found.distances, shape_distance(X, Y) / 2, rtol=1e-4)
    assert np.linalg.norm(found.values) == pytest.approx(1)


def test_more_units_than_samples_are_rotated_away(rng: np.random.Generator) -> None:
    wide = {name: rng.normal(size=(8, 20)) for name in "abc"}
    found = average_shapes(wide)
    assert found.values.shape == (8, 8)
    assert found.aligned.shape == (3, 8, 8)
    assert average_shapes(wide, group="permutation").values.shape == (8, 20)


def test_ending_early_is_said(rng: np.random.Generator) -> None:
    found = average_shapes(
        dict(zip("abc", rng.normal(size=(3, 9, 3)), strict=True)), n_iterations=1
    )
    assert found.n_iterations == 1
    assert not found.converged


def test_bad_arguments_are_named(rng: np.random.Generator) -> None:
    shapes = {"a": rng.normal(size=(5, 2)), "b": np.ones((5, 2))}
    with pytest.raises(SchemaError, match="representations: expected units that vary"):
        average_shapes(shapes, metric="angular")
    with pytest.raises(ValueError, match="n_iterations: expected 1 or more, got 0"):
        average_shapes(shapes, n_iterations=0)
