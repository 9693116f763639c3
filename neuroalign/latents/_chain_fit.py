"""Expectation maximisation for hidden Markov models, with restarts and a rescue of dead states."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from neuroalign.latents._emissions import Emission, Params
from neuroalign.latents._hmm import Smoothed, smooth

Array = npt.NDArray[Any]
# Expected bins under which a state is dead, and the share of worst bins it is given then.
DEAD, WORST = 0.5, 0.02
# Restarts race this far; the best goes on. k-means sees at most so many bins.
RACE, CLUSTERED = 10, 20_000


@dataclass
class Chain:
    """Parameters of one chain and how it came to them."""

    start: Array
    transition: Array
    params: Params
    objective: list[float] = field(default_factory=list)
    converged: bool = False
    rescued: int = 0


@dataclass(frozen=True)
class Bins:
    """Trials as rows: ``Y`` and ``seen`` (bin, unit), ``inside`` (trial, time) before the end."""

    Y: Array
    seen: Array
    inside: Array

    def lay_out(self, values: Array) -> Array:
        """Bins (bin, state) to (trial, time, state), 0 after the end."""
        out = np.zeros((*self.inside.shape, values.shape[1]))
        out[self.inside] = values
        return out

    @property
    def lengths(self) -> Array:
        """Bins of each trial."""
        return np.asarray(self.inside.sum(axis=1))


def take_bins(Y: Array, observed: Array) -> Bins:
    """Cut padding: a trial ends with the last bin where anything was observed."""
    some: Array = np.any(observed, axis=2)
    length = np.where(some.any(axis=1), some.shape[1] - some[:, ::-1].argmax(axis=1), 0)
    inside = np.arange(Y.shape[1]) < length[:, None]
    seen = observed[inside].astype(np.float64)
    return Bins(np.where(observed, Y, 0.0)[inside], seen, inside)


@dataclass(frozen=True)
class Options:
    """Settings of the search."""

    n_states: int
    concentration: float
    stickiness: float
    n_restarts: int
    max_iter: int
    tol: float


def fit_chain(bins: Bins, emission: Emission, options: Options, seed: int) -> Chain:
    """Race seeded starts for ten steps each; run the best to its end.

    Parameters
    ----------
    bins : Bins
    emission : Emission
        Set up on these bins.
    options : Options
    seed : int

    Returns
    -------
    Chain
    """
    rng = np.random.default_rng(seed)
    short = min(RACE, options.max_iter) if options.n_restarts > 1 else options.max_iter
    best: Chain | None = None
    for _ in range(options.n_restarts):
        chain = climb(bins, emission, _start(bins, emission, options, rng), options, short)
        if best is None or chain.objective[-1] > best.objective[-1]:
            best = chain
    assert best is not None
    left = options.max_iter - len(best.objective)
    return best if best.converged or left <= 0 else climb(bins, emission, best, options, left)


def _start(bins: Bins, emission: Emission, options: Options, rng: np.random.Generator) -> Chain:
    """States from k-means on scaled bins; missing values take the mean of their unit."""
    k = options.n_states
    n = np.maximum(bins.seen.sum(axis=0), 1.0)
    mean = bins.Y.sum(axis=0) / n
    centred = bins.seen * (bins.Y - mean)
    spread = np.sqrt((centred**2).sum(axis=0) / n)
    scaled = centred / np.where(spread > 0, spread, 1.0)
    rows = rng.permutation(len(scaled))[:CLUSTERED]
    # Less noise than there are differences, so that equal bins, too, can be cut into k groups.
    jitter = 1e-6 * rng.normal(size=scaled[rows].shape)
    clusters = min(k, len(rows))
    kmeans = KMeans(clusters, n_init=1, max_iter=20, random_state=int(rng.integers(2**31)))
    kmeans.fit(scaled[rows] + jitter)
    weights = np.full((len(scaled), k), 0.1 / k)
    weights[np.arange(len(scaled)), kmeans.predict(scaled)] += 0.9
    params = emission.estimate(bins.Y, bins.seen, weights, None)
    transition = np.full((k, k), 0.2 / k) + 0.8 * np.eye(k)
    return Chain(np.full(k, 1 / k), transition, params)


def climb(bins: Bins, emission: Emission, chain: Chain, options: Options, steps: int) -> Chain:
    """Take so many steps, or fewer where the objective grows by less than ``tol`` a bin.

    The chain itself is changed, and returned.
    """
    k, n_bins = options.n_states, max(1, len(bins.Y))
    for _ in range(steps):
        log_b = emission.log_likelihood(bins.Y, bins.seen, chain.params)
        found = smooth(bins.lay_out(log_b), chain.start, chain.transition, bins.lengths)
        value = float(found.log_prob.sum()) + emission.penalty(chain.params)
        value += _score_transitions(chain, options)
        gain = value - chain.objective[-1] if chain.objective else np.inf
        chain.objective.append(value)
        if not np.isfinite(value):
            return chain
        weights = found.posterior[bins.inside]
        dead = np.flatnonzero(weights.sum(axis=0) < DEAD)
        if len(dead) and chain.rescued < k and len(weights) > k:
            weights = _rescue(weights, log_b, dead)
            chain.rescued += len(dead)
            chain.transition = (chain.transition + 0.1 / k) / 1.1
        elif gain < options.tol * n_bins:
            chain.converged = True
            return chain
        else:
            _update_chain(chain, found, bins, options)
        chain.params = emission.estimate(bins.Y, bins.seen, weights, chain.params)
    return chain


def _score_transitions(chain: Chain, options: Options) -> float:
    """Log of the Dirichlet prior, where it is not flat."""
    counts = _count_prior(options)
    with np.errstate(divide="ignore"):
        logs = np.log(chain.transition)
    return float((counts[counts > 0] * logs[counts > 0]).sum())


def _count_prior(options: Options) -> Array:
    k = options.n_states
    return (options.concentration - 1.0) + options.stickiness * np.eye(k)


def _update_chain(chain: Chain, found: Smoothed, bins: Bins, options: Options) -> None:
    first = found.posterior[bins.lengths > 0, 0].sum(axis=0) + options.concentration - 1.0
    chain.start = first / first.sum()
    counts = found.pairs + _count_prior(options)
    total = counts.sum(axis=1, keepdims=True)
    # A state that is never left keeps its row.
    chain.transition = np.where(total > 0, counts / np.maximum(total, 1e-300), chain.transition)


def _rescue(weights: Array, log_b: Array, dead: Array) -> Array:
    """Give dead states the bins that all states explain worst."""
    worst = np.argsort(log_b.max(axis=1))[: max(len(dead), int(WORST * len(log_b)))]
    weights = weights.copy()
    weights[worst] = 0.0
    weights[worst, dead[np.arange(len(worst)) % len(dead)]] = 1.0
    return weights
