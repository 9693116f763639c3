"""Linear predictivity."""

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression

from neuroalign.ceilings import split_half
from neuroalign.encoders import Ridge
from neuroalign.loaders import from_arrays
from neuroalign.similarity._pairs import split_stimuli
from neuroalign.similarity.predictivity import (
    linear_predictivity,
    pair_forward,
    pair_symmetric,
    prepare_predictivity,
)


def test_predictions_are_those_of_the_encoder_fitted_by_hand(rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 3))
    Y = X @ rng.normal(size=(3, 2)) + rng.normal(size=(40, 2))
    expected = []
    for train, test in split_stimuli(40, 4, 1):
        predicted = LinearRegression().fit(X[train], Y[train]).predict(X[test])
        expected.append([np.corrcoef(predicted[:, i], Y[test, i])[0, 1] for i in range(2)])
    found = linear_predictivity(X, Y, encoder=LinearRegression(), n_splits=4, seed=1)
    np.testing.assert_allclose(found.forward, np.mean(expected, axis=0))
    assert found.forward_mean == pytest.approx(np.mean(expected))


def test_a_rich_side_predicts_a_poor_one_and_not_back(rng: np.random.Generator) -> None:
    X = rng.normal(size=(120, 8))
    Y = X[:, :2] @ rng.normal(size=(2, 5))
    found = linear_predictivity(X, Y)
    assert found.forward_mean > 0.99
    assert found.backward_mean < 0.5
    assert (found.backward[:2] > 0.99).all()
    assert found.symmetric == pytest.approx(np.sqrt(found.forward_mean * found.backward_mean))


def test_noise_predicts_nothing_even_with_more_units_than_stimuli(
    rng: np.random.Generator,
) -> None:
    X, Y = rng.normal(size=(2, 50, 70))
    found = linear_predictivity(X, Y)
    assert abs(found.forward_mean) < 0.08
    assert found.symmetric < 0.08


def test_rows_agree_with_the_function(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 4))
    Y = X @ rng.normal(size=(4, 3)) + rng.normal(size=(60, 3))
    one, other = (prepare_predictivity(side, n_splits=3, seed=5) for side in (X, Y))
    found = linear_predictivity(X, Y, n_splits=3, seed=5)
    assert pair_forward(one, other) == pytest.approx(found.forward_mean)
    assert pair_symmetric(one, other) == pytest.approx(found.symmetric)
    assert pair_symmetric(other, one) == pytest.approx(found.symmetric)


def test_dividing_by_the_ceiling_recovers_the_predictivity_without_noise(
    rng: np.random.Generator,
) -> None:
    X = rng.normal(size=(200, 5))
    signal = X @ rng.normal(size=(5, 6))
    signal /= signal.std(axis=0)
    noise = np.array([0.5, 1, 1, 2, 2, 30.0])
    single = [signal + noise * rng.normal(size=signal.shape) for _ in range(6)]
    names = [f"image-{i}" for i in range(200)]
    repeats = from_arrays(np.concatenate(single), modality="spikes", stimulus=names * 6)
    ceiling = split_half(repeats, n_bootstrap=0)
    mean = from_arrays(np.mean(single, axis=0), modality="spikes", stimulus=names, dtype="float64")
    found = linear_predictivity(X, mean, ceiling_y=ceiling)
    assert np.isnan(found.forward[-1])
    np.testing.assert_allclose(found.forward[:-1], 1.0, atol=0.06)
    bare = linear_predictivity(X, mean, ceiling_y=ceiling["ceiling"].values)
    np.testing.assert_allclose(found.forward, bare.forward)
    assert linear_predictivity(X, mean).forward_mean < found.forward_mean


def test_bare_units_take_a_labelled_ceiling_by_place(rng: np.random.Generator) -> None:
    X = rng.normal(size=(30, 3))
    ceiling = xr.DataArray([0.25, 1.0, 0.01], dims="neuroid")
    plain = linear_predictivity(X, X, encoder=Ridge(alphas=1.0)).backward
    found = linear_predictivity(X, X, encoder=Ridge(alphas=1.0), ceiling_x=ceiling.values)
    np.testing.assert_allclose(found.backward[:2], plain[:2] / [0.5, 1.0])
    assert np.isnan(found.backward[2])


def test_groups_of_rows_are_never_divided(rng: np.random.Generator) -> None:
    images = rng.normal(size=(12, 10))
    X, Y = np.repeat(images, 5, axis=0), np.repeat(rng.normal(size=(12, 10)), 5, axis=0)
    X, Y = X + 0.1 * rng.normal(size=X.shape), Y + 0.1 * rng.normal(size=Y.shape)
    leaking = linear_predictivity(X, Y).forward_mean
    kept = linear_predictivity(X, Y, groups=np.repeat(np.arange(12), 5)).forward_mean
    assert leaking > 0.7
    assert abs(kept) < 0.3


def test_constant_units_have_no_value_and_negative_ways_count_zero(
    rng: np.random.Generator,
) -> None:
    X = rng.normal(size=(30, 2))
    Y = np.column_stack([X[:, 0], np.ones(30)])
    found = linear_predictivity(X, Y)
    assert np.isnan(found.forward[1])
    assert found.forward_mean == pytest.approx(found.forward[0])
    assert np.isnan(linear_predictivity(X, np.ones((30, 1))).symmetric)


def test_a_ceiling_of_other_units_is_refused(rng: np.random.Generator) -> None:
    X = rng.normal(size=(30, 2))
    with pytest.raises(ValueError, match="ceiling_y: expected one share.*each of 2 units.*3,"):
        linear_predictivity(X, X, ceiling_y=np.ones(3))


def test_haxby_halves_predict_each_other(
    haxby_halves: tuple[np.ndarray, np.ndarray],
) -> None:
    X, Y = (half[:, ::5] for half in haxby_halves)
    found = linear_predictivity(X, Y)
    order = np.random.default_rng(0).permutation(len(Y))
    shuffled = linear_predictivity(X, Y[order])
    assert found.forward_mean > 0.1
    assert found.symmetric > shuffled.symmetric + 0.1
