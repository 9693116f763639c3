"""Values on the brain: the inflated fsaverage5 cortex.

The surface comes with the nilearn wheel, so nothing is downloaded. Faces are rotated, culled,
sorted by depth and painted from the back: a few thousand triangles need no graphics card.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError, require
from neuroalign.report._style import INK, new_figure, write_label
from neuroalign.report._summaries import need_coord

Array = npt.NDArray[Any]
N_VERTICES = 10242
# Finer icosahedra of FreeSurfer begin with the vertices of the coarser ones.
FINER = {40962: "fsaverage6", 163842: "fsaverage"}
HEMISPHERES = {"l": "left", "r": "right"}

# (to the right, up, towards the reader) in the axes of the mesh: x right, y front, z up [mm].
VIEWS = {
    ("left", "lateral"): ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    ("left", "medial"): ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    ("left", "ventral"): ((0, -1, 0), (-1, 0, 0), (0, 0, -1)),
    ("right", "lateral"): ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    ("right", "medial"): ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    ("right", "ventral"): ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
}


class Mesh(NamedTuple):
    """One hemisphere; ``normals`` are of unit length and point outward."""

    points: Array  # (vertex, 3) [mm]
    faces: Array  # (face, 3)
    sulci: Array  # (vertex), positive inside sulci
    normals: Array  # (vertex, 3)


@cache
def load_mesh(hemisphere: str) -> Mesh:
    """Read the inflated fsaverage5 hemisphere that nilearn ships.

    Parameters
    ----------
    hemisphere : {"left", "right"}

    Returns
    -------
    Mesh
        10242 vertices [mm] and 20480 faces, normals outward.

    References
    ----------
    Fischl, Sereno, Tootell & Dale (1999), Human Brain Mapping 8(4), 272-284.
    """
    datasets = require("nilearn.datasets", "report")
    part = datasets.load_fsaverage("fsaverage5")["inflated"].parts[hemisphere]
    depth = datasets.load_fsaverage_data("fsaverage5", data_type="sulcal").data.parts[hemisphere]
    points, faces = np.asarray(part.coordinates, dtype=np.float64), np.asarray(part.faces)
    corners = points[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(points, faces, np.asarray(depth).ravel(), normals)


def place_on_mesh(values: xr.DataArray) -> dict[str, Array]:
    """Put values of neuroids on the vertices of each hemisphere; NaN elsewhere.

    Parameters
    ----------
    values : DataArray (neuroid)

    Returns
    -------
    dict of str to array (vertex)

    Raises
    ------
    SchemaError
        When coords are missing or vertices are out of range.
    """
    if values.dims != ("neuroid",):
        raise SchemaError(f"values: expected dims ('neuroid',), got {values.dims}. Average first.")
    need_coord(values, "hemisphere", "vertex")
    given = int(np.max(values.attrs.get("n_vertices", N_VERTICES)))
    if given not in (N_VERTICES, 2 * N_VERTICES, *FINER):
        raise SchemaError(
            f"values: expected n_vertices of fsaverage5 ({N_VERTICES}), got {given}. "
            "Resample to fsaverage5 first."
        )
    vertex = values["vertex"].values.astype(np.int64)
    sides = np.array([label[:1].lower() for label in values["hemisphere"].values.astype(str)])
    if given == 2 * N_VERTICES and (vertex >= N_VERTICES).any():
        # Both hemispheres counted through: the right one begins where the left one ends.
        vertex = np.where(sides == "r", vertex - N_VERTICES, vertex)
    if not set(sides.tolist()) <= set(HEMISPHERES):
        raise SchemaError(
            f"values: expected hemispheres 'left' and 'right', got {sorted(set(sides.tolist()))} "
            "as first letters. Rename them."
        )
    limit = given if given in FINER else N_VERTICES
    if vertex.min(initial=0) < 0 or vertex.max(initial=0) >= limit:
        raise SchemaError(
            f"values: expected vertices from 0 to {limit - 1}, got {vertex.min()} to "
            f"{vertex.max()}. Count them within each hemisphere."
        )
    placed = {}
    for letter, name in HEMISPHERES.items():
        inside = (sides == letter) & (vertex < N_VERTICES)
        placed[name] = np.full(N_VERTICES, np.nan)
        placed[name][vertex[inside]] = values.values[inside]
    return placed


def color_faces(mesh: Mesh, values: Array, norm: Normalize, cmap: Colormap, whole: bool) -> Array:
    """Colour each face by its vertices that hold a value, else by the sulci.

    Parameters
    ----------
    mesh : Mesh
    values : array (vertex)
    norm : Normalize
    cmap : Colormap
    whole : bool
        Whether values are indices of categories.

    Returns
    -------
    array (face, 3)
    """
    corners = values[mesh.faces]
    finite = np.isfinite(corners)
    count = finite.sum(axis=1)
    mean = np.where(finite, corners, 0).sum(axis=1) / np.maximum(count, 1)
    if whole:
        # A mean of categories is no category: take the middle one of those present.
        ordered = np.sort(np.where(finite, corners, np.inf), axis=1)
        mean = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    grey = 0.80 - 0.13 * np.tanh(2.2 * mesh.sulci[mesh.faces].mean(axis=1))
    colors = np.repeat(grey[:, None], 3, axis=1)
    seen = count > 0
    colors[seen] = np.asarray(cmap(norm(mean[seen])))[:, :3]
    return colors


def paint(axes: Axes, mesh: Mesh, colors: Array, view: tuple[str, str]) -> None:
    """Draw one view from back to front, lit from the reader and a little from above.

    Parameters
    ----------
    axes : Axes
    mesh : Mesh
    colors : array (face, 3)
    view : (str, str)
        A key of ``VIEWS``.
    """
    camera = np.array(VIEWS[view], dtype=np.float64)
    points = (mesh.points - mesh.points.mean(axis=0)) @ camera.T
    corners = points[mesh.faces]
    one, two = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    facing = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    light = np.array([0.0, 0.35, 1.0]) / np.hypot(0.35, 1.0)
    lit = mesh.normals @ camera.T @ light
    shade = 0.58 + 0.45 * np.clip(lit[mesh.faces].mean(axis=1), 0, 1)
    front = np.flatnonzero(facing > 0)
    order = front[np.argsort(corners[front, :, 2].mean(axis=1))]
    painted = np.clip(colors[order] * shade[order, None], 0, 1)
    # Thin edges of the face's own colour close the seams that antialiasing leaves.
    axes.add_collection(
        PolyCollection(
            corners[order][:, :, :2], facecolors=painted, edgecolors=painted, linewidths=0.25
        )
    )
    axes.set_xlim(-115, 115)
    half = 46 if view[1] == "ventral" else 76
    axes.set_ylim(-half, half)
    axes.set_aspect("equal")
    axes.set_axis_off()


def choose_colors(
    finite: Array, categories: Sequence[str] | None, limits: tuple[float, float] | None
) -> tuple[Colormap, Normalize]:
    """Steps for categories; else a range from zero (or below) to the 98th percentile.

    Limits as far below zero as above are of signed values: zero is white, and signs differ in hue.
    """
    if categories is not None:
        n = len(categories)
        shades = colormaps["viridis"](np.linspace(0.05, 0.95, n))
        return ListedColormap(shades), BoundaryNorm(np.arange(n + 1) - 0.5, n)
    low, high = limits or (min(0.0, float(np.quantile(finite, 0.02))), np.quantile(finite, 0.98))
    shades = colormaps["inferno"](np.linspace(0.12, 0.96, 256))
    cmap = colormaps["RdBu_r"] if low == -high else ListedColormap(shades)
    return cmap, Normalize(float(low), float(high) if high > low else float(low) + 1e-6)


def plot_cortex(
    values: xr.DataArray,
    *,
    label: str = "score",
    categories: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw values on the inflated fsaverage5 cortex: lateral, medial and ventral, both sides.

    Parameters
    ----------
    values : DataArray (neuroid)
        With coords ``hemisphere`` and ``vertex`` (counted within the hemisphere) on ``neuroid``;
        attrs ``n_vertices``, taken as fsaverage5 when absent. Of finer fsaverage meshes the
        vertices that fsaverage5 shares are drawn. NaN is left grey.
    label : str
        Beside the colour bar.
    categories : sequence of str, optional
        Values are then indices into these names.
    limits : (float, float), optional
        Range of colours; otherwise from zero (or the 2nd percentile, when below) to the 98th.
        As far below zero as above it, signs differ in hue.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When coords are missing, vertices are out of range, or nothing is finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> place = {"hemisphere": ("neuroid", ["L"] * 50), "vertex": ("neuroid", np.arange(50))}
    >>> values = xr.DataArray(np.linspace(0, 1, 50), place, ("neuroid",))
    >>> len(plot_cortex(values, label="r").axes)  # six views and the colour bar
    7
    """
    placed = place_on_mesh(values)
    finite = np.concatenate([side[np.isfinite(side)] for side in placed.values()])
    if not finite.size:
        raise SchemaError(
            "values: expected finite values on vertices of fsaverage5, got none. "
            "Check for constant responses."
        )
    cmap, norm = choose_colors(finite, categories, limits)
    figure = new_figure(9.6, 4.0, dense=True)
    grid = figure.subplots(2, 3)
    for (side, view), axes in zip(VIEWS, grid.ravel(), strict=True):
        mesh = load_mesh(side)
        colors = color_faces(mesh, placed[side], norm, cmap, categories is not None)
        paint(axes, mesh, colors, (side, view))
        axes.set_title(f"{side} {view}", fontsize=9, color=INK, pad=0)
    add_bar(figure, grid, norm, cmap, label, categories, bool(finite.max() > norm.vmax))
    return figure


def add_bar(
    figure: Figure,
    axes: Array,
    norm: Normalize,
    cmap: Colormap,
    label: str,
    categories: Sequence[str] | None,
    clipped: bool,
) -> None:
    """Add one colour bar for all views."""
    source = ScalarMappable(norm, cmap)
    extend = "max" if clipped and categories is None else "neither"
    bar = figure.colorbar(source, ax=axes, shrink=0.6, pad=0.02, aspect=18, extend=extend)
    bar.outline.set_visible(False)
    bar.set_label(write_label(label), fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, length=2)
    if categories is not None:
        bar.set_ticks(list(range(len(categories))), labels=[write_label(c, 20) for c in categories])
