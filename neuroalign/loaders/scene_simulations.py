"""Films of a ball that passes behind an occluder, and animals whose neurons follow it there.

Out: a `SceneSimulation`. To add a kind of neuron: what drives it, in ``DRIVES``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose
from neuroalign.loaders.arrays import from_arrays

Array = npt.NDArray[Any]
FRAME_RATE = 20.0
START, END = 0.08, 0.95
# Shares of the frame a film lasts in which the ball crosses it, and its steepest climb a frame.
CROSSING, CLIMB = (26, 40), 0.035
# Width of the ball, and of the places of the encoder, as shares of the frame.
BALL, PLACE = 0.06, 0.10


def _follow_position(path: Array, speed: Array) -> Array:
    x, y = path[..., 0] - 0.5, path[..., 1] - 0.5
    return np.stack([x, y, 4 * x * y], axis=-1)


def _follow_motion(path: Array, speed: Array) -> Array:
    return speed


# Name of a kind of neuron -> what it mixes, of positions and speeds (condition, time, 2).
DRIVES: dict[str, Callable[[Array, Array], Array]] = {
    "position": _follow_position,
    "motion": _follow_motion,
}


class SceneSimulation(NamedTuple):
    """Simulated films, and what animals that watch them do.

    Attributes
    ----------
    films : dict of str to array (time, row, column)
        Condition -> frames, 0 to 1; films differ in length. Behind the occluder, which looks like
        the ground, the ball is not to be seen.
    encoder : DataArray (sample, feature, time)
        What a frozen encoder makes of each frame by itself: the light at a grid of places. NaN
        after the end of a film.
    responses : dict of str to DataArray (sample, neuroid, time)
        Subject -> trials in random order, every condition several times, NaN after its end. Coord
        ``roi``: what drives the neuron, the ball being seen or not.
    behaviour : dict of str to DataArray (sample, neuroid)
        Subject -> of the same trials, the height at which the ball is said to arrive.
    truth : Dataset
        ``position`` (sample, time, axis), ``occluded`` (sample, time), ``ends_at`` (sample,), and
        ``signal`` (sample, neuroid, time), with unit variance, of all subjects.
    """

    films: dict[str, Array]
    encoder: xr.DataArray
    responses: dict[str, xr.DataArray]
    behaviour: dict[str, xr.DataArray]
    truth: xr.Dataset


def _bounce(straight: Array) -> tuple[Array, Array]:
    """Height of a ball that would run straight on through mirrored frames, and the sign it has."""
    folded = np.mod(straight, 2.0)
    back = folded > 1
    return np.where(back, 2 - folded, folded), np.where(back, -1.0, 1.0)


class _Balls(NamedTuple):
    """``path`` and ``speed`` (condition, time, 2), NaN where a film has ended; ``straight``
    (condition, time), the height without walls; ``climb`` (condition, 1) a frame."""

    path: Array
    speed: Array
    straight: Array
    climb: Array


def _roll_balls(n: int, rng: np.random.Generator) -> _Balls:
    length = rng.integers(*CROSSING, size=n, endpoint=True)
    time = np.arange(CROSSING[1])
    across = START + (END - START) * time / (length[:, None] - 1)
    climb = rng.uniform(-CLIMB, CLIMB, size=(n, 1))
    straight = rng.uniform(0.1, 0.9, size=(n, 1)) + climb * time
    height, sign = _bounce(straight)
    path = np.stack([across, height], axis=-1)
    rate = np.broadcast_to((END - START) / (length[:, None] - 1), height.shape)
    speed = np.stack([rate / rate.mean() - 1, sign * climb / CLIMB], axis=-1)
    path[time >= length[:, None]] = np.nan
    return _Balls(path, speed, straight, climb)


def _draw_frames(path: Array, hidden: Array, size: int) -> Array:
    """Frames (condition, time, row, column) with a soft ball wherever it is seen."""
    grid = (np.arange(size) + 0.5) / size
    across, down = (
        np.exp(-0.5 * ((path[..., axis, None] - grid) / BALL) ** 2) for axis in range(2)
    )
    frames: Array = down[..., :, None] * across[..., None, :]
    frames[hidden] = 0.0
    return frames.astype(np.float32)


def _see_places(frames: Array, n_places: int) -> Array:
    """Light at a grid of soft places: (condition, time, place)."""
    size = frames.shape[-1]
    grid, places = (np.arange(size) + 0.5) / size, (np.arange(n_places) + 0.5) / n_places
    window = np.exp(-0.5 * ((grid - places[:, None]) / PLACE) ** 2)
    window /= window.sum(axis=1, keepdims=True)
    seen = np.einsum("ntij,ai,bj->ntab", frames, window, window, optimize=True)
    return np.asarray(seen.reshape(*seen.shape[:2], -1) * 10.0)


def _label_neuroids(subject: str, rois: list[str]) -> dict[str, Any]:
    names = [f"{subject}/neuron-{i:03d}" for i in range(len(rois))]
    return {"neuroid": np.array(names), "roi": ("neuroid", np.array(rois))}


def simulate_scenes(
    n_conditions: int = 40,
    n_neuroids: int = 20,
    *,
    n_subjects: int = 2,
    n_repeats: int = 6,
    snr: float = 1.0,
    kinds: tuple[str, ...] = ("position", "motion"),
    occluder: float | None = 0.5,
    size: int = 16,
    n_places: int = 5,
    slowing: float = 0.2,
    behaviour_noise: float = 0.1,
    seed: int = 0,
) -> SceneSimulation:
    """Films of a ball that bounces and vanishes, seen by animals that keep track of it.

    Parameters
    ----------
    n_conditions : int
        Films. The ball crosses the frame from left to right in 26 to 40 frames, 20 a second.
    n_neuroids, n_subjects, n_repeats : int
        Neurons of each subject, and trials of each condition.
    snr : float
        Variance of a neuron's signal over that of the noise of one trial.
    kinds : tuple of {"position", "motion"}
        Neurons follow mixtures of the ball's place (and the product of its coordinates), or of
        its speed; kinds take turns.
    occluder : float or None
        Share of the frame's width from which the ball is hidden; None: nowhere.
    size : int
        Rows and columns of a frame.
    n_places : int
        The encoder has a grid of so many places a side.
    slowing : float
        Share by which all subjects take the hidden ball's climb for too slow: their errors agree.
    behaviour_noise : float
        Standard deviation, in heights of the frame, of what is said in one trial.
    seed : int

    Returns
    -------
    SceneSimulation

    Raises
    ------
    ValueError
        For unknown kinds, an occluder outside the frame, or fewer than one of anything.

    Notes
    -----
    Neurons of one kind mix the same two or three quantities in all subjects, so that without noise
    each subject's neurons predict any other's: consistency between animals is at its ceiling.

    References
    ----------
    Rajalingham, Piccato & Jazayeri (2022), Nature Communications 13,
    doi:10.1038/s41467-022-33581-6: mental pong, the setting.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_scenes
    >>> scenes = simulate_scenes(n_conditions=4, n_repeats=2)
    >>> scenes.encoder.shape, scenes.responses["sub-01"].shape
    ((4, 25, 40), (8, 20, 40))
    """
    counts = {
        "n_conditions": n_conditions, "n_neuroids": n_neuroids, "n_subjects": n_subjects,
        "n_repeats": n_repeats, "size": size, "n_places": n_places, "kinds": len(kinds),
    }  # fmt: skip
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}. Ask for more.")
    if occluder is not None and not 0 < occluder < 1:
        raise ValueError(
            f"occluder: expected a place between 0 and 1, got {occluder}. None hides nothing."
        )
    if not snr > 0:
        raise ValueError(f"snr: expected a number above 0, got {snr}. 1 is usual.")
    drives = [choose(DRIVES, kind, "kinds") for kind in kinds]
    rng = np.random.default_rng(seed)
    balls = _roll_balls(n_conditions, rng)
    path, speed = balls.path, balls.speed
    known = np.isfinite(path[..., 0])
    hidden = np.zeros_like(known) if occluder is None else known & (path[..., 0] > occluder)
    frames = _draw_frames(np.nan_to_num(path), hidden, size)
    encoded = np.where(known[..., None], _see_places(frames, n_places), np.nan)
    names = np.array([f"film-{number:03d}" for number in range(n_conditions)])
    time = np.arange(known.shape[1]) / FRAME_RATE
    last = known.sum(axis=1) - 1
    height = path[np.arange(n_conditions), last, 1]
    lag = slowing * balls.climb[:, 0] * hidden.sum(axis=1)
    answer = _bounce(balls.straight[np.arange(n_conditions), last] - lag)[0]
    responses, behaviour, signals = {}, {}, []
    for number in range(n_subjects):
        subject = f"sub-{number + 1:02d}"
        signal = np.empty((n_conditions, n_neuroids, len(time)))
        for neuron in range(n_neuroids):
            parts = drives[neuron % len(drives)](path, speed)
            mixed = parts @ rng.normal(size=parts.shape[-1])
            mixed = np.where(known, mixed, np.nan)
            signal[:, neuron] = (mixed - np.nanmean(mixed)) / np.nanstd(mixed)
        rois = [kinds[neuron % len(kinds)] for neuron in range(n_neuroids)]
        labels = _label_neuroids(subject, rois)
        rows = rng.permutation(np.repeat(np.arange(n_conditions), n_repeats))
        noisy = signal[rows] + rng.normal(size=(len(rows), *signal.shape[1:])) / np.sqrt(snr)
        said = answer[rows] + behaviour_noise * rng.normal(size=len(rows))
        responses[subject] = _label_trials(noisy, names[rows], labels, time, known[rows], subject)
        behaviour[subject] = from_arrays(
            said[:, None], stimulus=names[rows], neuroid=["height"], modality="behaviour",
            subject=[subject] * len(rows),
        )  # fmt: skip
        signals.append(
            xr.DataArray(signal, dims=("sample", "neuroid", "time"), coords=labels, name="signal")
        )
    truth = xr.Dataset(
        {
            "position": (("sample", "time", "axis"), path),
            "occluded": (("sample", "time"), hidden),
            "ends_at": (("sample",), height),
            "signal": xr.concat(signals, "neuroid"),
        },
        coords={"stimulus": ("sample", names), "time": time, "axis": ["x", "y"]},
        attrs={"seed": seed, "snr": float(snr)},
    )
    encoder = xr.DataArray(
        encoded.transpose(0, 2, 1).astype(np.float32),
        dims=("sample", "feature", "time"),
        coords={
            "stimulus": ("sample", names),
            "feature": np.array([f"place-{i:02d}" for i in range(encoded.shape[2])]),
            "time": time,
        },
        attrs={"model": "place grid", "layer": "encoder"},
    )
    films = {
        name: one[: end + 1] for name, one, end in zip(names.tolist(), frames, last, strict=True)
    }
    return SceneSimulation(films, encoder, responses, behaviour, truth)


def _label_trials(
    values: Array, stimulus: Array, labels: dict[str, Any], time: Array, known: Array, subject: str
) -> xr.DataArray:
    """Label trials (trial, neuroid, time)."""
    return from_arrays(
        values, stimulus=stimulus, neuroid=labels["neuroid"], roi=labels["roi"][1], time=time,
        subject=[subject] * len(stimulus), modality="model",
    ).assign_coords(valid=(("sample", "time"), known))  # fmt: skip
