"""Which processor does the work: a name in, a ``torch.device`` out."""

from typing import Any

import numpy as np

from neuroalign._linalg import shrink
from neuroalign.errors import choose, require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise


def list_devices() -> dict[str, torch.device]:
    """List the devices of this machine: name -> device, the fastest kind under ``auto``.

    Returns
    -------
    dict of str to torch.device
        ``auto`` and ``cpu`` always; ``cuda``, ``cuda:0``, ... and ``mps`` where they work.
    """
    found = {"cpu": torch.device("cpu")}
    if torch.backends.mps.is_available():
        found["mps"] = torch.device("mps")
    if torch.cuda.is_available():
        indices = range(torch.cuda.device_count())
        found |= {f"cuda:{index}": torch.device("cuda", index) for index in indices}
        found["cuda"] = torch.device("cuda")
    fastest = list(found.values())[-1]
    return {"auto": fastest, **found}


def resolve_device(device: str) -> torch.device:
    """Turn the name of a device into a ``torch.device`` that exists here.

    Parameters
    ----------
    device : {"cpu", "cuda", "cuda:<index>", "mps", "auto"}
        ``auto`` takes cuda, else mps, else cpu.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        When this machine has no such device; the message names those it has.
    """
    return choose(list_devices(), device, "device")


def sum_errors_in_half(factors: Any, alphas: Any, state: Any) -> Any:
    """Sum squared held-out errors with products in bfloat16, to narrow a search down.

    Parameters
    ----------
    factors : list of FoldFactors
    alphas : array (a,)
    state : list of (projected (r, t), unknown (n_test, t))

    Returns
    -------
    array (a, k, t)
        For each fold; errors and their squares are summed in float32.
    """
    total = np.zeros((len(alphas), len(factors), state[0][0].shape[1]))
    for number, (fold, (projected, unknown)) in enumerate(zip(factors, state, strict=True)):
        known = torch.from_numpy(projected).bfloat16()
        target = torch.from_numpy(unknown).float()
        held_out = torch.from_numpy(fold.held_out)
        for row, alpha in enumerate(alphas.tolist()):
            scale = torch.from_numpy(shrink(fold.values, alpha).astype(fold.held_out.dtype))
            error = ((held_out * scale).bfloat16() @ known).float() - target
            total[row, number] = error.square_().sum(0).numpy()
    return total
