"""Switching linear dynamics on bare arrays: a chain of states and a chain of latents in turns.

The posterior is a product of one over states and one over latents. Given weights of the states the
latents are normal, with a precision that couples only neighbouring bins; given latents the states
are a hidden Markov chain whose emissions are expected log-densities of each step.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from neuroalign.latents._chain_fit import Bins, Chain
from neuroalign.latents._emissions import LOG_2PI, Params
from neuroalign.latents._hmm import Smoothed, smooth
from neuroalign.latents._kalman import Dynamics, States, spread_units, weigh_rows
from neuroalign.latents._linear_fit import Fitted, Observations, Readout
from neuroalign.latents._regressions import stack_past
from neuroalign.latents._smoothed_steps import SmoothedSteps

Array = npt.NDArray[Any]
# Newton's steps for counts in each turn, and halvings of one that goes too far.
NEWTON_STEPS, HALVINGS = 20, 10
# Turns between states and latents when parameters are known.
TURNS = 30
LARGEST_LOG_RATE = 50.0


@dataclass
class Switching:
    """Parameters, and how they came about.

    ``pooled`` is the one linear law that fits the latents best: where inference begins. Its first
    bin is the model's own.
    """

    chain: Chain
    readout: Readout
    pooled: Dynamics
    objective: list[float] = field(default_factory=list)
    converged: bool = False


@dataclass(frozen=True)
class Data:
    """Padded trials: ``Y``, ``seen`` (trial, time, unit); ``inside`` (trial, time)."""

    Y: Array
    seen: Array
    inside: Array


@dataclass(frozen=True)
class Posterior:
    """``states`` over latents, ``chain`` over states, ``bound`` (trial,) on log-likelihoods.

    ``log_steps`` (trial, time, state) are the expected log-densities that the chain saw.
    """

    states: States
    chain: Smoothed
    bound: Array
    log_steps: Array


def find_inside(seen: Array) -> Array:
    """Bins up to the last one in which anything was seen; at least the first of each trial."""
    some: Array = np.any(seen > 0, axis=2)
    some[:, 0] = True
    return np.asarray(np.cumsum(some[:, ::-1], axis=1)[:, ::-1] > 0)


def smooth_blocks(D: Array, L: Array, h: Array) -> tuple[States, Array]:
    """Moments of normals whose precision couples neighbours only, and log determinants.

    Parameters
    ----------
    D : array (trial, time, latent, latent)
        Blocks of the precision on the diagonal.
    L : array (trial, time, latent, latent)
        Blocks of each bin with the one before it; the first is not used.
    h : array (trial, time, latent)
        Precision times mean.

    Returns
    -------
    States
    array (trial,)
        Log determinant of the precision.
    """
    n, length, _ = h.shape
    inverse, pushed = np.empty_like(D), h[..., None].copy()
    schur = D.copy()
    for t in range(length):
        if t:
            back = L[:, t] @ inverse[:, t - 1]
            schur[:, t] -= back @ L[:, t].swapaxes(1, 2)
            pushed[:, t] -= back @ pushed[:, t - 1]
        inverse[:, t] = np.linalg.inv(schur[:, t])
    logdet = np.linalg.slogdet(schur)[1].sum(axis=1)
    inverse = (inverse + inverse.swapaxes(2, 3)) / 2
    gain = inverse[:, :-1] @ L[:, 1:].swapaxes(2, 3)
    mean = inverse @ pushed
    covariance, cross = inverse, np.zeros_like(D)
    for t in range(length - 2, -1, -1):
        G = gain[:, t]
        later = G @ covariance[:, t + 1]
        mean[:, t] -= G @ mean[:, t + 1]
        covariance[:, t] += later @ G.swapaxes(1, 2)
        cross[:, t + 1] = -later.swapaxes(1, 2)
    states = States(mean[..., 0], covariance, cross, np.arange(n), np.zeros(n))
    return states, logdet


def couple(weights: Array, model: Switching, inside: Array) -> tuple[Array, Array, Array]:
    """Prior of the latents given weights of the states: ``D``, ``L`` and ``h`` of `smooth_blocks`.

    Bins after the end stand alone, standard normal.
    """
    params, start = model.chain.params, model.pooled
    precision = np.linalg.inv(params["covariance"])
    across = precision @ params["weights"]
    back = params["weights"].swapaxes(1, 2) @ across
    shift = np.einsum("kij,kj->ki", precision, params["offset"])
    shift_back = np.einsum("kji,kj->ki", across, params["offset"])
    w = weights * inside[..., None]
    w[:, 0] = 0.0
    D = np.tensordot(w, precision, axes=1)
    D[:, :-1] += np.tensordot(w[:, 1:], back, axes=1)
    L = -np.tensordot(w, across, axes=1)
    h = w @ shift
    h[:, :-1] -= w[:, 1:] @ shift_back
    first = np.linalg.inv(start.covariance)
    D[:, 0] += first
    h[:, 0] += first @ start.mean
    D[~inside] = np.eye(h.shape[2])
    return D, L, h


def _log_rate(z: Array, readout: Readout) -> Array:
    return np.asarray(np.minimum(z @ readout.loadings.T + readout.offset, LARGEST_LOG_RATE))


def _infer_signals(
    data: Data, readout: Readout, prior: tuple[Array, Array, Array], guess: Array
) -> tuple[States, Array]:
    D, L, h = prior
    weights = data.seen / readout.noise
    J = weigh_rows(weights, readout.loadings)
    return smooth_blocks(D + J, L, h + (weights * (data.Y - readout.offset)) @ readout.loadings)


def _infer_counts(
    data: Data, readout: Readout, prior: tuple[Array, Array, Array], guess: Array
) -> tuple[States, Array]:
    """Normal about the mode, which Newton's steps find (Laplace)."""
    D, L, h = prior
    C = readout.loadings

    def score(z: Array) -> Array:
        log_rate = _log_rate(z, readout)
        fire = (data.seen * (data.Y * log_rate - np.exp(log_rate))).sum(axis=(1, 2))
        pull = (D @ z[..., None])[..., 0] / 2
        pull[:, 1:] += (L[:, 1:] @ z[:, :-1, :, None])[..., 0]
        return np.asarray(fire + (z * (h - pull)).sum(axis=(1, 2)))

    z, value = guess, score(guess)
    for _ in range(NEWTON_STEPS):
        rate = data.seen * np.exp(_log_rate(z, readout))
        J = weigh_rows(rate, C)
        push = (data.seen * data.Y - rate) @ C + (J @ z[..., None])[..., 0]
        states, logdet = smooth_blocks(D + J, L, h + push)
        step = states.mean - z
        if np.abs(step).max() < 1e-7:
            break
        size = np.ones(len(z))
        for _ in range(HALVINGS):
            new = z + size[:, None, None] * step
            reached = score(new)
            worse = ~(reached >= value - 1e-9 * np.abs(value))
            if not worse.any():
                break
            size[worse] /= 2
        z, value = new, reached
    return states, logdet


