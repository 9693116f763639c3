"""The few numbers of a result that programs ask for."""

from typing import Any

import numpy as np
import xarray as xr

# Tables that are longer are read from the results themselves.
LONGEST = 50
MEANS = ("score", "ceiling", "difference")
# Dims whose rows are data, not a summary.
LARGE = ("neuroid", "sample", "pair")


def pick_numbers(result: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Pick single numbers, short rows, and the means of scores; as JSON holds them.

    Parameters
    ----------
    result : DataArray or Dataset

    Returns
    -------
    dict
        ``name``: a number, None where it is missing; a list for a row without labels, a mapping
        for one with; ``name_mean``: of what ``MEANS`` names, of neuroids, over finite values.
    """
    found: dict[str, Any] = {}
    variables = result.data_vars if isinstance(result, xr.Dataset) else {}
    for name, one in variables.items():
        if one.dtype.kind not in "biuf":
            continue
        if one.ndim == 0:
            found[str(name)] = _as_number(one.values)
        elif one.ndim == 1 and one.size <= LONGEST and one.dims[0] not in LARGE:
            row = [_as_number(value) for value in one.values]
            labels = one.coords.get(one.dims[0])
            named = labels is not None and labels.dtype.kind in "US"
            found[str(name)] = dict(zip(labels.values.tolist(), row, strict=True)) if named else row  # type: ignore[union-attr]
        elif name in MEANS and np.isfinite(one.values).any():
            found[f"{name}_mean"] = _as_number(np.mean(one.values[np.isfinite(one.values)]))
    return found


def _as_number(value: Any) -> float | None:
    """A number; JSON has no word for those that are not finite."""
    return float(value) if np.isfinite(value) else None
