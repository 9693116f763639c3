"""Factor analysis and probabilistic principal components, with missing entries.

In: responses (sample, neuroid[, time]); times are taken as independent. Out: latents, their
uncertainty, and exact likelihoods of held-out data.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neuroalign.latents import _factors
from neuroalign.latents._base import LatentModel
from neuroalign.latents._factors import Factors, Run, check_count, wrap_factors
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]


class FactorAnalysis(LatentModel):
    """Latents that explain what neuroids share; each keeps noise of its own.

    Parameters
    ----------
    n_latents : int
        Fewer than the neuroids.
    max_iter : int
    tol : float
        Least gain in log likelihood per time and iteration.

    Attributes
    ----------
    params_ : Dataset
        ``loadings`` (neuroid, latent), ``offset`` and ``noise`` (neuroid,).
    converged_ : bool
    n_iter_ : int
    history_ : dict of str -> list of float
    warnings_ : list of str

    Notes
    -----
    Latents are known up to a rotation. Entries may be missing anywhere: each time is judged by what
    was observed of it, without filling in. Without missing entries an iteration works on the
    covariance alone and costs the same for any number of times. Times know nothing of each other:
    bins of which nothing was seen are predicted by the mean, and `forecast` scores about 0.

    References
    ----------
    Rubin & Thayer (1982), Psychometrika 47, doi:10.1007/BF02293851, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 8)) + rng.normal(size=(300, 8))
    >>> FactorAnalysis(2).fit(X).transform(X).shape
    (300, 2)
    """

    identifiability_ = "rotation"
    _min_bins: ClassVar[int] = 1
    _noise = "diagonal"

    def __init__(self, n_latents: int = 3, *, max_iter: int = 1000, tol: float = 1e-7) -> None:
        self.n_latents = n_latents
        self.max_iter = max_iter
        self.tol = tol

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        check_count(self.n_latents, "n_latents", Y.shape[2] - 1)
        check_count(self.max_iter, "max_iter")
        rows, seen = _flatten(Y, observed)
        known = seen.any(axis=1)
        factors, run = self._solve(rows[known], seen[known])
        self._factors = factors
        self.params_ = wrap_factors(factors, labels)
        self.history_ = {"objective": run.log_likelihood}
        self.converged_, self.n_iter_ = run.converged, len(run.log_likelihood)
        self._say_unsettled()

    def _solve(self, rows: Array, seen: Array) -> tuple[Factors, Run]:
        return _factors.fit_factors(
            rows, seen, self.n_latents, noise=self._noise, max_iter=self.max_iter, tol=self.tol
        )

    def _infer_rows(self, Y: Array, observed: Array) -> tuple[Array, Array]:
        """Posterior means (trial, time, latent) and log likelihoods (trial, time)."""
        means, _, scores = _factors.infer(*_flatten(Y, observed), self._factors)
        return means.reshape(*Y.shape[:2], -1), scores.reshape(Y.shape[:2])

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer_rows(Y, observed)[0]

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        rates: Array = self._infer_rows(Y, observed)[0] @ self._factors.loadings.T
        return rates + self._factors.mean

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        scores: Array = self._infer_rows(Y, observed)[1].sum(axis=1)
        return scores

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        C, d, R = self._factors
        Z = rng.normal(size=(n_trials, n_bins, C.shape[1]))
        return Z @ C.T + d + np.sqrt(R) * rng.normal(size=(n_trials, n_bins, len(d))), Z


class ProbabilisticPCA(FactorAnalysis):
    """Principal components as a model: all neuroids have the same noise.

    Parameters
    ----------
    n_latents : int
        Fewer than the neuroids.
    max_iter : int
    tol : float
        Least gain in log likelihood per time and iteration; both only with missing entries.

    Attributes
    ----------
    params_ : Dataset
        ``loadings`` (neuroid, latent), ``offset`` and ``noise`` (neuroid,).
    converged_, n_iter_, history_, warnings_
        As in `FactorAnalysis`.

    Notes
    -----
    Without missing entries the solution is in closed form and latents are ordered by variance.

    References
    ----------
    Tipping & Bishop (1999), J. R. Stat. Soc. B 61, doi:10.1111/1467-9868.00196, eqs. 7 and 8.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(50, 6)) * [5, 1, 1, 1, 1, 1]
    >>> int(abs(ProbabilisticPCA(1).fit(X).params_["loadings"].values[:, 0]).argmax())
    0
    """

    _noise = "isotropic"

    def _solve(self, rows: Array, seen: Array) -> tuple[Factors, Run]:
        if not seen.all():
            return super()._solve(rows, seen)
        factors = _factors.solve_isotropic(rows, self.n_latents)
        return factors, Run([float(_factors.infer(rows, seen, factors)[2].sum())], True)


def _flatten(Y: Array, observed: Array) -> tuple[Array, Array]:
    return Y.reshape(-1, Y.shape[2]), observed.reshape(-1, Y.shape[2])
