"""One checkpoint: its features, its scores, and its file.

In: a network, a function that loads one, or features. Out: what `encode_layers` gives of it, read
from disk where the same request wrote it before.
"""

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import xarray as xr

from neuroalign import features, provenance, storage
from neuroalign._formats import hash_file
from neuroalign.align.matching import match
from neuroalign.convergence.controls import shuffle_weights
from neuroalign.convergence.layers import encode_layers
from neuroalign.errors import LoadError, NeuroalignWarning, SchemaError

# What other rooms advise -> what helps where their options cannot be passed.
ADVICE = {
    "Pass how='inner' to drop those samples.": "Show those stimuli too, or drop those samples.",
    "Use preprocess= to crop or resize.": "Crop or resize stimuli before.",
    "Use preprocess= to resize them.": "Resize them before.",
    "Use preprocess= to give all stimuli one shape.": "Give all stimuli one shape before.",
}


@dataclass(frozen=True)
class Request:
    """What every checkpoint is asked: ``encoding`` options go to `encode_layers`."""

    stimuli: Any
    responses: xr.DataArray
    layers: Any
    pool: str | None
    device: str
    encoder: Any
    encoding: dict[str, Any]
    folder: Path | None
    key: str


def sort_steps(checkpoints: Mapping[Any, Any]) -> list[float]:
    """Put training steps in order.

    Raises
    ------
    SchemaError
    """
    words = [step for step in checkpoints if isinstance(step, str)]
    if words or len(checkpoints) < 2:
        what = f"'{words[0]}'" if words else f"{len(checkpoints)} checkpoints"
        raise SchemaError(
            f"checkpoints: expected two or more, named by their training step, got {what}. "
            "Use a dict of numbers to networks."
        )
    return sorted(checkpoints)


