"""Figures of results; each takes a Dataset and returns a matplotlib Figure."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

INK, ACCENT, MUTED = "#1f2933", "#2a6f97", "#9aa5b1"


def plain(label: object) -> str:
    """Keep matplotlib from reading a label as mathematics."""
    return str(label).replace("$", r"\$")


def neuroid_scores(result: xr.Dataset) -> xr.DataArray:
    """Average the score of an encoding result over folds and times: (neuroid,)."""
    score = result["score"].mean("fold")
    return score.mean("time") if "time" in score.dims else score


def neuroid_ceilings(result: xr.Dataset) -> npt.NDArray[Any] | None:
    """Bound of the metric for each neuroid, or None when no ceiling is known.

    A ceiling is a share of variance: it bounds r2, and its root bounds a correlation.
    """
    if "ceiling" not in result or not np.isfinite(result["ceiling"].values).any():
        return None
    ceiling = result["ceiling"]
    values = (ceiling.mean("time") if "time" in ceiling.dims else ceiling).values
    bound: npt.NDArray[Any] = values if result.attrs.get("metric") == "r2" else np.sqrt(values)
    return bound


def mean_interval(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Mean and the half width of its normal 95 % interval over neuroids."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    spread = finite.std(ddof=1) / np.sqrt(len(finite)) if len(finite) > 1 else np.nan
    return float(finite.mean()), float(1.96 * spread)


def _tidy(figure: Figure) -> Figure:
    for axes in figure.axes:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.set_layout_engine("constrained")
    return figure


def plot_score_histogram(result: xr.Dataset) -> Figure:
    """Show how scores spread over neuroids.

    Parameters
    ----------
    result : Dataset
        Encoding result with ``score`` (fold, neuroid[, time]).

    Returns
    -------
    Figure
    """
    values = neuroid_scores(result).values
    values = values[np.isfinite(values)]
    figure = Figure(figsize=(6, 3.2))
    axes = figure.add_subplot()
    axes.hist(values, bins=40, color=ACCENT, alpha=0.85)
    if len(values):
        axes.axvline(values.mean(), color=INK, linewidth=1.5, label=f"mean {values.mean():.3f}")
        axes.legend(frameon=False)
    axes.axvline(0, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"{plain(result.attrs.get('metric', 'score'))} on held-out samples")
    axes.set_ylabel("neuroids")
    return _tidy(figure)


def plot_roi_bars(result: xr.Dataset) -> Figure:
    """Show the mean score of each region beside its noise ceiling.

    Parameters
    ----------
    result : Dataset
        Encoding result with coord ``roi`` on neuroid.

    Returns
    -------
    Figure
        Bars with 95 % intervals over neuroids; outlined markers are mean ceilings.
    """
    scores, ceilings = neuroid_scores(result).values, neuroid_ceilings(result)
    rois = list(dict.fromkeys(result["roi"].values.tolist()))
    figure = Figure(figsize=(max(4.0, 1.0 + 0.9 * len(rois)), 3.4))
    axes = figure.add_subplot()
    for place, roi in enumerate(rois):
        inside = result["roi"].values == roi
        mean, half = mean_interval(scores[inside])
        axes.bar(place, mean, yerr=half, width=0.62, color=ACCENT, ecolor=INK, capsize=3)
        if ceilings is not None:
            bound, _ = mean_interval(ceilings[inside])
            axes.plot(
                [place - 0.36, place + 0.36],
                [bound, bound],
                color=INK,
                linewidth=2,
                label="noise ceiling" if place == 0 else None,
            )
    axes.set_xticks(range(len(rois)), [plain(roi) for roi in rois])
    axes.set_ylabel(plain(result.attrs.get("metric", "score")))
    axes.axhline(0, color=MUTED, linewidth=0.8)
    if ceilings is not None:
        axes.legend(frameon=False, loc="best")
    return _tidy(figure)


def plot_layer_roi(scores: xr.DataArray) -> Figure:
    """Show the score of every layer in every region.

    Parameters
    ----------
    scores : DataArray (layer, roi)

    Returns
    -------
    Figure
        Heat map with the number in each cell; a frame marks the best layer of a region.
    """
    values = scores.transpose("layer", "roi").values
    layers, rois = scores["layer"].values.tolist(), scores["roi"].values.tolist()
    figure = Figure(figsize=(2.2 + 0.9 * len(rois), 1.4 + 0.5 * len(layers)))
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        colour = "white" if value < middle else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    for column, row in enumerate(np.nanargmax(values, axis=0)):
        frame: dict[str, Any] = {"fill": False, "edgecolor": "#e63946", "linewidth": 2}
        axes.add_patch(Rectangle((column - 0.5, int(row) - 0.5), 1, 1, **frame))
    axes.set_xticks(range(len(rois)), [plain(roi) for roi in rois])
    axes.set_yticks(range(len(layers)), [plain(layer) for layer in layers])
    figure.colorbar(image, ax=axes, label=plain(scores.attrs.get("metric", "score")))
    figure.set_layout_engine("constrained")
    return figure

