"""Ridge regression by the length of the weights, as a fraction of the unpenalised ones."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import wrap_weights
from neuroalign._gram import factorise_folds
from neuroalign._hat import sum_squares
from neuroalign._linalg import average_rows, shrink
from neuroalign.encoders._engine import CHUNK, Engine
from neuroalign.encoders._labelled import LabelledRegressor, predict_linear, read_exact_folds

Array = npt.NDArray[Any]
DEFAULT_FRACTIONS = np.linspace(0.1, 1, 10)
# Decades between penalties at which lengths are computed before they are refined.
STEP = 0.2
NEWTON_STEPS = 4


def find_penalties(values: Array, energy: Array, fractions: Array) -> Array:
    """Find the penalties that shorten weights to fractions of their unpenalised length.

    Parameters
    ----------
    values : array (r,)
        Eigenvalues l, above 0.
    energy : array (r, t)
        Squared projections z^2: the squared length at penalty a is sum z^2 l / (l + a)^2.
    fractions : array (f,)
        Above 0, to 1.

    Returns
    -------
    array (f, t)
        0 where the fraction is 1.
    """
    found = np.zeros((len(fractions), energy.shape[1]))
    if not len(values):
        return found
    low, high = np.log10(values.min()) - 3, np.log10(values.max()) + 3
    grid = 10.0 ** np.arange(low, high + STEP, STEP)
    scaled = energy * values[:, None]
    full = (energy / values[:, None]).sum(axis=0)
    full = np.where(full > 0, full, 1.0)
    table = ((1 / (values + grid[:, None])) ** 2 @ scaled) / full
    logs = np.log(grid)
    for row, fraction in enumerate(fractions):
        if fraction == 1:
            continue
        wanted = np.log(fraction**2)
        lengths = np.log(np.maximum(table, np.finfo(np.float64).tiny))
        # Lengths fall with the penalty: the first that is short enough ends the cell.
        cell = np.clip((lengths > wanted).sum(axis=0), 1, len(grid) - 1)
        at = logs[cell]
        for _ in range(NEWTON_STEPS):
            inverse = 1 / (values[:, None] + np.exp(at))
            length = (scaled * inverse**2).sum(axis=0) / full
            slope = -2 * np.exp(at) * (scaled * inverse**3).sum(axis=0) / full
            steep = slope < 0
            rest = np.log(np.where(steep, length, 1)) - wanted
            step = np.divide(rest * length, slope, out=np.zeros_like(at), where=steep)
            at = at - np.clip(step, -2, 2)
        found[row] = np.exp(at)
    return found


class FractionalRidge(LabelledRegressor):
    """Linear map whose weights have a chosen fraction of the unpenalised length.

    Parameters
    ----------
    fractions : float, sequence of float, or None
        Above 0, to 1 (no penalty), chosen from for each neuroid. None: 0.1, 0.2, ..., 1.
    cv : int, splitter or list of (train, test)
    fit_intercept : bool

    Attributes
    ----------
    coef_ : array (feature,), (neuroid, feature) or (neuroid, time, feature)
    weights_ : DataArray (feature, neuroid[, time])
        ``coef_`` with its labels.
    intercept_, fraction_, alpha_, cv_mse_ : float, or array (neuroid[, time])
        ``alpha_`` is the absolute penalty; ``cv_mse_`` is NaN with a single fraction.

    Notes
    -----
    A fraction means as much for a noisy neuroid as for a good one, and no grid can be too short.
    With more features than samples the unpenalised weights are those of least length.

    References
    ----------
    Rokem & Kay (2020), GigaScience 9(12), doi:10.1093/gigascience/giaa133.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(50, 4))
    >>> half = FractionalRidge(0.5).fit(features, features[:, 0])
    >>> whole = FractionalRidge(1.0).fit(features, features[:, 0])
    >>> bool(np.isclose(np.linalg.norm(half.coef_), np.linalg.norm(whole.coef_) / 2))
    True
    """

    def __init__(self, fractions: Any = None, *, cv: Any = 5, fit_intercept: bool = True) -> None:
        self.fractions = fractions
        self.cv = cv
        self.fit_intercept = fit_intercept

    def _read_fractions(self) -> Array:
        given = DEFAULT_FRACTIONS if self.fractions is None else self.fractions
        fractions = np.unique(np.atleast_1d(np.asarray(given, dtype=np.float64)))
        if not fractions.size or not np.all((fractions > 0) & (fractions <= 1)):
            raise ValueError(
                f"fractions: expected numbers above 0, to 1, got {self.fractions}. "
                "Pass such as np.linspace(0.1, 1, 10)."
            )
        return fractions

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        fractions, n_targets = self._read_fractions(), Y.shape[1]
        center = bool(self.fit_intercept)
        best = np.zeros(n_targets, dtype=np.intp)
        mse = np.full(n_targets, np.nan)
        if len(fractions) > 1:
            losses = self._judge(X, Y, fractions, groups, center)
            # Of equal errors the shorter weights win.
            best = losses.argmin(axis=0)
            mse = losses[best, np.arange(n_targets)]
        engine = Engine(X, [], np.ones(1), n_targets, center=center, relative=False)
        coef = np.zeros((n_targets, X.shape[1]), dtype=X.dtype)
        intercept, alpha = np.zeros(n_targets, dtype=X.dtype), np.zeros(n_targets)
        for start in range(0, n_targets, CHUNK):
            columns = np.arange(start, min(start + CHUNK, n_targets))
            chunk = Y[:, columns]
            centred = chunk - average_rows(chunk) if center else chunk
            energy = (engine.basis.T @ centred).astype(np.float64) ** 2
            penalties = find_penalties(engine.values, energy, fractions)
            alpha[columns] = penalties[best[columns], np.arange(len(columns))]
            coef[columns], intercept[columns] = engine.solve(chunk, alpha[columns])
        shape = self._shape
        self.coef_ = coef.reshape(*shape, X.shape[1])
        self.intercept_ = intercept.reshape(shape)[()]
        self.fraction_ = fractions[best].reshape(shape)[()]
        self.alpha_, self.cv_mse_ = alpha.reshape(shape)[()], mse.reshape(shape)[()]

    def _judge(self, X: Array, Y: Array, fractions: Array, groups: Any, center: bool) -> Array:
        """Compute held-out mean squared errors (fraction, target)."""
        factors = factorise_folds(X, read_exact_folds(self.cv, X, Y, groups), center=center)
        losses = np.zeros((len(fractions), Y.shape[1]))
        for start in range(0, Y.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            for fold in factors:
                known, unknown = Y[fold.train, part], Y[fold.test, part]
                if center:
                    mean = average_rows(known)
                    known, unknown = known - mean, unknown - mean
                projected = fold.left.T @ known
                # Columns of ``left`` are unit vectors in the dual form only.
                length = (fold.left.astype(np.float64) ** 2).sum(axis=0)
                energy = projected.astype(np.float64) ** 2 / length[:, None]
                penalties = find_penalties(fold.values, energy, fractions)
                for row, alpha in enumerate(penalties):
                    kept = projected * shrink(fold.values, alpha).astype(X.dtype)
                    losses[row, part] += sum_squares(fold.held_out @ kept - unknown)
        return losses / sum(len(fold.test) for fold in factors)

    def _predict_arrays(self, X: Array) -> Array:
        return predict_linear(X, self.coef_, self.intercept_)

    @property
    def weights_(self) -> xr.DataArray:
        """Weights as a DataArray (feature, neuroid[, time]), labelled where fit had labels."""
        check_is_fitted(self)
        return wrap_weights(np.moveaxis(self.coef_, -1, 0), self._features, self._targets)
