"""The runs of a BIDS folder through the loader of their ending."""

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import LoadError, require
from neuroalign.loaders._bids_names import BidsRun
from neuroalign.loaders._bids_parts import clean_runs, find_mask
from neuroalign.loaders.cifti import load_cifti
from neuroalign.loaders.fmri import load_fmri
from neuroalign.loaders.gifti import load_gifti
from neuroalign.loaders.nifti import open_image, open_series, read_mask
from neuroalign.schema import add_history

nib: Any = require("nibabel", "fmri")
PathLike = Path | str
Options = dict[str, Any]
# Options that every loader knows, and those that only volumes are cleaned with while they are read.
LABELS = ("events", "stimulus", "tr", "runs", "subject")
CLEANING = ("confounds", "detrend", "high_pass", "standardize")


def _load_volumes(runs: Sequence[BidsRun], mask: PathLike | None, options: Options) -> xr.DataArray:
    paths = [run.paths[0] for run in runs]
    if mask != "brain":
        return load_fmri(paths, mask=mask, **options)
    files = [find_mask(run) for run in runs]
    image, _ = open_series(paths[0], verify=False)
    inside = reduce(np.logical_and, [read_mask(file, image, paths[0]) for file in files])
    if not inside.any():
        raise LoadError(f"{files[0]}: expected voxels that all runs share, got 0. Pass mask=.")
    with TemporaryDirectory() as folder:
        joint = Path(folder) / "mask.nii"
        affine = open_image(files[0]).affine
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), affine), joint)
        responses = load_fmri(paths, mask=joint, **options)
    return add_history(responses, f"voxels inside the brain masks of all {len(runs)} runs")


def _refuse_mask(mask: PathLike | None, ending: str) -> None:
    if mask is not None:
        raise LoadError(
            f"mask: expected None for {ending} files, got '{mask}'. Select by 'vertex', "
            "'structure' or 'hemisphere' after loading."
        )


def _load_hemispheres(
    runs: Sequence[BidsRun], mask: PathLike | None, options: Options
) -> xr.DataArray:
    _refuse_mask(mask, ".func.gii")
    left, right = ([run.paths[side] for run in runs] for side in (0, 1))
    responses = load_gifti(left, right, **{key: options[key] for key in LABELS})
    return clean_runs(responses, **{key: options[key] for key in CLEANING})


def _load_grayordinates(
    runs: Sequence[BidsRun], mask: PathLike | None, options: Options
) -> xr.DataArray:
    _refuse_mask(mask, ".dtseries.nii")
    paths = [run.paths[0] for run in runs]
    responses = load_cifti(paths, **{key: options[key] for key in LABELS})
    return clean_runs(responses, **{key: options[key] for key in CLEANING})


READERS: dict[str, Callable[[Sequence[BidsRun], PathLike | None, Options], xr.DataArray]] = {
    ".nii.gz": _load_volumes,
    ".nii": _load_volumes,
    ".func.gii": _load_hemispheres,
    ".dtseries.nii": _load_grayordinates,
}
