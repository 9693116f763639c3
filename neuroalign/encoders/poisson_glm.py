"""Spike counts from features: a Poisson model of each neuron, all neurons fitted at once."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from neuroalign._arrays import check_same_rows, flatten_targets, unwrap, wrap_samples, wrap_weights
from neuroalign._spike_scores import bits_per_spike as bits_per_spike
from neuroalign._spike_scores import pseudo_r2 as pseudo_r2
from neuroalign.encoders._engine import choose_penalties, keep_rows
from neuroalign.encoders._labelled import (
    MISSING,
    check_new,
    check_pair,
    hide_missing,
    measure_edges,
    predict_linear,
    read_exact_folds,
    read_grid,
)
from neuroalign.encoders._poisson import LINKS, split_neurons
from neuroalign.encoders._poisson_inputs import (
    check_counts,
    check_possible,
    match_spaces,
    name_targets,
    read_exposure,
    report_failures,
)
from neuroalign.encoders._poisson_path import (
    Data,
    Settings,
    fit_at,
    judge_penalties,
    scale_penalties,
)
from neuroalign.encoders._poisson_penalties import PENALTIES
from neuroalign.encoders._spaces import read_spaces
from neuroalign.errors import choose

Array = npt.NDArray[Any]

ALPHA_SCALES = {"relative": True, "absolute": False}
# A grid is short when its edge is better than its neighbour by this many bits per spike.
EDGE_BITS = 0.01


class PoissonGLM(RegressorMixin, MultiOutputMixin, BaseEstimator):  # type: ignore[misc]
    """Poisson regression of spike counts, one penalty per neuron chosen by cross-validation.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        Penalties to choose from; one number fixes it. None: 21 values, 1e-8 to 1e2, for
        ``"ridge"`` and 13, 1e-4 to 1, for ``"group"``, made for ``alpha_scale="relative"``.
    penalty : {"ridge", "group"}
        ``alpha / 2 ||b||^2``, or the group lasso ``alpha sum_g sqrt(|g|) ||b_g||`` over feature
        spaces, which leaves out whole spaces: their weights are exactly 0.
    link : {"exp", "softplus"}
        The rate is ``exposure * f(Xb + c)`` with f the exponential or ``log(1 + exp(.))``.
    cv : int, splitter, or list of (train, test)
        How the training rows are split to choose penalties. An int makes contiguous folds, or
        folds of whole groups when ``fit`` is given ``groups``.
    spaces : sequence of labels (feature,), list of column groups, mapping, or None
        Groups of features. None: coord ``space`` of labelled features, else all in one.
    fit_intercept : bool
        The intercept is not penalised.
    alpha_scale : {"relative", "absolute"}
        ``relative`` multiplies ``alphas`` neuron by neuron: ridge by the mean count times the mean
        variance of the features, which is the mean curvature of the loss at a constant rate; group
        by the smallest penalty at which all spaces are 0, so that 1 is the null model.
        ``absolute`` is the penalty of the formula, ``alpha`` of scikit-learn's PoissonRegressor.
    conservative : bool
        Take the largest penalty whose held-out loss is within one standard error of the best. The
        best itself predicts well and keeps some spaces that do nothing: to tell which spaces
        matter, as couplings, be conservative.
    missing : {"raise", "drop"}
        NaN in responses is an error, or is left out of the likelihood of its neuron.
    tol : float
        Conditions of a minimum hold to this share of the mean count.
    max_iter : int
        Most Newton steps.

    Attributes
    ----------
    coef_ : array (feature,), (neuroid, feature) or (neuroid, time, feature)
    intercept_ : float, or array (neuroid[, time])
        -inf for a neuron that never fires.
    alpha_ : float, or array (neuroid[, time])
        The absolute penalty chosen.
    mean_rate_ : float, or array (neuroid[, time])
        Training spikes per unit of exposure: the null of `bits_per_spike`.
    cv_bits_ : float, or array (neuroid[, time])
        Bits per spike on inner held-out rows against the mean rate of the inner training rows, at
        ``alpha_``; NaN with a single alpha.
    n_iter_, converged_ : int and bool, or arrays (neuroid[, time])
        Of the last fit.
    silent_, separated_ : bool, or arrays (neuroid[, time])
        Neurons that never fire; and those whose weights have no end, as some feature tells for
        sure when they do not fire (found where ``alpha_`` is 0). Both are given their mean rate.
    edge_low_, edge_high_ : float
        Shares of firing neurons whose penalty is the smallest or largest of the grid.
    n_features_in_ : int

    Warns
    -----
    NeuroalignWarning
        Naming neurons that are silent, separated or did not converge; and when more than 20 % of
        neurons sit at one edge of the grid while held-out loss still falls there.

    Notes
    -----
    Minimises ``sum_i w_i (mu_i - y_i log mu_i) / sum_i w_i + penalty``. Each Newton step builds the
    curvatures of all neurons in one matrix product over shared pairs of features, and uses them
    again while they serve. Labelled features in a space ``history:<neuron>`` are used only by the
    neuroid of that name, those in ``coupling:<neuron>`` only by all others (`make_spike_design`).
    A bin of exposure 0 has rate 0 and takes no part in the fit (`mark_refractory`).

    References
    ----------
    Truccolo et al. (2005), J. Neurophysiol. 93, 1074-1089, eq. 4-9; Pillow et al. (2008), Nature
    454, 995-999; Yuan & Lin (2006), J. R. Stat. Soc. B 68, 49-67, eq. 2.1 (group lasso); Lee, Sun
    & Saunders (2014), SIAM J. Optim. 24, 1420-1443, algorithm 1 (proximal Newton).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import PoissonGLM
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(500, 2))
    >>> counts = rng.poisson(np.exp(features @ [0.5, 0.0] - 1.0))
    >>> PoissonGLM().fit(features, counts).predict(features[:3]).shape
    (3,)
    """

    def __init__(
        self,
        alphas: float | Sequence[float] | None = None,
        *,
        penalty: str = "ridge",
        link: str = "exp",
        cv: Any = 5,
        spaces: Any = None,
        fit_intercept: bool = True,
        alpha_scale: str = "relative",
        conservative: bool = False,
        missing: str = "raise",
        tol: float = 1e-8,
        max_iter: int = 100,
    ) -> None:
        self.alphas = alphas
        self.penalty = penalty
        self.link = link
        self.cv = cv
        self.spaces = spaces
        self.fit_intercept = fit_intercept
        self.alpha_scale = alpha_scale
        self.conservative = conservative
        self.missing = missing
        self.tol = tol
        self.max_iter = max_iter

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        groups: Any = None,
        sample_weight: Any = None,
        exposure: Any = None,
    ) -> Self:
        """Choose penalties and fit.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
            Counts, or rates, >= 0.
        groups : sequence (sample,), optional
            Rows of one group stay together in the inner folds.
        sample_weight : array (sample,), optional
            Weight of the loss of each row, in fits and in held-out losses.
        exposure : array (sample,) or like y, optional
            Length of each bin; the rate is in proportion. 0 fixes it to 0.

        Returns
        -------
        PoissonGLM

        Raises
        ------
        ValueError
            On NaN or infinity, negative counts, spikes where the exposure is 0, unknown options.
        SchemaError
            When spaces do not name every feature once.
        """
        penalty = choose(PENALTIES, self.penalty, "penalty")
        grid = read_grid(self.alphas, penalty.default_alphas)
        relative = choose(ALPHA_SCALES, self.alpha_scale, "alpha_scale")
        check_pair(X, y, finite=not choose(MISSING, self.missing, "missing"))
        X, self._features = unwrap(X)
        y, self._targets = unwrap(y)
        if y is not None:
            y, self._shape = flatten_targets(y)
        X, y, weights = self._check_arrays(X, y, sample_weight)
        data = self._gather(X, y.reshape(len(y), -1), weights, exposure)
        folds = read_exact_folds(self.cv, X, y, groups) if len(grid) > 1 else []
        if weights is not None and not weights.all():
            # A row without weight is no row, whether it trains or is held out.
            rows = np.flatnonzero(weights)
            folds, data = keep_rows(folds, rows), data.take(rows, np.arange(data.Y.shape[1]))
        settings = Settings(
            choose(LINKS, self.link, "link"), penalty, self._number_groups(X.shape[1]),
            bool(self.fit_intercept), relative, float(self.tol), int(self.max_iter),
        )  # fmt: skip
        self._fit_neurons(data, settings, folds, grid)
        return self

    def _check_arrays(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Array, Array, Array | None]:
        drop = choose(MISSING, self.missing, "missing")
        y, lost = hide_missing(y) if drop else (y, None)
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2
        )
        y = y.astype(np.float64)
        self._names = name_targets(self._targets, self._shape)
        check_counts(y.reshape(len(y), -1), self._names)
        if lost is not None:
            y = np.where(lost.reshape(y.shape), np.nan, y)
        if sample_weight is None:
            return X, y, None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return X, y, weights

    def _gather(self, X: Array, Y: Array, weights: Array | None, exposure: Any) -> Data:
        known = np.isfinite(Y)
        E = np.broadcast_to(read_exposure(exposure, len(Y), self._shape), Y.shape)
        Y = np.where(known, Y, 0.0)
        check_possible(Y, E, self._names)
        W = known * (1.0 if weights is None else weights[:, None])
        return Data(X, Y, W, E, match_spaces(self._features, self._names, X.shape[1]))

    def _number_groups(self, n_features: int) -> Array:
        group = np.zeros(n_features, dtype=int)
        for number, columns in enumerate(
            read_spaces(self.spaces, self._features, n_features).values()
        ):
            group[columns] = number
        return group

    def _fit_neurons(self, data: Data, settings: Settings, folds: Any, grid: Array) -> None:
        n_targets, n_features = data.used.shape
        found: dict[str, Array] = {
            "alpha": np.full(n_targets, np.nan), "cv_bits": np.full(n_targets, np.nan),
            "intercept": np.zeros(n_targets), "mean_rate": data.rate(),
            "n_iter": np.zeros(n_targets, dtype=int), "converged": np.ones(n_targets, dtype=bool),
            "separated": np.zeros(n_targets, dtype=bool),
        }  # fmt: skip
        self.coef_: Array = np.zeros((n_targets, n_features))
        found["silent"] = ~(np.nan_to_num(found["mean_rate"]) > 0)
        firing = np.flatnonzero(~found["silent"])
        self.alphas_, self.edge_low_, self.edge_high_ = grid, 0.0, 0.0
        if len(firing):
            own = data.take(None, firing)
            alphas = grid[:, None] * scale_penalties(own, settings)
            best, short = self._choose(own, settings, folds, alphas, found["cv_bits"], firing)
            self.edge_low_, self.edge_high_ = measure_edges(best, len(grid), short)
            found["alpha"][firing] = alphas[best, np.arange(len(firing))]
        for part in split_neurons(len(data.X), n_features + 1, len(firing)):
            rows = firing[part]
            coef, intercept, fit, separated = fit_at(
                data.take(None, rows), settings, found["alpha"][rows]
            )
            self.coef_[rows], found["intercept"][rows] = coef, intercept
            found["n_iter"][rows], found["converged"][rows] = fit.n_iter, fit.converged
            found["separated"][rows] = separated
        constant = found["silent"] | found["separated"]
        self.coef_[constant] = 0.0
        with np.errstate(divide="ignore"):
            found["intercept"][constant] = settings.link.inverse(found["mean_rate"][constant])
        self.coef_ = self.coef_.reshape(*self._shape, n_features)
        for name, values in found.items():
            setattr(self, f"{name}_", values.reshape(self._shape)[()])
        report_failures(found, self._names)

    def _choose(
        self, data: Data, settings: Settings, folds: Any, alphas: Array, bits: Array, firing: Array
    ) -> tuple[Array, Array]:
        """Pick the penalty index of each firing neuron, and tell for whom the grid is short."""
        if len(alphas) == 1:
            return np.zeros(alphas.shape[1], dtype=np.intp), np.zeros(alphas.shape[1], dtype=bool)
        judged = judge_penalties(data, settings, folds, alphas)
        best = choose_penalties(judged, conservative=self.conservative)
        spikes = np.where(judged.null > 0, judged.null, np.nan)
        gain = -judged.losses / spikes / np.log(2)
        place = np.arange(len(best))
        bits[firing] = gain[best, place]
        beside = np.clip(best, 1, len(alphas) - 2) if len(alphas) > 2 else 1 - best
        short = (gain[best, place] - gain[beside, place] > EDGE_BITS) & (
            gain[best, place] > EDGE_BITS
        )
        return best, short

    def predict(self, X: Any, exposure: Any = None) -> Any:
        """Predict rates.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        exposure : array (sample,) or like the responses, optional
            As in `fit`; 1 where it is not given.

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
            Spikes per bin. A DataArray when X is one: samples labelled as X, neuroids as in
            training.

        Raises
        ------
        ValueError
            On NaN, another number of features, or an exposure of another shape.
        """
        check_is_fitted(self)
        check_new(self._features, X)
        values, template = unwrap(X)
        values = validate_data(self, values, reset=False, dtype=np.float64)
        eta = predict_linear(values, self.coef_, self.intercept_)
        rate = choose(LINKS, self.link, "link").rate(eta)
        rate = rate * read_exposure(exposure, len(values), self._shape)
        rate = rate.reshape(len(values), *self._shape)
        return rate if template is None else wrap_samples(rate, X, self._targets)

    def score(self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None) -> float:
        """Compute the share of deviance explained, averaged over neuroids (and times).

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        sample_weight : array (sample,), optional
        exposure : array (sample,) or like y, optional

        Returns
        -------
        float
            About the mean of ``y``; neuroids with constant counts are left out.
        """
        check_same_rows(X, y)
        rate, _ = flatten_targets(unwrap(self.predict(X, exposure))[0])
        known, _ = flatten_targets(unwrap(y)[0])
        shares = np.atleast_1d(pseudo_r2(known, rate, sample_weight=sample_weight))
        kept = shares[np.isfinite(shares)]
        return float(kept.mean()) if len(kept) else float("nan")

    @property
    def weights_(self) -> xr.DataArray:
        """Weights as a DataArray (feature, neuroid[, time]), labelled where fit had labels."""
        check_is_fitted(self)
        coef = np.moveaxis(self.coef_, -1, 0)
        return wrap_weights(coef, self._features, self._targets)
