"""The layouts in which spikes come: flat with ids, one array a unit, mapping, event table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import LoadError, some

Array = npt.NDArray[Any]


def name_units(labels: Any) -> list[str]:
    """Write ids as text; 3.0 from a float column is unit 3."""
    return [
        str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
        for label in np.asarray(labels, dtype=object).tolist()
    ]


def group_times(times: Array, unit_ids: Any) -> dict[str, Array]:
    """Split flat times by the unit of each."""
    ids = np.asarray(unit_ids)
    if ids.shape != times.shape:
        raise LoadError(
            f"unit_ids: expected one id for each of {times.size} spikes, got shape {ids.shape}. "
            "Pass ids and times of the same length."
        )
    known, place = np.unique(ids, return_inverse=True)
    order = np.argsort(place, kind="stable")
    edges = np.cumsum(np.bincount(place, minlength=len(known)))[:-1]
    return dict(zip(name_units(known), np.split(times[order], edges), strict=True))


def collect_trains(times: Any, unit_ids: Any) -> dict[str, Array]:
    """Bring any layout to unit name -> times."""
    if isinstance(times, Mapping):
        return _name_trains(name_units(list(times)), list(times.values()))
    if isinstance(times, pd.DataFrame):
        return group_times(times["time"].to_numpy(dtype=float), times["neuron"].to_numpy())
    flat = isinstance(times, np.ndarray) and times.dtype != object and times.ndim == 1
    if flat and unit_ids is not None:
        return group_times(times.astype(float), unit_ids)
    trains = [times] if flat else list(times)
    if trains and np.ndim(trains[0]) == 0:
        return collect_trains(np.asarray(times, dtype=float), unit_ids)
    width = max(4, len(str(len(trains))))
    default = [f"unit-{index:0{width}d}" for index in range(len(trains))]
    return _name_trains(default if unit_ids is None else name_units(unit_ids), trains)


def _name_trains(names: list[str], trains: list[Any]) -> dict[str, Array]:
    if len(names) != len(trains) or len(set(names)) != len(names):
        raise LoadError(
            f"unit_ids: expected {len(trains)} unique ids, one a train, got {len(names)} "
            f"({some(names)}). Pass one id for each train."
        )
    return {name: np.asarray(train, dtype=float) for name, train in zip(names, trains, strict=True)}


def check_table(table: pd.DataFrame) -> None:
    """Refuse an event table without its columns."""
    absent = [column for column in ("neuron", "time") if column not in table]
    if absent:
        raise LoadError(
            f"times: expected columns 'neuron', 'time' and, where times count from each trial, "
            f"'trial', got {list(table.columns)}. Rename them."
        )


def find_trials(table: pd.DataFrame, events: pd.DataFrame) -> Array:
    """Row of events for each spike of a table with trials."""
    keys = pd.Index(events.get("trial", events.index))
    if not keys.is_unique:
        raise LoadError("events: expected each trial once, got some twice. Drop the copies.")
    row = keys.get_indexer(pd.Index(table["trial"]))
    if (row < 0).any():
        lost = table["trial"][row < 0].unique()
        raise LoadError(
            f"times: expected trials that events name, got {len(lost)} others ({some(lost)}). "
            "Give events a column 'trial'."
        )
    return np.asarray(row)
