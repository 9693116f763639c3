"""Which processor does the work: a name in, a ``torch.device`` out."""

from collections.abc import Callable
from typing import Any

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


def multiply_in_half(operator: Any) -> Callable[[Any], Any]:
    """Multiply in bfloat16, to narrow a search down.

    Parameters
    ----------
    operator : array (m, n)

    Returns
    -------
    callable
        From an array (n, t) to the product (m, t) in float32, good to two or three digits.
    """
    half = torch.from_numpy(operator).bfloat16()

    def multiply(chunk: Any) -> Any:
        return (half @ torch.from_numpy(chunk).bfloat16()).float().numpy()

    return multiply


def list_cuda(device: torch.device) -> list[torch.device]:
    """List the device whose generator is used beside the CPU's."""
    return [device] if device.type == "cuda" else []
