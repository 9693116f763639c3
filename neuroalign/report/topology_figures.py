"""Figures of shape: bars that come and go, thresholds that tell sources apart, angles on a ring."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign import topology
from neuroalign.errors import SchemaError, some
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
from neuroalign.report._variables import check_variables

Array = npt.NDArray[Any]
# Homology by dimension: a colour and a marker each, so that no colour stands alone.
FEATURES = (
    ("components", PALETTE[0], "o"),
    ("loops", PALETTE[4], "^"),
    ("voids", PALETTE[2], "s"),
)
QUARTERS = (0, np.pi / 2, np.pi, 3 * np.pi / 2, 2 * np.pi)
QUARTER_NAMES = ("0", "π/2", "π", "3π/2", "2π")


def _name_distance(diagrams: xr.Dataset) -> str:
    metric = write_label(diagrams.attrs.get("metric", ""))
    return f"distance ({metric})" if metric else "distance"


def count_alive(bars: Array) -> tuple[Array, Array]:
    """Betti curve of one diagram, exactly: the distances at which it changes, and its values.

    Parameters
    ----------
    bars : array (bar, 2)
        Births and deaths; a death may be infinite.

    Returns
    -------
    array (event,)
        Finite births and deaths, rising.
    array (event,)
        Bars alive from each of them to the next: birth <= t < death.
    """
    events = np.unique(bars[np.isfinite(bars)])
    born = np.searchsorted(np.sort(bars[:, 0]), events, side="right")
    died = np.searchsorted(np.sort(bars[:, 1]), events, side="right")
    return events, born - died


def plot_persistence(diagrams: xr.Dataset) -> Figure:
    """Draw a persistence diagram, and how many components, loops and voids live at each distance.

    Parameters
    ----------
    diagrams : Dataset
        What `neuroalign.topology.compute_persistence` returned for points or one RDM.

    Returns
    -------
    Figure
        Left: each bar at its birth and death; the higher above the line, the longer it lives. Bars
        that never die lie on the dashed line. Right: Betti curves, from the same bars.

    Raises
    ------
    SchemaError
        When it holds no diagrams, those of a stack, or no bar.

    References
    ----------
    Edelsbrunner & Harer (2010), Computational Topology, chapter VII.

    Examples
    --------
    >>> import xarray as xr
    >>> bars = {"dimension": [0, 0], "birth": [0.0, 0.0], "death": [float("inf"), 1.0]}
    >>> diagrams = xr.Dataset({name: ("pair_id", column) for name, column in bars.items()})
    >>> [axes.get_ylabel() for axes in plot_persistence(diagrams).axes]
    ['death: distance', 'components']
    """
    check_variables(diagrams, ("dimension", "birth", "death"), "topology.compute_persistence")
    dimension = diagrams["dimension"].values
    if dimension.ndim != 1 or not len(dimension):
        raise SchemaError(
            f"diagrams: expected one diagram with bars, got dims {diagrams['dimension'].dims} of "
            f"shape {dimension.shape}. Select one with isel."
        )
    both = np.column_stack([diagrams["birth"].values, diagrams["death"].values])
    highest = int(diagrams.attrs.get("max_dim", dimension.max(initial=0)))
    shown = [(k, both[dimension == k], *FEATURES[k]) for k in range(min(highest, 2) + 1)]
    finite = both[np.isfinite(both)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    span = (high - low) or 1.0
    forever = high + 0.12 * span
    figure = new_figure(9.6, 4.2)
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=[1.0, 1.15]))
    for part in (left, right):
        part.set_facecolor("white")
    axes = left.subplots()
    axes.plot([low, forever], [low, forever], color=MUTED, linewidth=0.9, gid="diagonal")
    for k, bars, name, color, marker in shown:
        deaths = np.where(np.isfinite(bars[:, 1]), bars[:, 1], forever)
        axes.plot(
            bars[:, 0], deaths, marker, color=color, markersize=6, alpha=0.75, gid=f"H{k}",
            markeredgecolor="white", markeredgewidth=0.5, label=f"{name} (H{k}, {len(bars)})",
        )  # fmt: skip
    if not np.isfinite(both[:, 1]).all():
        axes.axhline(forever, color=MUTED, linewidth=0.9, linestyle="--")
        axes.annotate(
            "∞", (1.0, forever), (3, 0), xycoords=("axes fraction", "data"), va="center",
            textcoords="offset points", color=MUTED, fontsize=12, annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(low - 0.04 * span, forever + 0.04 * span)
    axes.set_ylim(low - 0.04 * span, forever + 0.06 * span)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel(f"birth: {_name_distance(diagrams)}")
    axes.set_ylabel(f"death: {_name_distance(diagrams)}")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(axes)
    curves = right.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (_, bars, name, color, _) in zip(curves, shown, strict=True):
        events, alive = count_alive(bars)
        last = alive[-1:] if len(alive) else np.zeros(1)
        panel.step(
            [low, *events, forever], [0, *alive, *last], where="post", color=color, linewidth=1.6
        )
        panel.set_ylim(0, 1.08 * max(1, int(alive.max(initial=0))))
        panel.yaxis.get_major_locator().set_params(integer=True)
        panel.set_ylabel(name)
        tidy(panel, grid="y")
    curves[0].set_title("alive at each distance (Betti curves)", fontsize=10, color=INK, loc="left")
    curves[-1].set_xlabel(_name_distance(diagrams))
    return figure


def _lay_out(lower: Array, upper: Array, values: Array) -> tuple[Array, Array, Array]:
    """Grid (upper, lower) of values at pairs of thresholds, NaN where there is none."""
    rows, columns = np.unique(upper.round(9)), np.unique(lower.round(9))
    grid = np.full((len(rows), len(columns)), np.nan)
    grid[np.searchsorted(rows, upper.round(9)), np.searchsorted(columns, lower.round(9))] = values
    return rows, columns, grid


def _draw_grid(axes: Axes, result: xr.Dataset, name: str, label: str, colours: str) -> None:
    rows, columns, grid = _lay_out(
        result["lower"].values, result["upper"].values, result[name].values
    )
    halves = [float(np.diff(x).min()) / 2 if len(x) > 1 else 0.05 for x in (columns, rows)]
    extent = (
        columns[0] - halves[0], columns[-1] + halves[0], rows[0] - halves[1], rows[-1] + halves[1],
    )  # fmt: skip
    image = axes.imshow(
        grid, origin="lower", extent=extent, cmap=colours, interpolation="nearest", aspect="equal"
    )
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.85, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2)
    axes.set_xlabel("lower threshold l (quantile)")
    axes.set_ylabel("upper threshold u (quantile)")
    tidy(axes)


def plot_thresholds(result: xr.Dataset) -> Figure:
    """Draw how often sources are found again at each pair of thresholds, with its standard error.

    Parameters
    ----------
    result : Dataset
        What `neuroalign.topology.select_source` returned.

    Returns
    -------
    Figure
        Accuracy over the (l, u) grid, with circles at the thresholds that were chosen without each
        subject, the larger the more often; its standard error over bootstrap samples, where there
        are any; accuracy with nested thresholds beside plain RDMs, with chance.

    Raises
    ------
    SchemaError
        When it is no result of that function.

    References
    ----------
    Lin & Kriegeskorte (2024), PNAS 121, doi:10.1073/pnas.2317881121, figures 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> from neuroalign.topology import select_source
    >>> rng = np.random.default_rng(0)
    >>> values = rng.random((3, 66)) + 0.1 * rng.random((5, 3, 66))
    >>> lead = {"subject": list("abcde"), "roi": ["V1", "V4", "IT"]}
    >>> rdms = from_matrix(values, [f"c{n:02d}" for n in range(12)], lead=lead)
    >>> found = select_source(rdms, step=0.25, n_bootstrap=5)
    >>> len(plot_thresholds(found).axes)
    5
    """
    needed = ("accuracy", "lower", "upper", "mean", "representation", "chance", "selected_lower")
    check_variables(result, needed, "topology.select_source")
    panels = [("accuracy", "accuracy", "viridis")]
    if "accuracy_error" in result:
        panels.append(("accuracy_error", "standard error of accuracy", "cividis"))
    figure = new_figure(4.1 * len(panels) + 3.0, 3.7)
    grid = figure.subplots(1, len(panels) + 1, width_ratios=[1.35] * len(panels) + [1])
    for axes, (name, label, colours) in zip(grid, panels, strict=False):
        _draw_grid(axes, result, name, label, colours)
    chosen = np.column_stack([result["selected_lower"].values, result["selected_upper"].values])
    places, counts = np.unique(chosen.round(9), axis=0, return_counts=True)
    grid[0].scatter(
        places[:, 0], places[:, 1], s=30 + 120 * counts / counts.sum(), facecolors="none",
        edgecolors="white", linewidths=1.8, gid="chosen",
    )  # fmt: skip
    grid[0].set_title("circles: chosen on the others", fontsize=9, color=INK, loc="left")
    axes, names = grid[-1], result["representation"].values.tolist()
    place = np.arange(len(names))
    axes.bar(place, result["mean"].values, width=0.66, color=ACCENT, alpha=0.8)
    if "standard_error" in result:
        axes.errorbar(
            place, result["mean"].values, yerr=result["standard_error"].values, fmt="none",
            ecolor=INK, elinewidth=1.5, capsize=3,
        )  # fmt: skip
    chance = float(result["chance"])
    axes.axhline(chance, color=SECOND, linewidth=1.2, linestyle="--")
    axes.set_title(f"dashed: chance {chance:.2g}", fontsize=9, color=INK, loc="left")
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("accuracy (± standard error)" if "standard_error" in result else "accuracy")
    name_ticks(axes, "x", names)
    tidy(axes, grid="y")
    return figure


def _read_truth(result: xr.Dataset, truth: Any) -> Array | None:
    """True angles (sample,), from an array or the coord of that name."""
    if truth is None:
        return None
    if isinstance(truth, str):
        if truth not in result.coords or result[truth].dims != ("sample",):
            raise SchemaError(
                f"truth: expected a coord on 'sample', one of {some(result.coords)}, got "
                f"'{truth}'. Pass the angles."
            )
        truth = result[truth].values
    values = np.asarray(truth, dtype=np.float64)
    if values.shape != (result.sizes["sample"],) or not np.isfinite(values).all():
        raise SchemaError(
            f"truth: expected {result.sizes['sample']} finite angles [rad], got shape "
            f"{values.shape}. Give one for each sample."
        )
    return values


def _mark_quarters(axes: Axes, which: str) -> None:
    mark = axes.set_xticks if which == "x" else axes.set_yticks
    mark(QUARTERS, QUARTER_NAMES)


def plot_angles(result: xr.Dataset, *, truth: Any = None, coordinate: int = 0) -> Figure:
    """Draw decoded angles on their ring, against known ones where there are any.

    Parameters
    ----------
    result : Dataset
        What `neuroalign.topology.find_circular_coordinates` returned.
    truth : array (sample,) or str, optional
        Known angles [rad], or the coord on ``sample`` that holds them.
    coordinate : int
        Which of the coordinates to hold against the truth.

    Returns
    -------
    Figure
        With a truth: samples at their decoded angle, in the cyclic colour of the true one, and
        decoded by true angles after the best rotation and reflection. Without: how many samples
        have each angle, and for two coordinates or more the first by the second, the torus.

    Raises
    ------
    SchemaError
        When it is no result of that function, or the truth does not fit.
    MissingExtraError
        When ripser or gudhi are not installed, which the truth is scored with.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> angle = np.linspace(0, 6, 50)
    >>> result = xr.Dataset({"angle": (("sample", "coordinate"), angle[:, None])})
    >>> [axes.get_title(loc="left") for axes in plot_angles(result, truth=-angle).axes[:2]]
    ['decoded angle, true angle as colour', 'circular r 1.000, median error 0.00 rad']
    """
    check_variables(result, ("angle",), "topology.find_circular_coordinates")
    angles = result["angle"].transpose("sample", "coordinate").values
    if not 0 <= coordinate < angles.shape[1]:
        raise SchemaError(
            f"coordinate: expected 0 to {angles.shape[1] - 1}, got {coordinate}. "
            "Compute more with n_coordinates."
        )
    known = _read_truth(result, truth)
    figure = new_figure(8.8, 4.0)
    if known is None:
        _draw_spread(figure, angles, coordinate)
        return figure
    decoded = angles[:, coordinate]
    score = topology.score_angles(decoded, known)
    turned = np.where(int(score["reflected"]), -decoded, decoded) + float(score["rotation"])
    ring, axes = figure.subplots(1, 2)
    # Three rings of one angle, so that samples at the same place stay visible.
    radius = 1 + 0.07 * (np.arange(len(decoded)) % 3)
    dots = ring.scatter(
        radius * np.cos(turned), radius * np.sin(turned), c=known % (2 * np.pi), cmap="twilight",
        vmin=0, vmax=2 * np.pi, s=24, edgecolors=MUTED, linewidths=0.3,
    )  # fmt: skip
    ring.set_aspect("equal")
    ring.set_axis_off()
    ring.set_title("decoded angle, true angle as colour", fontsize=10, color=INK, loc="left")
    bar = figure.colorbar(dots, ax=ring, shrink=0.75, pad=0.02, ticks=list(QUARTERS))
    bar.outline.set_visible(False)
    bar.ax.set_yticklabels(QUARTER_NAMES, fontsize=8)
    bar.set_label("true angle [rad]", fontsize=9)
    axes.plot([0, 2 * np.pi], [0, 2 * np.pi], color=LINE, linewidth=1.5, zorder=0)
    axes.plot(
        known % (2 * np.pi), turned % (2 * np.pi), "o", color=ACCENT, markersize=4, alpha=0.7,
        gid="decoded",
    )  # fmt: skip
    _mark_quarters(axes, "x")
    _mark_quarters(axes, "y")
    axes.set_aspect("equal")
    axes.set_xlabel("true angle [rad]")
    axes.set_ylabel("decoded angle [rad], rotated and reflected")
    said = f"circular r {float(score['correlation']):.3f}, median error"
    title = f"{said} {float(score['median_error']):.2f} rad"
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    tidy(axes)
    return figure


def _draw_spread(figure: Figure, angles: Array, coordinate: int) -> None:
    """How often each angle is met, and where there are two coordinates, one by the other."""
    n_panels = min(2, angles.shape[1])
    axes = figure.subplots(1, n_panels, squeeze=False)[0]
    axes[0].hist(angles[:, coordinate], bins=24, range=(0, 2 * np.pi), color=ACCENT, alpha=0.85)
    _mark_quarters(axes[0], "x")
    axes[0].set_xlabel(f"angle on coordinate {coordinate + 1} [rad]")
    axes[0].set_ylabel("samples")
    tidy(axes[0], grid="y")
    if n_panels == 2:
        other = 1 if coordinate == 0 else 0
        axes[1].plot(
            angles[:, coordinate], angles[:, other], "o", color=ACCENT, markersize=4, alpha=0.7
        )
        _mark_quarters(axes[1], "x")
        _mark_quarters(axes[1], "y")
        axes[1].set_aspect("equal")
        axes[1].set_xlabel(f"angle on coordinate {coordinate + 1} [rad]")
        axes[1].set_ylabel(f"angle on coordinate {other + 1} [rad]")
        tidy(axes[1])
