"""Datasets that installed libraries hold, and simulated ones: no download."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import require
from neuroalign.loaders.arrays import from_arrays
from neuroalign.loaders.simulate import simulate_linear

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cat",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "retina",
    "rocket",
)
MAPS = {"area": "area", "curvature": "curvature", "sulcal": "sulcal", "thickness": "thickness"}
MESHES = ("pial", "white_matter", "inflated", "sphere", "flat")


def load_photographs() -> dict[str, npt.NDArray[np.float32]]:
    """Photographs of the scikit-image and scikit-learn wheels.

    Returns
    -------
    dict of str to array (rows, columns, 3)
        Values in 0 to 1.
    """
    data, color = require("skimage.data", "torch"), require("skimage.color", "torch")
    images = {name: np.asarray(getattr(data, name)()) for name in PHOTOGRAPHS}
    samples = require("sklearn.datasets", "all")
    images |= {name: samples.load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    return {
        name: ((color.gray2rgb(i) if i.ndim == 2 else i[..., :3]) / 255.0).astype(np.float32)
        for name, i in images.items()
    }


def load_fsaverage5() -> xr.Dataset:
    """Meshes and maps of the fsaverage5 cortex, from the nilearn wheel.

    Returns
    -------
    Dataset
        ``coordinates`` (mesh, vertex, axis) [mm]; ``faces`` (face, corner), rows of ``vertex``;
        ``area`` [mm^2], ``curvature`` [1/mm], ``sulcal``, ``thickness`` [mm] (vertex); coord
        ``hemisphere`` on vertex, left before right.
    """
    datasets: Any = require("nilearn.datasets", "fmri")
    fsaverage = datasets.load_fsaverage("fsaverage5")
    sides = ("left", "right")
    points = [
        np.concatenate([np.asarray(fsaverage[mesh].parts[side].coordinates) for side in sides])
        for mesh in MESHES
    ]
    parts = [fsaverage["pial"].parts[side] for side in sides]
    counts = [len(part.coordinates) for part in parts]
    faces = np.concatenate(
        [np.asarray(p.faces) + shift for p, shift in zip(parts, (0, counts[0]), strict=True)]
    )
    maps = {
        name: datasets.load_fsaverage_data("fsaverage5", data_type=kind).data.parts
        for name, kind in MAPS.items()
    }
    values = {
        name: (
            "vertex",
            np.concatenate([np.asarray(p[s], dtype=np.float32).ravel() for s in sides]),
        )
        for name, p in maps.items()
    }
    return xr.Dataset(
        {
            "coordinates": (("mesh", "vertex", "axis"), np.stack(points).astype(np.float32)),
            "faces": (("face", "corner"), faces.astype(np.int32)),
            **values,
        },
        coords={
            "mesh": list(MESHES),
            "axis": ["x", "y", "z"],
            "hemisphere": ("vertex", np.repeat(["L", "R"], counts)),
        },
        attrs={"space": "fsaverage5", "source": "nilearn"},
    )


def simulate_fmri(*, n_samples: int = 200, n_neuroids: int = 50, seed: int = 0) -> xr.Dataset:
    """A simulated fMRI study: features and the responses that they drive linearly.

    Returns
    -------
    Dataset
        As :func:`neuroalign.loaders.simulate_linear`, with modality ``fmri``.
    """
    study = simulate_linear(n_samples, 30, n_neuroids, seed=seed)
    study["responses"].attrs |= {"modality": "fmri", "units": "%"}
    return study


SENSORS = {"meg": ("T", 1e-13), "eeg": ("V", 1e-6)}


def _simulate_sensors(modality: str, n_samples: int, n: int, seed: int) -> xr.Dataset:
    """Evoked waves, of which each stimulus sets the height."""
    units, scale = SENSORS[modality]
    study = simulate_linear(n_samples, 30, n, seed=seed)
    rng = np.random.default_rng([seed, 1])
    time = np.round(np.arange(-0.1, 0.5, 0.01), 3)
    peak = rng.uniform(0.08, 0.25, size=n)
    wave = np.exp(-(((time - peak[:, None]) / 0.04) ** 2))
    height = study["responses"].values.astype(np.float64)
    values = height[:, :, None] * wave + 0.3 * rng.normal(size=(n_samples, n, len(time)))
    responses = from_arrays(
        scale * values,
        stimulus=study["responses"]["stimulus"].values.tolist(),
        run=study["responses"]["run"].values.tolist(),
        time=time,
        modality=modality,
        units=units,
    )
    features = study["features"]
    return xr.Dataset(
        {"features": features, "responses": responses, "peak": ("neuroid", peak)},
        attrs={"kind": "matched", "seed": seed},
    )


def simulate_meg(*, n_samples: int = 100, n_neuroids: int = 20, seed: int = 0) -> xr.Dataset:
    """A simulated MEG study; ``peak`` [s] is each channel's planted latency."""
    return _simulate_sensors("meg", n_samples, n_neuroids, seed)


def simulate_eeg(*, n_samples: int = 100, n_neuroids: int = 20, seed: int = 0) -> xr.Dataset:
    """A simulated EEG study; ``peak`` [s] is each channel's planted latency."""
    return _simulate_sensors("eeg", n_samples, n_neuroids, seed)


def simulate_spikes(*, n_samples: int = 100, n_neuroids: int = 20, seed: int = 0) -> xr.Dataset:
    """A simulated study of spike counts: Poisson, with log-linear rates.

    Returns
    -------
    Dataset
        ``features``, ``responses`` (sample, neuroid, time) in bins of 10 ms, and ``rate``
        (sample, neuroid), the planted peak rate [spikes/s].
    """
    study = simulate_linear(n_samples, 30, n_neuroids, seed=seed)
    rng = np.random.default_rng([seed, 1])
    time = np.round(np.arange(-0.1, 0.5, 0.01), 3)
    rate = 20 * np.exp(0.5 * np.clip(study["responses"].values.astype(np.float64), -4, 4))
    shape = 0.1 + np.exp(-(((time - 0.12) / 0.05) ** 2))
    counts = rng.poisson(rate[:, :, None] * shape * 0.01).astype(np.float32)
    responses = from_arrays(
        counts,
        stimulus=study["responses"]["stimulus"].values.tolist(),
        run=study["responses"]["run"].values.tolist(),
        time=time,
        modality="spikes",
        units="count",
    )
    return xr.Dataset(
        {
            "features": study["features"],
            "responses": responses,
            "rate": (("sample", "neuroid"), rate.astype(np.float32)),
        },
        attrs={"kind": "matched", "seed": seed},
    )


INSTALLED: dict[str, Callable[..., Any]] = {
    "load_photographs": load_photographs,
    "load_fsaverage5": load_fsaverage5,
    "simulate_fmri": simulate_fmri,
    "simulate_meg": simulate_meg,
    "simulate_eeg": simulate_eeg,
    "simulate_spikes": simulate_spikes,
}
