"""The net around a readout: features z-scored, a core where there is one, then the readout.

In: tokens (n, token, feature), NaN where a sample has no such token. Out: targets (n, target).
A core sees tokens as images (n, feature, row, column), and its output is tokens again.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.encoders.readouts._tokens import Layout, TokenSource, make_layout
from neuroalign.errors import SchemaError, require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Rows predicted at once.
PREDICT_AT_ONCE = 256
# Names of what a core may say about its own training -> names AdamW knows.
OWN_RATES = {"learning_rate": "lr", "weight_decay": "weight_decay"}


class TokenCore(nn.Module):
    """A net over images, made one over tokens."""

    def __init__(self, net: nn.Module, grid: tuple[int, int]) -> None:
        super().__init__()
        self.net = net
        self.grid = grid

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, token of the map, feature of the map)."""
        images = tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)
        maps: torch.Tensor = self.net(images)
        return maps.flatten(2).transpose(1, 2)


class ScaledNet(nn.Module):
    """A readout that sees z-scored features, or what a core makes of them.

    Tokens that a sample does not have come as NaN. A readout with ``reads_gaps`` gets them so;
    for any other they are the mean token.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, inner: nn.Module, mean: Array, deviation: Array, core: TokenCore | None = None
    ) -> None:
        super().__init__()
        self.inner = inner
        self.core = core
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))

    def prepare(self, tokens: torch.Tensor) -> torch.Tensor:
        """Make tokens what the readout sees."""
        scaled = (tokens - self.mean) / self.deviation
        if self.core is None:
            return scaled if getattr(self.inner, "reads_gaps", False) else scaled.nan_to_num()
        made: torch.Tensor = self.core(scaled.nan_to_num())
        return made

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        predicted: torch.Tensor = self.inner(self.prepare(tokens))
        return predicted


def build_core(core: Any, layout: Layout) -> tuple[TokenCore | None, Layout]:
    """Make the core of one net; torch's generator is seeded.

    Parameters
    ----------
    core : torch.nn.Module, callable or None
        A module is copied and its weights drawn anew; a callable gets the number of features and
        its module is taken with the weights it has.
    layout : Layout
        Of the tokens that are the pixels.

    Returns
    -------
    TokenCore or None
    Layout
        Of what the readout sees: the cells of the map divide the field of the pixels evenly.

    Raises
    ------
    SchemaError
        When tokens fill no grid.
    ValueError
        When the core is no such thing, cannot draw its weights anew, or does not fit the tokens.
    """
    if core is None:
        return None, layout
    if layout.grid is None:
        raise SchemaError(
            f"X: expected tokens that fill a grid row by row, got {layout.n_tokens} tokens that do "
            "not. A core sees images: leave out class tokens, or leave out the core."
        )
    net = _draw_anew(core) if isinstance(core, nn.Module) else _make(core, layout.n_features)
    shape = _measure_map(net, layout)
    return TokenCore(net, layout.grid), _place_cells(layout, shape)


def _make(core: Any, n_features: int) -> nn.Module:
    made = core(n_features) if callable(core) else core
    if not isinstance(made, nn.Module):
        raise ValueError(
            f"core: expected a torch.nn.Module, or a function from the number of features to one, "
            f"got {type(made).__name__}. SmallCore and RotationEquivariantCore are cores."
        )
    return copy.deepcopy(made)


def _draw_anew(core: nn.Module) -> nn.Module:
    net = copy.deepcopy(core)
    for part in net.modules():
        draw: Callable[[], None] | None = getattr(part, "reset_parameters", None)
        if draw is not None:
            draw()
        elif next(part.parameters(recurse=False), None) is not None:
            raise ValueError(
                f"core: expected parts that can draw their weights anew, got "
                f"{type(part).__name__} without reset_parameters. Give a function that makes the "
                "core."
            )
    return net


def _measure_map(net: nn.Module, layout: Layout) -> tuple[int, int, int]:
    """Shape (feature, row, column) of what the core gives."""
    shape = (1, layout.n_features, *(layout.grid or ()))
    training = net.training
    try:
        with torch.no_grad():
            found = net.eval()(torch.zeros(shape)).shape
    except RuntimeError as error:
        raise ValueError(
            f"core: expected a net that takes images of shape {shape}, got {error}. Give it "
            f"{layout.n_features} input channels."
        ) from error
    finally:
        net.train(training)
    if len(found) != 4:
        raise ValueError(
            f"core: expected maps (n, feature, row, column), got shape {tuple(found)}. Leave out "
            "its last layers, which forget where things are."
        )
    return int(found[1]), int(found[2]), int(found[3])


def _place_cells(layout: Layout, shape: tuple[int, int, int]) -> Layout:
    axes = []
    for axis, count in enumerate(shape[1:]):
        pixels = np.unique(layout.places[:, axis])
        steps = (np.arange(count) + 0.5) * len(pixels) / count - 0.5
        axes.append(np.interp(steps, np.arange(len(pixels)), pixels))
    row, column = (place.ravel() for place in np.meshgrid(*axes, indexing="ij"))
    return make_layout(row, column, shape[0])


def group_core(core: TokenCore | None) -> list[dict[str, Any]]:
    """Group a core's parameters for AdamW, with the rates that it names itself."""
    if core is None:
        return []
    named = {
        theirs: getattr(core.net, ours)
        for ours, theirs in OWN_RATES.items()
        if getattr(core.net, ours, None) is not None
    }
    trained = [parameter for parameter in core.parameters() if parameter.requires_grad]
    return [{"params": trained, **named}] if trained else []


def apply_to_rows(
    module: ScaledNet,
    call: Callable[[Any], torch.Tensor],
    source: TokenSource,
    rows: Array,
    device: Any,
) -> Array:
    """Apply a function of tokens that uses the module, a few hundred samples at a time."""
    module.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), PREDICT_AT_ONCE):
            tokens = torch.from_numpy(source.read(rows[start : start + PREDICT_AT_ONCE]))
            found = call(tokens.to(device, module.mean.dtype))
            parts.append(found.to(module.mean.dtype).cpu().numpy())
    return np.concatenate(parts)
