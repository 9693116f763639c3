"""What belongs to the runs of a BIDS folder: repetition time, confounds, brain masks."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, choose, require, some
from neuroalign.loaders._bids_names import (
    BidsRun,
    find_closest,
    parse_name,
    read_sidecar,
    strip_derived,
)
from neuroalign.loaders._cleaning import (
    STANDARDIZE,
    UNITS,
    clean_run,
    list_steps,
    make_drifts,
)
from neuroalign.loaders.cifti import open_cifti
from neuroalign.loaders.nifti import PLAUSIBLE_TR, open_series, read_tr
from neuroalign.schema import add_history

fmriprep: Any = require("nilearn.interfaces.fmriprep", "fmri")
STRATEGIES = dict.fromkeys(("simple", "scrubbing", "compcor", "ica_aroma"))


def read_tr_of(runs: Sequence[BidsRun], roots: Sequence[Path]) -> tuple[float | None, list[str]]:
    """TR [s] of the JSON, which wins over the header, and what there is to say about it."""
    low, high = PLAUSIBLE_TR
    found: list[tuple[float, Path]] = []
    notes: list[str] = []
    for run in runs:
        known: dict[str, tuple[Any, Path]] = {}
        for root in roots:
            known |= read_sidecar(root, run.entities)
        if "RepetitionTime" not in known:
            continue
        value, path = known["RepetitionTime"]
        number = not isinstance(value, bool) and isinstance(value, int | float)
        if not number or not low <= value <= high:
            raise LoadError(
                f"{path}: expected RepetitionTime of {low} to {high} s, got {value!r}. "
                "Write seconds."
            )
        found.append((float(value), path))
        notes += _compare_header(run, float(value))
    if not found:
        return None, []
    (tr, first), *others = found
    for value, path in others:
        if abs(value - tr) > 1e-3:
            raise LoadError(
                f"{path}: expected the RepetitionTime of {first} ({tr:g} s), got {value:g} s. "
                "Load those runs apart."
            )
    if len(found) < len(runs):
        notes.append(f"TR {tr:g} s from the JSON of {len(found)} of {len(runs)} runs")
    return tr, notes


def _read_header(path: Path, ending: str) -> tuple[float, str]:
    """TR [s] that a file itself names (NaN when implausible), and how to say it."""
    if ending == ".dtseries.nii":
        step = float(open_cifti(path, "dtseries")[1].step)
        return step, f"{step:g} s"
    image, _ = open_series(path, verify=False)
    try:
        tr = read_tr(image, path)
    except LoadError:
        return float("nan"), f"{float(image.header.get_zooms()[-1]):g} (implausible)"
    return tr, f"{tr:g} s"


def _compare_header(run: BidsRun, tr: float) -> list[str]:
    if run.ending == ".func.gii":
        return []
    header, said = _read_header(run.paths[0], run.ending)
    if abs(header - tr) <= 1e-3:
        return []
    return [f"TR {tr:g} s from JSON; the header of {run.paths[0].name} says {said}"]


def read_confounds(run: BidsRun, strategy: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Confounds (volume, confound) by nilearn, and which volumes it keeps.

    A volume that is not kept (non steady state, scrubbed) gets a regressor of its own, so that
    it does not bear on the fit of the others.
    """
    paths = [str(path) for path in run.paths]
    files: Any = paths[0] if len(paths) == 1 else paths
    if isinstance(strategy, str):
        choose(STRATEGIES, strategy, "confounds")
    try:
        with warnings.catch_warnings():
            # An error below, which names the run.
            warnings.filterwarnings("ignore", message="All volumes were marked")
            if isinstance(strategy, str):
                table, kept = fmriprep.load_confounds_strategy(files, denoise_strategy=strategy)
            else:
                table, kept = fmriprep.load_confounds(files, strategy=tuple(strategy))
    except ValueError as error:
        raise LoadError(
            f"{paths[0]}: expected the confounds of {strategy!r} beside it, got "
            f"'{' '.join(str(error).split())}'. Choose another strategy or complete the folder."
        ) from error
    if kept is not None and not len(kept):
        raise LoadError(
            f"{paths[0]}: expected volumes that {strategy!r} keeps, got none of {len(table)}. "
            "Leave the run out, or choose another strategy."
        )
    holes = table.columns[table.isna().any()].tolist()
    if holes:
        raise LoadError(
            f"{paths[0]}: expected confounds with NaN in the first row at most, got more in "
            f"{some(holes)}. Choose another strategy."
        )
    values = table.to_numpy(dtype=float)
    keep = np.ones(len(values), dtype=bool)
    if kept is not None:
        keep[:] = False
        keep[np.asarray(kept, dtype=int)] = True
    return np.column_stack([values, np.eye(len(values))[:, ~keep]]), keep


