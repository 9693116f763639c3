"""Open NIfTI files so that damage is found at the door, and put values back into them.

A flipped byte in a ``.nii.gz`` reads without an error unless the whole stream is checked against
its CRC; a cut ``.nii`` reads as long as nobody asks for the missing part. Both are checked here.
"""

import warnings
import zlib
from os import SEEK_END, PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import (
    DataCorruptionError,
    LoadError,
    NeuroalignWarning,
    SchemaError,
    require,
)
from neuroalign.loaders._files import check_file
from neuroalign.loaders._gzip_streams import (
    check_gzip,
    check_ratio,
    check_size,
    name_damage,
    read_out,
)
from neuroalign.loaders._rows import take_rows
from neuroalign.storage import write_whole

nib: Any = require("nibabel", "fmri")
Array = npt.NDArray[Any]
MAX_BYTES = 64 * 1024**3
PLAUSIBLE_TR = (0.2, 20.0)
MILLIMETRES = ("mm", "unknown")
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
UNREADABLE = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
)


def _count_promised(image: Any) -> int:
    """Bytes that the header of an image promises, itself included."""
    n_values = int(np.prod(image.shape, dtype=object))
    return int(image.dataobj.offset) + n_values * int(image.get_data_dtype().itemsize)


def check_length(image: Any, path: Path | str) -> None:
    """Compare the length of a file with its header, without reading a gzip stream whole.

    Raises
    ------
    DataCorruptionError
    """
    path, promised = Path(path), _count_promised(image)
    if not path.name.endswith(".gz"):
        check_size(path, path.stat().st_size, promised)
        return
    with path.open("rb") as stream:
        stream.seek(-4, SEEK_END)
        length = int.from_bytes(stream.read(4), "little")
    # Streams of several members end with the length of their last, others with bytes after the
    # volumes: only a whole read tells these from a file that was cut.
    if length != promised % 2**32:
        check_gzip(path, promised)


