"""Rows of hidden Markov models: steps of expectation maximisation against hmmlearn."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.harness import Race
from neuroalign.latents._chain_fit import Chain, Options, climb, take_bins
from neuroalign.latents._emissions import DiagonalGaussian

STEPS = 5
Inputs = tuple[np.ndarray, np.ndarray, np.ndarray]


def simulate_states(trials: int, bins: int, states: int, units: int) -> Inputs:
    """Sticky states with normal emissions: trials (trial, time, unit), a start, and means."""
    rng = np.random.default_rng(0)
    jumps = rng.uniform(size=(trials, bins)) < 0.05
    path = rng.integers(states, size=(trials, bins))
    latest = np.maximum.accumulate(np.where(jumps, np.arange(bins), 0), axis=1)
    means = rng.normal(size=(states, units))
    Y = means[np.take_along_axis(path, latest, axis=1)] + rng.normal(size=(trials, bins, units))
    transition = np.full((states, states), 0.1 / states) + 0.9 * np.eye(states)
    return Y, transition, means + 0.3 * rng.normal(size=means.shape)


def prepare(**size: int) -> Inputs:
    """The inputs, after each side ran on few, so that no import is timed."""
    small = simulate_states(2, 50, 3, 2)
    for job in (climb_ours, climb_hmmlearn):
        job(small)
    return simulate_states(**size)


def climb_ours(inputs: Inputs) -> Any:
    """Five steps without a prior; the log-likelihood before the last."""
    Y, transition, means = inputs
    bins = take_bins(Y, np.ones(Y.shape, dtype=bool))
    emission = DiagonalGaussian()
    emission.setup(bins.Y, bins.seen, 0.0)
    k = len(means)
    options = Options(k, 1.0, 0.0, 1, STEPS, 0.0)
    params = {"mean": means, "variance": np.ones_like(means)}
    chain = Chain(np.full(k, 1 / k), transition, params)
    return np.array([climb(bins, emission, chain, options, STEPS).objective[-1] / Y[..., 0].size])


def _climb_peer(inputs: Inputs, implementation: str) -> Any:
    peer: Any = import_module("hmmlearn.hmm")
    Y, transition, means = inputs
    k = len(means)
    model = peer.GaussianHMM(
        k, "diag", n_iter=STEPS, tol=0.0, init_params="", implementation=implementation,
        means_prior=0, means_weight=0, covars_prior=0, covars_weight=0, min_covar=1e-6,
    )  # fmt: skip
    model.startprob_, model.transmat_, model.means_ = np.full(k, 1 / k), transition, means
    model.covars_ = np.ones_like(means)
    model.fit(Y.reshape(-1, Y.shape[2]), [Y.shape[1]] * len(Y))
    return np.array([model.monitor_.history[-1] / Y[..., 0].size])


def climb_hmmlearn(inputs: Inputs) -> Any:
    """The peer as it comes: in logarithms."""
    return _climb_peer(inputs, "log")


def climb_hmmlearn_scaled(inputs: Inputs) -> Any:
    """The peer at its best: scaled."""
    return _climb_peer(inputs, "scaling")


def count_flops(trials: int, bins: int, states: int, units: int) -> float:
    """Two passes, expected transitions, likelihoods and sums, each step."""
    return STEPS * 2.0 * trials * bins * states * (3 * states + 6 * units)


SIZES: dict[str, dict[str, Any]] = {
    "one sequence": {
        "full": {"trials": 1, "bins": 100_000, "states": 20, "units": 10},
        "quick": {"trials": 1, "bins": 20_000, "states": 20, "units": 10},
    },
    "100 trials": {
        "full": {"trials": 100, "bins": 1000, "states": 20, "units": 10},
        "quick": {"trials": 100, "bins": 200, "states": 20, "units": 10},
    },
}

PEERS = {"hmmlearn": "climb_hmmlearn", "hmmlearn scaled": "climb_hmmlearn_scaled"}
RACES: list[Race] = []
if find_spec("hmmlearn") is not None:
    RACES += [
        Race(
            f"hmm, {name}", "benchmarks._rows_hmm", "prepare", "climb_ours", peer, job,
            flops="count_flops", signed=True, **sizes,
        )
        for name, sizes in SIZES.items()
        for peer, job in PEERS.items()
    ]  # fmt: skip
