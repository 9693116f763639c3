"""Neo blocks and segments, and the files that neo reads, to counts around events."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, choose, require, some
from neuroalign.loaders.spikes import bin_trials

neo: Any = require("neo", "spikes")
Array = npt.NDArray[Any]
# PickleIO loads pickles and ElphyIO evaluates text of the file: both can run code.
UNSAFE = ("PickleIO", "ElphyIO")
READERS: dict[str, Any] = {
    reader.__name__: reader for reader in neo.io.iolist if reader.__name__ not in UNSAFE
}
ANNOTATIONS = ("region", "quality", "electrode")


def _find_segment(source: Any, segment: int | None) -> Any:
    """Return the segment itself, or the one of a block that is meant."""
    if isinstance(source, neo.Segment):
        return source
    if not isinstance(source, neo.Block):
        raise LoadError(
            f"source: expected a neo Block or Segment, got {type(source).__name__}. "
            "Pass what neo's read_block gives."
        )
    count = len(source.segments)
    if segment is None and count == 1:
        return source.segments[0]
    if segment is None or not 0 <= segment < count:
        raise LoadError(
            f"segment: expected 0 to {count - 1}, got {segment}. Segments may have clocks of "
            "their own: load each with its run=, and join them on 'sample'."
        )
    return source.segments[segment]


def _seconds(quantity: Any) -> Array:
    return np.asarray(quantity.rescale("s").magnitude, dtype=np.float64)


def _name_trains(trains: list[Any]) -> list[str]:
    names = [str(train.name or "") for train in trains]
    if "" in names or len(set(names)) < len(names):
        return [f"unit-{number:04d}" for number in range(len(trains))]
    return names


def events_from_neo(source: Any, *, name: str | None = None, segment: int | None = None) -> Any:
    """Read an events table from the Epochs or Events of a segment.

    Parameters
    ----------
    source : neo.Block or neo.Segment
    name : str, optional
        Which Epoch or Event; the only one that is not empty, when not given.
    segment : int, optional
        Position in the block; needed when it has several.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` [s] (0 for Events) and ``stimulus`` (the label), sorted.

    Raises
    ------
    LoadError
        When the choice is open, or labels are missing.

    Examples
    --------
    >>> import numpy as np
    >>> import quantities as pq
    >>> times, labels = np.array([1.0, 2.0]), np.array(["cat", "dog"])
    >>> segment = neo.Segment()
    >>> segment.epochs.append(neo.Epoch(times * pq.s, [500, 500] * pq.ms, labels))
    >>> events_from_neo(segment)["duration"].tolist()
    [0.5, 0.5]
    """
    part = _find_segment(source, segment)
    tables = [table for table in (*part.epochs, *part.events) if len(table)]
    names = [str(table.name or type(table).__name__) for table in tables]
    found = [n for n, label in enumerate(names) if name is None or label == name]
    if len(found) != 1:
        raise LoadError(
            f"name: expected one of the segment's epochs and events ({some(names) or 'none'}), "
            f"got {name}. Pass its name."
        )
    table = tables[found[0]]
    raw = [item.decode() if isinstance(item, bytes) else str(item) for item in table.labels]
    if len(raw) != len(table) or "" in raw:
        raise LoadError(
            f"{names[found[0]]}: expected a label for each of {len(table)} events, got "
            f"{sum(map(bool, raw))}. Set its labels."
        )
    onset = _seconds(table)
    duration = _seconds(table.durations) if isinstance(table, neo.Epoch) else np.zeros(len(onset))
    events = pd.DataFrame({"onset": onset, "duration": duration, "stimulus": raw})
    return events.sort_values("onset", kind="stable", ignore_index=True)


def from_neo(
    source: Any,
    events: pd.DataFrame,
    *,
    window: tuple[float, float] | None,
    bin_width: float,
    segment: int | None = None,
    ragged_stop: bool = False,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Count the spikes of a neo segment around events.

    Parameters
    ----------
    source : neo.Block or neo.Segment
    events : DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``; as `events_from_neo` gives it.
    window : (float, float) or None
        [s] from onset; None for ragged trials, to the end of each.
    bin_width : float
        [s]
    segment : int, optional
        Position in the block; needed when it has several.
    ragged_stop : bool
        End each trial at its own duration.
    run, session, subject : str, optional

    Returns
    -------
    DataArray (sample, neuroid, time)
        Counts, NaN outside ``t_start`` to ``t_stop`` of each train. Neuroids bear the names of
        the trains, or ``unit-0000`` where these are absent or repeated; annotations ``region``,
        ``quality`` and ``electrode`` become coords.

    Raises
    ------
    LoadError

    Examples
    --------
    >>> import neo
    >>> import pandas as pd
    >>> import quantities as pq
    >>> segment = neo.Segment()
    >>> segment.spiketrains.append(neo.SpikeTrain([50, 1050] * pq.ms, t_stop=2000, name="unit-a"))
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> from_neo(segment, events, window=(0.0, 0.5), bin_width=0.5).values.tolist()
    [[[1.0]], [[1.0]]]
    """
    part = _find_segment(source, segment)
    spikes = list(part.spiketrains)
    if not spikes:
        raise LoadError("source: expected spike trains in the segment, got none. Sort them first.")
    names = _name_trains(spikes)
    units = pd.DataFrame(
        {
            key: [str(train.annotations.get(key, "unknown")) for train in spikes]
            for key in ANNOTATIONS
            if any(key in train.annotations for train in spikes)
        },
        index=names,
    )
    spans = [
        np.array([[_seconds(train.t_start).item(), _seconds(train.t_stop).item()]])
        for train in spikes
    ]
    origin = getattr(source, "file_origin", None) or source.name or type(source).__name__
    return bin_trials(
        {name: _seconds(train) for name, train in zip(names, spikes, strict=True)},
        events,
        window=window,
        bin_width=bin_width,
        units=units,
        source=Path(str(origin)).name,
        ragged_stop=ragged_stop,
        observed=dict(zip(names, spans, strict=True)),
        run=run,
        session=session,
        subject=subject,
    )


def read_neo(path: Path | str, *, reader: str) -> Any:
    r"""Read a file through neo.

    Parameters
    ----------
    path : path
        File or folder.
    reader : str
        The class of neo.io, such as ``"BlackrockIO"``. Not ``PickleIO`` nor ``ElphyIO``, which
        can run code from the file.

    Returns
    -------
    neo.Block
        For `events_from_neo` and `from_neo`.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataCorruptionError
        When neo fails on it.
    LoadError
        When it holds several blocks, or none.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "spikes.txt"
    ...     _ = path.write_text("0.05\t1.05\n")
    ...     block = read_neo(path, reader="AsciiSpikeTrainIO")
    >>> block.segments[0].spiketrains[0].size
    2
    """
    make = choose(READERS, reader, "reader")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a file or folder, got none. Check the path.")
    try:
        with warnings.catch_warnings():
            # Libraries below neo speak to its developers here.
            warnings.simplefilter("ignore", DeprecationWarning)
            blocks = make(str(path)).read()
    # Each reader of neo fails in its own way, and has no common error.
    except Exception as error:
        raise DataCorruptionError(
            f"{path}: expected what neo's {reader} reads, got {type(error).__name__} '{error}'. "
            "Choose another reader, or mend the file."
        ) from error
    if len(blocks) != 1:
        raise LoadError(
            f"{path}: expected one block, got {len(blocks)}. Read it with neo, and pass one "
            "block to from_neo."
        )
    blocks[0].file_origin = str(path)
    return blocks[0]
