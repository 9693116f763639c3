"""Gaussian-process factor analysis: smooth latents of single trials.

In: counts or signals (sample, neuroid, time), ragged with NaN or ``valid``. Out: latents with their
timescales, uncertainty and exact likelihoods.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import NeuroalignWarning, SchemaError, choose
from neuroalign.latents import _factors
from neuroalign.latents import _gaussian_process as process
from neuroalign.latents._base import LatentModel
from neuroalign.latents._factors import Factors, Run, check_count, wrap_factors
from neuroalign.latents._process_fit import fit_processes
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]
# Iterations of factor analysis at most, from which EM begins.
WARM_UP = 50
# Timescales of the starts in bins where none is given, and passes after which the best goes on.
STARTS, RACE = (1.0, 2.0, 5.0), 10
# Rows of the largest matrix factorised: half a GB.
LARGEST = 8000
# Rows from which a fit takes minutes.
LONG = 2000


def _keep(values: Array) -> Array:
    return values


def _root(values: Array) -> Array:
    if np.nanmin(values) < 0:
        raise SchemaError(
            f"X: expected counts >= 0 for scale='sqrt', got {np.nanmin(values)}. Pass scale='none'."
        )
    return np.sqrt(values)


def _expect_same(mean: Array, variance: Array) -> Array:
    return mean


def _expect_square(mean: Array, variance: Array) -> Array:
    return mean**2 + variance


# Scale -> what is done to responses, and the expected response from mean and variance on it.
SCALES = {"none": (_keep, _expect_same), "sqrt": (_root, _expect_square)}
# What "auto" is, by whether responses are counts.
COUNTED = {False: "none", True: "sqrt"}


class GPFA(LatentModel):
    """Linear Gaussian responses to latents that vary smoothly in time.

    Parameters
    ----------
    n_latents : int
        Fewer than the neuroids.
    scale : {"auto", "none", "sqrt"}
        ``sqrt`` makes the noise of counts nearly Gaussian of one variance; ``auto`` is that for
        whole numbers >= 0, and ``none`` for other responses.
    timescale : float or None
        Where EM begins, in seconds (in bins where X has no ``time``). EM is local: from too slow
        a start it may stay there. None starts from 1, 2 and 5 bins; the likeliest after ten
        passes each goes on.
    max_iter : int
    tol : float
        Least gain in log likelihood per bin and iteration.

    Attributes
    ----------
    params_ : Dataset
        ``loadings`` (neuroid, latent), ``offset`` and ``noise`` (neuroid,), ``timescale`` (latent,)
        in seconds (bins without ``time``): the standard deviation of the Gaussian kernel.
    converged_ : bool
    n_iter_ : int
    history_ : dict of str -> list of float
    warnings_ : list of str
    scale_ : {"none", "sqrt"}
        The scale used.

    Notes
    -----
    Trials of one length that miss the same entries share one factorisation of (latents x times):
    neither trials nor neuroids enter its cost, which grows with the cube of latents x times: a
    trial of 1000 bins takes minutes. Cut long recordings into trials of a few hundred bins, or use
    `PoissonGPFA`, whose cost is linear in bins. Likelihoods are those of the scaled responses.
    Latents are known up to order and sign where their timescales differ. Iterations are passes of
    expectation maximisation; each begins from a mixture of the moves before it, where that raises
    the likelihood, which never falls.

    References
    ----------
    Yu, Cunningham, Santhanam, Ryu, Shenoy & Sahani (2009), J. Neurophysiol. 102,
    doi:10.1152/jn.90941.2008, eqs. 1 to 5 and appendix.
    Henderson & Varadhan (2019), J. Comput. Graph. Stat. 28, doi:10.1080/10618600.2019.1594835
    (mixtures of moves).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> course = np.sin(np.arange(40) / 5 + rng.uniform(0, 6, size=(10, 1, 1)))
    >>> X = course * rng.normal(size=(8, 1)) + rng.normal(size=(10, 8, 40))
    >>> GPFA(1, timescale=3).fit(X).transform(X).shape
    (10, 40, 1)
    """

    identifiability_ = "permutation_sign"

    def __init__(
        self, n_latents: int = 3, *, scale: str = "auto", timescale: float | None = None,
        max_iter: int = 200, tol: float = 1e-6,
    ) -> None:  # fmt: skip
        self.n_latents = n_latents
        self.scale = scale
        self.timescale = timescale
        self.max_iter = max_iter
        self.tol = tol

    def _scale_in(self, Y: Array, observed: Array) -> Array:
        scaled: Array = SCALES[self.scale_][0](np.where(observed, Y, 0.0))
        return scaled

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        n_units = Y.shape[2]
        check_count(self.n_latents, "n_latents", n_units - 1)
        check_count(self.max_iter, "max_iter")
        size = self.n_latents * Y.shape[1]
        _check_length(size)
        if size > LONG:
            message = (
                f"X: expected latents x bins of the longest trial up to {LONG}, got {size}. Cost "
                "grows with its cube: cut the recording into shorter trials."
            )
            self.warnings_.append(message)
            warnings.warn(message, NeuroalignWarning, stacklevel=4)
        step = labels.bin_size or 1.0
        starts = read_starts(self.timescale, step)
        options = {"auto": COUNTED[self.counts_]} | {name: name for name in SCALES}
        self.scale_ = choose(options, self.scale, "scale")
        Y = self._scale_in(Y, observed)
        rows, seen = Y.reshape(-1, n_units), observed.reshape(-1, n_units)
        factors, _ = _factors.fit_factors(rows, seen, self.n_latents, max_iter=WARM_UP)
        means = _factors.infer(rows, seen, factors)[0].reshape(*Y.shape[:2], -1)
        self._factors, self._timescales, run = self._race(Y, observed, factors, means, starts)
        self.params_ = wrap_factors(self._factors, labels).assign(
            timescale=("latent", self._timescales * step)
        )
        self.history_ = {"objective": run.log_likelihood}
        self.converged_, self.n_iter_ = run.converged, len(run.log_likelihood)
        self._say_unsettled()

    def _race(
        self, Y: Array, observed: Array, factors: Factors, means: Array, starts: tuple[float, ...]
    ) -> tuple[Factors, Array, Run]:
        """Climb from each timescale for some passes, and on from the likeliest."""
        short = self.max_iter if len(starts) == 1 else min(RACE, self.max_iter)
        found = []
        for begin in starts:
            turn = find_slow_turn(means, min(max(1, round(begin)), Y.shape[1] - 1))
            found.append(fit_processes(
                Y, observed, factors._replace(loadings=factors.loadings @ turn),
                np.full(self.n_latents, begin), max_iter=short, tol=self.tol,
            ))  # fmt: skip
        best = max(found, key=lambda one: one[2].log_likelihood[-1])
        before, left = best[2], self.max_iter - short
        if before.converged or not left:
            return best
        # The first pass is at the point of the last one.
        factors, timescales, after = fit_processes(
            Y, observed, best[0], best[1], max_iter=left + 1, tol=self.tol
        )
        scores = [*before.log_likelihood, *after.log_likelihood[1:]]
        return factors, timescales, Run(scores, after.converged)

    def _infer_trials(self, Y: Array, observed: Array) -> tuple[Array, Array, Array]:
        scaled = self._scale_in(Y, observed)
        return process.infer_trials(scaled, observed, self._factors, self._timescales)

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer_trials(Y, observed)[0]

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        C, d, R = self._factors
        means, variances, _ = self._infer_trials(Y, observed)
        # Covariances between latents are left out of the spread, which the noise dominates.
        spread = variances @ (C**2).T + R
        rates: Array = SCALES[self.scale_][1](means @ C.T + d, spread)
        return rates

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer_trials(Y, observed)[2]

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        C, d, R = self._factors
        Z = process.draw_courses(self._timescales, n_trials, n_bins, rng)
        Y = Z @ C.T + d + np.sqrt(R) * rng.normal(size=(n_trials, n_bins, len(d)))
        return SCALES[self.scale_][1](Y, np.zeros(1)), Z

    def orthonormalize(self, latents: xr.DataArray) -> xr.DataArray:
        """Turn latents so that their loadings are orthonormal, most variance first.

        Parameters
        ----------
        latents : DataArray (sample, time, latent)
            From ``transform``.

        Returns
        -------
        DataArray (sample, time, latent)
            In the units of the (scaled) responses; no longer of one timescale each.
        """
        _, values, turn = np.linalg.svd(self._factors.loadings, full_matrices=False)
        return latents.copy(data=latents.values @ (values[:, None] * turn).T)


def read_starts(timescale: float | None, step: float) -> tuple[float, ...]:
    """Read where to begin, in bins."""
    if timescale is None:
        return STARTS
    if not 0 < timescale < np.inf:
        raise ValueError(f"timescale: expected a number > 0, got {timescale}. Pass 0.1, say.")
    return (timescale / step,)


def find_slow_turn(means: Array, lag: int) -> Array:
    """Rotation (latent, latent) to latents that differ most in how slow they are.

    With equal timescales at the start EM cannot tell rotations apart and leaves them slowly. Tong
    et al. (1991), IEEE Trans. Circuits Syst. 38: eigenvectors of the lagged covariance.
    """
    flat = [part.reshape(-1, means.shape[2]) for part in (means[:, :-lag], means[:, lag:])]
    lagged = flat[0].T @ flat[1]
    turn: Array = np.linalg.eigh(lagged + lagged.T)[1]
    return turn


def _check_length(size: int) -> None:
    if size > LARGEST:
        raise ValueError(
            f"X: expected latents x bins of the longest trial up to {LARGEST}, got {size}: the "
            "posterior is a matrix of that size. Cut the recording into shorter trials."
        )
