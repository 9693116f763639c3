"""Features from torch networks: values, labels, stores and messages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
from sklearn.decomposition import PCA  # noqa: E402
from torch import nn  # noqa: E402

from neuroalign import schema, storage  # noqa: E402
from neuroalign.errors import (  # noqa: E402
    DataCorruptionError,
    LoadError,
    NeuroalignWarning,
    SchemaError,
)
from neuroalign.features import SparseProjection, extract, open_store  # noqa: E402
from neuroalign.features._store import escape_layer  # noqa: E402

LAYERS = ["body.conv", "head"]


class Net(nn.Module):
    """Convolution, batch norm and a linear head; fails at one call when told."""

    def __init__(self, seed: int = 0, fails_at: int | None = None) -> None:
        super().__init__()
        self.fails_at, self.n_calls = fails_at, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            body = {"conv": nn.Conv2d(3, 4, 3, padding=1), "norm": nn.BatchNorm2d(4)}
            self.body = nn.Sequential()
            for name, module in {**body, "relu": nn.ReLU(inplace=True)}.items():
                self.body.add_module(name, module)
            self.head, self.spare = nn.Linear(4 * 6 * 5, 7), nn.Linear(2, 2)
            nn.init.normal_(self.body.norm.running_mean)

    def forward(self, x: Any) -> Any:
        self.n_calls += 1
        if self.n_calls == self.fails_at:
            raise KeyboardInterrupt("killed")
        return self.head(self.body(x).flatten(1))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.layer(x + torch.randn_like(x))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.layer(x.flatten(2))


@pytest.fixture
def images(rng: np.random.Generator) -> dict[str, np.ndarray]:
    values = rng.random((11, 3, 6, 5)).astype("float32")
    return {f"im{index:02d}": value for index, value in enumerate(values)}


def run(images: Any, layers: Any = LAYERS, *, model: Any = None, **options: Any) -> Any:
    return extract(model or Net(), images, layers, progress=False, **options)


def kill(images: Any, folder: Path, *, at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(images, model=Net(fails_at=at), store=folder, batch_size=3)


# --- values and labels


def test_values_equal_the_network_run_by_hand(images: dict[str, np.ndarray]) -> None:
    model, batch = Net().eval(), torch.from_numpy(np.stack(list(images.values())))
    found = run(images, model=model)
    with torch.no_grad():
        convolved, last = model.body.conv(batch), model(batch)
    np.testing.assert_allclose(found["body.conv"], convolved.flatten(1), atol=1e-6)
    np.testing.assert_allclose(found["head"], last, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_the_batch_size_changes_nothing(batch_size: int, images: dict[str, np.ndarray]) -> None:
    expected, found = run(images, ["body.*"]), run(images, ["body.*"], batch_size=batch_size)
    for layer in expected:
        np.testing.assert_allclose(found[layer], expected[layer], atol=1e-5)


def test_labels_follow_the_schema(images: dict[str, np.ndarray]) -> None:
    found = run(images, ["head", "body.conv"])
    assert list(found) == ["head", "body.conv"]
    assert found["head"].attrs["layer_order"] > found["body.conv"].attrs["layer_order"]
    expected = {"model": "Net", "layer": "head", "modality": "model", "preprocessing": "none"}
    assert expected.items() <= found["head"].attrs.items()
    assert list(found["head"].stimulus.values) == list(images)
    assert found["head"].dtype == np.float32
    for array in found.values():
        schema.check(array)


def test_the_model_comes_back_as_it_was(images: dict[str, np.ndarray]) -> None:
    model = Net().train()
    model.body.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(images, model=model)
    assert model.training
    assert not model.body.norm.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_model_comes_back_after_an_error(images: dict[str, np.ndarray]) -> None:
    model = Net(fails_at=2).train()
    with pytest.raises(KeyboardInterrupt):
        run(images, model=model, batch_size=3)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_mean_pooling_averages_places(images: dict[str, np.ndarray]) -> None:
    maps = run(images)["body.conv"].values.reshape(11, 4, 30)
    found = run(images, pool="mean")
    np.testing.assert_allclose(found["body.conv"], maps.mean(2), atol=1e-6)
    np.testing.assert_array_equal(found["head"], run(images)["head"])


def test_tokens_carry_their_row_and_column(images: dict[str, np.ndarray]) -> None:
    maps = run(images)["body.conv"].values.reshape(11, 4, 6, 5)
    found = run(images, ["body.conv"], pool="tokens")["body.conv"]
    assert found.dims == ("sample", "token", "feature")
    for token in (0, 7, 29):
        place = found.isel(token=token)
        np.testing.assert_array_equal(place, maps[:, :, int(place.row), int(place.column)])
    schema.check(found)


def test_sequences_are_tokens_without_places(images: dict[str, np.ndarray]) -> None:
    found = run(images, ["layer"], model=Tokens(), pool="tokens")["layer"]
    assert found.shape == (11, 3, 30)
    assert "row" not in found.coords
    mean = run(images, ["layer"], model=Tokens(), pool="mean")["layer"]
    np.testing.assert_allclose(mean, found.mean("token"), atol=1e-6)


@pytest.mark.parametrize("pool", [None, "tokens"])
def test_reduce_projects_the_last_dim(pool: str | None, images: dict[str, np.ndarray]) -> None:
    width = 120 if pool is None else 4
    projection = SparseProjection(3, seed=1).fit(np.zeros((1, width), "float32"))
    full = run(images, ["body.conv"], pool=pool)["body.conv"].values
    found = run(images, ["body.conv"], pool=pool, reduce=SparseProjection(3, seed=1))
    expected = projection.transform(full.reshape(-1, width)).reshape(*full.shape[:-1], 3)
    np.testing.assert_allclose(found["body.conv"], expected, atol=1e-6)


def test_random_networks_repeat_and_leave_the_generator_alone(images: Any) -> None:
    state = torch.get_rng_state()
    one, two, other = (
        run(images, ["layer"], model=Noisy(), seed=seed, batch_size=4)["layer"]
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    assert (one.values != other.values).any()
    assert torch.equal(state, torch.get_rng_state())


def test_results_survive_storage(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    found = run(images, ["body.conv"], pool="tokens")["body.conv"]
    again = storage.load(storage.save(found, tmp_path / "features.zarr"))
    xr.testing.assert_identical(again.compute(), found)


def test_without_torch_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import neuroalign as na; na.features.gabor_features; na.features.open_store\n"
        "try: na.features.extract\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Run: pip install 'neuroalign[torch]'" in done.stdout


# --- stimuli


def test_files_and_arrays_of_bytes_give_the_same(tmp_path: Path, rng: Any) -> None:
    from PIL import Image

    pixels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    floats = np.moveaxis(pixels, 2, 0).astype("float32") / 255
    stimuli = {"path": tmp_path / "a.png", "text": str(tmp_path / "a.png"), "bytes": pixels}
    found = run({**stimuli, "floats": floats})["head"].values
    np.testing.assert_array_equal(found, np.broadcast_to(found[3], found.shape))


def test_arrays_with_stimulus_give_the_same_as_a_mapping(images: dict[str, np.ndarray]) -> None:
    array = xr.DataArray(
        np.stack(list(images.values())),
        dims=("sample", "channel", "y", "x"),
        coords={"stimulus": ("sample", list(images))},
    )
    xr.testing.assert_identical(run(array)["head"], run(images)["head"])


def test_preprocess_is_applied_to_each_and_named(images: dict[str, np.ndarray]) -> None:
    untouched = {name: image.copy() for name, image in images.items()}
    found = run(images, preprocess=lambda image: image.mul_(2.0))["head"]
    doubled = {name: 2 * image for name, image in untouched.items()}
    np.testing.assert_array_equal(found, run(doubled)["head"])
    assert "lambda" in found.attrs["preprocessing"]
    np.testing.assert_array_equal(images["im00"], untouched["im00"])


@pytest.mark.parametrize(
    ("stimuli", "message"),
    [
        ({}, "stimuli: expected at least one stimulus"),
        ([np.zeros((3, 6, 5))], "stimuli: expected a mapping of id to path or array"),
        ({1: np.zeros((3, 6, 5))}, "stimuli: expected strings, got 1"),
        ({"a": np.zeros((6, 5, 3))}, r"stimuli\['a'\]: expected floats as \(channel, row, col"),
        ({"a": np.zeros((3, 6, 5), "uint8")}, r"stimuli\['a'\]: expected uint8 images as \(row"),
        ({"a": np.zeros((3, 6, 5), int)}, r"stimuli\['a'\]: expected a path, floats"),
        ({"a": np.full((3, 6, 5), np.nan)}, r"stimuli\['a'\]: expected finite values"),
    ],
)
def test_odd_stimuli_are_refused_by_name(stimuli: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        run(stimuli)


def test_stimulus_must_lie_on_the_first_dim() -> None:
    array = xr.DataArray(
        np.zeros((3, 2)), dims=("x", "sample"), coords={"stimulus": ("sample", ["a", "b"])}
    )
    with pytest.raises(SchemaError, match="expected coord 'stimulus' on the first dim"):
        run(array)


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(LoadError, match=r"stimuli\['a'\]: expected an image, got"):
        run({"a": tmp_path / "a.png"})
    with pytest.raises(LoadError, match=r"stimuli\['b'\]: expected an image file, got no file"):
        run({"b": tmp_path / "b.png"})


def test_deep_images_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((6, 5), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(LoadError, match="expected 8 bits a channel, got mode 'I;16'"):
        run({"a": tmp_path / "deep.png"})


@pytest.mark.parametrize("batch_size", [1, 2])
def test_stimuli_of_several_shapes_are_refused(batch_size: int) -> None:
    stimuli = {"a": np.zeros((3, 6, 5)), "b": np.zeros((3, 6, 6))}
    with pytest.raises(ValueError, match=r"stimuli: expected .* 'b'"):
        run(stimuli, ["layer"], model=Tokens(), batch_size=batch_size)


# --- options


def test_a_silent_layer_is_refused_by_name(images: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="got 'spare', which never fired"):
        run(images, ["head", "spare"])


def test_a_silent_layer_of_a_glob_is_left_out_and_said(images: dict[str, np.ndarray]) -> None:
    with pytest.warns(NeuroalignWarning, match="got 'spare', which never fired. They are left"):
        found = run(images, "all", batch_size=4)
    assert list(found) == ["body.conv", "body.norm", "body.relu", "head"]


def test_fitted_reductions_are_sent_into_the_folds(images: dict[str, np.ndarray]) -> None:
    with pytest.raises(
        ValueError, match=r"reduce: expected a projection.*got PCA.*inside the folds"
    ):
        run(images, reduce=PCA(2))


def test_too_much_for_memory_is_refused_with_ways_out(images: dict[str, np.ndarray]) -> None:
    model = Net()
    with pytest.raises(MemoryError, match=r"5,588.*'body.conv'.*Use store= .*reduce="):
        run(images, model=model, memory_budget=5587, batch_size=2)
    assert model.n_calls == 1
    assert run(images, memory_budget=5588)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "max"}, "pool: expected one of 'flatten', 'mean', 'tokens', got 'max'"),
        ({"dtype": "int8"}, "dtype: expected one of 'float32', 'float16', 'float64'"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"device": "abacus"}, "device: expected one of 'auto', 'cpu'"),
        ({"pool": "tokens"}, "pool: expected layer 'head' to give"),
    ],
)
def test_odd_options_are_refused(options: Any, message: str, images: Any) -> None:
    with pytest.raises(ValueError, match=message):
        run(images, **options)


def test_half_precision_that_overflows_is_refused(images: dict[str, np.ndarray]) -> None:
    assert run(images, dtype="float16")["head"].dtype == np.float16
    with pytest.raises(ValueError, match="dtype: expected a type that holds layer 'head'"):
        run({name: image * 1e7 for name, image in images.items()}, ["head"], dtype="float16")


def test_layers_without_samples_first_are_refused(images: dict[str, np.ndarray]) -> None:
    model = nn.Sequential(nn.Flatten(0, 1), nn.Identity())
    with pytest.raises(ValueError, match="expected layer '1' to give real numbers with 11 samples"):
        run(images, ["1"], model=model)


def test_the_bytes_foreseen_are_said(images: dict[str, np.ndarray], capsys: Any) -> None:
    extract(Net(), images, LAYERS)
    assert "2 layers, 5,588 bytes" in capsys.readouterr().out


# --- stores


def test_a_store_gives_the_same_lazily(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    expected = run(images, batch_size=3)
    found = run(images, batch_size=3, store=tmp_path / "store")
    for layer in LAYERS:
        assert found[layer].chunks is not None
        xr.testing.assert_identical(found[layer].compute(), expected[layer])
        xr.testing.assert_identical(open_store(tmp_path / "store")[layer], found[layer])


def test_a_store_of_tokens_keeps_places(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    options = {"pool": "tokens", "dtype": "float16", "batch_size": 4}
    found = run(images, ["body.conv"], store=tmp_path, **options)["body.conv"]
    xr.testing.assert_identical(found.compute(), run(images, ["body.conv"], **options)["body.conv"])


def test_wide_layers_are_split_into_inner_chunks(tmp_path: Path) -> None:
    stimuli = {name: np.full((3, 50, 50), float(value)) for value, name in enumerate("abc")}
    found = run(stimuli, ["layer"], model=Tokens(), batch_size=2, store=tmp_path)["layer"]
    np.testing.assert_array_equal(found.values, np.repeat([[0.0], [1], [2]], 7500, axis=1))


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_killed_run_resumes_to_the_same_bits(at: int, images: Any, tmp_path: Path) -> None:
    whole = run(images, store=tmp_path / "whole", batch_size=3)
    kill(images, tmp_path / "killed", at=at)
    model = Net()
    resumed = run(images, model=model, store=tmp_path / "killed", batch_size=3)
    assert model.n_calls == 4 - (at - 1)
    for layer in LAYERS:
        xr.testing.assert_identical(resumed[layer].compute(), whole[layer].compute())


def test_random_networks_resume_to_the_same_bits(images: Any, tmp_path: Path) -> None:
    options = {"model": Noisy(), "batch_size": 3}
    whole = run(images, ["layer"], **options)["layer"]
    run(images, ["layer"], store=tmp_path, **options)
    journal = json.loads((tmp_path / "journal.json").read_text())
    (tmp_path / "journal.json").write_text(json.dumps({**journal, "done": [0, 3]}))
    resumed = run(images, ["layer"], store=tmp_path, **options)["layer"]
    np.testing.assert_array_equal(resumed, whole)


def test_a_finished_store_is_not_computed_again(images: Any, tmp_path: Path) -> None:
    run(images, store=tmp_path)
    model = Net()
    run(images, model=model, store=tmp_path)
    assert model.n_calls == 0


def test_an_unfinished_store_does_not_open(images: Any, tmp_path: Path) -> None:
    kill(images, tmp_path, at=3)
    with pytest.raises(DataCorruptionError, match=r"expected 4 batches in .*, got 2. Repeat"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("batch_size", {"batch_size": 4}),
        ("dtype", {"dtype": "float64"}),
        ("layers", {"layers": ["head"]}),
        ("model", {"model": Net(seed=1)}),
        ("pool", {"pool": "mean"}),
        ("preprocessing", {"preprocess": torch.square}),
        ("reduce", {"reduce": SparseProjection(2)}),
        ("seed", {"seed": 1}),
    ],
)
def test_another_request_is_refused(part: str, change: Any, images: Any, tmp_path: Path) -> None:
    kill(images, tmp_path, at=3)
    with pytest.raises(ValueError, match=f"store: expected .* got another: '{part}' differ"):
        run(images, **{"store": tmp_path, "batch_size": 3, **change})


def test_other_stimuli_are_refused(images: Any, tmp_path: Path) -> None:
    kill(images, tmp_path, at=3)
    changed = {**images, "im10": images["im10"] + 1}
    with pytest.raises(ValueError, match="got another: 'stimuli' differ"):
        run(changed, store=tmp_path, batch_size=3)


def test_a_folder_with_other_files_is_refused(images: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="store: expected an empty or new folder"):
        run(images, store=tmp_path)


def shards(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.zarr/c/*/*") if path.is_file())


def test_a_lost_batch_is_refused_and_computed_again(images: Any, tmp_path: Path) -> None:
    whole = {name: array.compute() for name, array in run(images, store=tmp_path).items()}
    shards(tmp_path)[0].unlink()
    with pytest.raises(DataCorruptionError, match=r"expected every batch in .* got none for '0'"):
        open_store(tmp_path)
    with pytest.warns(NeuroalignWarning, match="expected 1 batches in .*, got 0. Files were lost"):
        again = run(images, store=tmp_path)
    np.testing.assert_array_equal(again["head"], whole["head"])


def test_flipped_bits_raise_when_read(images: Any, tmp_path: Path) -> None:
    found = run(images, store=tmp_path)
    for path in shards(tmp_path):
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(bytes(content))
    with pytest.raises(DataCorruptionError, match=r"(?i)values that were written.*checksum"):
        found["head"].compute()
    with pytest.warns(NeuroalignWarning, match="lost or damaged"):
        again = run(images, store=tmp_path)
    np.testing.assert_array_equal(again["head"], run(images)["head"])


@pytest.mark.parametrize("name", ["journal.json", "plan.json"])
@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_damaged_notes_do_not_open(name: str, content: Any, images: Any, tmp_path: Path) -> None:
    run(images, store=tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataCorruptionError, match=name):
        open_store(tmp_path)


def test_an_array_of_another_shape_does_not_open(images: Any, tmp_path: Path) -> None:
    run(images, store=tmp_path)
    meta = next(tmp_path.glob("*head.zarr/zarr.json"))
    meta.write_text(meta.read_text().replace("float32", "float16"))
    with pytest.raises(DataCorruptionError, match=r"damaged|got .* float16"):
        open_store(tmp_path)


def test_layer_names_are_safe_as_file_names() -> None:
    assert escape_layer("a/b.c") == "a%2Fb%2Ec"
    assert escape_layer("..") == "%2E%2E"


@pytest.mark.slow
def test_a_process_killed_from_outside_resumes(images: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.stack(list(images.values())))
    code = (
        "import os, signal, sys, numpy as np, torch\n"
        "from neuroalign.features import extract\n"
        "images, calls = np.load(sys.argv[1] + '/images.npy'), []\n"
        "model = torch.nn.Sequential(torch.nn.Flatten())\n"
        "def die(*_):\n"
        "    calls.append(1)\n"
        "    if len(calls) == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "model[0].register_forward_hook(die)\n"
        "named = {f'im{i}': image for i, image in enumerate(images)}\n"
        "options = {'store': sys.argv[1] + '/s', 'batch_size': 3, 'progress': False}\n"
        "found = extract(model, named, '0', **options)\n"
        "assert len(calls) == 2, calls\n"
        "np.testing.assert_array_equal(found['0'].values, images.reshape(11, -1))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run([*command, "3"], check=False).returncode == -9
    subprocess.run([*command, "99"], check=True)


def test_what_is_no_network_is_named(images: Any) -> None:
    with pytest.raises(ValueError, match="model: expected a torch.nn.Module, got str"):
        extract("resnet18", images, "all")


def test_a_preprocessing_that_returns_nothing_is_named(images: Any) -> None:
    with pytest.raises(ValueError, match="preprocess: expected a tensor or an array back"):
        run(images, preprocess=lambda image: None)


def test_a_shape_that_the_model_cannot_take_names_the_stimulus(rng: np.random.Generator) -> None:
    grey = {"dot": rng.random((1, 9, 9), dtype=np.float32)}
    with pytest.raises(ValueError, match=r"stimuli: expected a shape.*\(1, 1, 9, 9\).*'dot'"):
        run(grey)


class _Dead(nn.Module):
    """A network whose activity has run away."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Identity()

    def forward(self, images: Any) -> Any:
        return self.last(images.flatten(1) * float("nan"))


def test_batches_of_nan_are_stored_like_any_other(images: Any, tmp_path: Path) -> None:
    stored = run(images, ["last"], model=_Dead(), store=tmp_path / "dead")
    assert np.isnan(stored["last"].values).all()
    assert np.isnan(open_store(tmp_path / "dead")["last"].values).all()
