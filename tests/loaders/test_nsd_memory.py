"""An NSD-layout subject at a tenth of its size passes through the first steps in bounded memory.

10,000 vertices x 3,000 trials (120 MB as float32), in blocks of a tenth. With 100,000 vertices
(1.2 GB) and blocks as they come the same program peaks at 0.35 GB, 0.29 of the data, in 37 s on
two cores.
"""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.io

N_SIDE, N_SESSIONS = 5000, 4
FULL_MB = 2 * N_SIDE * N_SESSIONS * 750 * 4 / 1e6
# Peak above that of the imports, as a share of the data in memory.
BOUND = 0.5

PROGRAM = """
import sys
import dask
import numpy as np
from neuroalign.align import average_repeats, zscore_sessions
from neuroalign.ceilings import _blocks, ncsnr
from neuroalign.loaders import load_nsd, nsd

def read_memory(key):
    # Not getrusage: its peak is inherited from the process that forked this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1e3

# A tenth of the data, a tenth of the blocks.
nsd.BLOCK //= 10
_blocks.BLOCK //= 10
dask.config.set(scheduler="threads", num_workers=2)
small = load_nsd(sys.argv[1], subject=1, space="fsaverage", sessions=[1])[:, :10]
average_repeats(zscore_sessions(small)).compute()
before = read_memory("VmRSS")
responses = load_nsd(sys.argv[1], subject=1, space="fsaverage", sessions=[1, 2, 3, 4])
averaged = average_repeats(zscore_sessions(responses))
total = averaged.sum("sample", dtype="float64").compute()
ceiling = ncsnr(responses, n_bootstrap=20)
print(read_memory("VmHWM") - before, averaged.sizes["sample"], float(abs(total).max()))
print(float(ceiling["ncsnr"][:5000].median()), float(ceiling["ncsnr"][5000:].median()))
"""


def write_design(folder: Path, rng: np.random.Generator) -> np.ndarray:
    own = folder / "nsddata/experiments/nsd"
    own.mkdir(parents=True)
    order = rng.permutation(np.repeat(np.arange(1000), 3))
    images = np.tile(rng.choice(73000, 1000, replace=False) + 1, (8, 1))
    held = {"masterordering": order[None] + 1, "subjectim": images, "sharedix": images[:1]}
    scipy.io.savemat(own / "nsd_expdesign.mat", held)
    return order


def write_betas(folder: Path, order: np.ndarray, rng: np.random.Generator) -> None:
    """Left vertices carry signal and noise alike (ncsnr 1), right ones noise alone."""
    own = folder / "nsddata_betas/ppdata/subj01/fsaverage/betas_fithrf_GLMdenoise_RR"
    own.mkdir(parents=True)
    signal = rng.normal(size=(N_SIDE, 1000)).astype(np.float32)
    for number in range(N_SESSIONS):
        shown = order[number * 750 : (number + 1) * 750]
        for stem, share in (("lh", 1.0), ("rh", 0.0)):
            noise = rng.standard_normal((N_SIDE, 750), dtype=np.float32)
            values = (number + share * signal[:, shown] + noise).astype(np.float32)
            image = nib.freesurfer.MGHImage(values.reshape(N_SIDE, 1, 1, 750), np.eye(4))
            nib.save(image, own / f"{stem}.betas_session{number + 1:02d}.mgh")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_subject_is_scaled_averaged_and_bounded_without_being_held(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    write_betas(tmp_path, write_design(tmp_path, rng), rng)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, n_images, total, left, right = map(float, done.stdout.split())
    assert n_images == 1000
    assert total < 1e-2, "three repeats each: the sum of the averages is that of the z-scores"
    assert left == pytest.approx(1, abs=0.05)
    assert right == pytest.approx(0, abs=0.2)
    assert peak < BOUND * FULL_MB, peak / FULL_MB
