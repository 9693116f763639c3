"""Null models: what can be predicted without a map."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.encoders._labelled import LabelledRegressor
from neuroalign.errors import SchemaError, some

Array = npt.NDArray[Any]


class MeanResponse(LabelledRegressor):
    """Predict the training mean of each neuroid (and time), whatever the features.

    Score it with ``metric="r2"``: a constant has no correlation, which is NaN.

    Attributes
    ----------
    mean_ : float, or array (neuroid[, time])

    Examples
    --------
    >>> import numpy as np
    >>> MeanResponse().fit(np.zeros((4, 1)), np.array([0.0, 1, 2, 3])).predict(np.ones((1, 1)))
    array([1.5])
    """

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        self._mean = Y.mean(axis=0, dtype=np.float64).astype(Y.dtype)
        self.mean_ = self._mean.reshape(self._shape)[()]

    def _predict_arrays(self, X: Array) -> Array:
        return np.tile(self._mean, (len(X), 1))


class CategoryMean(LabelledRegressor):
    """Predict the mean of the training responses of the same category.

    Score it with ``metric="r2"``: where a fold tests one category alone, the
    prediction is a constant, whose correlation is NaN.

    Parameters
    ----------
    by : str or None
        Sample coord of X that names categories. None: equal rows of X are a category.

    Attributes
    ----------
    categories_ : array (category,), or (category, feature) with ``by=None``
    means_ : array (category[, neuroid[, time]])
    mean_ : float, or array (neuroid[, time])
        Over all rows; the prediction for categories that training lacked.

    Examples
    --------
    >>> import numpy as np
    >>> one_hot = np.eye(2)[[0, 0, 1]]
    >>> CategoryMean().fit(one_hot, np.array([1.0, 3.0, 5.0])).predict(np.eye(2))
    array([2., 5.])
    """

    def __init__(self, by: str | None = None) -> None:
        self.by = by

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Average the responses of each category.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        groups : ignored

        Returns
        -------
        CategoryMean

        Raises
        ------
        SchemaError
            When X lacks the coord.
        """
        self._labels = self._read_labels(X)
        super().fit(X, y, groups=groups)
        del self._labels
        return self

    def _read_labels(self, X: Any) -> Array | None:
        if self.by is None:
            return None
        if not isinstance(X, xr.DataArray) or self.by not in X.coords:
            raise SchemaError(
                f"X: expected a DataArray with coord '{self.by}' on its samples, got "
                f"{some(X.coords) if isinstance(X, xr.DataArray) else 'a bare array'}. Assign it."
            )
        return np.asarray(X[self.by].values)

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        labels = X if self._labels is None else self._labels
        self.categories_, member = np.unique(labels, axis=0, return_inverse=True)
        count = np.bincount(member.ravel())
        sums = np.zeros((len(count), Y.shape[1]))
        np.add.at(sums, member.ravel(), Y)
        self._means = (sums / count[:, None]).astype(Y.dtype)
        self._mean = Y.mean(axis=0, dtype=np.float64).astype(Y.dtype)
        self.means_ = self._means.reshape(len(count), *self._shape)
        self.mean_ = self._mean.reshape(self._shape)[()]

    def predict(self, X: Any) -> Any:
        """Predict the mean of each row's category.

        Parameters
        ----------
        X : DataArray or array (sample, feature)

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
        """
        values = self._check_new(X)
        labels = self._read_labels(X)
        predicted = self._look_up(values if labels is None else labels)
        return self._label(predicted.reshape(len(values), *self._shape), X)

    def _look_up(self, labels: Array) -> Array:
        known = {_make_key(one): row for row, one in enumerate(self.categories_)}
        rows = np.array([known.get(_make_key(one), -1) for one in labels])
        found: Array = np.where((rows < 0)[:, None], self._mean, self._means[rows])
        return found


def _make_key(label: Any) -> tuple[Any, ...]:
    return tuple(np.atleast_1d(label).tolist())
