"""Scores under their noise ceiling, as they are and as shares of what can be explained."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Table
from neuroalign.report._parts import Part, picture
from neuroalign.report._style import (
    ACCENT,
    INK,
    MUTED,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._summaries import (
    Interval,
    compute_interval,
    get_ceiling,
    get_scores,
    group_by_roi,
    name_metric,
)
from neuroalign.report.figure_data import to_cell

Array = npt.NDArray[Any]
MOST_REGIONS = 24
# A share of variance: below it a ratio is no measurement.
LEAST_CEILING = 0.1
FORMULAS = {
    "pearson": "ceiling of r = √(share of variance that repeats); normalised = r / ceiling",
    "r2": "ceiling of R² = share of variance that repeats; normalised = R² / ceiling",
}


class Level(NamedTuple):
    """One region: score, ceiling and score over ceiling, each with its interval over neuroids."""

    region: str
    score: Interval
    ceiling: Interval
    normalised: Interval


def get_least_ceiling(result: xr.Dataset) -> float:
    """Least ceiling (a share of variance) under which neuroids are not normalised.

    Parameters
    ----------
    result : Dataset
        ``attrs['min_ceiling']`` where scores were normalised, else 0.1.

    Returns
    -------
    float
    """
    return float(result.attrs.get("min_ceiling", LEAST_CEILING))


def compare_to_ceiling(result: xr.Dataset) -> list[Level]:
    """Average scores, ceilings and their ratio over the neuroids of each region.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding`` with metric ``pearson`` or ``r2`` and a ``ceiling``.

    Returns
    -------
    list of Level
        Only neuroids whose ceiling reaches `get_least_ceiling` have a ratio.

    Raises
    ------
    SchemaError
        Without a finite ceiling of such a metric.
    """
    scores, ceiling = get_scores(result).values, get_ceiling(result)
    if ceiling is None:
        raise SchemaError(
            "result: expected a finite 'ceiling' and metric 'pearson' or 'r2', got none. "
            "Responses need repeats."
        )
    least = get_least_ceiling(result)
    least = np.sqrt(least) if result.attrs["metric"] == "pearson" else least
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((ceiling > 0) & (ceiling >= least), scores / ceiling, np.nan)
    everywhere = {"all neuroids": np.ones(len(scores), dtype=bool)}
    groups = group_by_roi(result) if "roi" in result.coords else everywhere
    return [
        Level(roi, *(compute_interval(one[inside]) for one in (scores, ceiling, ratio)))
        for roi, inside in groups.items()
    ]


def plot_ceiling_bars(result: xr.Dataset) -> Figure:
    """Bars of the score of each region under its ceiling, and beside them the normalised score.

    Parameters
    ----------
    result : Dataset
        As in `compare_to_ceiling`; the first 24 regions are drawn.

    Returns
    -------
    Figure
        Left: mean score with its 95 % t-interval over neuroids; grey band: mean ceiling with its
        interval. Right: mean over neuroids of score / ceiling; the line at 1 is the ceiling.

    Raises
    ------
    SchemaError
        Without a ceiling.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> result = cross_validate(Ridge(), data.features, data.responses, ceiling=data.reliability)
    >>> len(plot_ceiling_bars(result).axes)
    2
    """
    levels = compare_to_ceiling(result)[:MOST_REGIONS]
    figure = new_figure(max(7.2, 2.4 + 0.75 * len(levels)), 3.5)
    left, right = figure.subplots(1, 2)
    place = np.arange(len(levels))
    for axes, which in ((left, "score"), (right, "normalised")):
        bars = np.array([getattr(level, which)[:3] for level in levels])
        reach = np.nan_to_num(bars[:, 2] - bars[:, 0])
        axes.bar(place, bars[:, 0], width=0.62, color=ACCENT, alpha=0.85)
        axes.errorbar(
            place, bars[:, 0], yerr=reach, fmt="none", ecolor=INK, elinewidth=1.3, capsize=3
        )
        name_ticks(axes, "x", [level.region for level in levels], size=8)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        tidy(axes, grid="y")
    for number, level in enumerate(levels):
        middle, low, high, _ = level.ceiling
        low, high = (low, high) if np.isfinite(low) else (middle, middle)
        ends = (number - 0.42, number + 0.42)
        left.fill_between(ends, low, high, color=MUTED, alpha=0.4, linewidth=0)
        left.plot(ends, (middle, middle), color=INK, linewidth=1.2, gid="ceiling")
    right.axhline(1, color=INK, linewidth=1.2, linestyle="--")
    metric = write_label(name_metric(result))
    left.set_ylabel(metric)
    right.set_ylabel(f"{metric} / ceiling")
    left.set_title("as measured, under the ceiling", fontsize=10, color=INK, loc="left")
    right.set_title("normalised", fontsize=10, color=INK, loc="left")
    return figure


def tabulate_levels(result: xr.Dataset) -> Table:
    """One row a region: score, ceiling and normalised score, each with its interval.

    Parameters
    ----------
    result : Dataset
        As in `compare_to_ceiling`.

    Returns
    -------
    Table
    """
    rows = tuple(
        (
            level.region,
            *map(to_cell, (*level.score[:3], *level.ceiling[:3], *level.normalised[:3])),
            level.normalised.n,
        )
        for level in compare_to_ceiling(result)
    )
    columns = ("region", "score", "low", "high", "ceiling", "ceiling low", "ceiling high",
               "normalised", "normalised low", "normalised high", "n normalised")  # fmt: skip
    return Table("Scores under the ceiling", columns, rows, "Intervals: 95 % over neuroids.")


def list_ceiling_parts(result: xr.Dataset) -> list[Part]:
    """The figure of scores under their ceiling; none where no ceiling is known.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    if get_ceiling(result) is None or not np.isfinite(result["score"].values).any():
        return []
    formula = FORMULAS[str(result.attrs["metric"])]
    return [
        picture(
            "Scores under the noise ceiling",
            "Bars of the score of each region under its ceiling, and of their ratio.",
            f"Formula: {formula}. Lines and bands: mean ceiling, 95 % over neuroids. Right: mean "
            f"of ratios over neuroids whose ceiling is {get_least_ceiling(result):g} or more of "
            "the variance; ratios above 1 are chance, and are not clipped.",
            lambda: plot_ceiling_bars(result),
            data=lambda: tabulate_levels(result),
        )
    ]  # fmt: skip
