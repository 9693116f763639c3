"""Small files of each format, whole, for tests that then spoil them."""

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mne
import nibabel as nib
import numpy as np
import pynwb
import xarray as xr

from neuroalign.loaders import features_from_arrays, from_arrays

AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])


def write_image(
    path: Path,
    shape: tuple[int, ...] = (4, 4, 3, 6),
    *,
    values: Any = None,
    affine: Any = None,
    tr: float = 2.0,
) -> Path:
    """Write NIfTI with positions in mm and times in s."""
    if values is None:
        values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    image = nib.Nifti1Image(values, AFFINE if affine is None else affine)
    image.header.set_xyzt_units("mm", "sec")
    if values.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    nib.save(image, path)
    return path


def make_raw(n_seconds: float = 4.0, names: tuple[str, ...] = ("Fz", "Cz", "Pz")) -> Any:
    """Make EEG with an event a second."""
    info = mne.create_info(list(names), 100.0, "eeg", verbose="error")
    values = np.random.default_rng(0).standard_normal((len(names), int(100 * n_seconds))) * 1e-5
    raw = mne.io.RawArray(values, info, verbose="error")
    onsets = np.arange(0.5, n_seconds - 0.5)
    raw.set_annotations(mne.Annotations(onsets, 0.1, ["face"] * len(onsets)))
    return raw


def write_raw(path: Path, n_seconds: float = 4.0) -> Path:
    """Write a recording."""
    make_raw(n_seconds).save(path, verbose="error")
    return path


def write_epochs(path: Path, *, bad: bool = False) -> Path:
    """Write epochs, of which none is good when ``bad``."""
    raw = make_raw()
    events = np.array([[100, 0, 1], [200, 0, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        epochs = mne.Epochs(
            raw, events, tmin=0, tmax=0.3, baseline=None, preload=True, verbose="error"
        )
        if bad:
            epochs.drop([0, 1], verbose="error")
        epochs.save(path, verbose="error")
    return path


def write_nwb(
    path: Path, times: Any = (0.1, 0.6), *, units: bool = True, trials: bool = True
) -> Path:
    """Write one unit and one trial of a second."""
    file = pynwb.NWBFile("a session", "id", datetime(2000, 1, 1, tzinfo=UTC))
    if units:
        file.add_unit(spike_times=np.asarray(times, dtype=float))
    if trials:
        file.add_trial(0.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(path, "w") as out:
            out.write(file)
    return path


def write_events(path: Path, *rows: str, header: str = "onset\tduration\ttrial_type") -> Path:
    """Write a table of events, cells apart by tabs."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def write_surface(path: Path, n_samples: int = 3, n_vertices: int = 10) -> Path:
    """Write values on vertices."""
    rows = np.random.default_rng(0).standard_normal((n_samples, n_vertices)).astype("float32")
    arrays = [
        nib.gifti.GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", datatype="float32")
        for row in rows
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
    return path


def make_responses(
    n: int = 24, n_neuroids: int = 3, *, n_runs: int = 4, stimuli: Any = None, seed: int = 0
) -> xr.DataArray:
    """Make responses to one stimulus a sample, in runs."""
    values = np.random.default_rng(seed).standard_normal((n, n_neuroids))
    names = [f"stim-{k:02d}" for k in range(n)] if stimuli is None else list(stimuli)
    runs = [f"run-{k % n_runs}" for k in range(n)]
    return from_arrays(values, modality="eeg", stimulus=names, run=runs)


def make_features(n: int = 24, n_features: int = 4, *, stimuli: Any = None) -> xr.DataArray:
    """Make features of as many stimuli."""
    values = np.random.default_rng(1).standard_normal((n, n_features))
    names = [f"stim-{k:02d}" for k in range(n)] if stimuli is None else list(stimuli)
    return features_from_arrays(values, stimulus=names)


def flip_bit(path: Path, place: int | None = None) -> None:
    """Flip one bit in a file, in its middle unless told."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path, share: float = 0.5) -> Path:
    """Leave the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
