"""Weights from files into networks: tensors by name, and nothing that is executed.

In: a network, and a file that ``torch.save(net.state_dict(), ...)`` or safetensors wrote. Out: a
copy of the network that holds them. To add a format: a function ``(path) -> tensors by name``, and
its row in ``READERS``.
"""

import copy
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from neuroalign.errors import LoadError, choose, require, some

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

State = Mapping[str, Any]
# Under what names training scripts keep the weights beside other things.
NESTED = ("state_dict", "model_state_dict", "model")
PREFIX = "module."


def _read_torch(path: Path) -> Any:
    try:
        # Mapped files are read where they are used: looking at names costs nothing.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:
        # Files from before torch 1.6, and damaged ones.
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    safetensors: Any = require("safetensors.torch", "text")
    return safetensors.load_file(path)


READERS: dict[str, Callable[[Path], Any]] = {
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".safetensors": _read_safetensors,
}


def _read_state(path: Path) -> State:
    read = choose(READERS, path.suffix, f"{path.name}: ending")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of weights, got none. Check the path.")
    try:
        found = read(path)
    except UnpicklingError as error:
        raise LoadError(
            f"{path}: expected tensors by name, got a pickle that holds other things, which was "
            "not executed. Save net.state_dict(), not the network."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise LoadError(_describe_damage(path, error)) from error
    except Exception as error:
        # The error of safetensors has no base but Exception, and the library may be absent.
        if type(error).__name__ != "SafetensorError":
            raise
        raise LoadError(_describe_damage(path, error)) from error
    for name in NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not any(map(torch.is_tensor, found.values())):
        raise LoadError(
            f"{path}: expected tensors by name, got {type(found).__name__} without tensors. Save "
            "net.state_dict()."
        )
    return found


def _describe_damage(path: Path, error: Exception) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no content")
    return (
        f"{path}: expected a whole file of weights, got {type(error).__name__} "
        f"({reason.rstrip('.')}). Copy or save it again."
    )


def fit_state(model: nn.Module, path: Path) -> State:
    """Read tensors that have the names and shapes of a network's.

    Raises
    ------
    FileNotFoundError, LoadError, MissingExtraError, ValueError
    """
    state, own = _read_state(path), model.state_dict()
    if all(name.startswith(PREFIX) for name in state) and not any(
        name.startswith(PREFIX) for name in own
    ):
        # Networks trained on several devices were wrapped.
        state = {name.removeprefix(PREFIX): one for name, one in state.items()}
    missing = [name for name in own if name not in state]
    extra = [name for name in state if name not in own]
    if missing or extra:
        said = [f"missing {some(missing)}"] * bool(missing)
        said += [f"unexpected {some(extra)}"] * bool(extra)
        raise LoadError(
            f"{path}: expected the {len(own)} tensors of {type(model).__name__}, got "
            f"{len(state)}: {'; '.join(said)}. Pass the network that was trained."
        )
    for name, one in own.items():
        shape, wanted = getattr(state[name], "shape", None), getattr(one, "shape", None)
        if shape != wanted:
            raise LoadError(
                f"{path}: expected '{name}' of shape {tuple(wanted or ())}, got "
                f"{tuple(shape or ())}. Pass a network of the same sizes."
            )
    return state


def check_weights(model: nn.Module, path: str | PathLike[str]) -> None:
    """Check that a file holds the weights of a network, by their names and shapes.

    Parameters
    ----------
    model : torch.nn.Module
    path : path

    Raises
    ------
    FileNotFoundError, LoadError, MissingExtraError, ValueError

    Examples
    --------
    >>> check_weights(nn.Linear(2, 1), "missing.pt")
    Traceback (most recent call last):
    FileNotFoundError: missing.pt: expected a file of weights, got none. Check the path.
    """
    fit_state(model, Path(path))


def load_weights(model: nn.Module, path: str | PathLike[str]) -> nn.Module:
    """Put the weights of a file into a copy of a network.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    path : path
        ``.pt``, ``.pth`` or ``.bin`` with a state dict (also one kept under ``state_dict``,
        ``model_state_dict`` or ``model`` beside an optimiser's), or ``.safetensors``. Names may
        carry the prefix ``module.`` of networks trained on several devices.

    Returns
    -------
    torch.nn.Module
        On the device and in the types of ``model``.

    Raises
    ------
    FileNotFoundError
    LoadError
        For a damaged file, one that is no state dict (a pickled network is never executed), or
        tensors whose names or shapes are not those of the network.
    MissingExtraError
    ValueError
        For another ending.

    Examples
    --------
    >>> import tempfile
    >>> net = nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(net.state_dict(), f"{folder}/net.pt")
    ...     found = load_weights(nn.Linear(2, 1), f"{folder}/net.pt")
    >>> bool((found.weight == net.weight).all())
    True
    """
    state = fit_state(model, Path(path))
    loaded = copy.deepcopy(model)
    loaded.load_state_dict(state)
    return loaded
