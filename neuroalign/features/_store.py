"""Features on disk, written batch by batch and resumed after a kill.

A folder holds one zarr v3 array for each layer, ``plan.json`` (labels and shapes) and
``journal.json`` (what was asked for, and the batches done). One shard of an array is one batch, so
a batch is either recorded whole or computed again.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from neuroalign.errors import DataCorruptionError, NeuroalignWarning, some
from neuroalign.features._plan import LayerPlan, Plan, count_batches, label_features
from neuroalign.storage import write_whole

JOURNAL, PLAN = "journal.json", "plan.json"
# Features of one inner chunk: a reader of few features loads little, a writer makes few chunks.
CHUNK_FEATURES = 4096


def escape_layer(name: str) -> str:
    """Make a layer name safe as a file name: no '/', no '.', reversible by percent decoding."""
    return quote(name, safe="").replace(".", "%2E")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with write_whole(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def _read_json(path: Path, fields: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataCorruptionError(
            f"store: expected '{path.name}' in '{path.parent}', got no such file. "
            "Run extract(..., store=) to the end."
        ) from error
    except ValueError as error:
        raise DataCorruptionError(
            f"store: expected JSON, got damaged '{path}' ({error}). Delete the store."
        ) from error
    missing = [key for key in fields if not isinstance(content, dict) or key not in content]
    if missing:
        raise DataCorruptionError(
            f"store: expected {some(fields)} in '{path}', missing {some(missing)}. "
            "Delete the store."
        )
    return dict(content)


def _read_plan(folder: Path) -> Plan:
    content = _read_json(folder / PLAN, ("labels", "batch_size", "history", "layers"))
    layers = [
        LayerPlan(
            name=layer["name"],
            shape=tuple(layer["shape"]),
            dtype=layer["dtype"],
            attrs=layer["attrs"],
            grid=None if layer["grid"] is None else tuple(layer["grid"]),
        )
        for layer in content["layers"]
    ]
    return Plan(content["labels"], content["batch_size"], content["history"], layers)


def _array_path(folder: Path, layer: LayerPlan) -> Path:
    # The number keeps 'Conv' and 'conv' apart where the file system ignores case.
    return folder / f"{layer.attrs['layer_order']:04d}_{escape_layer(layer.name)}.zarr"


def _shard_path(folder: Path, layer: LayerPlan, batch: int) -> Path:
    return _array_path(folder, layer).joinpath("c", str(batch), *["0"] * (len(layer.shape) - 1))


def _is_stored(folder: Path, plan: Plan, batch: int) -> bool:
    return all(_shard_path(folder, layer, batch).is_file() for layer in plan.layers)


def _is_sound(folder: Path, plan: Plan, batch: int) -> bool:
    """Read a batch of every layer, so that checksums are compared."""
    try:
        for layer in plan.layers:
            _Guarded(_array_path(folder, layer))[plan.batch(batch)]
    except DataCorruptionError:
        return False
    return True


class _Guarded:
    """An array on disk whose damage is our error and names the place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.array = zarr.open_array(LocalStore(path), mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise DataCorruptionError(
                f"store: expected a zarr array, got damaged '{path}' ({error}). Delete the store."
            ) from error
        self.shape, self.dtype, self.ndim = self.array.shape, self.array.dtype, self.array.ndim

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        try:
            return np.asarray(self.array[key])
        except (OSError, ValueError, RuntimeError) as error:
            raise DataCorruptionError(
                f"store: expected the values that were written in '{self.path}', got damaged ones "
                f"({error}). Repeat the call of extract with the same store= to compute them again."
            ) from error


def _create_array(folder: Path, layer: LayerPlan, batch_size: int) -> None:
    rows, width = min(batch_size, layer.shape[0]), layer.shape[-1]
    inner = min(CHUNK_FEATURES, width)
    zarr.create_array(
        LocalStore(_array_path(folder, layer)),
        shape=layer.shape,
        dtype=layer.dtype,
        chunks=(rows, *layer.shape[1:-1], inner),
        shards=(rows, *layer.shape[1:-1], -(-width // inner) * inner),
        # The checksum lets a reader see flipped bits instead of returning them.
        compressors=(ZstdCodec(level=1), Crc32cCodec()),
        fill_value=float("nan"),
        overwrite=True,
        # Rows of zeros or NaN are data here: a file that is absent is a batch that is absent.
        config={"write_empty_chunks": True},
    )


class FolderSink:
    """Write batches to a folder and remember which are done.

    Parameters
    ----------
    folder : path
    key : mapping of str to str
        What the features depend on: name -> hash. A folder with another key is refused.
    n_batches : int

    Raises
    ------
    ValueError
        When the folder holds features of another key, or files that are not ours.
    """

    def __init__(self, folder: Path, key: Mapping[str, str], n_batches: int) -> None:
        self.folder, self.key, self.n_batches = folder, dict(key), n_batches
        self.plan: Plan | None = None
        self.done: list[int] = []
        if (folder / JOURNAL).exists():
            self._resume()
        elif folder.exists() and (not folder.is_dir() or _foreign_files(folder)):
            raise ValueError(
                f"store: expected an empty or new folder, got '{folder}' with other files. "
                "Name another folder."
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._write_journal()

    def _resume(self) -> None:
        journal = _read_json(self.folder / JOURNAL, ("key", "n_batches", "done"))
        names = sorted({*self.key, *journal["key"]})
        changed = [name for name in names if self.key.get(name) != journal["key"].get(name)]
        if changed:
            raise ValueError(
                f"store: expected features of the same request in '{self.folder}', got another: "
                f"{some(changed, limit=12)} differ. Repeat the first call, or name another folder."
            )
        if not (self.folder / PLAN).exists():
            return
        self.plan = _read_plan(self.folder)
        kept = [
            batch
            for batch in journal["done"]
            if _is_stored(self.folder, self.plan, batch)
            and _is_sound(self.folder, self.plan, batch)
        ]
        if len(kept) < len(journal["done"]):
            warnings.warn(
                f"store: expected {len(journal['done'])} batches in '{self.folder}', got "
                f"{len(kept)}. Files were lost or damaged; the missing batches are computed again.",
                NeuroalignWarning,
                stacklevel=4,
            )
        self.done = kept

    def _write_journal(self) -> None:
        content = {"key": self.key, "n_batches": self.n_batches, "done": self.done}
        _write_json(self.folder / JOURNAL, content)

    def prepare(self, plan: Plan) -> None:
        """Create the arrays; the plan is written last and vouches for them."""
        for layer in plan.layers:
            _create_array(self.folder, layer, plan.batch_size)
        _write_json(self.folder / PLAN, asdict(plan))
        self.plan = plan

    def write(self, plan: Plan, batch: int, outputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write one batch of every layer, then record it."""
        for layer in plan.layers:
            stored = zarr.open_array(LocalStore(_array_path(self.folder, layer)), mode="r+")
            # Set anew, since an array forgets it when it is opened.
            array = stored.with_config({"write_empty_chunks": True})
            array[plan.batch(batch)] = outputs[layer.name]
        self.done = sorted({*self.done, batch})
        self._write_journal()

    def finish(self) -> dict[str, xr.DataArray]:
        """Open what was written."""
        return open_store(self.folder)


def _foreign_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if ".partial." not in path.name]


def open_store(folder: str | PathLike[str]) -> dict[str, xr.DataArray]:
    """Open features that ``extract(..., store=folder)`` has finished writing.

    Parameters
    ----------
    folder : path

    Returns
    -------
    dict of str to DataArray (sample[, token], feature)
        Layer name -> features, dask-backed: nothing is read but the labels. One dask chunk is one
        batch. Damaged values raise DataCorruptionError when they are computed.

    Raises
    ------
    DataCorruptionError
        When the journal, the plan, an array or a batch is missing or damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import torch
    >>> from neuroalign.features import extract
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, stride=8))
    >>> images = {"cat": np.zeros((16, 16, 3), "uint8"), "dog": np.ones((16, 16, 3), "uint8")}
    >>> with TemporaryDirectory() as folder:
    ...     _ = extract(model, images, layers=["0"], store=f"{folder}/stored", progress=False)
    ...     features = open_store(f"{folder}/stored")["0"].load()
    >>> features.shape, features["stimulus"].values.tolist()
    ((2, 16), ['cat', 'dog'])
    """
    folder = Path(folder)
    journal = _read_json(folder / JOURNAL, ("key", "n_batches", "done"))
    n_done, n_batches = len(set(journal["done"])), journal["n_batches"]
    if n_done != n_batches:
        raise DataCorruptionError(
            f"store: expected {n_batches} batches in '{folder}', got {n_done}. "
            "Repeat the call of extract with the same store= to finish it."
        )
    plan = _read_plan(folder)
    lost = [
        batch
        for batch in range(count_batches(len(plan.labels), plan.batch_size))
        if not _is_stored(folder, plan, batch)
    ]
    if lost:
        raise DataCorruptionError(
            f"store: expected every batch in '{folder}', got none for {some(lost)}. "
            "Repeat the call of extract with the same store= to compute them again."
        )
    content = json.dumps(journal["key"], sort_keys=True).encode()
    digest = sha256(content).hexdigest()[:16]
    return {layer.name: _open_layer(folder, plan, layer, digest) for layer in plan.layers}


def _open_layer(folder: Path, plan: Plan, layer: LayerPlan, digest: str) -> xr.DataArray:
    path = _array_path(folder, layer)
    array = _Guarded(path)
    if array.shape != layer.shape or array.dtype != np.dtype(layer.dtype):
        raise DataCorruptionError(
            f"store: expected {layer.shape} {layer.dtype} in '{path}', "
            f"got {array.shape} {array.dtype}. Delete the store."
        )
    chunks = (min(plan.batch_size, layer.shape[0]), *layer.shape[1:])
    name = f"features-{digest}-{escape_layer(layer.name)}"
    lazy = da.from_array(array, chunks=chunks, name=name)  # type: ignore[no-untyped-call]
    return label_features(lazy, plan, layer)
