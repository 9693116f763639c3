"""Populations with known latents: what they show, the truth behind, and the best score in reach.

Out: a `LatentSimulation`. Tests of latent models ask for a fraction of its ``oracle``, never for a
number that depends on the seed. To add a generator: draw rates, and end in `pack_trials`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose
from neuroalign.loaders._latent_trials import (
    EMISSIONS,
    LatentSimulation,
    draw_chains,
    emit_gaussian,
    evolve,
    pack_trials,
    turn,
)

Array = npt.NDArray[Any]


def simulate_gaussian_processes(
    n_trials: int = 160,
    n_bins: int = 60,
    n_neuroids: int = 60,
    n_channels: int = 40,
    *,
    length: float = 10.0,
    bin_size: float = 0.02,
    seed: int = 0,
) -> LatentSimulation:
    """Counts and behaviour that share one smooth latent and have one of their own each.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
    n_channels : int
        Of the behaviour.
    length : float
        Of the squared exponential covariance, in bins.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth.latents`` are ``shared``, ``neural`` and ``behaviour``, of variance 0.3, 0.5, 1.

    Notes
    -----
    Counts are Poisson with ``log rate = 1.5 U z + 0.5 U``, U uniform from -1 to 1, of the shared
    and the neural latent. Behaviour is a random net (2, 30 tanh, 40) of the shared latent and its
    own, with noise of standard deviation 0.2.

    References
    ----------
    Gondur et al. (2024), ICLR, arXiv:2310.03111, section 4: its simulation, with a random net in
    place of images.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_gaussian_processes
    >>> found = simulate_gaussian_processes(n_trials=4, n_bins=20, n_neuroids=5)
    >>> found.responses.shape, found.truth.latents.shape
    ((4, 5, 20), (4, 20, 3))
    """
    rng = np.random.default_rng(seed)
    lag = np.subtract.outer(np.arange(n_bins), np.arange(n_bins))
    # The jitter lets the covariance, singular to rounding, be factorised.
    root = np.linalg.cholesky(np.exp(-0.5 * (lag / length) ** 2) + 1e-6 * np.eye(n_bins))
    z = np.einsum("ts,nsk->ntk", root, rng.normal(size=(n_trials, n_bins, 3)))
    z *= np.sqrt([0.3, 0.5, 1.0])
    loadings = 1.5 * rng.uniform(-1, 1, size=(n_neuroids, 2))
    offset = 0.5 * rng.uniform(-1, 1, size=n_neuroids)
    rates = np.exp(z[..., :2] @ loadings.T + offset)
    counts = rng.poisson(rates)
    inner = np.tanh(z[..., [0, 2]] @ rng.normal(size=(2, 30)) + 0.5 * rng.normal(size=30))
    shown = inner @ rng.normal(size=(30, n_channels)) / np.sqrt(30)
    shown = shown + 0.2 * rng.normal(size=shown.shape)
    full = np.column_stack([loadings, np.zeros(n_neuroids)])
    found = pack_trials(
        counts, rates, z, bin_size,
        {"loadings": (("neuroid", "latent"), full), "offset": (("neuroid",), offset)},
        latent_names=["shared", "neural", "behaviour"],
    )  # fmt: skip
    behaviour = xr.DataArray(
        shown.transpose(0, 2, 1).astype(np.float32), dims=("sample", "channel", "time"),
        coords={"stimulus": found.responses["stimulus"], "time": found.responses["time"]},
        attrs={"modality": "behaviour"},
    )  # fmt: skip
    return found._replace(behaviour=behaviour)


def simulate_linear_dynamics(
    n_trials: int = 80,
    n_bins: int = 60,
    n_neuroids: int = 40,
    *,
    n_latents: int = 2,
    emission: str = "poisson",
    n_conditions: int = 8,
    noise: float = 0.05,
    bin_size: float = 0.02,
    seed: int = 0,
) -> LatentSimulation:
    """A linear dynamical system seen through counts or through noisy signals.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
    n_latents : int
        Even: each pair turns at its own angle (0.2 rad per bin and less), with modulus 0.99.
    emission : {"poisson", "gaussian"}
        ``log rate = C z + d``, or ``C z + d`` with noise of variance 0.5.
    n_conditions : int
        Trials of one condition (coord ``stimulus``) start near one state.
    noise : float
        Variance of the innovations.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth`` holds ``dynamics`` A, ``loadings`` C and ``offset`` d.

    Raises
    ------
    ValueError
        With an odd number of latents, or an unknown emission.

    References
    ----------
    Macke et al. (2011), NeurIPS 24, section 2: Poisson linear dynamical system.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear_dynamics
    >>> simulate_linear_dynamics(n_trials=4, n_neuroids=5).responses.shape
    (4, 5, 60)
    """
    if n_latents < 2 or n_latents % 2:
        raise ValueError(
            f"n_latents: expected an even number >= 2, got {n_latents}. Latents turn in pairs."
        )
    emit = choose(EMISSIONS, emission, "emission")
    rng = np.random.default_rng(seed)
    dynamics = np.zeros((n_latents, n_latents))
    for pair in range(n_latents // 2):
        dynamics[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = turn(0.2 / (pair + 1))
    dynamics *= 0.99
    condition = np.arange(n_trials) % n_conditions
    start = rng.normal(size=(n_conditions, n_latents))[condition]
    start = start + np.sqrt(noise) * rng.normal(size=start.shape)
    z = evolve(start, n_bins, noise, lambda state, _: state @ dynamics.T, rng)
    loadings = rng.normal(size=(n_neuroids, n_latents)) * 0.6 / np.sqrt(n_latents / 2)
    offset = rng.uniform(-1.0, 0.5, size=n_neuroids)
    values, rates = emit(z @ loadings.T + offset, rng)
    parameters = {
        "loadings": (("neuroid", "latent"), loadings),
        "offset": (("neuroid",), offset),
        "dynamics": (("latent", "latent_from"), dynamics),
    }
    names = [f"condition-{one:02d}" for one in condition]
    return pack_trials(values, rates, z, bin_size, parameters, stimulus=names)


def simulate_hidden_states(
    n_trials: int = 20,
    n_bins: int = 250,
    n_neuroids: int = 20,
    *,
    n_states: int = 4,
    stay: float = 0.95,
    bin_size: float = 0.02,
    seed: int = 0,
) -> LatentSimulation:
    """Counts of a population that jumps between states, each with its own rates.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
    n_states : int
    stay : float
        Chance of staying for another bin; the rest is shared by the other states.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth`` holds ``states``, ``transition`` and ``state_rates``; latents are the states as
        0 and 1.

    References
    ----------
    Abeles et al. (1995), PNAS 92, 8616-8620: hidden Markov states of cortical populations.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_hidden_states
    >>> simulate_hidden_states(n_trials=3, n_bins=20).truth["states"].shape
    (3, 20)
    """
    rng = np.random.default_rng(seed)
    states, chain = draw_chains(n_states, stay, (n_trials, n_bins), rng)
    state_rates = rng.gamma(1.0, 1.0, size=(n_states, n_neuroids)) + 0.05
    rates = state_rates[states]
    parameters = {**chain, "state_rates": (("state", "neuroid"), state_rates)}
    return pack_trials(rng.poisson(rates), rates, np.eye(n_states)[states], bin_size, parameters)


def simulate_switching_dynamics(
    n_trials: int = 10,
    n_bins: int = 400,
    n_neuroids: int = 20,
    *,
    stay: float = 0.97,
    noise: float = 0.01,
    bin_size: float = 0.02,
    seed: int = 0,
) -> LatentSimulation:
    """Signals of three linear systems of two dims that take turns: a fast, a slow, a backward one.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
        With ``n_neuroids=2`` the signals are the latents themselves, without noise: an
        autoregressive hidden Markov model.
    stay : float
        Chance that a system keeps its turn for another bin.
    noise : float
        Variance of the innovations.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth`` holds ``states``, ``transition``, ``dynamics`` (state, latent, latent_from) and
        ``loadings``.

    References
    ----------
    Linderman et al. (2017), AISTATS, section 5: synthetic data of switching systems.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_switching_dynamics
    >>> simulate_switching_dynamics(n_trials=2, n_bins=30).truth["dynamics"].shape
    (3, 2, 2)
    """
    rng = np.random.default_rng(seed)
    angles = (0.5, 0.1, -0.3)
    dynamics = np.stack([0.985 * turn(angle) for angle in angles])
    states, chain = draw_chains(len(angles), stay, (n_trials, n_bins), rng)

    def move(state: Array, t: int) -> Array:
        return np.asarray(np.einsum("nij,nj->ni", dynamics[states[:, t]], state))

    z = evolve(rng.normal(size=(n_trials, 2)), n_bins, noise, move, rng)
    bare = n_neuroids == 2
    loadings = np.eye(2) if bare else rng.normal(size=(n_neuroids, 2))
    rates = z @ loadings.T
    values = rates if bare else emit_gaussian(rates, rng)[0]
    parameters = {
        **chain,
        "dynamics": (("state", "latent", "latent_from"), dynamics),
        "loadings": (("neuroid", "latent"), loadings),
    }
    return pack_trials(values, rates, z, bin_size, parameters)
