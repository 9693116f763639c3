"""Maps at chosen times: the cortex or a helmet of sensors, one frame a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._style import INK, LINE, new_figure, write_label
from neuroalign.report._summaries import need_coord
from neuroalign.report.surface import HEMISPHERES, color_faces, load_mesh, paint, place_on_mesh
from neuroalign.report.time_figures import get_times

Array = npt.NDArray[Any]
MOST_FRAMES = 6
SIDES = ("lateral", "medial", "ventral")


def project_sensors(points: Array) -> Array:
    """Lay sensors around a head flat, so that the distance from the crown is kept.

    Parameters
    ----------
    points : array (sensor, 3)
        x to the right, y to the front, z up, in any unit.

    Returns
    -------
    array (sensor, 2)
        Angle from the crown in units of a right angle: the rim of a hemisphere is at 1.
    """
    # The centre of the sphere that fits the sensors best, in least squares.
    design = np.c_[2 * points, np.ones(len(points))]
    centre = np.linalg.lstsq(design, (points**2).sum(axis=1), rcond=None)[0][:3]
    x, y, z = (points - centre).T
    across = np.hypot(x, y)
    angle = np.arctan2(across, z) / (np.pi / 2)
    flat = np.c_[x, y] / np.where(across > 0, across, 1.0)[:, None]
    found: Array = flat * angle[:, None]
    return found


def _pick(values: xr.DataArray, times: Sequence[float] | None) -> tuple[Array, list[str]]:
    """Indices and titles of the frames."""
    known, unit = get_times(values)
    if times is None:
        chosen = np.linspace(0, len(known) - 1, min(MOST_FRAMES, len(known))).round().astype(int)
    else:
        asked = np.asarray(times, dtype=np.float64)
        if not 1 <= len(asked) <= MOST_FRAMES:
            raise ValueError(f"times: expected 1 to {MOST_FRAMES} of them, got {len(asked)}.")
        distance = np.abs(known[None] - asked[:, None])
        chosen = distance.argmin(axis=1)
        reach = float(np.diff(known).max()) if len(known) > 1 else 0.0
        if (distance.min(axis=1) > reach).any():
            raise ValueError(
                f"times: expected values from {known[0]:g} to {known[-1]:g} {unit}, got "
                f"{asked.tolist()}. Choose inside."
            )
    return chosen, [f"{known[index]:.3g} {unit}" for index in chosen]


def _draw_sensors(axes: Axes, points: Array, values: Array, norm: Normalize) -> None:
    rim = np.linspace(0, 2 * np.pi, 100)
    axes.plot(np.cos(rim), np.sin(rim), color=LINE, linewidth=1.2)
    axes.plot([-0.12, 0, 0.12], [0.99, 1.12, 0.99], color=LINE, linewidth=1.2)
    size = float(np.clip(3000 / len(points), 8, 60))
    seen = np.isfinite(values)
    x, y = points.T
    axes.scatter(x[~seen], y[~seen], s=size / 3, color=LINE)
    axes.scatter(
        x[seen], y[seen], c=values[seen], s=size, cmap="RdBu_r", norm=norm, edgecolors=INK,
        linewidths=0.25,
    )  # fmt: skip
    axes.set_aspect("equal")
    axes.set_axis_off()


def plot_frames(
    values: xr.DataArray,
    *,
    times: Sequence[float] | None = None,
    view: str = "lateral",
    label: str = "score",
) -> Figure:
    """Draw a map at each of up to 6 times, on one scale of colours around 0.

    Parameters
    ----------
    values : DataArray (neuroid, time)
        With ``hemisphere`` and ``vertex`` of fsaverage5 on ``neuroid``, or with places ``x``,
        ``y``, ``z`` of sensors around a head; time in s.
    times : sequence of float, optional
        In s, the nearest samples are drawn; otherwise 6 that are evenly spread.
    view : {"lateral", "medial", "ventral"}
        Of each hemisphere.
    label : str
        Beside the colour bar.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When dims or coords are others, or nothing is finite.
    ValueError
        When a time is outside, or the view is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    >>> xyz = np.column_stack([np.cos(angle), np.sin(angle), np.full(12, 0.5)])  # sensors in a ring
    >>> place = {axis: ("neuroid", xyz[:, n]) for n, axis in enumerate("xyz")}
    >>> time = [0.0, 0.1, 0.2]
    >>> coords = place | {"time": time}
    >>> values = xr.DataArray(np.outer(xyz[:, 0], time), coords, ("neuroid", "time"))
    >>> len(plot_frames(values, times=[0.1, 0.2]).axes)  # and the colour bar
    3
    """
    if set(values.dims) != {"neuroid", "time"}:
        raise SchemaError(
            f"values: expected dims ('neuroid', 'time'), got {values.dims}. Average the others."
        )
    if view not in SIDES:
        raise ValueError(f"view: expected one of {', '.join(SIDES)}, got '{view}'.")
    values = values.transpose("neuroid", "time")
    if not np.isfinite(values.values).any():
        raise SchemaError("values: expected finite values, got none. Check for constant responses.")
    chosen, titles = _pick(values, times)
    frames = values.values[:, chosen]
    limit = float(np.nanmax(np.abs(frames))) if np.isfinite(frames).any() else 1.0
    norm = Normalize(-(limit or 1.0), limit or 1.0)
    draw = _paint_cortex if "vertex" in values.coords else _paint_sensors
    figure, grid = draw(values, chosen, norm, view)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10, color=INK, pad=3)
    bar = figure.colorbar(ScalarMappable(norm, "RdBu_r"), ax=grid, shrink=0.7, pad=0.02, aspect=16)
    bar.outline.set_visible(False)
    bar.set_label(write_label(label), fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, length=2)
    return figure


def _paint_cortex(
    values: xr.DataArray, chosen: Array, norm: Normalize, view: str
) -> tuple[Figure, Array]:
    figure = new_figure(1.75 * len(chosen) + 1.2, 2.9, dense=True)
    grid = figure.subplots(2, len(chosen), squeeze=False)
    for column, index in enumerate(chosen.tolist()):
        placed = place_on_mesh(values[:, index])
        for row, side in enumerate(HEMISPHERES.values()):
            mesh = load_mesh(side)
            colors = color_faces(mesh, placed[side], norm, colormaps["RdBu_r"], False)
            paint(grid[row, column], mesh, colors, (side, view))
    for axes, side in zip(grid[:, 0], HEMISPHERES.values(), strict=True):
        axes.text(
            -0.02, 0.5, f"{side} {view}", transform=axes.transAxes, rotation=90, fontsize=8,
            ha="right", va="center", color=INK,
        )  # fmt: skip
    return figure, grid


def _paint_sensors(
    values: xr.DataArray, chosen: Array, norm: Normalize, view: str
) -> tuple[Figure, Array]:
    need_coord(values, "x", "y", "z")
    points = project_sensors(np.stack([values[name].values for name in "xyz"], axis=1))
    figure = new_figure(1.75 * len(chosen) + 1.2, 2.2, dense=True)
    grid = figure.subplots(1, len(chosen), squeeze=False)
    for axes, index in zip(grid[0], chosen.tolist(), strict=True):
        _draw_sensors(axes, points, values.values[:, index], norm)
    return figure, grid
