"""Networks that hear: the same answers as by hand, at the right times, in bounded windows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")
from torch import nn  # noqa: E402

from neuroalign import schema, storage  # noqa: E402
from neuroalign.align import resample  # noqa: E402
from neuroalign.errors import LoadError, SchemaError  # noqa: E402
from neuroalign.features import extract_audio  # noqa: E402
from neuroalign.features._hub import load_pretrained  # noqa: E402
from neuroalign.features.audio import batch_windows, find_framing, plan_windows  # noqa: E402
from neuroalign.loaders import from_arrays  # noqa: E402

RATE = 16000
SMALL: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "layerdrop": 0.0,
}


def make_wav2vec(kind: str = "Wav2Vec2") -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SMALL)
    return getattr(transformers, f"{kind}Model")(config)


def make_whisper(width: int = 24) -> tuple[Any, Any]:
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=width,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        max_source_positions=100,
    )
    processor = transformers.WhisperFeatureExtractor(chunk_length=2)
    return transformers.WhisperModel(config).get_encoder(), processor


def run(model: Any, wave: Any, layers: Any, **options: Any) -> dict[str, xr.DataArray]:
    return extract_audio(
        model, {"run-01": wave}, layers, **({"rate": RATE} | options), progress=False
    )


@pytest.fixture
def wave(rng: np.random.Generator) -> np.ndarray:
    return (0.1 * rng.normal(size=RATE)).astype(np.float32)


@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert", "WavLM"])
def test_one_pass_equals_the_model(kind: str, wave: np.ndarray) -> None:
    model = make_wav2vec(kind).eval()
    result = run(model, wave, ["encoder.layers.?", "feature_extractor"])
    assert list(result) == ["encoder.layers.0", "encoder.layers.1", "feature_extractor"]
    with torch.no_grad():
        states = model(torch.tensor(wave)[None], output_hidden_states=True).hidden_states
        early = model.feature_extractor(torch.tensor(wave)[None])
    first = result["encoder.layers.0"]
    assert first.shape == (49, 24)
    np.testing.assert_allclose(first.values, states[1][0].numpy(), atol=1e-5)
    np.testing.assert_allclose(result["feature_extractor"].values, early[0].T.numpy(), atol=1e-5)
    schema.check(first)


def test_frames_lie_where_their_sound_is(wave: np.ndarray) -> None:
    model = make_wav2vec()
    cut = find_framing(model, None, None)
    assert (cut.stride, cut.receptive) == (320, 400)
    quiet = run(model, wave, "feature_extractor")["feature_extractor"]
    changed = wave.copy()
    changed[8000:8010] += 1.0
    loud = run(model, changed, "feature_extractor")["feature_extractor"]
    touched = np.flatnonzero(np.abs(loud.values - quiet.values).max(1) > 1e-6)
    begin = quiet["onset"].values[touched] - 0.0025 - 1e-4
    assert (begin <= 8010 / RATE).all()
    assert (begin + 400 / RATE + 2e-4 >= 8000 / RATE).all()
    assert len(touched) in (1, 2)
    np.testing.assert_allclose(quiet["duration"].values, 0.02)
    np.testing.assert_allclose(np.diff(quiet["onset"].values), 0.02)


def test_chunks_leave_no_trace_where_layers_see_no_further(wave: np.ndarray) -> None:
    model = make_wav2vec()
    whole = run(model, wave, "feature_extractor")["feature_extractor"]
    for size in (1, 3):
        parts = run(model, wave, "feature_extractor", chunk=0.2, context=0.06, batch_size=size)[
            "feature_extractor"
        ]
        np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)


def test_each_chunk_equals_its_window_by_hand(wave: np.ndarray) -> None:
    model = make_wav2vec().eval()
    parts = run(model, wave, "encoder.layers.0", chunk=0.4, context=0.1)["encoder.layers.0"]
    with torch.no_grad():
        for start, stop, first, last in plan_windows(49, 20, 5, 5):
            piece = torch.tensor(wave[start * 320 : (stop - 1) * 320 + 400])[None]
            states = model(piece, output_hidden_states=True).hidden_states
            np.testing.assert_allclose(
                parts.values[first:last], states[1][0, first - start : last - start], atol=1e-5
            )


@pytest.mark.parametrize("size", [1, 8])
def test_causal_frames_know_nothing_of_later_sound(wave: np.ndarray, size: int) -> None:
    model, half = make_wav2vec(), wave[:12000]
    options: dict[str, Any] = {"causal": True, "context": 0.6, "batch_size": size}
    layer = "encoder.layers.1"
    early = run(model, half, layer, **options)[layer]
    late = run(model, np.concatenate([half, -wave[:2000]]), layer, **options)[layer]
    np.testing.assert_allclose(late.values[: len(early)], early.values, atol=1e-5)
    frame = 36
    with torch.no_grad():
        heard = run(model, half[(frame - 30) * 320 : frame * 320 + 400], layer)[layer]
    np.testing.assert_allclose(early.values[frame], heard.values[-1], atol=1e-5)


@pytest.mark.parametrize(("layer", "frames"), [("encoder.layers.0", 24), ("feature_extractor", 8)])
def test_as_many_features_as_frames_are_told_apart(
    layer: str, frames: int, wave: np.ndarray
) -> None:
    model, heard = make_wav2vec().eval(), wave[: (frames - 1) * 320 + 400]
    found = run(model, heard, layer)[layer]
    with torch.no_grad():
        sound = torch.tensor(heard)[None]
        states = model(sound, output_hidden_states=True).hidden_states[1][0]
        early = model.feature_extractor(sound)[0].T
    expected = {"encoder.layers.0": states, "feature_extractor": early}[layer]
    assert found.shape == (frames, frames)
    np.testing.assert_allclose(found.values, expected.numpy(), atol=1e-5)


def test_frames_that_no_length_tells_from_features_are_refused(wave: np.ndarray) -> None:
    model, processor = make_whisper(width=100)
    short: dict[str, Any] = {"chunk": 1.0, "context": 0.5, "processor": processor}
    with pytest.raises(ValueError, match=r"frames of layer 'layers.0' along one dim, got shape"):
        run(model, wave, "layers.0", **short)


def test_windows_cover_every_frame_once() -> None:
    windows = plan_windows(50, 20, 5, 5)
    assert windows == [(0, 25, 0, 20), (15, 45, 20, 40), (35, 50, 40, 50)]
    assert plan_windows(3, 1, 1, 0) == [(0, 1, 0, 1), (0, 2, 1, 2), (1, 3, 2, 3)]
    lengths = [[w[1] - w[0] for w in b] for b in batch_windows(plan_windows(9, 1, 2, 0), 3)]
    assert lengths == [[1], [2], [3, 3, 3], [3, 3, 3], [3]]


def test_whisper_hears_windows_of_its_own_length(wave: np.ndarray) -> None:
    model, processor = make_whisper()
    short: dict[str, Any] = {"chunk": 1.0, "context": 0.5, "processor": processor}
    result = run(model, wave, "layers.0", **short)["layers.0"]
    assert result.shape == (50, 24)
    np.testing.assert_allclose(result["onset"].values, np.arange(50) * 0.02 - 0.01)
    inputs = processor(wave, sampling_rate=RATE, return_tensors="pt")["input_features"]
    with torch.no_grad():
        expected = model.eval().layer_norm(torch.tensor(result.values))
        truth = model(inputs).last_hidden_state[0, :50]
    np.testing.assert_allclose(expected.numpy(), truth.numpy(), atol=1e-4)
    with pytest.raises(ValueError, match="of at most 2 s together, got 2.4 s"):
        run(model, np.tile(wave, 3), "layers.0", processor=processor, chunk=2.0, context=0.2)


def test_a_processor_prepares_each_window(wave: np.ndarray) -> None:
    processor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    model = make_wav2vec()
    layer = "encoder.layers.0"
    loud = wave * 5 + 0.3
    own = run(model, loud, layer, processor=processor)[layer]
    heard = loud[: 48 * 320 + 400]  # whole frames
    same = run(model, (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7), layer)[layer]
    np.testing.assert_allclose(own.values, same.values, atol=1e-3)
    assert "Wav2Vec2FeatureExtractor" in own.attrs["preprocessing"]


def test_sounds_of_several_runs_reach_the_volumes(wave: np.ndarray, tmp_path: Path) -> None:
    sounds = {"run-01": wave, "run-02": wave[:8000]}
    result = extract_audio(make_wav2vec(), sounds, "encoder.layers.0", rate=RATE, progress=False)
    features = result["encoder.layers.0"]
    assert features["run"].values.tolist() == ["run-01"] * 49 + ["run-02"] * 24
    volumes = from_arrays(
        np.zeros((2, 1)),
        modality="fmri",
        run=["run-01", "run-02"],
        onset=[0.0, 0.0],
        duration=[0.5, 0.5],
    )
    assert resample(features, volumes, method="last").shape == (2, 24)
    storage.save(features, tmp_path / "audio.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "audio.nc"), features)


def test_models_load_from_a_folder(tmp_path: Path, wave: np.ndarray) -> None:
    make_wav2vec().save_pretrained(tmp_path / "model")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path / "model")
    named = run(tmp_path / "model", wave, "encoder.layers.0")["encoder.layers.0"]
    given = run(make_wav2vec(), wave, "encoder.layers.0")["encoder.layers.0"]
    np.testing.assert_allclose(named.values, given.values, atol=1e-6)


def test_models_out_of_reach_are_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("We couldn't connect to the hub.\nCheck your connection.")

    with pytest.raises(LoadError, match="expected a name on the Hugging Face hub, or a folder"):
        load_pretrained(tmp_path, "audio")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    make_wav2vec().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(LoadError, match="model.safetensors and the files of its audio processor"):
        load_pretrained(tmp_path, "audio")
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(LoadError, match=r"got SafetensorError .*Check the spelling"):
        load_pretrained(tmp_path, "audio")
    monkeypatch.setattr(transformers.AutoFeatureExtractor, "from_pretrained", unreachable)
    with pytest.raises(LoadError, match=r"model 'lab/ear'.*couldn't connect.*hf download lab/ear"):
        load_pretrained("lab/ear", "audio")
    with pytest.raises(ValueError, match="kind: expected one of 'text', 'causal', 'audio'"):
        load_pretrained("lab/ear", "smell")


def test_faults_are_named(wave: np.ndarray) -> None:
    model = make_wav2vec()
    with pytest.raises(ValueError, match="framing: expected a network whose configuration"):
        run(nn.Sequential(nn.Linear(2, 2)), wave, "all")
    with pytest.raises(SchemaError, match=r"audio\['run-01'\]: expected at least 400 samples"):
        run(model, wave[:300], "encoder.layers.0")
    with pytest.raises(ValueError, match="expected layer 'feature_extractor.conv_layers.0' to giv"):
        run(model, wave, "feature_extractor.conv_layers.0")
    with pytest.raises(ValueError, match="context: expected seconds of sound, got 0"):
        run(model, wave, "encoder.layers.0", causal=True, context=0)
    with pytest.raises(ValueError, match="model: expected a torch.nn.Module or a name, got int"):
        run(3, wave, "encoder.layers.0")
    with pytest.raises(MemoryError, match="memory_budget: expected at most 10 bytes"):
        run(model, wave, "encoder.layers.0", memory_budget=10)
