"""Checkpoints of a training run from the files it wrote.

In: files of weights whose names hold the training step, and a network to put them in. Out: what
`trace` takes, one network in memory at a time, known by the content of its file.
"""

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from neuroalign import features
from neuroalign._formats import hash_file
from neuroalign.convergence._checkpoints import sign_network
from neuroalign.errors import LoadError


@dataclass(frozen=True)
class CheckpointFile:
    """A network with the weights of a file, read when called. Travels to other processes.

    Parameters
    ----------
    path : Path
    model : torch.nn.Module
        Holds the layers; its own weights are not used.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> with TemporaryDirectory() as folder:
    ...     torch.save(net.state_dict(), f"{folder}/step-10.pt")
    ...     read = CheckpointFile(Path(folder) / "step-10.pt", net)()
    >>> torch.equal(read.weight, net.weight)
    True
    """

    path: Path
    model: Any

    def __call__(self) -> Any:
        """Read the network."""
        return features.load_weights(self.model, self.path)

    def sign(self) -> str:
        """Say what it is: the hash of the file, and of the network that takes its weights."""
        return f"{hash_file(self.path)} {sign_network(self.model)}"


def _find(files: str | PathLike[str] | Iterable[str | PathLike[str]]) -> list[Path]:
    if not isinstance(files, str | PathLike):
        return [Path(one) for one in files]
    if Path(files).is_dir():
        raise LoadError(
            f"files: expected files, got the folder '{fspath(files)}'. Write "
            f"'{(Path(files) / '*.pt').as_posix()}'."
        )
    found = sorted(glob.glob(fspath(files), recursive=True))
    if not found:
        raise LoadError(
            f"files: expected files that match '{fspath(files)}', got none. Check the folder; "
            "a pattern reads like 'run/step-*.pt'."
        )
    return [Path(one) for one in found]


def list_checkpoints(
    files: str | PathLike[str] | Iterable[str | PathLike[str]],
    model: Any,
    *,
    pattern: str = r"(\d+)",
) -> dict[float, CheckpointFile]:
    """List the weights that a training run kept, by their training step.

    Parameters
    ----------
    files : str, path, or sequence of them
        A pattern such as ``"run/step-*.pt"``, or the files: state dicts (``.pt``, ``.pth``,
        ``.bin``) or ``.safetensors``; see `neuroalign.features.load_weights`.
    model : torch.nn.Module
        The network that was trained, with any weights.
    pattern : str
        Regular expression whose first group is the step; its first match in the file's name
        counts. One with a ``/`` is looked for in the whole path:
        ``r"step(\\d+)/model"``.

    Returns
    -------
    dict of float to CheckpointFile
        In the order of steps; `trace` takes it. Each reads its file when it is called.

    Raises
    ------
    FileNotFoundError, MissingExtraError
    LoadError
        When nothing matches, a name holds no step, two files have the same one, or a file does not
        hold the weights of the network: names and shapes of all are looked at here.
    ValueError
        For a pattern without a group, or that is no regular expression.
    TypeError
        For a class in place of a network.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (1, 10, 100):
    ...         torch.save(net.state_dict(), f"{folder}/step-{step}.pt")
    ...     found = list_checkpoints(f"{folder}/*.pt", net)
    >>> list(found)
    [1.0, 10.0, 100.0]
    """
    if isinstance(model, type) or not hasattr(model, "state_dict"):
        what = model if isinstance(model, type) else type(model)
        raise TypeError(
            f"model: expected a torch.nn.Module, got {'the class ' * (what is model)}"
            f"{what.__name__}. Pass the network that was trained, with any weights."
        )
    try:
        known = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"pattern: expected a regular expression, got '{pattern}' ({error}). Write "
            "r'step-(\\d+)'."
        ) from error
    if known.groups < 1:
        raise ValueError(
            f"pattern: expected a group around the step, got '{pattern}'. Write r'step-(\\d+)'."
        )
    found: dict[float, CheckpointFile] = {}
    for path in _find(files):
        match = known.search(path.as_posix() if "/" in pattern else path.name)
        step = _read_step(match.group(1)) if match else None
        if step is None:
            raise LoadError(
                f"{path}: expected a name with the training step, got nothing that '{pattern}' "
                "finds as a number. Pass another pattern."
            )
        if step in found:
            raise LoadError(
                f"{path}: expected one file a step, got step {step:g} in '{found[step].path.name}' "
                "too. Pass a pattern that finds the step alone, such as r'step-(\\d+)'."
            )
        features.check_weights(model, path)
        found[step] = CheckpointFile(path, model)
    return dict(sorted(found.items()))


def _read_step(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