def open_image(path: Path | str, *, verify: bool = True, max_bytes: int = MAX_BYTES) -> Any:
    """Open an image after checking its content, header and affine; the data stay on disk.

    Parameters
    ----------
    path : path
    verify : bool
        Read a gzip stream to its end and compare its CRC.
    max_bytes : int
        Largest size that the header may promise.

    Returns
    -------
    nibabel image

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = Path(path)
    check_file(path, (".nii", ".nii.gz"))
    try:
        image: Any = nib.load(path)
    except UNREADABLE as error:
        raise DataCorruptionError(
            f"{path}: expected a NIfTI image, got '{error}'. Download it again."
        ) from error
    if any(size < 0 for size in image.shape):
        raise DataCorruptionError(
            f"{path}: expected sizes >= 0, got {image.shape} in its header. Download it again."
        )
    promised = _count_promised(image)
    if promised > max_bytes:
        raise LoadError(
            f"{path}: expected at most {max_bytes} bytes, the header implies {promised} "
            f"{image.shape}. Raise max_bytes if that is meant."
        )
    if not path.name.endswith(".gz"):
        check_length(image, path)
    else:
        check_ratio(path, promised)
    if path.name.endswith(".gz") and verify:
        check_gzip(path, promised)
    affine = image.affine
    if affine is None or not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        rows = None if affine is None else np.asarray(affine).tolist()
        raise LoadError(
            f"{path}: expected an invertible affine of finite numbers, got {rows}. "
            "Mend the header with nibabel's set_sform or set_qform."
        )
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        raise LoadError(
            f"{path}: expected an affine in the header, got sform and qform codes 0: positions "
            "are unknown. Set one with nibabel's set_sform or set_qform."
        )
    return image


def open_series(path: Path | str, *, verify: bool = True) -> tuple[Any, tuple[int, ...]]:
    """Open an image with volumes; return it and its shape (x, y, z, volume).

    Raises
    ------
    LoadError
        When there is no axis of volumes, values are no real numbers, or positions not in mm.
    """
    image = open_image(path, verify=verify)
    shape = tuple(int(size) for size in image.shape)
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) != 4:
        raise LoadError(
            f"{path}: expected 4 dims (x, y, z, volume), got shape {shape}. "
            "Name the series; single volumes are joined by nibabel's concat_images."
        )
    if image.get_data_dtype().kind not in "buif":
        raise LoadError(
            f"{path}: expected real numbers, got {image.get_data_dtype()}. "
            "Save the magnitude, or one channel."
        )
    unit = _read_units(image, path)[0]
    if unit not in MILLIMETRES:
        raise LoadError(
            f"{path}: expected positions in mm, got the unit '{unit}' in the header. Scale the "
            "affine to mm, or correct the unit with nibabel's set_xyzt_units."
        )
    return image, shape


def _read_units(image: Any, path: Path | str) -> tuple[str, str]:
    try:
        place, time = image.header.get_xyzt_units()
    except KeyError as error:
        raise DataCorruptionError(
            f"{path}: expected units that NIfTI knows, got code {error}. Download it again."
        ) from error
    return str(place), str(time)


def read_tr(image: Any, path: Path | str) -> float:
    """Repetition time [s] from the header.

    Raises
    ------
    LoadError
        When it is not plausible.
    """
    unit = _read_units(image, path)[1]
    tr = float(image.header.get_zooms()[-1]) * SECONDS.get(unit, float("nan"))
    low, high = PLAUSIBLE_TR
    if not low <= tr <= high:
        raise LoadError(
            f"{path}: expected a TR of {low} to {high} s in the header, got {tr:g} s "
            f"(unit '{unit}'). Pass tr= in seconds, from the JSON beside the image."
        )
    if unit == "unknown" and tr == 1:
        warnings.warn(
            f"{path}: expected a TR with its unit in the header, got 1 in no unit, which is what "
            "many tools write when they do not know; taken as 1 s. Pass tr= in seconds.",
            NeuroalignWarning,
            stacklevel=3,
        )
    return tr


def read_volumes(path: Path | str, inside: Array, *, verify: bool = True) -> Array:
    """Read the voxels of a mask from every volume: float32 (volume, voxel).

    The file is streamed volume by volume, so that the peak of memory is the result and one volume.

    Parameters
    ----------
    path : path
    inside : array (x, y, z)
        bool
    verify : bool
        Read a gzip stream to its end, so that its CRC is compared before values are returned.

    Raises
    ------
    DataCorruptionError
    """
    image, shape = open_series(path, verify=False)
    slope, intercept = (float(number) for number in (image.dataobj.slope, image.dataobj.inter))
    # Rows of the result are in C order, the file is in Fortran order.
    place = np.ravel_multi_index(np.nonzero(inside), shape[:3], order="F")
    volume = np.empty(int(np.prod(shape[:3])), dtype=image.dataobj.dtype)
    values = np.empty((shape[3], len(place)), dtype=np.float32)
    with name_damage(path, _count_promised(image)), nib.openers.ImageOpener(path) as stream:
        stream.seek(image.dataobj.offset)
        for number, row in enumerate(values):
            if stream.readinto(volume.view(np.uint8)) != volume.nbytes:
                raise DataCorruptionError(
                    f"{path}: truncated: the header promises {shape[3]} volumes, the file has "
                    f"{number}. Download it again."
                )
            row[:] = volume[place]
        # The CRC is compared only when the end of the stream is met.
        if verify:
            read_out(stream, path, _count_promised(image), stream.tell())
    if slope != 1:
        values *= np.float32(slope)
    if intercept != 0:
        values += np.float32(intercept)
    return values


def read_mask(path: Path | str, image: Any, image_path: Path | str) -> Array:
    """Read a mask that lies on the grid of an image: bool (x, y, z).

    Raises
    ------
    LoadError
        When it is not a mask, is empty, or lies elsewhere.
    """
    if not isinstance(path, str | PathLike):
        raise LoadError(
            f"mask: expected the path of a NIfTI image, got {type(path).__name__}. Save it first."
        )
    mask = open_image(path)
    values = np.asanyarray(mask.dataobj)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.shape != tuple(image.shape[:3]):
        raise LoadError(
            f"{path}: expected the grid {tuple(image.shape[:3])} of {image_path}, got "
            f"{values.shape}. Resample the mask, with nearest neighbours."
        )
    check_affine(mask.affine, image.affine, path, image_path)
    if not np.isin(np.unique(values), (0, 1)).all():
        raise LoadError(
            f"{path}: expected a mask of 0 and 1, got values {np.unique(values)[:5]}. "
            "Threshold it first."
        )
    inside: Array = values.astype(bool)
    if not inside.any():
        raise LoadError(f"{path}: expected a mask that holds voxels, got 0. Check the threshold.")
    return inside


def check_affine(affine: Array, expected: Array, path: Path | str, other: Path | str) -> None:
    """Compare affines, within 1 micrometre.

    Raises
    ------
    LoadError
    """
    gap = affine - expected
    if np.abs(gap).max() > 1e-3:
        raise LoadError(
            f"{path}: expected the affine of {other}, got one that differs by "
            f"{np.abs(gap[:3, 3]).max():g} mm in position, {np.abs(gap[:3, :3]).max():g} in axes. "
            "Resample one of them."
        )


def to_nifti(values: xr.DataArray, path: Path | str) -> Path:
    """Put one value a voxel back where it came from; voxels outside are NaN.

    Parameters
    ----------
    values : DataArray (neuroid,) or (sample, neuroid)
        With coords ``i j k`` on neuroid, and attrs ``affine`` and ``grid_shape``. Samples become
        volumes, 1 / ``sampling_rate`` apart where that is known.
    path : path
        ``.nii`` or ``.nii.gz``; written whole, as float32.

    Returns
    -------
    Path

    Raises
    ------
    SchemaError
        When the places of the voxels are not known, or there are other dims.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> place = {"i": [0, 1], "j": [0, 0], "k": [0, 0]}
    >>> values = from_arrays([[1.0, 2.0]], modality="fmri", stimulus=["cat"], neuroid_coords=place)
    >>> values = values[0].assign_attrs(affine=np.eye(4).ravel().tolist(), grid_shape=[3, 1, 1])
    >>> with TemporaryDirectory() as folder:
    ...     path = to_nifti(values, f"{folder}/map.nii")
    ...     nib.load(path).get_fdata().ravel().tolist()
    [1.0, 2.0, nan]
    """
    rows = take_rows(values)
    if not str(path).endswith((".nii", ".nii.gz")):
        raise SchemaError(
            f"path: expected a name ending in .nii or .nii.gz, got '{path}'. Name it so."
        )
    missing = {"i", "j", "k"} - set(values.coords) | {"affine", "grid_shape"} - set(values.attrs)
    if missing:
        raise SchemaError(
            f"values: expected voxels with their grid, missing {sorted(missing)}. "
            "Start from what load_fmri gave."
        )
    path = Path(path)
    grid = tuple(int(size) for size in values.attrs["grid_shape"])
    place = tuple(values[axis].values for axis in "ijk")
    outside = [(index < 0) | (index >= size) for index, size in zip(place, grid, strict=True)]
    if np.any(outside):
        n_outside = int(np.any(outside, axis=0).sum())
        raise SchemaError(
            f"values: expected voxels inside the grid {grid}, got {n_outside} "
            "neuroids outside it (vertices have no voxel). Pick the voxels first."
        )
    volume = np.full(grid + rows.shape[:-1], np.nan, dtype=np.float32)
    volume[place] = rows.T
    affine = np.array(values.attrs["affine"], dtype=float).reshape(4, 4)
    with write_whole(path) as partial:
        nib.save(_make_image(volume, affine, values.attrs.get("sampling_rate")), partial)
    return path


def _make_image(volume: Array, affine: Array, rate: Any) -> Any:
    image: Any = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    # Without it nibabel writes a step of 1, which reads as a TR of 1 s.
    if volume.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], 1 / float(rate) if rate else 0.0))
    return image
