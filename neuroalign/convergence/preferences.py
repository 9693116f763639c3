"""Which depth of a model each neuroid prefers: its best layer, or the centre of all that fit it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import copy_geometry
from neuroalign.errors import SchemaError, choose, some

Array = npt.NDArray[Any]


def _take_best(scores: Array, depth: Array) -> Array:
    """Depth of the layer with the highest score; the first of equal ones."""
    best: Array = depth[np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=0)]
    return best


def _take_center(scores: Array, depth: Array) -> Array:
    """Mean depth weighted by positive scores."""
    weight = np.maximum(np.nan_to_num(scores), 0.0)
    with np.errstate(invalid="ignore"):
        center: Array = np.tensordot(depth, weight, axes=1) / weight.sum(axis=0)
    return center


RULES: dict[str, Callable[[Array, Array], Array]] = {"best": _take_best, "centroid": _take_center}


def read_scores(result: xr.Dataset, name: str = "result") -> xr.DataArray:
    """Take ``mean_score`` (layer, neuroid[, time]) of a result of `encode_layers`.

    Raises
    ------
    SchemaError
    """
    if "mean_score" not in result or result["mean_score"].dims[:2] != ("layer", "neuroid"):
        raise SchemaError(
            f"{name}: expected 'mean_score' (layer, neuroid[, time]), got "
            f"{some(result.data_vars)}. Pass what convergence.encode_layers returned."
        )
    if "depth" not in result.coords:
        raise SchemaError(f"{name}: expected coord 'depth' on 'layer', got none. Assign it.")
    if result.sizes["layer"] < 2:
        raise SchemaError(
            f"{name}: expected two layers or more to tell depths apart, got "
            f"{result.sizes['layer']}. Encode more layers."
        )
    return result["mean_score"]


def average_regions(scores: xr.DataArray) -> xr.DataArray:
    """Average scores over the neuroids of each region; those without a region are left out."""
    named = scores[:, scores["roi"].values != ""]
    means = named.groupby("roi").mean().transpose("layer", "roi", ...)
    return means.assign_coords(depth=scores["depth"])


def find_preferred_depth(
    result: xr.Dataset, *, rule: str = "best", by: str = "neuroid", min_score: float = 0.0
) -> xr.DataArray:
    """Find the depth of the model that predicts each neuroid (or region) best.

    Parameters
    ----------
    result : Dataset
        Of `encode_layers`.
    rule : {"best", "centroid"}
        ``best``: depth of the layer with the highest held-out score, as published; it jumps
        where layers tie. ``centroid``: mean depth of all layers, weighted by their positive scores.
    by : {"neuroid", "roi"}
        ``roi`` averages scores over the neuroids of a region first.
    min_score : float
        NaN where no layer scores above this: such a preference is noise.

    Returns
    -------
    DataArray (neuroid[, time]) or (roi[, time])
        From 0 to 1.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226, section 2 (k*).

    Examples
    --------
    >>> from neuroalign.convergence import encode_layers
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=3, snr=4.0)
    >>> layers = {"early": data.features[:, :5], "late": data.features}
    >>> find_preferred_depth(encode_layers(layers, data.responses, ceiling=None)).values
    array([1., 1., 1.])
    """
    pick = choose(RULES, rule, "rule")
    average = choose({"neuroid": None, "roi": average_regions}, by, "by")
    scores = read_scores(result)
    if average is not None:
        if "roi" not in scores.coords:
            raise SchemaError(
                f"result: expected coord 'roi' for by='roi', got {some(scores.coords)}. "
                "Use loaders.add_roi, or by='neuroid'."
            )
        scores = average(scores)
    values = scores.values.astype(np.float64)
    preferred = pick(values, np.asarray(scores["depth"].values, dtype=np.float64))
    top = np.where(np.isfinite(values), values, -np.inf).max(axis=0)
    blank = scores.isel(layer=0, drop=True)
    found = blank.copy(data=np.where(top > min_score, preferred, np.nan)).drop_attrs()
    return copy_geometry(result, found.rename("preferred_depth"))
