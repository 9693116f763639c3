"""Say what a path holds, and what is wrong with it.

In: any path that a loader reads. Out: lines of text; those that begin with ``wrong:`` are faults.
To add a format: its row in ``FILES`` or ``FOLDERS``, which names its loader, or a function of the
path that returns lines. Rows are names, so that only the libraries of the format are imported.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignError, some
from neuroalign.study._findings import WRONG, collect, describe_loaded

# Ending -> function, from the package on; the longest that fits is taken.
FILES: dict[str, str] = {
    ".nc": "study._describe_stored.describe_stored",
    ".zarr": "study._describe_stored.describe_stored",
    ".nii": "study._describe_fmri.describe_image",
    ".nii.gz": "study._describe_fmri.describe_image",
    ".dtseries.nii": "study._describe_surface.describe_cifti",
    ".dscalar.nii": "study._describe_surface.describe_cifti",
    ".dlabel.nii": "study._describe_surface.describe_cifti",
    ".ptseries.nii": "study._describe_surface.describe_cifti",
    ".pscalar.nii": "study._describe_surface.describe_cifti",
    ".gii": "study._describe_surface.describe_gifti",
    ".gii.gz": "study._describe_surface.describe_gifti",
    ".annot": "study._describe_surface.describe_annot",
    ".mgh": "study._describe_surface.describe_mgh",
    ".mgz": "study._describe_surface.describe_mgh",
    ".fif": "study._describe_meg.describe_raw",
    ".fif.gz": "study._describe_meg.describe_raw",
    ".edf": "study._describe_meg.describe_raw",
    ".bdf": "study._describe_meg.describe_raw",
    ".gdf": "study._describe_meg.describe_raw",
    ".vhdr": "study._describe_meg.describe_raw",
    ".cnt": "study._describe_meg.describe_raw",
    ".con": "study._describe_meg.describe_raw",
    ".sqd": "study._describe_meg.describe_raw",
    ".ds": "study._describe_meg.describe_raw",
    ".mff": "study._describe_meg.describe_raw",
    ".set": "study._describe_meg.describe_eeglab",
    "-epo.fif": "study._describe_meg.describe_epochs",
    "_epo.fif": "study._describe_meg.describe_epochs",
    "-epo.fif.gz": "study._describe_meg.describe_epochs",
    "_epo.fif.gz": "study._describe_meg.describe_epochs",
    "-ave.fif": "study._describe_meg.describe_averages",
    "_ave.fif": "study._describe_meg.describe_averages",
    "-ave.fif.gz": "study._describe_meg.describe_averages",
    "_ave.fif.gz": "study._describe_meg.describe_averages",
    "-src.fif": "study._describe_meg.describe_space",
    "-src.fif.gz": "study._describe_meg.describe_space",
    "-eve.fif": "study._describe_meg.describe_codes",
    ".stc": "study._describe_meg.describe_sources",
    ".nwb": "study._describe_spikes.describe_nwb_file",
    ".tsv": "study._describe_tables.describe_table",
    ".csv": "study._describe_tables.describe_table",
    ".npy": "study._describe_tables.describe_array",
    ".textgrid": "study._describe_tables.describe_words",
    ".mat": "study._describe_matlab.describe_matlab",
    ".yaml": "study._describe_results.describe_study",
    ".yml": "study._describe_results.describe_study",
}

# What a folder holds -> function, from the package on; the first that fits is taken.
FOLDERS: dict[str, str] = {
    "study.json": "study._describe_results.describe_results",
    "begun.json": "study._describe_results.describe_begun",
    "labels.nc": "study._describe_stored.describe_fit",
    "plan.json": "study._describe_stored.describe_features",
    "journal.json": "study._describe_stored.describe_features",
    "dataset_description.json": "study._describe_bids.describe_bids",
    "sub-*": "study._describe_bids.describe_bids",
    "spike_times.npy": "study._describe_spikes.describe_phy",
    "F.npy": "study._describe_spikes.describe_suite2p",
    "spks.npy": "study._describe_spikes.describe_suite2p",
    "plane[0-9]*/*.npy": "study._describe_spikes.describe_suite2p",
    "*.*.npy": "study._describe_spikes.describe_alf",
    "study.yaml": "study._describe_results.describe_home",
    "*": "study._describe_mixed.describe_mixed",
}

# What the functions describe, in a word or two.
KINDS: dict[str, str] = {
    "describe_stored": "stored array",
    "describe_image": "NIfTI image",
    "describe_cifti": "CIFTI grayordinates",
    "describe_gifti": "GIFTI surface",
    "describe_annot": "FreeSurfer annotation",
    "describe_mgh": "FreeSurfer map",
    "describe_raw": "recording",
    "describe_eeglab": "EEGLAB set",
    "describe_epochs": "epochs",
    "describe_averages": "averages",
    "describe_space": "source space",
    "describe_codes": "event codes",
    "describe_sources": "source estimate",
    "describe_nwb_file": "NWB file",
    "describe_table": "table",
    "describe_array": "bare array",
    "describe_words": "transcript",
    "describe_matlab": "MATLAB file",
    "describe_study": "study",
    "describe_results": "results of a study",
    "describe_begun": "results of a study that did not end",
    "describe_home": "study and its results",
    "describe_fit": "stored fit",
    "describe_features": "stored features",
    "describe_bids": "BIDS dataset",
    "describe_phy": "phy folder",
    "describe_suite2p": "suite2p folder",
    "describe_alf": "ALF folder",
    "describe_mixed": "folder of several things",
}


def _find_row(path: Path) -> str:
    """Name the function that describes a path."""
    name = path.name.lower()
    fitting = sorted((ending for ending in FILES if name.endswith(ending)), key=len)
    if fitting:
        return FILES[fitting[-1]]
    if path.is_dir():
        found = [row for pattern, row in FOLDERS.items() if next(path.glob(pattern), None)]
        if found:
            return found[0]
        raise LoadError(f"{path}: expected a folder of data, got an empty one. Check the path.")
    raise LoadError(
        f"{path}: expected an ending that tells the format, got '{path.suffix or 'none'}'. "
        f"Known: {some(FILES, limit=len(FILES))}."
    )


def name_kind(path: Path) -> str:
    """Say in a word or two what a path is, by its name and what lies in it; "" where unknown."""
    try:
        return KINDS[_find_row(path).rpartition(".")[2]]
    except LoadError:
        return ""


def find_function(row: str) -> Callable[[Path], Any]:
    """Import what a row of the tables names."""
    module, _, name = row.rpartition(".")
    function: Callable[[Path], Any] = getattr(import_module(f"neuroalign.{module}"), name)
    return function


def list_findings(path: Path) -> list[str]:
    """Describe a path, line by line.

    Parameters
    ----------
    path : path
        A file or a folder that a loader reads.

    Returns
    -------
    list of str
        What it is, its sizes, units, rate and events; lines that begin with ``wrong:`` name
        faults that leave the rest readable.

    Raises
    ------
    FileNotFoundError
        When there is nothing.
    LoadError, DataCorruptionError, SchemaError
        When it cannot be read at all.
    MissingExtraError
        When the library of the format is not installed.
    """
    path = Path(path)
    if not path.exists():
        near = sorted(other.name for other in path.parent.glob(f"*{path.suffix}"))
        raise FileNotFoundError(
            f"{path}: expected a file or folder, got none. Beside it: {some(near) or 'nothing'}."
        )
    describe = find_function(_find_row(path))
    try:
        found, warned = collect(lambda: describe(path))
    except (NeuroalignError, OSError):
        raise
    # Damaged headers make the libraries of the formats fail in ways that have no common error.
    except Exception as error:
        raise DataCorruptionError(
            f"{path}: expected content of its format, got {type(error).__name__} '{error}'. "
            "Copy or download it again."
        ) from error
    return [*(found if isinstance(found, list) else describe_loaded(path, found)), *warned]


def pick_faults(findings: list[str]) -> list[str]:
    """Pick the lines of `list_findings` that name faults."""
    return [line for line in findings if line.startswith(WRONG)]


def describe_file(path: Path) -> str:
    """Describe a path as one text; see `list_findings`.

    Parameters
    ----------
    path : path

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError, MissingExtraError
    """
    return "\n".join(list_findings(path))
