"""Film: frames at their times, clips, and the same features as from frames by hand."""

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
av: Any = pytest.importorskip("av")
from torch import nn  # noqa: E402

from neuroalign import schema, storage  # noqa: E402
from neuroalign.align import resample  # noqa: E402
from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignWarning  # noqa: E402
from neuroalign.features import (  # noqa: E402
    _film,
    extract_video,
    load_frames,
    motion_energy,
)
from neuroalign.features._film import hold, list_times, open_film  # noqa: E402
from neuroalign.loaders import from_arrays  # noqa: E402

# Grey levels far enough apart to survive the codec.
LEVELS = np.arange(20) * 10 + 20
MakeFilm = Callable[..., Path]


@pytest.fixture
def make_film(tmp_path: Path) -> MakeFilm:
    def write(name: str = "film.mp4", n: int = 20, rate: int = 10, skip: int = -1) -> Path:
        path = tmp_path / name
        codec = {"avi": "mjpeg"}.get(name.split(".")[-1], "mpeg4")
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height = 32, 24
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for index in range(n):
                if index == skip:
                    continue
                pixels = np.full((24, 32, 3), LEVELS[index % 20], dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


class FrameNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.layer(x)


@pytest.mark.parametrize("name", ["film.mp4", "film.avi"])
def test_frames_come_at_their_times(make_film: MakeFilm, name: str) -> None:
    frames = list(load_frames(make_film(name)))
    np.testing.assert_allclose([time for time, _ in frames], np.arange(20) / 10, atol=1e-3)
    assert frames[0][1].shape == (24, 32, 3)
    assert frames[0][1].dtype == np.uint8
    np.testing.assert_allclose([image.mean() for _, image in frames], LEVELS, atol=4)


def test_a_rate_takes_the_frame_on_screen(make_film: MakeFilm) -> None:
    frames = list(load_frames(make_film(), rate=4.0, size=(12, 16)))
    times = np.array([time for time, _ in frames])
    np.testing.assert_allclose(times, np.arange(8) / 4)
    shown = LEVELS[np.floor(times * 10 + 1e-6).astype(int)]
    np.testing.assert_allclose([image.mean() for _, image in frames], shown, atol=4)
    assert frames[0][1].shape == (12, 16, 3)
    assert len(list(load_frames(make_film(), rate=25.0))) == 50


def test_rounded_times_do_not_repeat_a_frame() -> None:
    rounded = [(0.0, 0), (0.033, 1), (0.067, 2), (0.1, 3), (0.133, 4)]
    assert [frame for _, frame in hold(rounded, 30.0)] == [0, 1, 2, 3, 4]
    assert [frame for _, frame in hold([(0.0, 7)], 5.0)] == [7]


def test_a_dropped_frame_stays_on_screen(make_film: MakeFilm) -> None:
    film = {"run-01": make_film("gap.mp4", skip=5)}
    native = extract_video(FrameNet(), film, "layer", pool="mean", progress=False)["layer"]
    assert native.sizes["sample"] == 19
    np.testing.assert_allclose(native["duration"].values[[3, 4, 5]], [0.1, 0.2, 0.1], atol=1e-3)
    held = extract_video(FrameNet(), film, "layer", rate=10.0, pool="mean", progress=False)
    values = held["layer"].values[:, 0] * 255
    np.testing.assert_allclose(values[[4, 5, 6]], LEVELS[[4, 4, 6]], atol=4)


@pytest.mark.parametrize("name", ["film.mp4", "film.avi", "film.mkv"])
def test_packets_tell_the_times_that_decoding_tells(make_film: MakeFilm, name: str) -> None:
    # avi has no gaps: what was left out stands in it as an empty frame.
    path = make_film(name, skip=-1 if name.endswith("avi") else 5)
    decoded = [time for time, _ in load_frames(path)]
    np.testing.assert_allclose(list_times(path), decoded, atol=1e-9)


def test_a_film_is_decoded_once(make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    original = _film._decode

    def count(path: Path) -> Any:
        reads.append(path)
        return original(path)

    monkeypatch.setattr(_film, "_decode", count)
    film = {"run-01": make_film()}
    extract_video(FrameNet(), film, "layer", pool="mean", progress=False)
    assert len(reads) == 1


def test_packets_that_are_no_frames_are_an_error(
    make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film()
    right = list_times(path)
    for wrong in ([*right, 2.0], right[:-1], [time * 2 for time in right]):
        monkeypatch.setattr(_film, "list_times", lambda _, wrong=wrong: wrong)
        film = open_film(path, "videos['a']", None)
        with pytest.raises(DataCorruptionError, match=r"film.mp4: expected \d+ frames at the time"):
            list(film.read())


def test_frames_of_several_films_carry_run_and_time(make_film: MakeFilm) -> None:
    films = {"run-02": make_film("b.mp4", 6), "run-01": make_film("a.mp4", 4)}
    result = extract_video(FrameNet(), films, ["layer"], pool="mean", batch_size=3, progress=False)[
        "layer"
    ]
    schema.check(result)
    assert result["run"].values.tolist() == ["run-02"] * 6 + ["run-01"] * 4
    np.testing.assert_allclose(result["onset"].values[6:], np.arange(4) / 10, atol=1e-3)
    np.testing.assert_allclose(result["duration"].values, 0.1, atol=1e-3)
    levels = np.concatenate([LEVELS[:6], LEVELS[:4]])
    np.testing.assert_allclose(result.values[:, 0] * 255, levels, atol=4)
    assert "extract_video(rate=None, clip=None, step=1)" in result.attrs["history"]


def test_clips_are_windows_with_time_in_their_middle(rng: np.random.Generator) -> None:
    film = rng.random((11, 4, 5, 3)).astype(np.float32)
    clips = extract_video(
        FrameNet(), {"a": film}, "layer", rate=10.0, clip=4, step=2, progress=False
    )["layer"]
    assert clips.sizes["sample"] == 4
    for index in range(4):
        expected = np.moveaxis(film[2 * index : 2 * index + 4], 3, 0).ravel()
        np.testing.assert_array_equal(clips.values[index], expected)
    np.testing.assert_allclose(clips["onset"].values, [0.1, 0.3, 0.5, 0.7])
    np.testing.assert_allclose(clips["duration"].values, 0.2)
    apart = extract_video(
        FrameNet(), {"a": film}, "layer", rate=10.0, clip=2, step=5, progress=False
    )["layer"]
    np.testing.assert_allclose(apart["onset"].values, [0, 0.5])
    np.testing.assert_allclose(apart["duration"].values, 0.2)


def test_a_clip_network_gives_one_vector_a_clip(make_film: MakeFilm) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(3, 6, 3), nn.ReLU())
    film = {"run-01": make_film()}
    result = extract_video(model, film, "0", clip=5, pool="mean", batch_size=2, progress=False)
    assert result["0"].shape == (4, 6)
    np.testing.assert_allclose(result["0"]["onset"].values, [0, 0.5, 1, 1.5], atol=2e-3)
    frames = np.stack([image for _, image in load_frames(film["run-01"])])[5:10]
    batch = torch.tensor(np.moveaxis(frames, 3, 0)[None].astype(np.float32) / 255)
    expected = model[0](batch).mean((2, 3, 4)).detach().numpy()
    np.testing.assert_allclose(result["0"].values[1:2], expected, atol=1e-5)


def test_a_store_holds_the_same_features(make_film: MakeFilm, tmp_path: Path) -> None:
    film = {"run-01": make_film(n=7)}
    options: dict[str, Any] = {"pool": "mean", "progress": False, "batch_size": 3}
    straight = extract_video(FrameNet(), film, "layer", **options)["layer"]
    for _ in range(2):
        stored = extract_video(FrameNet(), film, "layer", store=tmp_path / "s", **options)["layer"]
        np.testing.assert_array_equal(stored.values, straight.values)
        np.testing.assert_array_equal(stored["onset"].values, straight["onset"].values)
    storage.save(straight, tmp_path / "film.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "film.nc"), straight)


def test_film_reaches_the_volumes(make_film: MakeFilm) -> None:
    film = {"run-01": make_film()}
    features = extract_video(FrameNet(), film, "layer", pool="mean", progress=False)["layer"]
    volumes = from_arrays(
        np.zeros((2, 1)), modality="fmri", run=["run-01"] * 2, onset=[0.0, 1.0], duration=[1.0] * 2
    )
    matched = resample(features, volumes).values[:, 0] * 255
    np.testing.assert_allclose(matched, [LEVELS[:10].mean(), LEVELS[10:].mean()], atol=4)


def test_motion_energy_reads_files(make_film: MakeFilm) -> None:
    film = {"run-01": make_film()}
    options: dict[str, Any] = {"spatial_frequencies": [2.0], "temporal_frequencies": [0, 2]}
    energy = motion_energy(film, **options, size=(12, 16))
    assert energy.sizes["sample"] == 20
    with pytest.raises(ValueError, match="expected evenly spaced frames, got steps of"):
        motion_energy({"run-01": make_film("gap.mp4", skip=5)}, **options)


def test_faults_of_files_are_named(make_film: MakeFilm, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"none.mp4: expected a video file, got no such file"):
        list(load_frames(tmp_path / "none.mp4"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(make_film().read_bytes()[:300])
    with pytest.raises(DataCorruptionError, match=r"broken.mp4: expected a video, got data that"):
        list(load_frames(broken))
    with pytest.raises(LoadError, match=r"one.mp4: expected several frames, got 1"):
        extract_video(FrameNet(), {"a": make_film("one.mp4", 1)}, "layer", progress=False)
    with pytest.raises(ValueError, match="rate: expected a positive number, got 0"):
        load_frames(broken, rate=0)
    with pytest.raises(ValueError, match="clip: expected at most the 20 frames of 'a', got 30"):
        extract_video(FrameNet(), {"a": make_film()}, "layer", clip=30, progress=False)
    with pytest.raises(ValueError, match="step: expected a number of frames from 1 on, got 0"):
        extract_video(FrameNet(), {"a": make_film()}, "layer", step=0, progress=False)


def test_a_file_that_ends_early_is_told(make_film: MakeFilm) -> None:
    path = make_film("film.avi")
    frames = path.read_bytes().split(b"00dc")
    path.write_bytes(b"00dc".join(frames[:11]))
    with pytest.warns(NeuroalignWarning, match=r"film.avi: expected 20 frames as its header says"):
        assert len(list(load_frames(path))) == 9
    path.write_bytes(b"00dc".join(frames[:11])[:-40])
    with pytest.raises(DataCorruptionError, match=r"cannot be decoded after 0.70 s"):
        list(load_frames(path))


def test_a_video_transformer_sees_clips(make_film: MakeFilm) -> None:
    transformers: Any = pytest.importorskip("transformers")
    sizes = {"image_size": 16, "patch_size": 8, "num_frames": 4, "hidden_size": 12}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = transformers.VideoMAEModel(transformers.VideoMAEConfig(**sizes))
    result = extract_video(
        model,
        {"run-01": make_film()},
        "encoder.layer.0",
        clip=4,
        size=(16, 16),
        pool="tokens",
        # (channel, time, row, column) to what VideoMAE takes.
        preprocess=lambda clip: clip.transpose(0, 1),
        progress=False,
    )
    assert result["encoder.layer.0"].shape == (5, 8, 12)


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    soundfile: Any = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "sound.wav", np.zeros(800), 8000)
    with pytest.raises(LoadError, match=r"sound.wav: expected a video stream, got none"):
        list(load_frames(tmp_path / "sound.wav"))


def test_the_extra_that_reads_film_is_named(
    make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'neuroalign\[video\]'"):
        next(load_frames(path))


def test_floats_up_to_255_are_told() -> None:
    film = np.full((5, 4, 4, 3), 200.0, dtype=np.float32)
    with pytest.warns(NeuroalignWarning, match="expected floats from 0 to 1, got up to 200"):
        open_film(film, "videos['a']", 25.0)
    assert len(open_film(film / 255, "videos['a']", 25.0).onset) == 5


@pytest.mark.parametrize("size", [64, (64,), (64.0, 64.0), (0, 4)])
def test_a_size_is_rows_and_columns(size: Any, make_film: MakeFilm) -> None:
    with pytest.raises(ValueError, match=r"size: expected \(rows, columns\) in pixels, got"):
        extract_video(FrameNet(), {"a": make_film()}, "layer", size=size, progress=False)
    with pytest.raises(ValueError, match="size: expected"):
        load_frames(make_film(), size=size)
