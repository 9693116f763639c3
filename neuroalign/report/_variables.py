"""What a figure needs of a result: said before anything is drawn."""

from typing import Any

import xarray as xr

from neuroalign.errors import SchemaError, some


def check_variables(result: Any, wanted: tuple[str, ...], made_by: str) -> xr.Dataset:
    """Check that a result holds what a figure draws.

    Parameters
    ----------
    result : Dataset
    wanted : tuple of str
        Variables or coords.
    made_by : str
        The function whose result it should be, for the message.

    Returns
    -------
    Dataset
        The same.

    Raises
    ------
    SchemaError
        When it is no Dataset or lacks one of them.
    """
    known = set(map(str, result.variables)) if isinstance(result, xr.Dataset) else set()
    missing = [name for name in wanted if name not in known]
    if missing:
        raise SchemaError(
            f"result: expected {some(wanted, 20)}, got none of {some(missing, 20)}. "
            f"Take it from {made_by}."
        )
    found: xr.Dataset = result
    return found
