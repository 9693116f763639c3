"""Text tables as they stand: every cell a string, and seconds with every bad row named."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import LoadError, choose
from neuroalign.loaders._files import check_file

SEPARATORS = {".tsv": "\t", ".csv": ","}
Seconds = npt.NDArray[np.float64]


def read_table(path: Path | str, separators: Mapping[str, str] = SEPARATORS) -> pd.DataFrame:
    """Read a table of text: '001', 'NA' and empty cells stay what they are.

    Parameters
    ----------
    path : path
        ``.tsv`` or ``.csv``.
    separators : mapping of str
        Ending -> separator.

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError
    """
    path = check_file(path, tuple(separators))
    separator = choose(separators, path.suffix.lower(), f"{path}: ending")
    try:
        return pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise LoadError(
            f"{path}: expected a table of UTF-8 text with a header, got '{cause}'. "
            "Save it again as such."
        ) from error


def read_seconds(
    table: pd.DataFrame,
    column: str,
    name: Path | str,
    least: float = -np.inf,
    advice: str = "Correct or drop them.",
) -> Seconds:
    """Read a column of finite numbers; the first bad row is named.

    Parameters
    ----------
    table : DataFrame
    column : str
    name : path or str
        File or argument named in messages.
    least : float
        Numbers below are bad.
    advice : str
        What to do about bad rows.

    Raises
    ------
    LoadError
    """
    if not isinstance(table, pd.DataFrame):
        raise LoadError(
            f"{name}: expected a DataFrame with '{column}' [s], got {type(table).__name__}. "
            "Put onsets and labels into columns 'onset', 'duration' and 'stimulus'."
        )
    if column not in table:
        raise LoadError(
            f"{name}: expected column '{column}' [s], got {list(table.columns)}. Rename it."
        )
    values: Any = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= least)))
    if len(bad):
        above = f" of {least:g} or more" if np.isfinite(least) else ""
        raise LoadError(
            f"{name}: expected {column} as numbers (times in s){above}, got "
            f"'{table[column].iloc[bad[0]]}' in row {bad[0]} ({len(bad)} of {len(table)} rows). "
            f"{advice}"
        )
    return np.asarray(values, dtype=np.float64)
