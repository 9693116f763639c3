"""Figures of scores: histogram, regions, layers."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from neuroalign.errors import SchemaError, some
from neuroalign.report._style import (
    ACCENT,
    INK,
    MUTED,
    SECOND,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._summaries import (
    compute_interval,
    get_ceiling,
    get_scores,
    group_by_roi,
    name_metric,
)

MOST_ROIS = 40


def plot_score_histogram(result: xr.Dataset) -> Figure:
    """Histogram of scores over neuroids, with the mean and the mean ceiling.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``: ``score`` (fold, neuroid[, time]), optional ``ceiling``, ``q_value``.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When no score is finite.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> result = cross_validate(Ridge(), data.features, data.responses)
    >>> len(plot_score_histogram(result).axes)
    1
    """
    scores = get_scores(result).values
    finite = np.isfinite(scores)
    figure = new_figure(7.2, 3.1)
    axes = figure.subplots()
    n_bins = min(48, max(8, int(finite.sum() ** 0.5)))
    edges = np.histogram_bin_edges(scores[finite], bins=n_bins).tolist()
    axes.hist(scores[finite], bins=edges, color=ACCENT, alpha=0.32, label="all neuroids")
    if "q_value" in result and result["q_value"].dims == ("neuroid",):
        passed = finite & (result["q_value"].values < 0.05)
        axes.hist(scores[passed], bins=edges, color=ACCENT, label="q < 0.05")
    axes.axvline(0, color=MUTED, linewidth=0.8)
    mean = float(scores[finite].mean())
    axes.axvline(mean, color=INK, linewidth=1.6, label=f"mean {mean:.3f}")
    ceiling = get_ceiling(result)
    if ceiling is not None:
        top = compute_interval(ceiling).mean
        axes.axvline(top, color=SECOND, linewidth=1.6, linestyle="--", label=f"ceiling {top:.3f}")
    axes.set_xlabel(write_label(name_metric(result)))
    axes.set_ylabel("neuroids")
    axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    tidy(axes, grid="y")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_roi_bars(result: xr.Dataset) -> Figure:
    """Mean score of each region with its 95 % interval over neuroids, and the ceiling.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``, with coord ``roi`` on ``neuroid``. The 40 highest regions are drawn.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        Without ``roi``, or when no score is finite.

    Notes
    -----
    The interval is a t-interval over neuroids. Neuroids share noise, so it describes this sample
    and says nothing about other subjects.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> responses = data.responses.assign_coords(roi=("neuroid", ["V1"] * 3 + ["IT"] * 3))
    >>> result = cross_validate(Ridge(), data.features, responses)
    >>> [label.get_text() for label in plot_roi_bars(result).axes[0].get_yticklabels()]
    ['V1', 'IT']
    """
    scores, ceiling = get_scores(result).values, get_ceiling(result)
    groups = group_by_roi(result)
    intervals = {roi: compute_interval(scores[inside]) for roi, inside in groups.items()}
    rois = [roi for roi in groups if intervals[roi].n]
    if len(rois) > MOST_ROIS:
        rois = sorted(rois, key=lambda roi: -intervals[roi].mean)[:MOST_ROIS]
    means = np.array([intervals[roi].mean for roi in rois])
    halves = np.nan_to_num([intervals[roi].high - intervals[roi].mean for roi in rois])
    figure = new_figure(7.2, 1.15 + 0.36 * len(rois))
    axes = figure.subplots()
    rows = np.arange(len(rois))
    axes.barh(rows, means, height=0.62, color=ACCENT, alpha=0.85, label="mean over neuroids")
    axes.errorbar(
        means, rows, xerr=halves, fmt="none", ecolor=INK, elinewidth=1.3, capsize=3, label="95 %"
    )
    if ceiling is not None:
        tops = [compute_interval(ceiling[groups[roi]]).mean for roi in rois]
        axes.scatter(
            tops, rows, s=52, marker="D", facecolors="white", edgecolors=SECOND, linewidths=1.6,
            zorder=3, label="noise ceiling",
        )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.8)
    name_ticks(axes, "y", rois)
    axes.set_ylim(len(rois) - 0.4, -0.6)
    axes.set_xlabel(f"{write_label(name_metric(result))}, interval over neuroids")
    tidy(axes, grid="x")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _write_numbers(axes: Axes, values: np.ndarray, low: float, high: float) -> None:
    """Write each value into its cell, in the ink that its ground allows."""
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        if np.isfinite(value):
            dark = high > low and (value - low) / (high - low) < 0.6
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=9,
                color="white" if dark else INK,
            )  # fmt: skip


def _in_order(planted: xr.DataArray, scores: xr.DataArray) -> xr.DataArray:
    """Planted layers in the order of the regions of the scores, by name where they have names."""
    if planted.dims != ("roi",) or planted.sizes["roi"] != scores.sizes["roi"]:
        raise SchemaError(
            f"planted: expected one layer for each of {scores.sizes['roi']} regions, got "
            f"{dict(planted.sizes)}. Give a DataArray (roi)."
        )
    if "roi" not in planted.coords:
        return planted
    lost = set(scores["roi"].values.tolist()) - set(planted["roi"].values.tolist())
    if lost:
        raise SchemaError(
            f"planted: expected a layer for every region, got none for {some(sorted(lost))}. "
            "Name regions as in scores."
        )
    return planted.sel(roi=scores["roi"].values)


def plot_layer_roi(
    scores: xr.DataArray,
    planted: xr.DataArray | None = None,
    *,
    hatched: np.ndarray | None = None,
    starred: np.ndarray | None = None,
    label: str = "mean score",
) -> Figure:
    """Heat map of layers (rows, in their given order) by regions, with numbers.

    Parameters
    ----------
    scores : DataArray (layer, roi)
    planted : DataArray (roi), optional
        The true layer of each region where it is known; marked by a dot.
    hatched : array of bool (roi,), optional
        Regions whose noise ceiling is too low to judge by.
    starred : array of bool (layer, roi), optional
        Cells that pass a test.
    label : str
        Beside the colour bar.

    Returns
    -------
    Figure
        The best layer of each region is framed.

    Raises
    ------
    SchemaError
        When dims are others, no score is finite, or a region has no planted layer.

    Examples
    --------
    >>> import xarray as xr
    >>> score = [[0.5, 0.2], [0.3, 0.4]]
    >>> coords = {"layer": ["conv1", "fc"], "roi": ["V1", "IT"]}
    >>> axes = plot_layer_roi(xr.DataArray(score, coords, ("layer", "roi"))).axes[0]
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['conv1', 'fc']
    """
    if scores.dims != ("layer", "roi"):
        raise SchemaError(f"scores: expected dims ('layer', 'roi'), got {scores.dims}. Transpose.")
    if planted is not None:
        planted = _in_order(planted, scores)
    values = np.asarray(scores.values, dtype=np.float64)
    if not np.isfinite(values).any():
        raise SchemaError("scores: expected finite scores, got none. Check for constant responses.")
    n_layers, n_rois = values.shape
    low, high = min(0.0, float(np.nanmin(values))), float(np.nanmax(values))
    figure = new_figure(min(11.0, 2.6 + 0.95 * n_rois), min(14.0, 1.3 + 0.46 * n_layers))
    axes = figure.subplots()
    image = axes.imshow(values, cmap="viridis", vmin=low, vmax=high, aspect="auto")
    if values.size <= 200:
        _write_numbers(axes, values, low, high)
    layers = scores["layer"].values.astype(str).tolist()
    for column in range(n_rois):
        if np.isfinite(values[:, column]).any():
            corner = (column - 0.47, int(np.nanargmax(values[:, column])) - 0.46)
            axes.add_patch(Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=SECOND, lw=2.2))
        if hatched is not None and hatched[column]:
            axes.add_patch(
                Rectangle(
                    (column - 0.5, -0.5), 1, n_layers, fill=False, hatch="//", linewidth=0,
                    edgecolor="white", alpha=0.6, gid="hatched",
                )
            )  # fmt: skip
        truth = None if planted is None else str(planted.values[column])
        if truth in layers:
            axes.plot(column + 0.38, layers.index(truth) - 0.3, "o", ms=5, color="white", mec=INK)
    for row, column in np.argwhere(starred) if starred is not None else ():
        axes.plot(
            column - 0.36, row - 0.28, "*", ms=8, color="white", mec=INK, mew=0.6, gid="starred"
        )
    name_ticks(axes, "x", scores["roi"].values.tolist())
    name_ticks(axes, "y", layers)
    axes.set_xlabel("region")
    axes.set_ylabel("layer")
    tidy(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(write_label(label), fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2)
    return figure
