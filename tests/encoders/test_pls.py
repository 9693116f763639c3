"""PLS is that of scikit-learn, with labels and time."""

import numpy as np
import pytest
import xarray as xr
from sklearn.cross_decomposition import PLSRegression

from neuroalign.encoders import PLS


@pytest.mark.parametrize("scale", [True, False])
def test_predictions_are_those_of_scikit_learn(scale: bool, rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(40, 9)), rng.normal(size=(40, 4))
    ours, peer = PLS(3, scale=scale).fit(X, Y), PLSRegression(3, scale=scale).fit(X, Y)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X))


def test_time_is_part_of_the_targets(rng: np.random.Generator) -> None:
    X = xr.DataArray(rng.normal(size=(40, 9)), dims=("sample", "feature"))
    Y = xr.DataArray(rng.normal(size=(40, 4, 3)), dims=("sample", "neuroid", "time"))
    predicted = PLS(2).fit(X, Y).predict(X)
    peer = PLSRegression(2, scale=False).fit(X.values, Y.values.reshape(40, 12))
    assert predicted.dims == ("sample", "neuroid", "time")
    np.testing.assert_allclose(predicted.values.reshape(40, 12), peer.predict(X.values))


def test_no_more_components_than_the_features_have_ranks(rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 9))
    model = PLS(25).fit(X, X[:, :3])
    assert model.n_components_ == 2
    np.testing.assert_allclose(model.predict(X), X[:, :3], atol=1e-8)


def test_no_component_is_no_model(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="n_components: expected an integer >= 1, got 0"):
        PLS(0).fit(rng.normal(size=(9, 2)), rng.normal(size=9))
