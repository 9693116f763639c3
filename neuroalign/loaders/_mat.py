"""MATLAB files of all versions to plain Python: numbers, text, lists for cells, dicts for structs.

scipy reads versions up to 7; version 7.3 is HDF5, with its axes reversed and its cells behind
references.
"""

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from neuroalign.errors import DataCorruptionError
from neuroalign.loaders._files import check_file
from neuroalign.loaders._hdf5_tree import open_hdf5
from neuroalign.loaders._mat_tags import check_tags

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    MemoryError,
    NotImplementedError,
    UnboundLocalError,
    zlib.error,
    scipy.io.matlab.MatReadError,
)
# Objects and function handles: MATLAB's own, of no meaning here.
OPAQUE = (scipy.io.matlab.MatlabFunction, scipy.io.matlab.MatlabOpaque)


def is_hdf5(path: Path) -> bool:
    """Tell version 7.3: HDF5, after a block of 512 bytes of MATLAB's own."""
    with path.open("rb") as stream:
        head = stream.read(520)
    return head.startswith((b"MATLAB 7.3", HDF5_MAGIC)) or head[512:] == HDF5_MAGIC


def _from_scipy(value: Any) -> Any:
    if scipy.sparse.issparse(value):
        return value.toarray()
    if isinstance(value, OPAQUE) or not isinstance(value, np.ndarray | np.generic):
        return None
    if value.dtype.names:
        rows = np.atleast_1d(value).ravel(order="F")
        items = [{name: _from_scipy(row[name]) for name in value.dtype.names} for row in rows]
        return items[0] if len(items) == 1 else items
    if value.dtype == object:
        return [_from_scipy(item) for item in np.atleast_1d(value).ravel(order="F")]
    if value.dtype.kind in "US":
        texts = [str(text).rstrip() for text in np.atleast_1d(value).ravel()]
        return texts[0] if len(texts) == 1 else texts or ""
    return value


def _as_text(codes: Any) -> Any:
    """Text that HDF5 holds as numbers of characters (column, row)."""
    rows = ["".join(map(chr, row)).rstrip() for row in np.atleast_2d(codes.T)]
    return rows[0] if len(rows) == 1 else rows


def _from_hdf5(file: h5py.File, item: Any) -> Any:
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if isinstance(item, h5py.Group):
        fields = {name: _from_hdf5(file, item[name]) for name in item}
        apart = [
            isinstance(child, h5py.Dataset)
            and h5py.check_ref_dtype(child.dtype) is not None
            and "MATLAB_class" not in child.attrs
            for child in item.values()
        ]
        if apart and all(apart):
            columns = zip(*fields.values(), strict=True)
            return [dict(zip(fields, row, strict=True)) for row in columns]
        return fields
    if item.attrs.get("MATLAB_empty", 0):
        return {"char": "", "cell": []}.get(kind, np.empty((0, 0)))
    if h5py.check_ref_dtype(item.dtype) is not None:
        return [_from_hdf5(file, file[ref]) if ref else None for ref in item[()].ravel()]
    values = item[()]
    return _as_text(values) if kind == "char" else np.asarray(values).T


def read_mat(path: Path | str) -> dict[str, Any]:
    """Read the variables of a MATLAB file.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Name -> array (shape as in MATLAB), str, list (cell, or array of structs in the order of
        ``x(:)``), dict (struct), or None (objects and function handles).

    Raises
    ------
    FileNotFoundError
    LoadError
        When it has another ending.
    DataCorruptionError
        When it is cut, or no MATLAB file.
    """
    path = check_file(path, (".mat",))
    if is_hdf5(path):
        with open_hdf5(path, (".mat",)) as file:
            names = [name for name in file if not name.startswith("#")]
            return {name: _from_hdf5(file, file[name]) for name in names}
    try:
        check_tags(path)
        read = scipy.io.loadmat(path)
    except UNREADABLE as error:
        raise DataCorruptionError(
            f"{path}: expected a whole MATLAB file, got '{error}'. Copy or download it again."
        ) from error
    return {name: _from_scipy(value) for name, value in read.items() if name[:2] != "__"}
