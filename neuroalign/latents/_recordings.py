"""From recordings of several subjects to one grid of subjects, neuroids and times.

In: a dict of subjects, or responses with a coord that names them. Out: `Recordings`, where a
neuroid that a subject lacks is NaN. Neuroids are one across subjects when they bear one name.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._checks import check_unique
from neuroalign.errors import AlignError, SchemaError, some

Array = npt.NDArray[Any]


class Recordings(NamedTuple):
    """``values`` (trial, neuroid, time) per subject; ``step`` is the width of a bin [s]."""

    values: list[Array]
    subject: Array
    neuroid: Array
    time: Array
    step: float


def read_recordings(X: Any, by: str) -> Recordings:
    """Read recordings of several subjects.

    Parameters
    ----------
    X : dict of str -> DataArray, DataArray, or array (subject, neuroid, time)
        DataArrays (sample, neuroid, time), or (sample, neuroid) of one run with ``onset``.
    by : str
        Coord on ``sample`` that names the subjects of a single DataArray.

    Raises
    ------
    AlignError
        When times differ, or no neuroid is in two subjects.
    SchemaError
        On other dims, irregular times, infinite values, or a lack of labels.
    """
    split = _split(X, by)
    parts = {name: _read_one(one, f"X['{name}']") for name, one in split.items()}
    first = next(iter(parts))
    time = parts[first][2]
    step = _measure_step(time, f"X['{first}']")
    for name, (_, _, other) in parts.items():
        if len(other) != len(time) or not np.allclose(other, time, atol=1e-3 * step, rtol=0):
            raise AlignError(
                f"X['{name}']: expected the {len(time)} times of '{first}' "
                f"({time[0]:g} to {time[-1]:g} s), got {len(other)} ({other[0]:g} to "
                f"{other[-1]:g} s). Cut and resample the subjects to common times."
            )
    neuroid = list(dict.fromkeys(name for _, names, _ in parts.values() for name in names))
    total = sum(len(names) for _, names, _ in parts.values())
    if len(parts) > 1 and total == len(neuroid):
        raise AlignError(
            f"X: expected neuroids that several subjects share, got {total} names "
            f"({some(neuroid, 3)}), each in one subject. Give identified neuroids one name."
        )
    if len(neuroid) < 2:
        raise SchemaError(
            f"X: expected at least 2 neuroids, got {len(neuroid)}. Affinities join pairs."
        )
    place = {name: i for i, name in enumerate(neuroid)}
    values = []
    for trials, names, _ in parts.values():
        full = np.full((len(trials), len(neuroid), len(time)), np.nan)
        full[:, [place[name] for name in names]] = trials
        values.append(full)
    return Recordings(values, np.array(list(parts)), np.array(neuroid), time, step)


def _split(X: Any, by: str) -> dict[str, Any]:
    if isinstance(X, Mapping) and X:
        return {str(name): one for name, one in X.items()}
    if isinstance(X, xr.DataArray):
        if by not in X.coords or X[by].dims != X.dims[:1]:
            raise SchemaError(
                f"X: expected coord '{by}' on 'sample', got {some(X.coords, 12)}. "
                "Assign it, pass by= the coord that tells recordings apart, or pass a dict."
            )
        names = X[by].values.astype(str)
        return {name: X[np.flatnonzero(names == name)] for name in dict.fromkeys(names.tolist())}
    values = np.asarray(X)
    if values.ndim != 3 or values.dtype.kind not in "iuf" or not len(values):
        raise SchemaError(
            f"X: expected a dict of DataArrays, a DataArray or an array (subject, neuroid, time), "
            f"got {type(X).__name__} of shape {values.shape}. Pass {{'sub-01': responses, ...}}."
        )
    return {f"sub-{number + 1:02d}": one[None] for number, one in enumerate(values)}


def _read_one(one: Any, name: str) -> tuple[Array, list[str], Array]:
    """Values (trial, neuroid, time), names of neuroids and times [s] of one subject."""
    values = np.asarray(one, dtype=np.float64)
    if not isinstance(one, xr.DataArray):
        if values.ndim != 3:
            raise SchemaError(
                f"{name}: expected dims ('sample', 'neuroid', 'time'), got shape {values.shape}. "
                "Pass a DataArray."
            )
        names = [f"neuroid-{i:04d}" for i in range(values.shape[1])]
        return _check_finite(values, name), names, np.arange(values.shape[2], dtype=np.float64)
    check_unique(one, name, "neuroid")
    names = one["neuroid"].values.astype(str).tolist()
    if one.dims == ("sample", "neuroid", "time"):
        known = "time" in one.coords
        time = np.asarray(one["time"].values if known else np.arange(values.shape[2]), float)
        return _check_finite(values, name), names, time
    if one.dims == ("neuroid", "time"):
        raise SchemaError(
            f"{name}: expected dims ('sample', 'neuroid', 'time'), got {one.dims}. Keep sample: "
            "X[[0]]."
        )
    if one.dims != ("sample", "neuroid"):
        raise SchemaError(
            f"{name}: expected dims ('sample', 'neuroid', 'time') or ('sample', 'neuroid'), got "
            f"{one.dims}. Use transpose or rename."
        )
    runs = np.unique(one["run"].values.astype(str)) if "run" in one.coords else np.array(["run"])
    if "onset" not in one.coords or len(runs) > 1:
        raise SchemaError(
            f"{name}: expected one run with 'onset' [s], got {len(runs)} runs ({some(runs)}), "
            f"onset known: {'onset' in one.coords}. Cut runs into (sample, neuroid, time)."
        )
    order = np.argsort(one["onset"].values, kind="stable")
    time = np.asarray(one["onset"].values, dtype=np.float64)[order]
    return _check_finite(values[order].T[None], name), names, time


def _check_finite(values: Array, name: str) -> Array:
    if np.isinf(values).any():
        raise SchemaError(
            f"{name}: expected finite values, or NaN for what was not seen, got "
            f"{int(np.isinf(values).sum())} infinite ones. Set them to NaN."
        )
    return values


def _measure_step(time: Array, name: str) -> float:
    steps = np.diff(time)
    if not len(steps) or not (steps > 0).all() or not np.allclose(steps, steps[0], rtol=0.01):
        shown = ", ".join(f"{one:g}" for one in time[:4])
        raise SchemaError(
            f"{name}: expected at least 2 times at a regular pace, got {len(time)} ({shown}...). "
            "Resample them."
        )
    return float(np.mean(steps))
