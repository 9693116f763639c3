"""BIDS recordings (MEG, EEG, iEEG) to responses; every row of events.tsv is accounted for."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, NeuroalignWarning, require, some
from neuroalign.loaders._epoching import is_artifact
from neuroalign.loaders._files import check_id
from neuroalign.loaders._meg_files import check_recording
from neuroalign.loaders._mne import reading
from neuroalign.loaders.meg import load_continuous, load_meg

mne_bids: Any = require("mne_bids", "meg")
PathLike = Path | str
DATATYPES = ("meg", "eeg", "ieeg")


def _find(
    root: PathLike,
    subject: str,
    task: str,
    session: str | None,
    run: str | None,
    datatype: str | None,
) -> Any:
    """Path of the one recording that these names mean."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: expected the folder of a BIDS dataset, got none. Check the path."
        )
    for name, label in (("subject", subject), ("session", session), ("task", task), ("run", run)):
        if label is not None:
            check_id(label, name)
    folder = root / f"sub-{subject}" / (f"ses-{session}" if session else "")
    kinds = [kind for kind in DATATYPES if (folder / kind).is_dir()]
    if datatype is None and len(kinds) != 1:
        raise LoadError(
            f"{folder}: expected one of {list(DATATYPES)}, got {kinds or 'none'}. "
            "Pass datatype=, or check subject= and session=."
        )
    kind = datatype or kinds[0]
    path = mne_bids.BIDSPath(
        root=root, subject=subject, session=session, task=task, run=run, datatype=kind, suffix=kind
    )
    with reading(folder / kind):
        found = [
            match
            for match in path.match()
            if match.split is None or match.split == "01"
            if match.extension in (*mne_bids.config.ALLOWED_DATATYPE_EXTENSIONS[kind], ".ds")
        ]
    if len(found) != 1:
        raise LoadError(
            f"{folder / kind}: expected one recording of task '{task}', got "
            f"{some([match.basename for match in found]) or 'none'}. Name session= and run=."
        )
    return found[0]


def _find_events(path: Any) -> Path | None:
    """Return events.tsv of a recording, or None."""
    stem = path.basename.removesuffix(path.extension)
    name = stem.split("_split-")[0].removesuffix(f"_{path.suffix}")
    events = Path(path.directory) / f"{name}_events.tsv"
    return events if events.exists() else None


def _why_unusable(row: Any, n: int, duration: float, stimulus: str) -> str:
    """Say what is wrong with one row; '' when it can be used."""
    seconds = pd.to_numeric(row.onset, errors="coerce")
    if not np.isfinite(seconds):
        return f"row {n} onset '{row.onset}'"
    if seconds < 0:
        return f"row {n} onset {seconds:g} s < 0 s"
    if seconds >= duration:
        return f"row {n} onset {seconds:g} s > {duration:g} s"
    return f"row {n} {stimulus} '{row.label}'" if row.label in ("", "n/a") else ""


