"""Canonical correlations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LinearRegression

from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.similarity.correlations import (
    canonical_correlations,
    held_out_correlations,
    pair_cca,
    pair_held_out,
    pair_squared_cca,
    prepare_cca,
    prepare_held_out,
    prepare_svcca,
    projection_weighted_cca,
)

seeds = st.integers(0, 2**31)


def related(rng: np.random.Generator, n: int = 60, p: int = 5, q: int = 4) -> tuple:
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=(p, q)) + rng.normal(size=(n, q))


def test_correlations_are_those_of_the_product_of_two_orthonormal_bases(
    rng: np.random.Generator,
) -> None:
    X, Y = related(rng)
    Qx, _ = np.linalg.qr(X - X.mean(0))
    Qy, _ = np.linalg.qr(Y - Y.mean(0))
    expected = np.linalg.svd(Qx.T @ Qy, compute_uv=False)
    np.testing.assert_allclose(canonical_correlations(X, Y).correlations, expected, atol=1e-12)


def test_correlations_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    X, Y = related(rng)
    first, second = CCA(n_components=3, max_iter=5000, tol=1e-12).fit_transform(X, Y)
    peer = [np.corrcoef(first[:, i], second[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(canonical_correlations(X, Y).correlations[:3], peer, atol=1e-5)


def test_variates_have_length_one_and_come_from_the_weights(rng: np.random.Generator) -> None:
    X, Y = related(rng)
    found = canonical_correlations(X, Y)
    np.testing.assert_allclose(found.first.T @ found.first, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(found.first.T @ found.second, np.diag(found.correlations), atol=1e-9)
    np.testing.assert_allclose((Y - Y.mean(0)) @ found.second_weights, found.second, atol=1e-10)


def test_ridge_is_that_of_regularised_covariances(rng: np.random.Generator) -> None:
    X, Y = related(rng)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    Sx = X.T @ X + 0.3 * np.trace(X.T @ X) / len(X) * np.eye(5)
    Sy = Y.T @ Y + 0.3 * np.trace(Y.T @ Y) / len(Y) * np.eye(4)
    product = np.linalg.solve(Sx, X.T @ Y) @ np.linalg.solve(Sy, Y.T @ X)
    expected = np.sqrt(np.sort(np.linalg.eigvals(product).real)[::-1][:4])
    found = canonical_correlations(X, Y, ridge=0.3).correlations
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_no_invertible_map_of_units_changes_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y = related(rng, 30, 3, 3)
    moved = X @ (rng.normal(size=(3, 3)) + 4 * np.eye(3)) + 7
    one, other = canonical_correlations(X, Y), canonical_correlations(moved, Y)
    np.testing.assert_allclose(one.correlations, other.correlations, atol=1e-7)
    assert pair_cca(prepare_cca(X), prepare_cca(Y)) == pytest.approx(one.correlations.mean())


def test_noise_with_as_many_units_as_stimuli_correlates_perfectly_until_held_out(
    rng: np.random.Generator,
) -> None:
    X, Y = rng.normal(size=(2, 60, 60))
    with pytest.warns(NeuroalignWarning, match="expected fewer units than stimuli for CCA, got 60"):
        assert pair_cca(prepare_cca(X), prepare_cca(Y)) == pytest.approx(1.0)
    assert abs(held_out_correlations(X, Y).mean()) < 0.08
    assert abs(held_out_correlations(X, Y, ridge=1.0).mean()) < 0.08


def test_a_shared_plane_in_many_units_comes_back_held_out(rng: np.random.Generator) -> None:
    latent = rng.normal(size=(200, 2))
    X, Y = (latent @ rng.normal(size=(2, 30)) + rng.normal(size=(200, 30)) for _ in range(2))
    mean = held_out_correlations(X, Y, ridge=0.1).mean(axis=0)
    assert (mean[:2] > 0.8).all()
    assert (np.abs(mean[2:]) < 0.35).all()
    assert abs(mean[2:].mean()) < 0.1


def test_held_out_row_averages_the_table_of_folds(rng: np.random.Generator) -> None:
    X, Y = related(rng)
    table = held_out_correlations(X, Y, n_splits=4, seed=3)
    sides = [prepare_held_out(side, n_splits=4, seed=3) for side in (X, Y)]
    assert pair_held_out(*sides) == pytest.approx(table.mean())
    assert table.shape == (4, 4)


def test_folds_of_other_rank_are_filled_with_nan() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    X[:, 1] = 0
    X[:4, 1] = rng.normal(size=4)
    groups = np.repeat(np.arange(5), 4)
    table = held_out_correlations(X, X, groups=groups)
    assert table.shape == (5, 2)
    assert np.isnan(table[:, 1]).sum() == 1


def test_svcca_keeps_the_axes_with_most_variance(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 3)) * [10, 10, 0.01]
    assert prepare_svcca(X).axes.shape == (50, 2)
    Y = X[:, :2] @ rng.normal(size=(2, 2))
    assert pair_cca(prepare_svcca(X), prepare_svcca(Y)) == pytest.approx(1.0)
    assert pair_squared_cca(prepare_svcca(X), prepare_svcca(Y)) == pytest.approx(1.0)


def test_squared_weights_make_the_share_of_variance_that_regression_explains(
    rng: np.random.Generator,
) -> None:
    X, Y = related(rng, 80, 3, 6)
    r = canonical_correlations(X, Y)
    weights = ((r.first.T @ (X - X.mean(0))) ** 2).sum(axis=1)
    explained = LinearRegression().fit(Y, X).predict(Y)
    r2 = 1 - ((X - explained) ** 2).sum() / ((X - X.mean(0)) ** 2).sum()
    assert weights @ r.correlations**2 / weights.sum() == pytest.approx(r2)
    mean = weights @ r.correlations / weights.sum()
    assert projection_weighted_cca(X, Y, weights="squared") == pytest.approx(mean)


def test_absolute_weights_follow_the_formula_of_the_paper(rng: np.random.Generator) -> None:
    X, Y = related(rng)
    r = canonical_correlations(X, Y)
    weights = np.abs(r.second.T @ (Y - Y.mean(0))).sum(axis=1)
    expected = weights @ r.correlations / weights.sum()
    assert projection_weighted_cca(X, Y, weight_by="second") == pytest.approx(expected)
    assert projection_weighted_cca(X, Y) != pytest.approx(expected, abs=1e-6)


def test_weights_favour_what_the_units_share(rng: np.random.Generator) -> None:
    shared = rng.normal(size=(80, 1))
    X = np.hstack([10 * shared, rng.normal(size=(80, 3))])
    Y = np.hstack([shared, rng.normal(size=(80, 3))])
    assert projection_weighted_cca(X, Y) > canonical_correlations(X, Y).correlations.mean() + 0.2


def test_a_constant_representation_has_no_correlation() -> None:
    X, Y = np.full((10, 2), 0.1), np.random.default_rng(0).normal(size=(10, 2))
    assert canonical_correlations(X, Y).correlations.shape == (0,)
    assert np.isnan(pair_cca(prepare_cca(X), prepare_cca(Y)))
    assert np.isnan(projection_weighted_cca(X, Y))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1.0}, "ridge: expected 0 or more, got -1.0"),
        ({"variance": 0.0}, "variance: expected a share above 0 and up to 1, got 0.0"),
        ({"n_splits": 10}, "n_splits: expected folds of 3 rows or more, got 10 splits of 20"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match=message):
        held_out_correlations(X, X, **options)


def test_weight_names_are_checked(rng: np.random.Generator) -> None:
    X = rng.normal(size=(9, 2))
    with pytest.raises(ValueError, match="weight_by: expected one of 'first', 'second'"):
        projection_weighted_cca(X, X, weight_by="both")
    with pytest.raises(ValueError, match="weights: expected one of 'absolute', 'squared'"):
        projection_weighted_cca(X, X, weights="square")


def test_rows_that_do_not_fit_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(4, 2))
    with pytest.raises(AlignError, match="Y: expected 4 samples as in X, got 3"):
        canonical_correlations(X, X[:3])
    with pytest.raises(SchemaError, match=r"X: expected \(sample, unit\).*got shape \(4,\)"):
        canonical_correlations(X[:, 0], X)
    with pytest.raises(SchemaError, match="Y: expected finite numbers, got NaN.* in 1 units"):
        canonical_correlations(X, np.where(X[0, 0] == X, np.nan, X))
    one, other = (
        from_arrays(X, modality="model", stimulus=names) for names in (list("abcd"), list("abdc"))
    )
    with pytest.raises(AlignError, match="Y: expected the stimuli of X.* got 'd' for 'c' in row 2"):
        canonical_correlations(one, other)


def test_repeats_of_a_stimulus_stay_together(rng: np.random.Generator) -> None:
    images = rng.normal(size=(10, 12))
    X, Y = (np.repeat(images, 4, 0) + 0.01 * rng.normal(size=(40, 12)) for _ in range(2))
    names = [f"image-{i}" for i in np.repeat(np.arange(10), 4)]
    labelled = from_arrays(X, modality="fmri", stimulus=names, dtype="float64")
    by_label = held_out_correlations(labelled, Y)
    np.testing.assert_array_equal(by_label, held_out_correlations(X, Y, groups=names))


def test_haxby_halves_share_an_axis_on_held_out_runs(
    haxby_halves: tuple[np.ndarray, np.ndarray],
) -> None:
    X, Y = haxby_halves
    options = {"variance": 0.8, "ridge": 0.1, "n_splits": 6, "groups": np.repeat(np.arange(6), 8)}
    found = held_out_correlations(X, Y, **options).mean(axis=0)[0]
    orders = (np.random.default_rng(seed).permutation(len(Y)) for seed in range(10))
    null = [held_out_correlations(X, Y[order], **options).mean(axis=0)[0] for order in orders]
    assert found > 0.4
    assert found > max(null)
