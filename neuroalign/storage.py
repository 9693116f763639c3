"""Save and load schema objects as zarr or netCDF: whole or not at all, and bit-equal.

A zarr store is written beside its place, closed by a manifest with the hash of every file, and
renamed; a store without a true manifest does not open. A netCDF file carries the
hash of each variable.
"""

import errno
import hashlib
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr

from neuroalign._formats import (
    MANIFEST,
    is_running,
    pack,
    read_netcdf,
    read_zarr,
    unpack,
    write_netcdf,
    write_zarr,
)
from neuroalign.errors import LoadError, choose, some
from neuroalign.schema import check_plain

Stored = TypeVar("Stored", xr.DataArray, xr.Dataset)
OLD = ".old.partial"
BY = {"neuroid": 1, "sample": 0}
# One for each process: another that came to bear the same number is another process.
SESSION = uuid.uuid4().hex[:4]
# Whether a process of another machine lives cannot be asked; none writes for so many seconds.
LONG = 7 * 24 * 3600.0

WRITERS: dict[str, Callable[[xr.Dataset, Path], None]] = {
    ".nc": write_netcdf,
    ".zarr": write_zarr,
}
READERS: dict[str, Callable[[Path, bool], xr.Dataset]] = {".nc": read_netcdf, ".zarr": read_zarr}


# What stops a write -> what to do about it.
ADVICE: dict[int, str] = {
    errno.ENOSPC: "Make room there, or write elsewhere.",
    errno.EDQUOT: "Your quota is used up: make room there, or write elsewhere.",
    errno.EFBIG: "Files there may not be as large: raise the limit, or write elsewhere.",
    errno.EACCES: "Have its folder made writable for you, or write elsewhere.",
    errno.EPERM: "Have its folder made writable for you, or write elsewhere.",
    errno.EROFS: "The disk takes no writes: write elsewhere.",
    errno.ENOTDIR: "A file stands where a folder should be: move it away, or write elsewhere.",
    errno.EEXIST: "A file stands where a folder should be: move it away, or write elsewhere.",
    errno.EIO: "The disk fails: write elsewhere, and check it.",
}


def say_why(error: OSError, path: Path) -> None:
    """Raise anew what stopped a write, with where, why, and what to do, where that is known."""
    advice = ADVICE.get(error.errno or 0)
    if advice is None:
        return
    room = ""
    with suppress(OSError):
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        room = f" ({shutil.disk_usage(there).free:,} bytes free)"
    told = type(error)(
        f"{path}: expected to be written, got '{os.strerror(error.errno or 0)}'{room}. "
        f"{advice} What stood there before is as it was."
    )
    told.errno = error.errno
    raise told from error


def _name_node() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def name_owner() -> str:
    """Name this process inside the name of what it has not finished, for `is_abandoned`."""
    return f"{_name_node()}-{os.getpid()}-{SESSION}{uuid.uuid4().hex[:8]}"


def is_abandoned(path: Path, owner: str) -> bool:
    """Tell whether what a process was writing has been left by it.

    Parameters
    ----------
    path : Path
        The unfinished file or folder.
    owner : str
        As `name_owner` gave it.
    """
    node, _, rest = owner.partition("-")
    process, _, session = rest.partition("-")
    if node != _name_node() or not process.isdigit() or os.name != "posix":
        with suppress(OSError):
            return time.time() - path.stat().st_mtime > LONG
        return False
    if int(process) == os.getpid():
        return not session.startswith(SESSION)
    return not is_running(int(process))


@contextmanager
def write_whole(path: Path | str) -> Iterator[Path]:
    """Lend a temporary name with the same endings; it takes the final name once all is written.

    Parameters
    ----------
    path : path
        The final name of one file; its folder is made when absent.

    Yields
    ------
    Path
        Beside the final name, and gone when the body raises.

    Raises
    ------
    LoadError
        When a folder stands there.
    OSError
        When it cannot be written; says why and what to do.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with write_whole(f"{folder}/notes.txt") as partial:
    ...         _ = partial.write_text("all of it")
    ...     Path(folder, "notes.txt").read_text()
    'all of it'
    """
    path = Path(path)
    if path.is_dir():
        raise LoadError(f"{path}: expected the name of a file, got a folder. Name a file in it.")
    # Libraries choose the format by the ending, so the ending stays.
    partial = path.with_name(f".{name_owner()}.partial.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        say_why(error, path)
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Take a file or a folder away; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(partial: Path, path: Path) -> None:
    """Give a file its name unless that is taken; where there are no hard links, ask first."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if path.exists():
            raise FileExistsError(str(path)) from error
        os.replace(partial, path)


def _put(partial: Path, path: Path, overwrite: bool) -> None:
    """Give what is written its final name; of two writers at once, one is refused."""
    if not overwrite:
        try:
            if partial.is_dir():
                # Refused by the system when a store has come to stand there.
                partial.rename(path)
            else:
                _link(partial, path)
        except OSError as error:
            if not path.exists():
                raise
            raise FileExistsError(
                f"{path}: expected a free name, got one that another process wrote meanwhile. "
                "Pass overwrite=True to replace it."
            ) from error
        return
    if not path.is_dir():
        os.replace(partial, path)
        return
    old = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{OLD}")
    path.rename(old)
    try:
        os.replace(partial, path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def save(array: Stored, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write a schema object; the name appears only when all of it is there.

    Parameters
    ----------
    array : DataArray or Dataset (any dims)
    path : path
        Ends in ``.nc`` or ``.zarr``.
    overwrite : bool
        Replace what stands there; the old stays until the new is whole. Two renames replace a
        zarr store: a kill between them leaves the old one aside, and `load` says where.

    Returns
    -------
    Path

    Raises
    ------
    SchemaError
        When the object could not come back the same.
    FileExistsError
        When the path exists and ``overwrite`` is false, or is a folder that is no store.
    OSError
        When it cannot be written; says why and what to do.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from neuroalign.loaders import from_arrays
    >>> responses = from_arrays([[1.0, 2.0]], modality="eeg", stimulus=["cat"])
    >>> with TemporaryDirectory() as folder:
    ...     path = save(responses, Path(folder) / "responses.nc")
    ...     load(path).identical(responses)
    True
    """
    path = Path(path)
    write = choose(WRITERS, path.suffix, f"ending of {path}")
    check_plain(array, str(path))
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path}: expected a free name, got an existing one. Pass overwrite=True."
        )
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise FileExistsError(
            f"{path}: expected a store to replace, got a folder that is none (no '{MANIFEST}'). "
            "Choose another name, or remove it yourself."
        )
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(pack(array), partial)
        _put(partial, path, overwrite)
    except OSError as error:
        say_why(error, path)
        raise
    finally:
        with suppress(OSError):
            remove(partial)
    return path


