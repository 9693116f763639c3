"""Spike trains to counts: around events, or through a run.

Times are seconds on one clock, the clock of the events. Trains live in this room only; what
leaves it is counts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, some
from neuroalign.loaders._binning import count_labelled, count_trials, edge_tolerance
from neuroalign.loaders._layouts import check_table, collect_trains, find_trials, group_times
from neuroalign.loaders._tables import read_seconds
from neuroalign.loaders._trials import (
    Array,
    Trains,
    Window,
    bin_events,
    check_clock,
    check_trains,
    check_width,
    count_bins,
    count_outside,
    find_largest,
    find_recorded,
    label_units,
    read_scale,
    read_window,
    report_outside,
)
from neuroalign.loaders.arrays import from_arrays
from neuroalign.schema import add_history, check_responses


def bin_trials(
    trains: Trains,
    events: pd.DataFrame,
    *,
    window: Window | None,
    bin_width: float,
    units: pd.DataFrame | None = None,
    source: str = "spikes",
    ragged_stop: bool = False,
    observed: Trains | None = None,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Count the spikes of each unit in bins around each event.

    Parameters
    ----------
    trains : mapping of str to array (spike,)
        Unit name -> spike times [s], in any order. A unit without spikes counts zero.
    events : DataFrame
        ``onset`` [s] on the clock of the spikes; ``duration`` [s]; ``stimulus`` (str); ``run``,
        ``session``, ``subject`` (str) and ``repeat`` (int) where known. Trials may overlap.
    window : (float, float) or None
        Start and stop [s] from onset, a multiple of `bin_width` apart. None: from the onset of
        each trial to its own end, in as many bins as the longest trial fills.
    bin_width : float
        [s]. A bin holds its left edge; a spike on an edge up to rounding is in the later bin.
    units : DataFrame, optional
        Indexed by unit name; columns ``region``, ``quality``, ``electrode``, ``x``, ``y``, ``z``,
        ``n_electrodes`` become coords.
    source : str
        Where the trains come from, for the record.
    ragged_stop : bool
        End each trial at its own duration inside a given window.
    observed : mapping of str to array (interval, 2), optional
        When each unit was recorded [s]; always, for a unit that is not named.
    run, session, subject : str, optional
        For all trials, where `events` has no such column.

    Returns
    -------
    DataArray (sample, neuroid, time)
        Counts, float32; ``time`` is the centre of each bin. NaN in bins that are not wholly
        inside the trial (ragged) or not wholly recorded; then the coord ``valid``
        (sample, time) is False where no unit was recorded or the trial is over.

    Raises
    ------
    LoadError
        When times are not finite, the window does not fit the bins, the units table does not
        name the units, or no spike lies between the first window and the last (another clock, or
        other time units), unless `observed` says what was recorded.
    SchemaError
        When labels are missing or not strings.

    Examples
    --------
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> trains = {"unit-a": [0.05, 0.15, 1.05], "unit-b": [0.45]}
    >>> counts = bin_trials(trains, events, window=(0.0, 0.2), bin_width=0.1)
    >>> counts.sel(neuroid="unit-a").values.tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    clean = check_trains(trains)
    onset = read_seconds(events, "onset", "events")
    check_clock(clean, onset, window, observed)
    if observed is None and len(onset):
        start, stop = (0.0, bin_width) if window is None else read_window(window)
        if window is None:
            stop += float(read_seconds(events, "duration", "events", 0).max())
        count_outside(clean, float(onset.min()) + start, float(onset.max()) + stop)
    slack = edge_tolerance(find_largest(clean, onset), check_width(bin_width))

    def count(name: str, starts: Array, n_bins: int) -> Array:
        return count_trials(clean[name], starts, n_bins, bin_width, slack)

    return bin_events(
        list(clean),
        count,
        events,
        window=window,
        bin_width=bin_width,
        units=units,
        ragged_stop=ragged_stop,
        observed=observed,
        slack=slack,
        labels={"run": run, "session": session, "subject": subject},
        source=source,
    )


def bin_continuous(
    trains: Trains,
    *,
    start: float = 0.0,
    stop: float,
    bin_width: float,
    run: str,
    time_unit: str = "s",
    sampling_rate: float | None = None,
    units: pd.DataFrame | None = None,
    observed: Trains | None = None,
    session: str | None = None,
    subject: str | None = None,
    source: str = "spikes",
) -> xr.DataArray:
    """Count the spikes of each unit in bins that follow each other through a run.

    Parameters
    ----------
    trains : mapping of str to array (spike,)
        Unit name -> spike times, in `time_unit`; all else is in seconds.
    start, stop : float
        [s] on the clock of the spikes, a multiple of `bin_width` apart.
    bin_width : float
        [s]
    run : str
    time_unit, sampling_rate
        As in `from_spikes`.
    units : DataFrame, optional
        As in `bin_trials`.
    observed : mapping of str to array (interval, 2), optional
        When each unit was recorded [s]; NaN in other bins.
    session, subject : str, optional
    source : str

    Returns
    -------
    DataArray (sample, neuroid)
        Counts, float32; ``onset`` is the left edge of each bin on the clock of the spikes.

    Raises
    ------
    LoadError
        When times are not finite, the bins do not fill the run, or all spikes lie outside it
        (unless `observed` says what was recorded).
    ValueError
        When the time unit is unknown.

    Warns
    -----
    NeuroalignWarning
        When more than 1 % of the spikes lie outside.

    Examples
    --------
    >>> spikes = {"a": [3e5, 5e5, 9e6]}
    >>> counts = bin_continuous(spikes, stop=10.0, bin_width=0.5, run="run-1", time_unit="us")
    >>> counts.values[:, 0].nonzero()[0].tolist()
    [0, 1, 18]
    """
    scale = read_scale(time_unit, sampling_rate)
    clean = {name: times / scale for name, times in check_trains(trains).items()}
    n_bins = count_bins((start, stop), bin_width, "start, stop")
    starts = np.array([float(start)])
    check_clock(clean, starts, (0.0, stop - start))
    steps = [f"bin_continuous: {n_bins} bins of {bin_width:g} s from {start:g} s"]
    if observed is None:
        steps += report_outside(clean, start, stop)
    slack = edge_tolerance(find_largest(clean, np.array([start, stop])), bin_width)
    counts = [count_trials(times, starts, n_bins, bin_width, slack)[0] for times in clean.values()]
    values = np.stack(counts, axis=1).astype(np.float32)
    if observed:
        recorded = find_recorded(list(clean), starts, n_bins, bin_width, observed, slack)[0].T
        values[~recorded] = np.nan
        steps.append(f"bins not recorded set to NaN: {int((~recorded).sum())} of {recorded.size}")
    return from_arrays(
        values,
        modality="spikes",
        run=np.full(n_bins, run),
        session=None if session is None else np.full(n_bins, session),
        subject=None if subject is None else np.full(n_bins, subject),
        onset=start + np.arange(n_bins) * bin_width,
        duration=np.full(n_bins, float(bin_width)),
        neuroid=list(clean),
        units="count",
        sampling_rate=1 / bin_width,
        neuroid_coords=label_units(units, list(clean)),
        attrs={"source": source, "history": "\n".join(steps)},
    )


def from_spikes(
    times: Any,
    unit_ids: Sequence[Any] | Array | None = None,
    *,
    events: pd.DataFrame,
    window: Window | None,
    bin_width: float,
    time_unit: str = "s",
    sampling_rate: float | None = None,
    units: pd.DataFrame | None = None,
    ragged_stop: bool = False,
    observed: Trains | None = None,
    source: str = "spikes",
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Bring spikes in any common layout to counts around events.

    Parameters
    ----------
    times : array (spike,), list of arrays, mapping or DataFrame
        Flat times with `unit_ids`; one array a unit; unit name -> times; or a table with columns
        ``neuron``, ``time`` and perhaps ``trial``. With ``trial`` the times count from the onset
        of that trial, which `events` names in a column ``trial`` or in its index.
    unit_ids : sequence, optional
        The unit of each spike (flat times), or of each array (list).
    events : DataFrame
        As in `bin_trials`, always in seconds. With trials in `times`, ``onset`` may be absent.
    window, bin_width, units, ragged_stop, observed, source, run, session, subject
        As in `bin_trials`.
    time_unit : {"s", "ms", "us", "samples"}
        Of `times`.
    sampling_rate : float, optional
        [Hz] of the recording; required for ``"samples"``.

    Returns
    -------
    DataArray (sample, neuroid, time)

    Raises
    ------
    LoadError, SchemaError
        As `bin_trials`; also when ids and times do not fit.
    ValueError
        When the time unit is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> bins = {"window": (0.0, 0.5), "bin_width": 0.5}
    >>> counts = from_spikes([50, 450, 1050], list("aba"), events=events, time_unit="ms", **bins)
    >>> counts["neuroid"].values.tolist(), counts.values[:, :, 0].tolist()
    (['a', 'b'], [[1.0, 1.0], [1.0, 0.0]])
    """
    scale = read_scale(time_unit, sampling_rate)
    if isinstance(times, pd.DataFrame):
        check_table(times)
    trains = {name: train / scale for name, train in collect_trains(times, unit_ids).items()}
    labels = {"run": run, "session": session, "subject": subject}
    if not (isinstance(times, pd.DataFrame) and "trial" in times):
        return bin_trials(
            trains,
            events,
            window=window,
            bin_width=bin_width,
            units=units,
            source=source,
            ragged_stop=ragged_stop,
            observed=observed,
            run=run,
            session=session,
            subject=subject,
        )
    if observed:
        raise LoadError(
            "observed: expected none for times that count from each trial, got some. "
            "Put the spikes on the clock of the session, without a column 'trial'."
        )
    # Sorting would part the times from their trials.
    checked = check_trains(trains)
    if window is not None:
        count_outside(checked, *read_window(window))
    trials = group_times(find_trials(times, events), times["neuron"].to_numpy())
    known = events if "onset" in events else events.assign(onset=0.0)
    slack = edge_tolerance(find_largest(trains, np.zeros(1)), check_width(bin_width))

    begin = 0.0 if window is None else float(window[0])

    def count(name: str, starts: Array, n_bins: int) -> Array:
        relative = trains[name] - begin
        return count_labelled(relative, trials[name], len(starts), n_bins, bin_width, slack)

    responses = bin_events(
        list(trains),
        count,
        known,
        window=window,
        bin_width=bin_width,
        units=units,
        ragged_stop=ragged_stop,
        observed=None,
        slack=slack,
        labels=labels,
        source=source,
    )
    return responses if "onset" in events else responses.drop_vars("onset")


