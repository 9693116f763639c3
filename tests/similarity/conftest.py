"""Fixtures of the room of similarity."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def haxby_halves(real_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Block means of even and odd runs (block, voxel); the same categories in the rows of both."""
    nib = pytest.importorskip("nibabel")
    folder = real_data / "haxby2001_pymvpa"
    bold = nib.load(folder / "bold.nii.gz").get_fdata()
    values = bold[nib.load(folder / "mask.nii.gz").get_fdata().squeeze() > 0].reshape(-1, 1452).T
    names, run = np.loadtxt(folder / "attributes_literal.txt", dtype=str, unpack=True)
    blocks: tuple[list, list] = ([], [])
    for one in np.unique(run):
        rest = values[(run == one) & (names == "rest")].mean(axis=0)
        shown = np.unique(names[(run == one) & (names != "rest")])
        means = [values[(run == one) & (names == name)].mean(axis=0) - rest for name in shown]
        blocks[int(one) % 2].append(np.stack(means))
    X, Y = (np.concatenate(half) for half in blocks)
    return X, Y