def _density_signals(data: Data, readout: Readout, states: States) -> Array:
    C, R = readout.loadings, readout.noise
    spread = spread_units(states.covariance, C)
    rest = data.Y - states.mean @ C.T - readout.offset
    each = data.seen * (np.log(R) + LOG_2PI + (rest**2 + spread) / R)
    return np.asarray(-0.5 * each.sum(axis=(1, 2)))


def _density_counts(data: Data, readout: Readout, states: States) -> Array:
    C = readout.loadings
    spread = spread_units(states.covariance, C)
    drive = states.mean @ C.T + readout.offset
    each = data.Y * drive - np.exp(np.minimum(drive + spread / 2, LARGEST_LOG_RATE))
    return np.asarray((data.seen * (each - gammaln(data.Y + 1.0))).sum(axis=(1, 2)))


# Whether observations are whole numbers -> posterior of latents, expected log-density of bins.
INFER = {False: _infer_signals, True: _infer_counts}
DENSITY = {False: _density_signals, True: _density_counts}


def bound_latents(
    data: Data, model: Switching, states: States, logdet: Array, whole: bool
) -> Array:
    """What the bound holds beside the chain's own likelihood: bins, first latents, entropy."""
    start, d = model.pooled, states.mean.shape[2]
    first = np.linalg.inv(start.covariance)
    away = states.mean[:, 0] - start.mean
    square = np.einsum("ni,ij,nj->n", away, first, away)
    square += np.einsum("ij,nji->n", first, states.covariance[:, 0])
    opening = -0.5 * (square + np.linalg.slogdet(start.covariance)[1] + d * LOG_2PI)
    entropy = 0.5 * (data.inside.sum(axis=1) * d * (1 + LOG_2PI) - logdet)
    return np.asarray(DENSITY[whole](data, model.readout, states) + opening + entropy)


