"""Save and load schema objects as zarr or netCDF: whole or not at all, and bit-equal.

A zarr store is written beside its place, closed by a manifest with the hash of every file, and
renamed; a store without a true manifest does not open. A netCDF file carries the
hash of each variable.
"""

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, choose, some
from neuroalign.provenance import hash_array
from neuroalign.schema import SCHEMA_VERSION, check_plain

Stored = TypeVar("Stored", xr.DataArray, xr.Dataset)
MANIFEST = "neuroalign.json"
LONE = "_neuroalign_array"
NAME, HASH, SCHEMA = "_neuroalign_name", "_neuroalign_hash", "_neuroalign_schema"
LISTS = "_neuroalign_lists"
# What the formats and we add to attrs.
ADDED = (HASH, SCHEMA, LISTS, "_FillValue")
OLD = ".old.partial"
# Numbers as they stand: no scaling, no fill values, no calendars.
AS_WRITTEN: dict[str, Any] = {"mask_and_scale": False, "decode_times": False}


def _pack(array: xr.DataArray | xr.Dataset) -> xr.Dataset:
    """Turn any object into a Dataset that remembers whether it was a DataArray."""
    packed: xr.Dataset
    if isinstance(array, xr.Dataset):
        packed = array.copy()
    else:
        packed = array.to_dataset(name=LONE)
        packed[LONE].attrs = dict(array.attrs)
        packed.attrs = {NAME: "" if array.name is None else str(array.name)}
    packed.attrs = {**packed.attrs, SCHEMA: SCHEMA_VERSION}
    packed = packed.drop_encoding()
    for name, variable in list(packed.variables.items()):
        if variable.dtype.byteorder == ">":
            packed[name] = packed[name].astype(variable.dtype.newbyteorder("="))
    holders: list[Any] = [packed, *packed.variables.values()]
    for holder in holders:
        # A list of one number would come back as that number.
        single = [k for k, v in holder.attrs.items() if isinstance(v, list | tuple) and len(v) == 1]
        if single:
            holder.attrs = {**holder.attrs, LISTS: "\n".join(map(str, single))}
    return packed


def _unpack(packed: xr.Dataset) -> xr.DataArray | xr.Dataset:
    attrs = _plain_attrs(packed.attrs)
    for variable in packed.variables.values():
        variable.attrs = _plain_attrs(variable.attrs)
        variable.encoding = {}
    if LONE not in packed:
        packed.attrs = attrs
        return packed
    array = packed[LONE]
    return array.rename(attrs.get(NAME) or None)


