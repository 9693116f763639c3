"""Null models predict means, and nothing else."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import CategoryMean, MeanResponse
from neuroalign.errors import SchemaError


def _data(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    names = ["face", "house", "face", "chair", "house", "face"]
    X = xr.DataArray(
        rng.normal(size=(6, 2)), dims=("sample", "feature"), coords={"category": ("sample", names)}
    )
    return X, xr.DataArray(rng.normal(size=(6, 3, 2)), dims=("sample", "neuroid", "time"))


def test_the_mean_response_is_the_training_mean(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    predicted = MeanResponse().fit(X, Y).predict(X[:2])
    np.testing.assert_allclose(predicted.values, np.stack([Y.values.mean(0)] * 2))


def test_named_categories_are_averaged(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    predicted = CategoryMean(by="category").fit(X, Y).predict(X)
    np.testing.assert_allclose(predicted.values[2], Y.values[[0, 2, 5]].mean(0))
    np.testing.assert_allclose(predicted.values[3], Y.values[3])


def test_an_unknown_category_gets_the_overall_mean(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    model = CategoryMean(by="category").fit(X[:3], Y[:3])
    np.testing.assert_allclose(model.predict(X[3:4]).values[0], Y.values[:3].mean(0))


def test_equal_rows_are_a_category(rng: np.random.Generator) -> None:
    X, Y = np.eye(3)[[0, 1, 0, 2, 1, 0]], rng.normal(size=(6, 4))
    predicted = CategoryMean().fit(X, Y).predict(np.eye(3))
    np.testing.assert_allclose(predicted[0], Y[[0, 2, 5]].mean(0))


def test_a_missing_label_is_named(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    with pytest.raises(SchemaError, match="X: expected a DataArray with coord 'animal'"):
        CategoryMean(by="animal").fit(X, Y)
