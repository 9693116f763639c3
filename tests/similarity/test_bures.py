"""Bures distance and similarity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from neuroalign.errors import SchemaError
from neuroalign.similarity.bures import bures_distance, bures_similarity
from neuroalign.similarity.procrustes import pair_shape, prepare_shape, shape_distance

seeds = st.integers(0, 2**31)


def covariance(rng: np.random.Generator, p: int = 4, n: int = 10) -> np.ndarray:
    factor = rng.normal(size=(n, p))
    return factor.T @ factor / n


def test_it_is_the_formula_with_matrix_roots(rng: np.random.Generator) -> None:
    A, B = covariance(rng), covariance(rng)
    root = sqrtm(A)
    fidelity = np.trace(sqrtm(root @ B @ root)).real
    expected = np.sqrt(np.trace(A) + np.trace(B) - 2 * fidelity)
    assert float(bures_distance(A, B)) == pytest.approx(expected, abs=1e-9)
    normalised = fidelity / np.sqrt(np.trace(A) * np.trace(B))
    assert float(bures_similarity(A, B)) == pytest.approx(normalised, abs=1e-10)


def test_commuting_covariances_compare_by_their_standard_deviations() -> None:
    a, b = np.array([4.0, 9.0, 0.0]), np.array([1.0, 1.0, 1.0])
    expected = np.linalg.norm(np.sqrt(a) - np.sqrt(b))
    assert float(bures_distance(np.diag(a), np.diag(b))) == pytest.approx(expected)


def test_of_gram_matrices_it_is_the_procrustes_distance(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(12, 5)), rng.normal(size=(12, 3))
    K, L = (side @ side.T for side in (X - X.mean(0), Y - Y.mean(0)))
    expected = shape_distance(X, Y, metric="euclidean")
    assert float(bures_distance(K, L)) == pytest.approx(expected, abs=1e-6)
    row = pair_shape(prepare_shape(X), prepare_shape(Y))
    assert float(bures_similarity(K, L)) == pytest.approx(row, abs=1e-7)


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_it_is_a_metric_blind_to_a_common_rotation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, B, C = (covariance(rng) for _ in range(3))
    Q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    ab, bc, ac = (float(bures_distance(*pair)) for pair in ((A, B), (B, C), (A, C)))
    assert ac <= ab + bc + 1e-9
    assert float(bures_distance(B, A)) == pytest.approx(ab, abs=1e-7)
    assert float(bures_distance(A, A)) < 1e-6
    assert float(bures_distance(Q.T @ A @ Q, Q.T @ B @ Q)) == pytest.approx(ab, abs=1e-7)
    assert float(bures_similarity(3 * A, B)) == pytest.approx(float(bures_similarity(A, B)))


def test_stacks_are_compared_one_by_one(rng: np.random.Generator) -> None:
    A, B = (np.stack([covariance(rng) for _ in range(3)]) for _ in range(2))
    one_by_one = [float(bures_distance(a, b)) for a, b in zip(A, B, strict=True)]
    np.testing.assert_allclose(bures_distance(A, B), one_by_one)


def test_nothing_has_no_similarity() -> None:
    assert np.isnan(bures_similarity(np.zeros((2, 2)), np.eye(2)))
    assert float(bures_distance(np.zeros((2, 2)), np.eye(2))) == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"A: expected square matrices .* got shape \(2, 3\)"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "A: expected finite symmetric matrices"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "A: expected no negative eigenvalues, got -1"),
        (np.full((2, 2), np.nan), "A: expected finite symmetric matrices"),
        (np.eye(3), "B: expected 3 units as A, got 2"),
    ],
)
def test_what_is_no_covariance_is_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        bures_distance(matrix, np.eye(2))
