"""Ridge from disk to disk on dask workers against one process, from 2,000 to 200,000 neuroids.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.scale`` (``--quick`` for
small sizes). Every run has a process and folders of its own; starting the cluster is shown by
itself. ``ratio`` is seconds in one process over seconds on the workers: at one thread each, two
workers reach 2 at best, and as far below it as dask costs. ``growth`` is cost against the row
above, over the growth of neuroids: 1 is linear. ``equal`` is the largest difference of weights.
Memory is that of the process that asks, without its workers.
"""

import logging
import os
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.harness import KEYS, Race, read_options, run_once, show
from neuroalign.encoders import Ridge, fit_to_store

FULL, QUICK = (2_000, 20_000, 200_000), (1_000, 4_000)
N_SAMPLES, N_FEATURES, WORKERS = 1000, 500, 2
MEMORY = 2 * 10**8
ALPHAS = np.logspace(-3, 4, 10)


@dataclass
class Inputs:
    """Where features and responses lie, and the cluster if there is one."""

    folder: Path
    cluster: Any = None
    client: Any = None
    start_s: float = 0.0


def write_inputs(n_neuroids: int) -> Inputs:
    """Write features and responses, chunked by neuroids, into a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix=f"scale-{os.getppid()}-"))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, N_FEATURES)).astype("f4")
    np.save(folder / "X.npy", X)
    shape, chunks = (N_SAMPLES, n_neuroids), (N_SAMPLES, min(1000, n_neuroids))
    Y = zarr.create_array(folder / "Y.zarr", shape=shape, chunks=chunks, dtype="f4")
    for start in range(0, n_neuroids, chunks[1]):
        width = min(chunks[1], n_neuroids - start)
        weights = rng.normal(size=(N_FEATURES, width)).astype("f4") / N_FEATURES**0.5
        Y[:, start : start + width] = X @ weights + rng.normal(size=(N_SAMPLES, width)).astype("f4")
    return Inputs(folder)


def write_inputs_and_start(n_neuroids: int) -> Inputs:
    """The same, and two workers that have imported what they need."""
    from distributed import Client, LocalCluster  # noqa: PLC0415

    inputs, began = write_inputs(n_neuroids), time.perf_counter()
    inputs.cluster = LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )
    inputs.client = Client(inputs.cluster)
    inputs.client.run(_import)
    # A process that was forked or spawned runs only these when it ends.
    Finalize(None, _stop, (inputs.client, inputs.cluster), exitpriority=100)
    inputs.start_s = time.perf_counter() - began
    return inputs


def _stop(client: Any, cluster: Any) -> None:
    client.shutdown()
    cluster.close()


def _import() -> None:
    import neuroalign.encoders.ridge  # noqa: F401, PLC0415


def fit(inputs: Inputs) -> Any:
    """Fit to a store; then, unmeasured, some weights, the start of the cluster last of them."""
    out = Path(tempfile.mkdtemp(dir=inputs.folder)) / "fit"
    X, Y = np.load(inputs.folder / "X.npy"), zarr.open_array(inputs.folder / "Y.zarr", mode="r")
    fit_to_store(Ridge(ALPHAS), X, Y, out, memory=MEMORY, client=inputs.client)
    weights = zarr.open_array(out / "weights", mode="r")
    return np.append(np.asarray(weights[:5]).ravel(), inputs.start_s)


def measure(n_neuroids: int, repeats: int) -> dict[str, Any]:
    """One row: both ways ``repeats`` times, taking turns."""
    row = {"n_neuroids": n_neuroids}
    runs: dict[str, list[Any]] = {"write_inputs_and_start": [], "write_inputs": []}
    for _ in range(repeats):
        for setup, found in runs.items():
            race = Race("fit to store", __name__, setup, "fit", "serial", "fit")
            found.append(run_once(race, "fit", row))
    ours, serial = runs.values()
    ours_s, serial_s = (statistics.median(run[0] for run in one) for one in (ours, serial))
    values = (
        f"fit to store, {n_neuroids:,} neuroids, {WORKERS} dask workers",
        ours_s,
        "one process",
        serial_s,
        serial_s / ours_s,
        statistics.median(run[1] for run in ours),
        statistics.median(run[1] for run in serial),
        serial_s / ours_s / WORKERS,
        float(np.abs(ours[-1][2][:-1] - serial[-1][2][:-1]).max()),
    )
    return dict(zip(KEYS, values, strict=True)) | {"start_s": float(ours[-1][2][-1])}


def main() -> None:
    """Measure all sizes, print the table, and how cost grows."""
    options = read_options()
    sizes = QUICK if options.quick else FULL
    rows = []
    try:
        rows += [measure(size, options.repeats) for size in sizes]
    finally:
        for left in Path(tempfile.gettempdir()).glob(f"scale-{os.getpid()}-*"):
            with suppress(OSError):
                shutil.rmtree(left)
    show(rows, options.json)
    print("neuroids   growth on workers   growth in one process   start of the cluster")
    for before, row, small, large in zip(rows, rows[1:], sizes, sizes[1:], strict=False):
        times = large / small
        grown = [row[key] / before[key] / times for key in ("ours_s", "peer_s")]
        print(f"{large:8,}   {grown[0]:17.2f}   {grown[1]:21.2f}   {row['start_s']:.1f} s")


if __name__ == "__main__":
    main()
