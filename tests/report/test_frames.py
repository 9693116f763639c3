"""Frames are drawn at the times asked for, on one scale, at the right places."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.frames import project_sensors

TIME = np.linspace(0, 0.5, 11)


def on_sphere(n: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.normal(size=(n, 3))
    points[:, 2] = abs(points[:, 2])
    return 90 * points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.fixture
def sensors(rng: np.random.Generator) -> xr.DataArray:
    places = {
        name: ("neuroid", column) for name, column in zip("xyz", on_sphere(20, rng).T, strict=True)
    }
    values = np.outer(np.linspace(-1, 1, 20), TIME)
    coords = {"neuroid": [f"M{n}" for n in range(20)], "time": TIME, **places}
    return xr.DataArray(values, dims=("neuroid", "time"), coords=coords)


def test_sensors_lie_at_their_angle_from_the_crown(rng: np.random.Generator) -> None:
    points = on_sphere(30, rng)
    points[0], points[1] = [0, 0, 90], [90, 0, 0]
    flat = project_sensors(points + np.array([3.0, -8.0, 40.0]))
    np.testing.assert_allclose(flat[:2], [[0, 0], [1, 0]], atol=1e-7)
    angle = np.arccos(points[:, 2] / 90) / (np.pi / 2)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), angle, atol=1e-6)
    turned = np.arctan2(points[1:, 1], points[1:, 0])
    np.testing.assert_allclose(np.arctan2(flat[1:, 1], flat[1:, 0]), turned, atol=1e-6)


def test_frames_of_sensors_hold_the_nearest_times(sensors: xr.DataArray) -> None:
    figure = report.plot_frames(sensors, times=[0.11, 0.5])
    assert [axes.get_title() for axes in figure.axes[:2]] == ["0.1 s", "0.5 s"]
    drawn = [axes.collections[-1] for axes in figure.axes[:2]]
    np.testing.assert_allclose(drawn[0].get_array(), sensors.sel(time=0.1, method="nearest"))
    assert drawn[0].get_clim() == drawn[1].get_clim() == (-0.5, 0.5)


def test_six_frames_are_spread_when_none_are_asked_for(sensors: xr.DataArray) -> None:
    axes = report.plot_frames(sensors.transpose("time", "neuroid")).axes
    assert [one.get_title() for one in axes[:6]] == [
        "0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s", "0.5 s",
    ]  # fmt: skip


def test_cortex_has_both_hemispheres_in_each_frame(rng: np.random.Generator) -> None:
    coords = {
        "neuroid": [f"v{n}" for n in range(10)],
        "hemisphere": ("neuroid", ["L", "R"] * 5),
        "vertex": ("neuroid", np.arange(10) * 500),
        "time": TIME[:3],
    }
    values = xr.DataArray(rng.normal(size=(10, 3)), coords, ("neuroid", "time"))
    figure = report.plot_frames(values, times=[0.05], view="medial", label="r")
    left, right, bar = figure.axes
    assert [axes.texts[0].get_text() for axes in (left, right)] == ["left medial", "right medial"]
    assert left.get_title() == "0.05 s"
    assert bar.get_ylabel() == "r"
    assert len(left.collections[0].get_paths()) > 5000


def test_messages_name_what_is_wrong(sensors: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match=r"values: expected dims \('neuroid', 'time'\)"):
        report.plot_frames(sensors[:, 0])
    with pytest.raises(ValueError, match="view: expected one of lateral, medial, ventral"):
        report.plot_frames(sensors, view="front")
    with pytest.raises(ValueError, match=r"times: expected values from 0 to 0.5 s, got \[2.0\]"):
        report.plot_frames(sensors, times=[2.0])
    with pytest.raises(ValueError, match="times: expected 1 to 6 of them, got 7"):
        report.plot_frames(sensors, times=[0.1] * 7)
    with pytest.raises(SchemaError, match="expected coord 'x' on 'neuroid'"):
        report.plot_frames(sensors.drop_vars("x"))
    with pytest.raises(SchemaError, match="values: expected finite values, got none"):
        report.plot_frames(sensors * np.nan)
