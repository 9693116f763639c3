"""Labels for the steps of a pipeline: scikit-learn's transformers strip them.

In: an unfitted pipeline. Out: the same steps, each transformer in a shell that gives samples their
coords back, and columns theirs where they are still the columns that came in.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

Array = npt.NDArray[Any]


def keep_labels(pipeline: Pipeline) -> Pipeline:
    """Put each transformer of a pipeline into a shell that keeps labels.

    Parameters
    ----------
    pipeline : Pipeline
        Its last step sees DataArrays when the pipeline is given such. Pipelines inside it are
        treated alike; those inside a search or another meta-estimator are not reached.

    Returns
    -------
    Pipeline
        A new one, of the same transformers.
    """
    steps = [(name, _wrap(step)) for name, step in pipeline.steps[:-1]]
    name, last = pipeline.steps[-1]
    final = keep_labels(last) if isinstance(last, Pipeline) else last
    return Pipeline([*steps, (name, final)], memory=pipeline.memory, verbose=pipeline.verbose)


def _wrap(step: Any) -> Any:
    if isinstance(step, Pipeline):
        return Pipeline(
            [(name, _wrap(inner)) for name, inner in step.steps],
            memory=step.memory,
            verbose=step.verbose,
        )
    return step if step is None or isinstance(step, str) else LabelKeeper(step)


class LabelKeeper(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that gives a DataArray for a DataArray.

    Parameters
    ----------
    transformer : transformer
        Fitted in place.
    """

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the transformer."""
        self.transformer.fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and transform in the transformer's own way of doing both."""
        if not hasattr(self.transformer, "fit_transform"):
            return self.fit(X, y).transform(X)
        return self._label(self.transformer.fit_transform(X, y), X)

    def transform(self, X: Any) -> Any:
        """Transform, and label."""
        return self._label(self.transformer.transform(X), X)

    def __sklearn_is_fitted__(self) -> bool:
        """Leave it to the transformer to say that it is not fitted."""
        return True

    def _label(self, values: Any, X: Any) -> Any:
        if isinstance(values, xr.DataArray) or not isinstance(X, xr.DataArray) or issparse(values):
            return values
        values = np.asarray(values)
        if values.ndim != 2 or len(values) != len(X):
            return values
        columns = self._find_columns(X.shape[1], values.shape[1])
        if columns is not None:
            kept = X.isel({X.dims[1]: columns})
            return kept.copy(data=values)
        coords = {key: coord for key, coord in X.coords.items() if coord.dims == X.dims[:1]}
        return xr.DataArray(values, coords, X.dims, attrs=X.attrs)

    def _find_columns(self, n_in: int, n_out: int) -> Array | None:
        """Tell which column that came in each column is; None where they are mixed."""
        if not hasattr(self.transformer, "get_feature_names_out"):
            return np.arange(n_in) if n_in == n_out else None
        place = {f"x{column}": column for column in range(n_in)}
        try:
            named = self.transformer.get_feature_names_out(np.array(list(place), dtype=object))
        except (AttributeError, ValueError):
            # A step inside it cannot say what it does to columns.
            return None
        # A union or a column transformer puts its own name before that of a column.
        found = [place.get(str(name).rpartition("__")[2], -1) for name in named]
        return np.array(found) if len(found) == n_out and min(found, default=-1) >= 0 else None
