"""Scores in time: courses under their ceiling, where they pass, when they begin and peak."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Cell, Table
from neuroalign.report._style import INK, MUTED, PALETTE, new_figure, tidy, write_label
from neuroalign.report._summaries import (
    ALPHA,
    average,
    compute_interval,
    get_scores,
    group_by_roi,
    name_metric,
)
from neuroalign.report.figure_data import MOST_VALUES, to_cell
from neuroalign.report.time_figures import get_times, mark_passed

Array = npt.NDArray[Any]
MOST_CURVES = len(PALETTE)
# A region passes at a time when at least this share of its neuroids does.
PASSING_SHARE = 0.1
N_DRAWS = 500


@dataclass(frozen=True)
class Course:
    """One region in time: ``bounds`` (time, 3) mean, low and high, and (neuroid, time) values."""

    region: str
    bounds: Array
    values: Array
    ceiling: Array | None  # (time,)
    passed: Array | None  # bool (time,)


def _get_ceiling_in_time(result: xr.Dataset) -> Array | None:
    """Ceiling (neuroid, time) in units of the metric, or None."""
    metric = result.attrs.get("metric")
    if "ceiling" not in result or metric not in ("pearson", "r2"):
        return None
    like = result["score"].isel(fold=0, drop=True)
    values = result["ceiling"].broadcast_like(like).transpose("neuroid", "time").values
    return np.sqrt(np.clip(values, 0, None)) if metric == "pearson" else values


def summarise_courses(result: xr.Dataset) -> list[Course]:
    """Average scores over folds and neuroids at each time, by region.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding`` with ``score`` (fold, neuroid, time), optional ``ceiling`` and
        ``q_value`` (neuroid[, time]).

    Returns
    -------
    list of Course
        One for all neuroids where there is no ``roi``.

    Raises
    ------
    SchemaError
        Without ``time``, or when no score is finite.
    """
    score = result["score"]
    if "time" not in score.dims:
        raise SchemaError(f"score: expected dim 'time', got {score.dims}. Nothing to draw in time.")
    get_scores(result)
    values = average(score.transpose("fold", "neuroid", "time").values, 0)
    ceiling = _get_ceiling_in_time(result)
    tested = None
    if "q_value" in result and set(result["q_value"].dims) == {"neuroid", "time"}:
        tested = result["q_value"].transpose("neuroid", "time").values < ALPHA
    everywhere = {"all neuroids": np.ones(len(values), dtype=bool)}
    groups = group_by_roi(result) if "roi" in result.coords else everywhere
    return [
        Course(
            roi,
            np.array([compute_interval(column)[:3] for column in values[inside].T]),
            values[inside],
            None if ceiling is None else average(ceiling[inside], 0),
            None if tested is None else tested[inside].mean(axis=0) >= PASSING_SHARE,
        )
        for roi, inside in groups.items()
    ]


def plot_time_course(result: xr.Dataset) -> Figure:
    """Mean score over neuroids at each time, with its 95 % interval over neuroids.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding`` with ``score`` (fold, neuroid, time); ``time`` [s]. One curve for each
        region where ``roi`` is there (the first 8), else one for all. Dashed: mean noise ceiling,
        where ``ceiling`` is there. Squares under the axis: times at which at least a tenth of the
        region's neuroids have ``q_value`` below 0.05, where it has times.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        Without ``time``, or when no score is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> rng = np.random.default_rng(0)
    >>> images, shown = rng.normal(size=(60, 4)), [f"image-{n}" for n in range(60)]
    >>> values = images[:, :3, None] * [0, 1, 2] + rng.normal(size=(60, 3, 3))
    >>> responses = from_arrays(values, modality="eeg", stimulus=shown, time=[0.0, 0.1, 0.2])
    >>> features = features_from_arrays(images, stimulus=shown)
    >>> result = cross_validate(Ridge(), features, responses, group=None)
    >>> plot_time_course(result).axes[0].get_xlabel()
    'time from onset [s]'
    """
    courses = summarise_courses(result)[:MOST_CURVES]
    score = result["score"]
    time, unit = get_times(score)
    figure = new_figure(7.2, 3.3)
    axes = figure.subplots()
    for course, color in zip(courses, PALETTE, strict=False):
        name = write_label(course.region, 24)
        axes.plot(time, course.bounds[:, 0], color=color, linewidth=1.8, label=name)
        axes.fill_between(
            time, course.bounds[:, 1], course.bounds[:, 2], color=color, alpha=0.18, linewidth=0
        )
    for course, color in zip(courses, PALETTE, strict=False):
        if course.ceiling is not None and np.isfinite(course.ceiling).any():
            axes.plot(time, course.ceiling, color=color, linewidth=1, linestyle="--", gid="ceiling")
    if any(line.get_gid() == "ceiling" for line in axes.lines):
        axes.plot([], [], color=INK, linewidth=1, linestyle="--", label="noise ceiling")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    if time[0] < 0 < time[-1]:
        axes.axvline(0, color=MUTED, linewidth=0.8)
    passed = [course.passed for course in courses if course.passed is not None]
    if passed:
        mark_passed(axes, time, np.array(passed))
    axes.set_xlabel(f"time from onset [{unit}]" if unit == "s" else f"time [{unit}]")
    axes.set_ylabel(write_label(name_metric(result)))
    tidy(axes, grid="y")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def tabulate_courses(result: xr.Dataset) -> Table:
    """One row a region and time: mean score, its interval, the ceiling, and whether it passes.

    Parameters
    ----------
    result : Dataset
        As in `plot_time_course`.

    Returns
    -------
    Table
    """
    time, unit = get_times(result["score"])
    rows: list[tuple[Cell, ...]] = []
    courses = summarise_courses(result)
    for course in courses:
        top = np.full(len(time), np.nan) if course.ceiling is None else course.ceiling
        passed = [None] * len(time) if course.passed is None else course.passed.astype(int)
        for when, bounds, ceiling, mark in zip(time, course.bounds, top, passed, strict=True):
            said = None if mark is None else int(mark)
            rows.append((course.region, *map(to_cell, (when, *bounds, ceiling)), said))
    cut = f"The first {MOST_VALUES} of {len(rows)} rows." if len(rows) > MOST_VALUES else ""
    columns = ("region", f"time [{unit}]", "mean", "95 % low", "95 % high", "ceiling", "passes")
    return Table("Time course", columns, tuple(rows[:MOST_VALUES]), cut)


def find_first(bounds: Array) -> int | None:
    """First of two neighbouring times at which the interval lies above 0.

    Parameters
    ----------
    bounds : array (time, 3)
        Mean, low and high.

    Returns
    -------
    int or None
    """
    above = bounds[:, 1] > 0
    both = np.flatnonzero(above[:-1] & above[1:])
    return int(both[0]) if len(both) else None


def tabulate_onsets(result: xr.Dataset) -> Table:
    """One row a region: when its mean score begins and peaks, with a bootstrap over neuroids.

    Parameters
    ----------
    result : Dataset
        As in `plot_time_course`.

    Returns
    -------
    Table
        Onset: the first of two neighbouring times at which the 95 % interval of the mean lies above
        0. Peak: the time of the largest mean, with the 2.5th and 97.5th percentile of 500 draws of
        neuroids with replacement (seed 0).
    """
    time, unit = get_times(result["score"])
    rng = np.random.default_rng(0)
    rows: list[tuple[Cell, ...]] = []
    for course in summarise_courses(result):
        known = course.values[np.isfinite(course.values).all(axis=1)]
        if not len(known):
            rows.append((course.region, *[None] * 5))
            continue
        means = course.bounds[:, 0]
        drawn = rng.integers(len(known), size=(N_DRAWS, len(known)))
        peaks = np.array([time[int(known[one].mean(axis=0).argmax())] for one in drawn])
        low, high = np.quantile(peaks, [0.025, 0.975])
        first, best = find_first(course.bounds), int(np.nanargmax(means))
        begin = None if first is None else to_cell(time[first])
        rows.append((course.region, begin, *map(to_cell, (time[best], low, high, means[best]))))
    columns = ("region", f"onset [{unit}]", f"peak [{unit}]", "peak low", "peak high", "score")
    caption = (
        "Onset: first of two neighbouring times at which the 95 % interval of the mean over "
        "neuroids is above 0; it depends on their number. Low and high: 95 % bootstrap over "
        f"neuroids, {N_DRAWS} draws. They speak of these neuroids, not of other subjects."
    )
    return Table("Onsets and peaks", columns, tuple(rows), caption)
