"""Figures of latents: the paths of trials, and their means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from neuroalign.errors import SchemaError
from neuroalign.report._latent_rows import group_rows, lay_rows
from neuroalign.report._style import MUTED, PALETTE, new_figure, tidy, write_label
from neuroalign.report._summaries import average

Array = npt.NDArray[Any]
MOST_GROUPS = len(PALETTE)
MOST_TRIALS = 40
# A mean over fewer of its trials than this share jumps where trials end.
RUNNING = 0.5
# Share of the single trials at each end that may leave the picture.
STRAY = 0.01


def _average_running(values: Array) -> Array:
    """Mean course (time, channel) of trials, as long as half of them go on."""
    going = np.isfinite(values).all(axis=2).mean(axis=0) >= RUNNING
    return np.where(going[:, None], average(values, 0), np.nan)


def plot_trajectories(
    latents: xr.DataArray,
    *,
    by: str | None = None,
    axes: Sequence[int] = (0, 1, 2),
    same_scale: bool = True,
) -> Figure:
    """Draw the paths of trials through the latents, and the mean path of each condition.

    Parameters
    ----------
    latents : DataArray (sample, time, latent) or (sample, latent)
        Without ``time``, each ``run`` is a path. Where ``valid`` is given, or values are NaN, a
        trial has ended. One latent is drawn over time, two as a plane, three as their planes.
    by : str, optional
        Coord on ``sample`` that names the condition: ``stimulus`` when not given and stimuli
        repeat, else all trials are one. The first 8 conditions are drawn, the first 40 trials of
        each as faint lines.
    axes : sequence of int
        Up to three latents, by number.
    same_scale : bool
        One scale for all latents, so that distances can be compared. Switch it off for latents
        whose scale is arbitrary.

    Returns
    -------
    Figure
        A circle marks where a mean path starts; it ends where fewer than half of the trials go on.
        Planes hold all means, and all but the outermost hundredth of the single trials.

    Raises
    ------
    SchemaError
        When dims are others, nothing is finite, or ``by`` is unknown.
    ValueError
        When ``axes`` are not among the latents.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> turn = np.linspace(0, 6, 30)
    >>> path = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    >>> latents = xr.DataArray(np.stack([path, 2 * path]), dims=("sample", "time", "latent"))
    >>> figure = plot_trajectories(latents)
    >>> figure.axes[0].get_xlabel(), len(figure.axes[0].lines)
    ('latent 0', 4)
    """
    rows = lay_rows(latents, "latents", "latent")
    chosen = _choose_axes(axes, rows.values.shape[2])
    groups = list(group_rows(latents, rows, by).items())[:MOST_GROUPS]
    names = [f"latent {number}" for number in chosen]
    values = rows.values[..., chosen]
    if len(chosen) == 1:
        figure = new_figure(7.2, 3.3)
        ax = figure.subplots()
        _draw_paths(ax, rows.time[None, :, None] + 0 * values, values, groups)
        _label(ax, f"time [{rows.unit}]", names[0])
        tidy(ax, grid="y")
    else:
        figure = _draw_planes(values, names, groups, same_scale)
    handles = [
        Line2D([], [], color=color, linewidth=2.2, label=write_label(name, 24))
        for (name, _), color in zip(groups, PALETTE, strict=False)
        if name
    ]
    mean = "mean of condition" if handles else "mean"
    handles += [
        Line2D([], [], color=MUTED, linewidth=2.2, label=mean),
        Line2D([], [], color=MUTED, linewidth=0.7, alpha=0.6, label=f"single {rows.name}"),
        Line2D([], [], color="none", marker="o", mfc="white", mec=MUTED, mew=1.8, label="start"),
    ]  # fmt: skip
    if len(chosen) > 1:
        figure.axes[-1].legend(handles=handles, frameon=False, fontsize=9, loc="center left")
    else:
        figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right upper")
    return figure


def _choose_axes(axes: Sequence[int], n: int) -> list[int]:
    chosen = [number for number in axes if number < n] if tuple(axes) == (0, 1, 2) else [*axes]
    if not 1 <= len(chosen) <= 3 or not all(0 <= number < n for number in chosen):
        raise ValueError(
            f"axes: expected one to three numbers from 0 to {n - 1}, got {[*axes]}. Name latents "
            "that there are."
        )
    return chosen


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(write_label(x))
    axes.set_ylabel(write_label(y))


def _draw_planes(
    values: Array, names: list[str], groups: list[tuple[str, Array]], same_scale: bool
) -> Figure:
    """Two latents in one plane; three seen from the front, from above and from the side."""
    limits = _find_limits(values, groups, same_scale)
    if len(names) == 2:
        figure = new_figure(7.4, 4.2)
        grid = figure.subplots(1, 2, squeeze=False, width_ratios=[1.6, 1.0])
        places = {(0, 1): grid[0, 0]}
    else:
        figure = new_figure(7.4, 7.0)
        grid = figure.subplots(2, 2)
        places = {(0, 1): grid[0, 0], (2, 1): grid[0, 1], (0, 2): grid[1, 0]}
    # The last cell is for the legend.
    grid[-1, -1].set_axis_off()
    for (x, y), ax in places.items():
        _draw_paths(ax, values[..., [x]], values[..., [y]], groups)
        ax.set(xlim=limits[x], ylim=limits[y], box_aspect=1)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5))
        _label(ax, names[x], names[y])
        tidy(ax)
    return figure


def _find_limits(values: Array, groups: list[tuple[str, Array]], same_scale: bool) -> Array:
    """Ends of each latent (latent, 2): all means and nearly all of the single trials."""
    drawn = values[np.concatenate([inside[:MOST_TRIALS] for _, inside in groups])]
    means = np.concatenate([_average_running(values[inside]) for _, inside in groups])
    drawn = drawn[np.isfinite(drawn).all(axis=2)]
    if not len(drawn):
        raise SchemaError(
            "latents: expected bins in which all latents drawn are finite, got none. Name others "
            "in axes."
        )
    tails = np.quantile(drawn, [STRAY, 1 - STRAY], axis=0)
    low = np.fmin(tails[0], np.fmin.reduce(means))
    high = np.fmax(tails[1], np.fmax.reduce(means))
    half = np.maximum((high - low) / 2 * 1.1, 1e-12)
    half = np.full_like(half, half.max()) if same_scale else half
    return np.stack([(low + high) / 2 - half, (low + high) / 2 + half], axis=1)


def _draw_paths(axes: Axes, x: Array, y: Array, groups: list[tuple[str, Array]]) -> None:
    """Draw x against y, both (row, time, 1), trials below all means."""
    both = np.concatenate([x, y], axis=2)
    for (_, inside), color in zip(groups, PALETTE, strict=False):
        drawn = inside[:MOST_TRIALS]
        strength = 0.5 if len(drawn) <= 5 else 0.3
        for trial in both[drawn]:
            axes.plot(*trial.T, color=color, linewidth=0.7, alpha=strength, gid="trial", zorder=2)
    for (_, inside), color in zip(groups, PALETTE, strict=False):
        mean = _average_running(both[inside])
        axes.plot(*mean.T, color=color, linewidth=2.2, gid="mean", zorder=3)
        start = mean[np.isfinite(mean).all(axis=1)][:1]
        axes.plot(
            *start.T, "o", color="white", markersize=6.5, mec=color, mew=1.8, gid="start", zorder=4
        )
