"""Ridge on more responses than memory holds: chunks of neuroids in, weights on disk out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, storage
from neuroalign._arrays import check_same_rows, unwrap
from neuroalign._chunks import RECORD, ChunkedFolder, read_record
from neuroalign._threads import map_threads
from neuroalign.encoders._engine import CHUNK, Engine, solve_chunk
from neuroalign.encoders.planning import ROWS, plan_fit
from neuroalign.encoders.ridge import Ridge
from neuroalign.encoders.stored_fits import open_fit, save_labels
from neuroalign.errors import AlignError, SchemaError, require, some
from neuroalign.scores import METRICS, choose_metric

Array = npt.NDArray[Any]
INPUTS = "inputs"
# How often a chunk may be lost with its worker before the fit gives up.
MOST_LOSSES = 3


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
        with the same bits where threads and chunks are the same. Of y, the shape and the first,
        middle and last neuroids are compared: a y changed elsewhere needs another folder.
    groups : sequence (sample,), optional
        Rows of one group stay together in the inner folds.
    test : tuple of X and y, optional
        Rows to be predicted and scored, with the neuroids of y; predictions are not kept.
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
    AlignError
        When rows of X and y (or of ``test``) name other stimuli or runs and onsets, or their
        shapes do not match.
    SchemaError
        When chunks of y are cut along samples and larger than the budget together.
    MemoryError, ValueError, FileExistsError

    Examples
    --------
    >>> import tempfile
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_neuroids=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit = fit_to_store(Ridge(1.0), data.features, data.responses, f"{folder}/fit")
    ...     sorted(fit.sizes)
    ['feature', 'neuroid']
    """
    _check_encoder(encoder)
    choose_metric(metric)
    check_same_rows(X, y)
    if test is not None:
        check_same_rows(*test, ("test[0]", "test[1]"))
    X, features = unwrap(X)
    X = np.asarray(X)
    X = _check_features(X.astype(X.dtype if X.dtype == np.float32 else np.float64, copy=False), "X")
    _check_targets(X, y, memory)
    scored = None if test is None else _check_test(X, y, test)
    plan = plan_fit(encoder, X, y, groups=groups, memory=memory)
    n_targets = int(y.shape[1])
    shapes: dict[str, tuple[int, ...]] = {"weights": (X.shape[1], n_targets)}
    names = [*ROWS, "score"] if scored else [*ROWS]
    shapes |= dict.fromkeys(names, (n_targets,))
    inputs = {"X": provenance.hash_array(X), "y": _sign(y)}
    inputs["metric"] = metric
    inputs |= {"groups": repr(None if groups is None else np.asarray(groups).tolist())}
    if scored:
        inputs |= {"test": provenance.hash_array(scored[0]), "test y": _sign(scored[1])}
    key = provenance.collect({"encoder": " ".join(repr(encoder).split())}, inputs)
    target = ChunkedFolder(Path(folder), key, shapes, plan.chunk, X.dtype.name)
    _check_request(target.folder, key)
    target.prepare()
    save_labels(target.folder, features, y, names, metric, key)
    pending = target.list_pending()
    if pending:
        folds = encoder._make_folds(X, X[:, :1], groups, len(encoder._check_options()))
        build = (_build_engine, encoder, X, folds, n_targets)
        run = _run_here if client is None else _run_on_workers
        run(build, target, pending, y, scored, metric, encoder.conservative, client, progress)
    return open_fit(folder)


def _check_request(folder: Path, key: str) -> None:
    """Say which input differs from the request that a folder was begun with."""
    if not (folder / RECORD).is_file():
        return
    kinds = ("parameters", "inputs", "versions")
    before, now = (
        {name: value for kind in kinds for name, value in json.loads(text)[kind].items()}
        for text in (read_record(folder)["key"], key)
    )
    differs = [name for name in now if before.get(name) != now[name]]
    if differs:
        raise FileExistsError(
            f"{folder}: expected the same request to resume, got another: {some(differs)} "
            "changed. Pass what it was begun with, choose another folder, or delete this one."
        )


def _check_encoder(encoder: Any) -> None:
    apart = isinstance(encoder, Ridge) and encoder.alpha_per == "neuroid"
    if not apart or encoder.missing != "raise":
        raise ValueError(
            "encoder: expected Ridge(alpha_per='neuroid', missing='raise'), whose neuroids do not "
            f"touch each other, got {encoder!r}. Pass such a Ridge, or fit in memory."
        )


