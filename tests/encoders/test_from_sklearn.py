"""Any regressor of scikit-learn takes labels and time."""

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Lasso
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from neuroalign.encoders import FromSklearn


def _data(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    X = xr.DataArray(rng.normal(size=(30, 4)), dims=("sample", "feature"))
    Y = xr.DataArray(rng.normal(size=(30, 3, 2)), dims=("sample", "neuroid", "time"))
    return X, Y.assign_coords(neuroid=list("abc"), time=[0.1, 0.2])


@pytest.mark.parametrize("estimator", [Lasso(0.05), SVR()])
def test_each_target_is_predicted_as_alone(estimator: object, rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    predicted = FromSklearn(estimator).fit(X, Y).predict(X)
    alone = estimator.fit(X.values, Y.values[:, 1, 1]).predict(X.values)  # type: ignore[attr-defined]
    assert predicted["time"].values.tolist() == [0.1, 0.2]
    np.testing.assert_allclose(predicted.values[:, 1, 1], alone, rtol=1e-6)


def test_the_given_estimator_stays_unfitted(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    given = Lasso()
    FromSklearn(given).fit(X, Y)
    assert not hasattr(given, "coef_")


def test_something_that_does_not_predict_is_refused(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    with pytest.raises(ValueError, match="estimator: expected a regressor, got StandardScaler"):
        FromSklearn(StandardScaler()).fit(X, Y)
