"""Shape metrics."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes

from neuroalign import schema
from neuroalign.errors import AlignError, SchemaError
from neuroalign.similarity.correlations import canonical_correlations
from neuroalign.similarity.procrustes import (
    align_shape,
    pair_angle,
    pair_permuted,
    pair_shape,
    pairwise_shape_distances,
    prepare_permuted,
    prepare_shape,
    shape_distance,
)

seeds = st.integers(0, 2**31)
alphas = st.sampled_from([0.0, 0.3, 1.0])
metrics = st.sampled_from(["angular", "euclidean"])
groups = st.sampled_from(["orthogonal", "permutation"])


def rotation(rng: np.random.Generator, p: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(p, p)))[0]


MOVES = {"orthogonal": rotation, "permutation": lambda rng, p: np.eye(p)[rng.permutation(p)]}


def test_the_similarity_is_that_of_scipy(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(2, 30, 4))
    disparity = procrustes(X, Y)[2]
    similarity = pair_shape(prepare_shape(X), prepare_shape(Y))
    assert 1 - similarity**2 == pytest.approx(disparity, abs=1e-12)
    assert np.cos(shape_distance(X, Y)) == pytest.approx(similarity)
    assert pair_angle(prepare_shape(X), prepare_shape(Y)) == pytest.approx(shape_distance(X, Y))


def test_the_alignment_is_that_of_scipy(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(2, 30, 4))
    found = align_shape(X, Y)
    expected, overlap = orthogonal_procrustes(X - X.mean(0), Y - Y.mean(0))
    np.testing.assert_allclose(found.transform, expected, atol=1e-10)
    assert found.distance == pytest.approx(shape_distance(X, Y, metric="euclidean"))
    sizes = ((X - X.mean(0)) ** 2).sum() + ((Y - Y.mean(0)) ** 2).sum()
    assert found.distance**2 == pytest.approx(sizes - 2 * overlap)


@given(seed=seeds, alpha=alphas, metric=metrics, group=groups)
@settings(max_examples=30, deadline=None)
def test_it_is_a_metric_on_shapes(seed: int, alpha: float, metric: str, group: str) -> None:
    rng = np.random.default_rng(seed)
    X, Y, Z = rng.normal(size=(3, 12, 4)) * rng.uniform(0.5, 2, size=(3, 1, 1))
    options = {"metric": metric, "group": group, "alpha": alpha}
    xy, yz, xz = (shape_distance(*pair, **options) for pair in ((X, Y), (Y, Z), (X, Z)))
    assert xz <= xy + yz + 1e-9
    assert shape_distance(Y, X, **options) == pytest.approx(xy, abs=1e-7)
    assert xy > 1e-3
    moved = X @ MOVES[group](rng, 4) + rng.normal(size=4)
    assert shape_distance(X, moved, **options) < 1e-6
    assert shape_distance(moved, Y, **options) == pytest.approx(xy, abs=1e-6)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_without_scale_or_axes_alpha_zero_is_cca(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(2, 20, 3))
    mixed = X @ (rng.normal(size=(3, 3)) + 4 * np.eye(3))
    expected = np.arccos(canonical_correlations(X, Y).correlations.mean())
    assert shape_distance(X, Y, alpha=0) == pytest.approx(expected, abs=1e-8)
    assert shape_distance(mixed, Y, alpha=0) == pytest.approx(expected, abs=1e-7)


def test_partial_whitening_is_that_of_the_paper_at_its_scale(rng: np.random.Generator) -> None:
    X, Y = (scaled(rng.normal(size=(25, 4)) * [3, 2, 1, 0.5]) for _ in range(2))
    values, vectors = zip(*(np.linalg.eigh(side.T @ side) for side in (X, Y)), strict=True)
    X2, Y2 = (
        side @ (v * (0.4 + 0.6 / np.sqrt(w))) @ v.T
        for side, w, v in zip((X, Y), values, vectors, strict=True)
    )
    expected = shape_distance(X2, Y2, alpha=1.0)
    assert shape_distance(X, Y, alpha=0.4) == pytest.approx(expected, abs=1e-9)
    assert shape_distance(50 * X, Y, alpha=0.4) == pytest.approx(expected, abs=1e-9)


def scaled(X: np.ndarray) -> np.ndarray:
    """Centre, and bring the weighted mean eigenvalue to 1."""
    X = X - X.mean(0)
    values = np.linalg.eigvalsh(X.T @ X)
    return X / np.sqrt((values**2).sum() / values.sum())


def test_permutations_are_the_best_of_all(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(2, 10, 4))
    X, Y = X - X.mean(0), Y - Y.mean(0)
    best = min(float(np.linalg.norm(X[:, list(order)] - Y)) for order in permutations(range(4)))
    found = shape_distance(X, Y, metric="euclidean", group="permutation")
    assert found == pytest.approx(best)
    assert align_shape(X, Y, group="permutation").distance == pytest.approx(best)


def test_a_planted_rotation_and_a_planted_order_come_back(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 6))
    Q, order = rotation(rng, 6), rng.permutation(6)
    np.testing.assert_allclose(align_shape(X, X @ Q + 1).transform, Q, atol=1e-10)
    found = align_shape(X, X[:, order] + 0.1 * rng.normal(size=(50, 6)), group="permutation")
    np.testing.assert_array_equal(found.transform.argmax(axis=0), order)
    np.testing.assert_allclose(found.values, (X - X.mean(0))[:, order])


def test_missing_units_are_zeros(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 5))
    padded = np.pad(X, [(0, 0), (0, 2)])
    for group in ("orthogonal", "permutation"):
        for alpha in (0.3, 1.0):
            wide = shape_distance(padded, Y, group=group, alpha=alpha)
            assert shape_distance(X, Y, group=group, alpha=alpha) == pytest.approx(wide)
    assert align_shape(X, Y).transform.shape == (3, 5)


def test_reducing_many_units_changes_no_distance(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(10, 40)), rng.normal(size=(10, 30))
    table = pairwise_shape_distances({"x": X, "y": Y})
    assert float(table[0, 1]) == pytest.approx(shape_distance(X, Y))
    assert prepare_shape(X).shape == (10, 10)
    assert pair_angle(prepare_shape(X), prepare_shape(Y)) == pytest.approx(shape_distance(X, Y))


@pytest.mark.parametrize("group", ["orthogonal", "permutation"])
def test_all_pairs_are_a_valid_rdm_with_the_triangle_inequality(
    group: str, rng: np.random.Generator
) -> None:
    shapes = {f"net-{p}": rng.normal(size=(15, p)) for p in (2, 3, 5, 8)}
    table = schema.check_rdm(pairwise_shape_distances(shapes, group=group, alpha=0.5))
    D = table.values
    assert (D[:, None] <= D[:, :, None] + D[None] + 1e-9).all()
    assert table["first"].values.tolist() == list(shapes)


def test_rows_of_permutations_agree_with_the_function(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(20, 3)).astype("float32"), rng.normal(size=(20, 5))
    found = pair_permuted(prepare_permuted(X), prepare_permuted(Y))
    assert found == pytest.approx(shape_distance(X, Y, group="permutation"))


def test_a_constant_representation_has_no_angle(rng: np.random.Generator) -> None:
    X, Y = np.ones((5, 2)), rng.normal(size=(5, 2))
    assert np.isnan(shape_distance(X, Y))
    assert np.isnan(pair_shape(prepare_shape(X), prepare_shape(Y)))
    assert shape_distance(X, Y, metric="euclidean", alpha=0) > 0


def test_bad_arguments_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"alpha: expected 0 \(CCA-like\) to 1.*got 2"):
        shape_distance(X, X, alpha=2)
    with pytest.raises(ValueError, match="metric: expected one of 'angular', 'euclidean'"):
        shape_distance(X, X, metric="cosine")
    with pytest.raises(ValueError, match="group: expected one of 'orthogonal', 'permutation'"):
        align_shape(X, X, group="perm")
    with pytest.raises(SchemaError, match="representations: expected 2 or more, got 1"):
        pairwise_shape_distances({"a": X})
    with pytest.raises(AlignError, match="representations: 'b' against 'a': Y: expected 5 samples"):
        pairwise_shape_distances({"a": X, "b": X[:4]})


def test_haxby_halves_have_the_same_shape(haxby_halves: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = haxby_halves
    rng = np.random.default_rng(0)
    null = [shape_distance(X, Y[rng.permutation(len(Y))]) for _ in range(20)]
    assert shape_distance(X, Y) < min(null) - 0.02
