"""What the library itself stored: schema objects, folders of features and of fits."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroalign import schema, storage
from neuroalign._chunks import count_done
from neuroalign.errors import require, some
from neuroalign.study._findings import WRONG
from neuroalign.study.memory import say_bytes

# Values of larger arrays are not read.
MOST_BYTES = 200 * 10**6
PLURALS = {"stimulus": "stimuli", "run": "runs", "session": "sessions", "subject": "subjects"}


def describe_stored(path: Path) -> list[str]:
    """Describe a schema object; raise when it is damaged."""
    array = storage.load(path)
    if "kind" in array.attrs:
        schema.check(array, str(path))
    sizes = ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())
    lines = [f"{path.name}: {array.attrs.get('kind', 'of no kind')}", f"sizes: {sizes}"]
    lines.append(f"coords: {some(list(array.coords), limit=30)}")
    lines += _count(array)
    return lines + [
        f"{key}: {value}" for key, value in array.attrs.items() if key not in ("kind", "provenance")
    ]


def _count(array: Any) -> list[str]:
    """How many stimuli, repeats and runs, and how many values are missing."""
    lines = []
    labels = {
        name: array[name].values.tolist()
        for name in ("stimulus", "run", "session", "subject")
        if name in array.coords and array[name].dims == ("sample",)
    }
    for name, values in labels.items():
        counts = Counter(values).values()
        each = f"{min(counts)}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
        lines.append(f"{PLURALS[name]}: {len(counts)}, each in {each} samples")
    if not isinstance(array, xr.DataArray) or array.dtype.kind != "f":
        return lines
    if array.nbytes > MOST_BYTES:
        return [*lines, f"missing values: not counted in {say_bytes(array.nbytes)}"]
    missing = int(np.isnan(array.values).sum())
    endless = int(np.isinf(array.values).sum())
    lines.append(f"missing values: {missing} of {array.size}")
    return [*lines, f"infinite values: {endless}"] if endless else lines


def describe_features(path: Path) -> list[str]:
    """Describe a folder that `features.extract` wrote; raise when a batch is damaged."""
    require("torch", "torch")
    from neuroalign.features._store import open_store  # noqa: PLC0415

    layers = open_store(path)
    lines = [f"{path.name}: features of {len(layers)} layers, whole"]
    for name, layer in layers.items():
        sizes = ", ".join(f"{dim} {size}" for dim, size in layer.sizes.items())
        lines.append(f"{name}: {sizes}, {layer.dtype}")
    return lines


def describe_fit(path: Path) -> list[str]:
    """Describe a folder that `encoders.fit_to_store` wrote, finished or not."""
    labels = storage.load(path / "labels.nc")
    names = ["weights", *str(labels.attrs["names"]).split("\n")]
    done, n_chunks, shape = count_done(path, "weights")
    lines = [
        f"{path.name}: a fit of Ridge, {done} of {n_chunks} chunks of neuroids done",
        f"sizes: feature {shape[0]}, neuroid {shape[1]}",
        f"holds: {some(names, limit=30)}",
        f"coords: {some(list(labels.coords), limit=30)}",
    ]
    if "score" in names:
        lines.append(f"metric of score: {labels.attrs['metric']}")
    if done == n_chunks:
        return [*lines, "open it by neuroalign.encoders.open_fit"]
    return [
        *lines,
        f"{WRONG}{n_chunks - done} of {n_chunks} chunks missing or damaged. Repeat the call of "
        "fit_to_store that wrote it: it computes those alone.",
    ]
