"""Events of a table brought to the triggers that the recording holds."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import LoadError, NeuroalignWarning, some

Array = npt.NDArray[Any]


def _drop_extra(onset: Array, values: Array, table: Array, spurious: tuple[int, ...]) -> Array:
    """Rows of triggers to keep: of those with a spurious value, drop what fits the times worst."""
    kept = np.arange(len(onset))
    while len(kept) > len(table):
        doubtful = np.flatnonzero(np.isin(values[kept], spurious))
        if not len(doubtful):
            return kept
        # Without the right one, what follows lies at one distance from the table.
        spreads = []
        for place in doubtful:
            rest = onset[np.delete(kept, place)][: len(table)]
            gap = rest - table[: len(rest)]
            spreads.append(float(np.abs(gap - np.median(gap)).sum()))
        kept = np.delete(kept, doubtful[int(np.argmin(spreads))])
    return kept


def correct_to_triggers(
    events: pd.DataFrame,
    triggers: Any,
    *,
    sampling_rate: float,
    first_sample: int = 0,
    value: str | None = "value",
    spurious: tuple[int, ...] = (32,),
    tolerance: float = 0.05,
    max_mismatches: int = 20,
) -> pd.DataFrame:
    """Move each event of a table to its trigger, in order.

    THINGS-MEG needs it: the onsets of its events.tsv lie about 150 ms off the triggers on UPPT001,
    the recording has one trigger more (value 32), and a few image numbers of a run differ.

    Parameters
    ----------
    events : DataFrame
        ``onset`` [s] from the start of the recording, sorted; other columns are kept.
    triggers : array of int (trigger, 3)
        As ``mne.find_events`` gives them: sample, value before, value.
    sampling_rate : float
        [Hz]
    first_sample : int
        ``raw.first_samp``, which MNE adds to the samples of triggers.
    value : str or None
        Column of events with the number that the trigger sends; None compares no numbers.
    spurious : tuple of int
        Values of triggers that belong to no event, dropped as far as there are too many triggers.
    tolerance : float
        [s]; largest difference of one event's shift from the median shift.
    max_mismatches : int
        Numbers that may differ; more mean that rows and triggers are not the same events.

    Returns
    -------
    DataFrame
        A copy with ``onset`` from the triggers, ``table_onset`` [s] as it was, ``shift`` [s], and
        ``mismatch`` (bool) where ``value`` is compared.

    Raises
    ------
    LoadError
        When counts, times or numbers do not fit.

    Warns
    -----
    NeuroalignWarning
        With the count of numbers that differ.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [1.00, 2.00], "duration": 0.5, "value": [7, 8]})
    >>> triggers = np.array([[115, 0, 7], [215, 0, 8]])  # all 150 ms later than the table says
    >>> moved = correct_to_triggers(events, triggers, sampling_rate=100.0)
    >>> moved["onset"].tolist(), moved["shift"].round(3).tolist()
    ([1.15, 2.15], [0.15, 0.15])
    """
    missing = [name for name in ("onset", value) if name is not None and name not in events]
    if missing:
        raise LoadError(
            f"events: expected columns {missing}, got {list(events.columns)}. Rename them, or pass "
            "value=None."
        )
    rows = np.asarray(triggers)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise LoadError(
            f"triggers: expected (trigger, 3) as MNE has them, got shape {rows.shape}. "
            "Take them from mne.find_events."
        )
    table = pd.to_numeric(events["onset"], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(table).all() or (np.diff(table) < 0).any():
        raise LoadError("events: expected sorted onsets in seconds, got others. Sort the table.")
    onset = (rows[:, 0] - first_sample) / float(sampling_rate)
    kept = _drop_extra(onset, rows[:, 2], table, spurious)
    if len(kept) != len(table):
        raise LoadError(
            f"triggers: expected {len(table)} (one for each event), got {len(rows)}, "
            f"{len(kept)} after dropping values {list(spurious)}. Check the run and the channel."
        )
    onset, sent = onset[kept], rows[kept, 2]
    shift = onset - table
    if len(shift) and np.abs(shift - np.median(shift)).max() > tolerance:
        away = np.abs(shift - shift[0])
        row = int(np.argmax(away >= min(tolerance, away.max())))
        raise LoadError(
            f"triggers: expected one shift for all events (within {tolerance:g} s), got "
            f"{shift.min():.3f} to {shift.max():.3f} s, first another than in row 0 in row {row}. "
            "An event lacks a trigger there, or the reverse."
        )
    corrected = events.assign(onset=onset, table_onset=table, shift=shift)
    if value is None:
        return corrected
    said = pd.to_numeric(events[value], errors="coerce").to_numpy(dtype=float)
    differ = said != sent
    if differ.sum() > max_mismatches:
        raise LoadError(
            f"triggers: expected the numbers of '{value}', got {int(differ.sum())} of "
            f"{len(differ)} that differ (at most {max_mismatches}). Check the run and the column."
        )
    if differ.any():
        warnings.warn(
            f"triggers: expected the numbers of '{value}', got {int(differ.sum())} of "
            f"{len(differ)} that differ, in rows {some(np.flatnonzero(differ).tolist())}. The "
            "table's are kept; look at the column mismatch.",
            NeuroalignWarning,
            stacklevel=2,
        )
    return corrected.assign(mismatch=differ)
