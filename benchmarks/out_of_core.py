"""Ridge from disk to disk: how memory grows with the number of neuroids.

Run from the repository root: ``OMP_NUM_THREADS=2 python -m benchmarks.out_of_core --folder DIR``.
No peer does this; the table shows the peak of resident memory of a fresh process and its children
beside the bytes that went through it. With ``--workers 2`` dask workers do the same, one of which
is killed on the way, and ``difference`` is the largest from a fit in one process, relative to the
largest weight.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import zarr

PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
import numpy as np, zarr
from neuroalign.encoders import Ridge, fit_to_store

def fit(client=None):
    X, Y = np.load(sys.argv[1]), zarr.open_array(sys.argv[2], mode="r")
    memory = int(sys.argv[4])
    fit_to_store(Ridge(np.logspace(-3, 4, 20)), X, Y, sys.argv[3], memory=memory, client=client)

def kill_one(workers):
    while len(list(Path(sys.argv[3], "done").glob("*"))) < 4:
        time.sleep(0.2)
    os.kill(workers[0], signal.SIGKILL)
    print("one worker killed", flush=True)

if __name__ == "__main__":
    n_workers = int(sys.argv[5])
    if n_workers:
        from distributed import Client, LocalCluster
        options = {"threads_per_worker": 1, "memory_limit": None}
        options["dashboard_address"] = "127.0.0.1:0"
        with LocalCluster(n_workers=n_workers, **options) as cluster, Client(cluster) as client:
            workers = list(client.run(os.getpid).values())
            threading.Thread(target=kill_one, args=(workers,), daemon=True).start()
            fit(client)
    else:
        fit()
"""


def run_watched(command: list[str]) -> tuple[float, float]:
    """Run a program: seconds, and the peak resident memory of its processes together in MB."""
    start, peak = time.perf_counter(), 0.0
    process = psutil.Popen(command)
    while process.poll() is None:
        held = 0
        for one in [process, *process.children(recursive=True)]:
            try:
                held += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, held / 1e6)
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"expected the fit to finish, got exit code {process.returncode}.")
    return time.perf_counter() - start, peak


def compare_weights(one: Path, other: Path) -> float:
    """Largest difference of weights, relative to the largest weight."""
    a, b = (zarr.open_array(folder / "weights", mode="r") for folder in (one, other))
    largest = difference = 0.0
    for start in range(0, a.shape[1], 10_000):
        part = np.asarray(a[:, start : start + 10_000])
        largest = max(largest, float(np.abs(part).max()))
        gap = np.abs(part - np.asarray(b[:, start : start + 10_000])).max()
        difference = max(difference, float(gap))
    return difference / largest


def write_inputs(folder: Path, n: int, p: int, t: int) -> tuple[Path, Path]:
    """Write features, and responses in chunks of whole neuroids."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, p)) / np.sqrt(np.arange(1, p + 1))).astype(np.float32)
    weights = rng.normal(size=(p, 64)).astype(np.float32)
    np.save(folder / "X.npy", X)
    array = zarr.create_array(
        folder / f"y{t}.zarr", shape=(n, t), chunks=(n, 2000), dtype="f4", compressors=None
    )
    for start in range(0, t, 2000):
        width = min(2000, t - start)
        mixed = X @ (weights @ rng.normal(size=(64, width)).astype(np.float32)) / 8
        noise = rng.normal(size=(n, width)).astype(np.float32)
        array[:, start : start + width] = mixed + 3 * noise
    return folder / "X.npy", folder / f"y{t}.zarr"


def main() -> None:
    """Measure each number of neuroids once."""
    parser = argparse.ArgumentParser(description="Peak memory against neuroids.")
    parser.add_argument("--folder", type=Path, required=True, help="scratch on a large disk")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--targets", type=int, nargs="+", default=[150_000, 300_000])
    parser.add_argument("--memory", type=float, default=0.8, help="budget of a process in GB")
    parser.add_argument("--workers", type=int, default=0, help="dask workers; one is killed")
    options = parser.parse_args()
    print("neuroids  workers  seconds  read_gb  peak_mb  difference")
    for t in options.targets:
        options.folder.mkdir(parents=True, exist_ok=True)
        X, Y = write_inputs(options.folder, options.samples, options.features, t)
        memory, plain = str(int(options.memory * 1e9)), options.folder / "fit-0"
        for workers in dict.fromkeys((0, options.workers)):
            out = options.folder / f"fit-{workers}"
            inputs = [str(X), str(Y), str(out), memory, str(workers)]
            seconds, peak = run_watched([sys.executable, "-c", PROGRAM, *inputs])
            gap = f"{compare_weights(plain, out):10.1e}" if workers else "         -"
            read = 4e-9 * options.samples * t
            print(
                f"{t:8d}  {workers:7d}  {seconds:7.1f}  {read:7.2f}  {peak:7.0f}  {gap}", flush=True
            )
        shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
