"""Tables that pandas wrote by ``to_hdf`` in its default layout, read without PyTables.

The layout ("fixed"): a group for the table; ``axis0`` its column names, ``axis1`` its row names;
for each dtype n a matrix ``block<n>_values`` (row, item) and ``block<n>_items``, the names of its
columns. Names of mixed types are pickled there; pickles are never read, and the columns of such a
table are known by their order within each block alone.
"""

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._files import check_file

Array = npt.NDArray[Any]
ENDINGS = (".h5", ".hdf5", ".hdf")


class Block(NamedTuple):
    """Columns of one dtype: where they lie, (n_rows, n_columns), names where they are text."""

    place: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    names: list[str] | None


def _names(items: Any) -> list[str] | None:
    kind = items.attrs.get("kind", b"")
    text = kind.decode() if isinstance(kind, bytes) else str(kind)
    # An array of objects is a pickle in a row of bytes.
    if not isinstance(items, h5py.Dataset) or items.dtype.kind not in "SUiuf" or text == "object":
        return None
    values = items[:].ravel().tolist()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    check_file(path, ENDINGS)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataCorruptionError(
            f"{path}: expected a whole HDF5 file, got '{error}'. Download it again."
        ) from error


def _local(group: Any, name: str) -> bool:
    link = group.get(name, getclass=True, getlink=True)
    return link is h5py.HardLink


def describe_table(path: Path) -> list[Block]:
    """List the blocks of the one table in a file.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    with open_file(path) as file:
        groups = [name for name in file if _local(file, name)]
        tables = [name for name in groups if _is_fixed(file[name])]
        if len(tables) != 1:
            other = any(isinstance(file[n], h5py.Group) and "table" in file[n] for n in groups)
            found = "one in pandas' 'table' layout" if other else f"{sorted(file)}"
            raise LoadError(
                f"{path}: expected one table in pandas' 'fixed' layout, got {found}. "
                "Write it again with to_hdf(format='fixed')."
            )
        group, blocks = file[tables[0]], []
        for number in range(int(group.attrs["nblocks"])):
            key = f"block{number}_values"
            if not _local(group, key) or group[key].ndim != 2 or group[key].external:
                raise LoadError(f"{path}: expected a matrix '{key}', got none. Download it again.")
            values = group[key]
            n_rows, n_items = (int(size) for size in values.shape)
            names = _names(group[f"block{number}_items"])
            blocks.append(Block(f"{tables[0]}/{key}", (n_rows, n_items), values.dtype, names))
    return blocks


def _is_fixed(group: Any) -> bool:
    return isinstance(group, h5py.Group) and "axis0" in group and "nblocks" in group.attrs


def read_rows(path: Path, block: Block, rows: slice) -> Array:
    """Read some rows of a block: (row, column)."""
    with open_file(path) as file:
        try:
            values: Array = file[block.place][rows]
        except OSError as error:
            raise DataCorruptionError(
                f"{path}: expected whole values, got '{error}'. Download it again."
            ) from error
    return values
