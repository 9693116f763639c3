"""Exact Gaussian-process factors: one factorisation per length of trial, shared by all its trials.

In: trials (trial, time, unit) and what was observed. Out: posterior moments of the latents and
log likelihoods. The posterior precision of (latent x time) is K^-1 + C'R^-1C per time: units never
enter the large matrix. `_process_fit` climbs the likelihood.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotri

from neuroalign.errors import FitError
from neuroalign.latents import _factors
from neuroalign.latents._factors import Factors

Array = npt.NDArray[Any]
# Share of white noise in the prior, which keeps it invertible (Yu et al. 2009, sigma_n^2).
JITTER = 1e-3


class Group(NamedTuple):
    """Trials of one length that miss the same entries: numbers, length, and what was observed."""

    trials: Array
    length: int
    observed: Array


class Prior(NamedTuple):
    """Of each latent over one length: ``covariance``, its ``slope`` in the log of the timescale.

    And its ``inverse``, all (latent, time, time), with the sum of log determinants.
    """

    covariance: Array
    slope: Array
    inverse: Array
    logdet: float


class Posterior(NamedTuple):
    """Of one group: ``means`` (trial, time, latent), ``covariance`` (latent, time, latent, time).

    ``drive`` (trial, time, latent) is what the responses add to the precision times mean, and
    ``constant`` what each trial's log likelihood shares with the others.
    """

    means: Array
    covariance: Array
    drive: Array
    constant: float


def group_trials(observed: Array) -> list[Group]:
    """Group trials (trial, time, unit); a trial ends with its last observed bin.

    A length counts bins up to the last observed one, so that a padded tail costs nothing.
    """
    n_trials, n_bins, n_units = observed.shape
    patterns, which = _factors.group_rows(observed.reshape(n_trials, n_bins * n_units))
    groups = []
    for number, pattern in enumerate(patterns):
        trials = np.flatnonzero(which == number)
        seen = pattern.reshape(n_bins, n_units)
        used = np.flatnonzero(seen.any(axis=1))
        length = int(used[-1]) + 1 if len(used) else 0
        groups.append(Group(trials, length, seen[:length]))
    return groups


def invert_large(matrix: Array) -> tuple[Array, float]:
    """Invert one positive definite matrix, which is overwritten, and give its log determinant.

    Twice as fast as a general inverse of the root.

    Raises
    ------
    FitError
        When it is not positive definite, as by parameters that are not finite.
    """
    root, failed = dpotrf(matrix, lower=True, clean=False, overwrite_a=True)
    if failed:
        raise FitError(
            "GPFA: expected finite, positive definite covariances, got one that is not. "
            "Standardise X, or use fewer latents."
        )
    logdet = 2.0 * float(np.log(np.diagonal(root)).sum())
    lower, _ = dpotri(root, lower=True, overwrite_c=True)
    inverse = np.tril(lower)
    inverse += np.tril(lower, -1).T
    return inverse, logdet


def make_prior(timescale: float, n_bins: int) -> tuple[Array, Array]:
    """Squared-exponential prior covariance, and its slope in the log of the timescale."""
    squares = np.subtract.outer(np.arange(n_bins), np.arange(n_bins)) ** 2 / timescale**2
    smooth = (1 - JITTER) * np.exp(-0.5 * squares)
    return smooth + JITTER * np.eye(n_bins), smooth * squares


def make_priors(timescales: Array, n_bins: int) -> Prior:
    """Priors of all latents over trials of one length."""
    made = [make_prior(float(timescale), n_bins) for timescale in timescales]
    covariance, slope = (np.stack(part) for part in zip(*made, strict=True))
    # A covariance is its own transpose, so that LAPACK may overwrite a C-ordered copy of it.
    inverse, logdet = zip(*(invert_large(one.copy().T) for one in covariance), strict=True)
    return Prior(covariance, slope, np.stack(inverse), float(sum(logdet)))


def infer_group(filled: Array, seen: Array, factors: Factors, prior: Prior) -> Posterior:
    """Posterior of trials that miss the same entries.

    Parameters
    ----------
    filled : array (trial, time, unit)
        0 where not observed.
    seen : bool array (time, unit)
    factors : Factors
    prior : Prior
        Over as many times.

    Returns
    -------
    Posterior
    """
    C, d, R = factors
    n, T, n_units = filled.shape
    k = C.shape[1]
    weighted = C / R[:, None]
    precision = np.zeros((k, T, k, T))
    times = np.arange(T)
    for latent in range(k):
        precision[latent, :, latent, :] = prior.inverse[latent]
    if seen.all():
        gains = np.broadcast_to(C.T @ weighted, (T, k, k))
        constant = T * float(np.log(2 * np.pi * R).sum())
        shift = d @ weighted
    else:
        shown = seen.astype(float)
        products = (C[:, :, None] * weighted[:, None, :]).reshape(n_units, k * k)
        gains = (shown @ products).reshape(T, k, k)
        constant = float((shown @ np.log(2 * np.pi * R)).sum())
        shift = (shown * d) @ weighted
    precision[:, times, :, times] += gains
    covariance, logdet = invert_large(precision.reshape(k * T, k * T).T)
    drive = (filled.reshape(n * T, n_units) @ weighted).reshape(n, T, k) - shift
    flat = np.ascontiguousarray(np.swapaxes(drive, 1, 2)).reshape(n, k * T)
    means = np.swapaxes((flat @ covariance).reshape(n, k, T), 1, 2)
    return Posterior(means, covariance.reshape(k, T, k, T), drive, constant + prior.logdet + logdet)


def infer_trials(
    Y: Array, observed: Array, factors: Factors, timescales: Array
) -> tuple[Array, Array, Array]:
    """Posterior means and variances (trial, time, latent), log likelihoods (trial,).

    Times after the last observed one are forecast.
    """
    n_bins, k = Y.shape[1], factors.loadings.shape[1]
    means, variances = np.empty((2, len(Y), n_bins, k))
    scores = np.empty(len(Y))
    full = [make_prior(float(timescale), n_bins)[0] for timescale in timescales]
    centred = factors._replace(mean=np.zeros_like(factors.mean))
    priors: dict[int, Prior] = {}
    for trials, T, seen in group_trials(observed):
        if T == 0:
            means[trials], variances[trials], scores[trials] = 0.0, 1.0, 0.0
            continue
        if T not in priors:
            priors[T] = make_priors(timescales, T)
        rows = np.where(seen, Y[trials, :T] - factors.mean, 0.0)
        found = infer_group(rows, seen, centred, priors[T])
        squares = (rows**2 @ (1 / factors.noise)).sum(axis=1)
        squares -= (found.drive * found.means).sum(axis=(1, 2))
        scores[trials] = -0.5 * (found.constant + squares)
        for latent, prior in enumerate(full):
            # From the times with data to all of them: the identity, then the forecast.
            carry = (priors[T].inverse[latent] @ prior[:T, T:]).T
            reach = np.concatenate([np.eye(T), carry])
            spread = found.covariance[latent, :, latent, :] - prior[:T, :T]
            means[trials, :, latent] = found.means[:, :, latent] @ reach.T
            variances[trials, :, latent] = 1 + ((reach @ spread) * reach).sum(axis=1)
    return means, variances, scores


def draw_courses(timescales: Array, n_trials: int, n_bins: int, rng: np.random.Generator) -> Array:
    """Draw latents (trial, time, latent) from the prior."""
    roots = [np.linalg.cholesky(make_prior(float(tau), n_bins)[0]) for tau in timescales]
    noise = rng.normal(size=(len(timescales), n_bins, n_trials))
    return np.stack([root @ one for root, one in zip(roots, noise, strict=True)]).T
