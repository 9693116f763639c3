"""Betas of the Natural Scenes Dataset on disk: three formats, three scalings, read in parts.

``.hdf5`` and ``.nii.gz`` hold int16, percent signal change times 300; ``.mgh`` holds percent as
big-endian float32 and is not to be divided. HDF5 reverses the axes: (trial, k, j, i).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._files import check_file
from neuroalign.loaders._mgh import HEADER, read_header
from neuroalign.loaders.nifti import open_series, read_volumes

Array = npt.NDArray[Any]
TRIALS = 750
SCALE = np.float32(300)


class Betas:
    """Sessions below each other: (sample, neuroid) float32, read when sliced."""

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(
        self,
        sessions: Sequence[Any],
        n_neuroids: int,
        read: Callable[[Any, slice], Array],
    ) -> None:
        self.sessions, self.read = list(sessions), read
        self.shape = (TRIALS * len(self.sessions), n_neuroids)

    def __getitem__(self, key: tuple[slice | int, slice | int]) -> Array:
        # Dask hands down slices, and integers, which take their axis away.
        spans = [part if isinstance(part, slice) else slice(part, part + 1) for part in key]
        rows, columns = (np.arange(n)[part] for part, n in zip(spans, self.shape, strict=True))
        values = np.empty((len(rows), len(columns)), dtype=np.float32)
        if values.size:
            first = int(columns.min())
            for session in np.unique(rows // TRIALS):
                own = rows // TRIALS == session
                block = self.read(self.sessions[session], slice(first, int(columns.max()) + 1))
                values[own] = block[rows[own] % TRIALS][:, columns - first]
        taken: Array = values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]
        return taken


def _check_trials(n: int, path: Path) -> None:
    if n != TRIALS:
        raise LoadError(
            f"{path}: expected {TRIALS} trials in a session, got {n}. Download it again, or name "
            "the sessions that are whole in sessions=."
        )


def _open_hdf5(path: Path) -> h5py.File:
    check_file(path, (".hdf5",))
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataCorruptionError(
            f"{path}: expected a whole HDF5 file, got '{error}'. Download it again."
        ) from error
    kind = file.get("betas", getclass=True, getlink=True)
    inside = kind is h5py.HardLink and isinstance(file["betas"], h5py.Dataset)
    if not inside or file["betas"].external:
        held = sorted(file)
        file.close()
        raise LoadError(
            f"{path}: expected a dataset '/betas' of its own, got {held}. Download it again."
        )
    return file


def _refuse_dtype(dtype: np.dtype[Any], path: Path) -> None:
    if dtype.kind != "i" or dtype.itemsize != 2:
        raise LoadError(
            f"{path}: expected int16 (percent times 300), got {dtype}. It was rescaled or written "
            "by another tool: take the file of the release."
        )


def size_hdf5(path: Path) -> tuple[int, ...]:
    """Give the grid (i, j, k) of a session; HDF5 lists it reversed, after the trials."""
    with _open_hdf5(path) as file:
        shape, dtype = file["betas"].shape, file["betas"].dtype
    if len(shape) != 4:
        raise LoadError(
            f"{path}: expected '/betas' (trial, k, j, i), got shape {shape}. Download it again."
        )
    _refuse_dtype(dtype, path)
    _check_trials(shape[0], path)
    return tuple(int(size) for size in shape[:0:-1])


def read_hdf5(path: Path, columns: slice, ijk: Array) -> Array:
    """Read voxels of all trials [percent], one plane of i at a time."""
    places = ijk[columns]
    values = np.empty((TRIALS, len(places)), dtype=np.float32)
    with _open_hdf5(path) as file:
        betas = file["betas"]
        for i in np.unique(places[:, 0]):
            own = np.flatnonzero(places[:, 0] == i)
            j, k = places[own, 1], places[own, 2]
            try:
                plane = betas[:, k.min() : k.max() + 1, j.min() : j.max() + 1, i]
            except OSError as error:
                raise DataCorruptionError(
                    f"{path}: expected whole betas, got '{error}'. Download it again."
                ) from error
            values[:, own] = plane[:, k - k.min(), j - j.min()]
    values /= SCALE
    return values


def size_nifti(path: Path) -> tuple[int, ...]:
    """Give the grid (i, j, k) of a session."""
    image, shape = open_series(path, verify=False)
    _refuse_dtype(image.get_data_dtype(), path)
    if image.dataobj.slope != 1 or image.dataobj.inter != 0:
        raise LoadError(
            f"{path}: expected percent times 300 without a scale in the header, got slope "
            f"{image.dataobj.slope:g} and intercept {image.dataobj.inter:g}. Take the file of the "
            "release."
        )
    _check_trials(shape[3], path)
    return shape[:3]


def read_nifti(path: Path, columns: slice, ijk: Array) -> Array:
    """Read voxels of all trials [percent]: the whole stream, whatever is asked for."""
    places = ijk[columns]
    grid = open_series(path, verify=False)[1][:3]
    inside = np.zeros(grid, dtype=bool)
    inside[tuple(places.T)] = True
    values = read_volumes(path, inside)
    values /= SCALE
    return values


class Volume(NamedTuple):
    """How one format of volumes is read; ``in_parts`` when voxels can be picked on disk."""

    size: Callable[[Path], tuple[int, ...]]
    read: Callable[..., Array]
    in_parts: bool


VOLUMES = {
    ".hdf5": Volume(size_hdf5, read_hdf5, True),
    ".nii.gz": Volume(size_nifti, read_nifti, False),
}


def size_mgh(path: Path) -> int:
    """Count the vertices of a session of one hemisphere."""
    shape, dtype = read_header(path, (".mgh",))
    if shape[1:3] != (1, 1) or dtype.kind != "f":
        raise LoadError(
            f"{path}: expected float32 (vertex, 1, 1, trial), got {dtype} {shape}. Take the file "
            "of the release."
        )
    _check_trials(shape[3], path)
    return int(shape[0])


def _read_side(path: Path, vertices: Array, values: Array) -> None:
    """Fill values (trial, vertex) [percent]: of each trial, only the span that is wanted."""
    (total, *_), disk = read_header(path)
    start, stop = int(vertices[0]), int(vertices[-1]) + 1
    with path.open("rb") as stream:
        for trial, row in enumerate(values):
            stream.seek(HEADER + (trial * total + start) * disk.itemsize)
            span = np.fromfile(stream, dtype=disk, count=stop - start)
            if len(span) < stop - start:
                raise DataCorruptionError(f"{path}: truncated in trial {trial}. Download it again.")
            row[:] = span[vertices - start]


def read_surfaces(paths: tuple[Path, Path], columns: slice, vertices: tuple[Array, Array]) -> Array:
    """Read vertices of all trials [percent]; columns count the left ones first."""
    n_left = len(vertices[0])
    parts = (
        vertices[0][columns.start : columns.stop],
        vertices[1][max(columns.start - n_left, 0) : max(columns.stop - n_left, 0)],
    )
    values = np.empty((TRIALS, sum(map(len, parts))), dtype=np.float32)
    halves = (values[:, : len(parts[0])], values[:, len(parts[0]) :])
    for path, part, half in zip(paths, parts, halves, strict=True):
        if len(part):
            _read_side(path, part, half)
    return values
