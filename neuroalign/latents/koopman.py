"""Koopman autoencoders: nonlinear latents in which a population moves linearly."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._training import TrainingPlan
from neuroalign.errors import NeuroalignWarning, choose, require
from neuroalign.latents._base import LatentModel
from neuroalign.latents._emissions import FullGaussian
from neuroalign.latents._factors import check_count
from neuroalign.latents._incomplete_rows import fill_rows, fit_normal
from neuroalign.latents._koopman_net import (
    KoopmanNet,
    Terms,
    clip_operator,
    has_settled,
    measure_entropy,
    name_layers,
    run_layers,
    train_net,
)
from neuroalign.latents._trials import Labels

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# What InfoNCE compares neighbours with.
NEGATIVES = {"batch": "batch", "window": "window"}


class KoopmanAutoencoder(LatentModel):
    """Latents of a net that a linear operator carries from bin to bin.

    Parameters
    ----------
    n_latents : int
        Size of the operator. It may exceed the number of units.
    hidden : tuple of int
        Widths of the encoder's layers; the decoder has them in reverse.
    window : int
        Bins of the stretches trained on: forecasts reach up to the last bin from the first.
    information : float
        Weight (alpha) of InfoNCE between bins near in time.
    linearity : float
        Weight (beta) of the squared step that the operator misses, per variance of the latents.
    entropy : float
        Weight (gamma) of the von Neumann entropy of the latents, which is raised.
    neighbours : int
        Bins up to so far apart are near in time.
    temperature : float
        Of InfoNCE's cosines.
    negatives : {"batch", "window"}
        What neighbours are told from: bins of other windows, or those further away in their own.
    ridge : float
        On the operator, as a share of the mean square of the latents.
    slack : float or None
        Moduli of eigenvalues are clipped to ``1 + slack`` after training; None leaves them.
    epochs, batch_size, learning_rate
        Of training (AdamW; the rate falls as a cosine; gradients are clipped to norm 1).
    device : str
        Where the net is trained. What follows is in float64 on the CPU.
    seed : int
    progress : bool

    Attributes
    ----------
    params_ : Dataset
        ``operator`` (latent_next, latent), ``eigenvalue_real`` and ``eigenvalue_imag`` (mode),
        ``mean`` and ``scale`` (neuroid,) of the units, ``start_mean`` and ``start_covariance``
        of bins without a past and ``step_mean`` and ``step_covariance`` of the errors of one step
        (in units of ``scale``), and of each layer ``encoder_weight_0``, ``encoder_offset_0``, ...:
        number 0 is the linear map that is added to the net's.
    history_ : dict of str to list of float
        "objective": minus the mean loss of each epoch.
    eigenvalues_ : complex array (mode,)
        Of the operator per bin, largest first.
    eigenfunctions_ : complex array (latent, mode)
        Latents times it are the eigenfunctions.
    rates_, frequencies_ : array (mode,)
        As in `DynamicModes`: per second where the width of a bin is known.
    time_step_ : float or None
    effective_dimension_ : float
        Exponential of the entropy of the training latents.

    Raises
    ------
    ValueError
        For options out of range.
    FitError
        When the loss is not finite.
    MissingExtraError
        Without torch.

    Warns
    -----
    NeuroalignWarning
        When the loss still fell by more than 2 % in the last tenth of the epochs, or rose in all;
        when windows are longer than trials, or neighbours farther apart than a window.

    Notes
    -----
    Units are standardised. Latents of a bin come from its own values; what is missing of them is
    filled with the forecast from the bin before and what its errors share with the units seen, and
    bins of which nothing is seen are forecast. ``log_prob`` is that of each bin given the bins
    before it: normal about the forecast, with the covariance of the training errors; the first bin
    seen is normal about the mean. Where values are missing it holds for this way of filling.

    Loss: squared errors of reconstruction and of forecasts in each window, plus alpha InfoNCE plus
    beta (missed steps) minus gamma (entropy). The operator is solved on the batch at hand and
    passes gradients on; at the end it is solved on all steps. Entropy needs more bins in a batch
    than latents.

    Fifty bins ahead on `simulate_oscillators` this beats `ExtendedDynamicModes` with radial
    functions where there are two wells (``duffing``), and not on the ``pendulum``: errors of .018
    of the standard deviation at best (12 latents, hidden (64, 64), windows of 50 bins, 300 epochs,
    ridge 1e-7, no information or entropy) and .031 with 8 latents, windows of 30 and 150 epochs,
    against .015 for 40 radial functions with their best ridge (.026 and .056 with others).

    References
    ----------
    Cheng et al. (2026), Information Shapes Koopman Representation, ICLR, arXiv:2510.13025: the
    Lagrangian and the loss of the autoencoder.
    van den Oord, Li & Vinyals (2018), arXiv:1807.03748, eq. 4 (InfoNCE).

    Examples
    --------
    >>> import numpy as np
    >>> angle = 0.2 * np.arange(40) + np.linspace(0, 6, 10)[:, None]
    >>> X = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> model = KoopmanAutoencoder(2, hidden=(16,), epochs=100, learning_rate=1e-2).fit(X)
    >>> np.round(np.abs(np.angle(model.eigenvalues_)), 1)
    array([0.2, 0.2])
    """

    identifiability_ = "affine"
    log_prob_kind_ = "exact"

    def __init__(
        self, n_latents: int = 4, *, hidden: tuple[int, ...] = (32, 32), window: int = 12,
        information: float = 0.01, linearity: float = 1.0, entropy: float = 0.001,
        neighbours: int = 3, temperature: float = 0.1, negatives: str = "batch",
        ridge: float = 1e-5, slack: float | None = 0.01, epochs: int = 100, batch_size: int = 64,
        learning_rate: float = 3e-3, device: str = "cpu", seed: int = 0, progress: bool = False,
    ) -> None:  # fmt: skip
        self.n_latents = n_latents
        self.hidden = hidden
        self.window = window
        self.information = information
        self.linearity = linearity
        self.entropy = entropy
        self.neighbours = neighbours
        self.temperature = temperature
        self.negatives = negatives
        self.ridge = ridge
        self.slack = slack
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.seed = seed
        self.progress = progress

    def _check_options(self) -> Terms:
        for name in ("n_latents", "neighbours", "epochs", "batch_size"):
            check_count(getattr(self, name), name)
        for width in self.hidden:
            check_count(width, "hidden")
        if check_count(self.window, "window") < 2:
            raise ValueError(f"window: expected at least 2 bins, got {self.window}. Pass 12, say.")
        for name in ("information", "linearity", "entropy", "ridge"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"{name}: expected a number >= 0, got {getattr(self, name)!r}. 0 leaves it out."
                )
        if not self.temperature > 0:
            raise ValueError(
                f"temperature: expected a number > 0, got {self.temperature!r}. Pass 0.1, say."
            )
        if self.slack is not None and not self.slack >= 0:
            raise ValueError(
                f"slack: expected None or a number >= 0, got {self.slack!r}. Pass 0.01, say."
            )
        return Terms(
            self.information, self.linearity, self.entropy, self.neighbours, self.temperature,
            choose(NEGATIVES, self.negatives, "negatives"), self.ridge,
        )  # fmt: skip

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        terms = self._check_options()
        n = observed.sum(axis=(0, 1))
        self._mean = Y.sum(axis=(0, 1)) / n
        away = np.where(observed, Y - self._mean, 0.0)
        self._scale = np.sqrt((away**2).sum(axis=(0, 1)) / n)
        X = away / self._scale
        rows, seen = X.reshape(-1, X.shape[2]), observed.reshape(-1, X.shape[2])
        known = seen.any(axis=1)
        self._start = fit_normal(rows[known], seen[known])
        some: Array = np.any(observed, axis=2)
        lengths = np.where(some.any(axis=1), some.shape[1] - some[:, ::-1].argmax(axis=1), 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = KoopmanNet(X.shape[2], tuple(self.hidden), self.n_latents)
        plan = TrainingPlan(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate,
            schedule="cosine", clip=1.0,
        )  # fmt: skip
        filled = fill_rows(rows, seen, self._start).reshape(X.shape)
        kept = lengths > 0
        history = train_net(
            filled[kept], observed[kept], lengths[kept], min(self.window, int(lengths.max())), net,
            terms, plan, self.seed, self.device, self.progress,
        )  # fmt: skip
        self._encoder, self._decoder = net.encoder.read_layers(), net.decoder.read_layers()
        self._solve(filled, some)
        self._measure_steps(X, observed, filled)
        self.history_ = {"objective": [-value for value in history.loss]}
        self.n_iter_, self.converged_ = len(history.loss), has_settled(history.loss)
        self._set_rhythms(labels)
        self.params_ = self._describe(labels)
        self._say_problems(history.loss, int(lengths.max()))

    def _say_problems(self, loss: list[float], longest: int) -> None:
        rose = loss[-1] > loss[0]
        width = min(self.window, longest)
        found = {
            f"learning_rate: expected the loss to fall, got one that rose from {loss[0]:.3g} to "
            f"{loss[-1]:.3g}. Lower learning_rate.": rose,
            f"epochs: expected the loss to settle, got one that still falls after {self.epochs}. "
            "Raise epochs or learning_rate.": not self.converged_ and not rose,
            f"window: expected at most the {longest} bins of the longest trial, got {self.window}. "
            f"Windows of {longest} bins were used.": self.window > longest,
            f"neighbours: expected fewer than the {width} bins of a window, got {self.neighbours}. "
            "All bins of a window count as near.": self.neighbours >= width,
        }
        for message in (message for message, holds in found.items() if holds):
            self.warnings_.append(message)
            warnings.warn(message, NeuroalignWarning, stacklevel=5)

    def _solve(self, filled: Array, some: Array) -> None:
        """Find the operator from all steps between bins that were seen."""
        z = run_layers(self._encoder, filled)
        both = some[:, 1:] & some[:, :-1]
        now, then = z[:, :-1][both], z[:, 1:][both]
        gram = now.T @ now
        penalty = self.ridge * np.trace(gram) / len(gram) + np.finfo(float).tiny
        eye = np.eye(len(gram))
        K = np.linalg.lstsq(gram + penalty * eye, now.T @ then, rcond=None)[0].T
        self._operator = K if self.slack is None else clip_operator(K, 1.0 + self.slack)
        self.effective_dimension_ = measure_entropy(torch.from_numpy(z[some])).exp().item()

    def _measure_steps(self, X: Array, observed: Array, filled: Array) -> None:
        """Find mean and covariance of the errors of one step."""
        z = run_layers(self._encoder, filled)
        error = X[:, 1:] - run_layers(self._decoder, z[:, :-1] @ self._operator.T)
        used = observed[:, 1:] & observed[:, :-1].any(axis=2, keepdims=True)
        known = used.any(axis=2)
        self._step = self._start
        if known.any():
            self._step = fit_normal(np.where(used, error, 0.0)[known], used[known])

    def _set_rhythms(self, labels: Labels) -> None:
        values, vectors = np.linalg.eig(self._operator.T)
        order = np.argsort(-np.abs(values), kind="stable")
        self.eigenvalues_ = values[order].astype(complex)
        self.eigenfunctions_ = vectors[:, order].astype(complex)
        self.time_step_ = labels.bin_size
        step = labels.bin_size or 1.0
        # A mode that dies within a step decays infinitely fast.
        with np.errstate(divide="ignore"):
            decay = np.log(np.abs(self.eigenvalues_))
        self.rates_ = decay / step + 1j * np.angle(self.eigenvalues_) / step
        self.frequencies_ = np.abs(self.rates_.imag) / (2 * np.pi)

    def _describe(self, labels: Labels) -> xr.Dataset:
        square = ("neuroid", "neuroid_other")
        names: dict[str, Any] = {
            "operator": (("latent_next", "latent"), self._operator),
            "eigenvalue_real": ("mode", self.eigenvalues_.real),
            "eigenvalue_imag": ("mode", self.eigenvalues_.imag),
            "mean": ("neuroid", self._mean),
            "scale": ("neuroid", self._scale),
        }
        for name, normal in (("start", self._start), ("step", self._step)):
            names[f"{name}_mean"] = ("neuroid", normal["mean"][0])
            names[f"{name}_covariance"] = (square, normal["covariance"][0])
        names |= name_layers(self._encoder, "encoder", "neuroid", "latent")
        names |= name_layers(self._decoder, "decoder", "latent", "neuroid")
        latents = np.array([f"latent-{number:02d}" for number in range(self.n_latents)])
        return xr.Dataset(names, coords={"latent": latents, **labels.on_neuroid()})

    def _standardise(self, Y: Array, observed: Array) -> Array:
        return np.where(observed, (Y - self._mean) / self._scale, 0.0)

    def _track(self, X: Array, observed: Array) -> tuple[Array, Array, Array]:
        """Latents, forecasts (trial, time, unit), and bins (trial, time) without a past."""
        n, length, _ = X.shape
        z = np.empty((n, length, self.n_latents))
        forecast = np.empty_like(X)
        some: Array = np.any(observed, axis=2)
        fresh = np.cumsum(some, axis=1) - some == 0
        begin = self._start["mean"][0]
        for t in range(length):
            ahead = z[:, t - 1] @ self._operator.T if t else np.zeros((n, self.n_latents))
            guess = run_layers(self._decoder, ahead) + self._step["mean"][0]
            forecast[:, t] = np.where(fresh[:, t, None], begin, guess)
            filled = forecast[:, t].copy()
            for started, normal in ((fresh[:, t], self._start), (~fresh[:, t], self._step)):
                rest = X[started, t] - forecast[started, t]
                centred = {**normal, "mean": np.zeros_like(normal["mean"])}
                filled[started] += fill_rows(rest, observed[started, t], centred)
            # A bin of which nothing was seen is where the operator leads.
            stays = ~some[:, t] & ~fresh[:, t]
            z[:, t] = np.where(stays[:, None], ahead, run_layers(self._encoder, filled))
        return z, forecast, fresh

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return self._track(self._standardise(Y, observed), observed)[0]

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        return self._show(self._infer_arrays(Y, observed))

    def _show(self, z: Array) -> Array:
        return np.asarray(run_layers(self._decoder, z) * self._scale + self._mean)

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        X = self._standardise(Y, observed)
        _, forecast, fresh = self._track(X, observed)
        rest = np.where(observed, X - forecast, 0.0)
        out = np.zeros(fresh.shape)
        for rows, normal in ((fresh, self._start), (~fresh, self._step)):
            centred = {**normal, "mean": np.zeros_like(normal["mean"])}
            found = FullGaussian().log_likelihood(rest[rows], observed[rows], centred)
            out[rows] = found[:, 0]
        return np.asarray(out.sum(axis=1) - (observed * np.log(self._scale)).sum(axis=(1, 2)))

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        roots = [np.linalg.cholesky(one["covariance"][0]) for one in (self._start, self._step)]
        noise = rng.normal(size=(n_trials, n_bins, len(self._mean)))
        X, z = np.empty_like(noise), np.empty((n_trials, n_bins, self.n_latents))
        X[:, 0] = self._start["mean"][0] + noise[:, 0] @ roots[0].T
        z[:, 0] = run_layers(self._encoder, X[:, 0])
        for t in range(1, n_bins):
            ahead = run_layers(self._decoder, z[:, t - 1] @ self._operator.T)
            X[:, t] = ahead + self._step["mean"][0] + noise[:, t] @ roots[1].T
            z[:, t] = run_layers(self._encoder, X[:, t])
        return X * self._scale + self._mean, z

    def predict(self, X: Any, n_steps: int = 1, *, mask: Any = None) -> Array:
        """Forecast from the end of each trial.

        Parameters
        ----------
        X : as in `fit`
        n_steps : int
        mask : bool, shape of X or (neuroid,), optional

        Returns
        -------
        array (trial, step, neuroid)
            Units left out of the model stay at their mean.
        """
        check_is_fitted(self, "params_")
        check_count(n_steps, "n_steps")
        trials = self._read(X, mask)
        kept = self.kept_
        z = self._infer_arrays(trials.Y[:, :, kept], trials.observed[:, :, kept])
        last = np.maximum(trials.inside.sum(axis=1) - 1, 0)
        state, courses = z[np.arange(len(z)), last], []
        for _ in range(n_steps):
            state = state @ self._operator.T
            courses.append(state)
        out = np.tile(self.mean_rate_, (len(z), n_steps, 1))
        out[:, :, kept] = self._show(np.stack(courses, axis=1))
        return out
