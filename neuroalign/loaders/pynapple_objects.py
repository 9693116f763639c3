"""Pynapple groups of spike times to counts around events."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, require, some
from neuroalign.loaders.spikes import bin_trials

nap: Any = require("pynapple", "spikes")


def events_from_pynapple(epochs: Any, *, stimulus: str) -> pd.DataFrame:
    """Read an events table from intervals and their metadata.

    Parameters
    ----------
    epochs : pynapple.IntervalSet
    stimulus : str
        The metadata column that names what was shown, as text.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``.

    Raises
    ------
    LoadError
        When it is another object or lacks the column.

    Examples
    --------
    >>> import pynapple as nap
    >>> shown = nap.IntervalSet([0.0, 2.0], [1.0, 3.0], metadata={"picture": ["cat", "dog"]})
    >>> " ".join(events_from_pynapple(shown, stimulus="picture")["stimulus"])
    'cat dog'
    """
    if not isinstance(epochs, nap.IntervalSet):
        raise LoadError(
            f"epochs: expected a pynapple IntervalSet, got {type(epochs).__name__}. "
            "Make one from starts and ends."
        )
    table = epochs.metadata
    if stimulus not in table:
        raise LoadError(
            f"epochs: expected metadata column '{stimulus}', got {some(table.columns) or 'none'}. "
            "Set it with set_info, or pass stimulus=."
        )
    start, stop = np.asarray(epochs.start), np.asarray(epochs.end)
    return pd.DataFrame(
        {"onset": start, "duration": stop - start, "stimulus": table[stimulus].to_list()}
    )


def from_pynapple(
    group: Any,
    events: pd.DataFrame,
    *,
    window: tuple[float, float] | None,
    bin_width: float,
    ragged_stop: bool = False,
    source: str = "pynapple",
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Count the spikes of a pynapple group around events.

    Parameters
    ----------
    group : pynapple.TsGroup
        Its metadata ``region`` (or ``location``), ``quality``, ``electrode`` and ``x y z``
        become coords.
    events : DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``; as `events_from_pynapple` gives it.
    window : (float, float) or None
        [s] from onset; None for ragged trials, to the end of each.
    bin_width : float
        [s]
    ragged_stop : bool
        End each trial at its own duration.
    source : str
        The file the group comes from.
    run, session, subject : str, optional

    Returns
    -------
    DataArray (sample, neuroid, time)
        Counts, NaN outside the time support of the group; neuroids are its indices, as text.

    Raises
    ------
    LoadError

    Examples
    --------
    >>> import pandas as pd
    >>> import pynapple as nap
    >>> recorded = nap.IntervalSet(0.0, 2.0)
    >>> group = nap.TsGroup({4: nap.Ts([0.1, 0.3, 1.1])}, recorded, metadata={"region": ["CA1"]})
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> counts = from_pynapple(group, events, window=(0.0, 0.2), bin_width=0.2)
    >>> counts["region"].values.tolist(), counts.values.ravel().tolist()
    (['CA1'], [1.0, 1.0])
    """
    if not isinstance(group, nap.TsGroup):
        raise LoadError(
            f"group: expected a pynapple TsGroup, got {type(group).__name__}. "
            "Put the trains in one: TsGroup({0: ts})."
        )
    keys = list(group.index)
    names = [str(key) for key in keys]
    units = pd.DataFrame(group.metadata).set_axis(names)
    if "region" not in units and "location" in units:
        units = units.rename(columns={"location": "region"})
    support = np.asarray(group.time_support.values, dtype=np.float64)
    return bin_trials(
        {name: np.asarray(group[key].t) for name, key in zip(names, keys, strict=True)},
        events,
        window=window,
        bin_width=bin_width,
        units=units,
        source=source,
        ragged_stop=ragged_stop,
        observed=dict.fromkeys(names, support),
        run=run,
        session=session,
        subject=subject,
    )