def _plain_attrs(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    lists = str(attrs.get(LISTS, "")).split("\n")
    plain = {key: _plain(value) for key, value in attrs.items() if key not in ADDED}
    for key in lists:
        if key in plain and not isinstance(plain[key], list):
            plain[key] = [plain[key]]
    return plain


def _plain(value: Any) -> Any:
    """Undo what a format makes of numbers and lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _as_text(packed: xr.Dataset, name: Any, variable: Any) -> xr.Dataset:
    """Give strings their fixed-width dtype back."""
    text = np.array(variable.values.tolist(), dtype=np.str_)
    assign = packed.assign if name in packed.data_vars else packed.assign_coords
    return assign({name: (variable.dims, text, variable.attrs)})


def _hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): _hash_file(path) for path in paths}


def _write_zarr(packed: xr.Dataset, path: Path) -> None:
    strings = [name for name, variable in packed.variables.items() if variable.dtype.kind == "U"]
    for name in strings:
        packed[name] = packed[name].astype(np.dtypes.StringDType())
    for name, variable in packed.variables.items():
        if variable.chunks is not None:
            # Zarr has one chunk size along a dim; runs differ in length.
            even = dict(zip(variable.dims, map(max, variable.chunks), strict=True))
            packed[name] = packed[name].chunk(even)
    packed.to_zarr(path, mode="w-", consolidated=False, zarr_format=3)
    manifest = {"schema_version": SCHEMA_VERSION, "files": _files(path)}
    (path / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorruptionError(
            f"{path}: expected the hash of every file as JSON, got '{error}'. "
            "Restore or recompute the store."
        ) from error


def _read_zarr(path: Path, verify: bool) -> xr.Dataset:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise DataCorruptionError(
            f"{path}: expected a finished store with '{MANIFEST}', got none. "
            "Its writing was interrupted, or it is not ours; write it again."
        )
    if verify:
        expected, found = _read_manifest(manifest), _files(path)
        for file in sorted(expected.keys() | found.keys()):
            if expected.get(file) != found.get(file):
                state = "missing" if file not in found else "changed"
                state = "not in the manifest" if file not in expected else state
                raise DataCorruptionError(
                    f"{path / file}: expected the bytes that were written, got a file that is "
                    f"{state}. Restore or recompute the store."
                )
    with warnings.catch_warnings():
        # The manifest is no zarr node, and is not meant to be one.
        warnings.filterwarnings("ignore", message=f"Object at {MANIFEST}")
        packed: xr.Dataset = xr.open_zarr(path, consolidated=False, **AS_WRITTEN)
    _check_version(path, packed)
    for name, variable in list(packed.variables.items()):
        if variable.dtype.kind in "TO":
            packed = _as_text(packed, name, variable)
    return packed


def _check_version(path: Path, packed: xr.Dataset) -> None:
    version = packed.attrs.get(SCHEMA, SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise LoadError(
            f"{path}: expected schema '{SCHEMA_VERSION}', got '{version}'. "
            "Read it with the version of neuroalign that wrote it, or compute it again."
        )


def _write_netcdf(packed: xr.Dataset, path: Path) -> None:
    packed = packed.load()
    for variable in packed.variables.values():
        variable.attrs = {**variable.attrs, HASH: hash_array(np.asarray(variable.values))}
    packed.to_netcdf(path, engine="h5netcdf")


def _refuse_links(path: Path) -> None:
    """Refuse content that lies in other files: a page of data must not read the disk for others."""
    with h5py.File(path, "r") as file:
        groups = [file["/"]]
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                item = group[name] if isinstance(link, h5py.HardLink) else None
                elsewhere = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
                if item is None or elsewhere:
                    raise DataCorruptionError(
                        f"{path}: expected all content inside the file, got a link at "
                        f"'{group.name.rstrip('/')}/{name}'. Copy the data in."
                    )
                if isinstance(item, h5py.Group):
                    groups.append(item)


def _read_netcdf(path: Path, verify: bool) -> xr.Dataset:
    try:
        _refuse_links(path)
        with xr.open_dataset(path, engine="h5netcdf", **AS_WRITTEN) as opened:
            packed = opened.load()
    except DataCorruptionError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataCorruptionError(
            f"{path}: expected a whole netCDF file, got '{error}'. Write or download it again."
        ) from error
    for name, variable in list(packed.variables.items()):
        if variable.dtype == object:
            packed = _as_text(packed, name, variable)
    if verify and SCHEMA not in packed.attrs:
        raise DataCorruptionError(
            f"{path}: expected a file that neuroalign wrote, with hashes, got none. "
            "Open foreign netCDF with xarray, or pass verify=False."
        )
    _check_version(path, packed)
    for name, variable in packed.variables.items():
        wanted = variable.attrs.get(HASH)
        if verify and wanted is not None and wanted != hash_array(np.asarray(variable.values)):
            raise DataCorruptionError(
                f"{path}: expected variable '{name}' as it was written, got other values. "
                "Restore or recompute the file."
            )
    return packed


WRITERS: dict[str, Callable[[xr.Dataset, Path], None]] = {
    ".nc": _write_netcdf,
    ".zarr": _write_zarr,
}
READERS: dict[str, Callable[[Path, bool], xr.Dataset]] = {".nc": _read_netcdf, ".zarr": _read_zarr}


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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Libraries choose the format by the ending, so the ending stays.
    partial = path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _put(partial: Path, path: Path, overwrite: bool) -> None:
    """Give what is written its final name; of two writers at once, one is refused."""
    if not overwrite:
        try:
            if partial.is_dir():
                # Refused by the system when a store has come to stand there.
                partial.rename(path)
            else:
                os.link(partial, path)
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
    _remove(old)


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
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        write(_pack(array), partial)
        _put(partial, path, overwrite)
    finally:
        _remove(partial)
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
    return _unpack(read(path, verify))
