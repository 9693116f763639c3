"""One batch of stimuli through a network: layers in, bare arrays of features out."""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from neuroalign._hooks import check_fired
from neuroalign.errors import NeuroalignWarning, require, some
from neuroalign.features._plan import LayerPlan, Plan, count_batches
from neuroalign.features._runtime import digest_model, name_preprocessing, seeded
from neuroalign.features._stimuli import StimulusSet

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
Grid = tuple[int, int] | None

DTYPES = {"float32": np.float32, "float16": np.float16, "float64": np.float64}


def _flatten(output: torch.Tensor, layer: str) -> tuple[torch.Tensor, Grid]:
    return output.flatten(1) if output.ndim > 1 else output[:, None], None


def _average(output: torch.Tensor, layer: str) -> tuple[torch.Tensor, Grid]:
    if output.ndim == 3:
        return output.mean(1), None
    return (output.flatten(2).mean(2), None) if output.ndim > 3 else _flatten(output, layer)


def _as_tokens(output: torch.Tensor, layer: str) -> tuple[torch.Tensor, Grid]:
    if output.ndim == 4:
        return output.flatten(2).transpose(1, 2), (output.shape[2], output.shape[3])
    if output.ndim == 3:
        return output, None
    raise ValueError(
        f"pool: expected layer '{layer}' to give (sample, channel, row, column) or (sample, "
        f"token, feature) for 'tokens', got {tuple(output.shape)}. Leave the layer out."
    )


POOLS: dict[str, Callable[[torch.Tensor, str], tuple[torch.Tensor, Grid]]] = {
    "flatten": _flatten,
    "mean": _average,
    "tokens": _as_tokens,
}


