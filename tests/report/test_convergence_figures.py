"""Figures of convergence hold the numbers they were given."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.convergence import find_half_times, trace
from neuroalign.errors import SchemaError
from neuroalign.loaders import simulate_linear
from neuroalign.report._style import to_picture
from neuroalign.report.convergence_figures import (
    plot_half_times,
    plot_latencies,
    plot_spatial_scores,
    plot_trace,
)


@pytest.fixture(scope="module")
def traced() -> xr.Dataset:
    data = simulate_linear(n_neuroids=6, n_samples=80)
    noise = np.random.default_rng(0).normal(size=data.features.shape)
    steps = {
        step: {"early": data.features + noise * (1 - share), "late": data.features * share + noise}
        for step, share in ((0, 0.0), (1, 0.5), (100, 1.0))
    }
    far = xr.Dataset({"rank": ("neuroid", np.arange(6.0))}, {"neuroid": data.responses["neuroid"]})
    return trace(
        steps, None, data.responses, by="neuroid", over="fold", distances=far, n_resamples=20
    )


def test_courses_are_drawn_as_they_are(traced: xr.Dataset) -> None:
    figure = plot_trace(traced)
    assert [axes.get_ylabel() for axes in figure.axes] == ["encoding score", "spatial score"]
    line = next(one for one in figure.axes[0].lines if one.get_gid() == "encoding")
    wanted = traced["encoding_score"].sel(statistic="mean_of_best")
    np.testing.assert_array_equal(line.get_ydata(), wanted)
    assert figure.axes[-1].get_xscale() == "symlog"
    assert to_picture(figure, "a", "b")


def test_half_times_of_a_trace_and_of_their_own_are_alike(traced: xr.Dataset) -> None:
    own = find_half_times(traced["neuroid_score"], by="neuroid", over="fold", n_resamples=20)
    for result in (traced, own):
        axes = plot_half_times(result).axes[0]
        drawn = next(one for one in axes.lines if one.get_gid() == "half_time")
        np.testing.assert_allclose(drawn.get_xdata(), own["half_time"])


def test_latencies_are_drawn_by_depth() -> None:
    latency = xr.DataArray([[0.1, np.nan, 0.3], [0.12, 0.2, 0.28]], dims=("rule", "layer"))
    found = xr.Dataset(
        {"latency": latency, "latency_lower": latency - 0.01, "latency_upper": latency + 0.01},
        {"rule": ["peak", "centroid"], "layer": list("abc"), "depth": ("layer", [0.0, 0.5, 1.0])},
    )
    axes = plot_latencies(found).axes[0]
    drawn = {one.get_gid(): one.get_ydata() for one in axes.lines if one.get_gid()}
    np.testing.assert_array_equal(drawn["peak"], latency[0])
    np.testing.assert_array_equal(drawn["centroid"], latency[1])
    with pytest.raises(SchemaError, match="expected a latency of some layer, got none"):
        plot_latencies(found.assign(latency=latency * np.nan))


def test_spatial_scores_are_filled_where_spins_pass() -> None:
    dims = ("distance", "rule", "unit")
    score = xr.DataArray([[[0.4, 0.1]]], dims=dims)
    found = xr.Dataset(
        {"score": score, "lower": score - 0.1, "upper": score + 0.1},
        coords={"distance": ["geodesic"], "rule": ["best"], "unit": ["neuroid", "roi"]},
    ).assign(p_spin=(dims, [[[0.01, 0.5]]]))
    axes = plot_spatial_scores(found).axes[0]
    drawn = [one for one in axes.lines if one.get_gid() == "score"]
    assert [one.get_xdata().tolist() for one in drawn] == [[0.4], [0.1]]
    assert drawn[1].get_markerfacecolor() == "white"


def test_what_cannot_be_drawn_is_named(traced: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="result: expected"):
        plot_trace(traced.drop_vars("encoding_score"))
    with pytest.raises(SchemaError, match="expected a half-time for some region"):
        plot_half_times(traced.assign(half_time=traced["half_time"] * np.nan))
    with pytest.raises(SchemaError, match="result: expected"):
        plot_spatial_scores(traced)
