"""What comes back from netCDF and zarr as it went in: dtypes, names and attrs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError

# Attrs that the formats read as instructions, and take away or apply.
RESERVED = (
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "coordinates",
    "dtype",
    "calendar",
)


def check_storable(array: xr.DataArray | xr.Dataset, name: str) -> None:
    """Check that nothing of an object would be lost or changed in a file.

    Parameters
    ----------
    array : DataArray or Dataset
    name : str
        Argument named in the message.

    Raises
    ------
    SchemaError
    """
    variables: dict[Any, Any] = dict(array.coords)
    if isinstance(array, xr.Dataset):
        variables |= dict(array.data_vars)
    for key in [*variables, *array.dims]:
        if "/" in str(key):
            raise SchemaError(f"{name}: expected names without '/', got '{key}'. Escape it.")
    for key, variable in variables.items():
        if not isinstance(variable.dtype, np.dtype) or variable.dtype == object:
            raise SchemaError(
                f"{name}: expected coord '{key}' as strings or numbers, got dtype {variable.dtype} "
                "(a MultiIndex, categories or mixed types). Use reset_index, or schema.as_labels."
            )
        if variable.dtype.kind in "mM":
            raise SchemaError(
                f"{name}: expected coord '{key}' as numbers of seconds, got {variable.dtype}. "
                "Subtract the start and divide by one second."
            )
        _check_attrs(variable.attrs, f"{name}.{key}")
    _check_attrs(array.attrs, name)


def _check_attrs(attrs: Mapping[Any, Any], name: str) -> None:
    for key, value in attrs.items():
        if key in RESERVED:
            raise SchemaError(
                f"{name}: expected attrs that files keep, got '{key}', which netCDF and zarr take "
                "as an instruction. Rename it."
            )
        items = value if isinstance(value, list | tuple) else [value]
        good = all(
            isinstance(item, int | float | np.number) and not isinstance(item, bool)
            for item in items
        )
        if not (good or isinstance(value, str)):
            raise SchemaError(
                f"{name}: expected attrs as str, int, float or flat numeric list, "
                f"got {type(value).__name__} in attrs['{key}']. Write it as a string."
            )
