"""Fields of units on a track: where they lie, how wide they are, how lopsided.

In: maps over places. Out: moments of each unit's field.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import SchemaError, choose
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]
# Share of its peak that a field may have at an end of the track and yet count as whole.
EDGE = 0.5


def read_maps(maps: Any, name: str = "maps") -> xr.DataArray:
    """Take the maps (..., neuroid, place) of a result of `map_places`, or maps themselves.

    Raises
    ------
    SchemaError
    """
    array = maps["map"] if isinstance(maps, xr.Dataset) and "map" in maps else maps
    if not isinstance(array, xr.DataArray) or array.dims[-2:] != ("neuroid", "place"):
        got = array.dims if isinstance(array, xr.DataArray) else type(array).__name__
        raise SchemaError(
            f"{name}: expected maps with last dims ('neuroid', 'place'), got {got}. Pass what "
            "convergence.map_places returned."
        )
    if "place" not in array.coords:
        raise SchemaError(f"{name}: expected coord 'place' on 'place', got none. Assign it.")
    return array


def _above_zero(maps: Array) -> Array:
    if np.nanmin(maps, initial=0.0) < 0:
        raise SchemaError(
            f"maps: expected no value below 0 for baseline 'zero', got {np.nanmin(maps):g}. Use "
            "baseline='minimum'."
        )
    return maps


def _above_minimum(maps: Array) -> Array:
    with np.errstate(invalid="ignore"):
        lowest: Array = np.where(np.isnan(maps), np.inf, maps).min(axis=-1, keepdims=True)
    return maps - lowest


BASELINES: dict[str, Callable[[Array], Array]] = {"zero": _above_zero, "minimum": _above_minimum}


def _cut_fields(maps: Array, threshold: float) -> Array:
    """Keep the stretch around the peak that stays above a share of it; zero elsewhere."""
    peak = maps.argmax(axis=-1)
    above = maps >= threshold * maps.max(axis=-1, keepdims=True)
    # Places below the threshold part stretches: those of the peak's number belong to its field.
    stretch = np.cumsum(~above, axis=-1)
    own = np.take_along_axis(stretch, peak[..., None], axis=-1)
    return np.where(above & (stretch == own), maps, 0.0)


def measure_fields(maps: Any, *, threshold: float = 0.0, baseline: str = "zero") -> xr.Dataset:
    """Measure where each unit's field lies, how wide and how lopsided it is.

    Parameters
    ----------
    maps : Dataset of `map_places`, or DataArray (..., neuroid, place)
    threshold : float
        Share of its peak above which places around the peak make up a field; 0 takes the whole
        track, where activity far from the field moves the moments much.
    baseline : {"zero", "minimum"}
        What counts as silence: 0, or each unit's lowest place (for units that may be negative).

    Returns
    -------
    Dataset
        Over (..., neuroid): ``center`` (of mass) and ``width`` (standard deviation) in units of
        place; ``skew`` (third standardised moment), below 0 where the tail points to lower places;
        ``peak`` and ``peak_place``; ``whole``, whether the field ends before the track does: at
        both ends it is below half of its peak. NaN for silent units.

    Raises
    ------
    SchemaError, ValueError

    Examples
    --------
    >>> place = np.arange(60.0)
    >>> tail = np.where(place <= 50, 0.8 ** (50 - place), 0.0)
    >>> maps = xr.DataArray(tail[None], {"place": place}, ("neuroid", "place"))
    >>> fields = measure_fields(maps)
    >>> round(float(fields["center"][0]) - 50, 2), round(float(fields["skew"][0]), 2)
    (-4.0, -2.0)
    """
    raise_floor = choose(BASELINES, baseline, "baseline")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold: expected a share from 0 to below 1, got {threshold}.")
    array = read_maps(maps)
    values = np.nan_to_num(raise_floor(array.values.astype(np.float64)))
    place = np.asarray(array["place"].values, dtype=np.float64)
    fields = _cut_fields(values, threshold)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = fields / fields.sum(axis=-1, keepdims=True)
        center = share @ place
        away = place - center[..., None]
        variance = (share * away**2).sum(axis=-1)
        skew = (share * away**3).sum(axis=-1) / variance**1.5
    peak = fields.max(axis=-1)
    silent = peak <= 0
    ends = np.maximum(fields[..., 0], fields[..., -1])
    columns = {
        "center": center,
        "width": np.sqrt(variance),
        "skew": np.where(variance > 0, skew, np.nan),
        "peak": np.where(silent, np.nan, array.max("place").values),
        "peak_place": np.where(silent, np.nan, place[fields.argmax(axis=-1)]),
        "whole": ~silent & (ends < EDGE * peak),
    }
    dims = array.dims[:-1]
    coords = {key: one for key, one in array.coords.items() if "place" not in one.dims}
    found = xr.Dataset({name: (dims, column) for name, column in columns.items()}, coords)
    found.attrs = {
        "kind": "estimate",
        "method": "measure_fields",
        "headline": "center",
        "threshold": threshold,
        "baseline": baseline,
        "provenance": provenance.collect(
            {"threshold": threshold, "baseline": baseline}, {"maps": provenance.hash_array(array)}
        ),
        "verdict": f"{int((~silent).sum())} fields, {int(columns['whole'].sum())} of them whole.",
    }
    return check_estimate(found)