def sign_stimuli(stimuli: Any) -> str:
    """Hash what is shown, arrays and files, by content."""
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(stimuli, xr.DataArray):
        return provenance.hash_array(stimuli)
    for name, one in (stimuli or {}).items():
        digest.update(str(name).encode())
        if isinstance(one, str | Path):
            digest.update((hash_file(Path(one)) if Path(one).is_file() else str(one)).encode())
        else:
            digest.update(provenance.hash_array(np.asarray(one)).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Job:
    """One checkpoint, what it is called, and the seed that shuffles its weights, if any."""

    label: str
    checkpoint: Any
    shuffled: int | None = None


def _spell_code(code: CodeType) -> str:
    """What a function does, without where it stands."""
    constants = [
        _spell_code(one) if isinstance(one, CodeType)
        # Sets have no order.
        else str(sorted(map(repr, one))) if isinstance(one, frozenset)
        else repr(one)
        for one in code.co_consts
    ]  # fmt: skip
    return " ".join([code.co_code.hex(), *code.co_names, *code.co_varnames, *constants])


def sign_network(model: Any) -> str:
    """Hash what a network makes of its weights: its layers, and the methods of their classes.

    Classes of torch are known by their names, and by the version of torch in every request.
    """
    # Addresses in memory change with runs.
    parts = [re.sub(r" at 0x[0-9a-f]+", "", repr(model))]
    kinds = [kind for layer in model.modules() for kind in type(layer).__mro__]
    for kind in dict.fromkeys(kinds):
        if kind is not object and not kind.__module__.startswith("torch."):
            parts.append(kind.__qualname__)
            parts += [
                f"{name} {_spell_code(one.__code__)}"
                for name, one in sorted(vars(kind).items())
                if isinstance(one, FunctionType)
            ]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _widen(weight: Any) -> Any:
    """Single precision for what is narrower, which may have no type in numpy."""
    return weight.float() if weight.is_floating_point() and weight.itemsize < 4 else weight


def _sign_checkpoint(checkpoint: Any) -> str:
    """Hash features, or a network; a function that says no more is known by its step alone."""
    if isinstance(checkpoint, Mapping):
        return " ".join(f"{name} {provenance.hash_array(one)}" for name, one in checkpoint.items())
    if hasattr(checkpoint, "state_dict"):
        state = {name: one.detach().cpu() for name, one in checkpoint.state_dict().items()}
        said = [
            f"{name} {one.dtype} {provenance.hash_array(_widen(one).numpy())}"
            for name, one in state.items()
        ]
        return " ".join([sign_network(checkpoint), *said])
    return str(checkpoint.sign()) if hasattr(checkpoint, "sign") else "function"


def read_checkpoint(checkpoint: Any, name: str) -> Any:
    """Give features or a network; a function is called to load one.

    Raises
    ------
    SchemaError
    """
    if isinstance(checkpoint, Mapping) or hasattr(checkpoint, "state_dict"):
        return checkpoint
    if isinstance(checkpoint, str | Path):
        raise SchemaError(
            f"{name}: expected a network or a function that loads one, got the path "
            f"'{checkpoint}'. Pass what convergence.list_checkpoints(files, network) gives."
        )
    if not callable(checkpoint):
        raise SchemaError(
            f"{name}: expected a torch.nn.Module, a function that loads one, or a mapping of layer "
            f"to features, got {type(checkpoint).__name__}."
        )
    return read_checkpoint(checkpoint(), name)


def do_job(request: Request, job: Job) -> xr.Dataset | None:
    """Encode one checkpoint as it is, or with its weights shuffled; None if it has no weights."""
    if job.shuffled is None:
        return encode_checkpoint(request, job.checkpoint, job.label)
    model = read_checkpoint(job.checkpoint, f"checkpoints[{job.label}]")
    if isinstance(model, Mapping):
        return None
    return encode_checkpoint(request, shuffle_weights(model, seed=job.shuffled), job.label)


@contextmanager
def _advise() -> Iterator[None]:
    """Say what helps here, where a message advises an option that `trace` has not."""
    try:
        yield
    except ValueError as error:
        said = text = str(error)
        for theirs, ours in ADVICE.items():
            said = said.replace(theirs, ours)
        if said == text:
            raise
        raise type(error)(said) from error


def _check_learnt(found: Mapping[Any, Any], checkpoint: Any, label: str) -> None:
    file = getattr(checkpoint, "path", None)
    for name, one in found.items():
        if isinstance(one, xr.DataArray) and not np.isfinite(one.values).all():
            raise ValueError(
                f"checkpoints[{label}]{'' if file is None else f' ({file})'}: expected finite "
                f"features, got NaN or infinity in layer '{name}'. Its training may have diverged: "
                "leave this step out."
            )


def encode_checkpoint(request: Request, checkpoint: Any, label: str) -> xr.Dataset:
    """Encode one checkpoint, or read what the same request wrote of it."""
    key = provenance.collect({"request": request.key, "checkpoint": _sign_checkpoint(checkpoint)})
    path = None if request.folder is None else request.folder / f"{label}.nc"
    if path is not None and path.exists():
        try:
            known: xr.Dataset = storage.load(path)
        except LoadError as error:
            warnings.warn(
                f"{path}: expected the result of a checkpoint, got '{error}'. It is computed anew.",
                NeuroalignWarning,
                stacklevel=3,
            )
        else:
            if known.attrs.get("request") == key:
                return known
            raise FileExistsError(
                f"{path}: expected the result of the same request, got one of other stimuli, "
                "responses, weights or options. Choose another folder, or delete this one."
            )
    model = read_checkpoint(checkpoint, f"checkpoints[{label}]")
    found = model
    if not isinstance(model, Mapping):
        with _advise():
            found = features.extract(
                model, request.stimuli, request.layers, pool=request.pool, device=request.device,
                progress=False,
            )  # fmt: skip
    _check_learnt(found, checkpoint, label)
    with _advise():
        rows = {str(name): match(one, request.responses)["features"] for name, one in found.items()}
    result = encode_layers(rows, request.responses, request.encoder, **request.encoding)
    result.attrs["request"] = key
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.save(result, path, overwrite=True)
    return result
