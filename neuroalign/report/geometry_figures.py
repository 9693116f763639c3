"""Figures of geometry: spectra, tables of dichotomies, steps and their phases, learning curves."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.geometry.spectrum import fit_line
from neuroalign.report._style import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    PALETTE,
    SECOND,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._summaries import ALPHA
from neuroalign.report._variables import check_variables

Array = npt.NDArray[Any]
MOST_SPECTRA = len(PALETTE)
MOST_ROWS = 40
MOST_NAMES = 32
# What a course of training is called on its axis; alignments share one panel from 0 to 1.
COURSES = {
    "rankme": "effective rank [directions]",
    "smoothed": "effective rank, smoothed [directions]",
    "alpha": "exponent α of the spectrum",
}
ALIGNMENTS = {
    "to_first": "kernel with the first checkpoint",
    "to_last": "kernel with the last checkpoint",
    "to_previous": "kernel with the one before",
    "target": "kernel with the target",
    "tangent_to_first": "tangent kernel with the first",
    "tangent_to_last": "tangent kernel with the last",
}
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))
# Shades of grey, so that a phase is told by its name and not by a colour.
PHASE_SHADES = {"warmup": 0.08, "entropy-seeking": 0.0, "compression-seeking": 0.16}
# A factor between the last and the first step from which they are laid out in logarithms.
WIDE = 50


def _list_spectra(result: xr.Dataset) -> list[tuple[str, Array, float]]:
    """Name, eigenvalues and exponent of each spectrum."""
    if "plain_spectrum" in result:
        return [
            ("cross-validated", result["spectrum"].values, float(result["alpha"])),
            ("one half, noise included", result["plain_spectrum"].values, np.nan),
        ]
    if "layer" not in result.dims:
        return [("spectrum", result["spectrum"].values, float(result["alpha"]))]
    rows = zip(
        result["layer"].values.tolist(),
        result["spectrum"].transpose("layer", "rank").values,
        result["alpha"].values.tolist(),
        strict=True,
    )
    return [(write_label(name, 20), row, alpha) for name, row, alpha in rows]


def plot_spectra(result: xr.Dataset) -> Figure:
    """Draw eigenspectra in logarithms, with the power law that was fitted to them.

    Parameters
    ----------
    result : Dataset
        What `neuroalign.geometry.describe_spectrum` or `cross_validate_spectrum` returned; the
        first 8 layers.

    Returns
    -------
    Figure
        Lines: eigenvalues (those at 0 or below have no logarithm, and are left out). Dashed: the
        fit over its ranks, which the shade marks; its exponent stands in the legend.

    Raises
    ------
    SchemaError
        When it is no such result, or no eigenvalue is above 0.

    References
    ----------
    Stringer et al. (2019), Nature 571, doi:10.1038/s41586-019-1346-5, figure 2.

    Examples
    --------
    >>> from neuroalign.geometry import describe_spectrum
    >>> X = np.random.default_rng(0).normal(size=(300, 40)) * np.arange(1, 41) ** -0.5
    >>> axes = plot_spectra(describe_spectrum(X, ranks=(2, 30))).axes[0]
    >>> axes.get_xscale(), axes.get_yscale()
    ('log', 'log')
    """
    check_variables(result, ("spectrum", "alpha", "rank"), "geometry.describe_spectrum")
    rank = result["rank"].values.astype(np.float64)
    spectra = _list_spectra(result)
    if not any((np.nan_to_num(values) > 0).any() for _, values, _ in spectra):
        raise SchemaError("spectrum: expected values above 0, got none. Check for constant units.")
    first, _, last = str(result.attrs.get("ranks", "")).partition("-")
    fitted = (rank >= float(first or 1)) & (rank <= float(last or 0))
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    for number, (name, values, alpha) in enumerate(spectra[:MOST_SPECTRA]):
        color = PALETTE[number]
        real = np.isfinite(values) & (values > 1e-12 * np.nanmax(values))
        label = f"{name}: α = {alpha:.2f}" if np.isfinite(alpha) else name
        axes.plot(rank[real], values[real], color=color, linewidth=1.7, label=label)
        if np.isfinite(alpha) and fitted.any():
            # Cross-validated values may lie below 0: their sizes were fitted.
            line = fit_line(np.abs(values[fitted]), rank[fitted])
            axes.plot(
                rank[fitted], np.exp(line.intercept) * rank[fitted] ** -alpha, color=INK,
                linewidth=1.1, linestyle="--", gid="fit",
            )  # fmt: skip
    if fitted.any():
        ends = float(rank[fitted][0]), float(rank[fitted][-1])
        axes.axvspan(*ends, color=LINE, alpha=0.45, linewidth=0, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("rank of the component")
    axes.set_ylabel("variance [squared units of the data]")
    tidy(axes)
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    return figure


def plot_dichotomies(table: xr.Dataset) -> Figure:
    """Draw parallelism, generalisation across conditions and decoding of each dichotomy.

    Parameters
    ----------
    table : Dataset
        What `neuroalign.geometry.describe_dichotomies` returned; its first 40 rows.

    Returns
    -------
    Figure
        Left: parallelism score, open, and freed of noise, filled, with its standard error. Middle:
        accuracy on conditions left out (CCGP); ticks are the means of its null, stars q < 0.05.
        Right: decoding of new trials; the dashed line is its mean over all dichotomies, the
        shattering dimensionality.

    Raises
    ------
    SchemaError
        When it is no such table.

    References
    ----------
    Bernardi et al. (2020), Cell 183, doi:10.1016/j.cell.2020.09.031, figure 3.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.geometry import describe_dichotomies
    >>> rng = np.random.default_rng(0)
    >>> X = 5 * np.repeat(np.eye(4), 10, axis=0) + rng.normal(size=(40, 4))
    >>> table = describe_dichotomies(X, conditions=np.repeat(list("abcd"), 10), n_null=20)
    >>> len(plot_dichotomies(table).axes)
    3
    """
    needed = ["dichotomy", "parallelism", "corrected", "corrected_error", "ccgp", "ccgp_null_mean"]
    needed += ["q_value", "decoding", "shattering_dimensionality"]
    check_variables(table, tuple(needed), "geometry.describe_dichotomies")
    n_all = table.sizes["dichotomy"]
    table = table.isel(dichotomy=slice(0, MOST_ROWS))
    column = {name: table[name].values for name in needed if table[name].dims == ("dichotomy",)}
    place = np.arange(table.sizes["dichotomy"])
    figure = new_figure(10.0, 1.5 + 0.26 * max(4, len(place)))
    left, middle, right = figure.subplots(1, 3, sharey=True)
    left.plot(
        column["parallelism"], place, "o", markerfacecolor="none", color=MUTED, label="as measured"
    )
    left.errorbar(
        column["corrected"], place, xerr=column["corrected_error"], fmt="o", color=ACCENT,
        ecolor=INK, elinewidth=1.2, capsize=2, markersize=5, label="freed of noise ± s.e.",
    )  # fmt: skip
    left.axvline(0, color=MUTED, linewidth=0.8)
    left.set_xlabel("parallelism score (cosine)")
    middle.barh(place, column["ccgp"], height=0.62, color=ACCENT, alpha=0.85, label="CCGP")
    middle.plot(
        column["ccgp_null_mean"], place, "|", color=SECOND, markersize=13, markeredgewidth=2.2,
        label="mean of the null",
    )  # fmt: skip
    for row, accuracy, q in zip(place, column["ccgp"], column["q_value"], strict=True):
        middle.text(accuracy + 0.01, row, "*" if q < ALPHA else "", va="center", fontsize=11)
    middle.set_xlabel("CCGP (accuracy)")
    right.barh(place, column["decoding"], height=0.62, color=PALETTE[2], alpha=0.85)
    right.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=":", label="chance")
    mean = float(table["shattering_dimensionality"])
    if np.isfinite(mean):
        right.axvline(
            mean, color=SECOND, linewidth=1.4, linestyle="--", label=f"shattering {mean:.2f}"
        )
    right.set_xlabel("decoding of new trials (accuracy)")
    for axes in (middle, right):
        axes.set_xlim(0, 1.06)
    name_ticks(left, "y", table["dichotomy"].values.tolist(), size=8)
    left.set_ylim(len(place) - 0.4, -0.6)
    for axes in (left, middle, right):
        tidy(axes, grid="x")
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncol=2)
    if n_all > len(place):
        figure.suptitle(f"{len(place)} of {n_all} dichotomies", fontsize=9, color=MUTED, x=0.1)
    return figure


def plot_steps(result: xr.Dataset) -> Figure:
    """Draw how unlike layers, or times, are to each other, with the phases they fall in.

    Parameters
    ----------
    result : Dataset
        What `neuroalign.geometry.compare_steps` or `segment_steps` returned.

    Returns
    -------
    Figure
        Dissimilarities of all pairs of steps. Of a segmentation: boxes around its phases and,
        beside them, the cost of each number of phases and that of the reference; the line marks
        how many were chosen.

    Raises
    ------
    SchemaError
        When it is no such result.

    References
    ----------
    Jacobs, Fel, Hakim, Brondetta, Ba & Keller (2025), arXiv:2512.19941, figure 2.

    Examples
    --------
    >>> from neuroalign.geometry import segment_steps
    >>> block = np.repeat([0, 1, 2], 6)
    >>> found = segment_steps((block[:, None] != block[None, :]) + 0.1)
    >>> [line.get_gid() for line in plot_steps(found).axes[0].lines].count("phase")
    3
    """
    check_variables(result, ("dissimilarity",), "geometry.compare_steps, or segment_steps")
    values = result["dissimilarity"].values
    over = str(result["dissimilarity"].dims[0])
    names = result[over].values.tolist() if over in result.coords else list(range(len(values)))
    divided = "boundary" in result
    figure = new_figure(9.4 if divided else 5.6, 4.4)
    panels = figure.subplots(
        1, 2 if divided else 1, squeeze=False, width_ratios=[1.25, 1][: 1 + divided]
    )[0]
    axes = panels[0]
    image = axes.imshow(values, cmap="viridis", interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label(_name_measure(result), fontsize=9)
    if len(names) <= MOST_NAMES:
        size = 8 if len(names) <= 20 else 6.5
        name_ticks(axes, "x", names, size=size)
        name_ticks(axes, "y", names, size=size)
    axes.set_xlabel(write_label(over))
    axes.set_ylabel(write_label(over))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    if not divided:
        return figure
    edges = [0, *result["boundary"].values.tolist(), len(values)]
    for low, high in pairwise(edges):
        # White on a dark line: seen on any colour of the map.
        for color, width in ((INK, 3.2), ("white", 1.6)):
            axes.plot(
                [low - 0.5, high - 0.5, high - 0.5, low - 0.5, low - 0.5],
                [low - 0.5, low - 0.5, high - 0.5, high - 0.5, low - 0.5],
                color=color, linewidth=width, gid="phase" if color == "white" else None,
                clip_on=False,
            )  # fmt: skip
    _draw_costs(panels[1], result)
    return figure


def _name_measure(result: xr.Dataset) -> str:
    named = {"cosine": "1 - cosine", "squared": "squared distance a unit", "cka": "1 - CKA"}
    return named.get(str(result.attrs.get("measure", "")), "dissimilarity")


def _draw_costs(axes: Axes, result: xr.Dataset) -> None:
    counts = result["n_phases"].values
    chosen = int(result.attrs.get("chosen", result.sizes["boundary"] + 1))
    axes.plot(counts, result["cost"].values, "o-", color=ACCENT, label="these steps")
    axes.plot(
        counts, result["reference_cost"].values, "s--", color=SECOND, markersize=5,
        label="without phases (reference)",
    )  # fmt: skip
    axes.axvline(chosen, color=MUTED, linewidth=1.0, linestyle=":")
    p_value = float(result["p_value"])
    told = f", p = {p_value:.3g}" if np.isfinite(p_value) else ""
    axes.set_title(f"{chosen} phases{told}", fontsize=10, color=INK, loc="left")
    axes.set_xticks(counts)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("number of phases")
    axes.set_ylabel("cost (share of that of one phase)")
    axes.legend(frameon=False, fontsize=9)
    tidy(axes, grid="y")


def plot_learning(result: xr.Dataset) -> Figure:
    """Draw what changes over training: alignment of kernels, effective rank, spectrum, phases.

    Parameters
    ----------
    result : Dataset
        Over ``step``: what `neuroalign.geometry.trace_alignment`, `trace_spectra` or
        `label_phases` returned, or several of them merged.

    Returns
    -------
    Figure
        One panel for alignments (0 to 1), one for each other course, with bands of one standard
        error where ``<name>_error`` is there. Shades and names: phases. Steps that span a factor
        of 50 or more are laid out in logarithms.

    Raises
    ------
    SchemaError
        When there is no course over ``step``.

    Examples
    --------
    >>> from neuroalign.geometry import trace_alignment
    >>> X = np.random.default_rng(0).normal(size=(30, 5))
    >>> found = trace_alignment({0: X, 10: X + X[:, ::-1], 20: X[:, :2]})
    >>> len(plot_learning(found).axes)
    1
    """
    known = set(result.variables) if isinstance(result, xr.Dataset) else set()
    over_steps = {name for name in known if result[name].dims == ("step",)}
    together = [name for name in ALIGNMENTS if name in over_steps]
    panels = [together] if together else []
    panels += [[name] for name in COURSES if name in over_steps]
    panels = [names for names in panels if np.isfinite(result[names[0]].values).any()]
    if not panels:
        raise SchemaError(
            "result: expected courses over 'step', such as 'to_first' or 'rankme', got none. "
            "Take it from geometry.trace_alignment, trace_spectra or label_phases."
        )
    step = result["step"].values.astype(np.float64)
    figure = new_figure(8.0, 0.6 + 2.5 * len(panels))
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, names in zip(grid, panels, strict=True):
        for number, name in enumerate(names):
            values, color = result[name].values, PALETTE[number]
            axes.plot(
                step, values, color=color, linestyle=DASHES[number], linewidth=1.8, marker="o",
                markersize=3.5, label=ALIGNMENTS.get(name), gid=name,
            )  # fmt: skip
            if f"{name}_error" in over_steps:
                error = result[f"{name}_error"].values
                axes.fill_between(
                    step, values - error, values + error, color=color, alpha=0.18, linewidth=0
                )
        alone = names[0] in COURSES
        axes.set_ylabel(COURSES[names[0]] if alone else "alignment (cosine of kernels)", fontsize=9)
        if not alone:
            axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.04)
            axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        tidy(axes, grid="y")
    above = step[step > 0]
    if len(above) > 1 and above[-1] >= WIDE * above[0]:
        # Step 0 has no logarithm: it stands one first step below, on an even piece of the axis.
        first = bool(step[0] <= 0)
        if first:
            grid[0].set_xscale("symlog", linthresh=above[0])
        else:
            grid[0].set_xscale("log")
        grid[0].set_xlim(-0.2 * above[0] if first else 0.85 * above[0], 1.18 * above[-1])
    if {"name", "first", "last"} <= known:
        _shade_phases(grid, result)
    grid[-1].set_xlabel("training step")
    return figure


def _shade_phases(grid: Any, result: xr.Dataset) -> None:
    rows = zip(*(result[name].values.tolist() for name in ("name", "first", "last")), strict=True)
    for name, first, last in rows:
        for axes in grid:
            axes.axvspan(
                first, last, color=INK, alpha=PHASE_SHADES.get(name, 0.0), linewidth=0, zorder=0
            )
            axes.axvline(last, color=MUTED, linewidth=0.8, linestyle=":")
        grid[0].annotate(
            write_label(name), (first, 1.0), (2, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=8, color=INK, rotation=0,
        )  # fmt: skip
