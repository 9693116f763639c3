"""Populations with known latents: what they show, the truth behind, and the best score in reach.

Out: a `LatentSimulation`. Tests of latent models ask for a fraction of its ``oracle``, never for a
number that depends on the seed. To add a generator: draw rates, and end in ``_pack``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import xlogy

from neuroalign.errors import choose

Array = npt.NDArray[Any]
GAUSSIAN_VARIANCE = 0.5


def _emit_poisson(drive: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    rates = np.exp(np.minimum(drive, 10.0))
    return rng.poisson(rates), rates


def _emit_gaussian(drive: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    return drive + np.sqrt(GAUSSIAN_VARIANCE) * rng.normal(size=drive.shape), drive


EMISSIONS: dict[str, Callable[[Array, np.random.Generator], tuple[Array, Array]]] = {
    "poisson": _emit_poisson,
    "gaussian": _emit_gaussian,
}


class LatentSimulation(NamedTuple):
    """A simulated recording.

    Attributes
    ----------
    responses : DataArray (sample, neuroid, time)
        Trials.
    truth : Dataset
        ``latents`` (sample, time, latent), ``rates`` (sample, neuroid, time), ``states``
        (sample, time) where there are, and the parameters.
    oracle : dict of str to float
        Scores of the true rates on these responses. ``co_bps``: bits per spike beyond the mean of
        each unit, all units together; ``co_r2`` where responses are not counts.
    behaviour : DataArray (sample, channel, time) or None
        A second modality of the same trials.
    """

    responses: xr.DataArray
    truth: xr.Dataset
    oracle: dict[str, float]
    behaviour: xr.DataArray | None = None


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
    found = _pack(
        counts, rates, z, bin_size, _name_trials(n_trials),
        {"loadings": (("neuroid", "latent"), full), "offset": (("neuroid",), offset)},
        np.array(["shared", "neural", "behaviour"]),
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
        dynamics[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = _turn(0.2 / (pair + 1))
    dynamics *= 0.99
    condition = np.arange(n_trials) % n_conditions
    start = rng.normal(size=(n_conditions, n_latents))[condition]
    z = np.empty((n_trials, n_bins, n_latents))
    z[:, 0] = start + np.sqrt(noise) * rng.normal(size=start.shape)
    for t in range(1, n_bins):
        z[:, t] = z[:, t - 1] @ dynamics.T + np.sqrt(noise) * rng.normal(size=start.shape)
    loadings = rng.normal(size=(n_neuroids, n_latents)) * 0.6 / np.sqrt(n_latents / 2)
    offset = rng.uniform(-1.0, 0.5, size=n_neuroids)
    names = np.array([f"condition-{one:02d}" for one in condition])
    values, rates = emit(z @ loadings.T + offset, rng)
    return _pack(
        values, rates, z, bin_size, names,
        {
            "loadings": (("neuroid", "latent"), loadings),
            "offset": (("neuroid",), offset),
            "dynamics": (("latent", "latent_from"), dynamics),
        },
    )  # fmt: skip


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
    transition = np.full((n_states, n_states), (1.0 - stay) / max(1, n_states - 1))
    np.fill_diagonal(transition, stay if n_states > 1 else 1.0)
    states = _walk(transition, n_trials, n_bins, rng)
    state_rates = rng.gamma(1.0, 1.0, size=(n_states, n_neuroids)) + 0.05
    rates = state_rates[states]
    return _pack(
        rng.poisson(rates), rates, np.eye(n_states)[states], bin_size, _name_trials(n_trials),
        {
            "states": (("sample", "time"), states),
            "transition": (("state", "state_to"), transition),
            "state_rates": (("state", "neuroid"), state_rates),
        },
    )  # fmt: skip


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
    dynamics = np.stack([0.985 * _turn(angle) for angle in angles])
    transition = np.full((3, 3), (1.0 - stay) / 2)
    np.fill_diagonal(transition, stay)
    states = _walk(transition, n_trials, n_bins, rng)
    z = np.empty((n_trials, n_bins, 2))
    z[:, 0] = rng.normal(size=(n_trials, 2))
    for t in range(1, n_bins):
        move = np.einsum("nij,nj->ni", dynamics[states[:, t]], z[:, t - 1])
        z[:, t] = move + np.sqrt(noise) * rng.normal(size=move.shape)
    bare = n_neuroids == 2
    loadings = np.eye(2) if bare else rng.normal(size=(n_neuroids, 2))
    rates = z @ loadings.T
    values = rates if bare else _emit_gaussian(rates, rng)[0]
    return _pack(
        values, rates, z, bin_size, _name_trials(n_trials),
        {
            "states": (("sample", "time"), states),
            "transition": (("state", "state_to"), transition),
            "dynamics": (("state", "latent", "latent_from"), dynamics),
            "loadings": (("neuroid", "latent"), loadings),
        },
    )  # fmt: skip


def _turn(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _walk(transition: Array, n_trials: int, n_bins: int, rng: np.random.Generator) -> Array:
    """Draw Markov chains (trial, time) from a uniform start."""
    steps = transition.cumsum(axis=1)
    states = np.empty((n_trials, n_bins), dtype=np.int64)
    states[:, 0] = rng.integers(len(transition), size=n_trials)
    for t in range(1, n_bins):
        drawn = rng.uniform(size=n_trials)[:, None] > steps[states[:, t - 1]]
        states[:, t] = np.minimum(drawn.sum(axis=1), len(transition) - 1)
    return states


def _name_trials(n: int) -> Array:
    return np.array([f"trial-{number:04d}" for number in range(n)])


def _pack(
    values: Array,
    rates: Array,
    latents: Array,
    bin_size: float,
    stimulus: Array,
    parameters: dict[str, Any],
    latent_names: Array | None = None,
) -> LatentSimulation:
    """Label trials (trial, time, unit) and score their true rates."""
    n_bins, n = values.shape[1:]
    counts = values.dtype.kind in "iu"
    if latent_names is None:
        latent_names = np.array([f"latent-{i:02d}" for i in range(latents.shape[2])])
    coords: dict[str, Any] = {
        "stimulus": ("sample", stimulus),
        "repeat": ("sample", [int((stimulus[:i] == one).sum()) for i, one in enumerate(stimulus)]),
        "neuroid": np.array([f"neuron-{i:03d}" for i in range(n)]),
        "time": np.arange(n_bins) * bin_size,
    }
    attrs = {
        "kind": "responses", "modality": "spikes" if counts else "model",
        "units": "spikes per bin" if counts else "a.u.", "sampling_rate": 1.0 / bin_size,
    }  # fmt: skip
    responses = xr.DataArray(
        values.transpose(0, 2, 1).astype(np.float32), dims=("sample", "neuroid", "time"),
        coords=coords, attrs=attrs,
    )  # fmt: skip
    truth = xr.Dataset(
        {
            "latents": (("sample", "time", "latent"), latents),
            "rates": (("sample", "neuroid", "time"), rates.transpose(0, 2, 1)),
            **parameters,
        },
        coords={**coords, "latent": latent_names},
    )
    return LatentSimulation(responses, truth, _score_rates(values, rates, counts))


def _score_rates(values: Array, rates: Array, counts: bool) -> dict[str, float]:
    flat = values.mean(axis=(0, 1))
    if not counts:
        left = ((values - rates) ** 2).sum() / ((values - flat) ** 2).sum()
        return {"co_r2": float(1.0 - left)}
    # Units that never fire add nothing but what the true rate costs them.
    safe = np.where(flat > 0, flat, 1.0)
    gain = xlogy(values, rates / safe) - (rates - flat)
    return {"co_bps": float(gain.sum() / values.sum() / np.log(2))}
