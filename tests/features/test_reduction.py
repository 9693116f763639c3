"""Random projection and principal components."""

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.random_projection import SparseRandomProjection

from neuroalign import schema
from neuroalign.errors import SchemaError
from neuroalign.features import PrincipalComponents, SparseProjection


def label(values: np.ndarray) -> xr.DataArray:
    names = [f"s{index}" for index in range(len(values))]
    return xr.DataArray(
        values.astype("float32"),
        dims=("sample", "feature"),
        coords={
            "stimulus": ("sample", names),
            "space": ("feature", ["gabor"] * values.shape[1]),
        },
        attrs={"kind": "features", "layer": "conv1"},
    )


@pytest.mark.parametrize(
    "transformer", [SparseProjection(3), SparseProjection(), PrincipalComponents(1)], ids=str
)
def test_they_are_scikit_learn_transformers(
    transformer: SparseProjection | PrincipalComponents, broken_checks: Callable[..., list[str]]
) -> None:
    assert broken_checks(transformer) == []


def test_the_matrix_depends_on_width_and_seed_only(rng: np.random.Generator) -> None:
    first, second = rng.standard_normal((2, 10, 300))
    one = SparseProjection(20, seed=1).fit(first).components_.toarray()
    np.testing.assert_array_equal(
        one, SparseProjection(20, seed=1).fit(second[:3]).components_.toarray()
    )
    assert (one != SparseProjection(20, seed=2).fit(first).components_.toarray()).any()


def test_the_projection_is_the_product_with_its_matrix(rng: np.random.Generator) -> None:
    values = rng.standard_normal((6, 200))
    projection = SparseProjection(15).fit(values)
    expected = values @ projection.components_.toarray().T
    np.testing.assert_allclose(projection.transform(values), expected, atol=1e-12)


def test_entries_have_the_moments_of_li_hastie_church() -> None:
    matrix = SparseProjection(400).fit(np.zeros((1, 2500))).components_
    np.testing.assert_allclose(np.unique(np.abs(matrix.data)), np.sqrt(50 / 400))
    np.testing.assert_allclose(matrix.nnz / 1e6, 1 / 50, rtol=0.03)
    assert abs(np.sign(matrix.data).mean()) < 0.03
    peer = SparseRandomProjection(400, random_state=0).fit(np.zeros((1, 2500))).components_
    np.testing.assert_allclose(abs(peer.data).max(), abs(matrix.data).max())


def test_distances_are_kept_within_eps(rng: np.random.Generator) -> None:
    values = rng.standard_normal((20, 5000))
    projected = SparseProjection(eps=0.2).fit_transform(values)
    assert projected.shape[1] < 5000
    upper = np.triu_indices(20, 1)
    ratio = pairwise_distances(projected)[upper] / pairwise_distances(values)[upper]
    assert (abs(ratio**2 - 1) < 0.2).all()


def test_narrow_features_are_given_back_as_they_are(rng: np.random.Generator) -> None:
    values = rng.standard_normal((4, 30))
    np.testing.assert_array_equal(SparseProjection().fit_transform(values), values)
    np.testing.assert_array_equal(SparseProjection(64).fit_transform(values), values)


def test_rows_are_projected_alike_in_any_batch(rng: np.random.Generator) -> None:
    values = rng.standard_normal((9, 400)).astype("float32")
    projection = SparseProjection(12).fit(values)
    parts = [projection.transform(part) for part in np.array_split(values, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), projection.transform(values))


@pytest.mark.parametrize("estimator", [SparseProjection(5), PrincipalComponents(5)])
def test_labels_of_samples_survive(estimator, rng: np.random.Generator) -> None:
    features = label(rng.standard_normal((12, 40)))
    reduced = estimator.fit_transform(features)
    assert reduced.dims == ("sample", "feature")
    assert reduced.shape == (12, 5)
    assert reduced.dtype == np.float32
    assert list(reduced.stimulus.values) == list(features.stimulus.values)
    assert type(estimator).__name__ in reduced.attrs["history"]
    schema.check(reduced)


@pytest.mark.parametrize("whiten", [False, True])
def test_components_equal_those_of_scikit_learn(whiten: bool, rng: np.random.Generator) -> None:
    train, test = rng.standard_normal((2, 30, 8))
    ours = PrincipalComponents(4, whiten=whiten).fit(train).transform(test)
    theirs = PCA(4, whiten=whiten).fit(train).transform(test)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_components_recover_a_planted_plane(rng: np.random.Generator) -> None:
    plane = np.linalg.qr(rng.standard_normal((20, 2)))[0]
    values = rng.standard_normal((200, 2)) @ plane.T * 5 + 0.01 * rng.standard_normal((200, 20))
    found = PrincipalComponents(2).fit(values).components_
    np.testing.assert_allclose(np.linalg.svd(found @ plane)[1], 1, atol=1e-4)


def test_tokens_are_refused() -> None:
    tokens = xr.DataArray(np.zeros((4, 3, 2)), dims=("sample", "token", "feature"))
    with pytest.raises(SchemaError, match=r"X: expected \(sample, feature\), got dims"):
        SparseProjection(2).fit(tokens)


@pytest.mark.parametrize("count", [0, -1, 2.5, "some", True])
def test_odd_numbers_of_components_are_refused(count) -> None:
    with pytest.raises(ValueError, match="n_components: expected 'auto' or a positive int"):
        SparseProjection(count).fit(np.zeros((2, 9)))


def test_more_components_than_data_are_refused() -> None:
    with pytest.raises(ValueError, match="n_components: expected 1 to 3 for 3 samples and 9"):
        PrincipalComponents(5).fit(np.zeros((3, 9)))


def test_only_the_projection_says_it_learns_nothing() -> None:
    assert clone(SparseProjection()).data_independent
    assert not hasattr(PrincipalComponents(), "data_independent")
    assert inspect.signature(SparseProjection).parameters["eps"].default == 0.2
