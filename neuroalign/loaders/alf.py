"""ALF folders (IBL, Steinmetz): files named object.attribute.npy, rows of one object in step.

Times are seconds on one clock. Several probes lie in several folders; load each, and join the
results on ``neuroid``.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, some
from neuroalign.loaders._npy import check_lengths, choose_kept, open_npy, split_clusters
from neuroalign.loaders._tables import read_seconds, read_table
from neuroalign.loaders.spikes import bin_trials
from neuroalign.schema import add_history

Array = npt.NDArray[Any]
# _namespace_object.attribute.extra.ending; namespace and extra (a probe, a hash) may be absent.
NAME = re.compile(
    r"(?:_[a-z0-9]+_)?(?P<table>[A-Za-z0-9]+)\.(?P<attribute>\w+)(?:\.[\w-]+)*\.(?P<ending>npy|tsv|csv)"
)
REGIONS = ("acronym", "acronyms", "brainAcronyms", "brainLocationAcronyms_ccf_2017")
REGION_COLUMNS = ("acronym", "allen_ontology", "region")
# Steinmetz et al. number what phy calls a cluster.
ANNOTATIONS = {0: "noise", 1: "mua", 2: "good", 3: "unsorted"}
# Micrometres, in the order of our x (left-right), y (back-front) and z (down-up).
CCF = ("ccf_lr", "ccf_ap", "ccf_dv")
# A (m, 2) array of sample and time keeps its own length.
FREE = ("timestamps",)


def _list_table(folder: Path, table: str) -> dict[str, Path]:
    """Find the files of an object: attribute -> path."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected an ALF folder, got none. Check the path.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        if match is None or match["table"] != table:
            continue
        if match["attribute"] in files:
            raise LoadError(
                f"{path}: expected one file of {table}.{match['attribute']}, got "
                f"{files[match['attribute']].name} too. Keep the one that is meant."
            )
        files[match["attribute"]] = path
    return files


class _Table:
    """An ALF object: its columns, opened and compared in length."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.paths = _list_table(folder, name)
        plain = {key: path for key, path in self.paths.items() if path.suffix == ".npy"}
        self.columns = {key: open_npy(path) for key, path in plain.items()}
        self.texts = {key: read_table(path) for key, path in self.paths.items() if key not in plain}
        rows = [(plain[key], value) for key, value in self.columns.items() if key not in FREE]
        check_lengths(rows)
        self.size = len(rows[0][1]) if rows else None

    def read(self, attribute: str) -> Array:
        """Read a column, or say which there are."""
        if attribute not in self.columns:
            found = some([path.name for path in self.paths.values()], 12)
            raise LoadError(
                f"{self.folder}: expected {self.name}.{attribute}.npy, got "
                f"{found or f'no files of {self.name}'}. "
                "Name one of them, or save the columns of a parquet table as .npy."
            )
        return self.columns[attribute]

    def read_times(self, attribute: str) -> Array:
        """Read a column of seconds."""
        values = self.read(attribute)
        if values.dtype.kind != "f":
            raise LoadError(
                f"{self.paths[attribute]}: expected seconds as floats, got {values.dtype}: "
                "samples? Divide by the sampling rate."
            )
        return np.asarray(values, dtype=np.float64)


def _pick(values: Array, channel: Array, table: _Table) -> Array:
    """Take the value of each cluster's channel."""
    if len(channel) and not 0 <= channel.min() <= channel.max() < len(values):
        raise LoadError(
            f"{table.folder}: expected each cluster's channel among {len(values)} of "
            f"{table.name}.*, got channels {channel.min()} to {channel.max()}. "
            "Pass channels_from=1 where channels are counted from one."
        )
    return values[channel]


def _find_places(clusters: _Table, channels: _Table, base: int) -> dict[str, Array]:
    """Region and position of each cluster, from its own files or from those of its channel."""
    named = [name for name in REGIONS if name in clusters.columns]
    own = {"region": clusters.columns[named[0]]} if named else {}
    names = [name for name in ("channels", "peakChannel") if name in clusters.columns]
    if not names:
        return own
    channel = clusters.columns[names[0]].astype(np.int64) - base
    places: dict[str, Array] = {}
    for name in [name for name in REGIONS if name in channels.columns][:1]:
        places["region"] = _pick(channels.columns[name], channel, channels)
    if "brainLocation" in channels.texts:
        table = channels.texts["brainLocation"]
        for column in [column for column in REGION_COLUMNS if column in table][:1]:
            places["region"] = _pick(table[column].to_numpy(dtype=str), channel, channels)
        for axis, column in zip("xyz", CCF, strict=True):
            if column in table:
                microns = read_seconds(table, column, channels.paths["brainLocation"])
                places[axis] = _pick(microns / 1000, channel, channels)
    if "mlapdv" in channels.columns:
        position = _pick(channels.columns["mlapdv"] / 1000, channel, channels)
        places |= dict(zip("xyz", position.T, strict=True))
    return {**places, "electrode": channel.astype(str), **own}


