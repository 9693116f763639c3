"""Look inside a network while it runs: named layers in, their outputs out.

Hooks live only inside ``with capture_layers(...)`` and are gone afterwards, also after an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from neuroalign.errors import require, some

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

GLOB_CHARACTERS = frozenset("*?[")
MOST_COMPARED = 50


def is_pattern(layer: str) -> bool:
    """Tell whether a layer is asked for by a glob and not by its name."""
    return bool(GLOB_CHARACTERS & set(layer))


def resolve_layers(model: nn.Module, layers: str | Sequence[str]) -> list[str]:
    """Turn names, globs or ``"all"`` into the exact names of layers.

    Parameters
    ----------
    model : torch.nn.Module
    layers : str or sequence of str
        Names as in ``model.named_modules()``, globs (``"blocks.*.mlp"``; ``*`` also matches dots),
        or ``"all"`` for every module without children.

    Returns
    -------
    list of str
        In the order given, without repeats; matches of a glob in the order of the model.

    Raises
    ------
    ValueError
        When a name or a glob matches nothing (near names are given), or none is asked for.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    if isinstance(layers, str) and layers == "all":
        found = [name for name, module in modules.items() if not any(module.children())]
    else:
        asked = [layers] if isinstance(layers, str) else list(layers)
        found = [name for layer in asked for name in _match(modules, layer)]
    if not found:
        raise ValueError(
            f"layers: expected at least one layer of {type(model).__name__}, got {layers!r}, "
            f"which gives none. The model has {some(modules) or 'no named layers'}."
        )
    return list(dict.fromkeys(found))


def _cut(name: str) -> set[str]:
    return {name[start : start + 3] for start in range(max(1, len(name) - 2))}


def near_names(names: Sequence[str], layer: str) -> str:
    """Write down the names closest to a layer: those inside it first."""
    inside = [name for name in names if name.startswith(f"{layer}.")]
    # To compare letter by letter takes long: only names that share most pieces are.
    pieces = _cut(layer)
    others = [name for name in names if name != layer]
    likely = sorted(others, key=lambda name: -len(pieces & _cut(name)))[:MOST_COMPARED]
    close = get_close_matches(layer, likely, n=3, cutoff=0.5)
    return some(list(dict.fromkeys([*inside[:3], *close])) or names)


def _match(modules: Mapping[str, nn.Module], layer: str) -> list[str]:
    if layer in modules:
        return [layer]
    matches = [name for name in modules if is_pattern(layer) and fnmatchcase(name, layer)]
    if not matches:
        raise ValueError(
            f"layers: expected names of layers, got '{layer}', which matches none. "
            f"Near names: {near_names(list(modules), layer)}."
        )
    return matches


def first_tensor(output: Any, layer: str) -> torch.Tensor:
    """Take the first tensor of what a layer gives: a tensor, or a tuple, list or dict of them.

    Raises
    ------
    TypeError
        When there is none.
    """
    if isinstance(output, torch.Tensor):
        return output
    values: Sequence[Any] = ()
    if isinstance(output, Mapping):
        values = list(output.values())
    elif isinstance(output, tuple | list):
        values = output
    for value in values:
        if isinstance(value, torch.Tensor):
            return value
    raise TypeError(
        f"layers: expected layer '{layer}' to give a tensor, or a tuple or dict with one, "
        f"got {type(output).__name__} without any. Choose a layer inside it."
    )


def _keep(
    captured: dict[str, torch.Tensor], layer: str, module: nn.Module, inputs: Any, output: Any
) -> None:
    # A copy: a later layer that works in place (ReLU(inplace=True)) would write into ours.
    captured[layer] = first_tensor(output, layer).detach().clone()


def check_fired(model: nn.Module, captured: Mapping[str, Any], layers: Sequence[str]) -> None:
    """Check that a forward pass went through every layer.

    Raises
    ------
    ValueError
        Naming the layers that never fired and the names near the first of them.
    """
    silent = [layer for layer in layers if layer not in captured]
    if silent:
        names = [name for name, _ in model.named_modules() if name]
        raise ValueError(
            f"layers: expected every layer to take part in the forward pass, got {some(silent)}, "
            f"which never fired. Near names: {near_names(names, silent[0])}."
        )


@contextmanager
def capture_layers(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Record the outputs of layers during the forward passes inside the ``with`` block.

    Parameters
    ----------
    model : torch.nn.Module
    layers : sequence of str
        Exact names, as ``resolve_layers`` gives them.

    Yields
    ------
    dict of str to torch.Tensor
        Filled by each forward pass with detached copies; a layer called several times in one
        pass leaves its last output. Clear it between passes and ask ``check_fired``.
    """
    captured: dict[str, torch.Tensor] = {}
    handles = []
    try:
        for layer in layers:
            hook = partial(_keep, captured, layer)
            handles.append(model.get_submodule(layer).register_forward_hook(hook))
        yield captured
    finally:
        for handle in handles:
            handle.remove()
