"""Where a result comes from: versions, parameters, hashes of the inputs."""

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr

LIBRARIES = ("neuroalign", "numpy", "scipy", "pandas", "xarray", "scikit-learn", "torch")


def collect(
    parameters: Mapping[str, str | float | bool | list[str]],
    hashes: Mapping[str, str] | None = None,
) -> str:
    """Describe a run as JSON; the same run gives the same text.

    Parameters
    ----------
    parameters : mapping of str to str, number, bool or list of str
        What the caller did.
    hashes : mapping of str to str, optional
        Input to its hash, see `hash_array`.

    Returns
    -------
    str
        JSON with ``versions``, ``platform``, ``parameters`` and ``inputs``.
    """
    record = {
        "versions": _read_versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "parameters": dict(parameters),
        "inputs": dict(hashes or {}),
    }
    return json.dumps(record, sort_keys=True)


@cache
def _read_versions() -> dict[str, str]:
    """Versions of what numbers depend on; they are read from files, and do not change."""
    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions


def hash_array(array: xr.DataArray | np.ndarray[Any, Any]) -> str:
    """Hash values, dtype and shape, and the coords of a DataArray.

    Parameters
    ----------
    array : DataArray or array (...)

    Returns
    -------
    str
        BLAKE2b, 32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    parts = [("values", np.asarray(array))]
    if isinstance(array, xr.DataArray):
        parts += sorted((str(name), coord.values) for name, coord in array.coords.items())
    for name, values in parts:
        if values.dtype.kind == "U" and values.size:
            # Room that no label needs is no content, and files do not keep it.
            values = values.astype(f"<U{max(1, int(np.strings.str_len(values).max()))}")
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
