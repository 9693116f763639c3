"""One ridge for each feature space, joined by weights that sum to one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign._gram import Folds
from neuroalign.encoders._engine import Engine
from neuroalign.encoders._labelled import LabelledRegressor, read_exact_folds
from neuroalign.encoders._spaces import read_spaces
from neuroalign.encoders.ridge import Ridge

Array = npt.NDArray[Any]
SWEEPS, STILL = 500, 1e-10


def find_convex(parts: Array, observed: Array) -> Array:
    """Find the convex combination of predictions nearest to what was observed, for each target.

    Parameters
    ----------
    parts : array (space, sample, target)
    observed : array (sample, target)

    Returns
    -------
    array (space, target)
        At least 0, sum 1.
    """
    m, _, n_targets = parts.shape
    errors = parts.astype(np.float64) - observed
    gram = np.einsum("ist,jst->ijt", errors, errors)
    weights = np.full((m, n_targets), 1 / m)
    pairs = [(one, other) for one in range(m) for other in range(one)]
    for _ in range(SWEEPS):
        largest = 0.0
        for one, other in pairs:
            # Weight moves between two spaces, to the exact minimum that leaves none below 0.
            slope = ((gram[one] - gram[other]) * weights).sum(axis=0)
            bend = gram[one, one] + gram[other, other] - 2 * gram[one, other]
            step = np.divide(-slope, bend, out=np.zeros(n_targets), where=bend > 0)
            step = np.clip(step, -weights[one], weights[other])
            weights[one] += step
            weights[other] -= step
            largest = max(largest, float(np.abs(step).max(initial=0.0)))
        if largest < STILL:
            break
    return weights


class StackedRidge(LabelledRegressor):
    """Average of ridges of single feature spaces, weighted for each neuroid.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        As for ``Ridge``.
    spaces : sequence of labels (feature,), list of column groups, mapping, or None
        None: coord ``space`` of X where there is one, else a single space.
    cv : int, splitter or list of (train, test)
        Folds on which penalties and then weights are chosen.

    Attributes
    ----------
    spaces_ : list of str
    ridges_ : list of Ridge
        One for each space, fitted to all rows.
    space_weights_ : array (space,), or (neuroid[, time], space)
        At least 0, sum 1.

    Notes
    -----
    Weights minimise the squared error of predictions of rows that each ridge did not see.
    Penalties are chosen once, on all folds: what that lends to the weights is slight and alike for
    all spaces. Time is that of two ``Ridge`` a space: the cheapest encoder of several spaces.
    Labels in pipelines: see ``BandedRidge``.

    References
    ----------
    Lin, Naselaris, Kay & Wehbe (2024), NeuroImage 298, 120772,
    doi:10.1016/j.neuroimage.2024.120772.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(80, 4))
    >>> response = features[:, 0] + 0.5 * rng.normal(size=80)
    >>> model = StackedRidge(spaces=["a", "a", "b", "b"]).fit(features, response)
    >>> bool(model.space_weights_[0] > 0.9)
    True
    """

    def __init__(self, alphas: Any = None, *, spaces: Any = None, cv: Any = 5) -> None:
        self.alphas = alphas
        self.spaces = spaces
        self.cv = cv

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        spaces = read_spaces(self.spaces, self._features, X.shape[1])
        folds = read_exact_folds(self.cv, X, Y, groups)
        self.spaces_, self._columns = list(spaces), list(spaces.values())
        self.ridges_ = [
            Ridge(self.alphas, cv=folds).fit(X[:, columns], Y) for columns in self._columns
        ]
        weights = np.ones((1, Y.shape[1]))
        if len(spaces) > 1:
            rows = np.concatenate([test for _, test in folds])
            parts = np.stack(
                [
                    _predict_folds(X[:, columns], Y, folds, ridge.alpha_)
                    for columns, ridge in zip(self._columns, self.ridges_, strict=True)
                ]
            )
            weights = find_convex(parts, Y[rows])
        self._weights = weights.astype(X.dtype)
        self.space_weights_ = weights.T.reshape(*self._shape, len(spaces))

    def _predict_arrays(self, X: Array) -> Array:
        parts = [
            weight * ridge.predict(X[:, columns])
            for weight, ridge, columns in zip(
                self._weights, self.ridges_, self._columns, strict=True
            )
        ]
        predicted: Array = np.sum(parts, axis=0)
        return predicted


def _predict_folds(X: Array, Y: Array, folds: Folds, alphas: Array) -> Array:
    """Predict the test rows of each fold, one below the other, at one penalty a target."""
    predicted = []
    for train, test in folds:
        engine = Engine(X[train], [], np.ones(1), Y.shape[1], relative=False)
        solved = engine.solve(Y[train], alphas)
        predicted.append(X[test] @ solved.coef.T + solved.intercept)
    return np.concatenate(predicted)
