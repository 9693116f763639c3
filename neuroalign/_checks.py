"""What every check of the schema rests on: labels, dims, and what can be stored."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._storable import check_storable
from neuroalign.errors import SchemaError, some

STRING_COORDS = [
    "stimulus",
    "run",
    "session",
    "subject",
    "neuroid",
    "roi",
    "hemisphere",
    "structure",
    "channel_type",
    "region",
    "quality",
    "units",
    "space",
    "first",
    "second",
    "first_category",
    "second_category",
]

# What a missing value turns into when an array or a table makes it a string.
NO_LABELS = frozenset({"", "nan", "NaN", "NaT", "<NA>"})

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def as_labels(values: Any, name: str) -> npt.NDArray[np.str_]:
    """Turn labels into a string array; refuse missing and non-string ones.

    Parameters
    ----------
    values : sequence of str, shape (n,)
    name : str
        Argument named in the message.

    Returns
    -------
    array of str, shape (n,)

    Raises
    ------
    SchemaError
        On None, NaN, an empty string, or anything that is not a string: ``1`` and ``'001'``
        are different labels, and only the caller knows which is meant.

    Examples
    --------
    >>> as_labels(["001", "cat"], "stimulus").tolist()
    ['001', 'cat']
    >>> as_labels([1], "stimulus")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    neuroalign.errors.SchemaError: stimulus: expected strings, got 1 (int) in row 0. ...
    """
    text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
    items = (values if text else np.asarray(values, dtype=object)).ravel().tolist()
    # A look at each object is slow for long recordings: those that are all text need none.
    if {*map(type, items)} <= {str, np.str_} and NO_LABELS.isdisjoint(items):
        return np.ravel(values) if text else np.array(items, dtype=np.str_).reshape(len(items))
    for row, item in enumerate(items):
        missing = item is None or (isinstance(item, str) and item in NO_LABELS)
        missing = missing or (not isinstance(item, str) and str(item) in NO_LABELS)
        if missing or not isinstance(item, str):
            way = (
                "Name every row; read tables with dtype=str and keep_default_na=False."
                if missing
                else f"Turn numbers into names, numpy.asarray({name}).astype(str); read tables "
                "with dtype=str, where '001' is not 1."
            )
            raise SchemaError(
                f"{name}: expected strings, got {'a missing value' if missing else repr(item)} "
                f"({type(item).__name__}) in row {row}. {way}"
            )
    return np.array(items, dtype=np.str_) if items else np.empty(0, dtype="<U1")


def name_runs(n: int) -> list[str]:
    """Name runs that were given in order: ``run-01``, ``run-02`` and so on.

    Examples
    --------
    >>> name_runs(2)
    ['run-01', 'run-02']
    """
    return [f"run-{number + 1:02d}" for number in range(n)]


def add_history(array: Labelled, step: str) -> Labelled:
    """Return a copy (data shared) whose ``history`` has one more line.

    Examples
    --------
    >>> import xarray as xr
    >>> loaded = xr.DataArray([1.0], attrs={"history": "loaded"})
    >>> add_history(loaded, "z-scored").attrs["history"].splitlines()
    ['loaded', 'z-scored']
    """
    past = str(array.attrs.get("history", ""))
    return array.assign_attrs(history=f"{past}\n{step}" if past else step)


def check_plain(array: Labelled, name: str) -> Labelled:
    """Check what every kind shares: storable coords and attrs, no MultiIndex, no object dtype.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import xarray as xr
    >>> array = xr.DataArray([1.0, 2.0], dims="sample")
    >>> check_plain(array, "array") is array
    True
    """
    if hasattr(array, "get_params"):
        raise SchemaError(
            f"{name}: expected an xarray object, got {type(array).__name__}, a model. Use its own "
            "save where it has one, or save params_ or what transform gives."
        )
    if not isinstance(array, xr.DataArray | xr.Dataset):
        raise SchemaError(
            f"{name}: expected an xarray object, got {type(array).__name__}. "
            "Use neuroalign.loaders.from_arrays to label bare arrays."
        )
    check_storable(array, name)
    for key in STRING_COORDS:
        if key in array.coords and array.coords[key].dtype.kind not in "UT":
            raise SchemaError(
                f"{name}: expected coord '{key}' as strings, got {array.coords[key].dtype}. "
                "Convert it yourself: '001' and 1 are different labels."
            )
    return array


def check_dims(
    array: xr.DataArray, name: str, required: Sequence[str], optional: Iterable[Sequence[str]] = ()
) -> None:
    """Check the order of dims: the required ones, or one of the optional longer forms.

    Examples
    --------
    >>> import xarray as xr
    >>> array = xr.DataArray([[1.0, 2.0]], dims=("neuroid", "sample"))
    >>> check_dims(array, "responses", ("sample", "neuroid"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    neuroalign.errors.SchemaError: responses: expected dims ('sample', 'neuroid'), got ...
    """
    forms = [tuple(required), *map(tuple, optional)]
    if tuple(array.dims) not in forms:
        expected = " or ".join(str(form) for form in forms)
        raise SchemaError(
            f"{name}: expected dims {expected}, got {tuple(array.dims)}. Use transpose or rename."
        )


def check_unique(array: xr.DataArray, name: str, coord: str) -> None:
    """Check that a coord exists and holds no label twice.

    Examples
    --------
    >>> import xarray as xr
    >>> twice = xr.DataArray([1.0, 2.0], {"roi": ["V1", "V1"]}, ("roi",))
    >>> check_unique(twice, "scores", "roi")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    neuroalign.errors.SchemaError: scores: expected unique 'roi', got 1 repeated ('V1'). ...
    """
    if coord not in array.coords:
        raise SchemaError(f"{name}: expected coord '{coord}', got {some(array.coords)}. Assign it.")
    labels, counts = np.unique(np.asarray(array[coord].values), return_counts=True)
    if (counts > 1).any():
        raise SchemaError(
            f"{name}: expected unique '{coord}', got {int((counts > 1).sum())} repeated "
            f"({some(labels[counts > 1])}). Rename or average them."
        )
