"""BrainIO files opened, and their coords, attrs and time bins in the words of the schema."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._storable import RESERVED
from neuroalign.errors import DataCorruptionError, LoadError, some
from neuroalign.loaders._hdf5_tree import open_hdf5
from neuroalign.schema import STRING_COORDS

Array = npt.NDArray[Any]
DIMS = {"presentation": "sample", "neuroid": "neuroid", "time_bin": "time"}
FORMS = (set(DIMS), {"presentation", "neuroid"}, {"event"})
# Their name -> ours. Old files say image_id.
NAMES = {"stimulus_id": "stimulus", "repetition": "repeat", "neuroid_id": "neuroid"}
EDGES = {"time_bin_start": "time_start", "time_bin_end": "time_stop"}
HEMISPHERES = {"left": "L", "right": "R", "l": "L", "r": "R", "lh": "L", "rh": "R"}
PER_SECOND = {"ms": 1e3, "s": 1.0}
# A number as a program writes it; '001' and '1e' stay text.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


def open_assembly(path: Path) -> xr.DataArray:
    """Read the data variable with its coords; attrs of the file join those of the variable."""
    try:
        with open_hdf5(path, (".nc",)):
            opened = xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False)
        with opened:
            content: xr.Dataset = opened.load()
    except (DataCorruptionError, LoadError):
        raise
    except (ValueError, KeyError, RuntimeError) as error:
        raise DataCorruptionError(
            f"{path}: expected a whole netCDF-4 file, got '{error}'. Download it again."
        ) from error
    variables = list(content.data_vars)
    if len(variables) != 1:
        raise LoadError(
            f"{path}: expected one data variable, got {len(variables)} ({some(variables)}). "
            "Write one assembly a file."
        )
    array = content[variables[0]]
    if set(map(str, array.dims)) not in FORMS:
        raise LoadError(
            f"{path}: expected dims presentation, neuroid[, time_bin], or event, got "
            f"{some(array.dims)}. Reshape the assembly first."
        )
    if "image_id" in array.coords and "stimulus_id" not in array.coords:
        array = array.rename(image_id="stimulus_id")
    return array.assign_attrs({**content.attrs, **array.attrs})


def _texts(values: Array, name: str, path: Path) -> Array:
    """Labels as strings: whole numbers lose their point, missing ones are empty."""
    texts = []
    for item in values.ravel().tolist():
        if isinstance(item, bytes):
            texts.append(item.decode())
        elif item is None or item != item:
            texts.append("")
        elif isinstance(item, float):
            if not item.is_integer():
                raise LoadError(
                    f"{path}: expected {name} as text or whole numbers, got {item}. Rename them."
                )
            texts.append(str(int(item)))
        else:
            texts.append(str(item))
    return np.array(texts, dtype=np.str_).reshape(values.shape)


def make_plain(name: str, values: Array, path: Path) -> Array:
    """Bring a coord into what the schema keeps."""
    if values.dtype.kind == "M":
        return np.datetime_as_string(values.astype("datetime64[us]")).astype(np.str_)
    if name in STRING_COORDS or values.dtype.kind in "OST":
        values = _texts(values, name, path)
    if name == "hemisphere":
        return np.array([HEMISPHERES.get(text.lower(), text) for text in values.tolist()])
    if name == "repeat" and values.dtype.kind == "f":
        if not np.array_equal(values, np.round(values)):
            raise LoadError(
                f"{path}: expected repetition as whole numbers, got fractions or NaN. "
                "Renumber the presentations."
            )
        return values.astype(np.int64)
    return values


def keep_attrs(found: Mapping[Any, Any]) -> dict[str, Any]:
    """Attrs that files keep: text, numbers and flat lists of numbers."""
    plain = {}
    for key, value in found.items():
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        items = value if isinstance(value, list) else [value]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in items)
        if (isinstance(value, str) or numbers) and key not in RESERVED:
            plain[str(key)] = value
    return plain


def read_bins(coords: dict[str, Any], attrs: dict[str, Any], scale: float, path: Path) -> None:
    """Turn the edges of time bins into centres [s], in place."""
    if not set(EDGES.values()) <= set(coords):
        raise LoadError(
            f"{path}: expected coords time_bin_start and time_bin_end on time_bin, got "
            f"{some(coords, 20)}. Add them."
        )
    start, stop = (np.asarray(coords[name][1], dtype=float) / scale for name in EDGES.values())
    if not (np.isfinite(start).all() and (stop > start).all()):
        raise LoadError(
            f"{path}: expected time bins that end after they start, got {start[0]:g} to "
            f"{stop[0]:g} s first. Correct time_bin_start and time_bin_end."
        )
    centre = (start + stop) / 2
    coords |= {"time_start": ("time", start), "time_stop": ("time", stop), "time": ("time", centre)}
    attrs["window"] = [float(start.min()), float(stop.max())]
    widths, steps = stop - start, np.diff(np.sort(centre))
    if np.ptp(widths) < 1e-9:
        attrs["bin_width"] = round(float(widths[0]), 12)
    if len(steps) and steps[0] > 0 and np.ptp(steps) < 1e-9:
        attrs["sampling_rate"] = round(float(1 / steps.mean()), 9)


def parse_cells(cells: list[str]) -> Array:
    """Numbers where every cell is one, else the text as it stands."""
    matches = [NUMBER.fullmatch(cell) for cell in cells]
    if not all(matches):
        return np.array(cells, dtype=np.str_)
    whole = all(match is not None and not (match[2] or match[3]) for match in matches)
    return np.array([int(cell) if whole else float(cell) for cell in cells])
