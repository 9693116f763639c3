"""Populations that follow known dynamics: a track with four laws, rotations, oscillators.

Out: a `LatentSimulation`. To add an oscillator: its force, in ``FORCES``; to add a way in which
units see latents: a function in ``LIFTS``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import choose
from neuroalign.loaders._latent_trials import (
    EMISSIONS,
    LatentSimulation,
    evolve,
    pack_trials,
    turn,
)

Array = npt.NDArray[Any]
# Angles of the two turns and speeds of the two straights, per bin.
TURNS, SPEEDS = (np.pi / 12, np.pi / 18), (0.1, 0.15)
# Share by which straights draw back to their lane.
PULL = 0.1
# Solver steps in a bin.
SUBSTEPS = 20


def _lay_track() -> tuple[Array, Array]:
    """Maps and offsets of the right turn, the left one, the way back (above) and out (below)."""
    around = [turn(angle) for angle in TURNS]
    ends = np.array([[1.0, 0.0], [-1.0, 0.0]])
    lane = np.diag([1.0, 1.0 - PULL])
    maps = np.stack([*around, lane, lane])
    bends = [end - A @ end for A, end in zip(around, ends, strict=True)]
    straights = [[-SPEEDS[0], PULL], [SPEEDS[1], -PULL]]
    return maps, np.array([*bends, *straights])


def _find_part(place: Array) -> Array:
    """Number of the law at each place (..., 2)."""
    x, y = place[..., 0], place[..., 1]
    return np.where(x > 1, 0, np.where(x < -1, 1, np.where(y > 0, 2, 3)))


def simulate_nascar(
    n_trials: int = 5,
    n_bins: int = 400,
    n_neuroids: int = 20,
    *,
    emission: str = "gaussian",
    noise: float = 2e-4,
    bin_size: float = 0.02,
    seed: int = 0,
) -> LatentSimulation:
    """Two latents that drive round a track of two turns and two straights, each with its law.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
    emission : {"gaussian", "poisson"}
        ``C z + d`` with noise of variance 0.5, or counts of ``log rate = C z + d``.
    noise : float
        Variance of the innovations.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth`` holds ``states`` (0 and 1 the turns, 2 and 3 the straights), ``dynamics`` (state,
        latent, latent_from), ``dynamics_offset`` (state, latent), ``loadings`` and ``offset``.
        ``oracle`` has ``state_accuracy``: how often the law that explains a step of the true
        latents best is the right one.

    Raises
    ------
    ValueError
        For an unknown emission.

    References
    ----------
    Linderman et al. (2017), AISTATS, PMLR 54, section 5.1: synthetic NASCAR.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_nascar
    >>> found = simulate_nascar(n_trials=2, n_bins=50)
    >>> found.responses.shape, found.truth["dynamics"].shape
    ((2, 20, 50), (4, 2, 2))
    """
    emit = choose(EMISSIONS, emission, "emission")
    rng = np.random.default_rng(seed)
    maps, offsets = _lay_track()
    states = np.zeros((n_trials, n_bins), dtype=np.int64)

    def move(place: Array, t: int) -> Array:
        states[:, t] = _find_part(place)
        here = states[:, t]
        return np.asarray(np.einsum("nij,nj->ni", maps[here], place) + offsets[here])

    start = np.column_stack([rng.uniform(-1, 1, n_trials), rng.choice([-1.0, 1.0], n_trials)])
    z = evolve(start, n_bins, noise, move, rng)
    # The first bin has no step; it lies where the second step starts.
    states[:, 0] = _find_part(start)
    loadings = rng.normal(size=(n_neuroids, 2)) * (1.0 if emission == "gaussian" else 0.7)
    offset = rng.uniform(-1.0, 0.5, size=n_neuroids)
    values, rates = emit(z @ loadings.T + offset, rng)
    parameters = {
        "states": (("sample", "time"), states),
        "dynamics": (("state", "latent", "latent_from"), maps),
        "dynamics_offset": (("state", "latent"), offsets),
        "loadings": (("neuroid", "latent"), loadings),
        "offset": (("neuroid",), offset),
    }
    found = pack_trials(values, rates, z, bin_size, parameters)
    steps = np.einsum("kij,ntj->ntki", maps, z[:, :-1]) + offsets
    nearest = ((z[:, 1:, None] - steps) ** 2).sum(axis=3).argmin(axis=2)
    right = float((nearest == states[:, 1:]).mean())
    return found._replace(oracle={**found.oracle, "state_accuracy": right})


def _lift_linear(z: Array, n_neuroids: int, rng: np.random.Generator) -> Array:
    frame = np.linalg.qr(rng.normal(size=(max(n_neuroids, z.shape[2]), z.shape[2])))[0]
    return np.asarray(z @ frame[:n_neuroids].T)


def _lift_net(z: Array, n_neuroids: int, rng: np.random.Generator) -> Array:
    """Two layers that can be undone: full rank, then a bend without end."""
    width = max(n_neuroids, z.shape[2])
    out = z
    for _ in range(2):
        frame = np.linalg.qr(rng.normal(size=(width, out.shape[2])))[0]
        gain = np.sqrt(width / out.shape[2])
        out = np.arcsinh(2.0 * (gain * (out @ frame.T) + 0.3 * rng.normal(size=width)))
    return np.asarray(out[..., :n_neuroids])


LIFTS: dict[str, Callable[[Array, int, np.random.Generator], Array]] = {
    "linear": _lift_linear,
    "net": _lift_net,
}


def simulate_rotation(
    n_trials: int = 40,
    n_bins: int = 50,
    n_neuroids: int = 20,
    *,
    angle: float = 0.2,
    modulus: float = 1.0,
    lift: str = "linear",
    process_noise: float = 0.0,
    noise: float = 0.0,
    bin_size: float = 0.02,
    seed: int = 0,
) -> LatentSimulation:
    """A rotation of two latents, seen through orthonormal loadings or through a net.

    Parameters
    ----------
    n_trials, n_bins, n_neuroids : int
    angle : float
        Radians a bin.
    modulus : float
        Of the eigenvalues: 1 keeps the radius.
    lift : {"linear", "net"}
        ``net`` is a random net of two layers that can be undone.
    process_noise, noise : float
        Standard deviations of innovations and of what is added to each unit.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        ``truth`` holds ``dynamics`` and the ``eigenvalue_real`` and ``eigenvalue_imag`` of it.

    Raises
    ------
    ValueError
        For an unknown lift.

    Notes
    -----
    Trials start at all angles, at radii from 0.5 to 1.5.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_rotation
    >>> simulate_rotation(n_trials=3, lift="net").responses.shape
    (3, 20, 50)
    """
    raise_dims = choose(LIFTS, lift, "lift")
    rng = np.random.default_rng(seed)
    dynamics = modulus * turn(angle)
    around, radius = rng.uniform(0, 2 * np.pi, n_trials), rng.uniform(0.5, 1.5, n_trials)
    start = radius[:, None] * np.column_stack([np.cos(around), np.sin(around)])
    z = evolve(start, n_bins, process_noise**2, lambda state, _: state @ dynamics.T, rng)
    rates = raise_dims(z, n_neuroids, rng)
    values = rates + noise * rng.normal(size=rates.shape)
    known = np.linalg.eigvals(dynamics)
    parameters = {
        "dynamics": (("latent", "latent_from"), dynamics),
        "eigenvalue_real": (("mode",), known.real),
        "eigenvalue_imag": (("mode",), known.imag),
    }
    return pack_trials(values, rates, z, bin_size, parameters)


# Name -> force at positions.
FORCES: dict[str, Callable[[Array], Array]] = {
    "pendulum": lambda position: -np.sin(position),
    "duffing": lambda position: position - position**3,
}


def simulate_oscillators(
    n_trials: int = 40,
    n_bins: int = 100,
    *,
    system: str = "pendulum",
    damping: float = 0.0,
    noise: float = 0.0,
    reach: float = 2.0,
    bin_size: float = 0.1,
    seed: int = 0,
) -> LatentSimulation:
    """Position and speed of an oscillator that is not linear.

    Parameters
    ----------
    n_trials, n_bins : int
    system : {"pendulum", "duffing"}
        Of force ``-sin x``, or ``x - x**3`` with its two wells.
    damping : float
        Share of the speed lost per second.
    noise : float
        Standard deviation of what is added to both units.
    reach : float
        Trials start at rest, at positions up to so far from zero.
    bin_size : float
        Seconds.
    seed : int

    Returns
    -------
    LatentSimulation
        Two neuroids, position and speed; ``truth.latents`` are both without noise.

    Raises
    ------
    ValueError
        For an unknown system.

    References
    ----------
    Lusch, Kutz & Brunton (2018), Nature Communications 9:4950 (pendulum).

    Examples
    --------
    >>> from neuroalign.loaders import simulate_oscillators
    >>> simulate_oscillators(n_trials=3, n_bins=20).responses.shape
    (3, 2, 20)
    """
    force = choose(FORCES, system, "system")
    rng = np.random.default_rng(seed)
    step = bin_size / SUBSTEPS

    def move(state: Array, _: int) -> Array:
        position, speed = state.T
        for _ in range(SUBSTEPS):
            # Half a kick, a drift, half a kick: without damping energy does not creep.
            speed = speed + step / 2 * (force(position) - damping * speed)
            position = position + step * speed
            speed = speed + step / 2 * (force(position) - damping * speed)
        return np.column_stack([position, speed])

    start = np.column_stack([rng.uniform(-reach, reach, n_trials), np.zeros(n_trials)])
    z = evolve(start, n_bins, 0.0, move, rng)
    values = z + noise * rng.normal(size=z.shape)
    return pack_trials(values, z, z, bin_size, {}, latent_names=["position", "speed"])