def load(path: Path | str, *, verify: bool = True) -> Any:
    """Read what `save` wrote.

    Parameters
    ----------
    path : path
        A ``.nc`` file or a ``.zarr`` store.
    verify : bool
        Compare the hashes; without it only the presence of the manifest is checked.

    Returns
    -------
    DataArray or Dataset
        Zarr comes back lazily, netCDF in memory.

    Raises
    ------
    FileNotFoundError
    DataCorruptionError
        When something is missing, cut or changed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> array = xr.DataArray([1.0, 2.0], dims="sample")
    >>> with TemporaryDirectory() as folder:
    ...     load(save(array, f"{folder}/values.nc")).identical(array)
    True
    """
    path = Path(path)
    if not path.exists():
        kept = sorted(path.parent.glob(f"{path.name}.*{OLD}"))
        if kept:
            raise FileNotFoundError(
                f"{path}: expected a store, got none, but the one that an interrupted overwrite "
                f"set aside: {kept[0].name}. Rename it to {path.name} to have it back."
            )
        near = sorted(str(other.name) for other in path.parent.glob("*") if other.suffix in READERS)
        raise FileNotFoundError(
            f"{path}: expected a file, got none. In its folder: {some(near) or 'no result'}."
        )
    if path.suffix not in READERS and path.is_dir():
        raise LoadError(
            f"{path}: expected .nc or .zarr, got a folder without ending. "
            "Features that extract(store=) wrote are opened by features.open_store."
        )
    read = choose(READERS, path.suffix, f"ending of {path}")
    return unpack(read(path, verify))


def rechunk(
    array: xr.DataArray | Path | str,
    path: Path | str,
    *,
    by: str = "neuroid",
    memory: int = 1 << 30,
    overwrite: bool = False,
) -> xr.DataArray:
    """Store an array anew in chunks of whole neuroids (or whole samples), with bounded memory.

    Loaders give chunks in the order of files, run by run; encoders work through neuroids.

    Parameters
    ----------
    array : DataArray (sample, neuroid[, time]) or path of one that `save` wrote
        Lazy ones are computed chunk by chunk, each once.
    path : path
        Ends in ``.zarr``. While this runs a copy of the array lies beside it.
    by : {"neuroid", "sample"}
        The dim along which the new chunks are cut; they span the other.
    memory : int
        Bytes to be held at a time; a chunk of the old array has to fit.
    overwrite : bool

    Returns
    -------
    DataArray
        Lazy, from the new store.

    Raises
    ------
    SchemaError, ValueError, FileExistsError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> array = xr.DataArray([[1.0, 2.0]] * 40, dims=("sample", "neuroid")).chunk(sample=10)
    >>> with TemporaryDirectory() as folder:
    ...     rechunk(array, f"{folder}/values.zarr").chunks[0]  # no longer cut along samples
    (40,)
    """
    path, axis = Path(path), choose(BY, by, "by")
    source = load(array) if isinstance(array, str | Path) else array
    values = source.data if source.chunks is not None else da.from_array(source.values)  # type: ignore[no-untyped-call]
    # The old chunk, the new one, and the copy that is written.
    width = max(1, memory // (4 * values.nbytes // values.shape[axis] or 1))
    width = min(width, values.shape[axis])
    path.parent.mkdir(parents=True, exist_ok=True)
    spool = path.with_name(f".{uuid.uuid4().hex[:8]}.partial.spool")
    shape = tuple(width if n == axis else max(c) for n, c in enumerate(values.chunks))
    try:
        raw: Any = zarr.create_array(spool, shape=values.shape, chunks=shape, dtype=values.dtype)
        with dask.config.set(scheduler="synchronous"):
            for block in np.ndindex(*values.numblocks):
                region = tuple(
                    slice(sum(c[:n]), sum(c[: n + 1]))
                    for n, c in zip(block, values.chunks, strict=True)
                )
                raw[region] = values.blocks[block].compute()
            whole = tuple(width if n == axis else size for n, size in enumerate(values.shape))
            turned = da.from_zarr(spool).rechunk(whole)  # type: ignore[no-untyped-call]
            fresh = source.copy(data=turned).drop_encoding()
            save(fresh, path, overwrite=overwrite)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    stored: xr.DataArray = load(path)
    return stored
