"""Figures of models held against RDMs: bars under a noise ceiling, and their courses in time."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign import schema
from neuroalign.errors import SchemaError, choose
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
from neuroalign.report._summaries import ALPHA, name_metric, name_place

Array = npt.NDArray[Any]
MOST_SLICES = 6
MOST_MODELS = 24
# More lines of pairs than this are harder to read than wings.
MOST_PAIRS = 8
STARS = ((0.001, "***"), (0.01, "**"), (ALPHA, "*"))
# Two RDMs of distances, which are above 0, have a cosine above 0 whatever they are of.
ALWAYS_ABOVE = ("cosine", "whitened_cosine")


class Line(NamedTuple):
    """A line above the bars from one model to another; dots and ticks mark models on it."""

    level: int
    first: int
    last: int
    dots: tuple[int, ...] = ()
    ticks: tuple[int, ...] = ()


def iterate_slices(result: xr.Dataset, *kept: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Go through the regions and other slices of an RSA result.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa``.
    *kept : str
        Dims not to slice, besides models, subjects and resamples.

    Yields
    ------
    (str, Dataset)
        Name of the slice (empty when there is one only), and the slice.
    """
    lead = [str(dim) for dim in result["mean"].dims if dim not in ("model", *kept)]
    for where in np.ndindex(*(result.sizes[dim] for dim in lead)):
        chosen = dict(zip(lead, where, strict=True))
        yield name_place(result, chosen), result.isel(chosen)


def pack_bars(beats: Array) -> list[Line]:
    """One line a pair of models that differ, on as few levels as are needed not to touch.

    Parameters
    ----------
    beats : array of bool (model, model)
        Whether the first is above the second.

    Returns
    -------
    list of Line
    """
    first, last = np.nonzero(np.triu(beats | beats.T))
    order = np.lexsort((first, last - first))
    levels: list[list[tuple[int, int]]] = []
    lines: list[Line] = []
    for low, high in zip(first[order].tolist(), last[order].tolist(), strict=True):
        free = [all(high < a or low > b for a, b in level) for level in levels]
        level = free.index(True) if True in free else len(levels)
        if level == len(levels):
            levels.append([])
        levels[level].append((low, high))
        lines.append(Line(level, low, high))
    return lines


def spread_wings(beats: Array) -> list[Line]:
    """One line a model that is above others: a dot over it, and a tick over each of those.

    Parameters
    ----------
    beats : array of bool (model, model)

    Returns
    -------
    list of Line
    """
    lines: list[Line] = []
    for winner in range(len(beats)):
        below = np.flatnonzero(beats[winner]).tolist()
        if below:
            ends = [winner, *below]
            lines.append(Line(len(lines), min(ends), max(ends), (winner,), tuple(below)))
    return lines


def leave_out(beats: Array) -> list[Line]:
    """No line."""
    return []


PAIRS = {"bars": pack_bars, "wings": spread_wings, "none": leave_out}


def find_winners(one: xr.Dataset) -> Array:
    """Which model is above which other at q < 0.05, in one slice of an RSA result.

    Parameters
    ----------
    one : Dataset
        Of kind ``rsa``, without regions and times.

    Returns
    -------
    array of bool (model, model)
    """
    q, means = one["pairwise_q"].values, one["mean"].values
    beats: Array = (q < ALPHA) & (means[:, None] > means[None])
    return beats


def is_always_above(result: xr.Dataset) -> bool:
    """Whether similarities of an RSA result are above 0 even of unrelated RDMs."""
    return str(result.attrs.get("metric", "")) in ALWAYS_ABOVE


def get_tested(result: xr.Dataset) -> xr.DataArray:
    """What stars and squares are drawn by: q against 0, or p of permuted conditions of a cosine.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa``.

    Returns
    -------
    DataArray
        As ``mean``; NaN for a cosine without permutations.
    """
    if not is_always_above(result):
        return result["q_value"]
    return result.get("p_permutation", xr.full_like(result["mean"], np.nan))


def _write_stars(q: float) -> str:
    return next((stars for limit, stars in STARS if q < limit), "")


def _draw_pairs(axes: Axes, lines: list[Line], top: float, step: float) -> float:
    """Draw lines above the bars; give the height where they end."""
    for line in lines:
        height = top + (line.level + 0.6) * step
        axes.plot(
            [line.first, line.last], [height, height], color=INK, linewidth=1.1, gid="pair",
            marker=None if line.dots else "|", markersize=5,
        )  # fmt: skip
        axes.plot(line.dots, [height] * len(line.dots), "o", color=INK, markersize=4.5)
        axes.plot(line.ticks, [height] * len(line.ticks), "|", color=INK, markersize=6)
    return top + (max((line.level for line in lines), default=-1) + 1.2) * step


