"""Folders of phy (Kilosort, SpykingCircus...) to counts around events."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, some
from neuroalign.loaders._files import check_file
from neuroalign.loaders._npy import check_lengths, choose_kept, open_npy, split_clusters
from neuroalign.loaders._tables import read_table
from neuroalign.loaders.spikes import bin_trials
from neuroalign.schema import add_history

Array = npt.NDArray[Any]
# phy's word for a cluster that nobody has looked at.
UNSORTED = "unsorted"
# phy writes tab-separated tables; its old versions named theirs .csv.
TABS = {".tsv": "\t", ".csv": "\t"}


def _sets_rate(line: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(line, ast.Assign) and any(
        isinstance(name, ast.Name) and name.id == "sample_rate" for name in line.targets
    )


def read_sample_rate(folder: Path) -> float:
    """Read ``sample_rate`` [Hz] from params.py, which is parsed and never run."""
    path = check_file(folder / "params.py", (".py",))
    try:
        lines = [line for line in ast.parse(path.read_text("utf-8")).body if _sets_rate(line)]
        found = [ast.literal_eval(line.value) for line in lines]
    except (SyntaxError, ValueError, UnicodeDecodeError) as error:
        raise LoadError(
            f"{path}: expected 'sample_rate = <number>', got '{error}'. Pass sampling_rate= in Hz."
        ) from error
    if not found or not isinstance(found[-1], int | float):
        raise LoadError(
            f"{path}: expected 'sample_rate = <number>', got {found[-1] if found else 'none'}. "
            "Pass sampling_rate= in Hz."
        )
    return float(found[-1])


def read_clusters(folder: Path, label: str) -> pd.DataFrame | None:
    """Read what is known of each cluster, indexed by its number; ``quality`` is the label."""
    names = ["cluster_info.tsv", f"cluster_{label}.tsv", f"cluster_{label}s.csv"]
    for path in (folder / name for name in names if (folder / name).exists()):
        table = read_table(path, TABS).rename(columns={"id": "cluster_id", "groups": "group"})
        if label not in table:
            continue
        column = table["cluster_id"] if "cluster_id" in table else pd.Series(dtype=str)
        numbers = pd.to_numeric(column, errors="coerce")
        if len(numbers) != len(table) or numbers.isna().any() or numbers.duplicated().any():
            raise LoadError(
                f"{path}: expected each cluster_id once, got {some(column.tolist())} in columns "
                f"{some(table.columns)}. Save it again in phy."
            )
        quality = table[label].replace("", UNSORTED)
        clusters = pd.DataFrame({"quality": quality.to_numpy()}, index=numbers.astype(int))
        if "ch" in table:
            clusters["electrode"] = table["ch"].to_numpy()
        return clusters
    return None


def load_phy(
    folder: Path | str,
    events: pd.DataFrame,
    *,
    window: tuple[float, float] | None,
    bin_width: float,
    keep: str | Sequence[str] | None = "good",
    label: str = "group",
    sampling_rate: float | None = None,
    offset: float = 0.0,
    ragged_stop: bool = False,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    r"""Load the sorted spikes of a phy folder.

    Parameters
    ----------
    folder : path
        With ``spike_times.npy`` [samples], ``spike_clusters.npy`` (``spike_templates.npy``
        before any curation), ``params.py``, and ``cluster_info.tsv`` or ``cluster_group.tsv``.
    events : DataFrame
        ``onset``, ``duration`` [s] and ``stimulus``, as `load_events` gives them.
    window : (float, float) or None
        [s] from onset; None for ragged trials, to the end of each.
    bin_width : float
        [s]
    keep : str, sequence of str, or None
        Labels of the clusters that are kept; None keeps all.
    label : str
        The column of labels: ``group`` (by hand) or ``KSLabel`` (by Kilosort).
    sampling_rate : float, optional
        [Hz]; from ``params.py`` when not given. That file is parsed, never run.
    offset : float
        Time of the first sample on the clock of the events [s].
    ragged_stop : bool
        End each trial at its own duration.
    run, session, subject : str, optional

    Returns
    -------
    DataArray (sample, neuroid, time)
        Counts; neuroids are named by cluster number, with coords ``quality`` and ``electrode``
        (phy's channel) where known.

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import pandas as pd
    >>> events = pd.DataFrame({"onset": [0.0, 1.0], "duration": 0.5, "stimulus": ["cat", "dog"]})
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/spike_times.npy", np.array([100, 400, 1200]))
    ...     np.save(f"{folder}/spike_clusters.npy", np.array([4, 9, 4]))
    ...     _ = (Path(folder) / "params.py").write_text("sample_rate = 1000.0\n")
    ...     table = "cluster_id\tgroup\n4\tgood\n9\tmua\n"
    ...     _ = (Path(folder) / "cluster_group.tsv").write_text(table)
    ...     counts = load_phy(folder, events, window=(0.0, 0.5), bin_width=0.5)
    >>> counts["neuroid"].values.tolist(), counts.values.ravel().tolist()
    (['4'], [1.0, 1.0])
    """
    folder = Path(folder)
    sorted_by = folder / "spike_clusters.npy"
    if not sorted_by.exists() and (folder / "spike_templates.npy").exists():
        sorted_by = folder / "spike_templates.npy"
    samples, clusters = open_npy(folder / "spike_times.npy"), open_npy(sorted_by)
    check_lengths([(folder / "spike_times.npy", samples), (sorted_by, clusters)])
    if samples.dtype.kind not in "iu":
        raise LoadError(
            f"{folder / 'spike_times.npy'}: expected whole samples, got {samples.dtype}. "
            "If these are seconds, use bin_trials."
        )
    rate = read_sample_rate(folder) if sampling_rate is None else float(sampling_rate)
    if not (np.isfinite(rate) and rate > 0):
        raise LoadError(
            f"{folder}: expected a sampling rate above 0 Hz, got {rate:g}. Pass sampling_rate=."
        )
    times = np.asarray(samples, dtype=np.float64) / rate + offset
    ids = np.unique(clusters).astype(np.int64)
    known = read_clusters(folder, label)
    if known is None:
        if keep is not None:
            raise LoadError(
                f"{folder}: expected cluster_info.tsv or cluster_{label}.tsv with column "
                f"'{label}', got neither. Label the clusters in phy, or pass keep=None."
            )
        known = pd.DataFrame(index=ids)
    units = known.reindex(np.union1d(ids, known.index.to_numpy(dtype=np.int64)))
    if "quality" in units:
        units["quality"] = units["quality"].fillna(UNSORTED)
        quality = units["quality"].to_numpy(dtype=str)
        units = units.loc[choose_kept(units.index.to_numpy(), quality, keep, folder)]
    trains = split_clusters(times, clusters, units.index.to_numpy(), sorted_by)
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
    kept = "all" if keep is None else f"{label} {some([keep] if isinstance(keep, str) else keep)}"
    return add_history(responses, f"load_phy: clusters {kept}, {rate:g} Hz, offset {offset:g} s")
