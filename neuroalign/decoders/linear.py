"""Linear decoders of continuous targets: features, positions, speeds, embeddings."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import describe
from neuroalign.decoders._patterns import find_patterns, flatten_responses, wrap_patterns
from neuroalign.encoders._labelled import LabelledRegressor, predict_linear
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import choose

Array = npt.NDArray[Any]
# Names of a decoder -> those of the engine, whose targets are neuroids.
ALPHA_PER = {"target": "neuroid", "global": "global"}


class _LinearMap(LabelledRegressor):
    """What linear decoders share: responses flattened, weights and patterns with their labels."""

    patterns: bool

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Fit to targets.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid) or (sample, neuroid, time)
            Responses; times are further columns.
        y : DataArray or array (sample,), (sample, feature) or (sample, token, feature)
        groups : sequence (sample,), optional
            Rows of one group (runs, say) stay together in the inner folds.

        Returns
        -------
        The decoder itself.

        Raises
        ------
        AlignError
            When rows of X and y name other stimuli, or other runs and onsets.
        SchemaError
            On dims in another order.
        ValueError
            On NaN or infinity, and unknown options.
        """
        self._responses = describe(X) if isinstance(X, xr.DataArray) else None
        return super().fit(flatten_responses(X), y, groups=groups)

    def predict(self, X: Any) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid) or (sample, neuroid, time)

        Returns
        -------
        array or DataArray (sample,), (sample, feature) or (sample, token, feature)
            A DataArray when X is one: samples labelled as X, targets as in training.

        Raises
        ------
        AlignError
            When neuroids stand in another order than in training.
        """
        return super().predict(flatten_responses(X))

    def _make_engine(self) -> Ridge:
        raise NotImplementedError

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        engine = self._make_engine().fit(X, Y, groups=groups)
        self.estimator_ = engine
        self.coef_ = engine.coef_.reshape(*self._shape, X.shape[1])
        self.intercept_ = np.reshape(engine.intercept_, self._shape)[()]
        self._store(engine)
        self._patterns = None
        if self.patterns:
            found = find_patterns(X, X @ engine.coef_.T)
            self._patterns = found.T.astype(X.dtype).reshape(self.coef_.shape)

    def _store(self, engine: Ridge) -> None:
        """Take over what the engine has chosen."""

    def _predict_arrays(self, X: Array) -> Array:
        return predict_linear(X, self.coef_, self.intercept_)

    def _unfold(self, values: Array) -> xr.DataArray:
        shape = values.shape[-1:] if self._responses is None else self._responses.shape[1:]
        return wrap_patterns(values.reshape(*self._shape, *shape), self._responses, self._targets)

    @property
    def weights_(self) -> xr.DataArray:
        """Weights (target..., neuroid[, time]): how responses are combined, not where a code is."""
        check_is_fitted(self)
        return self._unfold(self.coef_)

    @property
    def patterns_(self) -> xr.DataArray:
        """Patterns (target..., neuroid[, time]): what a unit of each target does to responses."""
        check_is_fitted(self)
        if self._patterns is None:
            raise AttributeError(
                "patterns_: expected patterns=True at fit, got False. Fit again with it."
            )
        return self._unfold(self._patterns)


class RidgeDecoder(_LinearMap):
    """Linear map from responses to targets with a squared penalty, one per target by default.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        Penalties to choose from; one number fixes it. None: 19 values from 1e-4 to 1e5.
    alpha_per : {"target", "global"}
        One penalty for each target, or one for all.
    cv : int, splitter, list of (train, test), "loo" or "gcv"
        How training rows are split to choose penalties; whole groups where ``fit`` is given
        ``groups``.
    fit_intercept : bool
    solver : {"auto", "primal", "dual"}
    alpha_scale : {"relative", "absolute"}
        ``relative`` counts penalties in mean eigenvalues of XX'; ``absolute`` is scikit-learn's.
    search : {"exact", "coarse", "mixed"}
    conservative : bool
        Take the largest penalty whose error is within one standard error of the best.
    patterns : bool
        Compute ``patterns_`` too, which costs about two products of responses and targets.

    Attributes
    ----------
    coef_ : array (neuroid,), or (target..., neuroid)
        Neuroids and times joined.
    intercept_ : float, or array (target...)
    alpha_, cv_mse_, cv_r2_, no_signal_
        Of each target, as `neuroalign.encoders.Ridge` gives them.
    estimator_ : Ridge
        The engine, fitted.
    weights_, patterns_ : DataArray (target..., neuroid[, time])
        With the places of the neuroids, so that maps can be drawn.

    Warns
    -----
    NeuroalignWarning
        As `neuroalign.encoders.Ridge`, where the grid is too short.

    Notes
    -----
    Weights must not be read as maps: a neuroid that holds nothing but noise of its neighbours is
    weighted to cancel it. Patterns are ``Cov(x) W Cov(s)^-1`` with s the decoded targets: what
    responses do when one target moves and the others stay.

    References
    ----------
    Haufe et al. (2014), NeuroImage 87, doi:10.1016/j.neuroimage.2013.10.067.
    Hoerl & Kennard (1970), Technometrics 12(1), doi:10.1080/00401706.1970.10488634.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=40, n_features=3, snr=2.0)
    >>> decoder = RidgeDecoder().fit(data.responses, data.features, groups=data["run"].values)
    >>> decoder.patterns_.dims
    ('feature', 'neuroid')
    >>> decoder.score(data.responses, data.features) > 0.8
    True
    """

    def __init__(
        self,
        alphas: float | Sequence[float] | Array | None = None,
        *,
        alpha_per: str = "target",
        cv: Any = 5,
        fit_intercept: bool = True,
        solver: str = "auto",
        alpha_scale: str = "relative",
        search: str = "exact",
        conservative: bool = False,
        patterns: bool = True,
    ) -> None:
        self.alphas = alphas
        self.alpha_per = alpha_per
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.alpha_scale = alpha_scale
        self.search = search
        self.conservative = conservative
        self.patterns = patterns

    def _make_engine(self) -> Ridge:
        return Ridge(
            self.alphas, alpha_per=choose(ALPHA_PER, self.alpha_per, "alpha_per"), cv=self.cv,
            fit_intercept=self.fit_intercept, solver=self.solver, alpha_scale=self.alpha_scale,
            search=self.search, conservative=self.conservative,
        )  # fmt: skip

    def _store(self, engine: Ridge) -> None:
        for name in ("alpha_", "cv_mse_", "cv_r2_", "no_signal_"):
            setattr(self, name, np.reshape(getattr(engine, name), self._shape)[()])


class LinearDecoder(_LinearMap):
    """Least squares from responses to targets; of many solutions the one with smallest weights.

    For a few clean signals (regional means, latents). With many neuroids use `RidgeDecoder`.

    Parameters
    ----------
    fit_intercept : bool
    patterns : bool
        Compute ``patterns_`` too.

    Attributes
    ----------
    coef_ : array (neuroid,), or (target..., neuroid)
    intercept_ : float, or array (target...)
    estimator_ : Ridge
        The engine, with a penalty of 0.
    weights_, patterns_ : DataArray (target..., neuroid[, time])

    References
    ----------
    Haufe et al. (2014), NeuroImage 87, doi:10.1016/j.neuroimage.2013.10.067.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> position = rng.normal(size=(50, 2))
    >>> rates = position @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(50, 4))
    >>> LinearDecoder().fit(rates, position).score(rates, position) > 0.95
    True
    """

    def __init__(self, *, fit_intercept: bool = True, patterns: bool = True) -> None:
        self.fit_intercept = fit_intercept
        self.patterns = patterns

    def _make_engine(self) -> Ridge:
        return Ridge(0.0, fit_intercept=self.fit_intercept, alpha_scale="absolute")
