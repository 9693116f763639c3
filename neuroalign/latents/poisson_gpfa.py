"""Gaussian-process factors of counts: smooth latents behind log rates, at a cost linear in bins.

In: counts (sample, neuroid, time), ragged with NaN or ``valid``. Out: latents with their timescales
and variances, expected rates and a bound on the likelihood.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import FitError
from neuroalign.latents._base import LatentModel
from neuroalign.latents._counts_process import expect_log_rate
from neuroalign.latents._counts_process_fit import (
    WINDOW,
    CountsModel,
    Moments,
    fit_counts,
    infer_counts,
)
from neuroalign.latents._factors import check_count, name_latents
from neuroalign.latents._fourier_gp import find_circle, find_spectrum, read_timescale
from neuroalign.latents._linear_fit import OBSERVATIONS, Readout, start_linear
from neuroalign.latents._trials import Labels
from neuroalign.latents.gpfa import STARTS, find_slow_turn

Array = npt.NDArray[Any]
# Bins of the timescale at the start, and its range as multiples of the start.
USUAL = 5.0, (0.4, 3.0)
# Steps of the posterior of new trials at most.
MAX_STEPS = 50


class PoissonGPFA(LatentModel):
    """Counts whose log rates are linear in latents that vary smoothly in time.

    Parameters
    ----------
    n_latents : int
        At most the neuroids.
    timescale : float or None
        Where the fit begins, in seconds (in bins where X has no ``time``). The fit is local: from
        too slow a start it may stay there. None starts from 1, 2 and 5 bins, as far as these are
        in the range; the best after ten passes each goes on.
    timescale_range : (float, float) or None
        Shortest and longest timescale that can be learned, in the same unit; from 0.4 to 3 times
        ``timescale`` (that of the start that goes on) when None, at least half a bin. A fit that
        ends at either says so in ``warnings_``. Cost grows with their ratio.
    max_iter : int
    tol : float
        Least gain of the bound per bin and iteration, in nats.

    Attributes
    ----------
    params_ : Dataset
        ``loadings`` (neuroid, latent) with a mean square of 1, ``offset`` (neuroid,), ``timescale``
        and ``variance`` (latent,) of the latents: the standard deviation of the squared exponential
        kernel in seconds (bins without ``time``), and its height, in squared log rates.
    converged_ : bool
    n_iter_ : int
    history_ : dict of str -> list of float
        "objective": the bound.
    warnings_ : list of str

    Raises
    ------
    ValueError
        For options out of range, more latents than neuroids that vary, values that are not counts,
        or trials of fewer than two bins.
    FitError
        When a covariance is not positive.

    Notes
    -----
    Latents live on a circle longer than the trial by four of the longest timescales, and are sums
    of the few waves that a smooth course needs. The posterior is the best Gaussian of all waves
    and latents of a trial together; expectations of Poisson counts under it are in closed form, so
    that the objective is a true lower bound. Trials longer than eight of the longest timescales are
    cut into windows that overlap by half: the latents of a bin come from the window in which it
    lies farther from the edges, and the objective of the fit is the sum over windows, so that time
    and memory grow linearly with bins. Predicted rates are at most the largest count that the
    neuroid showed in a bin of training. A small ridge keeps the loadings of silent stretches
    finite.

    References
    ----------
    Gondur, Sikandar, Schaffer, Aoi & Keeley (2024), ICLR, arXiv:2310.03111 (Fourier representation
    of the prior, with a shorter circle).
    Opper & Archambeau (2009), Neural Comput. 21, doi:10.1162/neco.2008.08-07-592 (the posterior).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> course = np.sin(np.arange(40) / 5 + rng.uniform(0, 6, size=(10, 1, 1)))
    >>> X = rng.poisson(np.exp(course * rng.normal(size=(8, 1))))
    >>> PoissonGPFA(1, max_iter=20).fit(X).transform(X).shape
    (10, 40, 1)
    """

    identifiability_ = "permutation_sign"
    log_prob_kind_ = "elbo"

    def __init__(
        self, n_latents: int = 3, *, timescale: float | None = None,
        timescale_range: tuple[float, float] | None = None, max_iter: int = 100, tol: float = 1e-4,
    ) -> None:  # fmt: skip
        self.n_latents = n_latents
        self.timescale = timescale
        self.timescale_range = timescale_range
        self.max_iter = max_iter
        self.tol = tol

    def _models_counts(self) -> bool:
        return True

    def _check_options(
        self, shape: tuple[int, ...], step: float
    ) -> list[tuple[float, tuple[float, float]]]:
        """Where to begin, each with its range, in bins."""
        check_count(self.n_latents, "n_latents", shape[2])
        check_count(self.max_iter, "max_iter")
        if not self.tol >= 0:
            raise ValueError(f"tol: expected at least 0, got {self.tol!r}. Pass 1e-4, say.")
        ranged = self.timescale_range
        asked = read_timescale(self.timescale, ranged, step, USUAL, shape[1])
        if self.timescale is not None:
            return [asked]
        low, high = (0.0, np.inf) if ranged is None else asked[1]
        return [
            read_timescale(one * step, ranged, step, USUAL, max(3, shape[1]))
            for one in STARTS if low <= one <= high
        ]  # fmt: skip

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        step = labels.bin_size or 1.0
        begins = self._check_options(Y.shape, step)
        _check_counts(Y[observed])
        seen = observed.astype(np.float64)
        some: Array = np.any(observed, axis=2)
        inside = np.cumsum(some[:, ::-1], axis=1)[:, ::-1] > 0
        counts = OBSERVATIONS["poisson"]
        readout = start_linear(Y, seen, inside, self.n_latents, counts).readout
        signal = seen * (counts.signal(Y, seen) - readout.offset)
        rough = signal @ np.linalg.pinv(readout.loadings).T
        starts = []
        for begin, bounds in begins:
            longest = min(Y.shape[1], int(np.ceil(WINDOW * bounds[1])))
            circle = find_circle(longest, bounds[1])
            turn = find_slow_turn(rough, min(max(1, round(begin)), Y.shape[1] - 1))
            turned = Readout(readout.loadings @ turn, readout.offset, readout.noise)
            lengths = np.full(self.n_latents, begin)
            starts.append(CountsModel(turned, lengths, bounds, circle))
        try:
            model = self._model = fit_counts(Y, observed, starts, self.max_iter, self.tol)
        except np.linalg.LinAlgError as error:
            raise FitError(
                f"{type(self).__name__}: expected positive covariances, got none ({error}). "
                "Use fewer latents, or counts that are smaller."
            ) from error
        self.history_ = {"objective": model.objective}
        self.n_iter_, self.converged_ = len(model.objective), model.converged
        self.params_ = self._describe(labels, step)
        self._say_unsettled()
        at_end = np.isclose(model.lengths[:, None], model.bounds, rtol=5e-3).any(axis=1)
        if at_end.any():
            self.warnings_.append(
                f"timescale_range: expected timescales within it, got {int(at_end.sum())} at an "
                "end of it. Widen it, or use fewer latents."
            )

    def _describe(self, labels: Labels, step: float) -> xr.Dataset:
        readout = self._model.readout
        self._scale = np.sqrt(np.maximum((readout.loadings**2).mean(axis=0), 1e-300))
        return xr.Dataset(
            {
                "loadings": (("neuroid", "latent"), readout.loadings / self._scale),
                "offset": ("neuroid", readout.offset),
                "timescale": ("latent", self._model.lengths * step),
                "variance": ("latent", self._scale**2),
            },
            coords={"latent": name_latents(self.n_latents), **labels.on_neuroid()},
        )

    def _infer(self, Y: Array, observed: Array) -> Moments:
        _check_counts(Y[observed])
        return infer_counts(Y, observed, self._model, MAX_STEPS)

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return np.asarray(self._infer(Y, observed).mean * self._scale)

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        found = self._infer(Y, observed)
        log_rate = expect_log_rate(found.mean, found.spread, self._model.readout)
        return self._bound_rates(np.exp(np.minimum(log_rate, 50.0)))

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer(Y, observed).bound

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        model = self._model
        basis = model.find_basis(n_bins)
        courses = []
        for length in model.lengths:
            root = np.sqrt(find_spectrum(basis, float(length)))
            courses.append((root * rng.normal(size=(n_trials, len(root)))) @ basis.rows)
        z = np.stack(courses, axis=-1)
        return OBSERVATIONS["poisson"].draw(z, model.readout, rng), z * self._scale


def _check_counts(values: Array) -> None:
    bad = values[(values < 0) | (values != np.rint(values))]
    if bad.size:
        raise ValueError(f"X: expected counts, got {bad[0]:g}. Use GPFA, or bin the spikes.")
