"""Features of sound that need no network: mel spectrogram and envelope."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.fft import next_fast_len
from scipy.signal import hilbert

from neuroalign.errors import choose, require
from neuroalign.features._continuous import Clock, check_positive, check_sources, label_frames
from neuroalign.features._waves import read_wave

Array = npt.NDArray[Any]
Sounds = Mapping[str, str | PathLike[str] | npt.ArrayLike]

# Frames transformed at a time.
BLOCK = 4096
# The names that transformers gives them.
COMPRESSIONS: dict[str, str | None] = {"log10": "log10", "log": "log", "dB": "dB", "none": None}
SCALES = {"slaney": "slaney", "htk": "htk", "kaldi": "kaldi"}


def mel_spectrogram(
    audio: Sounds,
    *,
    rate: float | None = None,
    analysis_rate: int = 16000,
    hop: float = 0.01,
    window: float = 0.025,
    n_mels: int = 80,
    lowest: float = 0.0,
    highest: float | None = None,
    scale: str = "slaney",
    compression: str = "log10",
    causal: bool = False,
    channels: str = "mean",
) -> xr.DataArray:
    """Power in mel bands of short frames.

    Parameters
    ----------
    audio : mapping of str to path or array (time,) or (time, channel)
        Run -> sound. Files are read by soundfile.
    rate : float, optional
        [Hz] of arrays; files know theirs.
    analysis_rate : int
        [Hz] that sounds are resampled to first (polyphase filter).
    hop : float
        From one frame to the next [s], rounded to samples.
    window : float
        Length of the Hann window [s], at least ``hop``.
    n_mels : int
    lowest, highest : float
        Edges of the bands [Hz]; None: half the analysis rate.
    scale : {"slaney", "htk", "kaldi"}
        Bands of unit area ("slaney") or unit height.
    compression : {"log10", "log", "dB", "none"}
        Of the power, at least 1e-10.
    causal : bool
        False: windows are centred on their frame. True: they end with it, so that no frame knows
        what comes after.
    channels : {"mean", "first", "last"}
        How several channels become one.

    Returns
    -------
    DataArray (sample, feature)
        float32, one sample a frame with ``run``, ``onset`` and ``duration`` [s] from the start of
        the sound; on ``feature``: ``frequency`` [Hz] of the peak of the band, ``space`` = "mel".
        Silence is assumed beyond both ends.

    Raises
    ------
    LoadError, SchemaError
        For sounds that cannot be read.
    ValueError
        Also for more bands than the window resolves.
    MissingExtraError
        Without transformers, or without soundfile for files.

    References
    ----------
    Filter banks and transform of ``transformers.audio_utils``.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    >>> mel = mel_spectrogram({"run-01": tone}, rate=8000, analysis_rate=8000, n_mels=30)
    >>> mel.sizes["sample"], round(float(mel["frequency"][mel.values[50].argmax()]), -2)
    (100, 1000.0)
    """
    tools: Any = require("transformers.audio_utils", "audio")
    shrink = choose(COMPRESSIONS, compression, "compression")
    choose(SCALES, scale, "scale")
    check_positive(analysis_rate=analysis_rate, hop=hop, window=window, n_mels=n_mels)
    step, length = round(hop * analysis_rate), round(window * analysis_rate)
    if step < 1 or length < step:
        raise ValueError(f"window: expected at least the hop of {hop} s, got {window}. Use 0.025.")
    highest = analysis_rate / 2 if highest is None else highest
    if not 0 <= lowest < highest <= analysis_rate / 2:
        raise ValueError(
            f"highest: expected 0 <= lowest < highest <= {analysis_rate / 2:g} Hz, got {lowest:g} "
            f"and {highest:g}. Change them or raise analysis_rate."
        )
    n_fft = tools.optimal_fft_length(length)
    bank, peaks = _make_bank(tools, n_fft, n_mels, lowest, highest, analysis_rate, scale)
    options = {"frame_length": length, "hop_length": step, "fft_length": n_fft, "power": 2.0}
    options |= {"window": tools.window_function(length, "hann"), "center": False}
    options |= {"mel_filters": bank, "log_mel": shrink}
    margin = length - step
    before = margin if causal else margin // 2
    parts, clocks = [], []
    for run, wave in _read(audio, rate, analysis_rate, channels):
        n_frames = -(-len(wave) // step)
        after = (n_frames - 1) * step + length - before - len(wave)
        padded = np.pad(wave, (before, max(after, 0)))
        for start in range(0, n_frames, BLOCK):
            stop = min(start + BLOCK, n_frames)
            piece = padded[start * step : (stop - 1) * step + length]
            parts.append(tools.spectrogram(piece, **options).T.astype(np.float32))
        clocks.append(_tick(run, n_frames, step / analysis_rate))
    return label_frames(
        np.concatenate(parts),
        clocks,
        _describe("mel spectrogram", analysis_rate, channels),
        f"features.mel_spectrogram({n_mels} bands, {compression}, causal={causal})",
        {"frequency": peaks, "space": np.full(n_mels, "mel")},
    )


def _make_bank(
    tools: Any, n_fft: int, n_mels: int, lowest: float, highest: float, rate: int, scale: str
) -> tuple[Array, Array]:
    """Make the mel filters (frequency, band) and the frequencies of their peaks."""
    with warnings.catch_warnings():
        # Empty bands are an error of ours, below.
        warnings.simplefilter("ignore")
        bank = tools.mel_filter_bank(
            n_fft // 2 + 1,
            n_mels,
            lowest,
            highest,
            rate,
            norm="slaney" if scale == "slaney" else None,
            mel_scale=scale,
        )
    empty = int((bank.sum(0) == 0).sum())
    if empty:
        raise ValueError(
            f"n_mels: expected bands as wide as {rate / n_fft:.3g} Hz, got {empty} of {n_mels} "
            "narrower than that. Use fewer bands or a longer window."
        )
    ends = tools.hertz_to_mel(np.array([lowest, highest], dtype=np.float64), mel_scale=scale)
    peaks = tools.mel_to_hertz(np.linspace(ends[0], ends[1], n_mels + 2), mel_scale=scale)
    return bank, peaks[1:-1]


def _analytic(wave: Array) -> Array:
    """Amplitude of the analytic signal."""
    # Padding: the transform of a length with large prime factors would be slow.
    return np.asarray(np.abs(hilbert(wave, next_fast_len(len(wave)))[: len(wave)]))


ENVELOPES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "hilbert": (_analytic, np.asarray),
    "rms": (np.square, np.sqrt),
}


def sound_envelope(
    audio: Sounds,
    *,
    rate: float | None = None,
    analysis_rate: int = 16000,
    hop: float = 0.01,
    method: str = "hilbert",
    exponent: float = 1.0,
    channels: str = "mean",
) -> xr.DataArray:
    """How loud a sound is: its broadband envelope, averaged over frames.

    Parameters
    ----------
    audio : mapping of str to path or array (time,) or (time, channel)
        Run -> sound.
    rate : float, optional
        [Hz] of arrays; files know theirs.
    analysis_rate : int
        [Hz] that sounds are resampled to first.
    hop : float
        Length of a frame [s], rounded to samples.
    method : {"hilbert", "rms"}
        Mean amplitude of the analytic signal in the frame, or root of its mean square. A tone of
        amplitude 1 gives 1, or 0.71.
    exponent : float
        Power that the envelope is raised to; 0.6 is near what the ear does.
    channels : {"mean", "first", "last"}

    Returns
    -------
    DataArray (sample, feature)
        float32, one feature, one sample a frame with ``run``, ``onset`` and ``duration`` [s].

    Raises
    ------
    LoadError, SchemaError, ValueError

    References
    ----------
    Biesmans et al. (2017), IEEE Trans. Neural Syst. Rehabil. Eng. 25 (envelopes and power law).

    Examples
    --------
    >>> tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    >>> loud = sound_envelope({"run-01": tone}, rate=8000, analysis_rate=8000, hop=0.1)
    >>> loud.values[:, 0].round(2).tolist()[3:6]
    [0.5, 0.5, 0.5]
    """
    first, last = choose(ENVELOPES, method, "method")
    check_positive(analysis_rate=analysis_rate, hop=hop, exponent=exponent)
    step = round(hop * analysis_rate)
    if step < 1:
        raise ValueError(f"hop: expected at least one sample, got {hop} s. Use 0.01.")
    parts, clocks = [], []
    for run, wave in _read(audio, rate, analysis_rate, channels):
        starts = np.arange(0, len(wave), step)
        counts = np.diff(np.append(starts, len(wave)))
        mean = np.add.reduceat(first(wave), starts, dtype=np.float64) / counts
        parts.append((last(mean) ** exponent).astype(np.float32)[:, None])
        clocks.append(_tick(run, len(starts), step / analysis_rate))
    return label_frames(
        np.concatenate(parts),
        clocks,
        _describe("envelope", analysis_rate, channels),
        f"features.sound_envelope({method}, exponent={exponent:g})",
        {"space": np.array(["envelope"])},
    )


def _read(
    audio: Sounds, rate: float | None, wanted: int, channels: str
) -> Iterator[tuple[str, Array]]:
    for run, source in check_sources(audio, "audio").items():
        yield run, read_wave(source, f"audio['{run}']", rate, wanted, channels)


def _tick(run: str, n_frames: int, step: float) -> Clock:
    return Clock(run, np.arange(n_frames) * step, np.full(n_frames, step))


def _describe(model: str, rate: int, channels: str) -> dict[str, str | int]:
    text = f"channels {channels}, {rate} Hz"
    return {"model": model, "layer": model, "layer_order": 0, "preprocessing": text}
