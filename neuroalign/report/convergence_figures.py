"""Figures of convergence: scores over training, half-times, spatial scores side by side."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._style import MUTED, PALETTE, name_ticks, new_figure, tidy, write_label
from neuroalign.report._variables import check_variables

Array = npt.NDArray[Any]
MOST_REGIONS = 40
# A factor between the last and the first step from which they are laid out in logarithms.
WIDE = 50


def _lay_out_steps(axes: Axes, step: Array) -> None:
    """Put many orders of training steps on one axis; step 0 stands one first step below."""
    above = step[step > 0]
    if len(above) > 1 and above[-1] >= WIDE * above[0]:
        if step[0] <= 0:
            axes.set_xscale("symlog", linthresh=above[0])
            axes.set_xlim(-0.2 * above[0], 1.18 * above[-1])
        else:
            axes.set_xscale("log")
    axes.set_xlabel("training step", fontsize=9)


def _draw_course(
    axes: Axes, step: Array, course: xr.Dataset, name: str, label: str, color: str
) -> None:
    values = course[f"{name}_score"].values
    axes.plot(step, values, color=color, marker="o", markersize=3.5, label=label, gid=name)
    low, high = course[f"{name}_lower"].values, course[f"{name}_upper"].values
    axes.fill_between(step, low, high, color=color, alpha=0.18, linewidth=0)


def plot_trace(traced: xr.Dataset) -> Figure:
    """Draw encoding, spatial and temporal scores over training.

    Parameters
    ----------
    traced : Dataset
        Of `neuroalign.convergence.trace`.

    Returns
    -------
    Figure
        One panel a score, with bands of its interval; dashed: the network with its weights in
        random places. Spatial scores are those of the best layer over neuroids.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.convergence import trace
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=3)
    >>> layers = {"early": data.features[:, :9], "late": data.features}
    >>> found = trace({0: layers, 1: layers}, None, data.responses, by=None, n_resamples=5)
    >>> len(plot_trace(found).axes)
    1
    """
    check_variables(traced, ("encoding_score", "encoding_lower"), "convergence.trace")
    step = traced["step"].values.astype(np.float64)
    panels = [name for name in ("encoding", "spatial", "temporal") if f"{name}_score" in traced]
    figure = new_figure(7.5, 0.6 + 2.4 * len(panels))
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    chosen = {
        "encoding": {"statistic": "mean_of_best"},
        "spatial": {"rule": "best", "unit": "neuroid"},
        "temporal": {"latency_rule": "peak"},
    }
    for axes, name in zip(grid, panels, strict=True):
        parts = [f"{name}_{end}" for end in ("score", "lower", "upper")]
        course = traced[parts].sel(chosen[name], drop=True)
        kinds = course["distance"].values.tolist() if "distance" in course.dims else [""]
        for number, kind in enumerate(kinds):
            one = course.sel(distance=kind) if kind else course
            _draw_course(axes, step, one, name, write_label(kind or name), PALETTE[number])
            if f"control_{name}" in traced:
                control = traced[f"control_{name}"].sel(chosen[name], drop=True)
                level = float(control.sel(distance=kind) if kind else control)
                axes.axhline(level, color=PALETTE[number], linestyle="--", linewidth=1)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_ylabel(f"{name} score", fontsize=9)
        if len(kinds) > 1:
            axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        tidy(axes, grid="y")
    _lay_out_steps(grid[-1], step)
    return figure


def plot_half_times(result: xr.Dataset) -> Figure:
    """Draw when each region reaches half of its final score, with its interval.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.find_half_times` or `neuroalign.convergence.trace`.

    Returns
    -------
    Figure
        Regions in the order given; at most 40.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.convergence import find_half_times
    >>> scores = xr.DataArray(
    ...     np.linspace(0, 1, 12).reshape(3, 4), dims=("step", "neuroid"),
    ...     coords={"step": [0, 1, 2], "roi": ("neuroid", list("aabb"))},
    ... )
    >>> len(plot_half_times(find_half_times(scores)).axes)
    1
    """
    check_variables(result, ("half_time",), "convergence.find_half_times")
    inside = "half_time_lower" in result
    names = ("half_time_lower", "half_time_upper") if inside else ("lower", "upper")
    times = result["half_time"][:MOST_REGIONS]
    low, high = (result[name][:MOST_REGIONS].values for name in names)
    if not np.isfinite(times.values).any():
        raise SchemaError(
            "result: expected a half-time for some region, got none. Scores must end above zero."
        )
    place = np.arange(len(times))
    figure = new_figure(7.0, 1.2 + 0.3 * len(times))
    axes = figure.subplots()
    axes.hlines(place, low, high, color=PALETTE[0], linewidth=2, gid="interval")
    axes.plot(times.values, place, "o", color=PALETTE[0], gid="half_time")
    name_ticks(axes, "y", times[times.dims[0]].values.tolist())
    axes.invert_yaxis()
    axes.set_xlabel("training step at half of the final score", fontsize=9)
    tidy(axes, grid="x")
    return figure


def plot_latencies(result: xr.Dataset) -> Figure:
    """Draw when each layer predicts best, by its depth.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.temporal_score`.

    Returns
    -------
    Figure
        Dots and intervals of each rule; layers that predict nothing are left out.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> latency = xr.DataArray([[0.1, 0.2]], dims=("rule", "layer"))
    >>> found = xr.Dataset(
    ...     {"latency": latency, "latency_lower": latency - 0.01, "latency_upper": latency + 0.01},
    ...     coords={"rule": ["peak"], "layer": ["a", "b"], "depth": ("layer", [0.0, 1.0])},
    ... )
    >>> len(plot_latencies(found).axes)
    1
    """
    wanted = ("latency", "latency_lower", "latency_upper", "depth")
    check_variables(result, wanted, "convergence.temporal_score")
    if not np.isfinite(result["latency"].values).any():
        raise SchemaError(
            "result: expected a latency of some layer, got none. Scores must rise above zero."
        )
    figure = new_figure(6.5, 3.6)
    axes = figure.subplots()
    depth = result["depth"].values.astype(np.float64)
    step = float(np.diff(depth).min()) if len(depth) > 1 else 1.0
    for number, rule in enumerate(result["rule"].values.tolist()):
        one, color = result.sel(rule=rule), PALETTE[number]
        # Side by side, so that intervals do not cover each other.
        place = depth + 0.1 * step * (number - 0.5)
        axes.vlines(place, one["latency_lower"], one["latency_upper"], color=color, linewidth=2)
        axes.plot(place, one["latency"], "o", color=color, label=write_label(rule), gid=str(rule))
    axes.set_xlabel("depth of the layer", fontsize=9)
    axes.set_ylabel("latency [s]", fontsize=9)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(axes, grid="y")
    return figure


def plot_spatial_scores(result: xr.Dataset) -> Figure:
    """Draw spatial scores by distance, rule and unit, with their intervals.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.spatial_score`.

    Returns
    -------
    Figure
        Filled: spin p below .05; open: above, or no spins.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> score = xr.DataArray([[[0.4]]], dims=("distance", "rule", "unit"))
    >>> found = xr.Dataset(
    ...     {"score": score, "lower": score - 0.1, "upper": score + 0.1, "p_spin": score},
    ...     coords={"distance": ["geodesic"], "rule": ["best"], "unit": ["roi"]},
    ... )
    >>> len(plot_spatial_scores(found).axes)
    1
    """
    wanted = ("score", "lower", "upper", "p_spin")
    check_variables(result, wanted, "convergence.spatial_score")
    flat = result[list(wanted)].stack(row=("distance", "rule", "unit"))
    labels = [" · ".join(map(str, row)) for row in flat["row"].values.tolist()]
    place = np.arange(len(labels))
    figure = new_figure(7.5, 1.2 + 0.3 * len(labels))
    axes = figure.subplots()
    axes.hlines(place, flat["lower"], flat["upper"], color=PALETTE[0], linewidth=2)
    passed = flat["p_spin"].values < 0.05
    for shown, face in ((passed, PALETTE[0]), (~passed, "white")):
        axes.plot(
            flat["score"].values[shown], place[shown], "o", color=PALETTE[0],
            markerfacecolor=face, gid="score",
        )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.8)
    name_ticks(axes, "y", labels)
    axes.invert_yaxis()
    axes.set_xlabel("correlation of preferred depth and distance", fontsize=9)
    tidy(axes, grid="x")
    return figure