def lay_bins(states: States, inside: Array) -> Bins:
    stacked, seen = stack_past(
        states.mean, np.broadcast_to(inside[..., None], states.mean.shape), 1
    )
    return Bins(stacked[inside], seen[inside].astype(np.float64), inside)


def weigh_steps(emission: SmoothedSteps, states: States, inside: Array, params: Params) -> Array:
    """Expected log-density (trial, time, state) of the step into each bin."""
    bins = lay_bins(states, inside)
    emission.hold(states, inside)
    return bins.lay_out(emission.log_likelihood(bins.Y, bins.seen, params))


def weigh_states(emission: SmoothedSteps, states: States, inside: Array, chain: Chain) -> Array:
    """Posterior (trial, time, state) of the states given the latents."""
    log_b = weigh_steps(emission, states, inside, chain.params)
    return smooth(log_b, chain.start, chain.transition, inside.sum(axis=1)).posterior


def start_latents(data: Data, linear: Fitted, observations: Observations) -> States:
    """Latents under one linear law, each trial with covariances of its own."""
    found, _ = observations.infer(data.Y, data.seen, linear, None)
    return States(
        found.mean, found.covariance[found.group], found.cross[found.group],
        np.arange(len(data.Y)), found.log_integral,
    )  # fmt: skip


def infer_switching(data: Data, model: Switching, observations: Observations) -> Posterior:
    """Alternate between states and latents, from the pooled linear law.

    Parameters
    ----------
    data : Data
    model : Switching
    observations : Observations

    Returns
    -------
    Posterior
    """
    states = start_latents(data, Fitted(model.pooled, model.readout), observations)
    emission = SmoothedSteps(states.mean.shape[2])
    whole = observations.whole
    for _ in range(TURNS):
        prior = couple(weigh_states(emission, states, data.inside, model.chain), model, data.inside)
        states, logdet = INFER[whole](data, model.readout, prior, states.mean)
    log_b = weigh_steps(emission, states, data.inside, model.chain.params)
    lengths = data.inside.sum(axis=1)
    chain = smooth(log_b, model.chain.start, model.chain.transition, lengths)
    bound = chain.log_prob + bound_latents(data, model, states, logdet, whole)
    # Nothing seen has a likelihood of one; the bound would charge for what it factorises.
    bound = np.where((data.seen > 0).any(axis=(1, 2)), bound, 0.0)
    return Posterior(states, chain, bound, log_b)


def forecast_switching(found: Posterior, model: Switching, inside: Array) -> States:
    """Carry the moments of the latents on past the last bin seen, states and latents apart."""
    params, chain = model.chain.params, model.chain
    A, b, Q = params["weights"], params["offset"], params["covariance"]
    z, V = found.states.mean.copy(), found.states.covariance.copy()
    p = found.chain.posterior.copy()
    for t in range(1, z.shape[1]):
        out = ~inside[:, t]
        p[out, t] = p[out, t - 1] @ chain.transition
        means = np.einsum("kij,nj->nki", A, z[out, t - 1]) + b
        z[out, t] = np.einsum("nk,nki->ni", p[out, t], means)
        away = means - z[out, t][:, None]
        spread = A @ V[out, t - 1][:, None] @ A.swapaxes(1, 2) + Q
        spread += away[..., :, None] * away[..., None, :]
        V[out, t] = np.einsum("nk,nkij->nij", p[out, t], spread)
    cross = np.zeros_like(V)
    return States(z, V, cross, np.arange(len(z)), found.bound)
