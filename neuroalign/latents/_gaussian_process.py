"""Exact Gaussian-process factors: one factorisation per length of trial, shared by all its trials.

In: trials (trial, time, unit) and what was observed. Out: posterior means, and EM. The posterior
precision of (latent x time) is K^-1 + C'R^-1C per time: units never enter the large matrix.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from neuroalign.latents import _factors
from neuroalign.latents._factors import Factors, Run, invert_definite

Array = npt.NDArray[Any]
# Share of white noise in the prior, which keeps it invertible (Yu et al. 2009, sigma_n^2).
JITTER = 1e-3
# Shortest and longest timescale looked for, in bins and in lengths of the longest trial.
SHORTEST, LONGEST = 0.3, 3.0


class Group(NamedTuple):
    """Trials of one length that miss the same entries: numbers, length, and what was observed."""

    trials: Array
    length: int
    observed: Array


class Posterior(NamedTuple):
    """Of one group: ``means`` (trial, time, latent), ``covariance`` (latent, time, latent, time).

    ``scores`` (trial,) are log likelihoods.
    """

    means: Array
    covariance: Array
    scores: Array


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


def make_prior(timescale: float, n_bins: int) -> tuple[Array, Array]:
    """Squared-exponential prior covariance, and its slope in the log of the timescale."""
    squares = np.subtract.outer(np.arange(n_bins), np.arange(n_bins)) ** 2 / timescale**2
    smooth = (1 - JITTER) * np.exp(-0.5 * squares)
    return smooth + JITTER * np.eye(n_bins), smooth * squares


def infer_group(Y: Array, group: Group, factors: Factors, timescales: Array) -> Posterior:
    """Posterior of one group from its trials (trial, time, unit)."""
    C, d, R = factors
    k, T = C.shape[1], group.length
    if T == 0:
        empty = np.zeros(len(group.trials))
        return Posterior(np.zeros((len(empty), 0, k)), np.zeros((k, 0, k, 0)), empty)
    seen = group.observed
    centered = np.where(seen, Y[group.trials, :T] - d, 0.0)
    weighted = C / R[:, None]
    precision = np.zeros((k, T, k, T))
    log_prior = 0.0
    for latent, timescale in enumerate(timescales):
        inverse, logdet = invert_definite(make_prior(float(timescale), T)[0])
        precision[latent, :, latent, :] = inverse
        log_prior += float(logdet)
    products = np.einsum("ui,uj->uij", C, weighted).reshape(len(d), -1)
    gains = (seen.astype(float) @ products).reshape(T, k, k)
    times = np.arange(T)
    precision[:, times, :, times] += gains
    covariance, logdet = invert_definite(precision.reshape(k * T, k * T))
    drive = np.swapaxes(centered @ weighted, 1, 2).reshape(-1, k * T)
    means = drive @ covariance
    squares = (centered**2 / R).sum(axis=(1, 2)) - (drive * means).sum(axis=1)
    constant = (seen * np.log(2 * np.pi * R)).sum() + log_prior + logdet
    means = np.swapaxes(means.reshape(-1, k, T), 1, 2)
    return Posterior(means, covariance.reshape(k, T, k, T), -0.5 * (constant + squares))


def _improve(log_timescale: float, moments: dict[int, tuple[int, Array]], top: float) -> float:
    """Raise the expected log prior of one latent: second moments (time, time) per length."""

    def lose(at: Array) -> tuple[float, float]:
        loss, slope = 0.0, 0.0
        for n_bins, (count, second) in moments.items():
            prior, rate = make_prior(float(np.exp(at[0])), n_bins)
            inverse, logdet = invert_definite(prior)
            weighted = inverse @ second
            loss += 0.5 * (count * float(logdet) + float(np.trace(weighted)))
            slope += 0.5 * float(np.sum((count * inverse - weighted @ inverse) * rate))
        return loss, slope

    bounds = [(np.log(SHORTEST), np.log(top))]
    found = minimize(
        lambda at: lose(at), [log_timescale], jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 8},
    )  # fmt: skip
    return float(found.x[0])


def update_timescales(groups: list[Group], posteriors: list[Posterior], timescales: Array) -> Array:
    """Move each timescale [bins] up the gradient of the expected log prior."""
    moments: list[dict[int, tuple[int, Array]]] = [{} for _ in timescales]
    for group, posterior in zip(groups, posteriors, strict=True):
        count = len(group.trials)
        if group.length == 0:
            continue
        for latent, held in enumerate(moments):
            course = posterior.means[:, :, latent]
            second = course.T @ course + count * posterior.covariance[latent, :, latent, :]
            before, sum_before = held.get(group.length, (0, np.zeros_like(second)))
            held[group.length] = before + count, sum_before + second
    top = LONGEST * max(group.length for group in groups)
    logs = np.log(np.clip(timescales, SHORTEST, top))
    return np.exp(
        [_improve(float(log), held, top) for log, held in zip(logs, moments, strict=True)]
    )


def _pool_rows(
    Y: Array, groups: list[Group], posteriors: list[Posterior]
) -> tuple[Array, Array, Array, Array]:
    """Rows (trial x time) of all groups: values, what was observed, means and covariances."""
    parts: list[list[Array]] = [[], [], [], []]
    for group, posterior in zip(groups, posteriors, strict=True):
        count, T, k = posterior.means.shape
        times = np.arange(T)
        marginal = posterior.covariance[:, times, :, times]
        parts[0].append(Y[group.trials, :T].reshape(count * T, -1))
        parts[1].append(np.broadcast_to(group.observed, (count, *group.observed.shape)))
        parts[2].append(posterior.means.reshape(-1, k))
        parts[3].append(np.broadcast_to(marginal, (count, T, k, k)))
    n_units, k = Y.shape[2], posteriors[0].means.shape[2]
    return (
        np.concatenate(parts[0]), np.concatenate([p.reshape(-1, n_units) for p in parts[1]]),
        np.concatenate(parts[2]), np.concatenate([p.reshape(-1, k, k) for p in parts[3]]),
    )  # fmt: skip


def fit_processes(
    Y: Array, observed: Array, factors: Factors, timescales: Array, *, max_iter: int, tol: float
) -> tuple[Factors, Array, Run]:
    """Exact EM over trials (trial, time, unit).

    Parameters
    ----------
    Y, observed : array (trial, time, unit)
    factors : Factors
        Where to begin.
    timescales : array (latent,)
        Where to begin, in bins.
    max_iter : int
    tol : float
        Least gain in log likelihood per observed bin.

    Returns
    -------
    Factors, array (latent,), Run
    """
    groups = group_trials(observed)
    n_bins = int(observed.any(axis=2).sum())
    _, variance = _factors.measure_units(
        Y.reshape(-1, Y.shape[2]), observed.reshape(-1, Y.shape[2])
    )
    floor = np.maximum(_factors.FLOOR * variance, np.finfo(float).tiny ** 0.5)
    scores: list[float] = []
    for _ in range(max_iter):
        posteriors = [infer_group(Y, group, factors, timescales) for group in groups]
        scores.append(float(sum(posterior.scores.sum() for posterior in posteriors)))
        if len(scores) > 1 and scores[-1] - scores[-2] < tol * n_bins:
            return factors, timescales, Run(scores, True)
        factors = _factors.regress(*_pool_rows(Y, groups, posteriors), floor, "diagonal")
        timescales = update_timescales(groups, posteriors, timescales)
    return factors, timescales, Run(scores, False)


def infer_trials(
    Y: Array, observed: Array, factors: Factors, timescales: Array
) -> tuple[Array, Array, Array]:
    """Posterior means and variances (trial, time, latent), log likelihoods (trial,).

    Times after the last observed one are forecast.
    """
    n_bins, k = Y.shape[1], factors.loadings.shape[1]
    means, variances = np.empty((2, len(Y), n_bins, k))
    scores = np.empty(len(Y))
    priors = [make_prior(float(timescale), n_bins)[0] for timescale in timescales]
    for group in group_trials(observed):
        posterior = infer_group(Y, group, factors, timescales)
        T = group.length
        scores[group.trials] = posterior.scores
        for latent, prior in enumerate(priors):
            # From the times with data to all of them: the identity, then the forecast.
            known = prior[:T, :T]
            carry = np.linalg.solve(known, prior[:T, T:]).T
            reach = np.concatenate([np.eye(T), carry])
            spread = posterior.covariance[latent, :, latent, :] - known
            means[group.trials, :, latent] = posterior.means[:, :, latent] @ reach.T
            variances[group.trials, :, latent] = 1 + ((reach @ spread) * reach).sum(axis=1)
    return means, variances, scores


def draw_courses(timescales: Array, n_trials: int, n_bins: int, rng: np.random.Generator) -> Array:
    """Draw latents (trial, time, latent) from the prior."""
    roots = [np.linalg.cholesky(make_prior(float(tau), n_bins)[0]) for tau in timescales]
    noise = rng.normal(size=(len(timescales), n_bins, n_trials))
    return np.stack([root @ one for root, one in zip(roots, noise, strict=True)]).T
