"""The search for switching linear dynamics: seeded starts that race, and the turns of each."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from neuroalign.latents._chain_fit import Bins, Chain, Options, climb
from neuroalign.latents._kalman import States, update_dynamics
from neuroalign.latents._linear_fit import Fitted, Observations
from neuroalign.latents._regressions import Autoregression
from neuroalign.latents._smoothed_steps import SmoothedSteps
from neuroalign.latents._switching import (
    INFER,
    Data,
    Switching,
    bound_latents,
    couple,
    lay_bins,
    start_latents,
    weigh_states,
)

Array = npt.NDArray[Any]
# Restarts race this far; the best goes on.
RACE = 10
# Steps of the autoregressive chain that comes before: with more, starts end in the same states.
FIRST_STEPS = 2
# Bins of the stretches from which laws are first read.
STRETCH = 12
# The least variance of a trial's first latents.
START_FLOOR = 1e-4


def _smooth_over(values: Array, bins: Bins) -> Array:
    """Mean of values (bin, law) over stretches of a trial around each bin."""
    laid = bins.lay_out(values)
    counts = bins.inside[..., None].astype(np.float64)
    over = [uniform_filter1d(one, STRETCH, axis=1, mode="constant") for one in (laid, counts)]
    return np.asarray((over[0] / np.maximum(over[1], 1e-12))[bins.inside])


def draw_laws(bins: Bins, plain: Autoregression, n_states: int, rng: np.random.Generator) -> Chain:
    """Start a chain from laws of short stretches, each drawn where those before it fail.

    Arthur & Vassilvitskii (2007), SODA: seeds of k-means++, with laws in place of centers.

    Parameters
    ----------
    bins : Bins
        Latents with their past.
    plain : Autoregression
        Set up on them.
    n_states : int
    rng : Generator

    Returns
    -------
    Chain
    """
    now, whole = bins.Y[:, : plain.units], bins.seen[:, 0]
    row, trial = np.arange(len(now)), np.nonzero(bins.inside)[0]
    errors: list[Array] = []
    chance = whole.copy()
    for _ in range(n_states):
        middle = rng.choice(len(row), p=chance / chance.sum())
        near = (np.abs(row - middle) <= STRETCH // 2) & (trial == trial[middle])
        law = plain.estimate(bins.Y, bins.seen, near[:, None].astype(np.float64), None)
        missed = ((now - plain.predict(bins.Y, law)[:, 0]) ** 2 / plain.spread).sum(axis=1)
        errors.append(_smooth_over(whole[:, None] * missed[:, None], bins)[:, 0])
        # A trace of chance stays everywhere, where a law is exact on all bins.
        best = np.min(errors, axis=0) * whole
        chance = best + whole * (1e-6 * best.mean() + 1e-300)
    weights = np.full((len(row), n_states), 0.1 / n_states)
    weights[row, np.argmin(errors, axis=0)] += 0.9
    params = plain.estimate(bins.Y, bins.seen, weights, None)
    transition = np.full((n_states, n_states), 0.1 / n_states) + 0.9 * np.eye(n_states)
    return Chain(np.full(n_states, 1 / n_states), transition, params)


def climb_switching(
    data: Data, model: Switching, states: States, emission: SmoothedSteps,
    observations: Observations, options: Options, steps: int,
) -> States:  # fmt: skip
    """Take so many turns, or fewer where the bound grows by less than ``tol`` a bin.

    The model is changed; its latents are returned.
    """
    whole = observations.whole

    def infer(states: States) -> tuple[States, Array]:
        posterior = weigh_states(emission, states, data.inside, model.chain)
        prior = couple(posterior, model, data.inside)
        return INFER[whole](data, model.readout, prior, states.mean)

    states, logdet = infer(states)
    for _ in range(steps):
        emission.hold(states, data.inside)
        # A fresh record, or the chain would judge convergence by its own share of the bound.
        old = model.chain
        fresh = Chain(old.start, old.transition, old.params, rescued=old.rescued)
        rest = float(bound_latents(data, model, states, logdet, whole).sum())
        model.chain = climb(lay_bins(states, data.inside), emission, fresh, options, 1)
        value = fresh.objective[-1] + rest
        gain = value - model.objective[-1] if model.objective else np.inf
        model.objective.append(value)
        if not np.isfinite(value):
            break
        if abs(gain) < options.tol * data.inside.sum():
            model.converged = True
            break
        states, logdet = infer(states)
        model.readout = observations.update(data.Y, data.seen, states, model.readout)
        model.pooled = update_dynamics(states, data.inside, model.pooled, START_FLOOR)
    return states


def fit_switching(
    data: Data, linear: Fitted, observations: Observations, options: Options, seed: int
) -> Switching:
    """Race seeded starts; run the best to its end.

    Parameters
    ----------
    data : Data
    linear : Fitted
        One linear law for all bins: where latents come from at first.
    observations : Observations
    options : Options
    seed : int

    Returns
    -------
    Switching
    """
    first = start_latents(data, linear, observations)
    bins = lay_bins(first, data.inside)
    d = first.mean.shape[2]
    plain, emission = Autoregression(d), SmoothedSteps(d)
    for one in (plain, emission):
        one.setup(bins.Y, bins.seen, 0.1)
    short = min(RACE, options.max_iter)
    rng = np.random.default_rng(seed)
    best: tuple[Switching, States] | None = None
    for _ in range(options.n_restarts):
        chain = draw_laws(bins, plain, options.n_states, rng)
        chain = climb(bins, plain, chain, options, FIRST_STEPS)
        pooled = update_dynamics(first, data.inside, linear.dynamics, START_FLOOR)
        model = Switching(chain, linear.readout, pooled)
        states = climb_switching(data, model, first, emission, observations, options, short)
        if best is None or model.objective[-1] > best[0].objective[-1]:
            best = (model, states)
    assert best is not None
    model, states = best
    left = options.max_iter - len(model.objective)
    if not model.converged and left > 0:
        climb_switching(data, model, states, emission, observations, options, left)
    return model
