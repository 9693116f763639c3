"""Ordered steps (layers, times, checkpoints) as a list of matrices, and the labels of the steps.

In: a mapping, a DataArray or an array. Out: float64 (row, unit) matrices over the same rows.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry._matrices import check_stimuli

Array = npt.NDArray[Any]
UNIT_DIMS = ("neuroid", "feature", "latent")


class Steps(NamedTuple):
    """``matrices`` (step) of (row, unit), ``labels`` (step,) and what the steps are called."""

    matrices: list[Array]
    labels: Array
    name: str

    def stack(self, argument: str) -> Array:
        """Give (step, row, unit), or say that widths differ."""
        widths = sorted({matrix.shape[1] for matrix in self.matrices})
        if len(widths) > 1:
            raise SchemaError(
                f"{argument}: expected steps of one width, got {widths} units. "
                "Use measure='cka', or project all to one width."
            )
        return np.stack(self.matrices)

    def inputs(self) -> dict[str, Array]:
        """Name the matrices, for the provenance."""
        return {str(label): m for label, m in zip(self.labels, self.matrices, strict=True)}


def read_steps(activations: Any, over: str, argument: str = "activations") -> Steps:
    """Read ordered steps.

    Parameters
    ----------
    activations : mapping of str to array (sample, unit), DataArray with dim ``over``, or array
        (step, sample, unit). Dims between sample and unit (tokens) become rows.
    over : str
        Name of the dim of steps.
    argument : str
        Named in messages.

    Raises
    ------
    SchemaError
        On fewer than two steps, missing dims or values that are not finite.
    AlignError
        When steps have other samples.
    """
    if isinstance(activations, Mapping):
        parts, labels = list(activations.values()), np.array(list(activations))
        check_stimuli(activations, argument)
    elif isinstance(activations, xr.DataArray):
        parts, labels = _take_apart(activations, over, argument)
    else:
        values = np.asarray(activations)
        if values.ndim not in (3, 4):
            raise SchemaError(
                f"{argument}: expected (step, sample, unit), got shape {values.shape}. "
                "Stack the steps on the first axis."
            )
        parts, labels = list(values), np.arange(len(values))
    if len(parts) < 2:
        raise SchemaError(f"{argument}: expected at least 2 steps, got {len(parts)}. Add steps.")
    matrices = [_as_matrix(p, f"{argument}[{k}]") for k, p in zip(labels, parts, strict=True)]
    counts = sorted({len(matrix) for matrix in matrices})
    if len(counts) > 1:
        raise AlignError(
            f"{argument}: expected the same samples in every step, got {counts} rows. "
            "Use the same stimuli for every step."
        )
    return Steps(matrices, labels, over)


def _take_apart(array: xr.DataArray, over: str, argument: str) -> tuple[list[Array], Array]:
    if over not in array.dims:
        raise SchemaError(
            f"{argument}: expected dim '{over}', got {tuple(array.dims)}. Name it by over=."
        )
    unit = next((dim for dim in array.dims if dim in UNIT_DIMS), array.dims[-1])
    array = array.transpose(over, ..., unit)
    labels = array[over].values if over in array.coords else np.arange(array.sizes[over])
    values = np.asarray(array.values)
    # Samples that are steps themselves (a recording): one row a step.
    return list(values[:, None] if values.ndim == 2 else values), labels


def _as_matrix(values: Any, argument: str) -> Array:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim < 2:
        raise SchemaError(
            f"{argument}: expected (sample, unit), got shape {matrix.shape}. Reshape it."
        )
    matrix = matrix.reshape(-1, matrix.shape[-1])
    if not np.isfinite(matrix).all():
        raise SchemaError(
            f"{argument}: expected finite values, got {int((~np.isfinite(matrix)).sum())} that "
            "are not. Drop those rows or units."
        )
    return matrix
