"""Loading a run holds little more than the run: measured in a fresh process."""

import gzip
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

GRID, N = (64, 64, 36), 160
FULL_MB = np.prod(GRID) * N * 4 / 1e6

PROGRAM = """
import sys
import numpy as np
from neuroalign.loaders import load_fmri

def read_memory(key):
    # Not getrusage: its peak is inherited from the process that forked this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1e3

small, mask, *paths = sys.argv[1:]
load_fmri(small).compute()
before = read_memory("VmRSS")
responses = load_fmri(paths, mask=mask or None)
opened = read_memory("VmRSS")
run = responses.isel(sample=slice(0, 160)).compute()
peak = read_memory("VmHWM")
print(opened - before, peak - before, run.shape[0], len(responses.chunks[0]))
"""


def write(path: Path, dtype: str, grid: tuple[int, ...] = GRID, n: int = N) -> Path:
    """Stream volumes into a file, so that writing is small too."""
    rng = np.random.default_rng(0)
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape((*grid, n))
    header.set_zooms((3, 3, 3, 2.0))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(np.diag([3, 3, 3, 1]), 1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as stream:
        stream.write(header.binaryblock + b"\0" * 4)
        for _ in range(n):
            volume = rng.integers(0, 8, size=grid).astype(dtype)
            stream.write(volume.tobytes(order="F"))
    return path


def write_mask(path: Path) -> Path:
    inside = np.zeros(GRID, "uint8")
    inside[: GRID[0] // 2] = 1
    nib.save(nib.Nifti1Image(inside, np.diag([3, 3, 3, 1])), path)
    return path


def measure(folder: Path, paths: list[Path], masked: bool = True) -> tuple[float, float, int, int]:
    """Growth [MB] when opened and at the peak of one run, volumes read, chunks."""
    small = write(folder / "small.nii", "int16", (4, 4, 4), 10)
    mask = write_mask(folder / "mask.nii") if masked else ""
    command = [sys.executable, "-c", PROGRAM, str(small), str(mask), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    opened, peak, volumes, chunks = done.stdout.split()
    return float(opened), float(peak), int(volumes), int(chunks)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", ["run.nii", "run.nii.gz"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("masked", [True, False])
def test_one_run_peaks_below_one_and_a_half_of_its_size(
    tmp_path: Path, name: str, dtype: str, masked: bool
) -> None:
    _, peak, volumes, _ = measure(tmp_path, [write(tmp_path / name, dtype)], masked)
    full = FULL_MB / 2 if masked else FULL_MB
    assert volumes == N
    assert peak < 1.5 * full, peak / full


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_twelve_runs_stay_on_disk_until_one_is_computed(
    tmp_path: Path, ending: str, masked: bool
) -> None:
    first = write(tmp_path / f"01{ending}", "int16")
    paths = [first] + [tmp_path / f"{number:02d}{ending}" for number in range(2, 13)]
    for path in paths[1:]:
        path.hardlink_to(first)
    opened, peak, _, chunks = measure(tmp_path, paths, masked)
    full = FULL_MB / 2 if masked else FULL_MB
    assert chunks == 12
    assert opened < 0.5 * full
    assert peak < 1.5 * full, peak / full
