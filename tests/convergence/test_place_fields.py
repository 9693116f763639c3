"""Moments of fields against closed forms."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroalign.convergence import map_places, measure_fields
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays

PLACE = np.arange(120.0)


def as_maps(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, {"place": PLACE}, ("neuroid", "place"))


def successors(discount: float, n: int = 120) -> np.ndarray:
    """M = (I - g T)^-1 of a track that is run upwards; its columns are fields."""
    step = np.eye(n, k=1)
    return np.linalg.inv(np.eye(n) - discount * step)


@pytest.mark.parametrize("discount", [0.3, 0.5, 0.8, 0.9])
def test_successor_fields_have_the_moments_of_the_geometric_series(discount: float) -> None:
    fields = measure_fields(as_maps(successors(discount).T)).isel(neuroid=slice(110, 118))
    behind = fields["peak_place"] - np.arange(110, 118)
    np.testing.assert_array_equal(behind, 0)
    shift = fields["center"] - fields["peak_place"]
    # What the near end cuts off is below 1e-3 even at .9.
    np.testing.assert_allclose(shift, -discount / (1 - discount), rtol=2e-3)
    np.testing.assert_allclose(fields["width"], np.sqrt(discount) / (1 - discount), rtol=5e-3)
    np.testing.assert_allclose(fields["skew"], -(1 + discount) / np.sqrt(discount), rtol=2e-2)


def test_a_bell_is_where_it_is_and_even() -> None:
    bell = np.exp(-((PLACE - np.array([[40.0], [61.3]])) ** 2) / (2 * 5**2))
    fields = measure_fields(as_maps(bell))
    np.testing.assert_allclose(fields["center"], [40, 61.3], atol=1e-6)
    np.testing.assert_allclose(fields["width"], 5, rtol=1e-6)
    np.testing.assert_allclose(fields["skew"], 0, atol=1e-6)
    assert fields["whole"].all()


def test_a_threshold_keeps_the_stretch_around_the_peak() -> None:
    bell = np.exp(-((PLACE - 40) ** 2) / (2 * 5**2))
    far = 0.6 * np.exp(-((PLACE - 100) ** 2) / (2 * 3**2))
    fields = measure_fields(as_maps((bell + far + 0.02)[None]), threshold=0.2)
    assert float(fields["center"][0]) == pytest.approx(40, abs=1e-6)
    assert float(measure_fields(as_maps((bell + far)[None]))["center"][0]) > 50


@settings(max_examples=20, deadline=None)
@given(shift=st.integers(-20, 20), gain=st.floats(0.1, 50))
def test_moments_move_with_the_field_and_not_with_its_height(shift: int, gain: float) -> None:
    field = np.where((PLACE <= 60) & (PLACE > 30), 0.6 ** (60 - PLACE), 0.0)
    one = measure_fields(as_maps(field[None]))
    other = measure_fields(as_maps(gain * np.roll(field, shift)[None]))
    assert float(other["center"][0] - one["center"][0]) == pytest.approx(shift, abs=1e-6)
    for name in ("width", "skew"):
        assert float(other[name][0]) == pytest.approx(float(one[name][0]), rel=1e-6)


def test_mirrored_fields_have_mirrored_skews() -> None:
    field = np.where(PLACE <= 60, 0.6 ** (60 - PLACE), 0.0)
    skews = measure_fields(as_maps(np.stack([field, field[::-1]])))["skew"].values
    assert skews[0] == pytest.approx(-skews[1])


def test_silent_units_have_no_field_and_cut_ones_are_not_whole() -> None:
    maps = np.stack([np.zeros(120), PLACE == 0, PLACE == 60]).astype(float)
    fields = measure_fields(as_maps(maps))
    assert np.isnan(fields["center"][0])
    assert fields["whole"].values.tolist() == [False, False, True]
    assert np.isnan(fields["skew"][2])


def test_units_below_zero_need_their_minimum_as_baseline() -> None:
    bell = as_maps(np.exp(-((PLACE - 40) ** 2) / 50)[None])
    with pytest.raises(SchemaError, match="Use baseline='minimum'"):
        measure_fields(bell - 3)
    moved = measure_fields(bell - 3, baseline="minimum")
    np.testing.assert_allclose(moved["center"], 40, atol=1e-3)


def test_maps_of_directions_are_measured_one_by_one() -> None:
    where = np.tile(PLACE, 4)
    values = np.exp(-((where - 30) ** 2) / 50)[:, None]
    data = from_arrays(
        values, stimulus=["lap"] * 480, modality="model",
        sample_coords={"going": np.repeat(["up", "down"], 240)},
    )  # fmt: skip
    found = measure_fields(map_places(data, where, bins=np.arange(121) - 0.5, by="going"))
    assert found["center"].dims == ("going", "neuroid")
    np.testing.assert_allclose(found["center"], 30, atol=1e-3)


def test_arguments_are_checked() -> None:
    with pytest.raises(SchemaError, match="expected maps with last dims"):
        measure_fields(xr.DataArray(np.ones((2, 3)), dims=("a", "b")))
    with pytest.raises(SchemaError, match="expected coord 'place'"):
        measure_fields(xr.DataArray(np.ones((2, 3)), dims=("neuroid", "place")))
    with pytest.raises(ValueError, match="threshold: expected a share"):
        measure_fields(as_maps(np.ones((1, 120))), threshold=1.0)
    with pytest.raises(ValueError, match="baseline: expected one of 'zero', 'minimum'"):
        measure_fields(as_maps(np.ones((1, 120))), baseline="mean")
