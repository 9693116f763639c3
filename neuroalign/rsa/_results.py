"""The Dataset of an RSA result, from numbers of each slice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.rsa._stacks import Stack
from neuroalign.stats.multiple import fdr

Array = npt.NDArray[Any]


def find_p(contrast: Array, error: Array, student: Any, two_sided: bool) -> Array:
    """p values of t = contrast / error; NaN where nothing varies."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(error > 0, contrast / error, np.nan)
    p: Array = 2 * student.sf(np.abs(t)) if two_sided else student.sf(t)
    return p


def _adjust(p: Array, method: str) -> Array:
    known = ~np.isnan(p)
    q = np.full(p.shape, np.nan)
    if known.any():
        q[known] = fdr(p[known], method)
    return q


def _mirror(values: Array, n: int, sign: float, diagonal: float) -> Array:
    """Fill (pair of models, slice) into (model, model_other, slice)."""
    first, second = np.triu_indices(n, 1)
    square = np.full((n, n, values.shape[1]), diagonal)
    square[first, second], square[second, first] = values, sign * values
    return square


def wrap_result(
    slices: Sequence[dict[str, Array]],
    names: Array,
    stack: Stack,
    student: Any,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Label the numbers of all slices."""
    n, over, rest = len(names), stack.lead[0], stack.lead[1:]
    shape = stack.values.shape[1:-1]
    joined = {key: np.stack([one[key] for one in slices], axis=-1) for key in slices[0]}
    score, error, contrast = joined["score"], joined["error"], joined["contrast"]
    mean = joined["mean"]
    width = student.ppf((1 + attrs["level"]) / 2) * error[:n]
    p_value = find_p(contrast[:n], error[:n], student, two_sided=False)
    p_ceiling = find_p(contrast[n : 2 * n], error[n : 2 * n], student, two_sided=True)
    p_ceiling[:, np.isnan(mean[-2])] = np.nan
    pairs = find_p(contrast[2 * n :], error[2 * n :], student, two_sided=True)
    square = ("model", "model_other")
    columns: dict[str, tuple[tuple[str, ...], Array]] = {
        "score": (("model", over), score),
        "mean": (("model",), mean[:n]),
        "standard_error": (("model",), error[:n]),
        "interval_lower": (("model",), mean[:n] - width),
        "interval_upper": (("model",), mean[:n] + width),
        "p_value": (("model",), p_value),
        "q_value": (("model",), _adjust(p_value, attrs["fdr_method"])),
        "p_ceiling": (("model",), p_ceiling),
        "difference": (square, _mirror(contrast[2 * n :], n, -1.0, 0.0)),
        "pairwise_p": (square, _mirror(pairs, n, 1.0, np.nan)),
        "pairwise_q": (square, _mirror(_adjust(pairs, attrs["fdr_method"]), n, 1.0, np.nan)),
        "ceiling_lower": ((), mean[-2]),
        "ceiling_upper": ((), mean[-1]),
    }
    if "p_permutation" in joined:
        columns["p_permutation"] = (("model",), joined["p_permutation"])
    if joined["draws"].size:
        columns["draws"] = (("bootstrap", "model"), joined["draws"])
    variables = {
        key: ((*dims, *rest), values.reshape((*values.shape[:-1], *shape)))
        for key, (dims, values) in columns.items()
    }
    coords = {**stack.coords, "model": names, "model_other": names}
    return xr.Dataset(variables, coords=coords, attrs=attrs)
