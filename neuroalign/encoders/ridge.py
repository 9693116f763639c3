"""Ridge regression with one penalty for each neuroid, chosen inside the training rows."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from neuroalign import _linalg
from neuroalign._arrays import flatten_targets, unwrap, wrap_samples, wrap_weights
from neuroalign._folds import Folds, make_folds
from neuroalign.errors import NeuroalignWarning, choose

Array = npt.NDArray[Any]

DEFAULT_ALPHAS = np.logspace(-4, 5, 19)
CHUNK = 1000
EDGE_SHARE = 0.2
# A penalty at the edge matters only where the error still falls there by this share a step.
EDGE_SLOPE = 1e-3
# Below this the top of the grid means "no signal" rather than "grid too short".
TOP_EDGE_R2 = 0.01
ALPHA_PER = {"neuroid": True, "global": False}
ALPHA_SCALES = {"relative": True, "absolute": False}
SOLVERS = {"auto": "auto", "primal": "primal", "dual": "dual"}


class Ridge(RegressorMixin, MultiOutputMixin, BaseEstimator):  # type: ignore[misc]
    """Linear map with a squared penalty, one penalty per neuroid by default.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        Penalties to choose from; one number fixes it. None: 19 values from 1e-4 to 1e5.
    alpha_per : {"neuroid", "global"}
        One penalty for each neuroid (and time), or one that has the smallest mean of
        ``cv_mse / variance`` over all of them.
    cv : int, splitter, or list of (train, test)
        How the training rows are split to choose penalties. An int makes contiguous folds, or
        folds of whole groups when ``fit`` is given ``groups``.
    fit_intercept : bool
        Centre features and responses with training means, in each inner fold too.
    solver : {"auto", "primal", "dual"}
        Which Gram matrix is factorised; ``auto`` takes the smaller one. All agree.
    alpha_scale : {"relative", "absolute"}
        ``relative`` multiplies ``alphas`` by the trace of XX' over the number of samples (X
        centred), the mean eigenvalue of XX'. Its unit is then the noise-to-signal variance ratio
        of a response whose weights are equally spread over the features. ``absolute`` is the
        penalty of the formula, as in scikit-learn.

    Attributes
    ----------
    coef_ : array (feature,), (neuroid, feature) or (neuroid, time, feature)
    intercept_ : float, or array (neuroid[, time])
    alpha_ : float, or array (neuroid[, time])
        The absolute penalty chosen. A constant response takes the largest.
    alphas_ : array (alpha,)
        The absolute grid, increasing.
    cv_mse_ : float, or array (neuroid[, time])
        Mean squared error on inner held-out rows at ``alpha_``; NaN with a single alpha.
    cv_r2_ : float, or array (neuroid[, time])
        One minus its ratio to the error of the training mean.
    edge_low_, edge_high_ : float
        Shares of non-constant neuroids whose penalty is the smallest or largest of the grid.
    n_features_in_ : int

    Warns
    -----
    NeuroalignWarning
        When more than 20 % of neuroids sit at one edge while their error still falls there. At
        the high edge only those with a positive ``cv_r2_`` count: a neuroid without signal
        rightly takes the largest penalty.

    Notes
    -----
    Minimises ``||y - Xb - c||^2 + alpha ||b||^2``. Selection minimises the squared error pooled
    over all inner held-out rows. One eigendecomposition a fold, in float64, is shared by all
    penalties and targets; targets stream through in chunks of 1000 in the dtype of X.

    References
    ----------
    Hoerl & Kennard (1970), Technometrics 12(1), doi:10.1080/00401706.1970.10488634.
    Dupré la Tour et al. (2022), NeuroImage 264, doi:10.1016/j.neuroimage.2022.119728.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(100, 5))
    >>> responses = features @ rng.normal(size=(5, 3)) + rng.normal(size=(100, 3))
    >>> Ridge().fit(features, responses).predict(features).shape
    (100, 3)
    """

    def __init__(
        self,
        alphas: float | Sequence[float] | Array | None = None,
        *,
        alpha_per: str = "neuroid",
        cv: Any = 5,
        fit_intercept: bool = True,
        solver: str = "auto",
        alpha_scale: str = "relative",
    ) -> None:
        self.alphas = alphas
        self.alpha_per = alpha_per
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.alpha_scale = alpha_scale

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Choose penalties and fit.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        groups : sequence (sample,), optional
            Rows of one group stay together in the inner folds.

        Returns
        -------
        Ridge

        Raises
        ------
        ValueError
            On NaN or infinity, unknown options, or negative penalties.
        """
        options = self._check_options()
        X, self._features = unwrap(X)
        y, self._targets = unwrap(y)
        if y is not None:
            y, shape = flatten_targets(y)
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
            ensure_min_samples=2,
        )
        self._shape = shape
        targets = y.reshape(len(y), -1)
        self._fit_targets(X, targets, self._make_folds(X, y, groups, options), options)
        return self

    def _check_options(self) -> tuple[Array, bool, str, bool]:
        """Read the parameters: grid, whether per neuroid, solver, whether relative."""
        grid = DEFAULT_ALPHAS if self.alphas is None else np.atleast_1d(np.asarray(self.alphas))
        numbers = grid.dtype.kind in "buif" and grid.ndim == 1 and grid.size > 0
        if not numbers or not np.all(np.isfinite(grid) & (grid >= 0)):
            raise ValueError(
                f"alphas: expected finite numbers >= 0, got {self.alphas}. "
                "Pass one number or a grid such as np.logspace(-3, 5, 17)."
            )
        return (
            np.unique(grid.astype(np.float64)),
            choose(ALPHA_PER, self.alpha_per, "alpha_per"),
            choose(SOLVERS, self.solver, "solver"),
            choose(ALPHA_SCALES, self.alpha_scale, "alpha_scale"),
        )

    def _make_folds(self, X: Array, y: Array, groups: Any, options: Any) -> Folds:
        if len(options[0]) == 1:
            return []
        if isinstance(self.cv, int | np.integer):
            return make_folds(len(X), groups=groups, n_splits=int(self.cv))
        if hasattr(self.cv, "split"):
            return list(self.cv.split(X, y, groups))
        return [(np.asarray(train), np.asarray(test)) for train, test in self.cv]

    def _fit_targets(self, X: Array, targets: Array, folds: Folds, options: Any) -> None:
        grid, per_neuroid, solver, relative = options
        center = bool(self.fit_intercept)
        # The full Gram matrix decides, so that every inner fold takes the same side.
        solver = "dual" if _linalg.is_dual(X.shape, solver) else "primal"
        spectrum = _linalg.eigh_gram(X, center=center, solver=solver)
        scale = spectrum.values.sum() / len(X) if relative else 1.0
        # A constant X has no eigenvalue to be relative to.
        self.alphas_ = grid * (scale if scale > 0 else 1.0)
        factors = _linalg.factorise_folds(X, folds, center=center, solver=solver)

        n_targets = targets.shape[1]
        level = targets[0] if center else np.zeros(n_targets)
        constant: Array = (targets == level).all(axis=0)
        losses, null = self._compute_losses(factors, targets, X.dtype)
        best = self._choose(losses, null, constant, per_neuroid)
        mse = losses[best, np.arange(n_targets)]
        r2 = 1.0 - np.divide(mse, null, out=np.full_like(mse, np.nan), where=null > 0)
        coef = np.empty((n_targets, X.shape[1]), dtype=X.dtype)
        intercept = np.zeros(n_targets, dtype=X.dtype)
        left, right = spectrum.left.astype(X.dtype), spectrum.right.astype(X.dtype)
        for start in range(0, n_targets, CHUNK):
            part = slice(start, start + CHUNK)
            chunk = targets[:, part].astype(X.dtype)
            mean = _linalg.column_means(chunk) if center else np.zeros(chunk.shape[1], X.dtype)
            projected = left.T @ (chunk - mean)
            projected *= _linalg.shrink(spectrum.values, self.alphas_[best[part]])
            coef[part] = (right @ projected).T
            coef[part][constant[part]] = 0.0
            intercept[part] = mean - coef[part] @ spectrum.center.astype(X.dtype)

        self.coef_ = coef.reshape(*self._shape, X.shape[1])
        self.intercept_ = intercept.reshape(self._shape)[()]
        self.alpha_ = self.alphas_[best].reshape(self._shape)[()]
        self.cv_mse_ = mse.reshape(self._shape)[()]
        self.cv_r2_ = r2.reshape(self._shape)[()]
        self._report_edges(losses[:, ~constant], best[~constant], r2[~constant])

    def _compute_losses(
        self, factors: list[_linalg.FoldFactors], targets: Array, dtype: Any
    ) -> tuple[Array, Array]:
        """Inner errors (alpha, target), and those of the training mean (target)."""
        n_targets = targets.shape[1]
        losses, null = np.full((len(self.alphas_), n_targets), np.nan), np.full(n_targets, np.nan)
        for start in range(0, n_targets if factors else 0, CHUNK):
            part = slice(start, start + CHUNK)
            losses[:, part], null[part] = _linalg.fold_losses(
                factors,
                targets[:, part].astype(dtype),
                self.alphas_,
                center=bool(self.fit_intercept),
            )
        return losses, null

    def _choose(self, losses: Array, null: Array, constant: Array, per_neuroid: bool) -> Array:
        """Pick the penalty index of each target; of equal errors the larger penalty wins."""
        if len(losses) == 1:
            return np.zeros(losses.shape[1], dtype=np.intp)
        score = losses
        if not per_neuroid:
            used = ~constant & (null > 0)
            mean = (losses[:, used] / null[used]).mean(axis=1) if used.any() else losses[:, 0] * 0
            score = np.broadcast_to(mean[:, None], losses.shape)
        best: Array = len(losses) - 1 - np.argmin(score[::-1], axis=0)
        best[constant] = len(losses) - 1
        return best

    def _report_edges(self, losses: Array, best: Array, r2: Array) -> None:
        """Measure the shares at the edges (of non-constant targets); warn if the grid is short."""
        last = len(self.alphas_) - 1
        if last == 0 or len(best) == 0:
            self.edge_low_ = self.edge_high_ = 0.0
            return
        low, high = best == 0, best == last
        self.edge_low_, self.edge_high_ = float(low.mean()), float(high.mean())
        falls_low = losses[1] - losses[0] > EDGE_SLOPE * losses[1]
        falls_high = losses[last - 1] - losses[last] > EDGE_SLOPE * losses[last - 1]
        short = {"smallest": low & falls_low, "largest": high & falls_high & (r2 > TOP_EDGE_R2)}
        for edge, which in short.items():
            if which.mean() > EDGE_SHARE:
                warnings.warn(
                    f"alphas: expected the best penalty inside the grid, got the {edge} for "
                    f"{which.mean():.0%} of neuroids. Extend the grid on that side.",
                    NeuroalignWarning,
                    stacklevel=4,
                )

    def predict(self, X: Any) -> Any:
        """Predict responses.

        Parameters
        ----------
        X : DataArray or array (sample, feature)

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
            A DataArray when X is one: samples labelled as X, neuroids as in training.
        """
        check_is_fitted(self)
        values, template = unwrap(X)
        values = validate_data(self, values, reset=False, dtype=[np.float64, np.float32])
        coef = self.coef_.reshape(-1, self.coef_.shape[-1])
        predicted = values @ coef.T + np.reshape(self.intercept_, -1)
        predicted = predicted.reshape(len(values), *self._shape)
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
        predicted, _ = flatten_targets(unwrap(self.predict(X))[0])
        observed, _ = flatten_targets(unwrap(y)[0])
        return float(r2_score(observed, predicted, sample_weight=sample_weight))

    @property
    def weights_(self) -> xr.DataArray:
        """Weights as a DataArray (feature, neuroid[, time]), labelled where fit had labels."""
        check_is_fitted(self)
        coef = np.moveaxis(self.coef_, -1, 0)
        return wrap_weights(coef, self._features, self._targets)
