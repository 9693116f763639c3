"""Any regressor of scikit-learn as an encoder."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags

from neuroalign.encoders._labelled import LabelledRegressor

Array = npt.NDArray[Any]


class FromSklearn(LabelledRegressor):
    """A regressor that takes labelled arrays and time, and gives them back.

    Parameters
    ----------
    estimator : regressor, optional
        Cloned before it is fitted. One that takes a single target is fitted to each in turn.
        None: LinearRegression.

    Attributes
    ----------
    estimator_ : regressor
        Fitted to (sample, target), neuroids and times in one axis.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Lasso
    >>> features = np.random.default_rng(0).normal(size=(30, 5))
    >>> FromSklearn(Lasso(0.1)).fit(features, features[:, :3]).predict(features).shape
    (30, 3)
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        chosen = LinearRegression() if self.estimator is None else clone(self.estimator)
        if not hasattr(chosen, "predict"):
            raise ValueError(
                f"estimator: expected a regressor, got {type(chosen).__name__}. "
                "Pass one with fit and predict."
            )
        many = get_tags(chosen).target_tags.multi_output
        single = Y.shape[1] == 1
        self.estimator_ = chosen if many or single else MultiOutputRegressor(chosen)
        self.estimator_.fit(X, Y[:, 0] if single else Y)

    def _predict_arrays(self, X: Array) -> Array:
        predicted: Array = np.asarray(self.estimator_.predict(X))
        return predicted.reshape(len(X), -1)
