"""Values on neuroids as rows of an image to be written."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError


def take_rows(values: Any) -> npt.NDArray[np.float32]:
    """Take float32 values (neuroid,) or (sample, neuroid), neuroids last however they came.

    Raises
    ------
    SchemaError
        When it is no DataArray, or has other dims.
    """
    if not isinstance(values, xr.DataArray):
        raise SchemaError(
            f"values: expected a DataArray, got {type(values).__name__}. "
            "Pick one variable, such as result['mean_score']."
        )
    if "neuroid" not in values.dims or values.ndim > 2:
        raise SchemaError(
            f"values: expected dims (neuroid,) or (sample, neuroid), got {values.dims}. "
            "Select one time, or average over it."
        )
    if "neuroid" in values.coords and not values.indexes["neuroid"].is_unique:
        raise SchemaError(
            "values: expected each neuroid once, got some twice, of which one value would be lost. "
            "Average or drop the copies."
        )
    # By name: as many samples as neuroids would hide a transposed array.
    rows: npt.NDArray[np.float32] = values.transpose(..., "neuroid").values.astype(np.float32)
    return rows
