"""What every latent model shares: labels in, labels out, masks honoured, nothing unsound kept.

To write one: subclass `LatentModel` with an ``__init__`` that only stores its arguments, and the
five hooks, which see padded float64 trials. Entries that are not observed hold 0 and must not
count; bins in which nothing is observed (hidden ends, padding) are still to be inferred and
forecast, over the whole time axis: the base blanks what lies after a trial's end.
"""

import warnings
from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neuroalign._spike_scores import bits_per_spike
from neuroalign.errors import FitError, NeuroalignWarning, SchemaError, some
from neuroalign.latents import _input_checks as checks
from neuroalign.latents._saved import Saved
from neuroalign.latents._trials import Labels, Trials, read_trials

Array = npt.NDArray[Any]
# Share of the units that `score` hides, and the smallest rate a prediction of counts may have.
HIDDEN, LOWEST_RATE = 0.25, 1e-9


class LatentModel(Saved, BaseEstimator):  # type: ignore[misc]
    """Low-dimensional description of a population, fitted to trials of any lengths.

    Attributes
    ----------
    params_ : Dataset
        The parameters, with named dims; storable.
    history_ : dict of str to list of float
        The objective ("objective") after each iteration, where there are iterations.
    converged_ : bool
    n_iter_ : int
    warnings_ : list of str
        What a user should know of this fit; also issued as `NeuroalignWarning` where it can be
        acted on.
    identifiability_ : {"affine", "rotation", "permutation_sign", "permutation"}
        Up to what the latents are determined: the alignment that `align_latents` may use.
    log_prob_kind_ : {"exact", "elbo", "laplace"}
    kept_ : array of bool (neuroid,)
        False for units that are constant or never seen in training. They are left out of the
        model; their predicted rate is their mean.
    mean_rate_ : array (neuroid,)
        Mean of the observed training bins, the null of `score`.
    largest_ : array (neuroid,)
        Largest observed training value.
    counts_ : bool
        Whether all training values were whole and not negative, so that `score` is in bits.
    supervised_ : bool
        Whether `fit` uses y: `score_latents` then also fits to y dealt anew over trials.
    """

    # Overridden where a model differs.
    identifiability_: str = "affine"
    log_prob_kind_: str = "exact"
    supervised_: bool = False
    _min_bins: ClassVar[int] = 2
    _drop_constant: ClassVar[bool] = True

    params_: xr.Dataset
    history_: dict[str, list[float]]
    converged_: bool
    n_iter_: int
    warnings_: list[str]

    @abstractmethod
    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        """Fit to Y (trial, time, unit); set ``params_``, ``history_``, ``converged_``, ``n_iter_``.

        ``warnings_`` is a list already: append to it.
        """

    def _fit_with(self, Y: Array, observed: Array, labels: Labels, y: Any) -> None:
        """Fit to y, too: what a supervised model overrides. Others ignore y, as scikit-learn's."""
        self._fit_arrays(Y, observed, labels)

    @abstractmethod
    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        """Posterior mean (trial, time, latent) given the observed entries."""

    @abstractmethod
    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        """Expected value of each entry (trial, time, unit) given the observed entries."""

    @abstractmethod
    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        """Log-likelihood (or its bound) of the observed entries, in nats, one a trial (trial,)."""

    @abstractmethod
    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Draw values (trial, time, unit) and latents (trial, time, latent)."""

    def fit(self, X: Any, y: Any = None, *, mask: Any = None) -> Self:
        """Fit to trials.

        Parameters
        ----------
        X : DataArray (sample, neuroid, time) or (sample, neuroid), array alike, or list of arrays
            Trials; with two dims, continuous bins, each run a trial; in a list, one
            (neuroid, time) a trial. NaN, and bins outside coord ``valid``, are not observed.
        y : any, optional
            Of the same trials, for models that are ``supervised_``; others ignore it.
        mask : bool, shape of X or (neuroid,), optional
            True hides an entry, or a whole unit.

        Returns
        -------
        LatentModel

        Raises
        ------
        SchemaError
            On other shapes, infinite values, or a mask that does not fit.
        ValueError
            When nothing varies, or trials are too short for the model.
        FitError
            When the objective or a parameter is not finite.

        Warns
        -----
        NeuroalignWarning
            Naming units that are constant or never observed, which are left out; and when the
            steps did not suffice.
        """
        self._check_input(X)
        trials = read_trials(X, mask)
        self.warnings_ = []
        self._measure(trials)
        self._labels = trials.labels
        used = trials.observed[:, :, self.kept_]
        self._fit_with(trials.Y[:, :, self.kept_], used, trials.labels.take(self.kept_), y)
        self._check_fit()
        self.params_.attrs.setdefault("kind", "estimate")
        self.params_.attrs.setdefault("method", type(self).__name__)
        if trials.labels.bin_size:
            self.params_.attrs.setdefault("time_step", trials.labels.bin_size)
        return self

    def transform(self, X: Any, *, mask: Any = None) -> Any:
        """Infer latents from all observed entries of each trial, past and future.

        Parameters
        ----------
        X : as in `fit`
        mask : bool, shape of X or (neuroid,), optional

        Returns
        -------
        DataArray (sample, time, latent) or (sample, latent), array alike, or list of arrays
            In the layout of X, its labels kept; NaN after a trial's end.
        """
        trials = self._read(X, mask)
        used = trials.observed[:, :, self.kept_]
        return trials.wrap_latents(self._infer_arrays(trials.Y[:, :, self.kept_], used))

    def predict_rates(self, X: Any, *, mask: Any = None) -> Any:
        """Expected value of every unit in every bin, also of those hidden.

        Parameters
        ----------
        X : as in `fit`
        mask : bool, shape of X or (neuroid,), optional
            Hidden entries do not influence any prediction.

        Returns
        -------
        DataArray (sample, neuroid, time) or (sample, neuroid), array alike, or list of arrays
            Spikes per bin for counts.
        """
        trials = self._read(X, mask)
        return trials.wrap_rates(self._predict(trials), self._labels)

    def log_prob(self, X: Any, *, mask: Any = None) -> Any:
        """Log-likelihood of the observed entries of each trial, in nats.

        Exact, a bound or an approximation: see ``log_prob_kind_``.

        Parameters
        ----------
        X : as in `fit`
        mask : bool, shape of X or (neuroid,), optional

        Returns
        -------
        DataArray (sample,) or (run,), or array (trial,)
        """
        trials = self._read(X, mask)
        used = trials.observed[:, :, self.kept_]
        found = self._log_prob_arrays(trials.Y[:, :, self.kept_], used)
        return trials.wrap_trials(np.asarray(found, dtype=np.float64))

    def sample(
        self, n_trials: int, n_bins: int, seed: int = 0
    ) -> tuple[xr.DataArray, xr.DataArray]:
        """Draw new trials from the fitted model.

        Parameters
        ----------
        n_trials, n_bins : int
        seed : int

        Returns
        -------
        DataArray (sample, neuroid, time)
            Responses.
        DataArray (sample, time, latent)
            The latents behind them.
        """
        check_is_fitted(self, "params_")
        values, latents = self._sample_arrays(n_trials, n_bins, np.random.default_rng(seed))
        full = np.tile(self.mean_rate_, (n_trials, n_bins, 1))
        full[:, :, self.kept_] = values
        width = self._labels.bin_size or 1.0
        names = np.array([f"trial-{i:04d}" for i in range(n_trials)])
        coords = {"stimulus": ("sample", names), **self._labels.on_neuroid()}
        coords["time"] = ("time", np.arange(n_bins) * width)
        responses = xr.DataArray(
            full.transpose(0, 2, 1), dims=("sample", "neuroid", "time"), coords=coords,
            attrs={"kind": "responses"},
        )  # fmt: skip
        inside = np.ones((n_trials, n_bins), dtype=bool)
        shell = Trials(full, np.ones(full.shape, dtype=bool), inside, self._labels, responses)
        return responses, shell.wrap_latents(latents)

    def score(self, X: Any, y: Any = None) -> float:
        """Predict a fixed quarter of the units from the others.

        Parameters
        ----------
        X : as in `fit`
        y : ignored

        Returns
        -------
        float
            Bits per spike beyond the training mean when the training data were counts, else the
            share of variance explained beyond it. `cosmooth` scores with held-out trials,
            several splits and other readouts.
        """
        trials = self._read(X, None)
        kept = np.flatnonzero(self.kept_)
        rng = np.random.default_rng(0)
        held = np.sort(rng.permutation(kept)[: max(1, round(HIDDEN * len(kept)))])
        seen = trials.observed.copy()
        seen[:, :, held] = False
        hidden = Trials(
            np.where(seen, trials.Y, 0.0), seen, trials.inside, trials.labels, trials.source
        )
        rates = self._predict(hidden)[:, :, held]
        judged = trials.observed[:, :, held]
        y_held = np.where(judged, trials.Y[:, :, held], np.nan)
        return score_entries(y_held, rates, self.mean_rate_[held], counts=self.counts_)

    def _predict(self, trials: Trials) -> Array:
        used = trials.observed[:, :, self.kept_]
        rates = np.tile(self.mean_rate_, (*trials.inside.shape, 1))
        rates[:, :, self.kept_] = self._rates_arrays(trials.Y[:, :, self.kept_], used)
        return rates

    def _bound_rates(self, rates: Array) -> Array:
        """Keep rates (trial, time, unit) of an exponential link within what training reached.

        Where units are hidden, the others may carry latents beyond all that was seen; no rate
        above the largest count of a bin would have been likelier for any bin.
        """
        return np.asarray(np.minimum(rates, self.largest_[self.kept_]))

    def _measure(self, trials: Trials) -> None:
        """Find which units vary, their means, and whether all are counts."""
        Y, seen = trials.Y, trials.observed
        if not seen.any() and not np.isfinite(np.asarray(trials.Y)[trials.inside]).any():
            raise ValueError(
                f"X: expected values to learn from, got no observed value of {Y.shape[2]} units."
                " Check for NaN and valid."
            )
        longest = int(trials.inside.sum(axis=1).max())
        if longest < self._min_bins:
            raise ValueError(
                f"X: expected trials of at least {self._min_bins} bins, got {longest}. Bins over "
                "time are the last dim of three, or the first of two."
            )
        n = seen.sum(axis=(0, 1))
        with np.errstate(invalid="ignore"):
            self.mean_rate_ = np.where(n > 0, Y.sum(axis=(0, 1)) / np.maximum(n, 1), np.nan)
        low = np.where(seen, Y, np.inf).min(axis=(0, 1))
        high = np.where(seen, Y, -np.inf).max(axis=(0, 1))
        values, self.largest_ = Y[seen], high
        whole = bool((values >= 0).all() and (values == np.rint(values)).all())
        self.counts_ = whole and not checks.says_rates(trials.source)
        varies = (n > 0) & (high > low)
        if not varies.any():
            raise ValueError(
                f"X: expected units that vary, got {len(n)} that are constant or never observed. "
                "Check the mask and the bin size."
            )
        self.kept_ = varies if self._drop_constant else n > 0
        left = trials.labels.neuroid[~self.kept_]
        if len(left):
            message = (
                f"X: expected units that vary, got {len(left)} constant or never observed "
                f"({some(left)}). They are left out of the model."
            )
            self.warnings_.append(message)
            warnings.warn(message, NeuroalignWarning, stacklevel=3)

    def _say_unsettled(self, limit: str = "max_iter") -> None:
        """Tell of a fit that was cut short; called where the model is fitted."""
        if not self.converged_:
            message = (
                f"{limit}: expected to converge, got a gain above tol after {self.n_iter_} steps. "
                f"Raise {limit} or tol."
            )
            self.warnings_.append(message)
            warnings.warn(message, NeuroalignWarning, stacklevel=5)

    def _check_fit(self) -> None:
        """Never keep a fit that is not sound."""
        name = type(self).__name__
        for key, values in self.history_.items():
            bad = ~np.isfinite(np.asarray(values, dtype=np.float64))
            if bad.any():
                raise FitError(
                    f"{name}: expected a finite '{key}', got {values[int(bad.argmax())]} in "
                    f"iteration {int(bad.argmax())}. Standardise X, or use fewer latents."
                )
        for name_of, variable in self.params_.data_vars.items():
            if variable.dtype.kind == "f" and not np.isfinite(variable.values).all():
                raise FitError(
                    f"{name}: expected finite parameters, got NaN or infinity in '{name_of}'. "
                    "Standardise X, or use fewer latents."
                )

    def _models_counts(self) -> bool:
        """Whether values must be counts per bin."""
        return False

    def _check_input(self, X: Any) -> None:
        """What labels say against this model: an uneven clock, or rates for counts."""
        if self._min_bins > 1:
            checks.check_clock(X)
        if self._models_counts():
            checks.check_count_units(X)

    def _read(self, X: Any, mask: Any) -> Trials:
        check_is_fitted(self, "params_")
        self._check_input(X)
        trials = read_trials(X, mask)
        own, new = self._labels, trials.labels
        if len(own.neuroid) != len(new.neuroid):
            raise SchemaError(
                f"X: expected the {len(own.neuroid)} units of fit, got {len(new.neuroid)}. Pass "
                "all of them, and hide what is missing with mask or NaN."
            )
        if own.named and new.named:
            checks.check_names(own.neuroid, new.neuroid)
        if own.bin_size and new.bin_size and abs(new.bin_size / own.bin_size - 1) > 0.01:
            raise SchemaError(
                f"X: expected bins of {own.bin_size:g} s as in fit, got {new.bin_size:g} s. "
                "Bin the spikes anew."
            )
        return trials


def score_entries(observed: Array, rates: Array, null: Array, *, counts: bool) -> float:
    """Score predictions of hidden entries against constant ones.

    Parameters
    ----------
    observed : array (..., unit)
        NaN is left out.
    rates : array (..., unit)
    null : array (unit,)
        The constant prediction.
    counts : bool
        Bits per spike when True, else the share of squared error removed.

    Returns
    -------
    float
    """
    rates = np.where(np.isfinite(observed), rates, np.nan)
    flat = null + np.zeros_like(rates)
    if counts:
        rates, flat = np.maximum(rates, LOWEST_RATE), np.maximum(flat, LOWEST_RATE)
        return float(bits_per_spike(observed.ravel(), rates.ravel(), flat.ravel()))
    left = np.nansum((observed - rates) ** 2)
    return float(1.0 - left / np.nansum((observed - flat) ** 2))