class Extraction:
    """One request: how a batch of stimuli becomes arrays of features."""

    def __init__(
        self,
        model: nn.Module,
        stimuli: StimulusSet,
        names: list[str],
        optional: frozenset[str],
        *,
        dtype: str,
        pool: str,
        reduce: Any,
        batch_size: int,
        device: torch.device,
        preprocess: Callable[[torch.Tensor], Any] | None,
        seed: int,
    ) -> None:
        self.model, self.stimuli, self.names, self.optional = model, stimuli, names, optional
        self.dtype, self.pool, self.reduce, self.batch_size = dtype, pool, reduce, batch_size
        self.device, self.preprocess, self.seed = device, preprocess, seed
        self.reducers: dict[str, Any] = {}

    @property
    def rows(self) -> list[range]:
        """Row numbers of each batch."""
        n_samples, size = len(self.stimuli), self.batch_size
        return [
            range(index * size, min((index + 1) * size, n_samples))
            for index in range(count_batches(n_samples, size))
        ]

    def follow(self, plan: Plan) -> None:
        """Compute what an earlier run has planned."""
        self.names, self.optional = [layer.name for layer in plan.layers], frozenset()

    def key(self) -> dict[str, str]:
        """Hash everything the features depend on, part by part."""
        parts = {
            "stimuli": self.stimuli.digest(),
            "layers": repr(self.names),
            "model": digest_model(self.model),
            # The first stimulus after preprocessing tells apart functions of the same name.
            "preprocessing": name_preprocessing(self.preprocess)
            + hashlib.sha256(self._load(0).numpy().tobytes()).hexdigest(),
            "dtype": self.dtype,
            "pool": self.pool,
            "reduce": repr(self.reduce),
            "batch_size": str(self.batch_size),
            "seed": str(self.seed),
        }
        return {name: hashlib.sha256(part.encode()).hexdigest() for name, part in parts.items()}

    def _load(self, row: int) -> torch.Tensor:
        image = torch.from_numpy(self.stimuli.read(row))
        if self.preprocess is not None:
            changed = self.preprocess(image)
            if changed is None:
                raise ValueError(
                    "preprocess: expected a tensor or an array back, got None. Return the image."
                )
            image = torch.as_tensor(changed)
        return image.contiguous()

    def _stack(self, rows: range) -> torch.Tensor:
        images = [self._load(row) for row in rows]
        for row, image in zip(rows, images, strict=True):
            if image.shape != images[0].shape:
                raise ValueError(
                    f"stimuli: expected one shape, got {tuple(image.shape)} for "
                    f"'{self.stimuli.labels[row]}' and {tuple(images[0].shape)} for "
                    f"'{self.stimuli.labels[rows[0]]}'. Use preprocess= to resize them."
                )
        return torch.stack(images)

    def run(self, captured: dict[str, torch.Tensor], rows: range) -> dict[str, tuple[Array, Grid]]:
        """Compute one batch: layer -> values (sample[, token], feature) and grid of tokens."""
        captured.clear()
        images = self._stack(rows).to(self.device)
        # Seeded by its first row: a resumed batch draws what it drew before.
        try:
            with seeded(self.device, (self.seed, rows[0])):
                self.model(images)
        except RuntimeError as error:
            raise ValueError(
                f"stimuli: expected a shape that the model takes, got {tuple(images.shape)} for "
                f"the batch from '{self.stimuli.labels[rows[0]]}' on ({error}). "
                "Use preprocess= to crop or resize."
            ) from error
        self._leave_out(captured)
        check_fired(self.model, captured, self.names)
        return {name: self._convert(captured.pop(name), name, len(rows)) for name in self.names}

    def _leave_out(self, captured: Mapping[str, Any]) -> None:
        """Drop what only a glob matched and the first pass did not reach; later ones must."""
        silent = [name for name in self.names if name in self.optional and name not in captured]
        self.optional = frozenset()
        if silent and len(silent) < len(self.names):
            warnings.warn(
                f"layers: expected every matched layer to take part in the forward pass, got "
                f"{some(silent)}, which never fired. They are left out.",
                NeuroalignWarning,
                stacklevel=5,
            )
            self.names = [name for name in self.names if name not in silent]

    def _convert(self, output: torch.Tensor, layer: str, n_rows: int) -> tuple[Array, Grid]:
        if output.ndim == 0 or output.shape[0] != n_rows or output.is_complex():
            raise ValueError(
                f"layers: expected layer '{layer}' to give real numbers with {n_rows} samples "
                f"first, got {tuple(output.shape)} {output.dtype}. Choose a layer with samples "
                "first (batch_first=True)."
            )
        wide = torch.float64 if output.dtype == torch.float64 else torch.float32
        pooled, grid = POOLS[self.pool](output.to(wide), layer)
        values: Array = pooled.cpu().numpy()
        if self.reduce is not None:
            values = self._reduce(values, layer)
        try:
            with np.errstate(over="raise"):
                return values.astype(DTYPES[self.dtype], copy=False), grid
        except FloatingPointError as error:
            raise ValueError(
                f"dtype: expected a type that holds layer '{layer}', got '{self.dtype}', which "
                f"overflows at {np.abs(values).max():.3g}. Use 'float32'."
            ) from error

    def _reduce(self, values: Array, layer: str) -> Array:
        width = values.shape[-1]
        if layer not in self.reducers:
            self.reducers[layer] = clone(self.reduce).fit(np.zeros((1, width), np.float32))
        reduced = self.reducers[layer].transform(values.reshape(-1, width))
        return np.asarray(reduced).reshape(*values.shape[:-1], -1)

    def plan(self, outputs: Mapping[str, tuple[Array, Grid]]) -> Plan:
        """Foresee the whole from a first batch."""
        order = {name: index for index, (name, _) in enumerate(self.model.named_modules())}
        common = {
            "model": type(self.model).__name__,
            "preprocessing": name_preprocessing(self.preprocess),
        }
        layers = [
            LayerPlan(
                name=name,
                shape=(len(self.stimuli), *values.shape[1:]),
                dtype=self.dtype,
                attrs={**common, "layer": name, "layer_order": order[name]},
                grid=grid,
            )
            for name, (values, grid) in outputs.items()
        ]
        history = f"features.extract(pool={self.pool}, reduce={self.reduce!r}, seed={self.seed})"
        return Plan(self.stimuli.labels, self.batch_size, " ".join(history.split()), layers)
