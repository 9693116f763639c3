"""Read film: a file or an array in, frames with their times out, one at a time.

Files are decoded by PyAV. Nothing is kept: whoever needs the frames again decodes again. When
frames are shown is read off the packets, without decoding, where the header counts as many.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from neuroalign.errors import (
    DataCorruptionError,
    LoadError,
    NeuroalignWarning,
    SchemaError,
    require,
)
from neuroalign.features._continuous import check_positive

Array = npt.NDArray[Any]
Size = tuple[int, int] | None
T = TypeVar("T")

# [s] Containers round the times of frames, some to milliseconds.
ROUNDING = 1e-3
# Floats beyond are rather 0 to 255; looked for in some frames of a film.
BRIGHTEST, N_LOOKED_AT = 1.5, 16


@dataclass(frozen=True)
class Film:
    """Frames of one run: when each is shown, and how to read them from the first on."""

    onset: Array
    duration: Array
    read: Callable[[], Iterator[Array]]


def load_frames(
    path: str | PathLike[str], *, rate: float | None = None, size: Size = None
) -> Iterator[tuple[float, Array]]:
    """Read the frames of a video file one by one.

    Parameters
    ----------
    path : path
        Anything that FFmpeg reads; the first video stream is taken.
    rate : float, optional
        Frames per second wanted: at each multiple of 1 / rate, the frame on screen then. None
        gives every frame of the file at its own time.
    size : (int, int), optional
        Rows and columns to scale to (bicubic).

    Yields
    ------
    float
        Onset [s] from the first frame.
    uint8 array (row, column, 3)
        RGB.

    Raises
    ------
    LoadError
        When there is no such file, no video in it, or its frames bear no times.
    DataCorruptionError
        When it cannot be decoded to the end. Fewer frames than its header says are a warning.
    ValueError
    MissingExtraError
        Without PyAV.

    Examples
    --------
    >>> frames = load_frames("scene.mp4", rate=15.0)  # nothing is read yet
    """
    if rate is not None:
        check_positive(rate=rate)
    check_size(size)
    frames = ((time, frame) for time, frame in _decode(Path(path)))
    chosen = frames if rate is None else hold(frames, rate)
    return ((time, _to_rgb(frame, size)) for time, frame in chosen)


def check_size(size: Any) -> None:
    """Check that a size is none, or rows and columns.

    Raises
    ------
    ValueError
    """
    if size is None:
        return
    pair = isinstance(size, tuple | list) and len(size) == 2
    if not pair or not all(isinstance(n, int | np.integer) and n > 0 for n in size):
        raise ValueError(
            f"size: expected (rows, columns) in pixels, got {size!r}. Pass (64, 64), say."
        )


def _to_rgb(frame: Any, size: Size) -> Array:
    if size is None:
        return np.asarray(frame.to_ndarray(format="rgb24"))
    rows, columns = size
    scaled = frame.reformat(width=columns, height=rows, format="rgb24", interpolation="BICUBIC")
    return np.asarray(scaled.to_ndarray())


def _decode(path: Path) -> Iterator[tuple[float, Any]]:
    """Yield times [s] from the first frame, and frames as they are in the file."""
    if not path.is_file():
        raise LoadError(f"{path}: expected a video file, got no such file. Check the path.")
    av: Any = require("av", "video")
    first, time, count, declared = None, None, 0, 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise LoadError(f"{path}: expected a video stream, got none. Choose another file.")
            container.streams.video[0].thread_type = "AUTO"
            declared = container.streams.video[0].frames
            for frame in container.decode(video=0):
                if frame.time is None:
                    raise LoadError(
                        f"{path}: expected frames with times, got one without. "
                        "Put it into a container such as mp4."
                    )
                first = frame.time if first is None else first
                time = frame.time - first
                count += 1
                yield float(time), frame
    except av.error.FFmpegError as error:
        reached = "" if time is None else f" after {time:.2f} s"
        raise DataCorruptionError(
            f"{path}: expected a video, got data that cannot be decoded{reached} ({error}). "
            "Fetch or export it again."
        ) from error
    if first is None:
        raise DataCorruptionError(
            f"{path}: expected frames, got a video with none. Fetch or export it again."
        )
    # No error: a film that was cut without being encoded again hides frames rightly.
    if count < declared:
        warnings.warn(
            f"{path}: expected {declared} frames as its header says, got {count}. Unless it was "
            "cut on purpose, fetch it again.",
            NeuroalignWarning,
            stacklevel=2,
        )


def hold(frames: Iterable[tuple[float, T]], rate: float) -> Iterator[tuple[float, T]]:
    """Give, at each multiple of 1 / rate, the frame on screen then.

    Parameters
    ----------
    frames : iterable of (float, object)
        Times [s], increasing from 0.
    rate : float
        [Hz]
    """
    index, previous, step = 0, 0.0, 1 / rate
    held: list[T] = []
    for time, frame in frames:
        while held and index / rate < time - ROUNDING:
            yield index / rate, held[0]
            index += 1
        step = time - previous if held else step
        held, previous = [frame], time
    # The last frame stays as long as the one before it did.
    while held and index / rate < previous + step - ROUNDING:
        yield index / rate, held[0]
        index += 1


def open_film(source: Any, name: str, rate: float | None, size: Size = None) -> Film:
    """List the times of a film.

    Parameters
    ----------
    source : path or array (time, row, column[, channel])
    name : str
        Argument named in messages.
    rate : float or None
        [Hz]; needed with an array.
    size : (int, int), optional

    Returns
    -------
    Film
        uint8 (row, column, 3) from files; what the array holds otherwise.

    Raises
    ------
    LoadError, DataCorruptionError, SchemaError, ValueError
    """
    check_size(size)
    if not isinstance(source, str | PathLike):
        return _from_array(np.asarray(source), name, rate, size)
    path = Path(source)
    times = list_times(path)
    if rate is not None:
        onset = np.array([time for time, _ in hold(((time, None) for time in times), rate)])
        return Film(onset, np.full(len(onset), 1 / rate), lambda: _images(path, onset, rate, size))
    onset = np.array(times)
    if len(onset) < 2:
        raise LoadError(f"{path}: expected several frames, got {len(onset)}. Say rate=.")
    step = np.diff(onset)
    return Film(onset, np.append(step, step[-1]), lambda: _images(path, onset, None, size))


def list_times(path: Path) -> list[float]:
    """List when the frames of a file are shown [s from the first], decoding it only if need be."""
    return _read_packets(path) or [time for time, _ in _decode(path)]


def _read_packets(path: Path) -> list[float]:
    """Read the times of frames off their packets; none where these may not be the frames."""
    if not path.is_file():
        return []
    av: Any = require("av", "video")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            declared = stream.frames
    except (av.error.FFmpegError, IndexError):
        # Decoding says what is wrong.
        return []
    shown = [packet for packet in packets if packet.pts is not None and not packet.is_discard]
    if not shown or not len(shown) == len(packets) == declared:
        return []
    times = sorted(float(packet.pts * packet.time_base) for packet in shown)
    return [time - times[0] for time in times]


def _images(path: Path, onset: Array, rate: float | None, size: Size) -> Iterator[Array]:
    """Read the frames of a film, which must be those whose times are known."""
    count = 0
    for time, image in load_frames(path, rate=rate, size=size):
        if count == len(onset) or abs(time - onset[count]) > ROUNDING:
            break
        yield image
        count += 1
    else:
        if count == len(onset):
            return
    raise DataCorruptionError(
        f"{path}: expected {len(onset)} frames at the times that its packets bear, got others "
        f"after {count} of them. Fetch it again, or write it anew as mp4."
    )


def _from_array(frames: Array, name: str, rate: float | None, size: Size) -> Film:
    if frames.ndim not in (3, 4) or not len(frames) or frames.dtype.kind not in "fu":
        raise SchemaError(
            f"{name}: expected a path, or uint8 or float (time, row, column[, channel]), got "
            f"{frames.dtype} of shape {frames.shape}. Convert it."
        )
    if frames.ndim == 4 and frames.shape[3] not in (1, 3):
        raise SchemaError(
            f"{name}: expected 1 or 3 channels last, got shape {frames.shape}. Use np.moveaxis."
        )
    if rate is None:
        raise ValueError(f"rate: expected the frames per second of {name}, got None. Say rate=25.")
    if size is not None:
        raise ValueError(f"size: expected None for the array {name}, got {size}. Scale it before.")
    brightest = float(np.abs(frames[:: -(-len(frames) // N_LOOKED_AT)]).max(initial=0))
    if frames.dtype.kind == "f" and brightest > BRIGHTEST:
        warnings.warn(
            f"{name}: expected floats from 0 to 1, got up to {brightest:g}; networks count on that "
            "scale. Divide by 255, or pass uint8.",
            NeuroalignWarning,
            stacklevel=3,
        )
    duration = np.full(len(frames), 1 / rate)
    return Film(np.arange(len(frames)) / rate, duration, lambda: iter(frames))
