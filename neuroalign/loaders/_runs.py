"""What runs of volumes, hemisphere pairs and CIFTI share: coords of their samples, and attrs."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroalign.errors import LoadError, NeuroalignWarning
from neuroalign.loaders.events import check_events, label_times, load_events
from neuroalign.loaders.nifti import PLAUSIBLE_TR
from neuroalign.schema import SCHEMA_VERSION, as_labels, name_runs

Array = npt.NDArray[Any]
PathLike = Path | str


def check_tr(tr: Any, name: PathLike = "tr") -> float:
    """Check a repetition time [s] that was passed, or that a file names.

    Raises
    ------
    LoadError
    """
    low, high = PLAUSIBLE_TR
    number = isinstance(tr, int | float | np.number)
    if not (number and low <= tr <= high):
        given = f"{tr:g}" if number else repr(tr)
        raise LoadError(
            f"{name}: expected a TR of {low} to {high} s, got {given} s. Pass tr= in seconds."
        )
    return float(tr)


def split_runs(value: Any, n_runs: int, name: str) -> list[Any]:
    """One table, file or list of labels for each run; None for each when not given.

    Raises
    ------
    LoadError
    """
    if value is None:
        return [None] * n_runs
    items = [value] if isinstance(value, str | Path | pd.DataFrame) else list(value)
    if len(items) != n_runs:
        raise LoadError(
            f"{name}: expected one for each of {n_runs} runs, got {len(items)}. "
            "Give each run its own, or None."
        )
    return items


def check_names(runs: Sequence[str] | None, n_runs: int) -> list[str]:
    """Names of runs, ``run-01`` and so on when not given.

    Raises
    ------
    LoadError
        When they are not unique, or not as many as the runs.
    """
    names: list[str] = as_labels(runs or name_runs(n_runs), "runs").tolist()
    if len(set(names)) != n_runs or len(names) != n_runs:
        raise LoadError(f"runs: expected {n_runs} unique names, got {names}. Name each run once.")
    return names


def _label_events(table: Any, stimulus: str, onset: Array, stop: float, run: str) -> Array:
    """Labels of volumes from a file or a table that was loaded."""
    if isinstance(table, pd.DataFrame):
        name = f"events of {run}"
        events = check_events(table, name, stimulus=stimulus, run_duration=stop)
    else:
        name = str(table)
        events = load_events(table, stimulus=stimulus, run_duration=stop)
    labels = label_times(events, onset)
    if (labels == "rest").all():
        raise LoadError(
            f"{name}: expected events that are on at the onset of a volume, got none of "
            f"{len(events)} in {len(onset)} volumes. Check units and tr; for short events load "
            "labels=, and bring the events in by align.convolve_hrf."
        )
    begin = events["onset"].to_numpy()
    end = begin + events["duration"].to_numpy()
    # The rule of `label_times`: on from the start, off at the end.
    first = np.searchsorted(onset, begin - 1e-6)
    unseen = np.flatnonzero(first >= np.searchsorted(onset, end - 1e-6))
    if len(unseen):
        warnings.warn(
            f"{name}: {len(unseen)} of {len(events)} events are on at the onset of no volume and "
            f"label none, the first '{events['stimulus'][unseen[0]]}' at {begin[unseen[0]]:g} s. "
            "Bring short events in by align.convolve_hrf or estimate_betas.",
            NeuroalignWarning,
            stacklevel=4,
        )
    return labels


def sample_coords(
    paths: Sequence[PathLike],
    sizes: Sequence[int],
    tr: float,
    *,
    starts: Sequence[float],
    events: Any,
    labels: Any,
    stimulus: str,
    runs: Sequence[str] | None,
    session: str | None,
    subject: str | None,
) -> dict[str, tuple[str, Array]]:
    """Name the samples of several runs.

    Parameters
    ----------
    paths : sequence of path (run,)
        Named in messages.
    sizes : sequence of int (run,)
        Samples of each run.
    tr : float
        [s]
    starts : sequence of float (run,)
        Onset [s] of the first sample of each run.
    events, labels, stimulus, runs, session, subject
        As in `load_fmri`.

    Returns
    -------
    mapping of str to ("sample", array)

    Raises
    ------
    LoadError
    """
    names = check_names(runs, len(paths))
    tables = split_runs(events, len(paths), "events")
    texts = split_runs(labels, len(paths), "labels")
    parts: list[dict[str, Array]] = []
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        onset = starts[number] + np.arange(size) * tr
        part: dict[str, Array] = {"run": np.full(size, names[number]), "onset": onset}
        if tables[number] is not None:
            stop = starts[number] + size * tr
            part["stimulus"] = _label_events(tables[number], stimulus, onset, stop, names[number])
        elif texts[number] is not None:
            part["stimulus"] = as_labels(texts[number], f"labels of {names[number]}")
            if len(part["stimulus"]) != size:
                raise LoadError(
                    f"labels of {names[number]}: expected {size} (samples of {path}), "
                    f"got {len(part['stimulus'])}. "
                    "Give each sample one label."
                )
        parts.append(part)
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    joined["duration"] = np.full(sum(sizes), tr)
    for key, value in (("session", session), ("subject", subject)):
        if value is not None:
            joined[key] = np.full(sum(sizes), value)
    return {key: ("sample", values) for key, values in joined.items()}


def series_attrs(
    paths: Sequence[PathLike], tr: float, space: str | None, step: str
) -> dict[str, Any]:
    """The attrs of a recording sampled once a TR."""
    attrs: dict[str, Any] = {
        "kind": "responses",
        "modality": "fmri",
        "units": "a.u.",
        "sampling_rate": 1 / tr,
        "source": ", ".join(dict.fromkeys(Path(path).name for path in paths)),
        "schema_version": SCHEMA_VERSION,
        "history": step,
    }
    return attrs if space is None else attrs | {"space": space}
