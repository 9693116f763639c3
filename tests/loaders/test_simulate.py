"""Simulations hold the truth they say."""

import numpy as np
import pytest

from neuroalign.loaders import features_from_arrays, simulate_layered_cortex, simulate_linear
from neuroalign.schema import check


def test_linear_responses_have_the_planted_weights_and_noise() -> None:
    planted = check(simulate_linear(n_samples=4000, n_features=5, n_neuroids=3, snr=4.0, seed=2))
    features, responses = planted["features"].values, planted["responses"].values
    found = np.linalg.lstsq(features, responses, rcond=None)[0]
    np.testing.assert_allclose(found, planted["weights"], atol=0.05)
    residual = responses - features @ planted["weights"].values
    np.testing.assert_allclose(residual.var(axis=0), 1 / 4, rtol=0.1)


def layers_of(rng: np.random.Generator) -> dict:
    names = [f"s{row}" for row in range(60)]
    return {
        name: features_from_arrays(rng.normal(size=(60, 8)), stimulus=names)
        for name in ("low", "high")
    }


def test_repeats_of_a_stimulus_stay_in_one_run(rng: np.random.Generator) -> None:
    cortex = simulate_layered_cortex(
        layers_of(rng), {"V1": "low", "LO": "high"}, n_neuroids_per_roi=6, mesh=None
    )
    assert cortex.shape == (180, 12)
    pairs = set(zip(cortex["stimulus"].values, cortex["run"].values, strict=True))
    assert len(pairs) == 60
    assert cortex["planted_layer"].values.tolist() == ["low"] * 6 + ["high"] * 6


def test_a_region_is_a_linear_map_of_its_layer_alone(rng: np.random.Generator) -> None:
    layers = layers_of(rng)
    cortex = simulate_layered_cortex(
        layers, {"V1": "low"}, n_neuroids_per_roi=4, n_repeats=1, noise=0.0, mesh=None
    )
    order = [int(name[1:]) for name in cortex["stimulus"].values]
    for name, is_source in (("low", True), ("high", False)):
        design = np.c_[layers[name].values, np.ones(60)][order]
        residual = np.linalg.lstsq(design, cortex.values, rcond=None)[1]
        assert (residual.max() < 1e-6) == is_source


def test_patches_are_distinct_vertices_of_the_mesh(rng: np.random.Generator) -> None:
    pytest.importorskip("nilearn")
    cortex = simulate_layered_cortex(layers_of(rng), {"V1": "low", "LO": "high"})
    assert len(np.unique(cortex["neuroid"])) == 200
    assert set(cortex["hemisphere"].values) == {"L", "R"}
    left = cortex["hemisphere"].values == "L"
    assert (cortex["x"].values[left] < 5).all()
    assert cortex.attrs["n_vertices"] == [10242, 10242]


def test_unknown_layers_and_meshes_are_named(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"roi_layers\['V1'\]: expected one of 'low', 'high'"):
        simulate_layered_cortex(layers_of(rng), {"V1": "lo"}, mesh=None)
    with pytest.raises(ValueError, match="mesh: expected one of 'fsaverage5'"):
        simulate_layered_cortex(layers_of(rng), {"V1": "low"}, mesh="fsaverage6")
