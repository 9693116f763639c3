"""Real responses that several tests of this room read."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr


@pytest.fixture
def haxby_blocks(real_data: Path) -> xr.DataArray:
    """Blocks of 8 categories in 12 runs of one slice, (96, 530): mean less rest, in its s.d."""
    nib = pytest.importorskip("nibabel")
    from neuroalign.loaders import from_arrays

    folder = real_data / "haxby2001_pymvpa"
    inside = nib.load(folder / "mask.nii.gz").get_fdata().squeeze() > 0
    volumes = nib.load(folder / "bold.nii.gz").get_fdata()[inside].reshape(-1, 1452).T
    names, run = np.loadtxt(folder / "attributes_literal.txt", dtype=str, unpack=True)
    rows, shown, runs = [], [], []
    for one in np.unique(run):
        own, label = volumes[run == one], names[run == one]
        spread = own.std(axis=0)
        scaled = (own - own[label == "rest"].mean(axis=0)) / np.where(spread > 0, spread, 1)
        for name in np.unique(label[label != "rest"]):
            rows.append(scaled[label == name].mean(axis=0))
            shown.append(str(name))
            runs.append(f"run-{one}")
    return from_arrays(np.array(rows), stimulus=shown, run=runs, modality="fmri", dtype="float64")
