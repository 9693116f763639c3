"""Read sound: a file or an array in, one channel at one rate out."""

import warnings
from collections.abc import Callable
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from neuroalign.errors import LoadError, NeuroalignWarning, SchemaError, choose, require
from neuroalign.features._continuous import check_positive

Array = npt.NDArray[Any]

# Samples decoded at a time.
BLOCK = 1 << 20
# [Hz] Slower than any sound, as kHz are.
LEAST_RATE = 1000
# Beyond what noise of unit variance reaches, which some pass, but within what int16 does.
LOUDEST = 30.0


def _average(block: Array) -> Array:
    return np.asarray(block.mean(1))


def _take_first(block: Array) -> Array:
    return block[:, 0]


def _take_last(block: Array) -> Array:
    return block[:, -1]


# What becomes of (time, channel).
CHANNELS: dict[str, Callable[[Array], Array]] = {
    "mean": _average,
    "first": _take_first,
    "last": _take_last,
}


def read_wave(
    source: Any, name: str, rate: float | None, wanted: float, channels: str
) -> npt.NDArray[np.float32]:
    """Read one sound.

    Parameters
    ----------
    source : path or array (time,) or (time, channel)
        Integers are scaled to -1 to 1 by the range of their type.
    name : str
        Argument named in messages.
    rate : float or None
        [Hz] of an array; files know theirs.
    wanted : float
        [Hz]
    channels : {"mean", "first", "last"}

    Returns
    -------
    float32 array (time,)

    Raises
    ------
    LoadError, SchemaError, ValueError
        Also for an array of less than 1000 samples per second.
    MissingExtraError
        For a file, without soundfile.

    Warns
    -----
    NeuroalignWarning
        When an array of floats goes beyond -30 to 30, as samples of int16 do.
    """
    mix = choose(CHANNELS, channels, "channels")
    if isinstance(source, str | PathLike):
        wave, rate = _read_file(Path(source), mix)
    else:
        wave = _from_array(np.asarray(source), name, mix)
        if rate is not None and 0 < rate < LEAST_RATE:
            raise ValueError(
                f"rate: expected samples per second of sound, {LEAST_RATE} or more, got {rate:g}. "
                f"Pass Hz: {rate * 1000:g}, if this is kHz."
            )
    if rate is None:
        raise ValueError(
            f"rate: expected the samples per second of {name}, got None. Say rate=44100."
        )
    check_positive(rate=rate)
    if not len(wave):
        raise LoadError(f"{name}: expected sound, got no samples. Check the file.")
    if not np.isfinite(wave).all():
        raise SchemaError(f"{name}: expected finite samples, got NaN or infinity. Fill them.")
    ratio = Fraction(wanted / rate).limit_denominator(10_000)
    if ratio != 1:
        wave = resample_poly(wave, ratio.numerator, ratio.denominator)
    return np.asarray(wave, dtype=np.float32)


def _read_file(path: Path, mix: Callable[[Array], Array]) -> tuple[Array, float]:
    if not path.is_file():
        raise LoadError(f"{path}: expected a sound file, got no such file. Check the path.")
    soundfile: Any = require("soundfile", "audio")
    try:
        with soundfile.SoundFile(path) as file:
            blocks = [mix(block) for block in file.blocks(BLOCK, dtype="float32", always_2d=True)]
            rate = float(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise LoadError(
            f"{path}: expected a sound file (wav, flac, ogg, mp3), got one that cannot be read "
            f"({error}). Convert it to wav."
        ) from error
    return np.concatenate([np.empty(0, np.float32), *blocks]), rate


def _from_array(samples: Array, name: str, mix: Callable[[Array], Array]) -> Array:
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fi":
        raise SchemaError(
            f"{name}: expected a path, or floats or integers (time,) or (time, channel), got "
            f"{samples.dtype} of shape {samples.shape}. Convert it."
        )
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise SchemaError(
            f"{name}: expected (time, channel), got shape {samples.shape}. Transpose it."
        )
    if samples.dtype.kind == "i":
        samples = samples / -float(np.iinfo(samples.dtype).min)
    flat = samples.astype(np.float32)
    loudest = float(np.abs(flat).max(initial=0.0))
    if np.isfinite(loudest) and loudest > LOUDEST:
        warnings.warn(
            f"{name}: expected floats from -1 to 1, got up to {loudest:g}; levels and models count "
            "on that scale. Divide by 32768 what was int16, or pass the integers.",
            NeuroalignWarning,
            stacklevel=2,
        )
    return flat if flat.ndim == 1 else mix(flat)
