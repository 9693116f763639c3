"""Ridge on more responses than memory holds: chunks of neuroids in, weights on disk out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, storage
from neuroalign._arrays import copy_geometry, unwrap
from neuroalign._chunks import ChunkedFolder, open_chunked, size_chunk
from neuroalign.encoders._engine import CHUNK, Engine, solve_chunk
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import AlignError, SchemaError, require, some
from neuroalign.scores import METRICS

Array = npt.NDArray[Any]
LABELS = "labels.nc"
ROWS = ("intercept", "alpha", "cv_mse", "cv_r2")
# Filters that stand for a grid of penalties, see `neuroalign._gram`.
USUAL_FILTERS = 14


@dataclass(frozen=True)
class FitPlan:
    """What a fit will read, write, hold and take; ``print`` it."""

    n_chunks: int
    chunk: int
    bytes_read: int
    bytes_written: int
    bytes_held: int
    flops: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.n_chunks} chunks of {self.chunk:,} neuroids: reads {self.bytes_read / 1e9:.2f} "
            f"GB, writes {self.bytes_written / 1e9:.2f} GB, holds about "
            f"{self.bytes_held / 1e9:.2f} GB, takes about {self.seconds:.0f} s "
            f"({self.flops / 1e12:.2f} Tflop)"
        )


def plan_fit(encoder: Ridge, X: Any, y: Any, *, memory: int = 1 << 30) -> FitPlan:
    """Foresee the bytes and the time of `fit_to_store`.

    Parameters
    ----------
    encoder : Ridge
    X : array or DataArray (sample, feature)
    y : array or DataArray (sample, neuroid); nothing is read
    memory : int
        Budget in bytes for what is held beside the interpreter.

    Returns
    -------
    FitPlan

    Raises
    ------
    MemoryError
        When the budget does not hold one chunk.
    """
    (n, p), t = np.shape(X), int(np.shape(y)[1])
    size = 8 if np.dtype(getattr(X, "dtype", np.float64)) == np.float64 else 4
    rank = min(n, p)
    # Factors of the folds, the Gram matrices while they are made, and the maps to weights.
    fixed = 8 * (3 * rank**2 + 2 * n * p) + size * (2 * n * rank + p * rank)
    # The responses as read and as cut into folds, predictions of a chunk, and the weights.
    chunk = size_chunk(t, fixed, size * (3 * n + 2 * p), memory, CHUNK)
    filters = min(len(encoder._check_options()), USUAL_FILTERS)
    flops = 2.0 * n * rank * t * (filters + 4) + 2.0 * rank * p * t
    held = fixed + chunk * size * (3 * n + 2 * p)
    written = 4 * t * (p + len(ROWS))
    n_chunks = -(-t // chunk)
    seconds = flops / _measure_speed()
    return FitPlan(n_chunks, chunk, size * n * t, written, held, flops, seconds)


def _measure_speed() -> float:
    """Speed of a large product [flop/s], best of three."""
    A = np.ones((1000, 1000), dtype=np.float32)
    best = np.inf
    for _ in range(3):
        start = perf_counter()
        A @ A
        best = min(best, perf_counter() - start)
    return 2e9 / best


def fit_to_store(
    encoder: Ridge,
    X: Any,
    y: Any,
    folder: Path | str,
    *,
    groups: Any = None,
    test: tuple[Any, Any] | None = None,
    metric: str = "pearson",
    memory: int = 1 << 30,
    client: Any = None,
    progress: bool = False,
) -> xr.Dataset:
    """Fit neuroid by neuroid chunk, and write weights to disk as they come.

    Parameters
    ----------
    encoder : Ridge
        With one penalty per neuroid.
    X : array or DataArray (sample, feature)
    y : DataArray, dask array, zarr array or memmap (sample, neuroid)
        Read once, chunk by chunk. Chunks on disk should span all samples: see
        ``storage.rechunk``.
    folder : path
        Free, or what an interrupted call with the same arguments left: it is resumed, and ends
        with the same bits where threads and chunks are the same.
    groups : sequence (sample,), optional
        Rows of one group stay together in the inner folds.
    test : tuple of X and y, optional
        Rows to be predicted and scored; predictions are not kept.
    metric : str
        A name in ``scores.METRICS``.
    memory : int
        Budget in bytes; sets the chunk.
    client : dask.distributed.Client, optional
        Chunks are then solved by its workers; a worker that dies costs the chunks it held. The
        folder must be one that workers see.
    progress : bool

    Returns
    -------
    Dataset
        ``weights`` (feature, neuroid), lazy; ``intercept``, ``alpha``, ``cv_mse``, ``cv_r2``
        (neuroid), and ``score`` with ``test``. See `open_fit`.

    Raises
    ------
    SchemaError
        When chunks of y are cut along samples and larger than the budget together.
    MemoryError, ValueError, FileExistsError
    """
    _check_encoder(encoder)
    X, features = unwrap(X)
    X = np.asarray(X, dtype=np.float32 if np.dtype(X.dtype) == np.float32 else np.float64)
    _check_targets(X, y, memory)
    scored = None if test is None else (np.asarray(unwrap(test[0])[0], X.dtype), test[1])
    plan = plan_fit(encoder, X, y, memory=memory)
    n_targets = int(y.shape[1])
    shapes: dict[str, tuple[int, ...]] = {"weights": (X.shape[1], n_targets)}
    names = [*ROWS, "score"] if scored else [*ROWS]
    shapes |= dict.fromkeys(names, (n_targets,))
    # All of y is not read twice for its hash; its first neuroids tell it from another.
    some_of_y = provenance.hash_array(np.asarray(_take(y, slice(0, 16))))
    inputs = {"X": provenance.hash_array(X), "y": f"{y.shape} {y.dtype} {some_of_y}"}
    inputs["metric"] = metric
    inputs |= {"groups": repr(None if groups is None else np.asarray(groups).tolist())}
    if scored:
        inputs["test"] = provenance.hash_array(scored[0])
    key = provenance.collect({"encoder": " ".join(repr(encoder).split())}, inputs)
    target = ChunkedFolder(Path(folder), key, shapes, plan.chunk, X.dtype.name)
    target.prepare()
    _save_labels(target.folder, features, y, names, metric, key)
    pending = target.list_pending()
    if pending:
        folds = encoder._make_folds(X, X[:, :1], groups, len(encoder._check_options()))
        build = (_build_engine, encoder, X, folds, n_targets)
        run = _run_here if client is None else _run_on_workers
        run(build, target, pending, y, scored, metric, encoder.conservative, client, progress)
    return open_fit(folder)


def _check_encoder(encoder: Any) -> None:
    apart = isinstance(encoder, Ridge) and encoder.alpha_per == "neuroid"
    if not apart or encoder.missing != "raise":
        raise ValueError(
            "encoder: expected Ridge(alpha_per='neuroid', missing='raise'), whose neuroids do not "
            f"touch each other, got {encoder!r}."
        )


def _check_targets(X: Array, y: Any, memory: int) -> None:
    shape = tuple(np.shape(y))
    if len(shape) != 2 or shape[0] != len(X):
        raise AlignError(
            f"y: expected ({len(X)} samples, neuroid) as X has rows, got shape {shape}."
        )
    chunks = getattr(y, "chunks", None)
    along = chunks[0] if chunks else shape[0]
    cut = len(along) > 1 if isinstance(along, tuple) else along < shape[0]
    if cut and shape[0] * shape[1] * np.dtype(y.dtype).itemsize > memory:
        raise SchemaError(
            f"y: expected chunks that span all {shape[0]} samples, got ones cut along samples, of "
            "which each neuroid would need all. Run neuroalign.storage.rechunk(y, path) once."
        )


def _build_engine(encoder: Ridge, X: Array, folds: Any, n_targets: int) -> Engine:
    return encoder._make_engine(X, folds, encoder._check_options(), n_targets, None)


def _take(y: Any, part: slice) -> Any:
    """Cut neuroids out of whatever y is; still lazy where y is."""
    return y.data[:, part] if isinstance(y, xr.DataArray) else y[:, part]


def _solve(
    engine: Engine,
    target: ChunkedFolder,
    number: int,
    known: Any,
    scored: tuple[Array, Any] | None,
    metric: str,
    conservative: bool,
) -> int:
    """Fit, score, write and commit one chunk."""
    Y = np.asarray(known, dtype=engine.dtype)
    if not np.isfinite(Y).all():
        raise ValueError(
            f"y: expected finite values, got NaN or infinity among neuroids "
            f"{target.parts[number].start} to {target.parts[number].stop - 1}. Drop those."
        )
    # In pieces that stay in the cache; only the weights of the chunk are held.
    parts = [
        solve_chunk(engine, Y[:, start : start + CHUNK], conservative=conservative)
        for start in range(0, Y.shape[1], CHUNK)
    ]
    values = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    if scored is not None:
        guess = scored[0] @ values["weights"] + values["intercept"]
        values["score"] = METRICS[metric](np.asarray(scored[1], dtype=engine.dtype), guess)
    target.write(number, values)
    return number


def _run_here(
    build: tuple[Callable[..., Engine], Any, Array, Any, int],
    target: ChunkedFolder,
    pending: list[int],
    y: Any,
    scored: tuple[Array, Any] | None,
    metric: str,
    conservative: bool,
    client: Any,
    progress: bool,
) -> None:
    engine = build[0](*build[1:])
    for number in tqdm(pending, desc="chunks", disable=not progress):
        part = target.parts[number]
        held = None if scored is None else (scored[0], np.asarray(_take(scored[1], part)))
        _solve(engine, target, number, _take(y, part), held, metric, conservative)


def _run_on_workers(
    build: tuple[Callable[..., Engine], Any, Array, Any, int],
    target: ChunkedFolder,
    pending: list[int],
    y: Any,
    scored: tuple[Array, Any] | None,
    metric: str,
    conservative: bool,
    client: Any,
    progress: bool,
) -> None:
    """Keep two chunks a worker under way: what waits in memory does not grow with y."""
    distributed: Any = require("distributed", "dask")
    function, encoder, X, folds, n_targets = build
    engine = client.submit(function, encoder, client.scatter(X), folds, n_targets)

    def send(values: Any) -> Any:
        lazy = isinstance(values, da.Array)
        return client.compute(values) if lazy else client.scatter(np.asarray(values), hash=False)

    def submit(number: int) -> Any:
        part = target.parts[number]
        held = None
        if scored is not None:
            held = client.submit(_pair, features, send(_take(scored[1], part)), pure=False)
        known = send(_take(y, part))
        return client.submit(
            _solve, engine, target, number, known, held, metric, conservative,
            pure=False, retries=3,
        )  # fmt: skip

    features = None if scored is None else client.scatter(scored[0])
    waiting = list(pending)
    width = 2 * max(1, len(client.scheduler_info()["workers"]))
    running = distributed.as_completed([submit(waiting.pop(0)) for _ in pending[:width]])
    with tqdm(total=len(pending), desc="chunks", disable=not progress) as bar:
        for future in running:
            future.result()
            bar.update()
            if waiting:
                running.add(submit(waiting.pop(0)))


def _pair(features: Array, values: Array) -> tuple[Array, Array]:
    return features, values


def _save_labels(
    folder: Path,
    features: xr.DataArray | None,
    y: Any,
    names: list[str],
    metric: str,
    key: str,
) -> None:
    """Keep the labels of features and neuroids beside the numbers."""
    labels = xr.Dataset(
        attrs={
            "kind": "estimate",
            "method": "fit_to_store",
            "metric": metric,
            "names": "\n".join(names),
            "provenance": key,
        }
    )
    for source, dim in ((features, "feature"), (y, "neuroid")):
        if isinstance(source, xr.DataArray):
            labels = labels.assign_coords(
                {name: coord for name, coord in source.coords.items() if coord.dims == (dim,)}
            )
    if isinstance(y, xr.DataArray):
        labels = copy_geometry(y, labels)
    if not (folder / LABELS).exists():
        storage.save(labels, folder / LABELS)


def open_fit(folder: Path | str) -> xr.Dataset:
    """Open what `fit_to_store` has finished.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Dataset
        ``weights`` (feature, neuroid), lazy; one row a neuroid for the rest.

    Raises
    ------
    FileNotFoundError
    DataCorruptionError
        When chunks are missing, damaged or unfinished.
    """
    folder = Path(folder)
    if not (folder / LABELS).is_file():
        raise FileNotFoundError(
            f"{folder}: expected a folder that fit_to_store wrote, got none. In its parent: "
            f"{some(sorted(path.name for path in folder.parent.glob('*'))) or 'nothing'}."
        )
    labels: xr.Dataset = storage.load(folder / LABELS)
    names = str(labels.attrs["names"]).split("\n")
    arrays = open_chunked(folder, ["weights", *names])
    lazy = da.from_array(  # type: ignore[no-untyped-call]
        arrays["weights"], chunks=arrays["weights"].chunks
    )
    result = labels.drop_attrs().assign_attrs(labels.attrs)
    result["weights"] = (("feature", "neuroid"), lazy)
    for name in names:
        result[name] = ("neuroid", np.asarray(arrays[name][:]))
    del result.attrs["names"]
    return result
