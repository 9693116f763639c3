"""Vision models by name: their preprocessing is their library's, their tokens know their place."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from torch import nn

from neuroalign.encoders.readouts._tokens import read_layout
from neuroalign.errors import LoadError, MissingExtraError, SchemaError
from neuroalign.features import extract, load_vision_model, place_tokens


class TinyNet(nn.Module):
    def __init__(self, prefix: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, stride=8)
        self.num_prefix_tokens = prefix

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.conv(images).flatten(2).transpose(1, 2)
        return torch.cat([maps[:, :1] * 0, maps], dim=1) if self.num_prefix_tokens else maps


def shrink(picture: Image.Image) -> torch.Tensor:
    """Ours for all fakes: to 32 x 32."""
    return torch.from_numpy(np.array(picture.resize((32, 32)))).permute(2, 0, 1).float() / 255


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **parts: Any) -> Any:
    """Put a module in the place of a library that has no build for every machine."""
    module = types.ModuleType(name)
    vars(module).update(parts)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-ins for timm, torchvision and open_clip; gives the calls that would fetch weights."""
    asked: list[Any] = []

    def create(name: str, pretrained: bool) -> TinyNet:
        asked.append((name, pretrained))
        return TinyNet(prefix=int("vit" in name))

    fake(
        monkeypatch, "timm", is_model=lambda n: n in ("resnet10t", "vit_tiny"),
        list_models=lambda pattern: ["resnet10t"], create_model=create,
    )  # fmt: skip
    fake(
        monkeypatch, "timm.data", resolve_model_data_config=lambda module: {"size": 32},
        create_transform=lambda size, is_training: shrink,
    )  # fmt: skip
    state = TinyNet().state_dict()

    def fetch(**options: Any) -> Any:
        asked.append(options)
        return state

    weights = types.SimpleNamespace(
        DEFAULT=types.SimpleNamespace(transforms=lambda: shrink, get_state_dict=fetch)
    )
    fake(monkeypatch, "torchvision")
    fake(
        monkeypatch, "torchvision.models", list_models=lambda: ["resnet18", "resnet101"],
        get_model_weights=lambda name: weights, get_model=lambda name, weights: TinyNet(),
    )  # fmt: skip
    clip = types.SimpleNamespace(visual=TinyNet(prefix=1))
    clip.visual.class_embedding = nn.Parameter(torch.zeros(4))
    fake(
        monkeypatch, "open_clip", list_models=lambda: ["ViT-B-32"],
        list_pretrained_tags_by_model=lambda name: ["openai"],
        create_model_and_transforms=lambda name, pretrained: (
            asked.append((name, pretrained)) or clip, None, shrink,
        ),
    )  # fmt: skip
    return asked


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 255, size=(90, 120, 3), dtype=np.uint8)


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize(
    ("name", "prefix", "asked"),
    [
        ("timm:resnet10t", 0, ("resnet10t", True)),
        ("timm:vit_tiny", 1, ("vit_tiny", True)),
        (
            "torchvision:resnet18", 0,
            {"progress": False, "check_hash": True, "weights_only": True},
        ),
        ("open_clip:ViT-B-32/openai", 1, ("ViT-B-32", "openai")),
    ],
)  # fmt: skip
def test_each_library_gives_its_network_and_preprocessing(
    libraries: list[Any], picture: np.ndarray, name: str, prefix: int, asked: Any
) -> None:
    found = load_vision_model(name)
    assert libraries == [asked]
    assert (found.name, found.n_prefix, found.module.training) == (name, prefix, False)
    expected = shrink(Image.fromarray(picture))
    torch.testing.assert_close(found.preprocess(as_tensor(picture)), expected)
    grey = found.preprocess(as_tensor(picture)[:1])
    torch.testing.assert_close(grey[0], grey[2])


def test_without_weights_nothing_is_fetched(libraries: list[Any]) -> None:
    for name in ("timm:resnet10t", "torchvision:resnet18", "open_clip:ViT-B-32"):
        load_vision_model(name, pretrained=False)
    assert libraries == [("resnet10t", False), ("ViT-B-32", None)]