def compute_psth(responses: xr.DataArray, *, by: str = "stimulus") -> xr.DataArray:
    """Average trials into a rate for each condition.

    Parameters
    ----------
    responses : DataArray (sample, neuroid, time)
        Counts, as `bin_trials` returns them.
    by : str
        The coord on ``sample`` that names the conditions.

    Returns
    -------
    DataArray (sample, neuroid, time)
        [Hz], one sample a condition in the order of its first trial, with coords ``stimulus``,
        ``n_trials`` (sample,) and, where trials are ragged, ``n_valid`` (sample, time). Bins
        that are NaN or not ``valid`` are left out; NaN where none is left.

    Raises
    ------
    LoadError
        When these are not counts, or lack the coord.

    Examples
    --------
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.2, "stimulus": "cat"})
    >>> counts = bin_trials({"a": [0.05, 0.15, 1.05]}, events, window=(0.0, 0.2), bin_width=0.1)
    >>> compute_psth(counts).values.tolist()  # [Hz]: 2 and 1 spikes in 2 trials of 0.1 s
    [[[10.0, 5.0]]]
    """
    check_responses(responses)
    rate = float(responses.attrs.get("sampling_rate", 0))
    if responses.ndim != 3 or responses.attrs.get("units") != "count" or not rate > 0:
        raise LoadError(
            f"responses: expected counts (sample, neuroid, time) with their sampling_rate, got "
            f"{tuple(responses.dims)} in '{responses.attrs.get('units')}'. Use bin_trials."
        )
    if by not in responses.coords or responses[by].dims != ("sample",):
        raise LoadError(
            f"by: expected a coord on 'sample', got '{by}' among {some(responses.coords)}. "
            "Name one of those."
        )
    values = np.array(responses.values, dtype=np.float64)
    valid = np.ones((values.shape[0], values.shape[2]), dtype=bool)
    if "valid" in responses.coords:
        valid = np.asarray(responses["valid"].values)
    values[~np.broadcast_to(valid[:, None], values.shape)] = np.nan
    place, names = pd.factorize(responses[by].values)
    members = [place == row for row in range(len(names))]
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    total = np.stack([filled[member].sum(axis=0) for member in members])
    number = np.stack([there[member].sum(axis=0) for member in members])
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0) * rate
    kept = {name: coord for name, coord in responses.coords.items() if "sample" not in coord.dims}
    labels = np.array([str(name) for name in names], dtype=np.str_)
    coords: dict[Any, Any] = {
        **kept,
        "stimulus": ("sample", labels),
        "n_trials": ("sample", np.array([member.sum() for member in members])),
    }
    if "valid" in responses.coords:
        counted = np.stack([valid[member].sum(axis=0) for member in members])
        coords["n_valid"] = (("sample", "time"), counted)
    psth = xr.DataArray(
        mean.astype(responses.dtype), coords, responses.dims, attrs=responses.attrs
    ).assign_attrs(units="Hz")
    return check_responses(add_history(psth, f"compute_psth: mean over trials by {by}"))
