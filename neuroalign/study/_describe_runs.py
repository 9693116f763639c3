"""What is wrong with the functional runs of a BIDS folder."""

from functools import partial
from pathlib import Path

from neuroalign.errors import LoadError
from neuroalign.loaders._bids_names import BidsRun, find_closest, strip_derived
from neuroalign.loaders._bids_parts import read_tr_of
from neuroalign.loaders._files import check_file
from neuroalign.loaders.bids import list_recordings
from neuroalign.loaders.nifti import open_series
from neuroalign.study._findings import REST, WRONG, attempt, check_onsets


def list_runs(root: Path, subjects: list[str]) -> list[BidsRun]:
    """Every functional recording, in every version."""
    return [run for subject in subjects for run in list_recordings(root, subject)]


def _is_raw(run: BidsRun) -> bool:
    return not {"space", "desc"} & set(run.entities)


def _read_tr(root: Path, run: BidsRun) -> float:
    tr, _ = read_tr_of([run], [root])
    if tr is None:
        raise LoadError(
            f"{run.paths[0]}: expected RepetitionTime in a JSON of it, got none. Write it."
        )
    return tr


def _measure(run: BidsRun, tr: float | None) -> float | None:
    """Length of a run [s]."""
    if tr is None or run.ending not in (".nii", ".nii.gz"):
        return None
    series, _ = attempt(lambda: open_series(run.paths[0], verify=False))
    return None if series is None else series[1][3] * tr


def check_run(root: Path, run: BidsRun) -> list[str]:
    """What is wrong with one functional run."""
    faults: list[str] = []
    for path in run.paths:
        faults += attempt(partial(check_file, path, (run.ending,)))[1]
    if run.ending == ".func.gii" and len(run.paths) != 2:
        faults.append(f"{WRONG}{run.paths[0]}: expected a pair hemi-L and hemi-R, got this alone")
    if not _is_raw(run):
        return faults
    tr, no_tr = attempt(lambda: _read_tr(root, run))
    events, unclear = attempt(lambda: find_closest(root, strip_derived(run.entities), "events"))
    faults += [*no_tr, *unclear]
    if events is not None:
        # Lost content has its fault already; its length is not known.
        duration = None if faults else _measure(run, tr)
        faults += attempt(partial(check_onsets, events, duration))[1]
    elif not unclear and REST not in run.task.lower():
        faults.append(f"{WRONG}{run.paths[0]}: expected an events.tsv, got none. Add it.")
    return faults
