"""THINGS-fMRI: single-trial betas, voxels and stimuli as the release has them, in three tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, some
from neuroalign.loaders._files import check_id
from neuroalign.loaders._pandas_hdf import Block, describe_table, read_rows
from neuroalign.loaders._tables import read_seconds, read_table
from neuroalign.schema import SCHEMA_VERSION, as_labels, check_responses

Array = npt.NDArray[Any]
# [bytes] of float32 in one chunk: all trials of some voxels.
BLOCK = 32 * 1024**2
# Columns of numbers of each voxel that are kept, by how they begin.
MEASURES = ("nc_", "splithalf_", "prf-")
PARCELS = "glasser-"
SAMPLES = ("trial_type", "session", "run", "stimulus", "concept")


class Rows:
    """Trials by voxels of a table of voxels by trials, read when sliced."""

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, block: Block) -> None:
        self.path, self.block = path, block
        self.shape = (block.shape[1], block.shape[0])

    def __getitem__(self, key: tuple[slice | int, slice | int]) -> Array:
        spans = [part if isinstance(part, slice) else slice(part, part + 1) for part in key]
        rows = read_rows(self.path, self.block, spans[1])[:, spans[0]]
        values = np.ascontiguousarray(rows.T, dtype=np.float32)
        taken: Array = values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]
        return taken


def _need(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise LoadError(
            f"{path}: expected columns {list(columns)}, missing {missing}. Download it again."
        )


def _flags(voxels: pd.DataFrame) -> list[str]:
    """Columns of 0 and 1: the regions."""
    skip = ("voxel_", *MEASURES)
    columns = [name for name in map(str, voxels) if not name.startswith(skip)]
    return [name for name in columns if voxels[name].isin(["0", "1", "0.0", "1.0"]).all()]


def _name(voxels: pd.DataFrame, columns: Sequence[str], prefix: str = "") -> Array:
    """Name each voxel by the first column that holds it."""
    names = np.full(len(voxels), "", dtype=object)
    for column in columns:
        inside = voxels[column].isin(["1", "1.0"]).to_numpy() & (names == "")
        names[inside] = column.removeprefix(prefix)
    return names.astype(np.str_)


def _voxel_coords(path: Path, roi: Sequence[str] | None) -> dict[str, Any]:
    voxels = read_table(path)
    _need(voxels, ("voxel_id", "voxel_x", "voxel_y", "voxel_z"), path)
    flags = _flags(voxels)
    absent = [name for name in roi or () if name not in flags]
    if absent:
        raise LoadError(
            f"roi: expected columns of 0 and 1 of {path}, got {some(absent)}. Name one of those."
        )
    chosen = [name for name in flags if not name.startswith(PARCELS)] if roi is None else list(roi)
    parcels = [name for name in flags if name.startswith(PARCELS)]
    coords: dict[str, Any] = {"neuroid": [f"voxel-{name}" for name in voxels["voxel_id"]]}
    for axis, index in zip("xyz", "ijk", strict=True):
        coords[index] = read_seconds(voxels, f"voxel_{axis}", path).astype(np.int64)
    for name in map(str, voxels):
        if name.startswith(MEASURES):
            numbers = pd.to_numeric(voxels[name], errors="coerce")
            coords[name] = numbers.to_numpy(dtype=np.float32)
    coords["roi"] = _name(voxels, chosen)
    if parcels:
        coords["glasser"] = _name(voxels, parcels, PARCELS)
    return {key: ("neuroid", np.asarray(column)) for key, column in coords.items()}


def _sample_coords(path: Path, subject: str) -> dict[str, Any]:
    trials = read_table(path)
    _need(trials, SAMPLES, path)
    sessions = [f"ses-{_pad(name)}" for name in trials["session"]]
    coords: dict[str, Any] = {
        "stimulus": as_labels(trials["stimulus"].tolist(), f"{path}: stimulus"),
        "session": sessions,
        "run": [f"{s}_run-{_pad(r)}" for s, r in zip(sessions, trials["run"], strict=True)],
        "subject": [subject] * len(trials),
        "trial_type": trials["trial_type"].tolist(),
        "concept": trials["concept"].tolist(),
        "repeat": trials.groupby("stimulus").cumcount().to_numpy(),
    }
    if "trial_id" in trials:
        coords["trial_id"] = [name.removesuffix(".0") for name in trials["trial_id"]]
    return {key: ("sample", np.asarray(column)) for key, column in coords.items()}


def _pad(number: str) -> str:
    whole = number.removesuffix(".0")
    return whole.zfill(2) if whole.isdigit() else whole


def _trials_of(blocks: Sequence[Block], path: Path) -> tuple[Block, Block | None]:
    """The block of responses, and that of the voxels' numbers where it is one column of them."""
    wide = [block for block in blocks if block.shape[1] > 1 or block.dtype.kind == "f"]
    others = [block for block in blocks if block not in wide]
    if len(wide) != 1 or len(others) > 1 or wide[0].dtype.kind != "f":
        shapes = [f"{block.dtype} {block.shape}" for block in blocks]
        raise LoadError(
            f"{path}: expected one matrix of responses and at most one column voxel_id, got "
            f"{some(shapes)}. Download it again."
        )
    if wide[0].names is not None and "voxel_id" in wide[0].names:
        raise LoadError(
            f"{path}: expected voxel_id as whole numbers, got it among the responses. Save that "
            "column as int."
        )
    return wide[0], others[0] if others else None


