"""What every measure here starts from and ends with: a bare matrix, and a signed result."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.rsa._bare import refuse_bare_rdm
from neuroalign.schema import SCHEMA_VERSION

Array = npt.NDArray[Any]
Matrix = Array | xr.DataArray
Parameter = str | float | bool | list[str]


def as_matrix(X: Any, name: str = "X", at_least: int = 2, *, may_relate: bool = False) -> Array:
    """Take the numbers (sample, unit) of an array or DataArray, in float64.

    Parameters
    ----------
    X : array or DataArray
    name : str
        The argument named in messages.
    at_least : int
        Rows.
    may_relate : bool
        Take matrices of items by items too, such as RDMs.

    Raises
    ------
    SchemaError
        When it has not two dims, too few rows, no columns or missing values, or is an RDM.
    """
    if isinstance(X, xr.DataArray) and X.dims[-2:] == ("first", "second") and not may_relate:
        raise SchemaError(
            f"{name}: expected points (sample, unit), got an RDM {X.dims}. Pass the patterns it "
            "was computed from; rsa, topology and geometry.find_gradients take RDMs."
        )
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
    if not (may_relate or isinstance(X, xr.DataArray)):
        refuse_bare_rdm(values, name)
    return values


def check_stimuli(parts: Mapping[Any, Any], argument: str = "") -> None:
    """Check that matrices whose rows are labelled name the same stimuli in the same order.

    Parameters
    ----------
    parts : mapping of name to array or DataArray
    argument : str
        Of which the names are items; the names themselves are arguments when empty.

    Raises
    ------
    AlignError
    """
    named = [
        (name, part["stimulus"].values)
        for name, part in parts.items()
        if isinstance(part, xr.DataArray) and "stimulus" in part.coords
    ]
    for name, stimuli in named[1:]:
        if not np.array_equal(stimuli, named[0][1]):
            place = f"{argument}[{name}]" if argument else name
            raise AlignError(
                f"{place}: expected the stimuli of '{named[0][0]}' in the same order, got others. "
                "Bring them into one order with align.match."
            )


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


def sort_steps(checkpoints: Mapping[Any, Any]) -> list[float]:
    """Put training steps in order; text would be sorted as text.

    Raises
    ------
    ValueError
        When a step is no number.
    """
    words = [step for step in checkpoints if not isinstance(step, Real)]
    if words:
        raise ValueError(
            f"checkpoints: expected training steps as numbers, got {some(words)}. Text sorts "
            "'100' before '20': use {0: ..., 20: ..., 100: ...}."
        )
    return sorted(checkpoints)


def _tell(values: xr.DataArray, method: str) -> str:
    """Say the smallest and largest over layers, or the first and last over steps of training."""
    dim = str(values.dims[0]) if values.ndim == 1 else ""
    if dim not in ("layer", "step") or dim not in values.coords:
        return ""
    known = values[np.isfinite(values.values)]
    found = known.values
    if len(found) < 2:
        return ""
    ends = (int(found.argmin()), int(found.argmax())) if dim == "layer" else (0, -1)
    low, high = (f"{float(found[at]):.3g} at {known[dim].values[at]}" for at in ends)
    lost = values.size - len(found)
    return (
        f"{method}: {values.name} from {low} to {high}, {len(found)} {dim}s"
        f"{f' and {lost} without one' if lost else ''}."
    )


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
        What it shows, in a sentence. When not given, a headline over layers alone, or over steps
        of training alone, is told by its ends; others are left to the report.
    """
    hashes = {
        name: provenance.hash_array(array if isinstance(array, xr.DataArray) else np.asarray(array))
        for name, array in inputs.items()
    }
    verdict = verdict or _tell(result[headline], method)
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