def test_a_library_that_does_not_fit_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str, extra: str) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("neuroalign.features.vision_models.require", fail)
    with pytest.raises(MissingExtraError, match="Install torch and torchvision together"):
        load_vision_model("timm:resnet10t")


def save_small_vit(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            image_size=32, patch_size=8,
        )  # fmt: skip
        model = transformers.ViTModel(config)
    model.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return model.eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_folder_of_transformers_is_read(tmp_path: Path, picture: np.ndarray) -> None:
    model = save_small_vit(tmp_path)
    found = load_vision_model(f"huggingface:{tmp_path}")
    pixels = found.preprocess(as_tensor(picture))
    assert pixels.shape == (3, 32, 32)
    assert found.n_prefix == 1
    with torch.no_grad():
        ours, theirs = (net(pixels[None]).last_hidden_state for net in (found.module, model))
    torch.testing.assert_close(ours, theirs)


def test_tokens_of_a_transformer_are_placed(libraries: list[Any], picture: np.ndarray) -> None:
    found = load_vision_model("timm:vit_tiny", pretrained=False)
    net = nn.Sequential(found.module)
    layers = extract(
        net, {"noise": picture}, ["0"], pool="tokens", preprocess=found.preprocess, progress=False
    )
    placed = place_tokens(layers["0"], n_prefix=found.n_prefix)
    assert placed.sizes["token"] == 1 + 4 * 4
    assert placed["row"].values[[0, 1, 5, -1]].tolist() == [-1, 0, 1, 3]
    assert placed["column"].values[[0, 1, 2, -1]].tolist() == [-1, 0, 1, 3]
    layout = read_layout(placed)
    assert np.isnan(layout.positions[0]).all()
    assert layout.positions[1:].min() == -1
    assert "preprocessing of timm:vit_tiny" in layers["0"].attrs["preprocessing"]


def test_one_seed_gives_one_random_network(libraries: list[Any]) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        load_vision_model("timm:resnet10t", pretrained=False, seed=seed).module.state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.equal(first["conv.weight"], again["conv.weight"])
    assert not torch.equal(first["conv.weight"], other["conv.weight"])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keras:resnet50", "name: .*timm.*torchvision"),
        ("resnet50", "Write it as 'timm:resnet50'"),
        ("timm:resnet5O", "name: expected a model of that library, got 'timm:resnet5O'. Near: .*"),
        ("torchvision:resnet17", "got 'torchvision:resnet17'. Near: .*resnet101"),
        ("open_clip:ViT-B-33", "got 'open_clip:ViT-B-33'. Near: .*ViT-B"),
        ("open_clip:ViT-B-32", "expected open_clip:ViT-B-32/TAG with one of .*openai"),
    ],
)
def test_names_that_are_not_there_are_named(libraries: list[Any], name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_vision_model(name)


def test_weights_out_of_reach_are_said(libraries: list[Any], monkeypatch: Any) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(sys.modules["timm"], "create_model", fail)
    with pytest.raises(LoadError, match=r"model 'timm:resnet10t'.*Network is unreachable"):
        load_vision_model("timm:resnet10t")


def test_tokens_that_fill_no_grid_are_refused() -> None:
    tokens = xr.DataArray(np.zeros((2, 8, 3)), dims=("sample", "token", "feature"))
    placed = place_tokens(tokens, grid=(2, 3), n_prefix=2)
    assert placed["column"].values.tolist() == [-1, -1, 0, 1, 2, 0, 1, 2]
    with pytest.raises(SchemaError, match="fill 3 x 3 after 0, 1, 2, 5 without place, got 8"):
        place_tokens(tokens, grid=(3, 3))
    # 48 tokens are no square after any usual prefix: 6 x 6 after 12 would be a guess.
    with pytest.raises(SchemaError, match="fill a square after 0, 1, 2, 5 .* got 48"):
        place_tokens(xr.DataArray(np.zeros((2, 48, 3)), dims=("sample", "token", "feature")))
    with pytest.raises(SchemaError, match="got ndarray"):
        place_tokens(np.zeros((2, 4, 3)))
    with pytest.raises(SchemaError, match="features: expected dims"):
        place_tokens(tokens[:, 0])