def load_things_fmri(
    folder: Path | str, *, subject: str, roi: Sequence[str] | None = None
) -> xr.DataArray:
    """Load single-trial betas of one subject of THINGS-fMRI.

    Parameters
    ----------
    folder : path
        Holds ``<subject>_ResponseData.h5``, ``_VoxelMetadata.csv`` and ``_StimulusMetadata.csv``
        of the release (figshare, 20492835).
    subject : str
        ``"sub-01"`` to ``"sub-03"``.
    roi : sequence of str, optional
        Columns of 0 and 1 of the voxel table that name ``roi``; the first that holds a voxel
        counts. All but the ``glasser-`` parcels, in the order of the table, when not given.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy, in chunks of voxels, as the file has them (its rows are voxels, its columns
        trials). ``stimulus`` is the name of the image file; ``repeat`` from 0, ``trial_type``
        (train, test, catch) and ``concept`` on sample; ``i j k``, ``nc_singletrial`` and
        ``nc_testset`` [percent], ``splithalf_*``, ``prf-*`` and ``glasser`` on neuroid.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    References
    ----------
    Hebart et al. (2023), eLife 12:e82580, doi:10.7554/eLife.82580.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         load_things_fmri(folder, subject="sub-01")
    ...     except FileNotFoundError as error:
    ...         print(str(error).split(": ", 1)[1])
    expected a file, got none. In its folder: nothing like it.
    """
    folder = Path(folder)
    path = folder / f"{check_id(subject, 'subject')}_ResponseData.h5"
    block, numbers = _trials_of(describe_table(path), path)
    n_voxels, n_trials = block.shape
    coords = _voxel_coords(folder / f"{subject}_VoxelMetadata.csv", roi)
    coords |= _sample_coords(folder / f"{subject}_StimulusMetadata.csv", subject)
    for key, name, size, what in (
        ("neuroid", "VoxelMetadata", n_voxels, "rows"),
        ("stimulus", "StimulusMetadata", n_trials, "columns of responses"),
    ):
        if len(coords[key][1]) != size:
            raise LoadError(
                f"{folder / f'{subject}_{name}.csv'}: expected {size} rows (the {what} of "
                f"{path.name}), got {len(coords[key][1])}. Take both from one release."
            )
    named, listed = block.names, coords.get("trial_id", ("sample", np.array([])))[1].tolist()
    # Names that are no trial ids say nothing; the same ids in another order say all.
    if named is not None and named != listed and sorted(named) == sorted(listed):
        row = next(n for n, pair in enumerate(zip(named, listed, strict=True)) if len({*pair}) > 1)
        raise LoadError(
            f"{path}: expected columns in the order of trial_id of "
            f"{subject}_StimulusMetadata.csv, got '{named[row]}' for '{listed[row]}' in column "
            f"{row}. Take both from one release."
        )
    if numbers is not None:
        ids = [f"voxel-{number}" for number in read_rows(path, numbers, slice(None)).ravel()]
        differ = np.flatnonzero(np.array(ids) != coords["neuroid"][1])
        if len(differ):
            raise LoadError(
                f"{path}: expected the voxel_id of {subject}_VoxelMetadata.csv, got "
                f"'{ids[differ[0]]}' for '{coords['neuroid'][1][differ[0]]}' in row {differ[0]} "
                f"({len(differ)} differ). Take both from one release."
            )
    width = max(1, BLOCK // (4 * max(1, n_trials)))
    array: Any = da.from_array(  # type: ignore[no-untyped-call]
        Rows(path, block), (n_trials, width), name=False, asarray=False, fancy=False
    )
    attrs = {
        "kind": "responses",
        "modality": "fmri",
        "units": "a.u.",
        "source": path.name,
        "schema_version": SCHEMA_VERSION,
        "history": f"load_things_fmri: {subject}, {n_trials} trials, {n_voxels} voxels",
    }
    responses = xr.DataArray(array, coords, ("sample", "neuroid"), attrs=attrs)
    return check_responses(responses.rename(None))
