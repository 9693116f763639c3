"""RDMs as files of each format hold them: rows of pairs, and what names RDMs and conditions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from neuroalign.errors import LoadError, some
from neuroalign.loaders._hdf5_tree import open_hdf5
from neuroalign.loaders._mat import read_mat
from neuroalign.loaders._npy import open_npy
from neuroalign.loaders._rdm_arrays import count_conditions, is_rdm_shape, read_stack

Array = npt.NDArray[Any]
HDF5 = (".h5", ".hdf5")
# Fields that hold the numbers in the structs of MATLAB's RSA toolbox and its heirs.
FIELDS = ("rdm", "rdms", "dissimilarities")


@dataclass(frozen=True)
class Found:
    """What a file holds: rows of pairs, and whatever names its RDMs and conditions."""

    values: Array
    names: list[str]
    conditions: dict[str, list[str]] = field(default_factory=dict)
    per_rdm: dict[str, Array] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


def number_names(n: int, word: str) -> list[str]:
    return [f"{word}-{index:0{max(2, len(str(n - 1)))}d}" for index in range(n)]


def _read_npy(path: Path, key: str | None, form: str | None, dtype: str) -> Found:
    if key is not None:
        raise LoadError(f"{path}: expected no key for one array, got '{key}'. Leave it out.")
    stack = read_stack(open_npy(path), form, str(path), dtype)
    return Found(stack, number_names(len(stack), "rdm"))


def _orient(array: Array) -> Array:
    """MATLAB stacks RDMs along the last dim; ours come first."""
    if array.ndim > 2 and array.shape[0] == array.shape[1] and array.shape[0] > 1:
        rest = tuple(range(2, array.ndim))
        return array.transpose(*rest, 0, 1)
    return array


def find_stacks(value: Any, name: str) -> list[tuple[str, Array]]:
    """Arrays that can be RDMs in a variable: itself, its cells, or a field of its structs."""
    if isinstance(value, dict):
        label = value.get("name")
        label = label if isinstance(label, str) and label else name
        held = [value[key] for key in value if key.lower() in FIELDS]
        return [pair for item in held for pair in find_stacks(item, label)]
    if isinstance(value, list):
        names = [name] if len(value) == 1 else number_names(len(value), name)
        return [
            pair for item, own in zip(value, names, strict=True) for pair in find_stacks(item, own)
        ]
    if isinstance(value, np.ndarray) and is_rdm_shape(_orient(value)):
        return [(name, _orient(value))]
    return []


def _read_mat(path: Path, key: str | None, form: str | None, dtype: str) -> Found:
    content = read_mat(path)
    if key is not None and key not in content:
        raise LoadError(f"{path}: expected variable '{key}', got {some(content, 20)}. Name one.")
    found = {
        name: find_stacks(value, name) for name, value in content.items() if key in (None, name)
    }
    found = {name: pairs for name, pairs in found.items() if pairs}
    if len(found) != 1:
        shapes = [f"{name} {np.shape(value)}" for name, value in content.items()]
        raise LoadError(
            f"{path}: expected one variable of RDMs, got {len(found)} "
            f"({some(found or shapes, 20)}). Pass key=."
        )
    values, names = [], []
    for name, array in next(iter(found.values())):
        stack = read_stack(array, form, f"{path}: {name}", dtype)
        values.append(stack)
        names += [name] if len(stack) == 1 else number_names(len(stack), name)
    sizes = sorted({stack.shape[1] for stack in values})
    if len(sizes) > 1:
        counts = [count_conditions(size, str(path)) for size in sizes]
        raise LoadError(
            f"{path}: expected RDMs of the same conditions, got {counts} conditions. Pass key=."
        )
    n = count_conditions(sizes[0], str(path))
    conditions = {
        name: value
        for name, value in content.items()
        if isinstance(value, list) and len(value) == n and all(isinstance(v, str) for v in value)
    }
    return Found(np.concatenate(values), names, conditions)


def _read_descriptors(group: h5py.Group | None) -> dict[str, Any]:
    """Descriptors of rsatoolbox: text as attrs, lists as datasets, mixed lists as groups."""
    if group is None:
        return {}
    read: dict[str, Any] = dict(group.attrs)
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            read[name] = [item[key][()] for key in sorted(item, key=int)]
        elif item.shape is not None:
            read[name] = item[()]
    return {name: _decode(value) for name, value in read.items()}


def _decode(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    array = np.asarray(value)
    if array.dtype.kind in "SO":
        items = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel().tolist()]
        return np.array(items, dtype=np.str_)
    return array.item() if array.ndim == 0 else array


def _read_hdf5(path: Path, key: str | None, form: str | None, dtype: str) -> Found:
    with open_hdf5(path, HDF5) as file:
        wanted = key or "dissimilarities"
        if not isinstance(file.get(wanted), h5py.Dataset):
            raise LoadError(
                f"{path}: expected RDMs as rsatoolbox writes them, with '{wanted}', got "
                f"{some(file, 20) or 'an empty file'}. Pass key= for another dataset."
            )
        # Rows of pairs, also where 3 RDMs of 3 conditions look square.
        form = form or ("condensed" if key is None else None)
        values = read_stack(file[wanted][()], form, f"{path}: {wanted}", dtype)
        parts = {
            name: _read_descriptors(file.get(name))
            for name in ("descriptors", "rdm_descriptors", "pattern_descriptors")
        }
        measure = _decode(file.attrs.get("dissimilarity_measure", ""))
    n = count_conditions(values.shape[1], str(path))
    _check_lengths(parts["rdm_descriptors"], len(values), f"{path}: rdm_descriptors")
    _check_lengths(parts["pattern_descriptors"], n, f"{path}: pattern_descriptors")
    per_rdm = {k: np.asarray(v) for k, v in parts["rdm_descriptors"].items() if k != "index"}
    conditions = {
        name: np.asarray(values).tolist()
        for name, values in parts["pattern_descriptors"].items()
        if np.asarray(values).dtype.kind == "U"
    }
    attrs = {
        name: value
        for name, value in parts["descriptors"].items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    if measure:
        attrs["distance"] = str(measure)
    names = per_rdm.pop("rdm", per_rdm.get("name"))
    labelled = names is not None and names.dtype.kind == "U"
    return Found(
        values,
        names.tolist() if labelled and names is not None else number_names(len(values), "rdm"),
        conditions,
        per_rdm,
        attrs,
    )


def _check_lengths(columns: Mapping[str, Any], n: int, name: str) -> None:
    for key, values in columns.items():
        if np.shape(values) != (n,):
            raise LoadError(
                f"{name}: expected {n} values of '{key}', got shape {np.shape(values)}. "
                "The file is inconsistent; write it again."
            )


READERS: dict[str, Callable[[Path, str | None, str | None, str], Found]] = {
    **dict.fromkeys(HDF5, _read_hdf5),
    ".mat": _read_mat,
    ".npy": _read_npy,
}
