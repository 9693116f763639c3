"""NIfTI runs to responses: one sample a volume, one neuroid a voxel."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from dask.delayed import delayed

from neuroalign.errors import LoadError, NeuroalignWarning, choose, some
from neuroalign.loaders._files import check_file
from neuroalign.loaders.events import ENDINGS, check_events, label_times, load_events
from neuroalign.loaders.nifti import (
    check_affine,
    check_tr,
    open_series,
    read_mask,
    read_tr,
    read_volumes,
)
from neuroalign.schema import SCHEMA_VERSION, as_labels, check_responses, name_runs

Array = npt.NDArray[Any]
PathLike = Path | str


def _zscore(values: Array) -> None:
    values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = values.std(axis=0, dtype=np.float64).astype(np.float32)
    # A voxel without variance stays at zero instead of turning into NaN.
    values /= np.where(spread > 0, spread, 1)


def _percent(values: Array) -> None:
    mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    values -= mean
    values *= 100 / np.where(mean != 0, mean, 1)


# Work in place on blocks (volume, voxel): a run must not be held several times over.
BLOCK = 4096
STANDARDIZE: dict[str, Callable[[Array], None]] = {"zscore": _zscore, "percent": _percent}


def _drifts(n: int, tr: float, detrend: bool, high_pass: float | None) -> Array:
    """Columns to project out: a linear trend, and discrete cosines below the cut-off [Hz]."""
    columns = []
    if detrend:
        columns.append(np.linspace(-1, 1, n))
    if high_pass is not None:
        order = int(np.floor(2 * n * high_pass * tr))
        time = np.pi * (np.arange(n) + 0.5) / n
        columns += [np.cos(time * number) for number in range(1, order + 1)]
    return np.array(columns).reshape(len(columns), n).T


def _read_run(path: PathLike, inside: Array, nuisance: Array, standardize: str | None) -> Array:
    values = read_volumes(path, inside)
    left, spread, _ = np.linalg.svd(nuisance - nuisance.mean(axis=0), full_matrices=False)
    basis = left[:, spread > 1e-10 * spread.max(initial=1)].astype(np.float32)
    n_bad = 0
    for start in range(0, values.shape[1], BLOCK):
        block = values[:, start : start + BLOCK]
        n_bad += int((~np.isfinite(block)).any(axis=0).sum())
        if basis.shape[1]:
            # The constant keeps its place: the basis is centred.
            centred = block - block.mean(axis=0, dtype=np.float64).astype(np.float32)
            block -= basis @ (basis.T @ centred)
        if standardize is not None:
            STANDARDIZE[standardize](block)
    if n_bad:
        warnings.warn(
            f"{path}: expected finite values, got NaN or infinity in {n_bad} of "
            f"{values.shape[1]} voxels; after detrending or standardising all of their run is NaN. "
            "Mask them out.",
            NeuroalignWarning,
            stacklevel=2,
        )
    return values


def _read_confounds(
    source: Any, columns: Sequence[str] | None, n: int, path: PathLike
) -> tuple[Array, bool]:
    """Confounds of one run (volume, confound); NaN in the first row takes the column's mean."""
    if isinstance(source, str | Path):
        table = pd.read_csv(check_file(source, ENDINGS), sep="\t", na_values=["n/a"])
    else:
        table = pd.DataFrame(np.asarray(source))
    if columns is not None:
        absent = [name for name in columns if name not in table]
        if absent:
            raise LoadError(
                f"{source}: expected columns {absent}, got {list(table.columns)[:8]}..."
            )
        table = table[list(columns)]
    name = source if isinstance(source, str | Path) else "confounds"
    if len(table) != n:
        raise LoadError(
            f"{name}: expected {n} rows (volumes of {path}), got {len(table)}. Pair them."
        )
    bad = [
        str(column)
        for column in table
        if table[column].dtype.kind not in "buif" or np.isinf(table[column]).any()
    ]
    if bad:
        raise LoadError(f"{name}: expected finite numbers, got others in {some(bad)}. Drop those.")
    holes = table.columns[table.iloc[1:].isna().any()].tolist()
    if holes:
        raise LoadError(
            f"{name}: expected NaN in the first row at most, got more in {holes[:5]}. Drop those."
        )
    filled = bool(table.iloc[0].isna().any())
    return table.fillna(table.mean()).to_numpy(dtype=float), filled


