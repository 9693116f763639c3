"""What sound and film share: frames that know their run and time, and sources by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.schema import SCHEMA_VERSION, add_history, as_labels

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Clock:
    """When the frames of one run are: middle of each and time between two [s]."""

    run: str
    onset: Array
    duration: Array


def check_sources(sources: Any, name: str) -> dict[str, Any]:
    """Check a mapping of run to path or array.

    Raises
    ------
    SchemaError
        When it is no mapping, empty, or its names are no strings.
    """
    if not isinstance(sources, Mapping) or not sources:
        raise SchemaError(
            f"{name}: expected a mapping of run to file or array, got "
            f"{'an empty one' if isinstance(sources, Mapping) else type(sources).__name__}. "
            "Name them as the runs of the responses: {'run-01': 'scene.wav'}."
        )
    return dict(zip(as_labels(list(sources), name).tolist(), sources.values(), strict=True))


def check_positive(**values: float) -> None:
    """Check that options are finite numbers above zero.

    Raises
    ------
    ValueError
    """
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, got {value}. Use a larger one.")


def label_frames(
    values: Array,
    clocks: Sequence[Clock],
    attrs: Mapping[str, str | int],
    history: str,
    coords: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Put run and times on frames of features.

    Parameters
    ----------
    values : array (sample, feature)
        The frames of all runs, in the order of ``clocks``.
    clocks : sequence of Clock
    attrs : mapping
        ``model``, ``layer``, ``layer_order``, ``preprocessing``.
    history : str
    coords : mapping, optional
        name -> (feature,)

    Returns
    -------
    DataArray (sample, feature)
    """
    labels = {**time_coords(clocks), **{k: ("feature", v) for k, v in (coords or {}).items()}}
    common = {"kind": "features", "modality": "model", "schema_version": SCHEMA_VERSION}
    array = xr.DataArray(
        values, labels, ("sample", "feature"), attrs={**common, **attrs}, name="features"
    )
    return add_history(array, history)


def time_coords(clocks: Sequence[Clock]) -> dict[str, Any]:
    """Join the clocks of all runs into coords of ``sample``."""
    run = np.repeat([c.run for c in clocks], [len(c.onset) for c in clocks])
    return {
        "run": ("sample", run.astype(np.str_)),
        "onset": ("sample", np.concatenate([c.onset for c in clocks])),
        "duration": ("sample", np.concatenate([c.duration for c in clocks])),
    }


def check_budget(n_bytes: int, memory_budget: int) -> None:
    """Refuse results that do not fit.

    Raises
    ------
    MemoryError
    """
    if n_bytes > memory_budget:
        raise MemoryError(
            f"memory_budget: expected at most {memory_budget:,} bytes, got {n_bytes:,}. "
            "Ask for fewer layers or runs at a time, or raise memory_budget."
        )
