"""Figures of RDMs in time: what regions and models share, noise ceilings, and what lasts."""

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
    LINE,
    MUTED,
    PALETTE,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._summaries import (
    ALPHA,
    average,
    compute_interval,
    name_metric,
    name_place,
)
from neuroalign.report.time_figures import find_edges, get_times, mark_diagonal, mark_passed

Array = npt.NDArray[Any]
MOST_MODELS = 4
MOST_ROWS = 4
MOST_REGIONS = 40
TESTED = ("commonality_p_cluster", "commonality_p_fwer")
ENDS = ("lower", "upper")


def _draw_region(axes: Axes, time: Array, units: Array, color: str, label: str) -> None:
    """One curve (time, subject) with its interval over subjects."""
    values = average(units, 1)
    axes.plot(time, values, color=color, linewidth=1.8, label=label)
    if units.shape[1] > 1:
        bounds = np.array([compute_interval(each)[1:3] for each in units])
        axes.fill_between(time, bounds[:, 0], bounds[:, 1], color=color, alpha=0.15, linewidth=0)


def plot_commonality(result: xr.Dataset) -> Figure:
    """Draw the variance of RDMs in time that each model and each region explain in common.

    Parameters
    ----------
    result : Dataset
        ``commonality`` (model, roi, time[, subject]), as `neuroalign.rsa.fuse` gives it with a
        ``model``: a panel for each of the first 4 models, a curve for each of the first 8 regions,
        with a 95 % t-interval over subjects where there are any. Squares mark times below 0.05 in
        ``commonality_p_cluster`` (or ``_p_fwer``).

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When there is no such variable, or it is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, fuse
    >>> rng = np.random.default_rng(0)
    >>> region = rng.random((2, 45))
    >>> course = np.stack([rng.random((4, 45)), region[[0] * 4], region[[1] * 4]], axis=1)
    >>> names, lead = list("abcdefghij"), {"subject": list("wxyz"), "time": [0.0, 0.1, 0.2]}
    >>> meg = from_matrix(course + 0.1 * rng.random(course.shape), names, lead=lead)
    >>> fmri = from_matrix(region, names, lead={"roi": ["V1", "IT"]})
    >>> edges = {"edges": from_matrix(region[0], names)}
    >>> figure = plot_commonality(fuse(meg, fmri, model=edges, n_permutations=50, n_bootstrap=10))
    >>> len(figure.axes)  # one model
    1
    """
    found = result.get("commonality", xr.DataArray(0.0))
    if set(found.dims) - {"subject"} != {"model", "roi", "time"}:
        raise SchemaError(
            f"commonality: expected dims ('model', 'roi', 'time'[, 'subject']), got {found.dims}. "
            "Pass model= to rsa.fuse."
        )
    values = found.transpose("model", "roi", "time", ...).values.astype(np.float64)
    values = values.reshape(*values.shape[:3], -1)[:MOST_MODELS]
    if not np.isfinite(values).any():
        raise SchemaError("commonality: expected finite values, got none. Check for constant RDMs.")
    time, unit = get_times(found)
    rois = found["roi"].values.tolist() if "roi" in found.coords else list(range(values.shape[1]))
    tested = next((result[name] for name in TESTED if name in result), None)
    figure = new_figure(8.2, 2.6 * len(values) + 0.4)
    grid = figure.subplots(len(values), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for number, axes in enumerate(grid):
        for row, color in zip(values[number], PALETTE, strict=False):
            place = len(axes.lines)
            _draw_region(axes, time, row, color, write_label(rois[place], 24))
        axes.axhline(0, color=MUTED, linewidth=0.8, label="_zero")
        title = f"with model {found['model'].values[number]}"
        axes.set_title(write_label(title, 60), fontsize=10, color=INK, loc="left")
        axes.set_ylabel("shared variance (R²)")
        tidy(axes, grid="y")
    if tested is not None:
        passed = (tested < ALPHA).transpose("model", "roi", "time").values
        # Panels share their limits, below which each has its marks.
        limits = grid[0].get_ylim()
        for axes, where in zip(grid, passed, strict=False):
            axes.set_ylim(limits)
            mark_passed(axes, time, where)
    grid[-1].set_xlabel(f"time from onset [{unit}]")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right upper")
    return figure


def plot_ceilings(result: xr.Dataset) -> Figure:
    """Draw the noise ceilings of both sides of a fusion, and how near the similarities come.

    Parameters
    ----------
    result : Dataset
        ``time_ceiling_lower`` and ``_upper`` (time), ``roi_ceiling_lower`` and ``_upper`` (roi),
        or one of both, and ``mean`` (roi, time), as `neuroalign.rsa.fuse` gives them. Grey: from
        the lower to the upper ceiling; curves and dots: mean similarity, and its largest of each
        region.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When there is no ceiling.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, fuse
    >>> rng = np.random.default_rng(0)
    >>> region = rng.random((2, 45))
    >>> course = np.stack([rng.random((4, 45)), region[[0] * 4], region[[1] * 4]], axis=1)
    >>> names, lead = list("abcdefghij"), {"subject": list("wxyz"), "time": [0.0, 0.1, 0.2]}
    >>> meg = from_matrix(course + 0.1 * rng.random(course.shape), names, lead=lead)
    >>> fmri = from_matrix(region, names, lead={"roi": ["V1", "IT"]})
    >>> figure = plot_ceilings(fuse(meg, fmri, n_permutations=50, n_bootstrap=10))
    >>> len(figure.axes)
    1
    """
    sides = [side for side in ("time", "roi") if f"{side}_ceiling_lower" in result]
    if not sides or "mean" not in result:
        raise SchemaError(
            "result: expected 'mean' and noise ceilings of time or regions, got neither of "
            "both. Pass RDMs of several subjects to rsa.fuse."
        )
    mean = result["mean"].transpose("roi", "time")
    rois = mean["roi"].values.tolist() if "roi" in mean.coords else list(range(len(mean)))
    widths = {"time": 5.2, "roi": 3.4}
    figure = new_figure(sum(widths[side] for side in sides) + 1.2, 3.6)
    grid = figure.subplots(
        1, len(sides), squeeze=False, sharey=True, width_ratios=[widths[side] for side in sides]
    )[0]
    for axes, side in zip(grid, sides, strict=True):
        lower, upper = (result[f"{side}_ceiling_{end}"].values for end in ENDS)
        draw = {"time": _draw_time_ceiling, "roi": _draw_region_ceilings}[side]
        draw(axes, mean, (lower, upper), rois)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        tidy(axes, grid="y")
    grid[0].set_ylabel(f"similarity ({write_label(name_metric(result))})")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right upper")
    return figure


def _draw_time_ceiling(
    axes: Axes, mean: xr.DataArray, ends: tuple[Array, Array], rois: list[Any]
) -> None:
    time, unit = get_times(mean)
    axes.fill_between(
        time, *ends, color=LINE, alpha=0.85, linewidth=0, label="ceiling", gid="ceiling"
    )
    for row, roi, color in zip(mean.values, rois, PALETTE, strict=False):
        axes.plot(time, row, color=color, linewidth=1.6, label=write_label(roi, 24))
    axes.set_title("subjects in time", fontsize=10, color=INK, loc="left")
    axes.set_xlabel(f"time from onset [{unit}]")


def _draw_region_ceilings(
    axes: Axes, mean: xr.DataArray, ends: tuple[Array, Array], rois: list[Any]
) -> None:
    n = min(MOST_REGIONS, len(rois))
    rows = np.arange(n)
    lower, upper = (one[:n] for one in ends)
    axes.bar(
        rows, upper - lower, bottom=lower, width=0.7, color=LINE, alpha=0.85, label="ceiling",
        gid="ceiling",
    )  # fmt: skip
    best = np.fmax.reduce(mean.values[:n], axis=1)
    axes.scatter(rows, best, s=30, color=ACCENT, zorder=3, label="largest over time")
    axes.set_title("subjects in regions", fontsize=10, color=INK, loc="left")
    axes.set_xlim(-0.6, n - 0.4)
    name_ticks(axes, "x", rois[:n])


def plot_rdm_generalization(result: xr.Dataset) -> Figure:
    """Draw how alike RDMs of every two times are, and what of it reliability allows.

    Parameters
    ----------
    result : Dataset
        ``score`` and ``corrected`` (..., time, time_other), ``reliability`` (..., time), as
        `neuroalign.rsa.generalize_rdms` gives them; a row for each of the first 4 slices. The
        dashed line marks equal times; white is 0. Corrected values are cut at -1 and 1, and grey
        where there is no reliability to correct by.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When variables are missing, or nothing is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, generalize_rdms
    >>> rng = np.random.default_rng(0)
    >>> early, late = rng.random((2, 45))
    >>> values = np.stack([early, early, late]) + rng.normal(0, 0.05, (5, 3, 45))
    >>> lead = {"subject": list("vwxyz"), "time": [0.1, 0.2, 0.3]}
    >>> found = generalize_rdms(from_matrix(values, list("abcdefghij"), lead=lead))
    >>> plot_rdm_generalization(found).axes[0].collections[0].get_array().shape  # times by times
    (3, 3)
    """
    needed = ("score", "corrected", "reliability")
    missing = [name for name in needed if name not in result]
    if missing or result["score"].dims[-2:] != ("time", "time_other"):
        raise SchemaError(
            "result: expected 'score' and 'corrected' (..., time, time_other) and 'reliability', "
            f"got none of {missing or 'these dims'}. Take it from rsa.generalize_rdms."
        )
    score = result["score"]
    if not np.isfinite(score.values).any():
        raise SchemaError("score: expected finite scores, got none. Check for constant RDMs.")
    lead = [str(dim) for dim in score.dims[:-2]]
    places = list(np.ndindex(*(score.sizes[dim] for dim in lead)))[:MOST_ROWS]
    shown = [dict(zip(lead, where, strict=True)) for where in places]
    limit = max(float(np.nanmax(np.abs(score.isel(one).values))) for one in shown) or 1.0
    time, unit = get_times(score)
    figure = new_figure(10.4, 3.0 * len(shown) + 0.4)
    grid = figure.subplots(len(shown), 3, squeeze=False, width_ratios=[1, 1, 1.05])
    metric = write_label(name_metric(result))
    for row, chosen in zip(grid, shown, strict=True):
        one = result.isel(chosen)
        name = name_place(score, chosen)
        image = _draw_matrix(row[0], one["score"].values, time, limit)
        _add_scale(figure, row[0], image, f"similarity ({metric})")
        cut = np.clip(one["corrected"].values, -1, 1)
        image = _draw_matrix(row[1], cut, time, 1.0)
        _add_scale(figure, row[1], image, "corrected for reliability")
        row[2].plot(time, one["reliability"].values, color=ACCENT, linewidth=1.8, gid="reliability")
        if "standard_error" in one:
            error = np.diagonal(one["standard_error"].values)
            known = one["reliability"].values
            row[2].fill_between(
                time, known - error, known + error, color=ACCENT, alpha=0.18, linewidth=0
            )
        row[2].axhline(0, color=MUTED, linewidth=0.8)
        row[2].set_ylabel(f"reliability ({metric})")
        tidy(row[2], grid="y")
        row[0].set_ylabel(f"time [{unit}]")
        for axes, words in zip(row, ("between units", "corrected", "equal times"), strict=True):
            text = f"{name}: {words}" if name else words
            axes.set_title(write_label(text, 34), fontsize=10, color=INK, loc="left")
            axes.set_xlabel(f"time [{unit}]")
    return figure


def _draw_matrix(axes: Axes, values: Array, time: Array, limit: float) -> Any:
    axes.set_facecolor(LINE)
    low, high = find_edges(time)
    inner = (time[1:] + time[:-1]) / 2
    edges = np.r_[low, inner, high]
    image = axes.pcolormesh(
        edges, edges, np.ma.masked_invalid(values), cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    mark_diagonal(axes, time, time)
    axes.set_aspect("equal")
    tidy(axes)
    return image


def _add_scale(figure: Figure, axes: Axes, image: Any, label: str) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
