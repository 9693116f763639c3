"""What every measure here starts from and ends with: a bare matrix, and a signed result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import SchemaError
from neuroalign.schema import SCHEMA_VERSION

Array = npt.NDArray[Any]
Matrix = Array | xr.DataArray
Parameter = str | float | bool | list[str]


def as_matrix(X: Any, name: str = "X", at_least: int = 2) -> Array:
    """Take the numbers (sample, unit) of an array or DataArray, in float64.

    Raises
    ------
    SchemaError
        When it has not two dims, too few rows, no columns or missing values.
    """
    values = np.asarray(X, dtype=np.float64)
    if values.ndim != 2:
        dims = X.dims if isinstance(X, xr.DataArray) else f"shape {values.shape}"
        raise SchemaError(
            f"{name}: expected two dims (sample, unit), got {dims}. "
            "Select one time point or token, or pool them."
        )
    if values.shape[0] < at_least or not values.shape[1]:
        raise SchemaError(
            f"{name}: expected at least {at_least} samples and 1 unit, got {values.shape[0]} and "
            f"{values.shape[1]}. Use more."
        )
    if not np.isfinite(values).all():
        raise SchemaError(
            f"{name}: expected finite values, got {np.count_nonzero(~np.isfinite(values))} "
            "missing or infinite. Drop those rows or units."
        )
    return values


def as_layers(X: Matrix | Mapping[str, Matrix], name: str = "X") -> dict[str, Matrix]:
    """Name matrices by layer; one alone has the empty name.

    Raises
    ------
    ValueError
        When there is no layer.
    """
    if not isinstance(X, Mapping):
        return {"": X}
    if not X:
        raise ValueError(f"{name}: expected at least one layer, got an empty dict. Name some.")
    return {str(layer): matrix for layer, matrix in X.items()}


def check_draws(shares: Sequence[float], n_draws: int) -> None:
    """Check shares of the samples, and how many subsets are drawn of each.

    Raises
    ------
    ValueError
    """
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(
            f"shares: expected numbers above 0 up to 1, got {tuple(shares)}. Use (0.5, 1)."
        )
    if n_draws < 1:
        raise ValueError(f"n_draws: expected 1 or more, got {n_draws}. 5 is usual.")


def join_layers(rows: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Stack the numbers of layers on the dim ``layer``; those of one matrix stay as they are."""
    if list(rows) == [""]:
        return rows[""]
    labels = xr.DataArray(np.array(list(rows)), dims="layer", name="layer")
    return xr.concat(list(rows.values()), labels, join="outer", combine_attrs="drop")


def sign(
    result: xr.Dataset,
    method: str,
    inputs: Mapping[str, Any],
    parameters: Mapping[str, Parameter],
    headline: str,
    verdict: str = "",
) -> xr.Dataset:
    """Say of a result what made it and what it shows: method, parameters, inputs, headline.

    Parameters
    ----------
    result : Dataset
    method : str
    inputs : mapping of str to array or DataArray
    parameters : mapping
        ``seed`` and ``n`` too.
    headline : str
        The variable that matters most.
    verdict : str
        What it shows, in a sentence, where its median alone would not say it.
    """
    hashes = {
        name: provenance.hash_array(array if isinstance(array, xr.DataArray) else np.asarray(array))
        for name, array in inputs.items()
    }
    plain = {key: value for key, value in parameters.items() if not isinstance(value, bool | list)}
    return result.assign_attrs(
        {
            "kind": "estimate",
            "method": method,
            "headline": headline,
            **({"verdict": verdict} if verdict else {}),
            **plain,
            **{key: int(value) for key, value in parameters.items() if isinstance(value, bool)},
            "schema_version": SCHEMA_VERSION,
            "provenance": provenance.collect({"method": method, **parameters}, hashes),
        }
    )