def read_bids_events(
    path: PathLike, *, duration: float, stimulus: str = "trial_type", allow_dropped: bool = False
) -> tuple[pd.DataFrame, int]:
    """Read events.tsv of a recording; rows that cannot be used are counted and named.

    Parameters
    ----------
    path : path
    duration : float
        Of the recording [s].
    stimulus : str
        The column that names what was shown.
    allow_dropped : bool
        Warn, instead of refusing, when rows cannot be used.

    Returns
    -------
    events : DataFrame
        ``onset``, ``duration`` [s], ``stimulus``; rows ``BAD...`` are artifacts and left out.
    n_dropped : int

    Raises
    ------
    LoadError
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise LoadError(
            f"{path}: expected a tab-separated table, got '{cause}'. "
            "Save it as UTF-8 text with tabs."
        ) from error
    absent = [column for column in ("onset", stimulus) if column not in table]
    if absent:
        raise LoadError(
            f"{path}: expected columns {absent}, got {list(table.columns)}. Pass stimulus=."
        )
    table = pd.DataFrame(
        {
            "onset": table["onset"],
            "duration": table.get("duration", "n/a"),
            "label": table[stimulus],
        }
    )
    table = table[~table["label"].map(is_artifact).astype(bool)]
    reasons = [
        _why_unusable(row, int(str(n)), duration, stimulus)
        for n, row in zip(table.index, table.itertuples(), strict=True)
    ]
    wrong = [reason for reason in reasons if reason]
    usable = len(table) - len(wrong)
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        text = (
            f"{path}: events.tsv has {len(table)} rows, {usable} usable: "
            f"{'; '.join(wrong[:3])}{more}."
        )
        if not allow_dropped or not usable:
            raise LoadError(f"{text} Correct them, or pass allow_dropped=True.")
        warnings.warn(text, NeuroalignWarning, stacklevel=3)
    good = table[[not reason for reason in reasons]]
    # A duration of n/a is legal and common; the event is taken as a moment.
    lasting = pd.to_numeric(good["duration"], errors="coerce").fillna(0.0)
    events = pd.DataFrame(
        {
            "onset": good["onset"].astype(float).to_numpy(),
            "duration": lasting.to_numpy(dtype=float),
            "stimulus": good["label"].to_numpy(dtype=str),
        }
    )
    return events.sort_values("onset", kind="stable", ignore_index=True), len(wrong)


def load_meg_bids(
    root: PathLike,
    *,
    subject: str,
    task: str,
    session: str | None = None,
    run: str | None = None,
    datatype: str | None = None,
    window: tuple[float, float] | None = None,
    stimulus: str = "trial_type",
    baseline: tuple[float | None, float | None] | None = None,
    decimate: int = 1,
    picks: str | Sequence[str] | None = None,
    drop_bad: bool = True,
    projectors: bool = True,
    allow_dropped: bool = False,
    allow_nan: bool = False,
    dtype: str = "float32",
    verify: bool = True,
) -> xr.DataArray:
    """Load one recording of a BIDS dataset, around its events or whole.

    Parameters
    ----------
    root : path
        Folder of the dataset.
    subject, task : str
        Without ``sub-`` and ``task-``.
    session, run : str, optional
    datatype : {"meg", "eeg", "ieeg"}, optional
        Needed when the subject has several.
    window : (float, float), optional
        [s] around the rows of events.tsv; the whole recording when not given.
    stimulus : str
        Column of events.tsv.
    baseline, decimate, picks, drop_bad, projectors, allow_nan, dtype, verify
        As in `load_meg`. Bad channels are those of channels.tsv.
    allow_dropped : bool
        Warn, instead of refusing, when a row of events.tsv cannot be used or its window leaves
        the data.

    Returns
    -------
    DataArray (sample, neuroid, time) or (sample, neuroid)
        ``run`` is ``ses-01_run-02``, of the parts that are there; ``session`` and ``subject`` as
        in the file's name.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         load_meg_bids(folder, subject="01", task="see")
    ...     except (FileNotFoundError, LoadError) as error:
    ...         print(str(error).split(". ")[1])
    Pass datatype=, or check subject= and session=.
    """
    path = _find(root, subject, task, session, run, datatype)
    check_recording(path.fpath, verify=verify)
    # Rows of events.tsv are counted below, so what mne_bids says of lost ones is answered.
    with reading(path.fpath, idle=("Omitted", "events")):
        raw = mne_bids.read_raw_bids(path, on_ch_mismatch="raise", verbose="warning")
    parts = {"ses": path.session, "run": path.run}
    run_name = "_".join(f"{key}-{value}" for key, value in parts.items() if value) or "run-01"
    session_name = f"ses-{path.session}" if path.session else None
    if window is None:
        return load_continuous(
            raw,
            picks=picks,
            drop_bad=drop_bad,
            projectors=projectors,
            allow_nan=allow_nan,
            dtype=dtype,
            run=run_name,
            session=session_name,
            subject=f"sub-{subject}",
        )
    events = _find_events(path)
    if events is None:
        raise LoadError(
            f"{path.fpath}: expected an events.tsv beside it, got none. Load it whole "
            "(window=None), or pass the file and events= to load_meg."
        )
    table, n_dropped = read_bids_events(
        events,
        duration=raw.n_times / raw.info["sfreq"],
        stimulus=stimulus,
        allow_dropped=allow_dropped,
    )
    responses = load_meg(
        raw,
        window=window,
        events=table,
        baseline=baseline,
        decimate=decimate,
        picks=picks,
        drop_bad=drop_bad,
        projectors=projectors,
        allow_dropped=allow_dropped,
        allow_nan=allow_nan,
        dtype=dtype,
        run=run_name,
        session=session_name,
        subject=f"sub-{subject}",
    )
    total = int(responses.attrs["n_dropped_events"]) + n_dropped
    return responses.assign_attrs(n_dropped_events=total)
