"""Slices put each voxel where it belongs, and say where left is."""

import nibabel
import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.volume import UNKNOWN, describe_slices, find_orientation

RAS = np.diag([3.0, 3.0, 4.0, 1.0])
LAS = np.diag([-3.0, 3.0, 4.0, 1.0])
# Slices stored from front to back, each from right to left and top to bottom, a little askew.
CORONAL = np.array([[-3.0, 0.1, 0, 30], [0, 0.2, -4, 50], [0.1, -3.0, 0, 60], [0, 0, 0, 1]])


def on_grid(shape: tuple[int, int, int], affine: np.ndarray | None = None) -> xr.DataArray:
    """Values that are the place in mm to the right, where there is an affine."""
    index = np.argwhere(np.ones(shape))
    coords = {name: ("neuroid", index[:, n]) for n, name in enumerate("ijk")}
    if affine is None:
        return xr.DataArray(index @ [1.0, 10.0, 100.0], coords, ("neuroid",))
    places = np.c_[index, np.ones(len(index))] @ affine.T
    attrs = {"affine": affine.ravel().tolist(), "grid_shape": list(shape)}
    return xr.DataArray(places[:, 0], coords, ("neuroid",), attrs=attrs)


def with_places(values: xr.DataArray) -> xr.DataArray:
    """The same with coords x, y, z in place of the affine."""
    affine = np.reshape(values.attrs["affine"], (4, 4))
    index = np.stack([values[name].values for name in "ijk"] + [np.ones(values.size)], axis=1)
    found = {name: ("neuroid", (index @ affine.T)[:, n]) for n, name in enumerate("xyz")}
    bare = values.assign_coords(found)
    bare.attrs = {"grid_shape": values.attrs["grid_shape"]}
    return bare


@pytest.mark.parametrize("affine", [RAS, LAS, CORONAL], ids=["RAS", "LAS", "coronal"])
@pytest.mark.parametrize("told", ["affine", "places"])
def test_left_is_left_and_slices_rise_whatever_the_order_of_voxels(
    affine: np.ndarray, told: str
) -> None:
    values = on_grid((4, 5, 3), affine)
    figure = report.plot_volume(values if told == "affine" else with_places(values))
    *panels, _ = figure.axes
    for axes in panels:
        shown = axes.images[1].get_array() if len(axes.images) > 1 else None
        assert shown is None or (np.diff(np.asarray(shown), axis=1) > 0).all()
    heights = [float(one.get_title().split()[2]) for one in panels if one.get_title()]
    assert heights == sorted(heights)
    assert all(one.get_title().endswith(" mm") for one in panels if one.get_title())
    sides = {text.get_text(): text.get_position()[0] for text in panels[0].texts}
    assert sides["L"] < sides["R"]


@pytest.mark.parametrize("affine", [RAS, LAS, CORONAL], ids=["RAS", "LAS", "coronal"])
def test_turned_slices_are_those_of_nibabel(affine: np.ndarray) -> None:
    values = on_grid((4, 5, 3), affine)
    numbers = np.arange(values.size, dtype=float)
    image = nibabel.Nifti1Image(numbers.reshape(4, 5, 3), affine)
    turned = nibabel.as_closest_canonical(image)
    figure = report.plot_volume(values.copy(data=numbers))
    shown = [np.asarray(one.images[1].get_array()).T for one in figure.axes[:-1] if one.images]
    np.testing.assert_array_equal(np.stack(shown, axis=2), turned.get_fdata())
    first = float(figure.axes[0].get_title().split()[2])
    middle = (turned.affine @ [*(np.array(turned.shape[:2]) - 1) / 2, 0, 1])[2]
    assert first == pytest.approx(middle, abs=0.06)


def test_a_single_slice_is_placed_by_the_affine() -> None:
    values = on_grid((6, 4, 1), LAS)
    (axes, _) = report.plot_volume(values).axes
    assert axes.get_title() == "z = 0 mm"
    assert find_orientation(with_places(values)) is None


def test_without_places_slices_say_that_they_know_no_side() -> None:
    figure = report.plot_volume(on_grid((3, 4, 2)))
    assert figure.get_supxlabel() == UNKNOWN
    assert not any(axes.texts for axes in figure.axes)
    assert "left and right cannot be told" in describe_slices(on_grid((3, 4, 2)))
    assert "Left of the brain is on the left" in describe_slices(on_grid((3, 4, 2), RAS))


@pytest.mark.parametrize("affine", [[0.0] * 16, [np.nan] * 16, [1.0, 2.0]])
def test_an_affine_that_places_nothing_is_not_believed(affine: list[float]) -> None:
    assert find_orientation(on_grid((2, 2, 2)).assign_attrs(affine=affine)) is None


def test_places_that_are_on_no_grid_are_not_believed(rng: np.random.Generator) -> None:
    values = with_places(on_grid((3, 3, 3), RAS))
    strange = values.assign_coords(x=("neuroid", rng.normal(0, 40, values.size)))
    assert find_orientation(strange) is None


def test_volume_slices_hold_the_values() -> None:
    i, j, k = np.indices((3, 4, 2)).reshape(3, -1)
    coords = {name: ("neuroid", index + 1) for name, index in zip("ijk", (i, j, k), strict=True)}
    values = xr.DataArray(i + 10.0 * j + 100 * k, dims="neuroid", coords=coords)
    axes = report.plot_volume(values).axes
    assert [one.get_title() for one in axes[:2]] == ["k = 1", "k = 2"]
    shown = np.asarray(axes[1].images[1].get_array())
    np.testing.assert_array_equal(shown, (i + 10.0 * j + 100 * k).reshape(3, 4, 2)[:, :, 1].T)


def test_volume_messages() -> None:
    coords = {name: ("neuroid", [5]) for name in "ijk"}
    values = xr.DataArray([1.0], dims="neuroid", coords=coords, attrs={"grid_shape": [2, 2, 2]})
    with pytest.raises(SchemaError, match="expected voxels inside grid_shape"):
        report.plot_volume(values)
    with pytest.raises(SchemaError, match="expected coord 'k'"):
        report.plot_volume(values.drop_vars("k"))
    with pytest.raises(SchemaError, match="expected finite values, got none"):
        report.plot_volume(values * np.nan)
    with pytest.raises(SchemaError, match=r"expected dims \('neuroid',\)"):
        report.plot_volume(values.expand_dims("fold"))


def test_signs_differ_in_hue_where_limits_say_that_values_are_signed() -> None:
    places = {key: ("neuroid", [0, 1]) for key in "ijk"}
    values = xr.DataArray([-1.0, 1.0], dims="neuroid", coords=places)
    made = [report.plot_volume(values, limits=limits) for limits in [(-1, 1), (0, 1)]]
    drawn = [figure.axes[0].images[1] for figure in made]
    np.testing.assert_allclose(drawn[0].cmap(0.5)[:3], 0.96, atol=0.02)
    assert drawn[1].cmap.name != drawn[0].cmap.name
