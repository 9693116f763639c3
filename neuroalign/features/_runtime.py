"""What surrounds a forward pass: identity of the model, its device and modes, random numbers."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from neuroalign.errors import require, some

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise


def digest_model(model: nn.Module) -> str:
    """Hash the weights, the buffers and the text of a model."""
    # The text holds what the weights do not: kinds of layers, strides. Addresses change with runs.
    total = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(model)).encode())
    for name, value in model.state_dict().items():
        total.update(name.encode())
        if isinstance(value, torch.Tensor):
            total.update(f"{value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            total.update(flat.view(torch.uint8).numpy().data)
        else:
            total.update(repr(value).encode())
    return total.hexdigest()


def name_preprocessing(preprocess: Callable[[torch.Tensor], Any] | None) -> str:
    """Name a preprocessing function the same way in every run."""
    if preprocess is None:
        return "none"
    name = getattr(preprocess, "__qualname__", None) or repr(preprocess)
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", name).split())


@contextmanager
def seeded(device: torch.device, seeds: tuple[int, int]) -> Iterator[None]:
    """Draw from a generator of our own; the caller's generators are left as they were."""
    state = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(state)
        yield


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put the model on the device in evaluation mode; give it back as it was."""
    tensors = [*model.parameters(), *model.buffers()]
    homes = {tensor.device for tensor in tensors}
    if len(homes) > 1:
        raise ValueError(
            f"model: expected all weights on one device, got {some(sorted(map(str, homes)))}. "
            "Use model.to('cpu')."
        )
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        model.to(device)
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for home in homes:
            model.to(home)
