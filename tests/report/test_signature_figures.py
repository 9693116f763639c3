"""Figures of learning signatures hold the numbers of their results."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.convergence import (
    compare_fields,
    correlate_states,
    map_places,
    match_modules,
    splitter_index,
)
from neuroalign.errors import SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.report import signature_figures as figures
from neuroalign.report.convergence_screens import list_convergence_parts

PLACE = np.arange(60.0)


def trail(discount: float) -> xr.DataArray:
    own = np.arange(25.0, 55.0)[:, None]
    values = np.where(own >= PLACE, discount ** (own - PLACE), 0.0)
    return xr.DataArray(values, {"place": PLACE}, ("neuroid", "place"))


def make_maps() -> xr.Dataset:
    rng = np.random.default_rng(0)
    where = np.tile(PLACE, 6)
    values = rng.poisson(5 * np.exp(-((where[:, None] - rng.uniform(0, 60, 15)) ** 2) / 60))
    going = {"going": np.repeat(["up", "down"], 180)}
    data = from_arrays(values, stimulus=["lap"] * 360, modality="spikes", sample_coords=going)
    return map_places(data, where, bins=20, by="going")


def make_shifts() -> xr.Dataset:
    return compare_fields(trail(0.3), trail(0.8), threshold=0.05, n_resamples=100)


def make_states() -> xr.Dataset:
    return correlate_states(trail(0.8)[:, 20:55], n_permutations=20, n_resamples=50)


def make_splitter() -> xr.Dataset:
    rng = np.random.default_rng(0)
    lap = np.repeat(np.arange(40), 12)
    values = rng.normal(size=(480, 9)) + np.outer(lap % 2, [1.2, -0.6, *[0] * 7])
    data = from_arrays(values, stimulus=["stem"] * 480, modality="model")
    side = np.array(["left", "right"])[lap % 2]
    where = np.tile(np.linspace(0, 1, 12), 40)
    return splitter_index(data, side, where, lap, bins=4, n_permutations=30)


def make_modules() -> xr.Dataset:
    rng = np.random.default_rng(0)
    names = [f"s{row}" for row in range(50)]
    parts = {name: rng.normal(size=(50, 6)) for name in ("encoder", "predictor", "value")}
    values = np.hstack(list(parts.values())) + rng.normal(size=(50, 18))
    roi = np.repeat(["V1", "HPC", "striatum"], 6)
    data = from_arrays(values, stimulus=names, roi=roi, modality="spikes")
    modules = {name: features_from_arrays(one, stimulus=names) for name, one in parts.items()}
    return match_modules(modules, data, n_permutations=30)


MADE: dict[str, tuple[Callable[[], xr.Dataset], Any]] = {
    "map_places": (make_maps, figures.plot_place_maps),
    "compare_fields": (make_shifts, figures.plot_field_shifts),
    "correlate_states": (make_states, figures.plot_state_similarity),
    "splitter_index": (make_splitter, figures.plot_splitter),
    "match_modules": (make_modules, figures.plot_modules),
}


@pytest.mark.parametrize("method", list(MADE))
def test_each_signature_brings_its_figure_to_the_page(method: str) -> None:
    result = MADE[method][0]()
    assert result.attrs["method"] == method
    parts = list_convergence_parts(result)
    assert len(parts) == 1
    assert parts[0][1]() is not None


@pytest.mark.parametrize("method", list(MADE))
def test_other_results_are_refused(method: str) -> None:
    with pytest.raises(SchemaError, match="expected"):
        MADE[method][1](xr.Dataset())


def test_maps_are_in_the_order_of_peaks() -> None:
    result = make_maps()
    figure = figures.plot_place_maps(result)
    shown = [axes.images[0].get_array() for axes in figure.axes[:2]]
    peaks = np.asarray(shown[0]).argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()
    assert max(float(one.max()) for one in shown) == pytest.approx(1)


def test_means_of_shifts_stand_where_the_result_says() -> None:
    result = make_shifts()
    axes = figures.plot_field_shifts(result).axes[0]
    mark = next(line for line in axes.lines if line.get_gid() == "shift")
    assert mark.get_ydata()[0] == pytest.approx(float(result["value"].sel(statistic="shift")))


def test_the_curve_and_the_course_are_those_of_the_results() -> None:
    states, splitter = make_states(), make_splitter()
    curve = figures.plot_state_similarity(states).axes[1].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), states["curve"])
    course = figures.plot_splitter(splitter).axes[0].lines[0]
    np.testing.assert_allclose(course.get_ydata(), splitter["course"])


def test_each_assigned_pair_has_its_frame() -> None:
    axes = figures.plot_modules(make_modules()).axes[0]
    frames = [line for line in axes.lines if line.get_gid() == "assigned"]
    centers = [(np.mean(line.get_xdata()[:4]), np.mean(line.get_ydata()[:4])) for line in frames]
    np.testing.assert_allclose(sorted(centers), [(0, 0), (1, 1), (2, 2)], atol=1e-9)
