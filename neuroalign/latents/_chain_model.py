"""What hidden Markov models share: fitting, states, likelihood and draws around an emission."""

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign.errors import FitError, NeuroalignWarning
from neuroalign.latents._base import LatentModel
from neuroalign.latents._chain_fit import Bins, Options, fit_chain, take_bins
from neuroalign.latents._emissions import Emission, Params
from neuroalign.latents._hmm import Smoothed, find_path, smooth
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]


class ChainModel(LatentModel):
    """A hidden Markov chain; subclasses say what its states emit."""

    identifiability_ = "permutation"
    log_prob_kind_ = "exact"

    def __init__(
        self, n_states: int, stickiness: float, concentration: float, prior: float,
        n_restarts: int, max_iter: int, tol: float, seed: int,
    ) -> None:  # fmt: skip
        self.n_states = n_states
        self.stickiness = stickiness
        self.concentration = concentration
        self.prior = prior
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.tol = tol
        self.seed = seed

    @abstractmethod
    def _make_emission(self, units: int) -> Emission:
        """The family of emissions."""

    def _prepare(self, Y: Array, observed: Array) -> tuple[Array, Array]:
        """Bins as the emission wants them."""
        return Y, observed

    def _check_options(self) -> None:
        for name in ("n_states", "n_restarts", "max_iter"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name}: expected an integer >= 1, got {value!r}. Pass 5, say.")
        lowest = {"stickiness": 0.0, "concentration": 1.0, "prior": 0.0, "tol": 0.0}
        for name, low in lowest.items():
            value = getattr(self, name)
            if not value >= low:
                raise ValueError(f"{name}: expected at least {low:g}, got {value!r}. Raise it.")

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        self._check_options()
        emission = self._make_emission(Y.shape[2])
        problem = emission.find_problem(Y[observed])
        if problem:
            raise ValueError(f"X: expected {problem}. Choose another emission.")
        self._centre = np.zeros(Y.shape[2])
        if emission.centred:
            self._centre = Y.sum(axis=(0, 1)) / observed.sum(axis=(0, 1))
        bins = take_bins(*self._prepare(np.where(observed, Y - self._centre, 0.0), observed))
        known = int((bins.seen.sum(axis=1) > 0).sum())
        if known < self.n_states:
            raise ValueError(
                f"X: expected at least as many observed bins as the {self.n_states} states, got "
                f"{known}. Use fewer states."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            emission.setup(bins.Y, bins.seen, self.prior)
        options = Options(
            self.n_states, self.concentration, self.stickiness, self.n_restarts, self.max_iter,
            self.tol,
        )  # fmt: skip
        try:
            chain = fit_chain(bins, emission, options, self.seed)
        except np.linalg.LinAlgError as error:
            raise FitError(
                f"{type(self).__name__}: expected positive covariances, got none ({error}). "
                "Standardise X, or raise prior."
            ) from error
        self._emission, self._chain = emission, chain
        self.history_ = {"objective": chain.objective}
        self.n_iter_, self.converged_ = len(chain.objective), chain.converged
        self.params_ = self._describe(labels)
        self._say_problems()

    def _say_problems(self) -> None:
        if self._chain.rescued:
            self._tell(
                f"n_states: expected states that are visited, got {self._chain.rescued} that died "
                f"and were started anew. Use fewer than {self.n_states}."
            )
        if not self.converged_ and np.isfinite(self._chain.objective[-1]):
            self._tell(
                f"max_iter: expected to converge, got a gain above tol after {self.n_iter_} "
                "steps. Raise max_iter or tol."
            )

    def _tell(self, message: str) -> None:
        self.warnings_.append(message)
        warnings.warn(message, NeuroalignWarning, stacklevel=5)

    def _place(self, params: Params) -> Params:
        """Parameters in the units of the data, for ``params_``."""
        return params

    def _describe(self, labels: Labels) -> xr.Dataset:
        states = np.array([f"state-{number:02d}" for number in range(self.n_states)])
        names: dict[str, Any] = {
            "start": ("state", self._chain.start),
            "transition": (("state", "state_next"), self._chain.transition),
        }
        for name, values in self._place(self._chain.params).items():
            names[name] = (self._emission.names[name], values)
        coords = {"state": states, "state_next": states, **labels.on_neuroid()}
        return xr.Dataset(names, coords=coords)

    def _read_bins(self, Y: Array, observed: Array) -> Bins:
        problem = self._emission.find_problem(Y[observed])
        if problem:
            raise ValueError(f"X: expected {problem}. Bring it to what was fitted.")
        Y, seen = self._prepare(np.where(observed, Y - self._centre, 0.0), observed)
        units = Y.shape[2]
        every = np.ones(Y.shape[:2], dtype=bool)
        return Bins(Y.reshape(-1, units), seen.reshape(-1, units).astype(np.float64), every)

    def _weigh(self, Y: Array, observed: Array) -> Array:
        bins = self._read_bins(Y, observed)
        return bins.lay_out(self._emission.log_likelihood(bins.Y, bins.seen, self._chain.params))

    def _smooth(self, Y: Array, observed: Array) -> Smoothed:
        log_b = self._weigh(Y, observed)
        lengths = np.full(len(Y), Y.shape[1])
        return smooth(log_b, self._chain.start, self._chain.transition, lengths)

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return self._smooth(Y, observed).posterior

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        posterior = self._smooth(Y, observed).posterior
        return np.asarray(posterior @ self._emission.mean(self._chain.params) + self._centre)

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        return self._smooth(Y, observed).log_prob

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        chain, k = self._chain, self.n_states
        edges, states = chain.transition.cumsum(axis=1), np.empty((n_trials, n_bins), dtype=int)
        states[:, 0] = rng.choice(k, size=n_trials, p=chain.start)
        for t in range(1, n_bins):
            above = rng.uniform(size=(n_trials, 1)) > edges[states[:, t - 1], :-1]
            states[:, t] = above.sum(axis=1)
        draws = [self._emission.draw(chain.params, path, rng) for path in states]
        return np.stack(draws) + self._centre, np.eye(k)[states]

    def predict_states(self, X: Any, *, mask: Any = None) -> Any:
        """Find the most probable path of states (Viterbi).

        Parameters
        ----------
        X : as in `fit`
        mask : bool, shape of X or (neuroid,), optional

        Returns
        -------
        DataArray (sample, time) or (sample,), array alike, or list of arrays
            Numbers of states as floats, in the layout of X; NaN after a trial's end.
        """
        check_is_fitted(self, "params_")
        trials = self._read(X, mask)
        log_b = self._weigh(trials.Y[:, :, self.kept_], trials.observed[:, :, self.kept_])
        path = find_path(log_b, self._chain.start, self._chain.transition)
        return trials.wrap_states(path)
