"""What the elements of a GIFTI file promise, looked at before nibabel follows them."""

import gzip
from pathlib import Path
from typing import Any
from xml.parsers import expat

from neuroalign.errors import LoadError
from neuroalign.loaders.nifti import MAX_BYTES

# Bytes of a value; the format knows no others.
WIDTHS = {"NIFTI_TYPE_UINT8": 1, "NIFTI_TYPE_INT32": 4, "NIFTI_TYPE_FLOAT32": 4}


def _read_size(attributes: dict[str, str]) -> int:
    """Bytes that an array promises."""
    size = WIDTHS.get(attributes.get("DataType", ""), 8)
    # The format has six dims at most.
    for axis in range(6):
        size *= max(0, int(attributes.get(f"Dim{axis}", "1")))
    return size


def check_arrays(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Refuse arrays that lie in other files, and more than ``max_bytes`` promised.

    Parameters
    ----------
    path : Path
    max_bytes : int

    Raises
    ------
    LoadError
    expat.ExpatError, ValueError, OSError, EOFError, zlib.error
        When the file is damaged, for the caller to name.
    """
    promised = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal promised
        if name != "DataArray":
            return
        if attributes.get("Encoding") == "ExternalFileBinary":
            raise LoadError(
                f"{path}: expected all data in this file, got an array in "
                f"'{attributes.get('ExternalFileName', '')}'. Write it in one file."
            )
        promised += _read_size(attributes)
        if promised > max_bytes:
            raise LoadError(
                f"{path}: expected at most {max_bytes} bytes of data, its arrays promise "
                f"{promised} or more. Download it again."
            )

    parser: Any = expat.ParserCreate()
    parser.StartElementHandler = begin
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as stream:
        parser.ParseFile(stream)
