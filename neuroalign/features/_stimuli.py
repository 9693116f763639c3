"""Read stimuli one at a time: id -> path or array in, float32 arrays out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, SchemaError, require, some
from neuroalign.schema import as_labels, check_unique

Source = Mapping[str, str | PathLike[str] | npt.ArrayLike] | xr.DataArray

CHANNEL_COUNTS = (1, 3, 4)
# Modes of 8 bits a channel; deeper ones would be clipped by the conversion to RGB.
IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


@dataclass(frozen=True)
class StimulusSet:
    """Stimuli in order, read when asked for.

    Parameters
    ----------
    labels : list of str
    source : mapping or DataArray
    """

    labels: list[str]
    source: Source

    def __len__(self) -> int:
        return len(self.labels)

    def _item(self, index: int) -> Any:
        if isinstance(self.source, xr.DataArray):
            return np.asarray(self.source[index].values)
        return self.source[self.labels[index]]

    def read(self, index: int) -> npt.NDArray[np.float32]:
        """Read one stimulus as float32, images as (channel, row, column) in 0 to 1."""
        item, name = self._item(index), f"stimuli['{self.labels[index]}']"
        if isinstance(item, str | PathLike):
            return _from_bytes_image(_read_image(Path(item), name), name)
        return _as_float(np.asarray(item), name)

    def digest(self) -> str:
        """Hash ids and contents (bytes of files, values of arrays), in order."""
        total = hashlib.sha256()
        for index, label in enumerate(self.labels):
            item = self._item(index)
            if isinstance(item, str | PathLike):
                _check_file(Path(item), f"stimuli['{label}']")
                with open(item, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                array = np.ascontiguousarray(item)
                content = (
                    f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
                )
            total.update(f"{len(label)} {label} {content}\n".encode())
        return total.hexdigest()


def as_stimuli(stimuli: Source) -> StimulusSet:
    """Check stimuli and list them in the order given.

    Parameters
    ----------
    stimuli : mapping of str to path or array, or DataArray
        A DataArray carries coord ``stimulus`` on its first dim.

    Returns
    -------
    StimulusSet

    Raises
    ------
    SchemaError
        When there are none, ids are no strings or not unique, or the type is another.
    """
    if isinstance(stimuli, xr.DataArray):
        check_unique(stimuli, "stimuli", "stimulus")
        if stimuli["stimulus"].dims != stimuli.dims[:1]:
            raise SchemaError(
                f"stimuli: expected coord 'stimulus' on the first dim, got it on "
                f"{stimuli['stimulus'].dims} of {stimuli.dims}. Use transpose."
            )
        labels = as_labels(stimuli["stimulus"].values, "stimuli.stimulus").tolist()
    elif isinstance(stimuli, Mapping):
        labels = as_labels(list(stimuli), "stimuli").tolist()
    else:
        raise SchemaError(
            "stimuli: expected a mapping of id to path or array, or a DataArray with 'stimulus', "
            f"got {type(stimuli).__name__}. Name the stimuli: {{'cat': 'cat.png'}}."
        )
    if not labels:
        raise SchemaError("stimuli: expected at least one stimulus, got none. Check the folder.")
    return StimulusSet(labels, stimuli)


def _check_file(path: Path, name: str) -> None:
    if not path.is_file():
        raise LoadError(f"{name}: expected an image file, got no file at '{path}'. Check the path.")


def _read_image(path: Path, name: str) -> npt.NDArray[np.uint8]:
    _check_file(path, name)
    pillow = require("PIL.Image", "torch")
    try:
        with pillow.open(path) as image:
            mode = image.mode
            pixels = np.asarray(image.convert("RGB")) if mode in IMAGE_MODES else None
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise LoadError(
            f"{name}: expected an image, got '{path}', which cannot be read ({error}). Replace it."
        ) from error
    if pixels is None:
        raise LoadError(
            f"{name}: expected 8 bits a channel, got mode '{mode}' in '{path}'. "
            "Scale it yourself and pass a float array (channel, row, column)."
        )
    return pixels


def _from_bytes_image(image: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in CHANNEL_COUNTS:
        raise SchemaError(
            f"{name}: expected uint8 images as (row, column, channel) with "
            f"{some(CHANNEL_COUNTS)} channels, got shape {image.shape}. Use np.moveaxis."
        )
    return np.ascontiguousarray(np.moveaxis(image, 2, 0), dtype=np.float32) / np.float32(255)


def _as_float(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    if array.dtype == np.uint8:
        return _from_bytes_image(array, name)
    if array.dtype.kind != "f" or array.ndim == 0:
        raise SchemaError(
            f"{name}: expected a path, floats (channel, row, column) or uint8 (row, column, "
            f"channel), got {array.dtype} of shape {array.shape}. Convert it."
        )
    shape = array.shape
    if array.ndim == 3 and shape[2] in CHANNEL_COUNTS and shape[0] not in CHANNEL_COUNTS:
        raise SchemaError(
            f"{name}: expected floats as (channel, row, column), got shape {shape}, which looks "
            "like (row, column, channel). Use np.moveaxis(image, -1, 0)."
        )
    if not np.isfinite(array).all():
        raise SchemaError(f"{name}: expected finite values, got NaN or infinity. Fill them.")
    # A copy: a preprocessing that works in place must not write into the caller's array.
    return np.array(array, dtype=np.float32, order="C")