def _find_quality(clusters: _Table, ids: Array, column: str) -> Array | None:
    if "_phy_annotation" in clusters.columns:
        numbers = clusters.columns["_phy_annotation"].astype(int)[ids]
        return np.array([ANNOTATIONS.get(number, str(number)) for number in numbers.tolist()])
    table = clusters.texts.get("metrics")
    if table is None or column not in table:
        return None
    index = np.arange(len(table))
    if "cluster_id" in table:
        index = read_seconds(table, "cluster_id", clusters.paths["metrics"]).astype(np.int64)
    if len(np.unique(index)) < len(index):
        raise LoadError(
            f"{clusters.paths['metrics']}: expected each cluster_id once, got repeated ones. "
            "Drop the copies."
        )
    quality = pd.Series(table[column].to_numpy(), index=index).replace("", "unknown")
    return quality.reindex(ids).fillna("unknown").to_numpy(dtype=str)


def _describe(values: Array) -> list[str]:
    """Numbers as short text; NaN, a stimulus that was not there, is 'none'."""
    texts = [f"{v:.10g}" if isinstance(v, float) else str(v) for v in values.tolist()]
    return ["none" if text in ("nan", "") else text for text in texts]


def load_alf_events(
    folder: Path | str,
    *,
    onset: str,
    stimulus: str | Sequence[str],
    stop: str | None = None,
    table: str = "trials",
    drop_missing: bool = False,
) -> pd.DataFrame:
    """Read an events table from the files of one ALF object.

    Parameters
    ----------
    folder : path
    onset, stop : str
        Attributes of times [s], such as ``stimOn_times`` and ``stimOff_times``. Without `stop`,
        trials end with ``<table>.intervals``, and have duration 0 where there are none.
    stimulus : str or sequence of str
        Attributes that name what was shown; several become ``contrastLeft=0.25,choice=1``;
        NaN becomes ``none``.
    table : str
        The object: files ``<table>.<attribute>.npy``, with or without a namespace.
    drop_missing : bool
        Leave out rows without an onset or stop (NaN) instead of refusing them.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``, in the order of the files.

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/trials.stimOn_times.npy", np.array([10.0, 11.0]))
    ...     np.save(f"{folder}/trials.contrastLeft.npy", np.array([0.25, np.nan]))
    ...     events = load_alf_events(folder, onset="stimOn_times", stimulus="contrastLeft")
    >>> events["stimulus"].tolist()
    ['0.25', 'none']
    """
    trials = _Table(Path(folder), table)
    start = trials.read_times(onset)
    end = start
    if stop is not None:
        end = trials.read_times(stop)
    elif "intervals" in trials.columns:
        end = trials.read_times("intervals")[:, 1]
    names = [stimulus] if isinstance(stimulus, str) else list(stimulus)
    columns = [_describe(trials.read(name)) for name in names]
    labels = columns[0]
    if len(names) > 1:
        labels = [
            ",".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
            for row in zip(*columns, strict=True)
        ]
    known = np.isfinite(start) & np.isfinite(end)
    if not (known.all() or drop_missing):
        raise LoadError(
            f"{trials.paths[onset]}: expected a time in every row, got none in "
            f"{int((~known).sum())} of {len(known)} (first row {int(np.argmin(known))}). "
            "Pass drop_missing=True to leave them out."
        )
    events = pd.DataFrame({"onset": start, "duration": end - start, "stimulus": labels})[known]
    backward = int((events["duration"] < 0).sum())
    if backward:
        raise LoadError(
            f"{trials.paths[onset]}: expected trials that end after they start, got {backward} "
            f"of {len(events)} that do not. Pass another stop=."
        )
    return events.reset_index(drop=True)


