"""The two formats of a store: zarr with a manifest, netCDF with a hash for each variable.

In: a Dataset that `neuroalign._storable` accepts. Out: files, and the same Dataset back. To add a
format: a writer and a reader, and their rows in ``storage.WRITERS`` and ``storage.READERS``.
"""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5netcdf  # type: ignore[import-untyped]
import h5py
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.provenance import hash_array
from neuroalign.schema import SCHEMA_VERSION

MANIFEST = "neuroalign.json"
LONE = "_neuroalign_array"
NAME, HASH, SCHEMA = "_neuroalign_name", "_neuroalign_hash", "_neuroalign_schema"
LISTS = "_neuroalign_lists"
# What the formats and we add to attrs.
ADDED = (HASH, SCHEMA, LISTS, "_FillValue")
# Numbers as they stand: no scaling, no fill values, no calendars.
AS_WRITTEN: dict[str, Any] = {"mask_and_scale": False, "decode_times": False}


def pack(array: xr.DataArray | xr.Dataset) -> xr.Dataset:
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


def unpack(packed: xr.Dataset) -> xr.DataArray | xr.Dataset:
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


def hash_file(path: Path) -> str:
    """Hash the bytes of a file: sha256, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def write_zarr(packed: xr.Dataset, path: Path) -> None:
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


def _read_manifest(path: Path) -> tuple[dict[str, str], str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in content["files"].items()}
        return files, str(content["schema_version"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorruptionError(
            f"{path}: expected the hash of every file as JSON, got '{error}'. "
            "Restore or recompute the store."
        ) from error


def _find_manifest(path: Path) -> Path:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise DataCorruptionError(
            f"{path}: expected a finished store with '{MANIFEST}', got none. "
            "Its writing was interrupted, or it is not ours; write it again."
        )
    return manifest


def check_zarr(path: Path) -> None:
    """Hold every file of a store against its hash, without opening it.

    Raises
    ------
    DataCorruptionError
        When a file is missing, changed, or was not written with the others.
    LoadError
        When another version of neuroalign wrote it.
    """
    expected, version = _read_manifest(_find_manifest(path))
    found = _files(path)
    for file in sorted(expected.keys() | found.keys()):
        if expected.get(file) != found.get(file):
            state = "missing" if file not in found else "changed"
            state = "not in the manifest" if file not in expected else state
            raise DataCorruptionError(
                f"{path / file}: expected the bytes that were written, got a file that is "
                f"{state}. Restore or recompute the store."
            )
    _check_version(path, version)


def read_zarr(path: Path, verify: bool) -> xr.Dataset:
    if verify:
        check_zarr(path)
    else:
        _find_manifest(path)
    try:
        packed = _open_zarr(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataCorruptionError(
            f"{path}: expected a whole store, got '{error}'. Restore or recompute the store."
        ) from error
    _check_version(path, packed.attrs.get(SCHEMA, SCHEMA_VERSION))
    return packed


def _open_zarr(path: Path) -> xr.Dataset:
    with warnings.catch_warnings():
        # The manifest is no zarr node, and is not meant to be one.
        warnings.filterwarnings("ignore", message=f"Object at {MANIFEST}")
        packed: xr.Dataset = xr.open_zarr(path, consolidated=False, **AS_WRITTEN)
    for name, variable in list(packed.variables.items()):
        if variable.dtype.kind in "TO":
            packed = _as_text(packed, name, variable)
    return packed


def _check_version(path: Path, version: str) -> None:
    if version != SCHEMA_VERSION:
        raise LoadError(
            f"{path}: expected schema '{SCHEMA_VERSION}', got '{version}'. "
            "Read it with the version of neuroalign that wrote it, or compute it again."
        )


def write_netcdf(packed: xr.Dataset, path: Path) -> None:
    packed = packed.load()
    for variable in packed.variables.values():
        variable.attrs = {**variable.attrs, HASH: hash_array(np.asarray(variable.values))}
    # HDF5 takes the whole process down when a disk is full; a stream of bytes raises.
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        packed.dump_to_store(H5NetCDFStore(file))
    with path.open("wb") as stream:
        stream.write(content.getbuffer())


def _refuse_links(path: Path) -> None:
    """Refuse content that lies in other files: a page of data must not read the disk for others.

    Every group is walked once; hard links may form a circle.
    """
    with h5py.File(path, "r") as file:
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
                elsewhere = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
                if item is None or elsewhere:
                    raise DataCorruptionError(
                        f"{path}: expected all content inside the file, got a link at "
                        f"'{group.name.rstrip('/')}/{name}'. Copy the data in."
                    )
                if isinstance(item, h5py.Group):
                    groups.append(item)


def read_netcdf(path: Path, verify: bool) -> xr.Dataset:
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
            "Open foreign netCDF with xarray (Brain-Score assemblies: loaders.load_brainio), or "
            "pass verify=False to load."
        )
    _check_version(path, packed.attrs.get(SCHEMA, SCHEMA_VERSION))
    for name, variable in packed.variables.items():
        wanted = variable.attrs.get(HASH)
        if verify and wanted is not None and wanted != hash_array(np.asarray(variable.values)):
            raise DataCorruptionError(
                f"{path}: expected variable '{name}' as it was written, got other values. "
                "Restore or recompute the file."
            )
    return packed


def is_running(process: int) -> bool:
    """Tell whether a process of this machine lives; one that only waits to be buried does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return not stat.rpartition(")")[2].strip().startswith(("Z", "X"))
