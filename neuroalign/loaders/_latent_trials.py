"""What simulated populations share: emissions, states that move on, labels, the score of the truth.

Out: a `LatentSimulation`, by `pack_trials`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import xlogy

Array = npt.NDArray[Any]
GAUSSIAN_VARIANCE = 0.5


def _emit_poisson(drive: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    rates = np.exp(np.minimum(drive, 10.0))
    return rng.poisson(rates), rates


def emit_gaussian(drive: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw values about their drive, and say the expected ones."""
    return drive + np.sqrt(GAUSSIAN_VARIANCE) * rng.normal(size=drive.shape), drive


EMISSIONS: dict[str, Callable[[Array, np.random.Generator], tuple[Array, Array]]] = {
    "poisson": _emit_poisson,
    "gaussian": emit_gaussian,
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


def turn(angle: float) -> Array:
    """Rotation of the plane by an angle [rad]."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def evolve(
    start: Array, n_bins: int, noise: float, move: Callable[[Array, int], Array],
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Carry states (trial, latent) on from bin to bin, with innovations of variance ``noise``."""
    z = np.empty((len(start), n_bins, start.shape[1]))
    z[:, 0] = start
    for t in range(1, n_bins):
        z[:, t] = move(z[:, t - 1], t) + np.sqrt(noise) * rng.normal(size=start.shape)
    return z


def draw_chains(
    n_states: int, stay: float, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, dict[str, Any]]:
    """Draw Markov chains (trial, time) from a uniform start; and what the truth says of them."""
    transition = np.full((n_states, n_states), (1.0 - stay) / max(1, n_states - 1))
    np.fill_diagonal(transition, stay if n_states > 1 else 1.0)
    n_trials, n_bins = shape
    steps = transition.cumsum(axis=1)
    states = np.empty(shape, dtype=np.int64)
    states[:, 0] = rng.integers(n_states, size=n_trials)
    for t in range(1, n_bins):
        drawn = rng.uniform(size=n_trials)[:, None] > steps[states[:, t - 1]]
        states[:, t] = np.minimum(drawn.sum(axis=1), n_states - 1)
    truth = {
        "states": (("sample", "time"), states),
        "transition": (("state", "state_to"), transition),
    }
    return states, truth


def pack_trials(
    values: Array, rates: Array, latents: Array, bin_size: float, parameters: dict[str, Any], *,
    stimulus: list[str] | None = None, latent_names: list[str] | None = None,
) -> LatentSimulation:  # fmt: skip
    """Label trials (trial, time, unit) and score their true rates; each trial its own stimulus."""
    n_trials, n_bins, n = values.shape
    names = np.array(stimulus or [f"trial-{number:04d}" for number in range(n_trials)])
    counts = values.dtype.kind in "iu"
    dims = np.array(latent_names or [f"latent-{i:02d}" for i in range(latents.shape[2])])
    coords: dict[str, Any] = {
        "stimulus": ("sample", names),
        "repeat": ("sample", [int((names[:i] == one).sum()) for i, one in enumerate(names)]),
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
        coords={**coords, "latent": dims},
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
