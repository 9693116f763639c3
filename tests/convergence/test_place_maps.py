"""Maps of places against brute force, against a peer, and on a recorded place cell."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pynapple
import pytest
import scipy.io
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import map_places
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays


def walk(n: int = 3000, seed: int = 0) -> tuple[xr.DataArray, Any]:
    """Three cells on a track of 1 m, run up and down, sampled at 50 Hz."""
    rng = np.random.default_rng(seed)
    where = 0.5 + 0.5 * np.sin(np.arange(n) / 60)
    rates = 20 * np.exp(-((where[:, None] - [0.2, 0.5, 0.8]) ** 2) / 0.02)
    counts = rng.poisson(rates / 50)
    run = np.repeat(["run-01", "run-02"], n // 2)
    going = np.where(np.gradient(where) > 0, "up", "down")
    data = from_arrays(
        counts, run=run, onset=np.arange(n) / 50, modality="spikes", sampling_rate=50.0,
        sample_coords={"going": going},
    )  # fmt: skip
    return data, where


def test_maps_are_the_means_of_samples_at_each_place() -> None:
    data, where = walk()
    found = map_places(data, where, bins=np.linspace(0, 1, 9), by="going")
    table = pd.DataFrame({"place": np.minimum((where * 8).astype(int), 7)})
    table["going"], table["value"] = data["going"].values, data.values[:, 1].astype(float)
    wanted = table.groupby(["going", "place"])["value"].agg(["mean", "size"]).unstack()
    np.testing.assert_allclose(found["map"].values[:, 1], wanted["mean"].values, rtol=1e-12)
    np.testing.assert_array_equal(found["n_samples"].values, wanted["size"].values)
    assert found["going"].values.tolist() == ["down", "up"]


def test_rates_and_information_are_those_of_pynapple() -> None:
    data, where = walk()
    time = np.arange(len(where)) / 50
    frame = pynapple.TsdFrame(t=time, d=data.values.astype(float))
    tracked = pynapple.Tsd(t=time, d=where)
    theirs = pynapple.compute_tuning_curves(frame, tracked, bins=10, range=[(0, 1)])
    ours = map_places(data, where, bins=np.linspace(0, 1, 11))
    np.testing.assert_allclose(ours["map"], theirs.values, rtol=1e-9)
    mean = data.values.mean(axis=0).astype(float)
    bits = pynapple.compute_mutual_information(theirs, mean)["bits/spike"].to_numpy()
    np.testing.assert_allclose(ours["information"], bits, rtol=1e-6)


def test_seconds_come_from_durations_or_the_sampling_rate() -> None:
    data, where = walk()
    mean = map_places(data, where, bins=8)["map"]
    np.testing.assert_allclose(map_places(data, where, bins=8, per="second")["map"], 50 * mean)
    timed = data.assign_coords(duration=("sample", np.full(len(where), 0.1)))
    np.testing.assert_allclose(map_places(timed, where, bins=8, per="second")["map"], 10 * mean)
    bare = data.drop_attrs().assign_attrs(modality="spikes")
    with pytest.raises(SchemaError, match="expected coord 'duration' or attrs"):
        map_places(bare, where, per="second")


def test_smoothing_keeps_a_constant_and_spreads_a_point() -> None:
    where = np.repeat(np.arange(20) + 0.5, 5)
    values = np.stack([np.full(100, 3.0), (where == 10.5) * 1.0], axis=1)
    data = from_arrays(values, stimulus=["lap"] * 100, modality="model")
    found = map_places(data, where, bins=np.arange(21), width=1.5)["map"].values
    np.testing.assert_allclose(found[0], 3.0)
    spread = np.arange(20) - 10
    deviation = np.sqrt((found[1] / found[1].sum()) @ spread**2)
    assert deviation == pytest.approx(1.5, abs=0.03)


def test_samples_without_a_place_and_places_rarely_seen_are_left_out() -> None:
    data, where = walk(200)
    lost = where.copy()
    lost[:50] = np.nan
    found = map_places(data, lost, bins=np.linspace(0, 1, 5))
    kept = map_places(data[50:], where[50:], bins=np.linspace(0, 1, 5))
    xr.testing.assert_equal(found["map"], kept["map"])
    rare = map_places(data, where, bins=np.linspace(0, 2, 5), min_samples=2)["map"]
    assert np.isnan(rare[:, 2:]).all()
    assert np.isfinite(rare[:, :2]).all()


def test_place_cells_pass_the_null_of_shifted_responses_and_others_do_not() -> None:
    data, where = walk()
    assert (map_places(data, where, n_shuffles=60)["p_value"] < 0.02).all()
    noise = np.random.default_rng(1).poisson(0.3, size=(3000, 200))
    other = from_arrays(noise, stimulus=["lap"] * 3000, modality="spikes")
    found = map_places(other, where, n_shuffles=99)
    assert 0.01 <= float((found["p_value"] <= 0.05).mean()) <= 0.1
    assert float(abs((found["information"] / found["information_null"]).mean() - 1)) < 0.1


def test_units_below_zero_have_maps_but_no_information() -> None:
    data, where = walk(400)
    found = map_places(data - 1, where, bins=8)
    assert np.isnan(found["information"]).all()
    assert np.isfinite(found["map"]).all()


def test_the_recorded_place_cell_has_its_published_numbers(real_data: Path) -> None:
    file = scipy.io.loadmat(real_data / "place_cell_kramer_eden" / "spikes-1.mat")
    time, where, spikes = (file[name].ravel() for name in ("t", "X", "spiketimes"))
    counts = np.bincount(np.searchsorted(time, spikes).clip(max=len(time) - 1), minlength=len(time))
    going = np.where(np.gradient(where) > 0, "up", "down")
    data = from_arrays(
        counts[:, None], run=["run-01"] * len(time), onset=time, modality="spikes",
        sampling_rate=1000.0, sample_coords={"going": going},
    )  # fmt: skip
    both = map_places(data, where, bins=np.arange(0, 101, 10), per="second", n_shuffles=40)
    assert float(both["map"].max()) == pytest.approx(14.4, abs=0.05)
    assert float(both["place"][both["map"].values.argmax()]) == 65
    assert float(both["information"][0]) == pytest.approx(2.46, abs=0.005)
    assert float(both["p_value"][0]) < 0.05
    split = map_places(data, where, bins=np.arange(0, 101, 10), by="going")
    fired = (split["map"].isel(neuroid=0).fillna(0) * split["n_samples"]).sum("place")
    assert float(fired.sel(going="up") / fired.sum()) == pytest.approx(0.96, abs=0.01)


def test_maps_are_stored_and_pass_the_schema(tmp_path: Path) -> None:
    data, where = walk(400)
    found = schema.check(map_places(data, where, by="going", n_shuffles=3))
    assert "median information" in found.attrs["verdict"]
    storage.save(found, tmp_path / "maps.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "maps.nc"), found)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"position": "where"}, SchemaError, "position: expected a coord on 'sample', got 'where'"),
        ({"position": np.zeros(3)}, SchemaError, "expected 100 values, one a sample"),
        ({"position": np.full(100, np.nan)}, SchemaError, "position: expected numbers, got NaN"),
        ({"bins": [0, 1]}, ValueError, "bins: expected two or more, between rising edges"),
        ({"bins": [0, 2, 1]}, ValueError, "bins: expected two or more"),
        ({"per": "hour"}, ValueError, "per: expected one of 'sample', 'second'"),
        ({"width": -1.0}, ValueError, "expected 0 or more, 1 or more"),
        ({"by": "colour"}, SchemaError, "by: expected a coord on 'sample', got 'colour'"),
        ({"bins": [0, 0.2, 1], "width": 0.1}, ValueError, "width: expected 0 with bins of unequal"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], error: Any, match: str) -> None:
    data, where = walk(100)
    with pytest.raises(error, match=match):
        map_places(data, **({"position": where} | options))


def test_responses_must_be_flat_and_finite() -> None:
    data, where = walk(100)
    with pytest.raises(SchemaError, match="Make each time a sample"):
        map_places(data.expand_dims("time", -1), where)
    with pytest.raises(ValueError, match="expected finite numbers"):
        map_places(data.where(data > 0), where)


def test_smoothing_wider_than_the_track_is_refused_and_maps_without_samples_are_said() -> None:
    data, where = walk(200)
    with pytest.raises(ValueError, match="width: expected less than the track, .*, got 50"):
        map_places(data, where, width=50.0)
    found = map_places(data, where, min_samples=10**6)
    assert np.isnan(found["map"]).all()
    assert "min_samples: expected a place with 1000000 samples or more" in found.attrs["warnings"]
