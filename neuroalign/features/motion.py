"""Motion energy: quadrature pairs of filters that drift, over film."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.signal import oaconvolve

from neuroalign.errors import SchemaError, choose
from neuroalign.features._continuous import (
    Clock,
    check_budget,
    check_positive,
    check_sources,
    label_frames,
)
from neuroalign.features._film import ROUNDING, Film, open_film
from neuroalign.features.image_filters import LUMA, make_gabor

Array = npt.NDArray[Any]

# Frames held at a time while they are projected.
BLOCK = 128
MEMORY_BUDGET = 4 * 1024**3
# Kept out of the logarithm of nothing; that of pymoten, on a scale of 0 to 100.
LOG_OFFSET = 1e-5


def _as_log(amplitude: Array) -> Array:
    return np.asarray(np.log(amplitude + LOG_OFFSET))


COMPRESSIONS: dict[str, Callable[[Array], Array]] = {
    "log": _as_log,
    "sqrt": np.asarray,
    "none": np.square,
}


def motion_energy(
    videos: Mapping[str, str | PathLike[str] | npt.ArrayLike],
    *,
    rate: float | None = None,
    size: tuple[int, int] | None = None,
    n_directions: int = 8,
    spatial_frequencies: Sequence[float] = (2.0, 4.0, 8.0, 16.0),
    temporal_frequencies: Sequence[float] = (0.0, 2.0, 4.0),
    bandwidth: float = 1.0,
    temporal_bandwidth: float = 1.0,
    spacing: float = 3.5,
    compression: str = "log",
    memory_budget: int = MEMORY_BUDGET,
) -> xr.DataArray:
    """Energy of spatio-temporal Gabor filters around each frame of film.

    Parameters
    ----------
    videos : mapping of str to path or array (time, row, column[, channel])
        Run -> film; all of one size. uint8 is scaled to 0 to 1, colours are made grey.
    rate : float, optional
        Frames per second: of arrays, or to read files at. None takes files as they are; their
        frames must then be evenly spaced.
    size : (int, int), optional
        Rows and columns that files are scaled to; 96 rows are plenty for 16 cycles.
    n_directions : int
        Even number, evenly over 360 degrees, from 0 (rightwards; 90 is downwards).
    spatial_frequencies : sequence of float
        [cycles along the shorter side]
    temporal_frequencies : sequence of float
        [Hz]. 0 has no direction: half as many features, labelled by the first.
    bandwidth, temporal_bandwidth : float
        Full width at half height [octaves], over space and time. The filter of 0 Hz lasts as long
        as that of the lowest other frequency.
    spacing : float
        Between the places of a spatial frequency, in standard deviations of its envelope.
    compression : {"log", "sqrt", "none"}
        With the amplitude a: log(a + 1e-5), a, or the energy a ** 2.
    memory_budget : int
        Largest size of the result [bytes].

    Returns
    -------
    DataArray (sample, feature)
        float32, one sample a frame with ``run``, ``onset`` and ``duration`` [s]. Coords on
        ``feature``: ``direction`` [degrees], ``frequency`` [cycles/image],
        ``temporal_frequency`` [Hz], ``row`` and ``column`` [share of height and width],
        ``space`` = "motion_energy".

    Raises
    ------
    ValueError
        For frequencies beyond half the pixels or half the rate, or other impossible options.
    LoadError, SchemaError
        For films that cannot be read, or differ in size.
    MemoryError

    Notes
    -----
    The filter is ``psi(x, y) h(t)``, both complex Gabors without response to a constant (at 0 Hz,
    ``h`` is a Gaussian); amplitude is the modulus of the film filtered by it. The mean of each
    frame is taken away, and the first and last frames are held beyond the ends: a still image
    has no energy but at 0 Hz. Filters are centred on their frame and see the future as far as the
    past. A full-field grating of amplitude 1 at its best gives an amplitude near 0.5.

    References
    ----------
    Adelson & Bergen (1985), J. Opt. Soc. Am. A 2, 284-299.
    Nishimoto et al. (2011), Current Biology 21, 1641-1646.

    Examples
    --------
    >>> film = np.random.default_rng(0).random((30, 16, 16))
    >>> energy = motion_energy({"run-01": film}, rate=15.0, spatial_frequencies=[2.0])
    >>> energy.dims, energy.sizes["sample"]
    (('sample', 'feature'), 30)
    """
    compress = choose(COMPRESSIONS, compression, "compression")
    check_positive(bandwidth=bandwidth, temporal_bandwidth=temporal_bandwidth, spacing=spacing)
    if n_directions < 2 or n_directions % 2:
        raise ValueError(f"n_directions: expected an even number, got {n_directions}. Use 8.")
    slow = _check_frequencies(temporal_frequencies, "temporal_frequencies", positive=False)
    fine = _check_frequencies(spatial_frequencies, "spatial_frequencies", positive=True)
    films = {
        run: open_film(source, f"videos['{run}']", rate, size)
        for run, source in check_sources(videos, "videos").items()
    }
    rates = {run: _check_rate(run, film, slow) for run, film in films.items()}
    shape = next(iter(next(iter(films.values())).read())).shape[:2]
    directions = np.arange(n_directions // 2) * 360.0 / n_directions
    bank, places = build_bank(shape, fine, directions, bandwidth, spacing)
    kept = [two for f in slow for two in ((True, True) if f else (True, False))]
    n_features = sum(kept) * bank.shape[1]
    n_frames = sum(len(film.onset) for film in films.values())
    check_budget(4 * n_frames * n_features, memory_budget)
    values, start = np.empty((n_frames, n_features), np.float32), 0
    for run, film in films.items():
        rows = slice(start, start + len(film.onset))
        projected = np.concatenate([block @ bank for block in _read_blocks(film, run, shape)])
        for index, energy in enumerate(_drift(projected, slow, rates[run], temporal_bandwidth)):
            columns = slice(index * bank.shape[1], (index + 1) * bank.shape[1])
            values[rows, columns] = compress(energy)
        start = rows.stop
    return label_frames(
        values,
        [Clock(run, film.onset, film.duration) for run, film in films.items()],
        {
            "model": "motion energy",
            "layer": "energy",
            "layer_order": 0,
            "preprocessing": "grey, mean of each frame removed",
        },
        f"features.motion_energy({n_features} filters, compression={compression})",
        _describe(slow, places),
    )


def _check_frequencies(frequencies: Sequence[float], name: str, *, positive: bool) -> Array:
    values = np.unique(np.asarray(frequencies, dtype=np.float64))
    if not len(values) or not np.isfinite(values).all() or values[0] < 0 + positive * 1e-12:
        least = "above 0" if positive else "from 0 on"
        raise ValueError(f"{name}: expected frequencies {least}, got {frequencies}. Give others.")
    return values


def _check_rate(run: str, film: Film, slow: Array) -> float:
    """Give the frames per second of an evenly spaced film."""
    step = float(np.mean(film.duration))
    if np.abs(film.onset - np.arange(len(film.onset)) * step).max() > 2 * ROUNDING + step / 10:
        raise SchemaError(
            f"videos['{run}']: expected evenly spaced frames, got steps of "
            f"{film.duration.min():.3g} to {film.duration.max():.3g} s. Say rate=."
        )
    if slow[-1] > 0.5 / step:
        raise ValueError(
            f"temporal_frequencies: expected at most half of the {1 / step:.4g} frames per second "
            f"of '{run}', got {slow[-1]:g} Hz. Use lower ones."
        )
    return 1 / step


def find_deviation(frequency: float, bandwidth: float) -> float:
    """Find the standard deviation of the Gaussian of a Gabor filter, in units of 1 / frequency.

    Parameters
    ----------
    frequency : float
    bandwidth : float
        [octaves]
    """
    octaves = 2.0**bandwidth
    cycles = np.sqrt(2 * np.log(2)) * (octaves + 1) / (octaves - 1) / (2 * np.pi)
    return float(cycles / frequency)


def build_bank(
    shape: tuple[int, int], frequencies: Array, directions: Array, bandwidth: float, spacing: float
) -> tuple[Array, dict[str, Array]]:
    """Cut spatial filters, centred on a lattice of places, to the frame.

    Returns
    -------
    complex64 array (pixel, filter)
    dict of str to array (filter,)
        ``frequency``, ``direction``, ``row`` and ``column``.
    """
    shorter, filters, labels = min(shape), [], []
    for frequency in frequencies:
        if frequency > shorter / 2:
            raise ValueError(
                f"spatial_frequencies: expected at most {shorter / 2:g} cycles for {shorter} "
                f"pixels, got {frequency:g}. Use lower ones or larger frames."
            )
        gap = spacing * shorter * find_deviation(frequency, bandwidth)
        rows, columns = (_place(length, gap) for length in shape)
        for direction in directions:
            whole = make_gabor(shape, float(direction), float(frequency), bandwidth)
            for row in rows:
                for column in columns:
                    part = whole[
                        shape[0] - 1 - row : 2 * shape[0] - 1 - row,
                        shape[1] - 1 - column : 2 * shape[1] - 1 - column,
                    ]
                    filters.append(part.astype(np.complex64).ravel())
                    place = (row + 0.5) / shape[0], (column + 0.5) / shape[1]
                    labels.append((frequency, direction, *place))
    names = ("frequency", "direction", "row", "column")
    return np.stack(filters, axis=1), dict(zip(names, np.array(labels).T, strict=True))


def _place(length: int, gap: float) -> list[int]:
    """Centre as many points as fit, a gap apart, on a side."""
    count = max(1, int(length // gap))
    centres = (length - 1) / 2 + (np.arange(count) - (count - 1) / 2) * gap
    return [int(centre) for centre in np.rint(centres)]


def _read_blocks(film: Film, run: str, shape: tuple[int, ...]) -> Iterator[Array]:
    """Give grey frames without their mean, (frame, pixel), a few at a time."""
    frames = film.read()
    while block := list(islice(frames, BLOCK)):
        for frame in block:
            if frame.shape[:2] != shape:
                raise SchemaError(
                    f"videos['{run}']: expected frames of {shape} as in the first film, got "
                    f"{frame.shape[:2]}. Use size=."
                )
        images = np.stack(block)
        if not np.isfinite(images).all():
            raise SchemaError(f"videos['{run}']: expected finite values, got NaN. Fill them.")
        scale = 255 if images.dtype == np.uint8 else 1
        grey = images.astype(np.float32) / np.float32(scale)
        if grey.ndim == 4:
            grey = grey @ LUMA.astype(np.float32) if grey.shape[3] == 3 else grey[..., 0]
        flat = grey.reshape(len(grey), -1)
        yield flat - flat.mean(1, keepdims=True)


def make_temporal(frequency: float, slowest: float, rate: float, bandwidth: float) -> Array:
    """Make the temporal part of a filter, complex (2 m + 1,), its centre in the middle."""
    deviation = find_deviation(frequency or slowest, bandwidth)
    half = int(np.ceil(3 * deviation * rate))
    times = np.arange(-half, half + 1) / rate
    envelope = np.exp(-((times / deviation) ** 2) / 2)
    envelope /= envelope.sum()
    carrier = np.exp(2j * np.pi * frequency * times)
    constant = (envelope * carrier).sum() if frequency else 0.0
    result: Array = envelope * (carrier - constant)
    return result


def filter_time(projected: Array, kernel: Array) -> Array:
    """Filter (time, filter) along time; the first and last values are held beyond the ends."""
    half = len(kernel) // 2
    held = np.pad(projected, ((half, half), (0, 0)), mode="edge")
    filtered: Array = oaconvolve(held, kernel[:, None], mode="valid", axes=0)
    return filtered


def _drift(projected: Array, slow: Array, rate: float, bandwidth: float) -> Iterator[Array]:
    """Give amplitudes (time, filter) of each temporal frequency, both ways."""
    moving = slow[slow > 0]
    slowest = float(moving[0]) if len(moving) else 2.0
    for frequency in slow:
        kernel = make_temporal(float(frequency), slowest, rate, bandwidth)
        yield np.abs(filter_time(projected, kernel))
        if frequency:
            # A filter that drifts the other way is the spatial one turned round: its conjugate.
            yield np.abs(filter_time(projected, kernel.conj()))


def _describe(slow: Array, places: Mapping[str, Array]) -> dict[str, Array]:
    turns = [(f, turn) for f in slow for turn in ((0.0, 180.0) if f else (0.0,))]
    n_filters = len(places["row"])
    coords = {name: np.tile(values, len(turns)) for name, values in places.items()}
    coords["direction"] = np.concatenate([places["direction"] + turn for _, turn in turns])
    coords["temporal_frequency"] = np.repeat([frequency for frequency, _ in turns], n_filters)
    return {**coords, "space": np.full(len(turns) * n_filters, "motion_energy")}
