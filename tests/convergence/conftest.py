"""A cortex whose regions read the layers of a model in a planted order."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from neuroalign.convergence import encode_layers
from neuroalign.loaders import features_from_arrays, simulate_layered_cortex

ROIS = ("V1", "V2", "V4", "LO", "IT")


def make_layers(
    n_stimuli: int = 120, n_layers: int = 5, width: int = 12
) -> dict[str, xr.DataArray]:
    """Independent features, so that only the planted layer explains a region."""
    rng = np.random.default_rng(5)
    stimulus = [f"image-{row:03d}" for row in range(n_stimuli)]
    return {
        f"layer{index}": features_from_arrays(
            rng.normal(size=(n_stimuli, width)), stimulus=stimulus
        )
        for index in range(n_layers)
    }


def repeat_rows(
    layers: dict[str, xr.DataArray], responses: xr.DataArray
) -> dict[str, xr.DataArray]:
    names = layers["layer0"]["stimulus"].values.tolist()
    rows = [names.index(one) for one in responses["stimulus"].values]
    return {name: one[rows] for name, one in layers.items()}


@pytest.fixture(scope="session")
def layers() -> dict[str, xr.DataArray]:
    return make_layers()


@pytest.fixture(scope="session")
def encode(
    layers: dict[str, xr.DataArray],
) -> Callable[..., tuple[xr.Dataset, xr.DataArray]]:
    """Encode a cortex in which region number i reads layer ``order[i]``."""

    def run(
        order: tuple[int, ...] = (0, 1, 2, 3, 4), noise: float = 1.0
    ) -> tuple[xr.Dataset, xr.DataArray]:
        planted = {roi: f"layer{index}" for roi, index in zip(ROIS, order, strict=True)}
        responses = simulate_layered_cortex(
            layers, planted, n_neuroids_per_roi=24, n_repeats=2, noise=noise, n_components=5
        )
        return encode_layers(repeat_rows(layers, responses), responses), responses

    return run


@pytest.fixture(scope="session")
def planted(
    encode: Callable[..., tuple[xr.Dataset, xr.DataArray]],
) -> tuple[xr.Dataset, xr.DataArray]:
    return encode()
