"""Figures of scores in time: regions by time of fusion, and generalisation from time to time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign import schema
from neuroalign.errors import SchemaError
from neuroalign.report._style import INK, MUTED, PALETTE, name_ticks, new_figure, tidy, write_label
from neuroalign.report._summaries import ALPHA, average, compute_interval, group_by_roi, name_metric

Array = npt.NDArray[Any]
MOST_CURVES = len(PALETTE)
MOST_ROWS = 40
MOST_PANELS = 6
# Of clusters of times, else of single times.
CORRECTED = ("p_cluster", "p_fwer")


def get_times(array: xr.DataArray, dim: str = "time") -> tuple[Array, str]:
    """Values of a time dim and the unit they are in.

    Parameters
    ----------
    array : DataArray
    dim : str

    Returns
    -------
    array (time)
    str
    """
    if dim in array.coords:
        return np.asarray(array[dim].values, dtype=np.float64), "s"
    return np.arange(array.sizes[dim], dtype=np.float64), "samples"


def find_edges(times: Array) -> tuple[float, float]:
    """Outer edges of cells around times, for a picture."""
    half = float(np.median(np.diff(times))) / 2 if len(times) > 1 else 0.5
    return float(times[0]) - half, float(times[-1]) + half


def _find_limit(values: Array) -> float:
    """Range of colours around 0."""
    return float(np.nanmax(np.abs(values))) or 1.0


def find_passed(result: xr.Dataset) -> xr.DataArray | None:
    """Where a fusion passes 0.05, corrected over times and regions; None when it was not tested.

    Parameters
    ----------
    result : Dataset
        With ``p_cluster`` or ``p_fwer`` (roi, time).

    Returns
    -------
    DataArray of bool (roi, time) or None
    """
    known = [name for name in CORRECTED if name in result]
    return (result[known[0]] < ALPHA).transpose("roi", "time") if known else None


def plot_fusion(result: xr.Dataset) -> Figure:
    """Draw the course of each region, and all regions by time.

    Parameters
    ----------
    result : Dataset
        ``score`` (roi, time[, subject]), time in s, such as of a fusion of M/EEG with fMRI. The
        first 8 regions have curves, with a 95 % t-interval over subjects where there are any, and
        a dot at their peak; the first 40 are rows of the heat map. Squares under the curves mark
        times with ``p_cluster`` (or ``p_fwer``) (roi, time) below 0.05, where it is there.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When dims are others, or no score is finite.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> score = xr.DataArray(
    ...     [[0.1, 0.4, 0.2], [0.0, 0.1, 0.3]], dims=("roi", "time"),
    ...     coords={"roi": ["V1", "IT"], "time": [0.0, 0.1, 0.2]},
    ... )
    >>> figure = plot_fusion(score.to_dataset(name="score"))
    >>> [line.get_label() for line in figure.axes[0].lines[::2]]
    ['V1', 'IT', '_child4']
    """
    score = result["score"] if "score" in result else xr.DataArray(0.0)
    if set(score.dims) - {"subject"} != {"roi", "time"}:
        raise SchemaError(
            f"score: expected dims ('roi', 'time'[, 'subject']), got {score.dims}. Select one "
            "value of the others."
        )
    units = score.transpose("roi", "time", ...).values.astype(np.float64)
    units = units.reshape(*units.shape[:2], -1)
    values = average(units, 2)
    if not np.isfinite(values).any():
        raise SchemaError("score: expected finite scores, got none. Check for constant RDMs.")
    time, unit = get_times(score)
    rois = score["roi"].values.tolist() if "roi" in score.coords else list(range(len(values)))
    n_rows = min(MOST_ROWS, len(rois))
    # Pixels are even in time only when samples are.
    figure = new_figure(8.4, 4.0 + 0.24 * n_rows)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 0.5 + 0.24 * n_rows])
    for row, (roi, color) in enumerate(zip(rois[:MOST_CURVES], PALETTE, strict=False)):
        top.plot(time, values[row], color=color, linewidth=1.8, label=write_label(roi, 24))
        if units.shape[2] > 1:
            bounds = np.array([compute_interval(each)[1:3] for each in units[row]])
            top.fill_between(time, bounds[:, 0], bounds[:, 1], color=color, alpha=0.15, linewidth=0)
        if np.isfinite(values[row]).any():
            peak = int(np.nanargmax(values[row]))
            top.plot(time[peak], values[row, peak], "o", color=color, markersize=6, mec="white")
    passed = find_passed(result)
    if passed is not None:
        mark_passed(top, time, passed.values)
    top.axhline(0, color=MUTED, linewidth=0.8)
    top.set_ylabel(f"similarity ({write_label(name_metric(result))})")
    tidy(top, grid="y")
    limit = _find_limit(values)
    edges = np.r_[find_edges(time)[0], (time[1:] + time[:-1]) / 2, find_edges(time)[1]]
    image = below.pcolormesh(
        edges, np.arange(n_rows + 1) - 0.5, values[:n_rows], cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    name_ticks(below, "y", rois[:n_rows], size=8)
    below.set_ylim(n_rows - 0.5, -0.5)
    below.set_xlabel(f"time from onset [{unit}]")
    below.set_ylabel("region")
    tidy(below)
    bar = figure.colorbar(image, ax=below, pad=0.01, aspect=12)
    bar.outline.set_visible(False)
    bar.set_label("similarity", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2)
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    return figure


def mark_passed(axes: Axes, time: Array, passed: Array) -> None:
    """Draw a row of squares under the curves for each that has any."""
    low, high = axes.get_ylim()
    step = 0.05 * (high - low)
    rows = list(zip(passed, PALETTE, strict=False))
    for row, (where, color) in enumerate(rows, 1):
        marked = time[where]
        height = [low - row * step] * len(marked)
        axes.plot(marked, height, "s", color=color, markersize=3.2, gid="passed")
    axes.set_ylim(low - (len(rows) + 1) * step, high)


def average_generalization(result: xr.Dataset) -> dict[str, Array]:
    """Score from time to time of each region: mean over folds and neuroids.

    Parameters
    ----------
    result : Dataset
        Of kind ``generalisation``: ``score`` (fold, neuroid, train_time, time).

    Returns
    -------
    dict of str to array (train_time, time)

    Raises
    ------
    SchemaError
        When it is of another form, or no score is finite.
    """
    schema.check_generalization(result)
    folds = average(result["score"].values, 0)
    everywhere = {"all neuroids": np.ones(len(folds), dtype=bool)}
    groups = group_by_roi(result) if "roi" in result.coords else everywhere
    found = {roi: average(folds[inside], 0) for roi, inside in groups.items()}
    if not any(np.isfinite(values).any() for values in found.values()):
        raise SchemaError("score: expected finite scores, got none. Check for constant responses.")
    return found


def plot_generalization(result: xr.Dataset) -> Figure:
    """Draw how well what was fitted at one time predicts at every other.

    Parameters
    ----------
    result : Dataset
        Of kind ``generalisation``: ``score`` (fold, neuroid, train_time, time), times in s; mean
        over folds and neuroids, one panel for each region (the first 6). Colours are centred on
        ``attrs['chance']`` (0 when not given); the dashed line marks equal times.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it is of another form, or no score is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import generalize_time
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> rng = np.random.default_rng(0)
    >>> images, shown = rng.normal(size=(60, 4)), [f"image-{n}" for n in range(60)]
    >>> values = images[:, :3, None] * [0, 1, 2] + rng.normal(size=(60, 3, 3))
    >>> responses = from_arrays(values, modality="eeg", stimulus=shown, time=[0.0, 0.1, 0.2])
    >>> features = features_from_arrays(images, stimulus=shown)
    >>> result = generalize_time(Ridge(), features, responses, group=None)
    >>> plot_generalization(result).axes[0].get_xlabel()
    'tested at [s]'
    """
    panels = list(average_generalization(result).items())[:MOST_PANELS]
    chance = float(result.attrs.get("chance", 0.0))
    limit = _find_limit(np.stack([values for _, values in panels]) - chance)
    train, unit = get_times(result["score"], "train_time")
    test, _ = get_times(result["score"], "time")
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    side = 4.6 if len(panels) == 1 else 3.0
    figure = new_figure(side * n_columns + 1.1, side * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    image = None
    for number, axes in enumerate(grid.ravel()):
        if number >= len(panels):
            axes.set_axis_off()
            continue
        title, values = panels[number]
        image = axes.imshow(
            values, cmap="RdBu_r", vmin=chance - limit, vmax=chance + limit, origin="lower",
            extent=(*find_edges(test), *find_edges(train)), interpolation="nearest",
        )  # fmt: skip
        mark_diagonal(axes, train, test)
        axes.set_title(write_label(title, 30), fontsize=10, color=INK, loc="left")
        tidy(axes)
        if number % n_columns == 0:
            axes.set_ylabel(f"fitted at [{unit}]")
        if number >= len(panels) - n_columns:
            axes.set_xlabel(f"tested at [{unit}]")
            axes.tick_params(labelbottom=True)
    if image is not None:
        bar = figure.colorbar(image, ax=grid, shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(f"{write_label(name_metric(result))} (white: {chance:g})", fontsize=9)
        bar.ax.tick_params(labelsize=8, length=2)
    return figure


def mark_diagonal(axes: Axes, train: Array, test: Array) -> None:
    """Mark equal times, and onset where it is inside."""
    ends = (max(train[0], test[0]), min(train[-1], test[-1]))
    axes.plot(ends, ends, color=INK, linewidth=0.9, linestyle="--", gid="diagonal")
    for times, mark in ((train, axes.axhline), (test, axes.axvline)):
        if times[0] < 0 < times[-1]:
            mark(0, color=MUTED, linewidth=0.7)
