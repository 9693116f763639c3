"""Features of film from torch networks that see frames, or clips of several frames."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import require
from neuroalign.features._continuous import Clock, check_positive, check_sources, time_coords
from neuroalign.features._film import Film, open_film
from neuroalign.features.torch_model import MEMORY_BUDGET, extract
from neuroalign.schema import add_history

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "video")
    raise

Array = npt.NDArray[Any]


class FilmStimuli(Mapping[str, Array]):
    """Frames or clips of films as stimuli of `extract`, decoded when they are asked for.

    Parameters
    ----------
    films : mapping of str to Film
    clip : int or None
        Frames in a clip; None for single frames.
    step : int
        Frames from one stimulus to the next.
    """

    def __init__(self, films: Mapping[str, Film], clip: int | None, step: int) -> None:
        self.films, self.clip, self.step = films, clip, step
        self.places = {
            f"{run}/{start:07d}": (run, start)
            for run, film in films.items()
            for start in range(0, len(film.onset) - (clip or 1) + 1, step)
        }
        self.run = ""
        self.frames: Iterator[Array] = iter(())
        self.held: deque[Array] = deque()
        self.first = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, label: str) -> Array:
        run, start = self.places[label]
        window = self._seek(run, start, self.clip or 1)
        frames = np.stack([frame if frame.ndim == 3 else frame[..., None] for frame in window])
        if self.clip is None and frames.dtype == np.uint8:
            return np.asarray(frames[0])
        scale = np.float32(255 if frames.dtype == np.uint8 else 1)
        moved = np.ascontiguousarray(np.moveaxis(frames, 3, 0), dtype=np.float32) / scale
        return moved if self.clip else moved[:, 0]

    def _seek(self, run: str, start: int, count: int) -> list[Array]:
        """Read on to a window of frames; from the beginning when it lies behind."""
        if run != self.run or start < self.first:
            self.run, self.first = run, 0
            self.frames, self.held = self.films[run].read(), deque()
        while self.held and self.first < start:
            self.held.popleft()
            self.first += 1
        while self.first < start:
            next(self.frames)
            self.first += 1
        while len(self.held) < count:
            self.held.append(next(self.frames))
        return list(self.held)[:count]

    def clocks(self) -> list[Clock]:
        """Say when each stimulus is: the ``step`` frames in the middle of its window."""
        margin = ((self.clip or 1) - self.step) / 2
        return [self._clock(run, film, margin) for run, film in self.films.items()]

    def _clock(self, run: str, film: Film, margin: float) -> Clock:
        starts = np.array([start for other, start in self.places.values() if other == run])
        borders = np.append(film.onset, film.onset[-1] + film.duration[-1])
        begin = starts + max(margin, 0)
        end = begin + (self.step if margin >= 0 else (self.clip or 1))
        index = np.arange(len(borders))
        onset = np.interp(begin, index, borders)
        return Clock(run, onset, np.interp(end, index, borders) - onset)


def extract_video(
    model: nn.Module,
    videos: Mapping[str, str | PathLike[str] | npt.ArrayLike],
    layers: str | Sequence[str],
    *,
    rate: float | None = None,
    clip: int | None = None,
    step: int | None = None,
    size: tuple[int, int] | None = None,
    store: str | PathLike[str] | None = None,
    dtype: str = "float32",
    pool: str | None = None,
    reduce: Any = None,
    batch_size: int = 8,
    device: str = "cpu",
    preprocess: Callable[[torch.Tensor], Any] | None = None,
    progress: bool = True,
    memory_budget: int = MEMORY_BUDGET,
    seed: int = 0,
) -> dict[str, xr.DataArray]:
    """Show film to a network and keep what its layers answer.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (batch, channel, row, column), or with ``clip`` (batch, channel, time, row, column).
    videos : mapping of str to path or array (time, row, column[, channel])
        Run -> film.
    layers : str or sequence of str
        Names, globs or "all", as for `extract`.
    rate : float, optional
        Frames per second: of arrays, or to read files at (the frame on screen at each multiple of
        1 / rate). None takes every frame of the files.
    clip : int, optional
        Frames in a clip, for networks that see motion. Frames after the last whole clip are left
        out.
    step : int, optional
        Frames from one stimulus to the next: 1 without ``clip``, and ``clip`` with it.
    size : (int, int), optional
        Rows and columns that files are scaled to while they are read.
    store, dtype, pool, reduce, batch_size, device, preprocess, progress, memory_budget, seed
        As for `extract`. ``preprocess`` gets (channel, row, column) or, with ``clip``, (channel,
        time, row, column) in 0 to 1. In the store, samples are named ``run/frame``.

    Returns
    -------
    dict of str to DataArray (sample[, token], feature)
        With ``run``, ``onset`` and ``duration`` [s] from the first frame. A clip stands for the
        ``step`` frames in its middle, so that clips that overlap follow each other in time; the
        network has seen what lies around. Ready for `align.resample`.

    Raises
    ------
    ValueError
        Also when a film is shorter than a clip.
    LoadError, DataCorruptionError, SchemaError, MemoryError
        As `extract` and `load_frames`.

    Notes
    -----
    Files are decoded once (and once more to be hashed, with ``store``; and once for the times of
    their frames where their packets do not tell, as in webm). One batch is in memory at a time.

    Examples
    --------
    >>> from neuroalign.models import SmallConvNet
    >>> film = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
    >>> layers = extract_video(
    ...     SmallConvNet(seed=0), {"run-01": film}, "stages.stage1", rate=25.0, pool="mean",
    ...     progress=False,
    ... )
    >>> layers["stages.stage1"]["onset"].values.tolist()
    [0.0, 0.04, 0.08, 0.12]
    """
    if rate is not None:
        check_positive(rate=rate)
    step = (clip or 1) if step is None else step
    for name, count in {"clip": clip, "step": step}.items():
        if count is not None and (not isinstance(count, int | np.integer) or count < 1):
            raise ValueError(f"{name}: expected a number of frames from 1 on, got {count}. Use 16.")
    films = {
        run: open_film(source, f"videos['{run}']", rate, size)
        for run, source in check_sources(videos, "videos").items()
    }
    for run, film in films.items():
        if len(film.onset) < (clip or 1):
            raise ValueError(
                f"clip: expected at most the {len(film.onset)} frames of '{run}', got {clip}. "
                "Use shorter clips or a higher rate."
            )
    stimuli = FilmStimuli(films, clip, step)
    found = extract(
        model,
        stimuli,
        layers,
        store=store,
        dtype=dtype,
        pool=pool,
        reduce=reduce,
        batch_size=batch_size,
        device=device,
        preprocess=preprocess,
        progress=progress,
        memory_budget=memory_budget,
        seed=seed,
    )
    times = time_coords(stimuli.clocks())
    history = f"features.extract_video(rate={rate}, clip={clip}, step={step})"
    return {
        layer: add_history(features.drop_vars("stimulus").assign_coords(times), history)
        for layer, features in found.items()
    }
