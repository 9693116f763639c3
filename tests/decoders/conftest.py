"""Recordings that the tests of decoders share."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.loaders import from_arrays


@pytest.fixture
def haxby(real_data: Path) -> xr.DataArray:
    """Volumes of 8 categories in 12 runs of one slice, detrended and standardised by run."""
    pytest.importorskip("nibabel")
    from neuroalign.loaders import load_fmri

    folder = real_data / "haxby2001_pymvpa"
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    series = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    return series.isel(sample=np.flatnonzero(series["stimulus"].values != "rest"))


@pytest.fixture
def haxby_blocks(haxby: xr.DataArray) -> xr.DataArray:
    """The mean of each block: 96 samples."""
    keys, place = np.unique(
        np.stack([haxby["run"].values, haxby["stimulus"].values]), axis=1, return_inverse=True
    )
    means = np.stack([haxby.values[place == row].mean(axis=0) for row in range(keys.shape[1])])
    blocks = from_arrays(
        means, stimulus=keys[1], run=keys[0], modality="fmri", neuroid=haxby["neuroid"].values
    )
    places = {axis: haxby[axis] for axis in "ijkxyz"}
    kept = {name: haxby.attrs[name] for name in ("affine", "grid_shape")}
    return blocks.assign_coords(places).assign_attrs(kept)


@pytest.fixture
def wordpairs(real_data: Path) -> xr.DataArray:
    """Trials of related and unrelated word pairs (sample, channel, time)."""
    pytest.importorskip("mne")
    from neuroalign.loaders import load_epochs

    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        epochs = load_epochs(path, stimulus="association")
    related = np.where(epochs["event_code"].values == 6, "related", "unrelated")
    return epochs.assign_coords(relation=("sample", related))
