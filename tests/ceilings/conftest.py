"""Responses with a planted share of signal."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from neuroalign.loaders import from_arrays

SINGLE = np.array([0.8, 0.5, 0.5, 0.2, 0.05])


@pytest.fixture
def repeated(rng: np.random.Generator) -> Callable[..., xr.DataArray]:
    """Make responses whose share of signal in one presentation is SINGLE."""

    def make(n_stimuli: int = 500, n_repeats: int = 4) -> xr.DataArray:
        signal = np.sqrt(SINGLE) * rng.normal(size=(n_stimuli, 1, 5))
        noise = np.sqrt(1 - SINGLE) * rng.normal(size=(n_stimuli, n_repeats, 5))
        return from_arrays(
            10 + 3 * (signal + noise).reshape(-1, 5),
            stimulus=np.repeat([f"s{i}" for i in range(n_stimuli)], n_repeats),
            modality="fmri",
        )

    return make
