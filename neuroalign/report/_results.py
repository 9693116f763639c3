"""What may be shown: objects of the schema, and the way to them for what is none."""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from neuroalign import schema
from neuroalign.errors import SchemaError

# What a foreign object has, and how it becomes one of ours.
FOREIGN = {
    "dissimilarities": "Convert it by rsa.from_rsatoolbox(rdms).",
    "measurements": "Label it by loaders.from_arrays(data.measurements, ...).",
}


def check_shown(result: Any, name: str) -> None:
    """Refuse what has no screen: bare numbers, mappings, foreign objects, unnamed kinds.

    Parameters
    ----------
    result : Any
    name : str
        The argument, or the name it was given, in messages.

    Raises
    ------
    SchemaError
    """
    if isinstance(result, Mapping) and not isinstance(result, xr.Dataset):
        raise SchemaError(
            f"{name}: expected one result, got a mapping of {len(result)}. Show each by itself, "
            "or all on one page by report.write_html(results, path)."
        )
    if isinstance(result, bool | int | float):
        raise SchemaError(
            f"{name}: expected an xarray object, got the number {result:g}, which says itself. "
            "Ask for a table: similarity.compare({'name': a}, {'name': b}) gives one."
        )
    way = next((way for known, way in FOREIGN.items() if hasattr(result, known)), "")
    if way:
        raise SchemaError(f"{name}: expected an xarray object, got {type(result).__name__}. {way}")
    if isinstance(result, xr.DataArray) and "kind" not in result.attrs:
        raise SchemaError(
            f"{name}: expected an object with attrs['kind'], got a DataArray {result.dims} "
            "without. A table of numbers, as of rsa.compare_rdms, is shown as "
            "xr.Dataset({'score': table}, attrs={'kind': 'estimate', 'method': 'my comparison'}); "
            "an RDM is labelled by rsa.from_matrix."
        )
    schema.check(result, name)
