"""Mel spectrograms and envelopes: right numbers at the right times."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import get_window

soundfile: Any = pytest.importorskip("soundfile")
tools: Any = pytest.importorskip("transformers.audio_utils")

from neuroalign import schema, storage  # noqa: E402
from neuroalign.errors import LoadError, NeuroalignWarning, SchemaError  # noqa: E402
from neuroalign.features import mel_spectrogram, sound_envelope  # noqa: E402
from neuroalign.features import sound as room  # noqa: E402

RATE = 16000


def tone(frequency: float, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("causal", [False, True])
def test_bands_equal_a_transform_by_hand(causal: bool, rng: np.random.Generator) -> None:
    wave = rng.normal(size=1000).astype(np.float32)
    mel = mel_spectrogram({"a": wave}, rate=RATE, n_mels=12, compression="none", causal=causal)
    assert mel.sizes["sample"] == 7
    before = 240 if causal else 120
    padded = np.concatenate([np.zeros(before), wave, np.zeros(1000)])
    bank = tools.mel_filter_bank(257, 12, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    for frame in range(7):
        piece = padded[frame * 160 : frame * 160 + 400] * get_window("hann", 400)
        power = np.abs(np.fft.rfft(piece, 512)) ** 2
        np.testing.assert_allclose(mel.values[frame], power @ bank, rtol=1e-4)


@pytest.mark.parametrize("scale", ["slaney", "htk", "kaldi"])
def test_a_tone_lights_its_band(scale: str) -> None:
    for frequency in (300.0, 1000.0, 4000.0):
        mel = mel_spectrogram({"a": tone(frequency)}, rate=RATE, n_mels=40, scale=scale)
        best = int(mel.values[20].argmax())
        nearest = int(np.abs(mel["frequency"].values - frequency).argmin())
        assert abs(best - nearest) <= 1


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    wave = {"a": rng.normal(size=5000)}
    whole = mel_spectrogram(wave, rate=RATE, n_mels=20)
    monkeypatch.setattr(room, "BLOCK", 7)
    np.testing.assert_array_equal(mel_spectrogram(wave, rate=RATE, n_mels=20), whole)


def test_a_click_is_heard_in_its_frame() -> None:
    click = np.zeros(RATE // 2)
    click[3250] = 1.0  # in frame 20
    centred = mel_spectrogram({"a": click}, rate=RATE, n_mels=20, compression="none").values.sum(1)
    causal = mel_spectrogram(
        {"a": click}, rate=RATE, n_mels=20, compression="none", causal=True
    ).values.sum(1)
    floor = 20 * 1e-9
    assert centred.argmax() == 20
    assert set(np.flatnonzero(centred > floor)) <= {19, 20, 21}
    assert np.flatnonzero(causal > floor).min() == 20
    assert sound_envelope({"a": click}, rate=RATE, method="rms").values[:, 0].nonzero()[0] == [20]


def test_files_equal_arrays_whatever_their_rate(tmp_path: Path) -> None:
    stereo = np.stack([tone(500, rate=44100), 0.2 * tone(500, rate=44100)], axis=1)
    soundfile.write(tmp_path / "a.flac", stereo, 44100, subtype="PCM_24")
    file = sound_envelope({"a": tmp_path / "a.flac"})
    array = sound_envelope({"a": stereo}, rate=44100)
    np.testing.assert_allclose(file.values, array.values, atol=1e-5)
    assert file.sizes["sample"] == 50
    levels = {
        channels: float(sound_envelope({"a": stereo}, rate=44100, channels=channels).values[25, 0])
        for channels in ("mean", "first", "last")
    }
    assert levels == pytest.approx({"mean": 0.6, "first": 1.0, "last": 0.2}, rel=0.01)
    whole = sound_envelope({"a": (stereo * 32767).astype(np.int16)}, rate=44100)
    np.testing.assert_allclose(whole.values, array.values, atol=1e-3)


def test_the_envelope_follows_the_loudness() -> None:
    time = np.arange(2 * RATE) / RATE
    loudness = 1 + 0.8 * np.sin(2 * np.pi * 3 * time)
    wave = {"a": loudness * np.sin(2 * np.pi * 900 * time)}
    found = sound_envelope(wave, rate=RATE)
    truth = loudness.reshape(200, 160).mean(1)
    np.testing.assert_allclose(found.values[5:-5, 0], truth[5:-5], atol=0.01)
    squared = sound_envelope(wave, rate=RATE, method="rms", exponent=2.0).values[:, 0]
    brute = (wave["a"].reshape(200, 160) ** 2).mean(1)
    np.testing.assert_allclose(squared, brute, rtol=1e-4)


def test_runs_have_their_own_clock_and_survive_storage(tmp_path: Path) -> None:
    sounds = {"run-02": tone(400, 0.2), "run-01": tone(800, 0.105)}
    for feature in (mel_spectrogram(sounds, rate=RATE), sound_envelope(sounds, rate=RATE)):
        schema.check(feature)
        assert feature["run"].values.tolist() == ["run-02"] * 20 + ["run-01"] * 11
        np.testing.assert_allclose(feature["onset"].values[20:], np.arange(11) * 0.01)
        storage.save(feature, tmp_path / "sound.nc", overwrite=True)
        xr.testing.assert_identical(storage.load(tmp_path / "sound.nc"), feature)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"n_mels": 400}, "n_mels: expected bands as wide as 31.2 Hz, got"),
    ({"highest": 9000.0}, "highest: expected 0 <= lowest < highest <= 8000 Hz"),
    ({"window": 0.001}, "window: expected at least the hop of 0.01 s, got 0.001"),
    ({"scale": "mel"}, "scale: expected one of 'slaney', 'htk', 'kaldi'"),
    ({"compression": "db"}, "compression: expected one of 'log10', 'log', 'dB', 'none'"),
    ({"channels": "left"}, "channels: expected one of 'mean', 'first', 'last'"),
    ({"rate": None}, r"rate: expected the samples per second of audio\['a'\], got None"),
]


@pytest.mark.parametrize(("options", "message"), FAULTS)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mel_spectrogram({"a": tone(500)}, **({"rate": RATE} | options))


def test_envelopes_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match="method: expected one of 'hilbert', 'rms'"):
        sound_envelope({"a": tone(500)}, rate=RATE, method="peak")
    with pytest.raises(ValueError, match="hop: expected at least one sample, got 1e-06 s"):
        sound_envelope({"a": tone(500)}, rate=RATE, hop=1e-6)


def test_faults_of_sounds_are_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"none.wav: expected a sound file, got no such file"):
        sound_envelope({"a": tmp_path / "none.wav"})
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(LoadError, match=r"text.wav: expected a sound file .*cannot be read"):
        sound_envelope({"a": tmp_path / "text.wav"})
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    with pytest.raises(LoadError, match=r"audio\['a'\]: expected sound, got no samples"):
        sound_envelope({"a": tmp_path / "empty.wav"})
    with pytest.raises(SchemaError, match=r"expected \(time, channel\), got shape \(2, 100\)"):
        sound_envelope({"a": np.zeros((2, 100))}, rate=RATE)
    with pytest.raises(SchemaError, match=r"audio\['a'\]: expected a path, or floats or integers"):
        sound_envelope({"a": np.zeros((2, 2, 2))}, rate=RATE)
    with pytest.raises(SchemaError, match="expected finite samples, got NaN"):
        sound_envelope({"a": np.full(1000, np.nan)}, rate=RATE)
    with pytest.raises(SchemaError, match="audio: expected a mapping of run to file or array"):
        sound_envelope(np.zeros(1000), rate=RATE)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["soundfile", "transformers.audio_utils"])
def test_the_extra_that_hears_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(500), RATE)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install 'neuroalign\[audio\]'"):
        mel_spectrogram({"a": tmp_path / "a.wav"})


def test_rates_in_khz_are_refused() -> None:
    with pytest.raises(ValueError, match="rate: .* got 16. Pass Hz: 16000, if this is kHz"):
        mel_spectrogram({"a": tone(440.0)}, rate=16)


def test_floats_on_the_scale_of_integers_are_told() -> None:
    with pytest.warns(NeuroalignWarning, match="expected floats from -1 to 1, .*Divide by 32768"):
        sound_envelope({"a": 3000 * tone(440.0)}, rate=RATE)
    whole = np.round(3000 * tone(440.0)).astype(np.int16)
    assert sound_envelope({"a": whole}, rate=RATE).values.max() < 0.1
