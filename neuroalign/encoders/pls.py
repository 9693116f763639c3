"""Partial least squares: responses through a few components of the features."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cross_decomposition import PLSRegression

from neuroalign.encoders._labelled import LabelledRegressor

Array = npt.NDArray[Any]


class PLS(LabelledRegressor):
    """Linear map through components that features and responses share.

    Parameters
    ----------
    n_components : int
        At most as many are used as the training data have ranks for.
    scale : bool
        Divide features and responses by their standard deviations.

    Attributes
    ----------
    estimator_ : PLSRegression
    n_components_ : int

    Notes
    -----
    scikit-learn's PLSRegression. All neuroids (and times) share the components: a neuroid is
    predicted differently in other company.

    References
    ----------
    Wold, Sjostrom & Eriksson (2001), Chemometrics 58, doi:10.1016/S0169-7439(01)00155-1.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(30, 5))
    >>> PLS(2).fit(features, features[:, :3]).predict(features).shape
    (30, 3)
    """

    def __init__(self, n_components: int = 25, *, scale: bool = False) -> None:
        self.n_components = n_components
        self.scale = scale

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        if not isinstance(self.n_components, int | np.integer) or self.n_components < 1:
            raise ValueError(
                f"n_components: expected an integer >= 1, got {self.n_components}. Pass 25, say."
            )
        # Beyond the rank, components are made of rounding.
        rank = int(np.linalg.matrix_rank(X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)))
        self.n_components_ = max(1, min(int(self.n_components), rank))
        size = float(np.std(Y, dtype=np.float64))
        # scikit-learn takes responses near 1e-15, the size of fields in tesla, for explained. A
        # power of two changes no digit.
        unit = 2.0 ** float(np.round(np.log2(size))) if size > 0 else 1.0
        self.estimator_ = PLSRegression(self.n_components_, scale=bool(self.scale))
        with warnings.catch_warnings():
            # Responses that are explained before the last component need no more of them.
            warnings.filterwarnings(
                "ignore", message="y residual is constant", category=UserWarning
            )
            self.estimator_.fit(X, Y / unit)
        self.estimator_.coef_ = self.estimator_.coef_ * unit
        self.estimator_.intercept_ = self.estimator_.intercept_ * unit

    def _predict_arrays(self, X: Array) -> Array:
        predicted: Array = self.estimator_.predict(X)
        return predicted.astype(X.dtype)
