"""Dissimilarities as numbers: square or condensed stacks to rows of pairs, with faults named."""

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import LoadError, choose

Array = npt.NDArray[Any]
# Cross-validated distances, which scatter around 0 when two conditions do not differ.
SIGNED = ("crossnobis", "poisson_cv")
# Asymmetry that float32 leaves behind.
ROUNDING = 1e-5


def count_conditions(n_pairs: int, name: str) -> int:
    """Count the conditions of n(n-1)/2 pairs."""
    n = (1 + isqrt(1 + 8 * n_pairs)) // 2
    if n_pairs < 1 or n * (n - 1) // 2 != n_pairs:
        raise LoadError(
            f"{name}: expected n(n-1)/2 dissimilarities for n conditions (1, 3, 6, 10...), got "
            f"{n_pairs}. The list is cut, or no RDM."
        )
    return n


def is_rdm_shape(array: Array) -> bool:
    """Tell whether an array can be RDMs by its shape: square at the end, or a list of pairs."""
    if array.dtype.kind not in "buif" or array.ndim == 0 or array.size < 3:
        return False
    last = array.shape[-1]
    n = (1 + isqrt(1 + 8 * last)) // 2
    square = array.ndim > 1 and array.shape[-2] == last and last > 1
    return bool(square or (last > 2 and n * (n - 1) // 2 == last))


def _condense(square: Array, name: str) -> Array:
    size = np.abs(square[np.isfinite(square)]).max(initial=0.0)
    diagonal = np.diagonal(square)
    bad = np.flatnonzero(~(np.abs(diagonal) <= ROUNDING * size))
    if len(bad):
        raise LoadError(
            f"{name}: expected a diagonal of 0, got {diagonal[bad[0]]:g} at condition {bad[0]} "
            f"({len(bad)} of {len(square)}). If these are similarities, convert them: 1 - r."
        )
    difference = np.abs(square - square.T)
    if np.nanmax(difference, initial=0.0) > ROUNDING * size:
        first, second = np.unravel_index(np.nanargmax(difference), difference.shape)
        raise LoadError(
            f"{name}: expected a symmetric RDM, got {square[first, second]:g} and "
            f"{square[second, first]:g} for conditions {first} and {second}. Average both halves, "
            "or mend the file."
        )
    if len(square) < 2:
        raise LoadError(
            f"{name}: expected 2 conditions or more, got {len(square)}. Name another array."
        )
    return np.asarray(square[np.triu_indices(len(square), 1)])


def _from_square(array: Array, name: str) -> Array:
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise LoadError(
            f"{name}: expected square RDMs (..., n, n), got shape {array.shape}. Pass "
            "form='condensed' for lists of pairs."
        )
    stack = array.reshape(-1, *array.shape[-2:])
    return np.stack(
        [_condense(square, f"{name} RDM {number}") for number, square in enumerate(stack)]
    )


def _from_condensed(array: Array, name: str) -> Array:
    count_conditions(array.shape[-1], name)
    return array.reshape(-1, array.shape[-1])


FORMS: dict[str, Callable[[Array, str], Array]] = {
    "square": _from_square,
    "condensed": _from_condensed,
}


def read_stack(values: Any, form: str | None, name: str, dtype: str = "float64") -> Array:
    """Bring RDMs of any leading dims into rows of pairs.

    Parameters
    ----------
    values : array (..., condition, condition) or (..., pair)
        Pairs in the order (0, 1), (0, 2), ... (1, 2), ...
    form : {"square", "condensed"} or None
        None: square when the last two dims are equal.
    name : str
        File and variable named in messages.
    dtype : str

    Returns
    -------
    array (rdm, pair)

    Raises
    ------
    LoadError
    """
    array = np.asarray(values)
    if array.dtype.kind not in "buif" or array.ndim == 0 or array.size == 0:
        raise LoadError(
            f"{name}: expected dissimilarities, got shape {array.shape} of {array.dtype}. "
            "Name the variable that holds RDMs."
        )
    if form is None:
        square = array.ndim > 1 and array.shape[-1] == array.shape[-2]
        form = "square" if square else "condensed"
    return choose(FORMS, form, "form")(array.astype(dtype), name)


def check_values(stack: Array, names: list[str], distance: str, path: object) -> None:
    """Refuse values that are no dissimilarities, with the RDM and the pair.

    Raises
    ------
    LoadError
    """
    n = count_conditions(stack.shape[1], str(path))
    pairs = np.triu_indices(n, 1)
    below = np.zeros(stack.shape, bool) if distance in SIGNED else stack < 0
    hint = "Impute or drop those conditions"
    signed = f"Pass distance= {' or '.join(SIGNED)} if they are cross-validated"
    for bad, what, advice in (
        (~np.isfinite(stack), "finite dissimilarities", hint),
        (below, "dissimilarities of 0 or more", signed),
    ):
        rows, columns = np.nonzero(bad)
        if len(rows):
            row, column = rows[0], columns[0]
            raise LoadError(
                f"{path}: expected {what}, got {stack[row, column]:g} in RDM '{names[row]}' for "
                f"conditions {pairs[0][column]} and {pairs[1][column]} ({len(rows)} of "
                f"{stack.size} values). {advice}."
            )
