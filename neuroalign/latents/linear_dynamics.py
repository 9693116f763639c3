"""Linear dynamical systems: latents that follow a linear law, seen through noise or counts."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import NeuroalignWarning, choose
from neuroalign.latents._base import LatentModel
from neuroalign.latents._kalman import States
from neuroalign.latents._linear_fit import OBSERVATIONS, Observations, fit_linear, start_linear
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]


class LinearDynamics(LatentModel):
    """Latents ``z_t+1 = A z_t + noise``; units are a linear map of them, with noise or counts.

    Parameters
    ----------
    n_latents : int
    observations : {"gaussian", "poisson"}
        Signals with a variance for each unit, or counts with rates ``exp(C z + d)``.
    max_iter : int
    tol : float
        Stop when a step gains less than so many nats a bin.

    Attributes
    ----------
    params_ : Dataset
        ``dynamics`` (latent_next, latent), ``dynamics_noise``, ``start_mean``,
        ``start_covariance``, ``loadings`` (neuroid, latent), ``offset``, ``noise`` (variance of
        each unit; 1 for counts), ``eigenvalue_real`` and ``eigenvalue_imag`` (mode) of the
        dynamics, largest first.
    history_ : dict of str to list of float
        "objective": the log-likelihood, exact or by Laplace's approximation.

    Raises
    ------
    ValueError
        For options out of range, more latents than units that vary, or values that are not
        counts.

    Warns
    -----
    NeuroalignWarning
        When the steps did not suffice.

    Notes
    -----
    Expectation maximisation from principal components. Signals: Kalman smoother, exact. Counts:
    the posterior is a normal about its mode, found by Newton steps, each a Kalman smoother; the
    objective may then fall by a little. Nothing keeps the dynamics stable: look at the
    eigenvalues. Predicted rates of counts are at most the largest count that the unit showed in a
    bin of training: with hidden units, the others may carry latents beyond what training reached,
    where an exponential runs away. Entries that are not observed are integrated out. Variances of
    units are at least a thousandth of those of the data.

    References
    ----------
    Ghahramani & Hinton (1996), technical report CRG-TR-96-2, University of Toronto.
    Macke et al. (2011), NeurIPS 24 (counts).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> latent = rng.normal(size=(8, 1, 50)).cumsum(axis=2)
    >>> signals = rng.normal(size=(6, 1)) * latent + rng.normal(size=(8, 6, 50))
    >>> LinearDynamics(1).fit(signals).transform(signals).shape
    (8, 50, 1)
    """

    identifiability_ = "affine"

    def __init__(
        self,
        n_latents: int = 3,
        *,
        observations: str = "gaussian",
        max_iter: int = 200,
        tol: float = 1e-5,
    ) -> None:
        self.n_latents = n_latents
        self.observations = observations
        self.max_iter = max_iter
        self.tol = tol

    def _models_counts(self) -> bool:
        return self.observations == "poisson"

    def _check_options(self, units: int) -> Observations:
        for name in ("n_latents", "max_iter"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name}: expected an integer >= 1, got {value!r}. Pass 3, say.")
        if not self.tol >= 0:
            raise ValueError(f"tol: expected at least 0, got {self.tol!r}. Pass 1e-5, say.")
        if self.n_latents > units:
            raise ValueError(
                f"n_latents: expected at most the {units} units that vary, got {self.n_latents}. "
                "Use fewer."
            )
        return choose(OBSERVATIONS, self.observations, "observations")

    def _check_values(self, values: Array) -> None:
        bad = values[(values < 0) | (values != np.rint(values))]
        if self.observations == "poisson" and bad.size:
            raise ValueError(
                f"X: expected counts, got {bad[0]:g}. Use observations='gaussian', or bin spikes."
            )

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        observations = self._check_options(Y.shape[2])
        self._check_values(Y[observed])
        counts = self.observations == "poisson"
        self.log_prob_kind_ = "laplace" if counts else "exact"
        self._centre = np.zeros(Y.shape[2])
        if not counts:
            # Far from zero, sums of squares would lose digits.
            self._centre = Y.sum(axis=(0, 1)) / observed.sum(axis=(0, 1))
        some: Array = np.any(observed, axis=2)
        inside = np.cumsum(some[:, ::-1], axis=1)[:, ::-1] > 0
        Y, seen = self._prepare(Y, observed)
        start = start_linear(Y, seen, inside, self.n_latents, observations)
        self._model = fit_linear(Y, seen, inside, start, observations, self.max_iter, self.tol)
        self.history_ = {"objective": self._model.objective}
        self.n_iter_, self.converged_ = len(self._model.objective), self._model.converged
        self.params_ = self._describe(labels)
        if not self.converged_ and np.isfinite(self._model.objective[-1]):
            message = (
                f"max_iter: expected to converge, got a gain above tol after {self.n_iter_} "
                "steps. Raise max_iter or tol."
            )
            self.warnings_.append(message)
            warnings.warn(message, NeuroalignWarning, stacklevel=4)

    def _describe(self, labels: Labels) -> xr.Dataset:
        dynamics, readout = self._model.dynamics, self._model.readout
        modes = np.linalg.eigvals(dynamics.A)
        modes = modes[np.lexsort([-modes.imag, -np.abs(modes).round(12)])]
        square = ("latent", "latent_other")
        latents = np.array([f"latent-{number:02d}" for number in range(self.n_latents)])
        names: dict[str, Any] = {
            "dynamics": (("latent_next", "latent"), dynamics.A),
            "dynamics_noise": (square, dynamics.Q),
            "start_mean": ("latent", dynamics.mean),
            "start_covariance": (square, dynamics.covariance),
            "loadings": (("neuroid", "latent"), readout.loadings),
            "offset": ("neuroid", readout.offset + self._centre),
            "noise": ("neuroid", readout.noise),
            "eigenvalue_real": ("mode", modes.real),
            "eigenvalue_imag": ("mode", modes.imag),
        }
        return xr.Dataset(names, coords={"latent": latents, **labels.on_neuroid()})

    def _prepare(self, Y: Array, observed: Array) -> tuple[Array, Array]:
        return np.where(observed, Y - self._centre, 0.0), observed.astype(np.float64)

    def _infer(self, Y: Array, observed: Array) -> tuple[States, Array]:
        self._check_values(Y[observed])
        Y, seen = self._prepare(Y, observed)
        return OBSERVATIONS[self.observations].infer(Y, seen, self._model, None)

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer(Y, observed)[0].mean

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        states = self._infer(Y, observed)[0]
        expected = OBSERVATIONS[self.observations].expect(states, self._model.readout)
        if self.observations == "poisson":
            return self._bound_rates(expected)
        return np.asarray(expected + self._centre)

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer(Y, observed)[1]

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        law = self._model.dynamics
        noise = np.linalg.cholesky(law.Q)
        z = np.empty((n_trials, n_bins, self.n_latents))
        first = np.linalg.cholesky(law.covariance)
        z[:, 0] = law.mean + rng.normal(size=z[:, 0].shape) @ first.T
        for t in range(1, n_bins):
            z[:, t] = z[:, t - 1] @ law.A.T + rng.normal(size=z[:, 0].shape) @ noise.T
        values = OBSERVATIONS[self.observations].draw(z, self._model.readout, rng)
        return values + self._centre, z
