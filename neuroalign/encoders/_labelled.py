"""The common shell of encoders: labels off, arrays checked, targets flat; and back again."""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from neuroalign._arrays import (
    check_labelled,
    check_range,
    check_same_features,
    check_same_rows,
    flatten_targets,
    unwrap,
    wrap_samples,
)
from neuroalign._folds import read_folds
from neuroalign._gram import Folds
from neuroalign.errors import NeuroalignWarning

Array = npt.NDArray[Any]
FLOATS = [np.float64, np.float32]
# A grid is short where more neuroids than this sit at its edge while their error still falls.
EDGE_SHARE = 0.2
# Below this the top of the grid means "no signal" rather than "grid too short".
TOP_EDGE_R2 = 0.01


# Whether targets may be NaN, by name of what is done with them.
MISSING = {"raise": False, "drop": True}


class LabelledRegressor(RegressorMixin, MultiOutputMixin, BaseEstimator):  # type: ignore[misc]
    """An encoder writes ``_fit_arrays`` and ``_predict_arrays``, both on (sample, target)."""

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Fit to responses.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        groups : sequence (sample,), optional
            Rows of one group stay together in inner folds, where there are any.

        Returns
        -------
        The encoder itself.

        Raises
        ------
        AlignError
            When rows of X and y name other stimuli, or other runs and onsets.
        ValueError
            On NaN or infinity, and unknown options.
        """
        check_pair(X, y)
        values, self._features = unwrap(X)
        y, self._targets = unwrap(y)
        shape: tuple[int, ...] = ()
        if y is not None:
            y, shape = flatten_targets(y)
        # scikit-learn adds before it looks for infinity, and warns of sums too large for float32.
        with np.errstate(invalid="ignore"):
            values, y = validate_data(
                self,
                values,
                y,
                multi_output=True,
                y_numeric=True,
                dtype=FLOATS,
                ensure_min_samples=2,
            )
        self._shape = shape
        targets = y.reshape(len(y), -1).astype(values.dtype, copy=False)
        check_range(values, "X")
        check_range(targets, "y")
        self._fit_arrays(values, targets, groups)
        return self

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        raise NotImplementedError

    def _predict_arrays(self, X: Array) -> Array:
        raise NotImplementedError

    def predict(self, X: Any) -> Any:
        """Predict responses.

        Parameters
        ----------
        X : DataArray or array (sample, feature)

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
            A DataArray when X is one: samples labelled as X, neuroids as in training.

        Raises
        ------
        AlignError
            When features stand in another order than in training.
        """
        values = self._check_new(X)
        predicted = self._predict_arrays(values).reshape(len(values), *self._shape)
        return self._label(predicted, X)

    def _check_new(self, X: Any) -> Array:
        check_is_fitted(self)
        check_new(self._features, X)
        values: Array = validate_data(self, unwrap(X)[0], reset=False, dtype=FLOATS)
        return values

    def _label(self, predicted: Array, X: Any) -> Any:
        template = unwrap(X)[1]
        return predicted if template is None else wrap_samples(predicted, X, self._targets)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute R2 averaged over neuroids (and times), as scikit-learn does.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        sample_weight : array (sample,), optional

        Returns
        -------
        float
        """
        return score_r2(self.predict(X), y, sample_weight)


def check_pair(X: Any, y: Any, *, finite: bool = True) -> None:
    """Check labelled features and responses: dims, numbers, and that rows hold the same.

    Raises
    ------
    SchemaError, AlignError, ValueError
    """
    check_labelled(X, "X")
    check_labelled(y, "y", finite=finite)
    check_same_rows(X, y)


def check_new(known: Any, X: Any) -> None:
    """Check labelled features to predict from against those of training.

    Raises
    ------
    SchemaError, AlignError, ValueError
    """
    check_labelled(X, "X")
    check_same_features(known, X)


def score_r2(predicted: Any, observed: Any, sample_weight: Any = None) -> float:
    """R2 averaged over neuroids (and times), labelled or not; rows must hold the same."""
    check_labelled(observed, "y")
    # Predictions carry the labels of X.
    check_same_rows(predicted, observed)
    guess, _ = flatten_targets(unwrap(predicted)[0])
    known, _ = flatten_targets(unwrap(observed)[0])
    return float(r2_score(known, guess, sample_weight=sample_weight))


def read_exact_folds(cv: Any, X: Array, Y: Array, groups: Any) -> Folds:
    """Take folds as a count, a splitter or pairs of rows; shortcuts of ``Ridge`` are none.

    Raises
    ------
    ValueError, LeakageError
    """
    if isinstance(cv, str):
        raise ValueError(
            f"cv: expected an int, a splitter or a list of (train, test), got '{cv}'. Pass 5, say."
        )
    return read_folds(cv, X, Y, groups)


def read_grid(alphas: Any, default: Array) -> Array:
    """Check penalties; give them increasing.

    Raises
    ------
    ValueError
        Unless they are finite numbers >= 0.
    """
    grid = default if alphas is None else np.atleast_1d(np.asarray(alphas))
    numbers = grid.dtype.kind in "buif" and grid.ndim == 1 and grid.size > 0
    if not numbers or not np.all(np.isfinite(grid) & (grid >= 0)):
        raise ValueError(
            f"alphas: expected finite numbers >= 0, got {alphas}. "
            "Pass one number or a grid such as np.logspace(-3, 5, 17)."
        )
    return np.unique(grid.astype(np.float64))


def measure_edges(rows: Array, n_alphas: int, short: Array) -> tuple[float, float]:
    """Give the shares of targets at the edges of the grid; warn where it is too short for many."""
    if n_alphas == 1 or not len(rows):
        return 0.0, 0.0
    low, high = rows == 0, rows == n_alphas - 1
    for edge, which in {"smallest": low & short, "largest": high & short}.items():
        if which.mean() > EDGE_SHARE:
            warnings.warn(
                f"alphas: expected the best penalty inside the grid, got the {edge} for "
                f"{which.mean():.0%} of neuroids. Extend the grid on that side.",
                NeuroalignWarning,
                stacklevel=4,
            )
    return float(low.mean()), float(high.mean())


def hide_missing(y: Any) -> tuple[Any, Array | None]:
    """Put 0 in the place of NaN, so that the rest can be checked; and say where, if it can."""
    if y is None:
        return y, None
    y = np.asarray(y)
    lost = np.isnan(y) if y.dtype.kind == "f" else None
    return (y if lost is None else np.where(lost, 0.0, y)), lost


def predict_linear(X: Array, coef: Array, intercept: Array) -> Array:
    """Predict (sample, target) from weights (..., feature) and intercepts of the same targets."""
    return np.asarray(X @ coef.reshape(-1, coef.shape[-1]).T + np.reshape(intercept, -1))
