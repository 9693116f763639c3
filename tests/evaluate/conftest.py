"""Studies that the tests of evaluation share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from neuroalign.loaders import features_from_arrays, from_arrays

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]


@pytest.fixture
def study() -> Study:
    """A maker of runs of unique stimuli whose responses are linear in the features."""

    def make(
        rng: np.random.Generator,
        n: int = 120,
        p: int = 8,
        t: int = 6,
        runs: int = 4,
        signal: float = 1.0,
        **coords: Any,
    ) -> tuple[xr.DataArray, xr.DataArray]:
        X, W = rng.normal(size=(n, p)), rng.normal(size=(p, t)) / np.sqrt(p)
        stimulus = [f"s{i:03d}" for i in range(n)]
        run = np.repeat([f"r{i}" for i in range(runs)], n // runs)
        responses = from_arrays(
            signal * X @ W + rng.normal(size=(n, t)),
            stimulus=stimulus,
            run=run,
            modality="fmri",
            dtype="float64",
        )
        return features_from_arrays(X, stimulus=stimulus), responses.assign_coords(**coords)

    return make


@pytest.fixture
def drifting() -> Study:
    """A maker of one run of independent AR(1) features and responses: no signal at all."""

    def make(
        rng: np.random.Generator, n: int = 400, p: int = 200, t: int = 100, phi: float = 0.9
    ) -> tuple[xr.DataArray, xr.DataArray]:
        series = lfilter([1], [1, -phi], rng.normal(size=(n + 200, p + t)), axis=0)[200:]
        coords = {"run": ("sample", ["r"] * n), "onset": ("sample", 2.0 * np.arange(n))}
        features = xr.DataArray(series[:, :p], dims=("sample", "feature"), coords=coords)
        names = [f"v{i}" for i in range(t)]
        mixed = rng.permutation(np.arange(n) % 5).astype(str)
        responses = xr.DataArray(
            series[:, p:],
            dims=("sample", "neuroid"),
            coords=coords | {"neuroid": names, "mixed": ("sample", mixed)},
        )
        return features, responses

    return make
