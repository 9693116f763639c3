"""Fields that learn to predict move back and trail; fields that learn nothing do neither."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import compare_fields, map_places
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays

N = 150


def as_maps(values: Any) -> xr.DataArray:
    coords = {"place": np.arange(N, dtype=float), "neuroid": [f"u{i}" for i in range(len(values))]}
    return xr.DataArray(values, coords, ("neuroid", "place"))


def successors(discount: float, *, down: bool = False) -> xr.DataArray:
    """Fields of all states of a track, after learning to run one way."""
    step = np.eye(N, k=-1 if down else 1)
    return as_maps(np.linalg.inv(np.eye(N) - discount * step).T)


def bells(centers: Any, width: float = 4.0) -> xr.DataArray:
    place = np.arange(N, dtype=float)
    return as_maps(np.exp(-((place - np.asarray(centers)[:, None]) ** 2) / (2 * width**2)))


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("discount", [0.5, 0.8])
def test_learning_to_predict_shifts_fields_as_the_series_says(discount: float, down: bool) -> None:
    learnt = successors(discount, down=down)
    inner = slice(5, 100) if down else slice(50, 145)
    found = compare_fields(
        as_maps(np.eye(N))[inner], learnt[inner], direction=-1 if down else 1, threshold=0.0,
        n_resamples=50, n_permutations=500,
    )  # fmt: skip
    value = found["value"]
    assert float(value.sel(statistic="shift")) == pytest.approx(
        -discount / (1 - discount), rel=1e-3
    )
    skew = -(1 + discount) / np.sqrt(discount)
    assert float(value.sel(statistic="skew_after")) == pytest.approx(skew, rel=1e-2)
    # A field of one place has no width, thus no skew.
    assert np.isnan(value.sel(statistic="skew_before"))
    assert float(found["p_value"].sel(statistic="shift")) < 0.01
    assert "as those of a successor representation" in found.attrs["verdict"]


def test_a_longer_horizon_shifts_and_widens_more() -> None:
    found = compare_fields(
        successors(0.5)[60:140], successors(0.8)[60:140], threshold=0.0, n_resamples=50
    )
    value = found["value"].values
    assert value[0] == pytest.approx(-3.0, rel=1e-3)
    assert value[4] == pytest.approx(np.sqrt(0.8) / 0.2 - np.sqrt(0.5) / 0.5, rel=1e-3)


def test_an_even_shift_back_has_no_tail() -> None:
    centers = np.linspace(30, 120, 40)
    found = compare_fields(bells(centers), bells(centers - 2.5), n_resamples=100)
    shift = found.sel(statistic="shift")
    assert float(shift["value"]) == pytest.approx(-2.5, abs=0.01)
    assert float(found["value"].sel(statistic="skew_after")) == pytest.approx(0, abs=0.02)


def jitter(seed: int) -> xr.Dataset:
    """Thirty fields, each seen twice with noise of the same kind."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(30, 120, size=30)
    one, other = (bells(centers + rng.normal(size=30)) for _ in range(2))
    noisy = [maps + 0.02 * rng.random(maps.shape) for maps in (one, other)]
    return compare_fields(*noisy, threshold=0.3, n_permutations=199, n_resamples=2, seed=seed)


@pytest.mark.slow
def test_fields_that_learnt_nothing_are_called_so_at_the_level_of_the_test() -> None:
    p_values = np.array([jitter(seed)["p_value"].values for seed in range(200)])
    rates = (p_values <= 0.05).mean(axis=0)
    # Two standard errors of a rate of .05 over 200 draws are .03.
    assert (rates <= 0.09).all()
    assert (rates >= 0.01).all()


def test_directions_are_joined_along_the_run() -> None:
    up, down = successors(0.7)[60:90], successors(0.7, down=True)[60:90]
    both = xr.concat([down, up], "going", join="override").assign_coords(going=["down", "up"])
    start = as_maps(np.eye(N))[60:90]
    before = xr.concat([start, start], "going").assign_coords(going=["down", "up"])
    found = compare_fields(
        before, both, direction={"up": 1, "down": -1}, threshold=0.0, n_resamples=20
    )
    np.testing.assert_allclose(found["field"].sel(statistic="shift"), -0.7 / 0.3, rtol=1e-3)
    assert found.attrs["n_fields"] == 60
    assert found.attrs["n_groups"] == 30
    with pytest.raises(SchemaError, match="direction: expected a mapping of 'down', 'up'"):
        compare_fields(before, both)


def test_units_of_an_animal_count_as_one() -> None:
    rng = np.random.default_rng(0)
    centers = np.linspace(30, 120, 40)
    own = np.repeat(rng.normal(size=4), 10)
    animal = ("neuroid", np.repeat(list("abcd"), 10))
    maps = [bells(one).assign_coords(animal=animal) for one in (centers, centers + own)]
    alone = compare_fields(*maps, n_resamples=100)
    together = compare_fields(*maps, group="animal", n_resamples=100)
    assert together.attrs["n_groups"] == 4
    # Sixteen ways to turn the signs of four animals.
    assert float(together["p_value"].min()) > 0.05
    width = [float((one["upper"] - one["lower"])[0]) for one in (alone, together)]
    assert width[1] > width[0]


def test_a_network_and_its_laps_go_all_the_way() -> None:
    where = np.tile(np.arange(N, dtype=float), 5)
    units = successors(0.8).values[60:140, where.astype(int)].T
    raw = np.eye(N)[60:140][:, where.astype(int)].T
    maps = [
        map_places(
            from_arrays(values, stimulus=["lap"] * len(where), modality="model"),
            where, bins=np.arange(N + 1) - 0.5,
        )
        for values in (raw, units)
    ]  # fmt: skip
    found = compare_fields(*maps, threshold=0.0, n_resamples=20)
    assert float(found["value"].sel(statistic="shift")) == pytest.approx(-4, rel=1e-3)


def test_the_result_is_stored_and_passes_the_schema(tmp_path: Path) -> None:
    found = schema.check(jitter(1))
    storage.save(found, tmp_path / "fields.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "fields.nc"), found)


def test_arguments_are_checked() -> None:
    maps = bells([40.0, 60.0, 80.0])
    with pytest.raises(AlignError, match="expected maps of the same dims and places"):
        compare_fields(maps, maps[:, :100])
    with pytest.raises(AlignError, match="the same 'neuroid' in both"):
        compare_fields(maps, maps.assign_coords(neuroid=["x", "y", "z"]))
    with pytest.raises(ValueError, match="direction: expected 1 or -1, got 3"):
        compare_fields(maps, maps, direction=3)
    with pytest.raises(SchemaError, match="got a mapping"):
        compare_fields(maps, maps, direction={"up": 1})
    with pytest.raises(SchemaError, match="group: expected a coord on 'neuroid', got 'animal'"):
        compare_fields(maps, maps, group="animal")
    with pytest.raises(SchemaError, match="expected fields of two or more units, got 0"):
        compare_fields(maps * 0, maps * 0)
