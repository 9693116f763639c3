"""Sequences with known causes: hidden chains that emit symbols, and spikes in repeated motifs.

Out: a `LatentSimulation`. To add a topology of hidden chains: a function in ``TOPOLOGIES``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose
from neuroalign.loaders._latent_trials import LatentSimulation

Array = npt.NDArray[Any]
N_SYMBOLS = 3
RARE = 0.01


def _link_chain(n_states: int, stay: float) -> Array:
    """Neighbours in a line; the ends keep what they cannot give away."""
    step = (1.0 - stay) / 2.0
    transition = np.diag(np.full(n_states, stay))
    for state in range(n_states):
        for other in (state - 1, state + 1):
            inside = 0 <= other < n_states
            transition[state, other if inside else state] += step
    return transition


def _link_cycle(n_states: int, stay: float) -> Array:
    """Each state leads to the next, the last to the first."""
    return stay * np.eye(n_states) + (1.0 - stay) * np.roll(np.eye(n_states), 1, axis=1)


def _link_all(n_states: int, stay: float) -> Array:
    transition = np.full((n_states, n_states), (1.0 - stay) / max(1, n_states - 1))
    np.fill_diagonal(transition, stay if n_states > 1 else 1.0)
    return transition


TOPOLOGIES: dict[str, Callable[[int, float], Array]] = {
    "chain": _link_chain,
    "cycle": _link_cycle,
    "full": _link_all,
}


def simulate_symbol_sequences(
    n_sequences: int = 50,
    n_steps: int = 100,
    n_states: int = 3,
    *,
    topology: str = "chain",
    stay: float = 0.9,
    seed: int = 0,
) -> LatentSimulation:
    """Symbols that hidden states emit, one a step: states at the ends speak most plainly.

    Parameters
    ----------
    n_sequences, n_steps : int
    n_states : int
        At least 2.
    topology : {"chain", "cycle", "full"}
        States that follow one another: neighbours in a line, the next in a ring, or any.
    stay : float
        Chance of staying for another step.
    seed : int

    Returns
    -------
    LatentSimulation
        ``responses`` (sample, neuroid, time): three symbols as 0 and 1. ``truth`` holds ``states``,
        ``transition`` and ``emission`` (state, neuroid); latents are the states as 0 and 1.
        ``oracle["accuracy"]``: of the states by forward and backward recursion with the true
        parameters.

    Raises
    ------
    ValueError
        For fewer than two states, or an unknown topology.

    References
    ----------
    Torre et al. (2025), NeurIPS, arXiv:2510.25674: emissions, and chains of states.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_symbol_sequences
    >>> found = simulate_symbol_sequences(4, 20)
    >>> found.responses.shape, float(found.responses.sum("neuroid").min())
    ((4, 3, 20), 1.0)
    """
    link = choose(TOPOLOGIES, topology, "topology")
    if n_states < 2:
        raise ValueError(f"n_states: expected an integer >= 2, got {n_states}. Ask for more.")
    rng = np.random.default_rng(seed)
    transition = link(n_states, stay)
    share = np.arange(n_states) / (n_states - 1)
    emission = np.column_stack(
        [(1 - RARE) * (1 - share), np.full(n_states, RARE), (1 - RARE) * share]
    )
    states = np.empty((n_sequences, n_steps), dtype=np.int64)
    states[:, 0] = rng.integers(n_states, size=n_sequences)
    for t in range(1, n_steps):
        states[:, t] = _draw(transition[states[:, t - 1]], rng)
    symbols = _draw(emission[states].reshape(-1, N_SYMBOLS), rng).reshape(states.shape)
    found = _smooth(emission.T[symbols], transition).argmax(axis=2)
    parameters = {
        "states": (("sample", "time"), states),
        "transition": (("state", "state_to"), transition),
        "emission": (("state", "neuroid"), emission),
        "latents": (("sample", "time", "latent"), np.eye(n_states)[states]),
    }
    shown = np.eye(N_SYMBOLS)[symbols].transpose(0, 2, 1)
    oracle = {"accuracy": float((found == states).mean())}
    names = [f"symbol-{i}" for i in range(N_SYMBOLS)]
    return _label(shown, names, 1.0, "model", "indicator", parameters, oracle)


def simulate_spike_motifs(
    n_trials: int = 50,
    n_bins: int = 200,
    n_neuroids: int = 20,
    *,
    n_spikes: int = 12,
    span: int = 15,
    participation: float = 0.8,
    jitter: int = 0,
    background: float = 0.02,
    bin_size: float = 0.001,
    seed: int = 0,
) -> LatentSimulation:
    """Spikes at random, and a motif of delayed spikes that comes twice a trial.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
        ``n_bins`` at least two motifs long.
    n_spikes : int
        Of the motif, at most one a neuroid and delay.
    span : int
        Bins from the first delay to the last.
    participation : float
        Chance that a spike of the motif is there when the motif comes.
    jitter : int
        Most bins by which a spike of the motif comes early or late.
    background : float
        Chance of a spike in any bin.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth`` holds ``onset`` (sample, time), 1 where a motif starts, and ``motif`` (neuroid,
        delay). ``oracle["auc"]``: of telling starts from other bins by the log likelihood ratio of
        the true motif, jitter not modelled.

    Raises
    ------
    ValueError
        When trials are too short for two motifs, or the motif has no room for its spikes.

    References
    ----------
    Grimaldi & Perrinet (2023), arXiv:2307.14077: motifs of heterogeneous delays.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_spike_motifs
    >>> found = simulate_spike_motifs(4, 100)
    >>> found.responses.shape, int(found.truth["onset"].sum())
    ((4, 20, 100), 8)
    """
    # Half a trial for each motif: they never overlap.
    room = n_bins // 2 - span - 2 * jitter
    if room < 1:
        raise ValueError(
            f"n_bins: expected more than {2 * (span + 2 * jitter)}, for two motifs of {span} bins, "
            f"got {n_bins}. Make trials longer."
        )
    if not 1 <= n_spikes <= n_neuroids * span:
        raise ValueError(f"n_spikes: expected 1 to {n_neuroids * span}, got {n_spikes}. Change it.")
    rng = np.random.default_rng(seed)
    spikes = rng.uniform(size=(n_trials, n_neuroids, n_bins)) < background
    motif = np.zeros((n_neuroids, span))
    motif.flat[rng.permutation(motif.size)[:n_spikes]] = 1.0
    who, delay = np.nonzero(motif)
    onset = np.zeros((n_trials, n_bins))
    for trial in range(n_trials):
        for half in range(2):
            start = half * (n_bins // 2) + jitter + int(rng.integers(room))
            onset[trial, start] = 1.0
            there = rng.uniform(size=n_spikes) < participation
            moved = delay + rng.integers(-jitter, jitter + 1, size=n_spikes)
            spikes[trial, who[there], start + moved[there]] = True
    hit = 1 - (1 - participation) * (1 - background)
    gain = np.log(hit / background) - np.log(max(1 - hit, 1e-9) / (1 - background))
    last = n_bins - span + 1
    score = sum(spikes[:, n, d : d + last] for n, d in zip(who, delay, strict=True)) * gain
    parameters = {
        "onset": (("sample", "time"), onset),
        "motif": (("neuroid", "delay"), motif),
    }
    oracle = {"auc": _measure_auc(np.asarray(score), onset[:, :last] > 0)}
    names = [f"neuron-{i:03d}" for i in range(n_neuroids)]
    return _label(
        spikes.astype(float), names, bin_size, "spikes", "spikes per bin", parameters, oracle
    )


def _draw(chances: Array, rng: np.random.Generator) -> Array:
    """One outcome for each row of chances."""
    steps = chances.cumsum(axis=1)
    drawn = (rng.uniform(size=len(chances))[:, None] > steps).sum(axis=1)
    return np.asarray(np.minimum(drawn, chances.shape[1] - 1))


def _smooth(likelihood: Array, transition: Array) -> Array:
    """Chances of states (sequence, step, state) given all symbols, from a uniform start."""
    forward, backward = likelihood.copy(), np.ones_like(likelihood)
    n_steps = likelihood.shape[1]
    for t in range(n_steps):
        before = forward[:, t - 1] @ transition if t else np.ones_like(forward[:, 0])
        forward[:, t] *= before
        forward[:, t] /= forward[:, t].sum(axis=1, keepdims=True)
    for t in range(n_steps - 2, -1, -1):
        backward[:, t] = (likelihood[:, t + 1] * backward[:, t + 1]) @ transition.T
        backward[:, t] /= backward[:, t].sum(axis=1, keepdims=True)
    return np.asarray(forward * backward)


def _measure_auc(score: Array, target: Array) -> float:
    """Chance that a true start scores above another bin, ties half."""
    hits, others = np.sort(score[target]), np.sort(score[~target])
    below = np.searchsorted(others, hits, "left") + np.searchsorted(others, hits, "right")
    return float(below.mean() / (2 * len(others)))


def _label(
    values: Array,
    names: list[str],
    bin_size: float,
    modality: str,
    units: str,
    parameters: dict[str, Any],
    oracle: dict[str, float],
) -> LatentSimulation:
    """Label trials (sample, neuroid, time); each its own stimulus."""
    coords: dict[str, Any] = {
        "stimulus": ("sample", np.array([f"trial-{i:04d}" for i in range(len(values))])),
        "repeat": ("sample", np.zeros(len(values), dtype=np.int64)),
        "neuroid": np.array(names),
        "time": np.arange(values.shape[2]) * bin_size,
    }
    attrs = {
        "kind": "responses", "modality": modality, "units": units, "sampling_rate": 1.0 / bin_size,
    }  # fmt: skip
    responses = xr.DataArray(
        values.astype(np.float32), dims=("sample", "neuroid", "time"), coords=coords, attrs=attrs
    )
    return LatentSimulation(responses, xr.Dataset(parameters, coords=coords), oracle)
