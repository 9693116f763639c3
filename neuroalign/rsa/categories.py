"""Model RDMs from what is known of each condition: its category, or a number on a scale."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose
from neuroalign.rsa._labelled import need_mapping
from neuroalign.rsa._stacks import fold
from neuroalign.schema import as_labels

Array = npt.NDArray[Any]


def categorical_rdm(categories: Mapping[str, str]) -> xr.DataArray:
    """Give 0 within a category and 1 between.

    Parameters
    ----------
    categories : mapping of str to str
        Condition -> category.

    Returns
    -------
    DataArray (pair,)
        With ``first_category`` and ``second_category``.

    Raises
    ------
    SchemaError
        When it is no mapping, or a label is no string.
    ValueError
        When all conditions share one category.

    Examples
    --------
    >>> categorical_rdm({"cat": "animal", "dog": "animal", "car": "thing"}).values.tolist()
    [0.0, 1.0, 1.0]
    """
    need_mapping(categories, "categories", "{'cat': 'animal', 'car': 'thing'}")
    labels = as_labels(list(categories), "categories")
    groups = as_labels(list(categories.values()), "categories")
    if len(set(groups.tolist())) < 2:
        raise ValueError(
            f"categories: expected two or more, got {len(set(groups.tolist()))} for "
            f"{len(labels)} conditions. A model without differences predicts nothing."
        )
    first, second = np.triu_indices(len(labels), 1)
    rdm = fold((groups[first] != groups[second]).astype(np.float64), labels, distance="category")
    return rdm.assign_coords(
        first_category=("pair", groups[first]), second_category=("pair", groups[second])
    )


def _linear(values: Array, _reference: float) -> Array:
    return values


def _log(values: Array, _reference: float) -> Array:
    if (values <= 0).any():
        raise ValueError(
            f"values: expected positive numbers for scale 'log', got {values.min():g}. "
            "Use 'linear' or a reference scale."
        )
    return np.log(values)


def _reference_log(values: Array, reference: float) -> Array:
    return np.log1p(np.abs(values - reference))


def _signed_reference_log(values: Array, reference: float) -> Array:
    return np.asarray(np.sign(values - reference) * np.log1p(np.abs(values - reference)))


SCALES: dict[str, Callable[[Array, float], Array]] = {
    "linear": _linear,
    "log": _log,
    "reference_log": _reference_log,
    "signed_reference_log": _signed_reference_log,
}


def magnitude_rdm(
    values: Mapping[str, float], *, scale: str = "linear", reference: float | None = None
) -> xr.DataArray:
    """Give distances on a psychophysical scale of one magnitude.

    Parameters
    ----------
    values : mapping of str to float
        Condition -> magnitude.
    scale : {"linear", "log", "reference_log", "signed_reference_log"}
        What a magnitude v is felt as: v, log v, log(1 + abs(v - reference)), or the same with the
        sign of v - reference. Distances are absolute differences of it.
    reference : float, optional
        In the unit of the values, which is also the unit that 1 stands for; their mean by default.

    Returns
    -------
    DataArray (pair,)

    Raises
    ------
    SchemaError
        When it is no mapping.
    ValueError
        On an unknown scale, values that are not finite, or 0 and less under ``log``.

    Examples
    --------
    >>> magnitude_rdm({"a": 1.0, "b": 2.0, "c": 4.0}, scale="log").values.round(3).tolist()
    [0.693, 1.386, 0.693]
    """
    felt = choose(SCALES, scale, "scale")
    need_mapping(values, "values", "{'soft': 1.0, 'loud': 4.0}")
    labels = as_labels(list(values), "values")
    numbers = np.array(list(values.values()), dtype=np.float64)
    if not np.isfinite(numbers).all():
        bad = labels[~np.isfinite(numbers)][0]
        raise ValueError(f"values: expected finite numbers, got {values[bad]} for '{bad}'.")
    if reference is not None and not np.isfinite(reference):
        raise ValueError(f"reference: expected a finite number or None, got {reference}.")
    place = felt(numbers, float(numbers.mean()) if reference is None else reference)
    first, second = np.triu_indices(len(labels), 1)
    rdm = fold(np.abs(place[first] - place[second]), labels, distance="magnitude")
    return rdm.assign_attrs(scale=scale)
