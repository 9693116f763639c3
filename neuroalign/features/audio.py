"""Features of sound from networks for waveforms or spectra: wav2vec 2, HuBERT, WavLM, Whisper."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike, fspath
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign._device import resolve_device
from neuroalign._hooks import capture_layers, check_fired, resolve_layers
from neuroalign.errors import SchemaError, choose, require
from neuroalign.features._continuous import (
    Clock,
    check_budget,
    check_positive,
    check_sources,
    label_frames,
)
from neuroalign.features._forward import DTYPES
from neuroalign.features._hub import load_pretrained
from neuroalign.features._runtime import evaluating
from neuroalign.features._waves import read_wave

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "audio")
    raise

Array = npt.NDArray[Any]

MEMORY_BUDGET = 4 * 1024**3


@dataclass(frozen=True)
class Framing:
    """How a network cuts sound into frames, in samples.

    Parameters
    ----------
    stride : int
        From one frame to the next.
    receptive : int
        Samples that one frame of the first stage sees.
    middle : float
        Where the first frame has its middle.
    limit : int or None
        Frames that the network always gives, whatever the length of the sound.
    """

    stride: int
    receptive: int
    middle: float
    limit: int | None = None

    def count(self, n_samples: int) -> int:
        """Count the whole frames of a sound."""
        return max(0, (n_samples - self.receptive) // self.stride + 1)


def _frame_waves(model: nn.Module, processor: Any) -> Framing:
    config: Any = model.config
    stride, receptive = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        receptive += (kernel - 1) * stride
        stride *= step
    return Framing(stride, receptive, (receptive - 1) / 2)


def _frame_spectra(model: nn.Module, processor: Any) -> Framing:
    encoder: Any = model
    stride = processor.hop_length * encoder.conv1.stride[0] * encoder.conv2.stride[0]
    # Centred frames: the first one lies on the first sample.
    return Framing(stride, stride, 0.0, int(encoder.config.max_source_positions))


# What the configuration has (and the processor) -> how to read it.
FRAMINGS: dict[tuple[str, str], Callable[[nn.Module, Any], Framing]] = {
    ("conv_kernel", ""): _frame_waves,
    ("max_source_positions", "hop_length"): _frame_spectra,
}


def find_framing(model: nn.Module, processor: Any, framing: tuple[int, int] | None) -> Framing:
    """Find out how a network cuts sound into frames.

    Raises
    ------
    ValueError
        When neither the configuration nor the caller says so.
    """
    if framing is not None:
        stride, receptive = framing
        check_positive(stride=stride, receptive=receptive)
        return Framing(int(stride), int(receptive), (receptive - 1) / 2)
    config = getattr(model, "config", None)
    for (known, extra), read in FRAMINGS.items():
        if hasattr(config, known) and (not extra or hasattr(processor, extra)):
            return read(model, processor)
    raise ValueError(
        f"framing: expected a network whose configuration tells its strides (of wav2vec 2 and its "
        f"kin, or the encoder of Whisper with its processor), got {type(model).__name__}. "
        "Say framing=(stride, receptive field) in samples."
    )


def extract_audio(
    model: nn.Module | str | PathLike[str],
    audio: Mapping[str, str | PathLike[str] | npt.ArrayLike],
    layers: str | Sequence[str],
    *,
    processor: Any = None,
    rate: float | None = None,
    model_rate: int | None = None,
    chunk: float = 20.0,
    context: float = 5.0,
    causal: bool = False,
    framing: tuple[int, int] | None = None,
    channels: str = "mean",
    dtype: str = "float32",
    batch_size: int = 1,
    device: str = "cpu",
    progress: bool = True,
    memory_budget: int = MEMORY_BUDGET,
) -> dict[str, xr.DataArray]:
    """Play sounds to a network, window by window, and keep what its layers answer.

    Parameters
    ----------
    model : torch.nn.Module, or name or folder of a pretrained one
        Takes (batch, time), or what ``processor`` makes. Of Whisper, the encoder
        (``model.get_encoder()``); by name, that is done for you. By name the processor comes
        along, and weights are read from safetensors only.
    audio : mapping of str to path or array (time,) or (time, channel)
        Run -> sound.
    layers : str or sequence of str
        Names or globs ("encoder.layers.?") of layers that give (batch, frame, feature) or (batch,
        feature, frame), with one frame for each of the output.
    processor : callable, optional
        Feature extractor of transformers. One that normalises does so in each window by itself.
        None passes the waveform (-1 to 1) as it is.
    rate : float, optional
        [Hz] of arrays; files know theirs.
    model_rate : int, optional
        [Hz] the network was trained on; that of the processor, or 16000.
    chunk : float
        Sound answered in one pass [s], rounded to frames.
    context : float
        Sound before and after each chunk that the network hears too [s]. Together with ``chunk``
        it bounds memory, and what any frame can know. A sound of at most ``chunk`` is one pass.
    causal : bool
        True: each frame is the last of its own pass over the ``context`` seconds up to it, and
        knows nothing of later sound. ``chunk`` is not used; one pass a frame, so take batches.
    framing : (int, int), optional
        Stride and receptive field of the frames [samples], of networks whose configuration does
        not tell.
    channels : {"mean", "first", "last"}
        How several channels become one.
    dtype : {"float32", "float16", "float64"}
        Type kept.
    batch_size : int
        Windows in one forward pass.
    device : {"cpu", "cuda", "mps", "auto"}
    progress : bool
    memory_budget : int
        Largest total of the results [bytes].

    Returns
    -------
    dict of str to DataArray (sample, feature)
        One sample a frame with ``run``, ``onset`` and ``duration`` [s]: the middle of a frame is
        that of the sound it sees in the first stage, its duration the stride (20 ms in
        wav2vec 2). Ready for `align.resample`.

    Raises
    ------
    LoadError
        For sounds that cannot be read, and models that cannot be reached.
    ValueError, SchemaError
        For a sound shorter than one frame, or layers with another number of frames.
    MemoryError

    References
    ----------
    Baevski et al. (2020), NeurIPS 33 (wav2vec 2); Radford et al. (2023), ICML (Whisper).

    Examples
    --------
    >>> network = nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 4, 10, stride=5))
    >>> noise = np.random.default_rng(0).normal(size=1000)
    >>> layers = extract_audio(
    ...     network, {"run-01": noise}, "1", rate=16000, framing=(5, 10), progress=False
    ... )
    >>> layers["1"].dims, layers["1"].shape
    (('sample', 'feature'), (199, 4))
    """
    kept = choose(DTYPES, dtype, "dtype")
    check_positive(chunk=chunk, batch_size=batch_size)
    if context < 0 or (causal and context == 0):
        raise ValueError(f"context: expected seconds of sound, got {context}. Use 5.")
    network, processor = _open(model, processor)
    names = resolve_layers(network, layers)
    hertz = model_rate or int(getattr(processor, "sampling_rate", 16000))
    cut = find_framing(network, processor, framing)
    per_second = hertz / cut.stride
    around = round(context * per_second)
    plan = (1, around, 0) if causal else (max(1, round(chunk * per_second)), around, around)
    if cut.limit is not None and sum(plan) > cut.limit:
        raise ValueError(
            f"chunk: expected chunk and context on both sides of at most "
            f"{cut.limit / per_second:g} s together, got {sum(plan) / per_second:g} s. Use less."
        )
    job = _Job(network, processor, names, cut, hertz, kept, device, batch_size)
    sounds = check_sources(audio, "audio")
    parts: dict[str, list[Array]] = {name: [] for name in names}
    clocks, spent = [], 0
    with evaluating(network, resolve_device(device)), capture_layers(network, names) as captured:
        for run, source in tqdm(sounds.items(), desc="audio", disable=not progress):
            wave = read_wave(source, f"audio['{run}']", rate, hertz, channels)
            n_frames = cut.count(len(wave))
            if n_frames < 1:
                raise SchemaError(
                    f"audio['{run}']: expected at least {cut.receptive} samples at {hertz} Hz, got "
                    f"{len(wave)}. Leave it out."
                )
            found = job.run(wave, n_frames, plan, captured, memory_budget - spent)
            for name in names:
                parts[name].append(found[name])
                spent += found[name].nbytes
            clocks.append(job.tick(run, n_frames))
    order = {name: index for index, (name, _) in enumerate(network.named_modules())}
    history = (
        f"features.extract_audio(chunk={chunk:g} s, context={context:g} s, causal={causal}, "
        f"stride={cut.stride / hertz:g} s)"
    )
    prepared = "none" if processor is None else type(processor).__name__
    return {
        name: label_frames(
            np.concatenate(parts.pop(name)),
            clocks,
            {
                "model": type(network).__name__,
                "layer": name,
                "layer_order": order[name],
                "preprocessing": f"channels {channels}, {hertz} Hz, {prepared}",
            },
            history,
        )
        for name in names
    }


def _open(model: nn.Module | str | PathLike[str], processor: Any) -> tuple[nn.Module, Any]:
    """Load a model by name; take the encoder of one that also writes."""
    if isinstance(model, str | PathLike):
        loaded, own = load_pretrained(fspath(model), "audio")
        # Sound is float32; some weights are stored in half precision.
        model, processor = loaded.float(), own if processor is None else processor
        if getattr(loaded.config, "is_encoder_decoder", False):
            model = loaded.get_encoder()
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model: expected a torch.nn.Module or a name, got {type(model).__name__}. Build the "
            "network first."
        )
    return model, processor


def plan_windows(
    n_frames: int, chunk: int, before: int, after: int
) -> list[tuple[int, int, int, int]]:
    """Cut a sound: first and last frame heard, first and last frame kept, in each pass."""
    borders = [*range(0, n_frames, chunk), n_frames]
    return [(max(0, a - before), min(n_frames, b + after), a, b) for a, b in pairwise(borders)]


def batch_windows(
    windows: Sequence[tuple[int, int, int, int]], size: int
) -> Iterator[list[tuple[int, int, int, int]]]:
    """Join neighbours of one length, a few at a time."""
    batch: list[tuple[int, int, int, int]] = []
    for window in windows:
        if batch and (len(batch) == size or window[1] - window[0] != batch[0][1] - batch[0][0]):
            yield batch
            batch = []
        batch.append(window)
    yield batch


@dataclass(frozen=True)
class _Job:
    """One request: how windows of sound become frames of layers."""

    model: nn.Module
    processor: Any
    names: list[str]
    cut: Framing
    hertz: int
    dtype: Any
    device: str
    batch_size: int
    # layer -> the dim that holds frames, once it is known
    dims: dict[str, int] = field(default_factory=dict)

    def run(
        self,
        wave: Array,
        n_frames: int,
        plan: tuple[int, int, int],
        captured: dict[str, torch.Tensor],
        budget: int,
    ) -> dict[str, Array]:
        """Fill the frames of one sound: layer -> (frame, feature)."""
        found: dict[str, Array] = {}
        for batch in batch_windows(plan_windows(n_frames, *plan), self.batch_size):
            heard = batch[0][1] - batch[0][0]
            captured.clear()
            self._play([self._slice(wave, window) for window in batch])
            check_fired(self.model, captured, self.names)
            states = {name: captured.pop(name) for name in self.names}
            self._tell_apart(states, heard, self._slice(wave, batch[0]), captured)
            outputs = {name: self._order(state, name, heard) for name, state in states.items()}
            if not found:
                widths = {name: values.shape[2] for name, values in outputs.items()}
                size = np.dtype(self.dtype).itemsize
                check_budget(n_frames * size * sum(widths.values()), budget)
                found = {k: np.empty((n_frames, width), self.dtype) for k, width in widths.items()}
            for name, values in outputs.items():
                for row, (start, _, first, last) in enumerate(batch):
                    found[name][first:last] = values[row, first - start : last - start]
        return found

    def tick(self, run: str, n_frames: int) -> Clock:
        """Say when the frames of a sound are."""
        cut, half = self.cut, self.cut.stride / 2
        onset = (np.arange(n_frames) * cut.stride + cut.middle - half) / self.hertz
        return Clock(run, onset, np.full(n_frames, cut.stride / self.hertz))

    def _slice(self, wave: Array, window: tuple[int, int, int, int]) -> Array:
        start, stop = window[0] * self.cut.stride, (window[1] - 1) * self.cut.stride
        return wave[start : stop + self.cut.receptive]

    def _play(self, waves: list[Array]) -> None:
        device = resolve_device(self.device)
        if self.processor is None:
            self.model(torch.from_numpy(np.stack(waves)).to(device))
            return
        inputs = self.processor(waves, sampling_rate=self.hertz, return_tensors="pt")
        self.model(**{key: value.to(device) for key, value in inputs.items()})

    def _tell_apart(
        self,
        states: Mapping[str, torch.Tensor],
        heard: int,
        wave: Array,
        captured: dict[str, torch.Tensor],
    ) -> None:
        """Play one frame more where a layer has as many features as frames: its frames grow."""
        square = (heard, heard)
        unknown = [name for name, one in states.items() if tuple(one.shape[1:]) == square]
        if self.cut.limit is not None or not set(unknown) - set(self.dims):
            return
        captured.clear()
        self._play([np.resize(wave, heard * self.cut.stride + self.cut.receptive)])
        for name in unknown:
            sizes = tuple(captured.pop(name).shape)
            if sorted(sizes[1:]) == [heard, heard + 1]:
                self.dims[name] = sizes.index(heard + 1, 1)

    def _order(self, output: torch.Tensor, name: str, heard: int) -> Array:
        """Bring the output of a layer to (window, frame, feature)."""
        frames = heard if self.cut.limit is None else self.cut.limit
        sizes = tuple(output.shape)
        if len(sizes) != 3 or frames not in sizes[1:]:
            raise ValueError(
                f"layers: expected layer '{name}' to give {frames} frames, got shape {sizes}. "
                "Choose one after the strides, or say framing=."
            )
        if sizes[1] != sizes[2]:
            self.dims.setdefault(name, sizes.index(frames, 1))
        # Where windows of another length disagree, one had as many features as frames by chance.
        if sizes[self.dims.get(name, 0)] != frames or name not in self.dims:
            raise ValueError(
                f"layers: expected frames of layer '{name}' along one dim, got shape {sizes} for "
                f"{frames} frames, which tells them from features in no way. Choose another."
            )
        ordered = output.movedim(self.dims[name], 1)
        wide = torch.float64 if output.dtype == torch.float64 else torch.float32
        return np.asarray(ordered.to(wide).cpu().numpy().astype(self.dtype, copy=False))
