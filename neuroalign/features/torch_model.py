"""Features from the layers of a torch network, in memory or streamed to disk."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign._device import resolve_device
from neuroalign._hooks import capture_layers, resolve_layers
from neuroalign.errors import choose, require
from neuroalign.features._forward import DTYPES, POOLS, Extraction
from neuroalign.features._plan import Plan, label_features
from neuroalign.features._runtime import evaluating
from neuroalign.features._stimuli import Source, as_stimuli
from neuroalign.features._store import FolderSink

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]

MEMORY_BUDGET = 4 * 1024**3


class _MemorySink:
    """Collect batches in arrays of their final size, within a budget."""

    def __init__(self, memory_budget: int) -> None:
        self.memory_budget = memory_budget
        self.plan: Plan | None = None
        self.done: list[int] = []
        self.features: dict[str, xr.DataArray] = {}

    def prepare(self, plan: Plan) -> None:
        if plan.n_bytes > self.memory_budget:
            largest = max(plan.layers, key=lambda layer: layer.n_bytes)
            raise MemoryError(
                f"memory_budget: expected at most {self.memory_budget:,} bytes, got "
                f"{plan.n_bytes:,} (the largest layer is '{largest.name}' {largest.shape}). "
                "Use store= to stream to disk, reduce= or pool= for fewer features, "
                "or raise memory_budget."
            )
        self.features = {
            layer.name: label_features(np.empty(layer.shape, layer.dtype), plan, layer)
            for layer in plan.layers
        }

    def write(self, plan: Plan, batch: int, outputs: Mapping[str, Array]) -> None:
        for layer, values in outputs.items():
            self.features[layer].values[plan.batch(batch)] = values

    def finish(self) -> dict[str, xr.DataArray]:
        return self.features


def _check_reduce(reduce: Any) -> None:
    if reduce is None or getattr(reduce, "data_independent", False) is True:
        return
    raise ValueError(
        f"reduce: expected a projection that learns nothing from the data, got "
        f"{type(reduce).__name__}. Use features.SparseProjection here, and put fitted steps (PCA) "
        "into the pipeline that is fitted inside the folds."
    )


def extract(
    model: nn.Module,
    stimuli: Source,
    layers: str | Sequence[str],
    *,
    store: str | PathLike[str] | None = None,
    dtype: str = "float32",
    pool: str | None = None,
    reduce: Any = None,
    batch_size: int = 32,
    device: str = "cpu",
    preprocess: Callable[[torch.Tensor], Any] | None = None,
    progress: bool = True,
    memory_budget: int = MEMORY_BUDGET,
    seed: int = 0,
) -> dict[str, xr.DataArray]:
    """Show stimuli to a network and keep what its layers answer.

    Parameters
    ----------
    model : torch.nn.Module
        Put in evaluation mode and on ``device`` for the time of the call, then given back with
        the training flag of every module as it was.
    stimuli : mapping of str to path or array, or DataArray with ``stimulus`` on its first dim
        Image files (8 bits a channel, read as RGB), uint8 (row, column, channel), or float
        (channel, row, column) passed on as they are. The network sees float32, images in 0 to 1.
    layers : str or sequence of str
        Names, globs, or ``"all"`` for the modules without children. A name that takes no part in
        the forward pass is an error; one that only a glob or ``"all"`` matched is left out with
        a warning. A layer called several times in a pass gives its last output.
    store : path, optional
        Folder to stream to: one sharded zarr array a layer, one batch in memory at a time. The
        same call resumes it after a kill, to the same bits. One process at a time.
    dtype : {"float32", "float16", "float64"}
        Type kept; the forward pass runs in the types of the model.
    pool : {None, "flatten", "mean", "tokens"}
        None and ``"flatten"`` give (sample, feature). ``"mean"`` averages over places (or
        tokens). ``"tokens"`` gives (sample, token, feature), with ``row`` and ``column`` for maps
        (sample, channel, row, column).
    reduce : SparseProjection, optional
        Applied to the last dim. Any object that carries ``data_independent = True``.
    batch_size : int
        Stimuli in one forward pass.
    device : {"cpu", "cuda", "mps", "auto"}
    preprocess : callable, optional
        One stimulus (tensor) in, one tensor or array out: resize, crop, normalise.
    progress : bool
        Show the bytes foreseen and a bar.
    memory_budget : int
        Largest total of the results without ``store``, in bytes.
    seed : int
        For networks that draw numbers. Each batch has its own stream, so that such networks
        depend on ``batch_size``; all others do not, within 1e-5.

    Returns
    -------
    dict of str to DataArray (sample[, token], feature)
        In the order of ``layers``, samples in the order of ``stimuli``. attrs: ``model``,
        ``layer``, ``layer_order`` (position among ``model.named_modules()``), ``preprocessing``.
        With ``store``, dask-backed.

    Raises
    ------
    ValueError
        For an unknown layer, option or device, a layer that never fired, stimuli of several
        shapes, a fitted ``reduce``, or a store of another request.
    LoadError, SchemaError
        For stimuli that cannot be read.
    MemoryError
        When the results exceed ``memory_budget``; nothing but the first batch has run then.

    Examples
    --------
    >>> from neuroalign.models import SmallConvNet
    >>> images = {"noise": np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)}
    >>> layers = extract(SmallConvNet(seed=0), images, ["stages.stage1"], progress=False)
    >>> layers["stages.stage1"].dims
    ('sample', 'feature')
    """
    pool = pool or "flatten"
    choose(POOLS, pool, "pool")
    choose(DTYPES, dtype, "dtype")
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model: expected a torch.nn.Module, got {type(model).__name__}. Build the network "
            "first, for example with torchvision.models or timm."
        )
    _check_reduce(reduce)
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}. Use 32.")
    names = resolve_layers(model, layers)
    exact = {layers} if isinstance(layers, str) else set(layers)
    request = Extraction(
        model,
        as_stimuli(stimuli),
        names,
        frozenset(names) - exact,
        dtype=dtype,
        pool=pool,
        reduce=reduce,
        batch_size=batch_size,
        device=resolve_device(device),
        preprocess=preprocess,
        seed=seed,
    )
    sink: FolderSink | _MemorySink = _MemorySink(memory_budget)
    if store is not None:
        sink = FolderSink(Path(store), request.key(), len(request.rows))
    with evaluating(model, request.device):
        _fill(request, sink, progress)
    return sink.finish()


def _fill(request: Extraction, sink: FolderSink | _MemorySink, progress: bool) -> None:
    """Compute the batches that are not done yet; the first one settles the plan."""
    plan = sink.plan
    if plan is not None:
        request.follow(plan)
    pending = [batch for batch in range(len(request.rows)) if batch not in set(sink.done)]
    with capture_layers(request.model, request.names) as captured:
        for batch in tqdm(pending, desc="features", unit="batch", disable=not progress):
            outputs = request.run(captured, request.rows[batch])
            if plan is None:
                plan = request.plan(outputs)
                if progress:
                    tqdm.write(f"features: {len(plan.layers)} layers, {plan.n_bytes:,} bytes")
                sink.prepare(plan)
            _check_shapes(plan, batch, outputs)
            sink.write(plan, batch, {name: values for name, (values, _) in outputs.items()})


def _check_shapes(plan: Plan, batch: int, outputs: Mapping[str, tuple[Array, Any]]) -> None:
    for layer in plan.layers:
        shape = outputs[layer.name][0].shape[1:]
        if shape != layer.shape[1:]:
            raise ValueError(
                f"stimuli: expected layer '{layer.name}' to give {layer.shape[1:]} for each, got "
                f"{shape} from '{plan.labels[plan.batch(batch).start]}' on. "
                "Use preprocess= to give all stimuli one shape."
            )
