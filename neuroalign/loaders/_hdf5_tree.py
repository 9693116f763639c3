"""Open HDF5 of any maker: whole, and with nothing that lies in other files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py

from neuroalign.errors import DataCorruptionError
from neuroalign.loaders._files import check_file


def _refuse_links(file: h5py.File, path: Path) -> None:
    """Walk every group once; hard links may form a circle."""
    groups, seen = [file["/"]], set()
    while groups:
        group = groups.pop()
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:
            continue
        seen.add(place)
        for name in group:
            link = group.get(name, getlink=True)
            item = group[name] if isinstance(link, h5py.HardLink) else None
            if item is None or (
                isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
            ):
                raise DataCorruptionError(
                    f"{path}: expected all content inside the file, got a link at "
                    f"'{group.name.rstrip('/')}/{name}'. Copy the data in."
                )
            if isinstance(item, h5py.Group):
                groups.append(item)


@contextmanager
def open_hdf5(path: Path | str, endings: Sequence[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; damage met on the way names the file.

    Parameters
    ----------
    path : path
    endings : sequence of str
        Lower-case endings of the format.

    Yields
    ------
    h5py.File

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = check_file(path, endings)
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(file, path)
            yield file
    # h5py says KeyError for an object whose header is damaged.
    except (OSError, RuntimeError, KeyError) as error:
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise DataCorruptionError(
            f"{path}: {kind}: expected a whole HDF5 file, got '{error}'. Download it again."
        ) from error
