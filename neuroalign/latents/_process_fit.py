"""Climb the exact likelihood of Gaussian-process factors: EM on sums, sped up.

In: trials (trial, time, unit), what was observed, and a start. Out: factors and timescales. An
iteration is one pass over the responses, in two matrix products; all else is sums over trials.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.latents import _factors
from neuroalign.latents._factors import Factors, Run
from neuroalign.latents._gaussian_process import (
    Posterior,
    Prior,
    group_trials,
    infer_group,
    make_priors,
)

Array = npt.NDArray[Any]
# Shortest and longest timescale looked for, in bins and in lengths of the longest trial.
SHORTEST, LONGEST = 0.3, 3.0
# A timescale changes by this factor (in logarithms) an iteration at most.
STRIDE = 0.7
# Steps remembered for the extrapolation, and the ridge of its regression.
MEMORY, RIDGE = 10, 1e-10
# Small gains in a row that end the climb: an extrapolation may once gain little by chance.
PATIENCE = 2
# A noise stays below this many variances of its unit, wherever an extrapolation leads.
MOST = 1e3


class Part(NamedTuple):
    """Trials that miss the same entries, about the units' means: filled (trial, time, unit).

    ``seen_count``, ``first`` and ``second`` (unit,) are the number, sum and sum of squares of the
    observed entries.
    """

    filled: Array
    seen: Array
    seen_count: Array
    first: Array
    second: Array


class State(NamedTuple):
    """Where the climb stands: parameters, their likelihood, and what EM makes of them."""

    point: Array
    score: float
    target: Array
    target_held: Array


class Climber:
    """EM over parameters as one vector: loadings, means, log noises and log timescales.

    Loadings and means are in units of the first noise's deviations, so that no unit rules the
    extrapolation.
    """

    def __init__(self, Y: Array, observed: Array, factors: Factors, timescales: Array) -> None:
        n_units = Y.shape[2]
        self.center, variance = _factors.measure_units(
            Y.reshape(-1, n_units), observed.reshape(-1, n_units)
        )
        self.ceiling = MOST * np.maximum(variance, np.finfo(float).tiny ** 0.5)
        self.floor = np.maximum(_factors.FLOOR * variance, np.finfo(float).tiny ** 0.5)
        self.n_bins = int(observed.any(axis=2).sum())
        self.shape = factors.loadings.shape
        self.scale = np.sqrt(np.maximum(factors.noise, self.floor))
        self.parts = [
            self._prepare(Y[trials, :length], seen)
            for trials, length, seen in group_trials(observed)
            if length
        ]
        longest = max(part.seen.shape[0] for part in self.parts)
        self.bounds = np.log(SHORTEST), np.log(LONGEST * longest)
        self.begin = self.pack(factors._replace(mean=factors.mean - self.center), timescales)

    def _prepare(self, Y: Array, seen: Array) -> Part:
        filled = np.where(seen, Y - self.center, 0.0)
        rows = filled.reshape(-1, filled.shape[2])
        squares = np.einsum("ru,ru->u", rows, rows)
        return Part(filled, seen, len(Y) * seen.sum(axis=0), rows.sum(axis=0), squares)

    def pack(self, factors: Factors, timescales: Array) -> Array:
        """Lay parameters out as one vector, within their bounds."""
        noise = np.log(np.maximum(factors.noise, self.floor))
        logs = np.clip(np.log(timescales), *self.bounds)
        C = factors.loadings / self.scale[:, None]
        return np.concatenate([C.ravel(), factors.mean / self.scale, noise, logs])

    def unpack(self, point: Array) -> tuple[Factors, Array]:
        """Read the vector; noises below the floor and timescales out of bounds are put back."""
        n, k = self.shape
        C, d, noise, logs = np.split(point, np.cumsum([n * k, n, n]))
        factors = Factors(
            C.reshape(n, k) * self.scale[:, None], d * self.scale,
            np.exp(np.clip(noise, np.log(self.floor), np.log(self.ceiling))),
        )  # fmt: skip
        return factors, np.exp(np.clip(logs, *self.bounds))

    def read(self, point: Array) -> tuple[Factors, Array]:
        """Read the vector, with the means where the responses have them."""
        factors, timescales = self.unpack(point)
        return factors._replace(mean=factors.mean + self.center), timescales

    def evaluate(self, point: Array) -> State:
        """One pass: the log likelihood of a point, and the point that EM moves to."""
        factors, timescales = self.unpack(point)
        n, k = self.shape
        priors: dict[int, Prior] = {}
        score = 0.0
        moments, cross = np.zeros((n, k + 1, k + 1)), np.zeros((n, k + 1))
        steps = np.zeros((2, k))
        for part in self.parts:
            length = len(part.seen)
            if length not in priors:
                priors[length] = make_priors(timescales, length)
            found = infer_group(part.filled, part.seen, factors, priors[length])
            score += _score(part, factors, found)
            _add_moments(part, found, moments, cross)
            steps += _measure_timescales(found, priors[length])
        moved = self._regress(moments, cross)
        stride = np.clip(steps[0] / np.maximum(steps[1], np.finfo(float).tiny), -STRIDE, STRIDE)
        target = self.pack(moved, timescales * np.exp(stride))
        held = self.pack(moved, timescales)
        return State(point, score, target, held)

    def _regress(self, moments: Array, cross: Array) -> Factors:
        k = self.shape[1]
        count = sum(part.seen_count for part in self.parts)
        second = sum(part.second for part in self.parts)
        weights = np.linalg.solve(moments, cross[..., None])[..., 0]
        variance = (second - (weights * cross).sum(axis=1)) / count
        return Factors(weights[:, :k], weights[:, k], np.maximum(variance, self.floor))


def _score(part: Part, factors: Factors, found: Posterior) -> float:
    """Log likelihood of all trials of a part, from its sums."""
    squares = part.second - 2 * factors.mean * part.first + factors.mean**2 * part.seen_count
    fit = float(np.einsum("ntk,ntk->", found.drive, found.means))
    total = len(part.filled) * found.constant + float((squares / factors.noise).sum()) - fit
    return -0.5 * total


def _add_moments(part: Part, found: Posterior, moments: Array, cross: Array) -> None:
    """Add second moments of (latents, 1) for each unit, and their products with responses."""
    n, T, k = found.means.shape
    times = np.arange(T)
    Z = np.concatenate([found.means, np.ones((n, T, 1))], axis=2)
    rows = part.filled.reshape(n * T, -1)
    cross += rows.T @ Z.reshape(n * T, k + 1)
    spread = n * found.covariance[:, times, :, times]
    if part.seen.all():
        flat = Z.reshape(n * T, k + 1)
        moments += flat.T @ flat
        moments[:, :k, :k] += spread.sum(axis=0)
        return
    course = np.ascontiguousarray(Z.transpose(1, 0, 2))
    outer = np.swapaxes(course, 1, 2) @ course
    outer[:, :k, :k] += spread
    moments += (part.seen.T.astype(float) @ outer.reshape(T, -1)).reshape(moments.shape)


def _measure_timescales(found: Posterior, prior: Prior) -> Array:
    """Slope and curvature (2, latent) of the expected log prior in the logs of the timescales.

    The inverse of the prior is known from the posterior, so that Fisher's scoring costs two
    products where a search would factorise anew.
    """
    count = len(found.means)
    out = np.empty((2, found.means.shape[2]))
    for latent, (inverse, slope) in enumerate(zip(prior.inverse, prior.slope, strict=True)):
        course = np.ascontiguousarray(found.means[:, :, latent])
        second = course.T @ course + count * found.covariance[latent, :, latent, :]
        rate = inverse @ slope
        out[0, latent] = 0.5 * (np.sum((rate @ inverse) * second) - count * np.trace(rate))
        out[1, latent] = 0.5 * count * np.sum(rate * rate.T)
    return out


def _extrapolate(known: list[State]) -> Array:
    """Mix EM's last moves so that what they still change is least (Anderson's acceleration)."""
    targets = np.stack([state.target for state in known])
    rest = targets - np.stack([state.point for state in known])
    change, goal = np.diff(rest, axis=0), np.diff(targets, axis=0)
    gram = change @ change.T
    gram[np.diag_indices(len(gram))] += RIDGE * np.trace(gram) + np.finfo(float).tiny
    return np.asarray(targets[-1] - np.linalg.solve(gram, change @ rest[-1]) @ goal)


def fit_processes(
    Y: Array, observed: Array, factors: Factors, timescales: Array, *, max_iter: int, tol: float
) -> tuple[Factors, Array, Run]:
    """Exact EM over trials (trial, time, unit), extrapolated where that gains more.

    Parameters
    ----------
    Y, observed : array (trial, time, unit)
    factors : Factors
        Where to begin.
    timescales : array (latent,)
        Where to begin, in bins.
    max_iter : int
        Passes over the responses, those of extrapolations that failed among them.
    tol : float
        Least gain in log likelihood per observed bin.

    Returns
    -------
    Factors, array (latent,), Run
        The likelihood after each pass never falls.

    Notes
    -----
    A pass gives the likelihood of a point and where EM moves it. The next point mixes the last
    moves; when it is worse than the point before, EM's own move is taken; should that be worse
    (timescales take a step of scoring, not to their optimum), EM's move of the factors alone.

    References
    ----------
    Henderson & Varadhan (2019), J. Comput. Graph. Stat. 28, doi:10.1080/10618600.2019.1594835.
    """
    climber = Climber(Y, observed, factors, timescales)
    state = climber.evaluate(climber.begin)
    scores, small = [state.score], 0
    known = [state]
    attempts = [state.target, state.target_held]
    while len(scores) < max_iter:
        new = climber.evaluate(attempts.pop(0))
        if not new.score >= state.score:
            scores.append(state.score)
            known = []
            if attempts:
                continue
            return *climber.read(state.point), Run(scores, True)
        small = small + 1 if new.score - state.score < tol * climber.n_bins else 0
        state = new
        scores.append(new.score)
        if small == PATIENCE:
            return *climber.read(state.point), Run(scores, True)
        known = [*known, state][-MEMORY:]
        attempts = [_extrapolate(known)] if len(known) > 1 else []
        attempts += [state.target, state.target_held]
    return *climber.read(state.point), Run(scores, False)
