"""Figures of hidden states: trials in the colours of their states."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from neuroalign.errors import SchemaError
from neuroalign.report._latent_rows import Rows, color_states, group_rows, lay_rows
from neuroalign.report._style import INK, new_figure, tidy, write_label
from neuroalign.report._summaries import average

Array = npt.NDArray[Any]
MOST_NAMED_GROUPS = 30


def plot_states(states: xr.DataArray, *, sort_by: str | None = None) -> Figure:
    """Draw which state each trial is in at each time, and how probable states are on average.

    Parameters
    ----------
    states : DataArray (sample, time), (sample, time, latent), or without ``time``
        Numbers of states, as of ``predict_states``, or their probabilities along ``latent`` (or
        ``state``), as of ``transform`` of a hidden Markov model. Without ``time``, each ``run`` is
        a row. Bins after a trial's end, NaN or not ``valid``, stay white.
    sort_by : str, optional
        Coord on ``sample``: trials with the same label are drawn together.

    Returns
    -------
    Figure
        A state has one colour in every figure. Probabilities are drawn in the colour of the most
        probable state, paler the less certain it is.

    Raises
    ------
    SchemaError
        When dims are others, nothing is finite, there are more than 24 states, or values are
        neither probabilities nor numbers of states.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> states = xr.DataArray([[0.0, 0.0, 1.0], [1.0, 1.0, np.nan]], dims=("sample", "time"))
    >>> axes = plot_states(states).axes
    >>> axes[0].images[0].get_array().shape, axes[0].get_ylabel()
    ((2, 3, 4), 'trial')
    """
    channel = next((dim for dim in ("latent", "state") if dim in states.dims), None)
    rows = lay_rows(states, "states", channel)
    weights = rows.values if channel else _count_states(rows.values[..., 0])
    _check_probable(weights)
    n_states = weights.shape[2]
    colors = color_states(n_states)
    groups = {"": np.arange(len(weights))} if sort_by is None else group_rows(states, rows, sort_by)
    order = np.concatenate(list(groups.values()))
    height = float(np.clip(0.06 * len(weights), 0.7, 5.0))
    figure = new_figure(8.2, height + 2.4)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[height, 1.1])
    step = float(np.median(np.diff(rows.time))) if len(rows.time) > 1 else 1.0
    ends = (rows.time[0] - step / 2, rows.time[-1] + step / 2)
    top.imshow(
        _paint(weights[order], colors), aspect="auto", interpolation="nearest",
        extent=(*ends, len(order) + 0.5, 0.5),
    )  # fmt: skip
    _name_rows(top, groups, rows)
    edges = np.r_[rows.time - step / 2, rows.time[-1] + step / 2]
    shares = np.pad(average(weights, 0).cumsum(axis=1), ((0, 1), (1, 0)))
    shares[-1] = shares[-2]
    for state, color in enumerate(colors):
        below.fill_between(
            edges, shares[:, state], shares[:, state + 1], color=color, linewidth=0, step="post"
        )
    below.set(ylim=(0, 1), xlim=ends, yticks=(0, 0.5, 1))
    below.set_xlabel(f"time [{rows.unit}]")
    below.set_ylabel("probability" if channel else f"share of {rows.name}s")
    tidy(top)
    tidy(below)
    known = states[channel].values.astype(str) if channel in states.coords else np.array([])
    named = [
        name if name and not name.startswith("latent-") else f"state-{number:02d}"
        for number, name in zip(range(n_states), [*known, *[""] * n_states], strict=False)
    ]
    handles = [
        Patch(color=tuple(color), label=write_label(name, 20))
        for color, name in zip(colors, named, strict=True)
    ]
    n_lines = 1 + n_states // 13
    figure.legend(
        handles=handles, frameon=False, fontsize=9, loc="outside right upper", ncols=n_lines
    )
    return figure


def _count_states(numbers: Array) -> Array:
    """Numbers (row, time) to certainties (row, time, state), NaN where there is none."""
    known = np.isfinite(numbers)
    whole = numbers[known]
    if (whole < 0).any() or (whole != np.rint(whole)).any():
        bad = whole[(whole < 0) | (whole != np.rint(whole))][0]
        raise SchemaError(
            f"states: expected numbers of states 0, 1, ..., got {bad:g}. Give what "
            "predict_states gives."
        )
    color_states(int(whole.max()) + 1)
    certain = np.eye(int(whole.max()) + 1)[np.where(known, numbers, 0).astype(np.int64)]
    return np.where(known[..., None], certain, np.nan)


def _check_probable(weights: Array) -> None:
    known: Array = np.asarray(np.isfinite(weights).all(axis=2))
    sums = weights[known].sum(axis=1)
    if (weights[known] < -1e-6).any() or np.abs(sums - 1).max(initial=0) > 1e-3:
        raise SchemaError(
            f"states: expected probabilities that add up to 1, got sums from {sums.min():.3g} to "
            f"{sums.max():.3g}. Give what transform of a model with states gives."
        )


def _paint(weights: Array, colors: Array) -> Array:
    """Colours (row, time, 4): the most probable state, opaque when certain."""
    known: Array = np.asarray(np.isfinite(weights).all(axis=2))
    safe = np.where(known[..., None], weights, 0.0)
    n = weights.shape[2]
    lead = (safe.max(axis=2) - 1 / n) / (1 - 1 / n) if n > 1 else safe[..., 0]
    painted = np.empty((*known.shape, 4))
    painted[..., :3] = colors[safe.argmax(axis=2)]
    painted[..., 3] = np.where(known, 0.15 + 0.85 * np.clip(lead, 0, 1), 0.0)
    return painted


def _name_rows(axes: Axes, groups: dict[str, Array], rows: Rows) -> None:
    """Number the rows, or name the groups that they stand in, with lines between."""
    if len(groups) == 1 or len(groups) > MOST_NAMED_GROUPS:
        axes.set_ylabel(rows.name)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        return
    last = np.cumsum([len(inside) for inside in groups.values()])
    middle = last - np.array([len(inside) for inside in groups.values()]) / 2 + 0.5
    axes.set_yticks(middle, [write_label(name, 24) for name in groups], fontsize=8)
    for edge in last[:-1]:
        axes.axhline(edge + 0.5, color=INK, linewidth=0.8, gid="border")
    axes.set_ylabel(f"{rows.name}s")