def _draw_models(axes: Axes, one: xr.Dataset, subjects: str, pairs: str) -> None:
    means, error = one["mean"].values, np.nan_to_num(one["standard_error"].values)
    scores = one["score"].transpose("model", subjects).values
    rows = np.arange(len(means))
    lower, upper = float(one["ceiling_lower"]), float(one["ceiling_upper"])
    if np.isfinite(lower):
        axes.axhspan(lower, upper, color=LINE, alpha=0.75, linewidth=0, label="noise ceiling")
    axes.bar(rows, means, width=0.66, color=ACCENT, alpha=0.8, label="mean")
    axes.errorbar(
        rows, means, yerr=error, fmt="none", ecolor=INK, elinewidth=1.5, capsize=3,
        label="± standard error",
    )  # fmt: skip
    # Beside one another in their order, so that a subject is at one place of every bar.
    aside = np.linspace(-0.22, 0.22, scores.shape[1]) if scores.shape[1] > 1 else np.zeros(1)
    axes.scatter(
        (rows[:, None] + aside).ravel(), scores.ravel(), s=11, facecolors="white", edgecolors=INK,
        linewidths=0.6, alpha=0.75, zorder=3, label=f"one {write_label(subjects, 20)}",
    )  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=0.8)
    heights = np.fmax.reduce(np.c_[scores, means + error], axis=1, initial=0.0)
    bottom = float(np.fmin.reduce(np.r_[scores.ravel(), means - error], initial=0.0))
    ends = [float(heights.max()), *([upper] if np.isfinite(upper) else [])]
    step = 0.06 * (max(ends) - bottom)
    tested = get_tested(one).values
    for row, height, value in zip(rows.tolist(), heights, tested, strict=True):
        axes.text(row, height + 0.15 * step, _write_stars(value), ha="center", fontsize=10)
    beats = find_winners(one)
    style = ("bars" if beats.sum() <= MOST_PAIRS else "wings") if pairs == "auto" else pairs
    lines = choose(PAIRS, style, "pairs")(beats)
    end = _draw_pairs(axes, lines, max(ends) + 1.1 * step, step)
    axes.set_ylim(bottom - step if bottom < 0 else 0.0, end)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    name_ticks(axes, "x", one["model"].values.tolist())
    tidy(axes, grid="y")


def check_result(result: xr.Dataset) -> str:
    """Check that a Dataset is a whole RSA result with a finite mean, and name its dim of subjects.

    Raises
    ------
    SchemaError
    """
    schema.check_rsa(result)
    apart = [str(dim) for dim in result["score"].dims if dim not in result["mean"].dims]
    needed = ("standard_error", "q_value", "pairwise_q", "ceiling_lower", "ceiling_upper")
    missing = [name for name in needed if name not in result]
    if len(apart) != 1 or missing:
        raise SchemaError(
            f"result: expected one dim of subjects and {', '.join(needed)}, got dims {apart} and "
            f"no {missing}. Take it from rsa.infer."
        )
    if not np.isfinite(result["mean"].values).any():
        raise SchemaError("result: expected finite means, got none. Check for constant RDMs.")
    return apart[0]