def _check_features(X: Array, name: str) -> Array:
    if X.ndim != 2 or not np.isfinite(X).all():
        raise ValueError(
            f"{name}: expected finite numbers (sample, feature), got "
            f"{'NaN or infinity' if X.ndim == 2 else f'shape {X.shape}'}. Drop or fill those first."
        )
    return X


def _check_test(X: Array, y: Any, test: tuple[Any, Any]) -> tuple[Array, Any]:
    """Check rows to be scored against those of training."""
    held = _check_features(np.asarray(unwrap(test[0])[0], X.dtype), "test[0]")
    if held.shape[1] != X.shape[1] or np.shape(test[1]) != (len(held), y.shape[1]):
        raise AlignError(
            f"test: expected shapes (n, {X.shape[1]}) and (n, {y.shape[1]}), got {held.shape} and "
            f"{np.shape(test[1])}. Pass the features and neuroids of training."
        )
    return held, test[1]


def _sign(y: Any) -> str:
    """Tell responses from others without reading them all twice."""
    n = int(y.shape[1])
    starts = sorted({0, n // 2, max(0, n - 16)})
    parts = [np.asarray(_take(y, slice(start, start + 16))) for start in starts]
    return f"{y.shape} {y.dtype} {provenance.hash_array(np.concatenate(parts, axis=1))}"


def _check_targets(X: Array, y: Any, memory: int) -> None:
    if not hasattr(y, "dtype"):
        raise ValueError(
            f"y: expected an array (sample, neuroid), got {type(y).__name__}. Pass np.asarray(y)."
        )
    shape = tuple(y.shape)
    if len(shape) != 2 or shape[0] != len(X):
        raise AlignError(
            f"y: expected ({len(X)} samples, neuroid) as X, got shape {shape}. Run align.match."
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
    parts = map_threads(
        lambda start: solve_chunk(engine, Y[:, start : start + CHUNK], conservative=conservative),
        range(0, Y.shape[1], CHUNK),
    )
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
    # By path: what lives in one worker alone is gone with it.
    shared = [_spool(target.folder / INPUTS / "X.npy", X)]
    if scored is not None:
        shared.append(_spool(target.folder / INPUTS / "test.npy", scored[0]))
    engine = client.submit(_build_from_path, function, encoder, shared[0], folds, n_targets)

    def send(values: Any) -> Any:
        lazy = isinstance(values, da.Array)
        return client.compute(values) if lazy else client.scatter(np.asarray(values), hash=False)

    def submit(number: int) -> Any:
        part = target.parts[number]
        held = None if scored is None else send(_take(scored[1], part))
        future = client.submit(
            _solve_from_path, engine, target, number, send(_take(y, part)), shared[1:], held,
            metric, conservative, pure=False,
        )  # fmt: skip
        numbers[future.key] = number
        return future

    numbers: dict[Any, int] = {}
    losses: dict[int, int] = {}
    waiting = list(pending)
    width = 2 * max(1, len(client.scheduler_info()["workers"]))
    running = distributed.as_completed([submit(waiting.pop(0)) for _ in pending[:width]])
    with tqdm(total=len(pending), desc="chunks", disable=not progress) as bar:
        for future in running:
            number = numbers.pop(future.key)
            if future.status in ("cancelled", "lost") and losses.get(number, 0) < MOST_LOSSES:
                # Its worker died with the values it was sent.
                losses[number] = losses.get(number, 0) + 1
                running.add(submit(number))
                continue
            future.result()
            bar.update()
            if waiting:
                running.add(submit(waiting.pop(0)))
    shutil.rmtree(target.folder / INPUTS, ignore_errors=True)


def _spool(path: Path, values: Array) -> str:
    with storage.write_whole(path) as partial:
        np.save(partial, values, allow_pickle=False)
    return str(path.resolve())


def _build_from_path(
    function: Callable[..., Engine], encoder: Ridge, path: str, folds: Any, n_targets: int
) -> Engine:
    return function(encoder, np.load(path, allow_pickle=False), folds, n_targets)


def _solve_from_path(
    engine: Engine,
    target: ChunkedFolder,
    number: int,
    known: Any,
    paths: list[str],
    values: Any,
    metric: str,
    conservative: bool,
) -> int:
    scored = (np.load(paths[0], allow_pickle=False), values) if paths else None
    return _solve(engine, target, number, known, scored, metric, conservative)