def drop_volumes(
    responses: xr.DataArray, keep: Mapping[str, npt.NDArray[np.bool_]], standardize: str | None
) -> xr.DataArray:
    n_dropped = sum(int((~kept).sum()) for kept in keep.values())
    if not n_dropped:
        return responses
    if standardize == "percent":
        raise LoadError(
            f"standardize: expected 'zscore' or None where volumes are dropped ({n_dropped} by "
            "these confounds), got 'percent': the mean would hold them. Choose one of those."
        )
    runs = responses["run"].values
    mask = np.ones(len(runs), dtype=bool)
    factor = np.ones(len(runs), dtype=np.float32)
    for name, kept in keep.items():
        mask[runs == name] = kept
        # A dropped volume was fitted exactly: it lies at the mean and only shrank the spread.
        factor[runs == name] = np.sqrt(kept.mean()) if standardize == "zscore" else 1
    scaled = (responses * xr.DataArray(factor, dims="sample")).assign_attrs(responses.attrs)
    return add_history(
        scaled.isel(sample=np.flatnonzero(mask)),
        f"{n_dropped} volumes (non steady state or scrubbed) dropped",
    )


def find_mask(run: BidsRun) -> Path:
    """Find the brain mask beside a run of volumes."""
    wanted = {key: label for key, label in run.entities.items() if key not in ("desc", "echo")}
    folder = run.paths[0].parent
    for path in sorted([*folder.glob("*_desc-brain_mask.nii.gz"), *folder.glob("*brain_mask.nii")]):
        parsed = parse_name(path.name)
        if parsed is not None and parsed.entities == {**wanted, "desc": "brain"}:
            return path
    near = sorted(path.name for path in folder.glob("*mask.nii*"))
    raise FileNotFoundError(
        f"{run.paths[0]}: expected its '*_desc-brain_mask.nii.gz' beside it, got "
        f"{some(near) or 'none'}. Pass mask= as a file, or None for all voxels."
    )


def clean_runs(
    responses: xr.DataArray,
    *,
    confounds: Sequence[npt.NDArray[Any]] | None,
    detrend: bool,
    high_pass: float | None,
    standardize: str | None,
) -> xr.DataArray:
    """Clean runs that were loaded, in the one projection and the order of `load_fmri`."""
    if standardize is not None:
        choose(STANDARDIZE, standardize, "standardize")
    if confounds is None and not detrend and high_pass is None and standardize is None:
        return responses
    values = np.array(responses.values, dtype=np.float32)
    names = responses["run"].values
    tr = 1 / float(responses.attrs["sampling_rate"])
    for number, name in enumerate(dict.fromkeys(names.tolist())):
        rows = np.flatnonzero(names == name)
        columns = make_drifts(len(rows), tr, detrend, high_pass)
        if confounds is not None:
            columns = np.column_stack([_check_rows(confounds[number], len(rows), name), columns])
        run = values[rows]
        clean_run(run, columns, standardize)
        values[rows] = run
    cleaned = responses.copy(data=values)
    units = UNITS.get(standardize or "", responses.attrs["units"])
    steps = list_steps(confounds is not None, detrend, high_pass, standardize)
    return add_history(cleaned.assign_attrs(units=units), "\n".join(steps))


def _check_rows(values: npt.NDArray[Any], n: int, name: str) -> npt.NDArray[Any]:
    if len(values) != n:
        raise LoadError(
            f"confounds of {name}: expected {n} rows (samples), got {len(values)}. Pair them."
        )
    return values


def find_events(runs: Sequence[BidsRun], root: Path) -> list[Path] | None:
    """Find the events beside the raw data of each run; None when no run has any."""
    tables = [find_closest(root, strip_derived(run.entities), "events") for run in runs]
    files = [table for table in tables if table is not None]
    if files and len(files) < len(runs):
        lacking = [run.name for run, table in zip(runs, tables, strict=True) if table is None]
        raise LoadError(
            f"{root}: expected events.tsv for every run or none, got none for {some(lacking)}. "
            "Add them, choose runs=, or pass stimulus=None."
        )
    return files or None