def plot_models(result: xr.Dataset, *, pairs: str = "auto") -> Figure:
    """Draw how similar each model is to the RDMs of subjects, under the noise ceiling.

    Bars are means with their standard error, open circles are subjects, the grey band runs from
    the lower to the upper noise ceiling. Stars: above 0 at q < 0.05, 0.01, 0.001; of cosines, which
    are above 0 anyhow, ``p_permutation`` below these. Lines join models that differ at q < 0.05.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa``, as `neuroalign.rsa.infer` returns it; one panel for each region (the
        first 6).
    pairs : {"auto", "bars", "wings", "none"}
        ``bars``: one line a pair that differs; ``wings``: one line a model, with a dot over it and
        ticks over all models that it is above. ``auto``: wings when more than 8 pairs differ.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it is no RSA result, has times, or no mean is finite.
    ValueError
        When ``pairs`` is unknown.

    References
    ----------
    Nili et al. (2014), PLoS Computational Biology 10, e1003553, figure 2.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, infer
    >>> rng = np.random.default_rng(0)
    >>> names = [f"image-{k:02d}" for k in range(12)]
    >>> good, other = rng.random((2, 66))
    >>> people = {f"sub-{s}": from_matrix(good + rng.random(66), names) for s in range(6)}
    >>> models = {"good": from_matrix(good, names), "other": from_matrix(other, names)}
    >>> result = infer(models, people, bootstrap="subjects", n_bootstrap=50)
    >>> [label.get_text() for label in plot_models(result).axes[0].get_xticklabels()]
    ['good', 'other']
    """
    choose({"auto": None, **PAIRS}, pairs, "pairs")
    subjects = check_result(result)
    n_models = result.sizes["model"]
    if "time" in result["mean"].dims or n_models > MOST_MODELS:
        raise SchemaError(
            f"result: expected at most {MOST_MODELS} models and no dim 'time', got {n_models} and "
            f"dims {result['mean'].dims}. Use plot_model_courses, or select."
        )
    slices = list(iterate_slices(result))[:MOST_SLICES]
    n_columns = min(3, len(slices))
    n_rows = -(-len(slices) // n_columns)
    width = max(2.6, 0.55 * n_models + 0.9) if len(slices) > 1 else max(4.2, 0.8 * n_models + 1.2)
    figure = new_figure(min(12.0, width * n_columns + 1.5), 3.4 * n_rows + 0.3)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for number, axes in enumerate(grid.ravel()):
        if number >= len(slices):
            axes.set_axis_off()
            continue
        title, one = slices[number]
        _draw_models(axes, one, subjects, pairs)
        axes.set_title(write_label(title, 34), fontsize=10, color=INK, loc="left")
        if number % n_columns == 0:
            axes.set_ylabel(f"similarity ({write_label(name_metric(result))})")
    drawn = grid.ravel()[: len(slices)]
    reach = np.array([axes.get_ylim() for axes in drawn])
    for axes in drawn:
        # One scale, so that panels can be compared.
        axes.set_ylim(reach[:, 0].min(), reach[:, 1].max())
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right upper")
    return figure


def _find_p(result: xr.Dataset, p_value: xr.DataArray | None) -> xr.DataArray:
    found = get_tested(result) if p_value is None else p_value
    if found.dims != result["mean"].dims or found.shape != result["mean"].shape:
        raise SchemaError(
            f"p_value: expected dims {result['mean'].dims} of shape {result['mean'].shape} as "
            f"'mean', got {found.dims} of shape {found.shape}. Transpose or rename."
        )
    return found


def plot_model_courses(result: xr.Dataset, *, p_value: xr.DataArray | None = None) -> Figure:
    """Draw how similar each model is to the RDMs of subjects at each time.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa`` with ``time`` [s]; the first 8 models, one panel for each region (the
        first 6). The grey band runs from the lower to the upper noise ceiling.
    p_value : DataArray, optional
        Of the dims of ``mean``, corrected, such as of `neuroalign.stats.find_clusters`; otherwise
        what stars of `plot_models` mean. Squares under the curves mark times below 0.05.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it is no RSA result, has no times, or ``p_value`` is of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, infer
    >>> rng = np.random.default_rng(0)
    >>> names = [f"image-{k:02d}" for k in range(12)]
    >>> late = rng.random(66)
    >>> values = np.stack([rng.random((6, 66)), late + 0.3 * rng.random((6, 66))], axis=1)
    >>> people = from_matrix(values, names, lead={"subject": list("abcdef"), "time": [0.0, 0.1]})
    >>> model = {"late": from_matrix(late, names)}
    >>> found = infer(model, people, bootstrap="subjects", n_bootstrap=50)
    >>> plot_model_courses(found).axes[0].get_xlabel()
    'time from onset [s]'
    """
    check_result(result)
    if "time" not in result["mean"].dims:
        raise SchemaError(
            f"result: expected dim 'time', got {result['mean'].dims}. Use plot_models."
        )
    slices = list(iterate_slices(result.assign(_p=_find_p(result, p_value)), "time"))[:MOST_SLICES]
    figure = new_figure(8.2, 3.1 * len(slices) + 0.3)
    grid = figure.subplots(len(slices), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (title, one) in zip(grid, slices, strict=True):
        _draw_courses(axes, one)
        axes.set_title(write_label(title, 60), fontsize=10, color=INK, loc="left")
        axes.set_ylabel(f"similarity ({write_label(name_metric(result))})")
    grid[-1].set_xlabel("time from onset [s]" if "time" in result.coords else "time [samples]")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right upper")
    return figure


def _draw_courses(axes: Axes, one: xr.Dataset) -> None:
    time = one["time"].values if "time" in one.coords else np.arange(one.sizes["time"])
    lower, upper = (one[f"ceiling_{end}"].values for end in ("lower", "upper"))
    axes.fill_between(
        time, lower, upper, color=LINE, alpha=0.75, linewidth=0, label="noise ceiling"
    )
    means = one["mean"].transpose("model", "time").values
    error = one["standard_error"].transpose("model", "time").values
    passed = one["_p"].transpose("model", "time").values < ALPHA
    drawn = list(zip(one["model"].values.tolist(), PALETTE, strict=False))
    low = float(np.fmin.reduce(np.r_[(means - error).ravel(), lower], initial=0.0))
    step = 0.05 * (float(np.fmax.reduce(np.r_[(means + error).ravel(), upper])) - low)
    for row, (name, color) in enumerate(drawn):
        axes.plot(time, means[row], color=color, linewidth=1.8, label=write_label(name, 24))
        axes.fill_between(
            time, means[row] - error[row], means[row] + error[row], color=color, alpha=0.18,
            linewidth=0,
        )  # fmt: skip
        marked = time[passed[row]]
        height = low - (row + 1) * step
        axes.plot(marked, [height] * len(marked), "s", color=color, markersize=3.2, gid="passed")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_ylim(bottom=low - (len(drawn) + 1) * step)
    tidy(axes, grid="y")
