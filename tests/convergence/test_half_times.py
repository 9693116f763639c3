"""Half-times and their order."""

import itertools

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import compare_order, find_half_times, measure_distances
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import load_cortical_maps

STEPS = np.arange(0, 41.0)
TRUE = {"V1": 3.0, "V2": 6.0, "V4": 9.0, "LO": 14.0, "IT": 20.0}
Planted = tuple[xr.Dataset, xr.DataArray]


def make(noise: float = 0.02, n: int = 25, n_folds: int = 4, seed: int = 0) -> xr.DataArray:
    """Scores that rise along a straight line to twice their half-time, then stay."""
    rng = np.random.default_rng(seed)
    courses = [0.3 * np.minimum(STEPS / (2 * half), 1) for half in TRUE.values()]
    values = np.repeat(courses, n, axis=0).T[:, None] + noise * rng.normal(
        size=(len(STEPS), n_folds, 5 * n)
    )
    return xr.DataArray(
        values,
        dims=("step", "fold", "neuroid"),
        coords={"step": STEPS, "roi": ("neuroid", np.repeat(list(TRUE), n))},
    )


def test_half_times_by_hand() -> None:
    scores = xr.DataArray(
        [[0.1, 0.3, 0.0], [0.2, 0.3, -0.1], [0.6, 0.4, -0.2]],
        dims=("step", "neuroid"),
        coords={"step": [0, 10, 20], "neuroid": ["a", "b", "c"]},
    )
    found = find_half_times(scores, by="neuroid")["half_time"].values
    np.testing.assert_allclose(found, [12.5, 0.0, np.nan])
    risen = find_half_times(scores, by="neuroid", baseline="first")["half_time"].values
    np.testing.assert_allclose(risen, [10 + 10 * (0.35 - 0.2) / 0.4, 15.0, np.nan])


@pytest.mark.parametrize("over", ["neuroid", "fold", "both"])
def test_planted_half_times_come_back_in_order_within_their_intervals(over: str) -> None:
    found = find_half_times(make(), over=over)
    true = np.array(list(TRUE.values()))
    np.testing.assert_array_equal(found["roi"], list(TRUE))
    np.testing.assert_allclose(found["half_time"], true, atol=0.6)
    assert (np.diff(found["half_time"]) > 0).all()
    assert ((found["lower"] - 0.3 <= true) & (true <= found["upper"] + 0.3)).all()
    np.testing.assert_allclose(found["relative"], found["half_time"] / 40)


def test_intervals_cover_the_planted_half_time() -> None:
    inside = []
    for seed in range(40):
        found = find_half_times(make(0.1, seed=seed), n_resamples=200).sel(roi="LO")
        inside.append(float(found["lower"]) <= 14.0 <= float(found["upper"]))
    # Early noise reaches half too soon at times, hence below the nominal 38.
    assert sum(inside) >= 32


def test_scores_that_never_rise_have_no_half_time() -> None:
    flat = xr.DataArray(np.zeros((3, 4)), dims=("step", "neuroid"), coords={"step": [0, 1, 2]})
    found = find_half_times(flat, by=None)
    assert np.isnan(found["half_time"]).all()
    assert found.attrs["n_undefined"] == 1


def test_a_neuroid_without_a_score_is_left_out_and_counted() -> None:
    scores = make(n=3)
    clean = find_half_times(scores.isel(neuroid=[1, 2, *range(3, 15)]), n_resamples=0)
    scores[5, 0, 0] = np.nan
    scores[:, :, 3:6] = np.nan
    found = find_half_times(scores, n_resamples=0)
    assert found.attrs["n_left_out"] == 4
    kept = found["half_time"].sel(roi=["V1", "V4", "LO", "IT"])
    np.testing.assert_allclose(kept, clean["half_time"].sel(roi=kept["roi"]))
    assert np.isnan(found["half_time"].sel(roi="V2"))
    np.testing.assert_array_equal(found["n_neuroids"], [2, 0, 3, 3, 3])


def test_orders_of_regions_are_permuted_among_those_known() -> None:
    times = xr.DataArray([1.0, np.nan, 2.0, 3.0, 4.0], dims="roi", coords={"roi": list(TRUE)})
    maps = xr.Dataset({"rank": ("roi", np.arange(5.0))}, {"roi": list(TRUE)})
    found = compare_order(times, maps, n_shuffles=4000).squeeze()
    # 1, 2, 3, 4 against 0, 2, 3, 4: two of 24 orders, this one and its mirror, reach |r|.
    r = np.corrcoef([1, 2, 3, 4], [0, 2, 3, 4])[0, 1]
    reached = [
        abs(np.corrcoef(order, [0, 2, 3, 4])[0, 1]) >= r - 1e-9
        for order in itertools.permutations([1, 2, 3, 4])
    ]
    assert float(found["p_shuffled"]) == pytest.approx(np.mean(reached), abs=0.02)
    assert int(found["n_regions"]) == 4


