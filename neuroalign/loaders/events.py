"""Tables of events: what was shown when, with every bad row named."""

from pathlib import Path

import numpy as np
import pandas as pd

from neuroalign.errors import LoadError


def _read_seconds(table: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise LoadError(
            f"{path}: expected {column} in seconds, got '{table[column].iloc[bad[0]]}' in row "
            f"{bad[0]} ({len(bad)} of {len(table)} rows). Correct or drop them."
        )
    return values


def load_events(
    path: Path | str, *, stimulus: str = "trial_type", run_duration: float | None = None
) -> pd.DataFrame:
    """Read an events table (BIDS events.tsv).

    Parameters
    ----------
    path : path
        Tab-separated, with ``onset`` and ``duration`` [s] and a column of labels.
    stimulus : str
        The column that names what was shown; read as text, so that '001' stays '001'.
    run_duration : float, optional
        [s]; events that end later are an error.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``, sorted by onset.

    Raises
    ------
    FileNotFoundError, LoadError
    """
    path = Path(path)
    if not path.exists():
        near = sorted(other.name for other in path.parent.glob("*.tsv"))[:5]
        raise FileNotFoundError(f"{path}: expected a file, got none. In its folder: {near}.")
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise LoadError(f"{path}: expected a tab-separated table, got '{error}'.") from error
    if len(table.columns) == 1 and "," in str(table.columns[0]):
        raise LoadError(
            f"{path}: expected columns apart by tabs, got commas in '{table.columns[0]}'. "
            "Write it with tabs."
        )
    for column in ("onset", "duration", stimulus):
        if column not in table:
            raise LoadError(
                f"{path}: expected column '{column}', got {list(table.columns)}. "
                "Rename it, or pass stimulus=."
            )
    onset, duration = (_read_seconds(table, column, path) for column in ("onset", "duration"))
    if (duration < 0).any():
        row = int(np.flatnonzero(duration < 0)[0])
        raise LoadError(f"{path}: expected duration >= 0 s, got {duration[row]:g} in row {row}.")
    labels = table[stimulus].to_numpy(dtype=str)
    unnamed = np.flatnonzero(np.isin(labels, ["", "n/a"]))
    if len(unnamed):
        raise LoadError(
            f"{path}: expected a {stimulus} in every row, got '{labels[unnamed[0]]}' in row "
            f"{unnamed[0]} ({len(unnamed)} of {len(table)} rows). Name or drop them."
        )
    if run_duration is not None:
        late = np.flatnonzero(onset + duration > run_duration + 1e-6)
        if len(late):
            raise LoadError(
                f"{path}: expected events inside the run ({run_duration:g} s), got {len(late)} of "
                f"{len(table)} that end later: first onset {onset[late[0]]:g} "
                f"'{labels[late[0]]}'. Check units and run."
            )
    events = pd.DataFrame({"onset": onset, "duration": duration, "stimulus": labels})
    twice = events.duplicated(["onset", "stimulus"])
    if twice.any():
        row = int(np.flatnonzero(twice.to_numpy())[0])
        raise LoadError(
            f"{path}: expected each event once, got '{labels[row]}' at {onset[row]:g} s again in "
            f"row {row} ({int(twice.sum())} repeated). Drop the copies."
        )
    return events.sort_values("onset", kind="stable", ignore_index=True)


def label_times(events: pd.DataFrame, times: np.ndarray, rest: str = "rest") -> np.ndarray:
    """Name the event that is on at each time.

    Parameters
    ----------
    events : DataFrame
        As `load_events` returns it.
    times : array (sample,)
        [s]
    rest : str
        Name where none is on.

    Returns
    -------
    array of str (sample,)
    """
    onset = events["onset"].to_numpy()
    row = np.searchsorted(onset, times + 1e-6, side="right") - 1
    stop = onset + events["duration"].to_numpy()
    names = events["stimulus"].to_numpy(dtype=str)
    return np.array(
        [
            names[r] if r >= 0 and t < stop[r] - 1e-6 else rest
            for r, t in zip(row, times, strict=True)
        ]
    )
