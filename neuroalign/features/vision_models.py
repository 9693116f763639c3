"""Vision models by name, each with the preprocessing that it was trained with.

To add a library: a function ``(name, pretrained, seed) -> VisionModel`` and its row in ``SOURCES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import LoadError, MissingExtraError, SchemaError, choose, require
from neuroalign.features._hub import load_pretrained

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# Class, distillation and register tokens that models put before those of the image.
PREFIXES = (0, 1, 2, 5)


@dataclass(frozen=True)
class VisionModel:
    """A network and what its images go through.

    Attributes
    ----------
    module : torch.nn.Module
        In evaluation mode, on the CPU.
    preprocess : callable
        One image, float tensor (channel, row, column) in 0 to 1, to what the network sees.
    name : str
        As asked for.
    n_prefix : int
        Tokens before those of the image in token layers; 0 for convolutional networks.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.features import extract
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8))
    >>> model = VisionModel(net, lambda image: 2 * image - 1, "tiny")
    >>> images = {"cat": np.zeros((16, 16, 3), "uint8"), "dog": np.ones((16, 16, 3), "uint8")}
    >>> features = extract(
    ...     model.module, images, layers=["0"], preprocess=model.preprocess, progress=False
    ... )
    >>> features["0"].shape
    (2, 16)
    """

    module: nn.Module
    preprocess: Callable[[torch.Tensor], torch.Tensor]
    name: str
    n_prefix: int = 0


class _ThroughPicture:
    """Preprocessing that takes pictures of Pillow, for tensors."""

    def __init__(self, transform: Callable[[Any], Any], name: str) -> None:
        self.transform = transform
        self.name = name

    def __repr__(self) -> str:
        return f"preprocessing of {self.name}"

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        pillow: Any = _bring("PIL.Image")
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        made: torch.Tensor = self.transform(pillow.fromarray(pixels))
        return made


def _bring(module: str) -> Any:
    try:
        return require(module, "vision")
    except RuntimeError as error:
        raise MissingExtraError(
            f"{module}: expected libraries built for torch {torch.__version__}, got "
            f"'{error}' on import. Install torch and torchvision together, from one index."
        ) from error


def _load_timm(name: str, pretrained: bool) -> VisionModel:
    timm: Any = _bring("timm")
    data: Any = _bring("timm.data")
    if not timm.is_model(name):
        raise ValueError(_say_unknown(f"timm:{name}", timm.list_models(f"*{name[:6]}*")))
    module = timm.create_model(name, pretrained=pretrained)
    settings = data.resolve_model_data_config(module)
    transform = data.create_transform(**settings, is_training=False)
    return VisionModel(
        module, transform, f"timm:{name}", int(getattr(module, "num_prefix_tokens", 0))
    )


def _load_torchvision(name: str, pretrained: bool) -> VisionModel:
    models: Any = _bring("torchvision.models")
    if name not in models.list_models():
        near = [known for known in models.list_models() if known.startswith(name[:4])]
        raise ValueError(_say_unknown(f"torchvision:{name}", near))
    weights = models.get_model_weights(name).DEFAULT
    module = models.get_model(name, weights=None)
    if pretrained:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        module.load_state_dict(state)
    prefix = 1 if hasattr(module, "class_token") else 0
    return VisionModel(module, weights.transforms(), f"torchvision:{name}", prefix)


def _load_open_clip(name: str, pretrained: bool) -> VisionModel:
    clip: Any = _bring("open_clip")
    architecture, _, tag = name.partition("/")
    known = dict.fromkeys(clip.list_models())
    if architecture not in known:
        near = [one for one in known if one.lower()[:5] == architecture.lower()[:5]]
        raise ValueError(_say_unknown(f"open_clip:{architecture}", near))
    tags = clip.list_pretrained_tags_by_model(architecture)
    if pretrained and tag not in tags:
        raise ValueError(
            f"name: expected open_clip:{architecture}/TAG with one of {tags}, got '{name}'. "
            "The tag names the weights."
        )
    module, _, transform = clip.create_model_and_transforms(
        architecture, pretrained=tag if pretrained else None
    )
    visual = module.visual
    prefix = 1 if hasattr(visual, "class_embedding") else 0
    return VisionModel(visual, transform, f"open_clip:{name}", prefix)


def _load_hub(name: str, pretrained: bool) -> VisionModel:
    if not pretrained:
        raise ValueError(
            f"pretrained: expected True for 'huggingface:{name}', whose architecture comes with "
            "its weights, got False. Name a timm or torchvision model."
        )
    module, processor = load_pretrained(name, "vision")

    def transform(image: Any) -> torch.Tensor:
        pixels: torch.Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    settings = module.config
    has_class = hasattr(getattr(module, "embeddings", None), "cls_token")
    prefix = int(has_class) + int(getattr(settings, "num_register_tokens", 0) or 0)
    return VisionModel(module, transform, f"huggingface:{name}", prefix)


SOURCES: dict[str, Callable[[str, bool], VisionModel]] = {
    "timm": _load_timm,
    "torchvision": _load_torchvision,
    "open_clip": _load_open_clip,
    "huggingface": _load_hub,
}


def _say_unknown(name: str, near: list[str]) -> str:
    hint = f"Near: {', '.join(near[:5])}." if near else "See the library's list of models."
    return f"name: expected a model of that library, got '{name}'. {hint}"


def load_vision_model(name: str, *, pretrained: bool = True, seed: int = 0) -> VisionModel:
    """Load a vision model by name, with its own preprocessing.

    Parameters
    ----------
    name : str
        ``"timm:resnet50"``, ``"torchvision:vit_b_16"``, ``"open_clip:ViT-B-32/openai"`` or
        ``"huggingface:facebook/dinov2-base"`` (also a folder with its files).
    pretrained : bool
        Without, weights start at random: a control with the same architecture.
    seed : int
        Of random weights.

    Returns
    -------
    VisionModel
        For `extract`: ``extract(m.module, images, layers, preprocess=m.preprocess)``.

    Raises
    ------
    ValueError
        For an unknown library or model.
    LoadError
        When weights cannot be fetched or read.
    MissingExtraError
        Without the library; ``pip install "neuroalign[vision]"`` brings all four.

    Notes
    -----
    Weights are read without running code that comes with them. The libraries keep what they
    fetched in their own caches (``~/.cache/torch``, ``~/.cache/huggingface``).

    Examples
    --------
    >>> model = load_vision_model("timm:resnet50")  # doctest: +SKIP
    >>> layers = extract(  # doctest: +SKIP
    ...     model.module, images, ["layer4"], pool="tokens", preprocess=model.preprocess
    ... )
    """
    source, _, model = name.partition(":")
    if not model:
        raise ValueError(
            f"name: expected a library and a model, got '{name}'. Write it as 'timm:{name}', or "
            f"with another of {', '.join(SOURCES)}."
        )
    load = choose(SOURCES, source, "name")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            found = load(model, pretrained)
        except (OSError, RuntimeError) as error:
            raise LoadError(
                f"model '{name}': expected weights from the network or the library's cache, got "
                f"{type(error).__name__} ({str(error).splitlines()[0] if str(error) else ''}). "
                "Check the network, or load once on a machine that has one and copy the cache."
            ) from error
    prepare = _ThroughPicture(found.preprocess, name)
    return VisionModel(found.module.eval(), prepare, name, found.n_prefix)


def place_tokens(
    features: xr.DataArray, *, grid: tuple[int, int] | None = None, n_prefix: int | None = None
) -> xr.DataArray:
    """Say where the tokens of a transformer lie on the image.

    Parameters
    ----------
    features : DataArray (sample, token, feature)
        Of a token layer: prefix tokens, then patches row by row.
    grid : tuple of int, optional
        Rows and columns of patches; by default a square.
    n_prefix : int, optional
        Tokens without place that come first: pass ``n_prefix`` of `VisionModel`. By default the
        fewest of 0, 1, 2 and 5 that leave a full grid, which can be wrong: a class token and
        14 x 16 patches are as many as 15 x 15.

    Returns
    -------
    DataArray (sample, token, feature)
        With ``row`` and ``column`` on token, -1 for those without place.

    Raises
    ------
    SchemaError
        When the tokens do not fill the grid.

    Examples
    --------
    >>> tokens = xr.DataArray(np.zeros((2, 5, 3)), dims=("sample", "token", "feature"))
    >>> place_tokens(tokens)["row"].values.tolist()
    [-1, 0, 0, 1, 1]
    """
    dims = getattr(features, "dims", type(features).__name__)
    if dims != ("sample", "token", "feature"):
        raise SchemaError(
            f"features: expected dims ('sample', 'token', 'feature'), got {dims}. "
            "Extract them with pool='tokens'."
        )
    n = features.sizes["token"]
    tried = PREFIXES if n_prefix is None else (n_prefix,)
    for prefix in tried:
        side = round(max(n - prefix, 0) ** 0.5)
        rows, columns = (side, side) if grid is None else grid
        if rows * columns == n - prefix > 0:
            row, column = (place.ravel() for place in np.indices((rows, columns)))
            nowhere = np.full(prefix, -1)
            return features.assign_coords(
                row=("token", np.concatenate([nowhere, row])),
                column=("token", np.concatenate([nowhere, column])),
            )
    shape = "a square" if grid is None else f"{grid[0]} x {grid[1]}"
    raise SchemaError(
        f"features: expected tokens that fill {shape} after {', '.join(map(str, tried))} without "
        f"place, got {n}. Give grid and n_prefix as the model has them."
    )
