"""The spatial score against planted hierarchies."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import measure_distances, spatial_score
from neuroalign.errors import AlignError, SchemaError

Planted = tuple[xr.Dataset, xr.DataArray]
RANKS = {"V1": 0, "V2": 1, "V4": 2, "LO": 3, "IT": 4}


@pytest.fixture(scope="module")
def distances(planted: Planted) -> xr.Dataset:
    return measure_distances(planted[0], hierarchy=RANKS)


def test_a_planted_hierarchy_comes_out_within_its_interval(
    planted: Planted, distances: xr.Dataset
) -> None:
    result, responses = planted
    depth = np.array([int(name[-1]) / 4 for name in responses["planted_layer"].values])
    found = spatial_score(result, distances, n_spins=50)
    for kind in ("euclidean", "geodesic", "hierarchy"):
        true = np.corrcoef(depth, distances[kind])[0, 1]
        own = found.sel(distance=kind, rule="best", unit="neuroid")
        assert float(own["lower"]) - 0.02 <= true <= float(own["upper"]) + 0.02
        assert float(own["score"]) == pytest.approx(true, abs=0.05)
    assert (found["score"].sel(distance="hierarchy") > 0.9).all()


def test_regions_give_the_correlation_of_their_means(
    planted: Planted, distances: xr.Dataset
) -> None:
    found = spatial_score(planted[0], distances, units=("roi",), rules=("best",), n_spins=0)
    far = [float(distances["geodesic"][distances["roi"].values == roi].mean()) for roi in RANKS]
    wanted = np.corrcoef(np.arange(5) / 4, far)[0, 1]
    assert float(found["score"].sel(distance="geodesic").item()) == pytest.approx(wanted)
    assert int(found["n_units"].sel(distance="geodesic").item()) == 5


def test_an_order_that_ignores_place_scores_near_what_it_was_planted_at(
    encode: Callable[..., Planted], distances: xr.Dataset
) -> None:
    order = (2, 0, 4, 1, 3)
    result, _ = encode(order)
    found = spatial_score(result, distances, n_spins=0, units=("neuroid",), rules=("best",))
    ranks = distances["hierarchy"].values
    true = np.corrcoef(np.array(order)[ranks.astype(int)], ranks)[0, 1]
    own = found.sel(distance="hierarchy").squeeze()
    assert float(own["score"]) == pytest.approx(true, abs=0.05)
    assert float(own["p_shuffled"]) > 0.05
    assert float(own["p_naive"]) < 0.05


def test_noise_has_no_spatial_score(encode: Callable[..., Planted], distances: xr.Dataset) -> None:
    result, _ = encode(noise=300.0)
    found = spatial_score(result, distances, n_spins=50, rules=("centroid",), units=("neuroid",))
    assert (np.abs(found["score"]) < 0.3).all()
    assert (found["lower"] < 0).all()
    assert (found["upper"] > 0).all()


def test_nulls_lie_about_zero(planted: Planted, distances: xr.Dataset) -> None:
    found = spatial_score(planted[0], distances, n_spins=200, units=("neuroid",))
    spun = found.sel(distance=["euclidean", "geodesic"])
    assert (np.abs(spun["null_mean"]) < 3 * spun["null_sd"] / np.sqrt(200) + 0.1).all()
    assert np.isnan(found["p_spin"].sel(distance="hierarchy")).all()
    assert (found["p_naive"] <= found["p_spin"].fillna(1)).all()


def test_only_kept_neuroids_count(planted: Planted, distances: xr.Dataset) -> None:
    result = planted[0]
    kept = (result["roi"] != "IT").reset_coords(drop=True)
    found = spatial_score(result, distances, kept=kept, n_spins=0)
    assert (found["n_units"].sel(unit="roi") == 4).all()
    assert found.sizes["neuroid"] == 96


def test_the_table_passes_the_schema_and_is_stored(
    planted: Planted, distances: xr.Dataset, tmp_path
) -> None:
    found = spatial_score(planted[0], distances, n_spins=5, n_shuffles=5, n_resamples=20)
    schema.check(found)
    storage.save(found, tmp_path / "spatial.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "spatial.nc"), found)


def test_nulls_can_be_spared(planted: Planted, distances: xr.Dataset) -> None:
    found = spatial_score(planted[0], distances, n_spins=0, n_shuffles=0, n_resamples=10)
    assert np.isnan(found["p_spin"]).all()
    assert np.isnan(found["p_shuffled"]).all()
    assert np.isfinite(found["score"]).all()


def test_faults_are_named(planted: Planted, distances: xr.Dataset) -> None:
    result = planted[0]
    with pytest.raises(ValueError, match="units: expected one of"):
        spatial_score(result, distances, units=("voxel",))
    with pytest.raises(ValueError, match="rules: expected one of"):
        spatial_score(result, distances, rules=("worst",))
    with pytest.raises(AlignError, match="distances: expected the neuroids"):
        spatial_score(result, distances.isel(neuroid=slice(9)))
    with pytest.raises(SchemaError, match="expected coord 'roi'"):
        spatial_score(result.drop_vars("roi"), distances)
    with pytest.raises(SchemaError, match="distances: expected a variable"):
        spatial_score(result, distances[["geodesic_map"]].assign_coords(neuroid=result.neuroid))
    with pytest.raises(SchemaError, match="without 'time'"):
        spatial_score(result.expand_dims(time=[0.0], axis=-1), distances)


def test_few_regions_have_no_interval_and_no_p(planted: Planted, distances: xr.Dataset) -> None:
    result = planted[0]
    kept = result["roi"].isin(["V1", "V2", "IT"]).reset_coords(drop=True)
    found = spatial_score(result, distances, kept=kept, n_spins=5, n_shuffles=5, n_resamples=9)
    few = found.sel(unit="roi")
    assert np.isfinite(few["score"]).all()
    for name in ("lower", "upper", "p_spin", "p_naive", "p_shuffled"):
        assert np.isnan(few[name]).all()
        assert name == "p_spin" or np.isfinite(found[name].sel(unit="neuroid")).all()
    assert found.attrs["n_without_interval"] == few["score"].size
    assert "expected 5 regions or more" in found.attrs["warnings"]


def test_a_threshold_that_none_passes_is_said(planted: Planted, distances: xr.Dataset) -> None:
    found = spatial_score(planted[0], distances, min_score=2.0, n_spins=0, units=("neuroid",))
    assert (found["n_units"] == 0).all()
    assert "min_score: expected neuroids with a score above 2" in found.attrs["warnings"]