def load_alf_series(folder: Path | str, table: str, attribute: str) -> xr.DataArray:
    """Read a signal and its times: a wheel, a pupil.

    Parameters
    ----------
    folder : path
    table, attribute : str
        Files ``<table>.<attribute>.npy`` and ``<table>.timestamps.npy`` or ``.times.npy``;
        timestamps (m, 2) of sample and time are interpolated.

    Returns
    -------
    DataArray (time,) or (time, channel)
        ``time`` [s].

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/wheel.position.npy", np.array([0.0, 1.0, 4.0]))
    ...     np.save(f"{folder}/wheel.timestamps.npy", np.array([1.0, 2.0, 3.5]))
    ...     wheel = load_alf_series(folder, "wheel", "position")
    >>> wheel["time"].values.tolist()
    [1.0, 2.0, 3.5]
    """
    series = _Table(Path(folder), table)
    values = np.array(series.read(attribute))
    clock = "times" if "times" in series.columns else "timestamps"
    times = series.read_times(clock)
    if times.ndim == 2:
        sample = np.arange(len(values))
        if len(values) and not times[0, 0] <= sample[0] <= sample[-1] <= times[-1, 0]:
            raise LoadError(
                f"{series.paths[clock]}: expected samples 0 to {len(values) - 1}, got "
                f"{times[0, 0]:g} to {times[-1, 0]:g}. Copy both files again."
            )
        times = np.interp(sample, times[:, 0], times[:, 1])
    check_lengths([(series.paths[attribute], values), (series.paths[clock], times)])
    dims = ("time", "channel")[: values.ndim]
    return xr.DataArray(values, {"time": times}, dims, name=f"{table}.{attribute}")


def load_alf(
    folder: Path | str,
    events: pd.DataFrame,
    *,
    window: tuple[float, float] | None,
    bin_width: float,
    keep: str | Sequence[str] | None = None,
    label: str = "label",
    channels_from: int = 0,
    ragged_stop: bool = False,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Load the sorted spikes of an ALF folder (one probe).

    Parameters
    ----------
    folder : path
        With ``spikes.times.npy`` [s] and ``spikes.clusters.npy``; ``clusters.*`` and
        ``channels.*`` beside them give region, position and quality.
    events : DataFrame
        As `load_alf_events` gives it, from this folder or the one above.
    window : (float, float) or None
        [s] from onset; None for ragged trials, to the end of each.
    bin_width : float
        [s]
    keep : str, sequence of str, or None
        Qualities of the clusters that are kept; None keeps all.
    label : str
        Column of ``clusters.metrics.csv`` that is the quality; ``clusters._phy_annotation.npy``
        (noise, mua, good, unsorted) comes first.
    channels_from : {0, 1}
        How clusters count their channels.
    ragged_stop : bool
        End each trial at its own duration.
    run, session, subject : str, optional

    Returns
    -------
    DataArray (sample, neuroid, time)
        Counts; neuroids are named by cluster number, with coords ``region``, ``quality``,
        ``electrode`` and ``x y z`` [mm] where known.

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> arrays = {"times": np.array([0.1, 0.4, 1.2]), "clusters": np.array([0, 1, 0])}
    >>> with TemporaryDirectory() as folder:
    ...     for name, values in arrays.items():
    ...         np.save(f"{folder}/spikes.{name}.npy", values)
    ...     load_alf(folder, events, window=(0.0, 0.5), bin_width=0.5).values[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    folder = Path(folder)
    spikes, clusters = _Table(folder, "spikes"), _Table(folder, "clusters")
    times, labels = spikes.read_times("times"), spikes.read("clusters")
    lost = times[~np.isfinite(times)]
    if len(lost):
        raise LoadError(
            f"{spikes.paths['times']}: expected finite seconds, got {lost[0]} for {len(lost)} of "
            f"{len(times)} spikes. Drop those spikes."
        )
    ids = np.arange(clusters.size) if clusters.size else np.unique(labels).astype(np.int64)
    beyond = int((labels > ids.max(initial=-1)).sum() + (labels < 0).sum())
    if beyond:
        raise LoadError(
            f"{spikes.paths['clusters']}: expected clusters 0 to {ids.max()} (clusters.* has "
            f"{len(ids)} rows), got {beyond} spikes of others. Copy both again."
        )
    places = _find_places(clusters, _Table(folder, "channels"), channels_from)
    units = pd.DataFrame(places, index=ids)
    quality = _find_quality(clusters, ids, label)
    if quality is not None:
        units["quality"] = quality
        units = units.loc[choose_kept(ids, quality, keep, folder)]
    elif keep is not None:
        raise LoadError(
            f"{folder}: expected clusters._phy_annotation.npy, or '{label}' in "
            "clusters.metrics.csv, got neither. Pass label=, or keep=None."
        )
    trains = split_clusters(times, labels, units.index.to_numpy(), spikes.paths["clusters"])
    responses = bin_trials(
        trains,
        events,
        window=window,
        bin_width=bin_width,
        units=units.set_axis([str(number) for number in units.index]),
        source=folder.name,
        ragged_stop=ragged_stop,
        run=run,
        session=session,
        subject=subject,
    )
    return add_history(responses, f"load_alf: {len(units)} of {len(ids)} clusters kept")
