"""Loading against the reads of the formats' own libraries.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.loading --quick``. The files
are written once, volume by volume, into the folder of temporary files, outside the timed part. Our
reads include what the peers leave out: the checks of header, affine and gzip CRC.
"""

import gzip
import importlib
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Race, main
from neuroalign.errors import require
from neuroalign.loaders import load_fmri
from neuroalign.storage import write_whole

nib: Any = require("nibabel", "fmri")
FOLDER = Path(tempfile.gettempdir()) / "neuroalign_benchmarks"
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
# Every 101st value stands for the whole when results are compared between processes.
STEP = 101
Inputs = tuple[Path, Path]


def _write_run(path: Path, grid: tuple[int, int, int], n: int, slope: float, dtype: str) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape((*grid, n))
    header.set_zooms((3, 3, 3, 2.0))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(AFFINE, 1)
    header.set_slope_inter(slope, 0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    rng = np.random.default_rng(0)
    with write_whole(path) as partial:
        zipped = path.suffix == ".gz"
        with gzip.open(partial, "wb", 6) if zipped else partial.open("wb") as stream:
            stream.write(header.binaryblock + b"\0" * 4)
            for _ in range(n):
                volume = rng.normal(1000, 50, size=grid).astype(dtype)
                stream.write(volume.tobytes(order="F"))


def _make_files(side: int, n: int, ending: str, slope: float = 1.0, dtype: str = "int16") -> Inputs:
    grid = (side, side, side // 2)
    path = FOLDER / f"{dtype}_{side}_{n}_{slope:g}{ending}"
    mask = FOLDER / f"mask_{side}.nii"
    FOLDER.mkdir(exist_ok=True)
    if not path.exists():
        _write_run(path, grid, n, slope, dtype)
    if not mask.exists():
        inside = np.zeros(grid, dtype=np.uint8)
        inside[side // 4 : -side // 4] = 1
        nib.save(nib.Nifti1Image(inside, AFFINE), mask)
    return path, mask


def make_plain(side: int, n: int) -> Inputs:
    """One int16 run as ``.nii``, and a mask of half its voxels."""
    return _make_files(side, n, ".nii")


def make_zipped(side: int, n: int) -> Inputs:
    """One int16 run as ``.nii.gz``."""
    return _make_files(side, n, ".nii.gz")


def make_scaled(side: int, n: int) -> Inputs:
    """One scaled int16 run as ``.nii.gz``."""
    return _make_files(side, n, ".nii.gz", slope=0.5)


def make_floats(side: int, n: int) -> Inputs:
    """One float32 run as ``.nii.gz``, as fMRIPrep writes it."""
    return _make_files(side, n, ".nii.gz", dtype="float32")


def load_ours(inputs: Inputs) -> np.ndarray:
    """Read one run inside its mask, checked and labelled."""
    path, mask = inputs
    return load_fmri(path, mask=mask).values[:, ::STEP]


def load_nibabel(inputs: Inputs) -> np.ndarray:
    """Read the same with nibabel: whole array, then the mask."""
    path, mask = inputs
    inside = np.asanyarray(nib.load(mask).dataobj).astype(bool)
    values = np.asanyarray(nib.load(path).dataobj)[inside].T
    return np.ascontiguousarray(values, dtype=np.float32)[:, ::STEP]


def make_raw(channels: int, seconds: int) -> tuple[Path, Path]:
    """One float32 FIF recording at 1000 Hz."""
    mne: Any = require("mne", "meg")
    path = FOLDER / f"raw_{channels}_{seconds}_raw.fif"
    FOLDER.mkdir(exist_ok=True)
    if not path.exists():
        info = mne.create_info(channels, 1000.0, "mag")
        values = 1e-13 * np.random.default_rng(0).normal(size=(channels, 1000 * seconds))
        with write_whole(path) as partial:
            raw = mne.io.RawArray(values, info, verbose="ERROR")
            written = partial.with_name(path.name)
            raw.save(written, overwrite=True, verbose="ERROR")
            written.replace(partial)
    return path, path


def load_raw_ours(inputs: Inputs) -> np.ndarray:
    """Read a recording, checked and labelled."""
    meg: Any = importlib.import_module("neuroalign.loaders.meg")
    values: np.ndarray = meg.load_continuous(inputs[0]).values[::STEP]
    return values


def load_raw_mne(inputs: Inputs) -> np.ndarray:
    """Read the same with mne: Raw, then its array, time first, float32."""
    mne: Any = require("mne", "meg")
    values = mne.io.read_raw_fif(inputs[0], preload=True, verbose="ERROR").get_data()
    return np.ascontiguousarray(values.T, dtype=np.float32)[::STEP]


COMMON: dict[str, Any] = {
    "module": "benchmarks.loading",
    "ours": "load_ours",
    "peer": "nibabel",
    "theirs": "load_nibabel",
    "full": {"side": 80, "n": 400},
    "quick": {"side": 48, "n": 120},
}
RACES = [
    Race("load nii int16", setup="make_plain", **COMMON),
    Race("load nii.gz int16", setup="make_zipped", **COMMON),
    Race("load nii.gz scaled int16", setup="make_scaled", **COMMON),
    Race("load nii.gz float32", setup="make_floats", **COMMON),
]

if find_spec("mne") is not None:
    RACES.append(
        Race(
            "load fif raw",
            module="benchmarks.loading",
            setup="make_raw",
            ours="load_raw_ours",
            peer="mne",
            theirs="load_raw_mne",
            full={"channels": 300, "seconds": 300},
            quick={"channels": 100, "seconds": 60},
        )
    )

if __name__ == "__main__":
    main(RACES)
