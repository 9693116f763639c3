"""Figures of learning signatures: maps of places, shifts of fields, splitters, modules by regions.

To add a figure: a function from the result to a Figure, and its row in ``SIGNATURES``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.report._parts import Part, picture
from neuroalign.report._style import (
    ACCENT,
    MUTED,
    PALETTE,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._variables import check_variables

Array = npt.NDArray[Any]
MOST_UNITS = 300


def plot_place_maps(result: xr.Dataset) -> Figure:
    """Draw what each unit does at each place, units in order of their peak.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.map_places`.

    Returns
    -------
    Figure
        One panel a label, all in the order of the first; each unit over its largest value. At most
        300 units.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> maps = xr.DataArray(np.eye(4), {"place": np.arange(4.0)}, ("neuroid", "place"))
    >>> len(plot_place_maps(xr.Dataset({"map": maps})).axes)
    2
    """
    check_variables(result, ("map",), "convergence.map_places")
    maps = result["map"][..., :MOST_UNITS, :]
    panels = [maps] if maps.ndim == 2 else list(maps)
    dim = "" if maps.ndim == 2 else str(maps.dims[0])
    first = panels[0].values
    order = np.where(np.isnan(first), -np.inf, first).argmax(axis=1).argsort(kind="stable")
    top = np.nanmax(np.abs(np.stack([one.values for one in panels])), axis=(0, 2))[:, None]
    place = maps["place"].values.astype(np.float64)
    figure = new_figure(1.2 + 3.2 * len(panels), 1.1 + min(4.5, 1.2 + 0.12 * len(order)))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    half = (place[1] - place[0]) / 2
    for axes, one in zip(grid, panels, strict=True):
        shown = (one.values / np.where(top > 0, top, 1.0))[order]
        drawn = axes.imshow(
            shown, aspect="auto", cmap="viridis", vmin=min(0.0, float(np.nanmin(shown))), vmax=1,
            extent=(place[0] - half, place[-1] + half, len(order), 0), interpolation="nearest",
            gid="maps",
        )  # fmt: skip
        if dim:
            axes.set_title(write_label(f"{dim}: {one[dim].item()}"), fontsize=9)
        axes.set_xlabel("place", fontsize=9)
        tidy(axes)
    grid[0].set_ylabel("unit, by its peak", fontsize=9)
    if len(order) < 12:
        grid[0].set_yticks(np.arange(len(order)) + 0.5, order + 1)
    bar = figure.colorbar(drawn, ax=grid.tolist(), shrink=0.8)
    bar.set_label("over largest", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def plot_field_shifts(result: xr.Dataset) -> Figure:
    """Draw how fields moved and what tails they have, each one and their mean.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.compare_fields`.

    Returns
    -------
    Figure
        Two panels, each with its unit: shift and change of width [place]; skews.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.convergence import compare_fields
    >>> place = np.arange(60.0)
    >>> bells = np.exp(-((place - np.arange(20.0, 40.0)[:, None]) ** 2) / 20)
    >>> maps = xr.DataArray(bells, {"place": place}, ("neuroid", "place"))
    >>> moved = compare_fields(maps, maps.roll(place=-2), n_resamples=50)
    >>> len(plot_field_shifts(moved).axes)
    2
    """
    check_variables(result, ("value", "field"), "convergence.compare_fields")
    figure = new_figure(8.0, 3.4)
    panels = (
        (("shift", "width_change"), "along the run [place]"),
        (("skew_before", "skew_after", "skew_change"), "skewness"),
    )
    rng = np.random.default_rng(0)
    for axes, (names, label) in zip(
        figure.subplots(1, 2, width_ratios=(2, 3)), panels, strict=True
    ):
        for spot, name in enumerate(names):
            one = result.sel(statistic=name)
            each = one["field"].values
            axes.plot(
                spot + rng.uniform(-0.22, 0.22, len(each)), each, ".", color=MUTED, alpha=0.45,
                markersize=4,
            )  # fmt: skip
            passed = bool(one["p_value"] < 0.05)
            axes.vlines(spot, one["lower"], one["upper"], color=PALETTE[0], linewidth=3)
            axes.plot(
                spot, one["value"], "o", color=PALETTE[0], gid=name, markersize=7,
                markerfacecolor=PALETTE[0] if passed else "white",
            )  # fmt: skip
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylabel(label, fontsize=9)
        name_ticks(axes, "x", [name.replace("_", " ") for name in names])
        tidy(axes, grid="y")
    return figure


def plot_state_similarity(result: xr.Dataset) -> Figure:
    """Draw how alike states are by their distance.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.correlate_states`.

    Returns
    -------
    Figure
        Left all pairs of states, right the mean at each distance with its interval.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.convergence import correlate_states
    >>> maps = xr.DataArray(np.eye(6), {"place": np.arange(6.0)}, ("neuroid", "place"))
    >>> len(plot_state_similarity(correlate_states(maps, n_permutations=5)).axes)
    3
    """
    check_variables(result, ("similarity", "curve"), "convergence.correlate_states")
    figure = new_figure(8.5, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    place = result["place"].values
    drawn = left.imshow(
        result["similarity"].values, cmap="viridis", origin="lower", gid="similarity",
        extent=(place[0], place[-1], place[0], place[-1]), vmax=1,
    )  # fmt: skip
    figure.colorbar(drawn, ax=left, shrink=0.75).ax.tick_params(labelsize=8)
    left.set_xlabel("place", fontsize=9)
    left.set_ylabel("place", fontsize=9)
    distance = result["distance"].values
    right.fill_between(
        distance, result["lower"], result["upper"], color=ACCENT, alpha=0.2, linewidth=0
    )
    right.plot(distance, result["curve"], color=ACCENT, marker="o", markersize=3, gid="curve")
    right.axhline(0, color=MUTED, linewidth=0.8)
    right.set_xlabel("distance of states", fontsize=9)
    right.set_ylabel(write_label(result.attrs.get("metric", "similarity")), fontsize=9)
    tidy(left)
    tidy(right, grid="y")
    return figure


def plot_splitter(result: xr.Dataset) -> Figure:
    """Draw where on the common path trials are told apart, and which units tell them.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.splitter_index`.

    Returns
    -------
    Figure
        Left the index of each stretch; dashed the index of the whole path, shaded the middle 95 %
        of its null. Right the separation of each unit, filled where it passes the largest of all.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> found = xr.Dataset(
    ...     {"index": 0.6, "course": ("place", [0.4, 0.5]), "separation": ("neuroid", [1.0, 0.1])},
    ...     {"place": [0.2, 0.6]},
    ... )
    >>> len(plot_splitter(found).axes)
    2
    """
    check_variables(result, ("index", "course", "separation"), "convergence.splitter_index")
    figure = new_figure(8.5, 3.2)
    left, right = figure.subplots(1, 2)
    if "null" in result:
        low, high = np.quantile(result["null"].values, [0.025, 0.975])
        left.axhspan(low, high, color=MUTED, alpha=0.15, linewidth=0, gid="null")
    left.plot(
        result["place"].values, result["course"].values, "o-", color=PALETTE[0], markersize=5,
        gid="course",
    )  # fmt: skip
    left.axhline(float(result["index"]), color=PALETTE[0], linestyle="--", linewidth=1)
    left.axhline(0, color=MUTED, linewidth=0.8)
    left.set_ylim(min(-0.3, float(result["course"].min()) - 0.1), 1.05)
    left.set_xlabel("place on the common path", fontsize=9)
    left.set_ylabel("splitter index", fontsize=9)
    order = np.argsort(result["separation"].values)
    values = result["separation"].values[order]
    passed = np.zeros(len(values), dtype=bool)
    if "p_fwer" in result:
        passed = result["p_fwer"].values[order] < 0.05
    for shown, face in ((passed, PALETTE[1]), (~passed, "white")):
        right.plot(
            np.flatnonzero(shown), values[shown], "o", color=PALETTE[1], markersize=5,
            markerfacecolor=face, gid="separation",
        )  # fmt: skip
    right.axhline(0, color=MUTED, linewidth=0.8)
    right.set_xlabel("unit, in order", fontsize=9)
    right.set_ylabel("separation [sd within types]", fontsize=9)
    right.xaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        tidy(axes, grid="y")
    return figure


def plot_modules(result: xr.Dataset) -> Figure:
    """Draw how alike modules and regions are, and who is matched with whom.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.convergence.match_modules`.

    Returns
    -------
    Figure
        Framed: the one-to-one assignment. Stars: p below .05 for the largest of the table.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> found = xr.Dataset(
    ...     {"score": (("module", "roi"), np.eye(2)), "assigned": ("module", ["V1", "HPC"])},
    ...     {"module": ["encoder", "predictor"], "roi": ["V1", "HPC"]}, {"metric": "cka"},
    ... )
    >>> len(plot_modules(found).axes)
    2
    """
    check_variables(result, ("score", "assigned"), "convergence.match_modules")
    scores = result["score"].values
    modules, regions = result["module"].values.tolist(), result["roi"].values.tolist()
    figure = new_figure(2.6 + 0.9 * len(regions), 1.6 + 0.55 * len(modules))
    axes = figure.subplots()
    drawn = axes.imshow(scores, cmap="viridis", aspect="auto", gid="score")
    middle = (np.nanmin(scores) + np.nanmax(scores)) / 2
    for (row, column), value in np.ndenumerate(scores):
        star = "p_fwer" in result and result["p_fwer"].values[row, column] < 0.05
        axes.text(
            column, row, f"{value:.2f}{'*' if star else ''}", ha="center", va="center", fontsize=9,
            color="black" if value > middle else "white",
        )  # fmt: skip
        if result["assigned"].values[row] == regions[column]:
            axes.plot(
                column + np.array([-1, 1, 1, -1, -1]) * 0.47,
                row + np.array([-1, -1, 1, 1, -1]) * 0.47,
                color=PALETTE[4], linewidth=2.5, gid="assigned",
            )  # fmt: skip
    name_ticks(axes, "x", regions)
    name_ticks(axes, "y", modules)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.9)
    bar.set_label(write_label(result.attrs.get("metric", "score")), fontsize=9)
    bar.ax.tick_params(labelsize=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


Draw = Callable[[xr.Dataset], Figure]
# By method: title, alternative text, caption, figure.
PICTURES: dict[str, tuple[str, str, str, Draw]] = {
    "map_places": (
        "Maps of places", "What each unit does at each place.",
        f"Each unit over its largest value, in order of its peak. At most {MOST_UNITS} units.",
        plot_place_maps,
    ),
    "compare_fields": (
        "Fields before and after", "Shifts, widths and skews of fields.",
        "Dots: fields. Lines: intervals of the mean. Filled: p below .05 by random signs. Below 0: "
        "against the running direction.",
        plot_field_shifts,
    ),
    "correlate_states": (
        "Similarity of states", "Similarity of the population by the distance of states.",
        "Band: bootstrap over units.",
        plot_state_similarity,
    ),
    "splitter_index": (
        "Splitter code", "Decoding of the trial type along the common path; units that tell it.",
        "0 is chance, 1 all trials told. Dashed: all stretches together, with the middle 95 % of "
        "its null. Filled: units with p below .05 for the largest of all.",
        plot_splitter,
    ),
    "match_modules": (
        "Modules and regions", "Similarity of each module with each region.",
        "Framed: the one-to-one assignment. Stars: p below .05 for the largest of the table.",
        plot_modules,
    ),
}  # fmt: skip


def list_signature_parts(result: xr.Dataset) -> list[Part]:
    """Figures of a learning signature.

    Parameters
    ----------
    result : Dataset
        Of a method in ``PICTURES``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    title, alt, caption, draw = PICTURES[str(result.attrs["method"])]
    return [picture(title, alt, caption, lambda: draw(result))]


SIGNATURES = dict.fromkeys(PICTURES, list_signature_parts)
