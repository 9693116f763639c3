"""Temporal receptive fields: ridge regression on lagged copies of continuous signals."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import TARGET_DIMS
from neuroalign._gram import Folds
from neuroalign.encoders._engine import Judged, choose_penalties, find_edges
from neuroalign.encoders._labelled import (
    TOP_EDGE_R2,
    LabelledRegressor,
    measure_edges,
    read_exact_folds,
    read_grid,
    score_r2,
)
from neuroalign.encoders._lagged import (
    Moments,
    add_moments,
    check_memory,
    gather_moments,
    make_identity,
    make_laplacian,
    make_normal,
    predict_lagged,
    solve_penalised,
    sum_loss,
)
from neuroalign.encoders._stretches import Clock, cut_stretches, find_stretches, read_clock
from neuroalign.encoders.ridge import ALPHA_SCALES, DEFAULT_ALPHAS
from neuroalign.errors import choose

Array = npt.NDArray[Any]
# Which way time runs from X to y: the brain follows the stimulus in both.
DIRECTIONS = {"encoding": 1, "decoding": -1}
PENALTIES = {"ridge": make_identity, "laplacian": make_laplacian}


class TemporalReceptiveField(LabelledRegressor):
    """Linear map from the recent past (or future) of continuous signals, one weight a lag.

    Parameters
    ----------
    lags : tuple of float
        First and last lag of the response behind the stimulus [s], both included; negative ones
        look ahead. Each is rounded to the nearest whole sample (half to even): ``lags_`` tells.
        In samples where no sampling rate is known.
    alphas : float, sequence of float, or None
        Penalties to choose from, per target; one number fixes it. None: 19 from 1e-4 to 1e5.
    sampling_rate : float or None
        [Hz]. None: from ``onset`` of X, or ``attrs["sampling_rate"]``.
    direction : {"encoding", "decoding"}
        ``encoding``: X is the stimulus, y the responses, ``y(t) = sum_l w_l x(t - l)``.
        ``decoding``: X holds the sensors, y the stimulus, ``y(t) = sum_l w_l x(t + l)``. For
        `cross_validate` sensors become features, ``features_from_arrays(eeg.values, run=...,
        onset=...)``, and the stimulus responses, ``from_arrays(sound.values, run=..., onset=...,
        modality="behaviour")``.
    regularization : {"ridge", "laplacian"}
        Penalise squared weights, or squared differences of weights at neighbouring lags.
    fit_intercept : bool
        Take training means out of X and y first, in each inner fold too.
    cv : int, splitter or list of (train, test)
        How penalties are chosen. An int makes folds of whole ``groups``, else of whole runs, else
        stretches of the one run.
    alpha_scale : {"relative", "absolute"}
        ``relative`` multiplies ``alphas`` by the mean eigenvalue of the lagged X X', as `Ridge`.

    Attributes
    ----------
    coef_ : array or DataArray ([neuroid[, time], ]feature, lag)
        A DataArray with ``lag`` [s] when fit had labels.
    intercept_ : float, or array (neuroid[, time])
        The constant of samples whose lags all lie inside their run.
    patterns_ : as ``coef_``
        With ``direction="decoding"`` only: how sensors carry what is decoded.
    lags_ : array (lag,)
        [s]
    sampling_rate_ : float
        [Hz]; 1 where lags are in samples.
    alphas_ : array (alpha,)
    alpha_, cv_mse_, cv_r2_ : float, or array (neuroid[, time])
    edge_low_, edge_high_ : float

    Warns
    -----
    NeuroalignWarning
        When many penalties sit at one edge of the grid.

    Notes
    -----
    Weights are those of ridge regression on the explicit lagged matrix whose columns are the
    centred signals, moved and zero-filled within each run. Nothing crosses from run to run, nor
    over a gap in ``onset``. ``predict`` fills with the training mean in the same way. The matrix
    is never made: its Gram matrix follows from auto-correlations and the ends of runs, and those
    of all folds from one pass over the data. Memory beyond the inputs is that of a few Gram
    matrices (lag feature)**2, whatever the number of samples. Folds that cut a run in pieces treat
    each piece as a run of its own, as ``fit`` does with rows picked out of a run that bear
    ``onset``; without it rows count as following each other.

    References
    ----------
    Theunissen et al. (2001), Network 12(3), doi:10.1080/net.12.3.289.316.
    Crosse et al. (2016), Front. Hum. Neurosci. 10, 604, doi:10.3389/fnhum.2016.00604.
    Haufe et al. (2014), NeuroImage 87, equation 6, doi:10.1016/j.neuroimage.2013.10.067.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> sound = rng.normal(size=(2000, 1))
    >>> brain = np.roll(sound, 3, axis=0) + rng.normal(size=(2000, 1))
    >>> field = TemporalReceptiveField((0.0, 0.05), sampling_rate=100).fit(sound, brain)
    >>> field.lags_[field.coef_[0, 0].argmax()].item()
    0.03
    """

    def __init__(
        self,
        lags: tuple[float, float] = (0.0, 0.0),
        alphas: float | Sequence[float] | Array | None = None,
        *,
        sampling_rate: float | None = None,
        direction: str = "encoding",
        regularization: str = "ridge",
        fit_intercept: bool = True,
        cv: Any = 5,
        alpha_scale: str = "relative",
    ) -> None:
        self.lags = lags
        self.alphas = alphas
        self.sampling_rate = sampling_rate
        self.direction = direction
        self.regularization = regularization
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.alpha_scale = alpha_scale

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Choose penalties and fit.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
            Runs are read from coord ``run``, the order of rows from ``onset``.
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        groups : sequence (sample,), optional
            Kept whole in inner folds; also the runs of an X that names none.

        Returns
        -------
        TemporalReceptiveField

        Raises
        ------
        ValueError
            On NaN or infinity, unknown options, or lags that are no range or reach as far as the
            longest run.
        MemoryError
            When the Gram matrices of all lags do not fit the machine.
        AlignError
            When onsets are not evenly spaced.
        """
        self._clock = read_clock(X, groups, self.sampling_rate)
        super().fit(X, y, groups=groups)
        del self._clock
        return self

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        grid = read_grid(self.alphas, DEFAULT_ALPHAS)
        sign = choose(DIRECTIONS, self.direction, "direction")
        make_penalty = choose(PENALTIES, self.regularization, "regularization")
        relative = choose(ALPHA_SCALES, self.alpha_scale, "alpha_scale")
        first, last = self._read_lags(sign)
        stretches = find_stretches(self._clock, len(X))
        self._check_reach(max(map(len, stretches)))
        check_memory(last - first + 1, X.shape[1])
        center = bool(self.fit_intercept)
        x_mean = X.mean(axis=0, dtype=np.float64) * center
        y_mean = Y.mean(axis=0, dtype=np.float64) * center
        # About the mean of all rows, which those of the folds are near: little cancels.
        wide = np.subtract(X, x_mean), np.subtract(Y, y_mean)
        folds = self._make_folds(X, Y, groups) if len(grid) > 1 else []
        everything, parts = _split_moments(*wide, stretches, folds, first, last)
        still = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
        normal = make_normal(everything, *still)
        scale = float(np.trace(normal.gram)) / len(X) if relative else 1.0
        self.alphas_ = grid * (scale if scale > 0 else 1.0)
        penalty = make_penalty(last - first + 1, X.shape[1])
        losses, null = self._judge(parts, penalty, center, Y.shape[1])
        best = choose_penalties(Judged(losses, null, losses))
        level = Y[0] if center else np.zeros(Y.shape[1])
        constant = (level == Y).all(axis=0)
        best[constant] = len(grid) - 1
        weights = np.zeros(normal.cross.shape)
        for row in np.unique(best[~constant]):
            columns = (best == row) & ~constant
            own = normal._replace(cross=normal.cross[:, columns])
            weights[:, columns] = solve_penalised(own, penalty, float(self.alphas_[row]))
        self._means = x_mean.astype(X.dtype), y_mean.astype(X.dtype)
        self._first, self._sign = first, sign
        self._weights = weights.astype(X.dtype).reshape(-1, X.shape[1], Y.shape[1])
        self.coef_ = self._shape_weights(self._weights)
        self.intercept_ = (y_mean - x_mean @ self._weights.sum(axis=0)).astype(X.dtype)
        self.intercept_ = self.intercept_.reshape(self._shape)[()]
        self._store(losses, null, best, constant)
        if sign < 0:
            carried = normal.gram @ weights
            patterns = carried @ np.linalg.pinv(weights.T @ carried, hermitian=True)
            self.patterns_ = self._shape_weights(
                patterns.astype(X.dtype).reshape(self._weights.shape)
            )

    def _read_lags(self, sign: int) -> tuple[int, int]:
        """Turn lags [s] into samples of X behind y."""
        lags = np.asarray(self.lags)
        numbers = lags.shape == (2,) and lags.dtype.kind in "iuf" and np.isfinite(lags).all()
        if not numbers or lags[0] > lags[1]:
            raise ValueError(
                f"lags: expected the first and the last lag in seconds, got {self.lags!r}. "
                "Pass (0.0, 0.4), say."
            )
        rate = self._clock.rate
        if rate is None and np.any(lags != np.rint(lags)):
            cause = (
                "no 'onset' in X. Pass it"
                if self._clock.onset is None
                else "onsets that do not tell: X has no 'run', and most come several times. Name "
                "the runs (coord 'run', or groups=), pass sampling_rate"
            )
            raise ValueError(
                f"sampling_rate: expected a number of Hz for lags of {self.lags} s, got none and "
                f"{cause}. Without it lags are whole numbers of samples."
            )
        self.sampling_rate_ = 1.0 if rate is None else float(rate)
        low, high = np.rint(lags * self.sampling_rate_).astype(int).tolist()
        self.lags_ = np.arange(low, high + 1) / self.sampling_rate_
        return (low, high) if sign > 0 else (-high, -low)

    def _check_reach(self, longest: int) -> None:
        """Refuse lags at which no sample has a past."""
        if np.abs(np.rint(self.lags_ * self.sampling_rate_)).max() < longest:
            return
        timed = self._clock.rate is not None
        unit = "s" if timed else "samples"
        raise ValueError(
            f"lags: expected lags within the longest run ({longest / self.sampling_rate_:g} "
            f"{unit}), got {self.lags!r}, longer than every run. "
            + ("Seconds are expected, not milliseconds." if timed else "Pass sampling_rate= and s.")
        )

    def _make_folds(self, X: Array, Y: Array, groups: Any) -> Folds:
        labels = groups if groups is not None else self._clock.run
        if labels is not None and len(np.unique(np.asarray(labels))) < 2:
            labels = None
        return read_exact_folds(self.cv, X, Y, labels)

    def _judge(
        self, parts: list[tuple[Moments, Moments]], penalty: Array, center: bool, n_targets: int
    ) -> tuple[Array, Array]:
        """Mean squared error on held-out rows: (alpha, target), and that of the mean (target,)."""
        losses = np.zeros((len(self.alphas_), n_targets))
        null = np.zeros(n_targets)
        for train, test in parts:
            means = train.x_sum / train.n * center, train.y_sum / train.n * center
            known, unknown = make_normal(train, *means), make_normal(test, *means)
            null += unknown.square
            for row, alpha in enumerate(self.alphas_.tolist()):
                losses[row] += sum_loss(unknown, solve_penalised(known, penalty, alpha))
        n_tested = sum(test.n for _, test in parts)
        if not n_tested:
            return np.full(losses.shape, np.nan), np.full(n_targets, np.nan)
        return losses / n_tested, null / n_tested

    def _store(self, losses: Array, null: Array, best: Array, constant: Array) -> None:
        mse = losses[best, np.arange(len(best))]
        r2 = 1 - np.divide(mse, null, out=np.full_like(mse, np.nan), where=(null > 0) & ~constant)
        low, high = find_edges(losses, best)
        short = (low.all(axis=0) | high.all(axis=0)) & (r2 > TOP_EDGE_R2)
        self.edge_low_, self.edge_high_ = measure_edges(
            best[~constant], len(losses), short[~constant]
        )
        self.alpha_ = self.alphas_[best].reshape(self._shape)[()]
        self.cv_mse_ = mse.reshape(self._shape)[()]
        self.cv_r2_ = r2.reshape(self._shape)[()]

    def _shape_weights(self, weights: Array) -> Any:
        """Turn weights (lag, input, target) about, and label them where there were labels."""
        ordered = weights[:: self._sign].transpose(2, 1, 0)
        values = ordered.reshape(*self._shape, *ordered.shape[1:])
        if self._features is None and self._targets is None:
            return values
        coords: dict[Any, Any] = {"lag": self.lags_}
        target_dims: tuple[str, ...] = TARGET_DIMS[: len(self._shape)]
        if self._targets is not None:
            target_dims = tuple(map(str, self._targets.dims[1:]))
            coords |= dict(self._targets.coords)
        inputs = "feature" if self._features is None else str(self._features.dims[1])
        if inputs in target_dims:
            inputs = f"{inputs}_in"
        elif self._features is not None:
            own = {key: c for key, c in self._features.coords.items() if c.dims == (inputs,)}
            coords |= {key: c for key, c in own.items() if key not in coords}
        return xr.DataArray(values, coords, (*target_dims, inputs, "lag"))

    def predict(self, X: Any, *, groups: Any = None) -> Any:
        """Predict within runs.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        groups : sequence (sample,), optional
            Runs of an X that names none.

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
            A DataArray when X is one: samples labelled as X, targets as in training.

        Raises
        ------
        AlignError
            When onsets are not evenly spaced at the rate of training.
        """
        values = self._check_new(X)
        known = read_clock(X, groups, self.sampling_rate)
        clock = Clock(known.run, known.onset, self.sampling_rate_)
        x_mean, y_mean = self._means
        predicted = np.empty((len(values), self._weights.shape[2]), dtype=values.dtype)
        weights = self._weights.astype(values.dtype, copy=False)
        for rows in find_stretches(clock, len(values)):
            predicted[rows] = predict_lagged(values[rows] - x_mean, weights, self._first)
        predicted += y_mean
        return self._label(predicted.reshape(len(values), *self._shape), X)

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> float:
        """Compute R2 averaged over targets, as scikit-learn does.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        sample_weight : array (sample,), optional
        groups : sequence (sample,), optional
            Runs of an X that names none.

        Returns
        -------
        float
        """
        return score_r2(self.predict(X, groups=groups), y, sample_weight)

    @property
    def weights_(self) -> xr.DataArray:
        """Weights as a DataArray (feature, lag, neuroid[, time]), labelled where fit had labels."""
        check_is_fitted(self)
        coef = self.coef_
        if not isinstance(coef, xr.DataArray):
            dims = (*TARGET_DIMS[: len(self._shape)], "feature", "lag")
            coef = xr.DataArray(coef, {"lag": self.lags_}, dims)
        return coef.transpose(*coef.dims[-2:], ...)


def _split_moments(
    X: Array, Y: Array, stretches: list[Array], folds: Folds, first: int, last: int
) -> tuple[Moments, list[tuple[Moments, Moments]]]:
    """Gather the moments of all rows, and of the training and test rows of each fold."""
    if not folds:
        return gather_moments(X, Y, stretches, first, last), []
    side = np.zeros((len(X), len(folds)), dtype=np.int8)
    for number, (train, test) in enumerate(folds):
        side[train, number], side[test, number] = 1, 2
    kinds, member = np.unique(side, axis=0, return_inverse=True)
    pieces = cut_stretches(stretches, member.ravel())
    cells = [
        gather_moments(X, Y, [rows for part, rows in pieces if part == kind], first, last)
        for kind in range(len(kinds))
    ]
    parts = [
        tuple(
            add_moments([cells[kind] for kind in np.flatnonzero(kinds[:, number] == role)])
            for role in (1, 2)
        )
        for number in range(len(folds))
    ]
    whole = len(pieces) == len(stretches)
    everything = add_moments(cells) if whole else gather_moments(X, Y, stretches, first, last)
    return everything, parts  # type: ignore[return-value]
