"""Ridge regression with one penalty for each neuroid, chosen inside the training rows."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from neuroalign._arrays import (
    check_range,
    flatten_targets,
    unwrap,
    wrap_samples,
    wrap_weights,
)
from neuroalign._folds import read_folds
from neuroalign._gram import RULES, Folds
from neuroalign._threads import map_threads
from neuroalign.encoders._engine import (
    CHUNK,
    SEARCHES,
    Engine,
    Judged,
    choose_penalties,
    find_edges,
    find_patterns,
    find_pools,
    keep_rows,
)
from neuroalign.encoders._labelled import (
    FLOATS,
    MISSING,
    TOP_EDGE_R2,
    check_new,
    check_pair,
    hide_missing,
    measure_edges,
    predict_linear,
    read_grid,
    score_r2,
)
from neuroalign.errors import choose

Array = npt.NDArray[Any]
Pattern = tuple[Array, Array | None, Engine]

DEFAULT_ALPHAS = np.logspace(-4, 5, 19)
ALPHA_PER = {"neuroid": "neuroid", "roi": "roi", "global": "global"}
ALPHA_SCALES = {"relative": True, "absolute": False}
SOLVERS = {"auto": "auto", "primal": "primal", "dual": "dual"}


class Ridge(RegressorMixin, MultiOutputMixin, BaseEstimator):  # type: ignore[misc]
    """Linear map with a squared penalty, one penalty per neuroid by default.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        Penalties to choose from; one number fixes it. None: 19 values from 1e-4 to 1e5.
    alpha_per : {"neuroid", "roi", "global"}
        One penalty for each neuroid (and time), or one for each ``roi`` of labelled responses, or
        one for all: that with the smallest mean of ``cv_mse / variance``.
    cv : int, splitter, list of (train, test), "loo" or "gcv"
        How the training rows are split to choose penalties. An int makes contiguous folds, or
        folds of whole groups when ``fit`` is given ``groups``. ``"loo"`` leaves out one row at a
        time, ``"gcv"`` takes generalised cross-validation, far cheaper and coarser: both take
        rows for independent.
    fit_intercept : bool
        Centre features and responses with training means, in each inner fold too.
    solver : {"auto", "primal", "dual"}
        Which Gram matrix is factorised; ``auto`` takes the smaller one. All agree.
    alpha_scale : {"relative", "absolute"}
        ``relative`` multiplies ``alphas`` by the trace of XX' over the number of samples (X
        centred), the mean eigenvalue of XX'. Its unit is then the noise-to-signal variance ratio
        of a response whose weights are equally spread over the features. ``absolute`` is the
        penalty of the formula, as in scikit-learn.
    search : {"exact", "coarse", "mixed"}
        ``exact`` computes every penalty. ``coarse`` roughly, from few filters; ``mixed`` in
        bfloat16 (torch; pays on processors made for it); both then compute those near the best in
        full. They find the exact one for 99 of 100 neuroids, and neighbours for the rest.
    conservative : bool
        Take the largest penalty whose error is within one standard error (over folds) of the best;
        the best itself where there is a single fold.
    missing : {"raise", "drop"}
        NaN in responses is an error, or each neuroid is fitted without the rows it lacks: one
        factorisation for each pattern of missing rows.

    Attributes
    ----------
    coef_ : array (feature,), (neuroid, feature) or (neuroid, time, feature)
    weights_ : DataArray (feature, neuroid[, time])
        ``coef_`` with its labels.
    intercept_ : float, or array (neuroid[, time])
    alpha_ : float, or array (neuroid[, time])
        The absolute penalty chosen. A constant response takes the largest.
    alphas_ : array (alpha,)
        The absolute grid, increasing; that of one pattern where NaN make several.
    cv_mse_ : float, or array (neuroid[, time])
        Mean squared error on inner held-out rows at ``alpha_``; NaN with a single alpha.
    cv_r2_ : float, or array (neuroid[, time])
        One minus its ratio to the error of the training mean; NaN for a constant response.
    no_signal_ : bool, or array of bool (neuroid[, time])
        Where the penalty chosen predicts held-out rows no better than the training mean, and where
        a response is constant; such neuroids are best read as not predicted.
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
    over all inner held-out rows. Factorisations are in float64 and shared by all penalties and
    targets: one for each fold, or one for all folds by the block form of the leave-one-out
    identity, whichever costs less; both are exact. Targets stream through in chunks of 1000 in the
    dtype of X: memory beyond inputs and weights does not grow with them.

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
        search: str = "exact",
        conservative: bool = False,
        missing: str = "raise",
    ) -> None:
        self.alphas = alphas
        self.alpha_per = alpha_per
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.alpha_scale = alpha_scale
        self.search = search
        self.conservative = conservative
        self.missing = missing

    def fit(self, X: Any, y: Any, *, groups: Any = None, sample_weight: Any = None) -> Self:
        """Choose penalties and fit.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        groups : sequence (sample,), optional
            Rows of one group stay together in the inner folds.
        sample_weight : array (sample,), optional
            Weight of the squared error of each row, in fits and in held-out errors.

        Returns
        -------
        Ridge

        Raises
        ------
        AlignError
            When rows of X and y name other stimuli, or other runs and onsets.
        ValueError
            On NaN or infinity, unknown options, or negative penalties.
        SchemaError
            With ``alpha_per="roi"`` and responses that have no ``roi``.
        """
        grid = self._check_options()
        check_pair(X, y, finite=not MISSING[self.missing])
        X, self._features = unwrap(X)
        y, self._targets = unwrap(y)
        if y is not None:
            y, shape = flatten_targets(y)
        X, y, weights = self._check_arrays(X, y, sample_weight)
        self._shape = shape
        targets = y.reshape(len(y), -1)
        folds = self._make_folds(X, y, groups, len(grid))
        if weights is not None and not weights.all():
            # A row without weight is no row, whether it trains or is held out.
            rows = np.flatnonzero(weights)
            folds = folds if isinstance(folds, str) else keep_rows(folds, rows)
            X, targets, weights = X[rows], targets[rows], weights[rows]
        self._fit_targets(X, targets, folds, grid, weights)
        return self

    def _check_options(self) -> Array:
        """Check the parameters; give the grid, increasing."""
        grid = read_grid(self.alphas, DEFAULT_ALPHAS)
        choose(ALPHA_PER, self.alpha_per, "alpha_per")
        choose(SOLVERS, self.solver, "solver")
        choose(ALPHA_SCALES, self.alpha_scale, "alpha_scale")
        choose(SEARCHES, self.search, "search")
        choose(MISSING, self.missing, "missing")
        alone = self.alpha_per == "neuroid" and self.search == "exact"
        if self.conservative and (isinstance(self.cv, str) or not alone):
            raise ValueError(
                "conservative: expected folds, search='exact' and alpha_per='neuroid', which give "
                f"each penalty its standard error, got cv={self.cv!r}, search='{self.search}', "
                f"alpha_per='{self.alpha_per}'. Change those, or drop it."
            )
        return grid

    def _check_arrays(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Array, Array, Array | None]:
        y, lost = hide_missing(y) if MISSING[self.missing] else (y, None)
        # scikit-learn adds before it looks for infinity, and warns of sums too large for float32.
        with np.errstate(invalid="ignore"):
            X, y = validate_data(
                self, X, y, multi_output=True, y_numeric=True, dtype=FLOATS, ensure_min_samples=2
            )
        check_range(X, "X")
        check_range(y.reshape(len(y), -1), "y")
        if lost is not None and lost.any():
            y = np.where(lost, np.nan, y)
        if sample_weight is None:
            return X, y, None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return X, y, weights

    def _make_folds(self, X: Array, y: Array, groups: Any, n_alphas: int) -> Folds | str:
        if n_alphas == 1:
            return []
        if isinstance(self.cv, str):
            choose(RULES, self.cv, "cv")
            return self.cv
        return read_folds(self.cv, X, y, groups)

    def _fit_targets(
        self, X: Array, targets: Array, folds: Folds | str, grid: Array, weights: Array | None
    ) -> None:
        n_targets = targets.shape[1]
        self.coef_ = np.zeros((n_targets, X.shape[1]), dtype=X.dtype)
        self.intercept_ = np.zeros(n_targets, dtype=X.dtype)
        found = {name: np.full(n_targets, np.nan) for name in ("alpha", "mse", "null")}
        constant = np.ones(n_targets, dtype=bool)
        losses = np.full((len(grid), n_targets), np.nan)
        best = np.zeros(n_targets, dtype=np.intp)
        waiting = []
        for columns, rows in find_patterns(targets):
            inner = folds if isinstance(folds, str) else keep_rows(folds, rows)
            own = targets if rows is None else targets[np.ix_(rows, columns)]
            engine = self._make_engine(
                X if rows is None else X[rows], inner, grid, own.shape[1],
                weights if rows is None or weights is None else weights[rows],
            )  # fmt: skip
            self.alphas_ = engine.alphas
            level = own[0] if self.fit_intercept else np.zeros(len(columns))
            constant[columns] = (own == level).all(axis=0)
            best[columns], losses[:, columns], found["null"][columns] = self._select(engine, own)
            # Only what solves is kept: neuroids that share a penalty may lack different rows.
            engine.rule = None
            waiting.append((columns, rows, engine))
            if self.alpha_per == "neuroid":
                best[constant] = len(grid) - 1
                self._solve(targets, best, found["alpha"], waiting.pop())
        if waiting:
            self._share(best, losses, found["null"], constant)
        for pattern in waiting:
            self._solve(targets, best, found["alpha"], pattern)
        found["mse"] = losses[best, np.arange(n_targets)]
        low, high = find_edges(losses, best, engine.relative)
        self.coef_[constant] = 0.0
        self._store(found, X.shape[1], constant)
        signal = np.reshape(self.cv_r2_, -1) > TOP_EDGE_R2
        short = low.all(axis=0) | (high.all(axis=0) & signal)
        self.edge_low_, self.edge_high_ = measure_edges(
            best[~constant], len(grid), short[~constant]
        )

    def _make_engine(
        self, X: Array, folds: Folds | str, grid: Array, n_targets: int, weights: Array | None
    ) -> Engine:
        return Engine(
            X, folds, grid, n_targets,
            center=bool(self.fit_intercept), relative=ALPHA_SCALES[self.alpha_scale],
            solver=self.solver, search=self.search, weights=weights,
        )  # fmt: skip

    def _select(self, engine: Engine, targets: Array) -> tuple[Array, Array, Array]:
        """Choose the penalty index of each target; also the losses (a, t) and those of the mean."""
        n_alphas, n_targets = len(engine.alphas), targets.shape[1]
        losses, null = np.full((n_alphas, n_targets), np.nan), np.full(n_targets, np.nan)
        best = np.zeros(n_targets, dtype=np.intp)

        def select(start: int) -> None:
            part = slice(start, start + CHUNK)
            judged = engine.judge(targets[:, part].astype(engine.dtype, copy=False))
            losses[:, part], null[part] = judged.losses, judged.null
            best[part] = choose_penalties(judged, conservative=self.conservative)

        map_threads(select, range(0, n_targets if n_alphas > 1 else 0, CHUNK))
        return best, losses, null

    def _solve(self, targets: Array, best: Array, alpha: Array, pattern: Pattern) -> None:
        """Fit the targets of one pattern at their penalties, and note those."""
        columns, rows, engine = pattern
        alpha[columns] = engine.alphas[best[columns]]

        def solve(start: int) -> None:
            part = columns[start : start + CHUNK]
            own = targets[:, part] if rows is None else targets[np.ix_(rows, part)]
            solved = engine.solve(own.astype(engine.dtype, copy=False), alpha[part])
            self.coef_[part], self.intercept_[part] = solved

        map_threads(solve, range(0, len(columns), CHUNK))

    def _share(self, best: Array, losses: Array, null: Array, constant: Array) -> None:
        """Give targets that share one penalty that with the smallest mean relative error."""
        last = len(losses) - 1
        best[constant] = last
        for members in find_pools(self.alpha_per, self._targets, self._shape) if last else []:
            used = members & ~constant & (null > 0)
            if used.any():
                share = losses[:, used] / null[used]
                mean = np.where(np.isnan(share), np.inf, share).mean(axis=1, keepdims=True)
                best[members & ~constant] = choose_penalties(Judged(mean, mean[0], mean))[0]

    def _store(self, found: dict[str, Array], n_features: int, constant: Array) -> None:
        mse, null = found["mse"], found["null"]
        r2 = 1.0 - np.divide(mse, null, out=np.full_like(mse, np.nan), where=(null > 0) & ~constant)
        self.coef_ = self.coef_.reshape(*self._shape, n_features)
        self.intercept_ = self.intercept_.reshape(self._shape)[()]
        self.alpha_ = found["alpha"].reshape(self._shape)[()]
        self.cv_mse_ = mse.reshape(self._shape)[()]
        self.cv_r2_ = r2.reshape(self._shape)[()]
        self.no_signal_ = ((r2 <= 0) | constant).reshape(self._shape)[()]

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
        check_new(self._features, X)
        values, template = unwrap(X)
        values = validate_data(self, values, reset=False, dtype=FLOATS)
        predicted = predict_linear(values, self.coef_, self.intercept_)
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
        return score_r2(self.predict(X), y, sample_weight)

    @property
    def weights_(self) -> xr.DataArray:
        """Weights as a DataArray (feature, neuroid[, time]), labelled where fit had labels."""
        check_is_fitted(self)
        coef = np.moveaxis(self.coef_, -1, 0)
        return wrap_weights(coef, self._features, self._targets)
