"""Tables of events: what was shown when, with every bad row named."""

from pathlib import Path

import numpy as np
import pandas as pd

from neuroalign.errors import LoadError, SchemaError
from neuroalign.loaders._files import check_file
from neuroalign.schema import as_labels

ENDINGS = (".tsv", ".txt", ".csv")


def _read_seconds(table: pd.DataFrame, column: str, name: str) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise LoadError(
            f"{name}: expected {column} in seconds, got '{table[column].iloc[bad[0]]}' in row "
            f"{bad[0]} ({len(bad)} of {len(table)} rows). Correct or drop them."
        )
    return values


def load_events(
    path: Path | str, *, stimulus: str = "trial_type", run_duration: float | None = None
) -> pd.DataFrame:
    r"""Read an events table (BIDS events.tsv).

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

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "events.tsv"
    ...     _ = path.write_text("onset\tduration\ttrial_type\n2\t1\tdog\n0\t1\tcat\n")
    ...     load_events(path)["stimulus"].tolist()
    ['cat', 'dog']
    """
    path = check_file(path, ENDINGS)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise LoadError(
            f"{path}: expected a tab-separated table, got '{cause}'. "
            "Save it as UTF-8 text with tabs."
        ) from error
    if len(table.columns) == 1 and "," in str(table.columns[0]):
        raise LoadError(
            f"{path}: expected columns apart by tabs, got commas in '{table.columns[0]}'. "
            "Write it with tabs."
        )
    return check_events(table, str(path), stimulus=stimulus, run_duration=run_duration)


def check_events(
    table: pd.DataFrame,
    name: str,
    *,
    stimulus: str = "trial_type",
    run_duration: float | None = None,
) -> pd.DataFrame:
    """Check a table of events, wherever it comes from, and bring it into one form.

    Parameters
    ----------
    table : DataFrame
        ``onset``, ``duration`` [s] and labels as text in ``stimulus``, or in the column of that
        name, which `load_events` gives.
    name : str
        File or argument named in messages.
    stimulus : str
    run_duration : float, optional
        [s]; events that end later are an error.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``, sorted by onset.

    Raises
    ------
    LoadError
    """
    column = stimulus if stimulus in table or "stimulus" not in table else "stimulus"
    for needed in ("onset", "duration", column):
        if needed not in table:
            raise LoadError(
                f"{name}: expected column '{needed}', got {list(table.columns)}. "
                "Rename it, or pass stimulus=."
            )
    onset, duration = (_read_seconds(table, key, name) for key in ("onset", "duration"))
    if (duration < 0).any():
        row = int(np.flatnonzero(duration < 0)[0])
        raise LoadError(
            f"{name}: expected duration >= 0 s, got {duration[row]:g} in row {row}. "
            "Correct or drop it."
        )
    named = table[column].tolist()
    unnamed = [n for n, label in enumerate(named) if pd.isna(label) or label in ("", "n/a")]
    if unnamed:
        raise LoadError(
            f"{name}: expected a {column} in every row, got '{named[unnamed[0]]}' in row "
            f"{unnamed[0]} ({len(unnamed)} of {len(table)} rows). Name or drop them."
        )
    try:
        labels = as_labels(named, column)
    except SchemaError as error:
        raise LoadError(f"{name}: {error}") from error
    if run_duration is not None:
        late = np.flatnonzero(onset + duration > run_duration + 1e-6)
        if len(late):
            raise LoadError(
                f"{name}: expected events inside the run ({run_duration:g} s), got {len(late)} of "
                f"{len(table)} that end later: first onset {onset[late[0]]:g} "
                f"'{labels[late[0]]}'. Check units and run."
            )
    events = pd.DataFrame({"onset": onset, "duration": duration, "stimulus": labels})
    twice = events.duplicated(["onset", "stimulus"])
    if twice.any():
        row = int(np.flatnonzero(twice.to_numpy())[0])
        raise LoadError(
            f"{name}: expected each event once, got '{labels[row]}' at {onset[row]:g} s again in "
            f"row {row} ({int(twice.sum())} repeated). Drop the copies."
        )
    return events.sort_values("onset", kind="stable", ignore_index=True)


def label_times(events: pd.DataFrame, times: np.ndarray, rest: str = "rest") -> np.ndarray:
    """Name the event that is on at each time; of several, the one that began last.

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
    stop = onset + events["duration"].to_numpy()
    names = events["stimulus"].to_numpy(dtype=str)
    width = max([len(rest), *map(len, names)])
    labels = np.full(len(times), rest, dtype=f"<U{width}")
    for start, end, name in zip(onset, stop, names, strict=True):
        labels[(times >= start - 1e-6) & (times < end - 1e-6)] = name
    return labels
