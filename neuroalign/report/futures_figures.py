"""Figures of dynamic scenes: predictors of neurons beside other animals, and of behaviour."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._style import (
    ACCENT,
    INK,
    MUTED,
    PALETTE,
    SECOND,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._variables import check_variables

Array = npt.NDArray[Any]
MOST_PREDICTORS = 24
MOST_WINDOWS = 4
# Dots of single neuroids that can still be told apart in a row.
MOST_DOTS = 300
SHARES = ("static", "motion")
COLORS = {"model": ACCENT, "subject": SECOND}


def _order(result: xr.Dataset, score: Array) -> Array:
    """Rows, models first and each kind from best to worst; without a score last."""
    subject = result["source"].values == "subject"
    return np.lexsort([-np.nan_to_num(score, nan=-np.inf), subject])[:MOST_PREDICTORS]


def _limit(values: Array) -> tuple[float, float]:
    """Range that shows all but the wildest tenth; 0 to 1 at least."""
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.01, 0.99]) if len(known) else (0.0, 1.0)
    return min(-0.05, float(low) - 0.05), max(1.1, float(high) + 0.05)


def _draw_rows(
    axes: Axes, result: xr.Dataset, rows: Array, middle: Array, low: Array, high: Array
) -> None:
    for place, row in enumerate(rows):
        color = COLORS[str(result["source"].values[row])]
        axes.hlines(place, low[row], high[row], color=color, linewidth=3, gid="interval")
        axes.plot(middle[row], place, "o", color=color, markersize=7, mec="white", gid="middle")
        if not np.isfinite(middle[row]):
            axes.text(
                0.5, place, "cannot be estimated", color=MUTED, fontsize=8, ha="center",
                va="center", gid="missing",
            )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.axvline(1, color=MUTED, linewidth=0.8, linestyle=":")
    tidy(axes, grid="x")


def plot_futures(result: xr.Dataset) -> Figure:
    """Draw the noise-corrected predictivity of each predictor, with other animals below.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.compare_futures`.

    Returns
    -------
    Figure
        One panel a window (at most 4), one row a predictor (at most 24): dots of neuroids, their
        median with its interval, and how many of them have a score.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.convergence import compare_futures
    >>> from neuroalign.loaders import simulate_scenes
    >>> scenes = simulate_scenes(n_conditions=12, n_neuroids=4, snr=10.0)
    >>> found = compare_futures({"places": scenes.encoder}, scenes.responses["sub-01"], n_halves=2)
    >>> len(plot_futures(found).axes)
    1
    """
    wanted = ("corrected", "median", "lower", "upper", "n_estimated", "source", "window")
    check_variables(result, wanted, "convergence.compare_futures")
    windows = result["window"].values.tolist()[:MOST_WINDOWS]
    rows = _order(result, result["median"].values[:, 0])
    figure = new_figure(3.2 + 3.6 * len(windows), 1.3 + 0.42 * len(rows))
    grid = figure.subplots(1, len(windows), squeeze=False, sharey=True)[0]
    limits = _limit(result["corrected"].values[rows][:, : len(windows)])
    jitter = np.random.default_rng(0).uniform(-0.22, 0.22, size=result.sizes["neuroid"])
    for column, (axes, window) in enumerate(zip(grid, windows, strict=True)):
        one = result.isel(window=column)
        for place, row in enumerate(rows):
            values = one["corrected"].values[row][:MOST_DOTS]
            axes.scatter(
                values, place + jitter[: len(values)], s=9, color=MUTED, alpha=0.45,
                edgecolors="none", gid="neuroids",
            )  # fmt: skip
        _draw_rows(axes, one, rows, *(one[name].values for name in ("median", "lower", "upper")))
        for place, row in enumerate(rows):
            n = int(one["n_estimated"].values[row])
            axes.text(
                limits[1], place, f" {n}/{result.sizes['neuroid']}", color=INK, fontsize=8,
                va="center", ha="left", gid="count",
            )  # fmt: skip
        axes.set_xlim(*limits)
        axes.set_title("all frames" if window == "all" else write_label(window, 30), fontsize=10)
        axes.set_xlabel("noise-corrected r", fontsize=9)
    name_ticks(grid[0], "y", result["predictor"].values[rows].tolist())
    grid[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def plot_behaviour(result: xr.Dataset) -> Figure:
    """Draw how consistent each predictor's answers are with a subject's, and how good they are.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.compare_behaviour`; the first answer is drawn.

    Returns
    -------
    Figure
        Rows as in `plot_futures`; performance on the task is written beside.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.convergence import compare_behaviour
    >>> from neuroalign.loaders import simulate_scenes
    >>> scenes = simulate_scenes(n_conditions=20, n_neuroids=2)
    >>> end, said = scenes.truth["ends_at"], scenes.behaviour["sub-01"]
    >>> known = end.expand_dims("feature", 1).astype("float32")
    >>> found = compare_behaviour({"truth": known}, end, said, n_resamples=20)
    >>> len(plot_behaviour(found).axes)
    1
    """
    wanted = ("consistency", "lower", "upper", "performance", "source")
    check_variables(result, wanted, "convergence.compare_behaviour")
    one = result.isel(neuroid=0)
    rows = _order(result, one["consistency"].values)
    figure = new_figure(7.0, 1.3 + 0.36 * len(rows))
    axes = figure.subplots()
    bounds = [one[name].values for name in ("consistency", "lower", "upper")]
    _draw_rows(axes, one, rows, *bounds)
    limits = _limit(np.concatenate(bounds))
    for place, row in enumerate(rows):
        good = one["performance"].values[row]
        if np.isfinite(good):
            axes.text(
                limits[1], place, f" task {good:.2f}", color=INK, fontsize=8, va="center",
                gid="performance",
            )  # fmt: skip
    axes.set_xlim(*limits)
    axes.set_xlabel(
        f"behaviour consistency of {write_label(result.attrs.get('pattern', 'answer'))}s, "
        "corrected",
        fontsize=9,
    )
    name_ticks(axes, "y", result["predictor"].values[rows].tolist())
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def plot_motion_shares(result: xr.Dataset) -> Figure:
    """Draw what is unique to motion against what is unique to single frames, by neuroid.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.compare_motion`.

    Returns
    -------
    Figure
        A dot a neuroid, coloured by region where there are up to 8; above the line motion says
        more that frames do not.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> share = xr.DataArray(
    ...     [[0.3, 0.0], [0.1, 0.6], [0.2, 0.0]], dims=("part", "neuroid"),
    ...     coords={"part": ["static", "motion", "static&motion"]},
    ... )
    >>> len(plot_motion_shares(xr.Dataset({"normalized_share": share})).axes)
    1
    """
    check_variables(result, ("normalized_share", "part"), "convergence.compare_motion")
    static, motion = (result["normalized_share"].sel(part=part).values for part in SHARES)
    known = np.isfinite(static) & np.isfinite(motion)
    if not known.any():
        raise SchemaError(
            "result: expected a normalised share of some neuroid, got none. Responses are too "
            "noisy: add trials."
        )
    roi = result["roi"].values if "roi" in result.coords else np.full(len(static), "")
    regions = np.unique(roi[known])
    regions = regions if len(regions) <= len(PALETTE) else np.array([""])
    figure = new_figure(5.4, 5.0)
    axes = figure.subplots()
    both = np.concatenate([static[known], motion[known]])
    ends = min(-0.05, float(both.min()) - 0.05), max(1.05, float(both.max()) + 0.05)
    axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle=":", gid="equal")
    for region, color in zip(regions.tolist(), PALETTE, strict=False):
        shown = known & ((roi == region) | (len(regions) == 1))
        axes.plot(
            static[shown], motion[shown], "o", color=color, markersize=5, alpha=0.7, mec="white",
            label=write_label(region, 24), gid="shares",
        )  # fmt: skip
    if len(regions) > 1:
        axes.legend(frameon=False, fontsize=9)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel("unique to single frames, share of explainable variance", fontsize=9)
    axes.set_ylabel("unique to motion", fontsize=9)
    tidy(axes)
    return figure