def test_the_order_is_held_against_maps_and_latencies(planted: Planted) -> None:
    result, _ = planted
    times = find_half_times(make())["half_time"]
    latency = xr.DataArray([0.07, 0.09, 0.1, 0.13, 0.17], dims="roi", coords={"roi": list(TRUE)})
    maps = load_cortical_maps(("thickness", "sulcal_depth"))
    found = compare_order(times, maps, result, n_spins=30)
    assert np.isfinite(found["p_spin"]).all()
    meg = compare_order(times, xr.Dataset({"meg": latency})).squeeze()
    assert float(meg["score"]) == pytest.approx(np.corrcoef(times, latency)[0, 1])
    assert float(meg["spearman"]) == pytest.approx(1)
    assert np.isnan(float(meg["p_spin"]))
    assert float(meg["p_shuffled"]) < 0.06


def test_maps_are_averaged_over_the_vertices_of_regions(planted: Planted) -> None:
    result, _ = planted
    maps = load_cortical_maps(("thickness",))
    times = xr.DataArray([1.0, 2.0, 5.0], dims="roi", coords={"roi": ["V1", "V4", "IT"]})
    found = compare_order(times, maps, result, n_spins=0, n_shuffles=0)
    places = result["vertex"].values + 10242 * (result["hemisphere"].values == "R")
    own = maps["thickness"].values[places]
    means = [np.nanmean(own[result["roi"].values == roi]) for roi in times["roi"].values]
    assert float(found["score"].item()) == pytest.approx(np.corrcoef(times, means)[0, 1])


def test_distances_order_half_times_as_planted(planted: Planted) -> None:
    result, _ = planted
    far = measure_distances(result)
    by_roi = far["geodesic"].groupby("roi").mean()
    times = find_half_times(make())["half_time"]
    found = compare_order(times, xr.Dataset({"geodesic": by_roi}))
    assert float(found["score"].item()) > 0.8


def test_results_pass_the_schema_and_are_stored(tmp_path) -> None:
    found = find_half_times(make(n=4), n_resamples=20)
    schema.check(found)
    storage.save(found, tmp_path / "times.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "times.nc"), found)


def test_faults_are_named() -> None:
    scores = make(n=2)
    with pytest.raises(ValueError, match="over: expected one of"):
        find_half_times(scores, over="subject")
    with pytest.raises(ValueError, match="baseline: expected one of"):
        find_half_times(scores, baseline="last")
    with pytest.raises(SchemaError, match="scores: expected dims"):
        find_half_times(scores.rename(fold="layer"))
    with pytest.raises(SchemaError, match="two rising steps"):
        find_half_times(scores[::-1])
    with pytest.raises(SchemaError, match="expected coord 'area' on 'neuroid'"):
        find_half_times(scores, by="area")
    times = find_half_times(scores)["half_time"]
    with pytest.raises(SchemaError, match="half_times: expected dims"):
        compare_order(times.rename(roi="area"), xr.Dataset())
    with pytest.raises(SchemaError, match="neuroids: expected an array"):
        compare_order(times, load_cortical_maps(("area",)))
    with pytest.raises(AlignError, match="expected the regions of half_times"):
        compare_order(times, xr.Dataset({"meg": times[:2]}))


def test_a_course_that_begins_above_half_is_named() -> None:
    scores = xr.DataArray(
        [[0.3, 0.0], [0.35, 0.2], [0.4, 0.4]],
        dims=("step", "neuroid"), coords={"step": [0, 10, 20], "roi": ("neuroid", ["V1", "IT"])},
    )  # fmt: skip
    found = find_half_times(scores, n_resamples=0)
    assert "got 1 of 2 above it at step 0 ('V1')" in found.attrs["warnings"]
    assert "baseline='first'" in found.attrs["warnings"]
    assert "warnings" not in find_half_times(scores, baseline="first", n_resamples=0).attrs


def test_few_regions_and_equal_half_times_are_said_to_have_no_order() -> None:
    maps = xr.Dataset({"rank": ("roi", np.arange(5.0))}, {"roi": list(TRUE)})
    times = xr.DataArray([1.0, np.nan, 2.0, 3.0, np.nan], dims="roi", coords={"roi": list(TRUE)})
    few = compare_order(times, maps)
    assert np.isnan([few["p_shuffled"].item(), few["p_naive"].item()]).all()
    assert "expected 4 regions or more with a half-time, got 3" in few.attrs["warnings"]
    assert np.isnan(compare_order(times[:3], maps)["score"].item())
    equal = compare_order(xr.ones_like(times), maps)
    assert "rank not defined over 5 regions" in equal.attrs["verdict"]
    assert "got the same in all 5" in equal.attrs["warnings"]


def test_regions_without_a_place_or_a_value_are_named(planted: Planted) -> None:
    result, _ = planted
    times = xr.DataArray([1.0, 2.0, 5.0, 6.0], dims="region", coords={"region": list(TRUE)[:4]})
    maps = xr.Dataset({"rank": ("roi", [0.0, 1.0, np.nan, 3.0])}, {"roi": list(TRUE)[:4]})
    assert "got none for 1 of 4 ('V4')" in compare_order(times, maps).attrs["warnings"]
    wrong = times.assign_coords(region=["V1", "V2", "V4", "Area 51"])
    with pytest.raises(
        AlignError, match="half_times: expected regions that neuroids have, got 'Ar"
    ):
        compare_order(wrong, load_cortical_maps(("thickness",)), result)
