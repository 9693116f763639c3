"""FreeSurfer .mgh and .mgz by their header of 284 bytes, without nibabel.

nibabel's MGH images keep a file handle open for each image; a subject has eighty of them. All
numbers are big-endian, the first axis runs fastest.
"""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import DataCorruptionError
from neuroalign.loaders._files import check_file

Array = npt.NDArray[Any]
HEADER = 284
TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}


class Header(NamedTuple):
    """Sizes (first, second, third, frame) and the type on disk."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".mgz" else path.open("rb")


def read_header(path: Path, endings: Sequence[str] = (".mgh", ".mgz")) -> Header:
    """Read the sizes and the type; of .mgh compare them with the bytes on disk.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    check_file(path, endings)
    try:
        with _open(path) as stream:
            head = stream.read(HEADER)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorruptionError(
            f"{path}: expected a gzip stream, got '{error}'. Download it again."
        ) from error
    words = struct.unpack(">7i", head[:28]) if len(head) == HEADER else (0,) * 7
    version, *sizes, code, _ = words
    if version != 1 or code not in TYPES or min(sizes) < 1:
        raise DataCorruptionError(
            f"{path}: expected a FreeSurfer .mgh (version 1), got {len(head)} bytes of header that "
            f"begin with {head[:4].hex()}. Download it again."
        )
    header = Header((sizes[0], sizes[1], sizes[2], sizes[3]), np.dtype(TYPES[code]))
    promised, size = HEADER + header.n_bytes, path.stat().st_size
    if path.suffix == ".mgh" and size < promised:
        raise DataCorruptionError(
            f"{path}: truncated: the header promises {promised} bytes, the file has {size}. "
            "Download it again."
        )
    return header


def read_values(path: Path) -> Array:
    """Read all values in a row, in the byte order of this machine.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    header = read_header(path)
    try:
        with _open(path) as stream:
            stream.seek(HEADER)
            held = stream.read(header.n_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorruptionError(
            f"{path}: expected a whole gzip stream, got '{error}'. Download it again."
        ) from error
    if len(held) < header.n_bytes:
        raise DataCorruptionError(
            f"{path}: truncated: the header promises {header.n_bytes} bytes of data, the file has "
            f"{len(held)}. Download it again."
        )
    values = np.frombuffer(held, dtype=header.dtype)
    return values.astype(header.dtype.newbyteorder("="))
