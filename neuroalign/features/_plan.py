"""What an extraction will give: shapes, labels and bytes, known before the work is done."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.schema import SCHEMA_VERSION, add_history

DIMS = {2: ("sample", "feature"), 3: ("sample", "token", "feature")}


@dataclass(frozen=True)
class LayerPlan:
    """One layer: its shape (sample[, token], feature), its map and its attrs.

    ``grid`` holds the rows and columns of a map whose places became tokens.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    attrs: dict[str, str | int]
    grid: tuple[int, int] | None = None

    @property
    def n_bytes(self) -> int:
        """Size of the whole array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Plan:
    """All layers over one list of stimuli."""

    labels: list[str]
    batch_size: int
    history: str
    layers: list[LayerPlan] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Size of all layers together."""
        return sum(layer.n_bytes for layer in self.layers)

    def batch(self, index: int) -> slice:
        """Rows of one batch."""
        start = index * self.batch_size
        return slice(start, min(start + self.batch_size, len(self.labels)))


def count_batches(n_samples: int, batch_size: int) -> int:
    """Count the batches, the last one perhaps shorter."""
    return -(-n_samples // batch_size)


def label_features(values: Any, plan: Plan, layer: LayerPlan) -> xr.DataArray:
    """Put labels on the features of one layer.

    Parameters
    ----------
    values : array (sample[, token], feature), numpy or dask
    plan : Plan
    layer : LayerPlan

    Returns
    -------
    DataArray (sample[, token], feature)
    """
    coords: dict[str, Any] = {"stimulus": ("sample", np.array(plan.labels, dtype=np.str_))}
    if layer.grid is not None:
        row, column = np.divmod(np.arange(layer.shape[1]), layer.grid[1])
        coords |= {"row": ("token", row), "column": ("token", column)}
    attrs = {
        "kind": "features",
        "modality": "model",
        "schema_version": SCHEMA_VERSION,
        **layer.attrs,
    }
    array = xr.DataArray(
        values, dims=DIMS[len(layer.shape)], coords=coords, attrs=attrs, name="features"
    )
    return add_history(array, plan.history)
