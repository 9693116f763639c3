"""Maps of units over the places of a track.

In: responses (neurons, or units of a network) and where the animal or agent was. Out: what each
unit does at each place, and how much that tells of the place.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from neuroalign import provenance
from neuroalign._arrays import copy_geometry, describe
from neuroalign.errors import SchemaError, choose, some
from neuroalign.schema import check_estimate, check_responses
from neuroalign.stats.permutations import count_reached, permutation_p, permute_rows

Array = npt.NDArray[Any]


def _count_samples(responses: xr.DataArray) -> Array:
    return np.ones(responses.sizes["sample"])


def _count_seconds(responses: xr.DataArray) -> Array:
    if "duration" in responses.coords:
        return np.asarray(responses["duration"].values, dtype=np.float64)
    rate = float(responses.attrs.get("sampling_rate", np.nan))
    if not rate > 0:
        raise SchemaError(
            "responses: expected coord 'duration' or attrs['sampling_rate'] for per='second', got "
            "neither. Assign one, or use per='sample'."
        )
    return np.full(responses.sizes["sample"], 1 / rate)


# What the sum of responses at a place is divided by.
UNITS: dict[str, Callable[[xr.DataArray], Array]] = {
    "sample": _count_samples,
    "second": _count_seconds,
}


def read_column(responses: xr.DataArray, values: Any, name: str) -> Array:
    """Take one value a sample: a coord by its name, or the values themselves.

    Raises
    ------
    SchemaError
    """
    if isinstance(values, str):
        if values not in responses.coords or responses[values].dims != ("sample",):
            known = [key for key, one in responses.coords.items() if one.dims == ("sample",)]
            raise SchemaError(
                f"{name}: expected a coord on 'sample', got '{values}' (there are {some(known)}). "
                "Assign it, or pass the values."
            )
        return np.asarray(responses[values].values)
    column = np.asarray(values)
    if column.shape != (responses.sizes["sample"],):
        raise SchemaError(
            f"{name}: expected {responses.sizes['sample']} values, one a sample, got shape "
            f"{column.shape}. Sample both at the same times."
        )
    return column


def cut_places(
    responses: xr.DataArray,
    position: Any,
    bins: int | Sequence[float],
    limits: tuple[float, float] | None = None,
) -> tuple[Array, Array, Array]:
    """Number the stretch of track of each sample: position, number (-1 outside), edges.

    Raises
    ------
    SchemaError, ValueError
    """
    check_responses(responses)
    if responses.ndim != 2:
        raise SchemaError(
            f"responses: expected dims ('sample', 'neuroid'), got {responses.dims}. Make each time "
            "a sample."
        )
    if not np.isfinite(responses.values).all():
        raise ValueError("responses: expected finite numbers, got NaN or infinity. Drop such rows.")
    where = read_column(responses, position, "position").astype(np.float64)
    known = where[np.isfinite(where)]
    if not len(known):
        raise SchemaError("position: expected numbers, got NaN alone. Track the position.")
    if isinstance(bins, int | np.integer):
        low, high = (known.min(), known.max()) if limits is None else limits
        edges = np.linspace(low, high, int(bins) + 1)
    else:
        edges = np.asarray(bins, dtype=np.float64)
    if len(edges) < 3 or not (np.diff(edges) > 0).all():
        raise ValueError(
            f"bins: expected two or more, between rising edges, got {len(edges) - 1} from "
            f"{edges[0]:g} to {edges[-1]:g}. Give their number or their edges."
        )
    number = np.searchsorted(edges, where, side="right") - 1
    number[where == edges[-1]] = len(edges) - 2
    number[~np.isfinite(where) | (number >= len(edges) - 1)] = -1
    return where, number, edges


def _average(
    values: Array, weights: Array, cell: Array, n_cells: int, n_places: int, width: float
) -> tuple[Array, Array]:
    """Mean response (cell, neuroid) and weight (cell); cells are places of one label after another.

    Sums and weights are smoothed apart, so that ends of the track and places rarely visited are
    not pulled to zero.
    """
    kept = np.flatnonzero(cell >= 0)
    table = csr_array((np.ones(len(kept)), (cell[kept], kept)), shape=(n_cells, len(values)))
    total, weight = table @ values, table @ weights
    if width > 0:
        total = _smooth(total.reshape(-1, n_places, values.shape[1]), width).reshape(total.shape)
        weight = _smooth(weight.reshape(-1, n_places, 1), width).ravel()
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / weight[:, None], weight


def _smooth(cube: Array, width: float) -> Array:
    smoothed: Array = gaussian_filter1d(cube, width, axis=1, mode="constant")
    return smoothed


def _inform(rates: Array, weight: Array) -> Array:
    """Bits that one unit of response tells of the cell; NaN for responses below zero."""
    known = weight > 0
    share = weight[known] / weight[known].sum()
    mean = share @ rates[known]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rates[known] / mean
        terms = np.where(ratio > 0, ratio * np.log2(np.where(ratio > 0, ratio, 1.0)), 0.0)
    bits: Array = share @ terms
    return np.where((rates[known] >= 0).all(axis=0) & (mean > 0), bits, np.nan)


def map_places(
    responses: xr.DataArray,
    position: Any,
    *,
    bins: int | Sequence[float] = 40,
    by: str | None = None,
    per: str = "sample",
    width: float = 0.0,
    min_samples: int = 1,
    n_shuffles: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Map what each unit does at each place of a track.

    Parameters
    ----------
    responses : DataArray (sample, neuroid)
        Spike counts, calcium, or activations of a network, sampled with the position.
    position : str, or array (sample,)
        Coord on ``sample``, or the values; samples without one (NaN) are left out.
    bins : int, or sequence of float
        Number of stretches of equal length, or their edges.
    by : str, optional
        Coord on ``sample`` whose values have maps of their own, such as the running direction.
    per : {"sample", "second"}
        ``sample``: mean response. ``second``: summed responses over time spent, from coord
        ``duration`` or attrs ``sampling_rate``: spikes per second of counts.
    width : float
        Standard deviation of the smoothing, in units of position; 0 for none. Sums and time are
        smoothed apart.
    min_samples : int
        Places visited less are NaN; where all are, ``attrs['warnings']`` says so.
    n_shuffles : int
        Draws of the null of ``information``: responses shifted in time against position, within
        runs. 0 skips the test.
    seed : int

    Returns
    -------
    Dataset
        ``map`` (neuroid, place), or (label of ``by``, neuroid, place); ``n_samples`` without
        neuroid; ``information`` (neuroid) in bits per unit of response, over all labels together,
        NaN for responses below zero; ``p_value`` and ``information_null``, its mean under the
        null: information is biased up where samples are few.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Skaggs, McNaughton, Gothard & Markus (1993), NeurIPS 5 (information).

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> where = np.tile(np.linspace(0, 1, 50), 6)
    >>> bell = np.exp(-((where[:, None] - [0.3, 0.7]) ** 2) / 0.02)
    >>> data = from_arrays(bell, stimulus=["lap"] * 300, modality="model")
    >>> found = map_places(data, where, bins=10)
    >>> found["place"].values[found["map"].argmax("place").values].round(2)
    array([0.35, 0.65])
    """
    count = choose(UNITS, per, "per")
    if width < 0 or min_samples < 1 or n_shuffles < 0:
        raise ValueError(
            f"width, min_samples, n_shuffles: expected 0 or more, 1 or more, 0 or more, got {width}"
            f", {min_samples}, {n_shuffles}."
        )
    where, number, edges = cut_places(responses, position, bins)
    labels, code = np.array(["all"]), np.zeros(len(where), dtype=np.intp)
    if by is not None:
        labels, code = np.unique(read_column(responses, by, "by").astype(str), return_inverse=True)
    n_places = len(edges) - 1
    n_cells, steps = len(labels) * n_places, np.diff(edges)
    if width > 0 and not np.allclose(steps, steps[0]):
        raise ValueError("width: expected 0 with bins of unequal length, got more. Use equal bins.")
    if width >= edges[-1] - edges[0]:
        raise ValueError(
            f"width: expected less than the track, {edges[-1] - edges[0]:g}, got {width:g}. Give "
            "it in units of position."
        )
    cell = np.where(number >= 0, code * n_places + number, -1)
    values, weights = responses.values.astype(np.float64), count(responses)
    rates, weight = _average(values, weights, cell, n_cells, n_places, width / steps[0])
    visits = np.bincount(cell[cell >= 0], minlength=n_cells)
    rates[visits < min_samples] = np.nan
    weight = np.where(visits < min_samples, 0.0, weight)
    information = _inform(rates, weight)
    n_units = values.shape[1]
    dims: tuple[str, ...] = ("neuroid", "place")
    cube = np.moveaxis(rates.reshape(len(labels), n_places, n_units), 1, 2)
    coords = {**describe(responses).coords, "place": (edges[:-1] + edges[1:]) / 2}
    spent = visits.reshape(len(labels), n_places)
    if by is not None:
        dims, coords = (by, *dims), coords | {by: labels}
    found = xr.Dataset(
        {
            "map": (dims, cube if by is not None else cube[0]),
            "n_samples": (
                tuple(one for one in dims if one != "neuroid"),
                spent if by is not None else spent[0],
            ),
            "information": ("neuroid", information),
        },
        coords,
    )
    if n_shuffles:
        null = np.empty((n_shuffles, n_units))
        rng = np.random.default_rng(seed)
        run = responses["run"].values if "run" in responses.coords else None
        for row in null:
            order = permute_rows(len(where), "circular", rng, run=run)
            moved, _ = _average(values[order], weights, cell, n_cells, n_places, width / steps[0])
            row[:] = _inform(moved, weight)
        reached = count_reached(null, information)[0]
        found["p_value"] = ("neuroid", permutation_p(reached, information, n_shuffles))
        found["information_null"] = ("neuroid", null.mean(axis=0))
    found.attrs = {
        "kind": "estimate",
        "method": "map_places",
        "headline": "information",
        "per": per,
        "by": by or "",
        "width": width,
        "n_shuffles": n_shuffles,
        "seed": seed,
        "history": str(responses.attrs.get("history", "")),
        "provenance": provenance.collect(
            {"bins": n_places, "by": by or "", "per": per, "width": width, "seed": seed},
            {
                "responses": provenance.hash_array(responses),
                "position": provenance.hash_array(where),
            },
        ),
    }
    found.attrs["verdict"] = _judge(found)
    rare = int((visits < min_samples).sum())
    if rare == n_cells:
        found.attrs["warnings"] = (
            f"min_samples: expected a place with {min_samples} samples or more, got "
            f"{int(visits.max())} at most. All maps are NaN: lower it, or use fewer bins."
        )
    return check_estimate(copy_geometry(responses, found))


def _judge(found: xr.Dataset) -> str:
    sizes, bits = found.sizes, found["information"].values
    said = f"{sizes['neuroid']} units at {sizes['place']} places"
    if np.isfinite(bits).any():
        said += f": median information {np.nanmedian(bits):.2f} bits"
    if "p_value" in found:
        passed = int((found["p_value"].values < 0.05).sum())
        said += f", {passed} units above shifted responses (p < .05)"
    return said + "."
