"""Trials and runs as rows of one length, and which of them belong together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, some
from neuroalign.report._style import PALETTE
from neuroalign.report.time_figures import get_times

Array = npt.NDArray[Any]
# Colours as they are, then darker, then paler.
SHADES = ((1.0, 0.0), (0.55, 0.0), (0.5, 0.5))
MOST_STATES = len(SHADES) * len(PALETTE)
COUNTED = ("count", "counts", "spikes per bin")


@dataclass(frozen=True)
class Rows:
    """``values`` (row, time, channel), NaN where a row has ended; ``first`` sample of each row."""

    values: Array
    first: Array
    time: Array
    unit: str
    name: str


def lay_rows(array: xr.DataArray, name: str, channel: str | None) -> Rows:
    """Lay out trials (sample, time[, channel]) or runs (sample[, channel]) as rows.

    Raises
    ------
    SchemaError
        When dims are others, or no value is finite.
    """
    rest = () if channel is None else (channel,)
    if set(array.dims) not in ({"sample", "time", *rest}, {"sample", *rest}):
        short = ", ".join(f"'{dim}'" for dim in ("sample", *rest))
        raise SchemaError(
            f"{name}: expected dims ({short}) with or without 'time', got {array.dims}. Select "
            "one value of the others."
        )
    values = array.transpose("sample", ..., *rest).values.astype(np.float64)
    values = values if channel is not None else values[..., None]
    if not np.isfinite(values).any():
        raise SchemaError(f"{name}: expected finite values, got none. Check the fit.")
    if "time" not in array.dims:
        return _lay_runs(array, values)
    if "valid" in array.coords:
        inside = array["valid"].transpose("sample", "time").values.astype(bool)
        values = np.where(inside[..., None], values, np.nan)
    time, unit = get_times(array)
    return Rows(values, np.arange(len(values)), time, unit, "trial")


def _lay_runs(array: xr.DataArray, values: Array) -> Rows:
    """One row a run, each sample at its time; missing ones stay NaN."""
    n = len(values)
    runs = array["run"].values if "run" in array.coords else np.zeros(n)
    names, first, row = np.unique(runs, return_index=True, return_inverse=True)
    order = np.argsort(first)
    first, row = first[order], np.argsort(order)[row]
    place, step = np.empty(n, dtype=np.int64), None
    if "onset" in array.coords and n > len(names):
        onset = np.asarray(array["onset"].values, dtype=np.float64)
        gaps = np.concatenate([np.diff(np.sort(onset[row == r])) for r in range(len(names))])
        step = float(gaps[gaps > 0].min()) if (gaps > 0).any() else None
    for r in range(len(names)):
        inside = row == r
        if step is None:
            place[inside] = np.arange(inside.sum())
        else:
            place[inside] = np.rint((onset[inside] - onset[inside].min()) / step)
    laid = np.full((len(names), int(place.max()) + 1, values.shape[-1]), np.nan)
    laid[row, place] = values
    time = np.arange(laid.shape[1]) * (1.0 if step is None else step)
    return Rows(laid, first, time, "samples" if step is None else "s", "run")


def group_rows(array: xr.DataArray, rows: Rows, by: str | None) -> dict[str, Array]:
    """Name of a condition -> its rows; one group where ``by`` is None and no stimulus repeats.

    Raises
    ------
    SchemaError
        When ``by`` is no coord on ``sample``.
    """
    if by is None:
        if "stimulus" not in array.coords or rows.name == "run":
            return {"": np.arange(len(rows.first))}
        labels = array["stimulus"].values.astype(str)
        repeated = len(np.unique(labels)) * 2 <= len(labels)
        if not repeated:
            return {"": np.arange(len(labels))}
        by = "stimulus"
    if by not in array.coords or array[by].dims != ("sample",):
        known = [key for key, coord in array.coords.items() if coord.dims == ("sample",)]
        raise SchemaError(f"by: expected a coord on 'sample', one of {some(known)}, got '{by}'.")
    labels = array[by].values[rows.first].astype(str)
    return {one: np.flatnonzero(labels == one) for one in dict.fromkeys(labels.tolist())}


def color_states(n: int) -> Array:
    """Colour of each state (n, 3), the same in every figure, 24 at most."""
    if n > MOST_STATES:
        raise SchemaError(
            f"states: expected at most {MOST_STATES} of them, got {n}. Colours would not tell "
            "more apart; select some."
        )
    base = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in PALETTE]) / 255
    shades = [base * scale + white for scale, white in SHADES]
    found: Array = np.concatenate(shades)[:n]
    return found


def to_rates(responses: xr.DataArray) -> tuple[float, str]:
    """Factor from counts in bins to rates, and the label of the axis."""
    units = str(responses.attrs.get("units", "a.u."))
    if units not in COUNTED:
        return 1.0, f"response [{units}]"
    time, unit = get_times(responses)
    rate = float(responses.attrs.get("sampling_rate", 0.0))
    if not rate > 0 and unit == "s" and len(time) > 1:
        rate = 1.0 / float(np.median(np.diff(time)))
    return (rate, "rate [spikes/s]") if rate > 0 else (1.0, "spikes per bin")