def _per_run(value: Any, n_runs: int, name: str) -> list[Any]:
    if value is None:
        return [None] * n_runs
    items = [value] if isinstance(value, str | Path | pd.DataFrame) else list(value)
    if len(items) != n_runs:
        raise LoadError(f"{name}: expected one for each of {n_runs} runs, got {len(items)}.")
    return items


def load_fmri(
    bold: PathLike | Sequence[PathLike],
    *,
    mask: PathLike | None = None,
    events: Any = None,
    labels: Any = None,
    stimulus: str = "trial_type",
    confounds: Any = None,
    confound_columns: Sequence[str] | None = None,
    tr: float | None = None,
    runs: Sequence[str] | None = None,
    session: str | None = None,
    subject: str | None = None,
    detrend: bool = False,
    high_pass: float | None = None,
    standardize: str | None = None,
    verify: bool = True,
) -> xr.DataArray:
    """Load runs of volumes.

    Parameters
    ----------
    bold : path, or sequence of paths
        4-D NIfTI, one a run, on one grid.
    mask : path, optional
        3-D NIfTI of 0 and 1 on that grid; all voxels without it.
    events : path or DataFrame, or one for each run, optional
        A volume takes the label of the event that is on at its onset, else ``rest``.
    labels : sequence (run) of sequence of str (volume,), optional
        Labels given directly, instead of events.
    stimulus : str
        The column of the events that names what was shown.
    confounds : path or array (volume, confound), one for each run, optional
        Regressed out.
    confound_columns : sequence of str, optional
    tr : float, optional
        Repetition time [s]; from the header when not given.
    runs : sequence of str, optional
        Unique names, ``run-01`` and so on when not given.
    session, subject : str, optional
    detrend : bool
        Remove a linear trend of each run.
    high_pass : float, optional
        Remove discrete cosines below this frequency [Hz].
    standardize : {"zscore", "percent"} or None
        Within each run, as the last step.
    verify : bool
        Check the CRC of gzipped files; one read of each.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy: each run is read when computed. Steps stand in ``history``, in the order
        done: confounds, trend and cosines in one projection, then standardisation.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Examples
    --------
    Two runs, each with its events; voxels of a mask, without trend and z-scored within runs::

        responses = load_fmri(
            ["run-01_bold.nii.gz", "run-02_bold.nii.gz"],
            mask="mask.nii.gz",
            events=["run-01_events.tsv", "run-02_events.tsv"],
            detrend=True,
            standardize="zscore",
        )
    """
    paths = [bold] if isinstance(bold, str | Path) else list(bold)
    if not paths:
        raise LoadError("bold: expected one or more runs, got none.")
    names = as_labels(runs or name_runs(len(paths)), "runs").tolist()
    if len(set(names)) != len(paths):
        raise LoadError(f"runs: expected {len(paths)} unique names, got {names}.")
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise LoadError(f"bold: expected each run once, got a file twice in {some(paths)}.")
    if labels is not None and events is not None:
        raise LoadError("labels: expected labels or events, got both. Pass one of them.")
    if standardize is not None:
        choose(STANDARDIZE, standardize, "standardize")
    tables = _per_run(events, len(paths), "events")
    texts = _per_run(labels, len(paths), "labels")
    nuisances = _per_run(confounds, len(paths), "confounds")

    first, shape = open_series(paths[0], verify=verify)
    inside = np.ones(shape[:3], bool) if mask is None else read_mask(mask, first, paths[0])
    seconds = read_tr(first, paths[0]) if tr is None else check_tr(tr)
    if high_pass is not None and not 0 < high_pass < 0.5 / seconds:
        raise LoadError(
            f"high_pass: expected a frequency between 0 and {0.5 / seconds:g} Hz (half the "
            f"sampling rate), got {high_pass:g}. Give 1 / period, such as 1 / 128."
        )
    blocks, parts, filled = [], [], False
    for number, path in enumerate(paths):
        image, own = (first, shape) if number == 0 else open_series(path, verify=verify)
        if own[:3] != shape[:3]:
            raise LoadError(f"{path}: expected the grid {shape[:3]} of {paths[0]}, got {own[:3]}.")
        check_affine(image.affine, first.affine, path, paths[0])
        if tr is None and abs(read_tr(image, path) - seconds) > 1e-3:
            raise LoadError(
                f"{path}: expected the TR of {paths[0]} ({seconds:g} s), got "
                f"{read_tr(image, path):g} s. Load those runs apart, or pass tr=."
            )
        nuisance = _drifts(own[3], seconds, detrend, high_pass)
        if nuisances[number] is not None:
            extra, hole = _read_confounds(nuisances[number], confound_columns, own[3], path)
            nuisance, filled = np.column_stack([extra, nuisance]), filled or hole
        read = partial(_read_run, path, inside, nuisance, standardize)
        size = (own[3], int(inside.sum()))
        later = delayed(read, pure=True)()
        blocks.append(da.from_delayed(later, size, np.float32))  # type: ignore[no-untyped-call]
        onset = np.arange(own[3]) * seconds
        part = {"run": np.full(own[3], names[number]), "onset": onset}
        if tables[number] is not None:
            part["stimulus"] = _label(
                tables[number], stimulus, onset, own[3] * seconds, names[number]
            )
        elif texts[number] is not None:
            part["stimulus"] = as_labels(texts[number], f"labels of {names[number]}")
            if len(part["stimulus"]) != own[3]:
                raise LoadError(
                    f"labels of {names[number]}: expected {own[3]} (volumes of {path}), "
                    f"got {len(part['stimulus'])}."
                )
        parts.append(part)
    ijk = np.argwhere(inside)
    xyz = (ijk @ first.affine[:3, :3].T + first.affine[:3, 3]).astype(np.float32)
    coords: dict[str, Any] = {
        key: ("sample", np.concatenate([part[key] for part in parts])) for key in parts[0]
    }
    coords["duration"] = ("sample", np.full(len(coords["run"][1]), seconds))
    for key, value in (("session", session), ("subject", subject)):
        if value is not None:
            coords[key] = ("sample", np.full(len(coords["run"][1]), value))
    coords["neuroid"] = ("neuroid", np.array(["-".join(map(str, row)) for row in ijk.tolist()]))
    coords |= {axis: ("neuroid", ijk[:, n]) for n, axis in enumerate("ijk")}
    coords |= {axis: ("neuroid", xyz[:, n]) for n, axis in enumerate("xyz")}
    steps = {
        f"load_fmri: {len(paths)} runs, TR {seconds:g} s": True,
        "confounds regressed out": confounds is not None,
        "first-row NaN of confounds filled with column means": filled,
        "linear trend removed per run": detrend,
        f"cosines below {high_pass} Hz removed per run": high_pass is not None,
        f"standardised per run: {standardize}": standardize is not None,
    }
    attrs = {
        "kind": "responses",
        "modality": "fmri",
        "units": {"zscore": "z", "percent": "percent"}.get(standardize or "", "a.u."),
        "sampling_rate": 1 / seconds,
        "affine": first.affine.ravel().tolist(),
        "grid_shape": list(shape[:3]),
        "source": ", ".join(dict.fromkeys(Path(path).name for path in paths)),
        "schema_version": SCHEMA_VERSION,
        "history": "\n".join(step for step, done in steps.items() if done),
    }
    values = da.concatenate(blocks, axis=0)  # type: ignore[no-untyped-call]
    return check_responses(xr.DataArray(values, coords, ("sample", "neuroid"), attrs=attrs))


def _label(table: Any, stimulus: str, onset: Array, run_duration: float, run: str) -> Array:
    """Labels of volumes from a file or a table that was loaded."""
    if isinstance(table, pd.DataFrame):
        name = f"events of {run}"
        events = check_events(table, name, stimulus=stimulus, run_duration=run_duration)
    else:
        name = str(table)
        events = load_events(table, stimulus=stimulus, run_duration=run_duration)
    labels = label_times(events, onset)
    if (labels == "rest").all():
        raise LoadError(
            f"{name}: expected events that are on at the onset of a volume, got none of "
            f"{len(events)} in {len(onset)} volumes. Check units and tr; for short events load "
            "labels=, and bring the events in by align.convolve_hrf."
        )
    return labels
