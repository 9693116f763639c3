"""Ridge from disk to disk: how memory grows with the number of neuroids.

Run from the repository root: ``OMP_NUM_THREADS=2 python -m benchmarks.out_of_core --folder DIR``.
No peer does this; the table shows the peak of resident memory of a fresh process beside the bytes
that went through it.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr

PROGRAM = """
import sys
import numpy as np, zarr
from neuroalign.encoders import Ridge, fit_to_store
X = np.load(sys.argv[1])
Y = zarr.open_array(sys.argv[2], mode="r")
fit_to_store(Ridge(np.logspace(-3, 4, 20)), X, Y, sys.argv[3], memory=int(sys.argv[4]))
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3)
"""


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
    parser.add_argument("--memory", type=float, default=0.8, help="budget in GB")
    options = parser.parse_args()
    print("neuroids  seconds  read_gb  peak_mb")
    for t in options.targets:
        options.folder.mkdir(parents=True, exist_ok=True)
        X, Y = write_inputs(options.folder, options.samples, options.features, t)
        out, memory = options.folder / "fit", str(int(options.memory * 1e9))
        start = time.perf_counter()
        command = [sys.executable, "-c", PROGRAM, str(X), str(Y), str(out), memory]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        read = 4e-9 * options.samples * t
        print(f"{t:8d}  {seconds:7.1f}  {read:7.2f}  {float(done.stdout):7.0f}", flush=True)
        shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
