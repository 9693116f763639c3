"""Tables of events as features: one sample an event, on the clock of its run."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from neuroalign.align.matching import find_stimuli, refuse_missing
from neuroalign.errors import AlignError
from neuroalign.schema import SCHEMA_VERSION, as_labels, check_features, name_runs

Tables = pd.DataFrame | Sequence[pd.DataFrame] | Mapping[str, pd.DataFrame]


def events_to_features(events: Tables, features: xr.DataArray | None = None) -> xr.DataArray:
    """Turn what was shown when into features that can be brought to any clock.

    Parameters
    ----------
    events : DataFrame, or one for each run as a sequence or as a mapping from run names
        With ``onset`` and ``duration`` [s from run start] and ``stimulus``, see
        ``loaders.load_events``. A sequence is named ``run-01`` and so on, as ``loaders.load_fmri``
        names its runs; a single table is ``run-01``.
    features : DataArray (sample, feature), optional
        What each stimulus looks like: the layer of a model, say. Without it one column a
        stimulus (in sorted order), 1 where it is shown.

    Returns
    -------
    DataArray (sample, feature)
        With ``stimulus``, ``run``, ``onset`` and ``duration``; float32 without features.

    Raises
    ------
    AlignError
        When a table lacks a column, or features lack a stimulus.

    Examples
    --------
    >>> import pandas as pd
    >>> table = {"onset": [0.0, 4.0], "duration": [2.0, 2.0], "stimulus": ["cat", "dog"]}
    >>> shown = events_to_features(pd.DataFrame(table))
    >>> shown["stimulus"].values.tolist(), shown.values.tolist()
    (['cat', 'dog'], [[1.0, 0.0], [0.0, 1.0]])
    """
    tables = _name_tables(events)
    for name, table in tables.items():
        lacks = [key for key in ("onset", "duration", "stimulus") if key not in table]
        if lacks:
            raise AlignError(
                f"events of {name}: expected columns onset, duration and stimulus, got "
                f"{list(table.columns)}. Read them with neuroalign.loaders.load_events."
            )
    joined = pd.concat(list(tables.values()), ignore_index=True)
    shown = as_labels(joined["stimulus"], "events.stimulus")
    run = np.repeat(np.array(list(tables)), [len(table) for table in tables.values()])
    coords = {
        "stimulus": ("sample", shown),
        "run": ("sample", run),
        "onset": ("sample", joined["onset"].to_numpy(dtype=np.float64)),
        "duration": ("sample", joined["duration"].to_numpy(dtype=np.float64)),
    }
    if features is None:
        names, codes = np.unique(shown, return_inverse=True)
        values = np.eye(len(names), dtype=np.float32)[codes]
        attrs = {"kind": "features", "model": "events", "schema_version": SCHEMA_VERSION}
        result = xr.DataArray(values, coords, ("sample", "feature"), attrs=attrs)
        return check_features(result.assign_coords(condition=("feature", names)))
    check_features(features)
    rows = find_stimuli(features, shown)
    refuse_missing(rows >= 0, shown, features["stimulus"].values, "events")
    picked = features.isel(sample=rows)
    picked = picked.drop_vars([name for name, c in picked.coords.items() if "sample" in c.dims])
    return check_features(picked.assign_coords(coords))


def _name_tables(events: Tables) -> dict[str, pd.DataFrame]:
    if isinstance(events, Mapping):
        return dict(events)
    items = [events] if isinstance(events, pd.DataFrame) else list(events)
    if not items or not all(isinstance(item, pd.DataFrame) for item in items):
        kinds = sorted({type(item).__name__ for item in items}) or ["nothing"]
        raise AlignError(
            f"events: expected tables, one for each run, got {', '.join(kinds)}. "
            "Read files with neuroalign.loaders.load_events."
        )
    return dict(zip(name_runs(len(items)), items, strict=True))
