"""Stochastic shape metrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.similarity.bures import bures_distance
from neuroalign.similarity.procrustes import shape_distance
from neuroalign.similarity.stochastic_shapes import (
    Conditionals,
    energy_shape_distance,
    estimate_conditionals,
    stochastic_shape_distance,
)

seeds = st.integers(0, 2**31)


def rotation(rng: np.random.Generator, p: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(p, p)))[0]


def gaussians(rng: np.random.Generator, n: int = 8, p: int = 3) -> Conditionals:
    factors = rng.normal(size=(n, p, p))
    means = 2 * rng.normal(size=(n, p))
    return Conditionals(means, factors @ np.swapaxes(factors, 1, 2), np.arange(n).astype(str))


def move(side: Conditionals, Q: np.ndarray) -> Conditionals:
    return Conditionals(side.means @ Q, Q.T @ side.covariances @ Q, side.stimuli)


def test_two_units_agree_with_a_search_over_all_rotations(rng: np.random.Generator) -> None:
    X, Y = gaussians(rng, p=2), gaussians(rng, p=2)
    best = np.inf
    M, N = (side.means - side.means.mean(0) for side in (X, Y))
    for angle in np.linspace(0, 2 * np.pi, 721):
        c, s = np.cos(angle), np.sin(angle)
        for flip in (1, -1):
            Q = np.array([[c, s * flip], [-s, c * flip]])
            moved = move(Y, Q)
            gap = ((M - N @ Q) ** 2).sum(1) + bures_distance(X.covariances, moved.covariances) ** 2
            best = min(best, float(np.sqrt(gap.mean())))
    found = stochastic_shape_distance(X, Y, n_starts=6)
    assert found.converged
    assert found.distance == pytest.approx(best, rel=1e-4)


def test_means_alone_give_the_procrustes_distance(rng: np.random.Generator) -> None:
    X, Y = gaussians(rng), gaussians(rng)
    expected = shape_distance(X.means, Y.means, metric="euclidean") * np.sqrt(2 / 8)
    assert stochastic_shape_distance(X, Y, alpha=2).distance == pytest.approx(expected)


@given(seed=seeds, alpha=st.sampled_from([0.5, 1.0, 1.5]))
@settings(max_examples=10, deadline=None)
def test_rotated_units_are_the_same_shape(seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    X, Q = gaussians(rng), rotation(rng, 3)
    found = stochastic_shape_distance(X, move(X, Q), alpha=alpha)
    assert found.distance < 1e-5
    np.testing.assert_allclose(found.transform, Q.T, atol=1e-4)
    assert stochastic_shape_distance(X, gaussians(rng), alpha=alpha).distance > 0.1


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_distances_obey_the_triangle_inequality(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y, Z = (gaussians(rng, 5, 2) for _ in range(3))
    xy, yz, xz, yx = (
        stochastic_shape_distance(*pair, n_starts=8).distance
        for pair in ((X, Y), (Y, Z), (X, Z), (Y, X))
    )
    assert xz <= xy + yz + 1e-6
    assert yx == pytest.approx(xy, rel=1e-3)


@pytest.mark.parametrize("measure", ["gaussian", "energy"])
def test_equal_means_with_different_noise_are_told_apart(
    measure: str, rng: np.random.Generator
) -> None:
    means = 3 * rng.normal(size=(10, 1, 3))
    draws = rng.normal(size=(3, 10, 30, 3))
    draws -= draws.mean(axis=2, keepdims=True)
    same, again, other = means + draws[0], means + draws[1], means + draws[2] * [3, 0.2, 0.2]
    if measure == "energy":
        near, far = (energy_shape_distance(same, side).distance for side in (again, other))
    else:
        first, second, third = map(estimate_conditionals, (same, again, other))
        near, far = (stochastic_shape_distance(first, side).distance for side in (second, third))
    assert shape_distance(same.mean(1), other.mean(1)) < 1e-6
    assert far > 2 * near


def test_a_planted_order_of_units_comes_back(rng: np.random.Generator) -> None:
    X, order = gaussians(rng, p=5), rng.permutation(5)
    found = stochastic_shape_distance(X, move(X, np.eye(5)[:, order]), group="permutation")
    assert found.distance < 1e-5
    np.testing.assert_allclose(found.transform, np.eye(5)[:, order].T)


def test_the_energy_distance_is_that_of_all_pairs_and_blind_to_rotation(
    rng: np.random.Generator,
) -> None:
    X = 2 * rng.normal(size=(6, 1, 3)) + rng.normal(size=(6, 7, 3))
    assert energy_shape_distance(X, X @ rotation(rng, 3)).distance < 1e-3
    Y = 2 * rng.normal(size=(6, 1, 3)) + rng.normal(size=(6, 5, 3))
    found = energy_shape_distance(X, Y)
    A, B = X - X.mean((0, 1)), (Y - Y.mean((0, 1))) @ found.transform
    mean = [
        np.mean([np.linalg.norm(a - b) for a in s for b in t]) for s, t in zip(A, B, strict=True)
    ]
    within = [
        np.mean([np.linalg.norm(a - b) for a in s for b in s]) for side in (A, B) for s in side
    ]
    expected = np.sqrt(2 * np.mean(mean) - 2 * np.mean(within))
    assert found.distance == pytest.approx(expected)
    direct = energy_shape_distance(X, Y, n_starts=10, seed=3).distance
    assert found.distance == pytest.approx(direct, rel=1e-3)


def test_conditionals_are_the_moments_of_the_repeats(rng: np.random.Generator) -> None:
    table = rng.normal(size=(4, 6, 3))
    found = estimate_conditionals(table)
    np.testing.assert_allclose(found.means, table.mean(1))
    np.testing.assert_allclose(found.covariances[2], np.cov(table[2].T))
    pooled = estimate_conditionals(table, shrinkage=1.0).covariances
    np.testing.assert_allclose(pooled[0], found.covariances.mean(0))


def test_labelled_repeats_are_sorted_by_stimulus(rng: np.random.Generator) -> None:
    table = rng.normal(size=(3, 4, 2))
    rows = table.transpose(1, 0, 2).reshape(12, 2)
    data = from_arrays(rows, modality="fmri", stimulus=list("cab") * 4, dtype="float64")
    found = estimate_conditionals(data)
    assert found.stimuli.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(found.means, table.mean(1)[[1, 2, 0]])


def test_smaller_sides_are_padded(rng: np.random.Generator) -> None:
    X, Y = gaussians(rng, p=2), gaussians(rng, p=4)
    found = stochastic_shape_distance(X, Y, n_starts=8)
    assert found.transform.shape == (4, 4)
    back = stochastic_shape_distance(Y, X, n_starts=8).distance
    assert found.distance == pytest.approx(back, rel=1e-2)
    narrow, wide = rng.normal(size=(5, 4, 2)), rng.normal(size=(5, 3, 4))
    assert energy_shape_distance(narrow, wide).transform.shape == (4, 4)


def test_bad_arguments_are_named(rng: np.random.Generator) -> None:
    X = gaussians(rng)
    with pytest.raises(ValueError, match=r"alpha: expected 0 \(noise\) to 2 \(means\), got 3"):
        stochastic_shape_distance(X, X, alpha=3)
    with pytest.raises(ValueError, match="n_starts: expected 1 or more, got 0"):
        stochastic_shape_distance(X, X, n_starts=0)
    with pytest.raises(ValueError, match="shrinkage: expected a share from 0 to 1, got -1"):
        estimate_conditionals(np.ones((2, 2, 2)), shrinkage=-1)
    with pytest.raises(AlignError, match="Y: expected the 8 stimuli of X, got 8"):
        stochastic_shape_distance(X, X._replace(stimuli=X.stimuli[::-1]))
    with pytest.raises(SchemaError, match=r"X.covariances: expected finite \(8, 3, 3\)"):
        stochastic_shape_distance(X._replace(covariances=X.covariances[:, :2]), X)
    with pytest.raises(SchemaError, match=r"responses: expected finite \(stimulus, repeat, unit\)"):
        estimate_conditionals(np.ones((4, 1, 2)))


def test_repeats_must_be_named_and_come_equally_often(rng: np.random.Generator) -> None:
    bare = from_arrays(rng.normal(size=(4, 2)), modality="fmri", stimulus=list("aabc"))
    with pytest.raises(SchemaError, match="expected every stimulus equally often, got 1 to 2"):
        estimate_conditionals(bare)
    with pytest.raises(SchemaError, match=r"expected responses \(sample, neuroid\) with coord"):
        estimate_conditionals(bare.drop_vars("stimulus"))


def test_haxby_halves_have_nearer_clouds_than_with_categories_exchanged(
    haxby_halves: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    blocks = [half.reshape(6, 8, -1) for half in haxby_halves]
    scaled = [half - half.mean(axis=1, keepdims=True) for half in blocks]
    rows = np.concatenate([(half / half.std(axis=(0, 1))).reshape(48, -1) for half in scaled])
    left, lengths, _ = np.linalg.svd(rows, full_matrices=False)
    table = (left[:, :5] * lengths[:5]).reshape(2, 6, 8, 5).transpose(0, 2, 1, 3)
    X, Y = map(estimate_conditionals, table)
    null = []
    for _ in range(20):
        order = rng.permutation(8)
        moved = Conditionals(Y.means[order], Y.covariances[order], Y.stimuli)
        null.append(stochastic_shape_distance(X, moved).distance)
    assert np.mean(np.array(null) > stochastic_shape_distance(X, Y).distance) >= 0.9
