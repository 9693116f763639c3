"""The numbers behind a figure, one row a value, for readers who want to draw it again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError, some
from neuroalign.report._blocks import Cell, Table

MOST_VALUES = 5000
# Labels that say more than the name of a place along its dim.
TOLD = {
    "neuroid": ("subject", "roi", "region", "hemisphere", "vertex", "i", "j", "k", "channel_type"),
    "pair": ("first", "second"),
    "sample": ("stimulus", "run", "onset"),
}


def to_cell(value: Any) -> Cell:
    """Turn one value into a cell: six digits of a number, None where there is none.

    Parameters
    ----------
    value : scalar

    Returns
    -------
    str, int, float or None
    """
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return str(value)


def lay_out(title: str, arrays: Mapping[str, xr.DataArray], caption: str = "") -> Table:
    """Make a table of arrays: a row for each place along their dims, a column for each array.

    Parameters
    ----------
    title : str
    arrays : mapping of str to DataArray
        Of one result: what dims they share must have the same labels.
    caption : str

    Returns
    -------
    Table
        At most the first 5000 rows; the caption says so when there are more.
    """
    full = dict(zip(arrays, xr.broadcast(*arrays.values()), strict=True))
    first = next(iter(full.values()))
    n = first.size
    kept = np.arange(min(n, MOST_VALUES))
    unfold = n > 0 and first.ndim > 0
    where = np.unravel_index(kept, first.shape) if unfold else (kept,) * first.ndim
    columns: dict[str, Any] = {}
    for dim, places in zip(map(str, first.dims), where, strict=True):
        columns[dim] = first[dim].values[places] if dim in first.coords else places
        for name in TOLD.get(dim, ()):
            if name in first.coords and first[name].dims == (dim,):
                columns[name] = first[name].values[places]
    for name, array in full.items():
        columns[name] = array.values[tuple(where)] if first.ndim else array.values[None]
    rows = tuple(
        tuple(to_cell(value) for value in row) for row in zip(*columns.values(), strict=True)
    )
    cut = f"The first {MOST_VALUES} of {n} rows." if n > MOST_VALUES else ""
    return Table(title, tuple(columns), rows, " ".join(filter(None, (caption, cut))))


def tabulate_variables(title: str, result: xr.Dataset, *names: str) -> Table:
    """Make a table of the variables that are there, over the dims of the one that has most.

    Parameters
    ----------
    title : str
    result : Dataset
    *names : str
        Variables or coords; one with a dim that the largest lacks is left out.

    Returns
    -------
    Table

    Raises
    ------
    SchemaError
        When none is there.
    """
    known = [name for name in names if name in result.variables]
    if not known:
        raise SchemaError(
            f"result: expected one of {some(names)}, got {some(result.data_vars)}. "
            "Pass the result as it was returned."
        )
    largest = max(known, key=lambda name: result[name].ndim)
    dims = set(result[largest].dims)
    fitting = {name: result[name] for name in known if set(result[name].dims) <= dims}
    return lay_out(title, fitting)
