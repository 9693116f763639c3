"""Cortical maps on fsaverage5, drawn without a browser or a graphics card."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report.figures import plain

Array = npt.NDArray[Any]
SIDES = {"L": "left", "R": "right"}
# Direction from the brain to the eye, and what points up in the picture; x is to the right,
# y to the front, z up.
VIEWS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "lateral": ((-1.0, -0.35, 0.0), (0.0, 0.0, 1.0)),
    "ventral": ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}


def _project(points: Array, eye: Array, up: Array) -> tuple[Array, Array]:
    """Give picture coordinates and nearness to the eye of each vertex."""
    eye = eye / np.linalg.norm(eye)
    right = np.cross(up, eye)
    right /= np.linalg.norm(right)
    true_up = np.cross(eye, right)
    return points @ np.stack([right, true_up], axis=1), points @ eye


def _draw(axes: Any, mesh: Any, colours: Array, eye: Array, up: Array) -> None:
    """Paint the faces that look at the eye, far ones first."""
    points, faces = np.asarray(mesh.coordinates), np.asarray(mesh.faces)
    flat, near = _project(points, eye, up)
    edges = points[faces[:, 1:]] - points[faces[:, :1]]
    normals = np.cross(edges[:, 0], edges[:, 1])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    facing = normals @ (eye / np.linalg.norm(eye))
    shown = np.flatnonzero(facing > 0)
    shown = shown[np.argsort(near[faces[shown]].mean(axis=1))]
    shade = (0.55 + 0.45 * facing[shown])[:, None]
    colour = np.clip(colours[faces[shown]].mean(axis=1)[:, :3] * shade, 0, 1)
    axes.add_collection(
        PolyCollection(list(flat[faces[shown]]), facecolors=colour, edgecolors=colour, linewidths=0.3)
    )
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.set_axis_off()


def plot_cortex(values: xr.DataArray, *, label: str = "", cmap: str = "viridis") -> Figure:
    """Map one value a neuroid on the inflated fsaverage5 surface.

    Parameters
    ----------
    values : DataArray (neuroid,)
        With coords ``hemisphere`` ("L" or "R") and ``vertex`` on neuroid.
    label : str
        Of the colour bar.
    cmap : str
        Name of a matplotlib colour map.

    Returns
    -------
    Figure
        Lateral and ventral views of both hemispheres; sulci are dark grey.

    Raises
    ------
    SchemaError
        When the neuroids are not vertices of fsaverage5.
    """
    # nilearn is slow to load, and only maps need it.
    from nilearn.datasets import load_fsaverage, load_fsaverage_data  # noqa: PLC0415

    missing = {"hemisphere", "vertex"} - set(values.coords)
    if missing:
        raise SchemaError(f"values: expected coords hemisphere and vertex, missing {sorted(missing)}.")
    meshes = load_fsaverage("fsaverage5")["inflated"].parts
    sulci = load_fsaverage_data(mesh="fsaverage5", data_type="sulcal").data.parts
    finite = values.values[np.isfinite(values.values)]
    span = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    norm = Normalize(*span)
    figure = Figure(figsize=(9, 5.2))
    for row, (eye, up) in enumerate(VIEWS.values()):
        for column, (side, part) in enumerate(SIDES.items()):
            depth = np.asarray(sulci[part]).ravel()
            colours = np.repeat(np.where(depth > 0, 0.55, 0.8)[:, None], 4, axis=1)
            inside = (values["hemisphere"].values == side) & np.isfinite(values.values)
            vertices = values["vertex"].values[inside]
            if len(vertices) and vertices.max() >= len(colours):
                raise SchemaError(
                    f"values.vertex: expected vertices below {len(colours)} (fsaverage5), "
                    f"got {vertices.max()}. Resample to fsaverage5."
                )
            colours[vertices] = colormaps[cmap](norm(values.values[inside]))
            mirrored = np.array(eye) * (1, 1, 1) if side == "L" else np.array(eye) * (-1, 1, 1)
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            _draw(axes, meshes[part], colours, mirrored, np.array(up))
            axes.set_title(f"{part} {list(VIEWS)[row]}", fontsize=9)
    bar = ScalarMappable(norm, cmap)
    figure.colorbar(bar, ax=figure.axes, shrink=0.6, label=plain(label))
    return figure
