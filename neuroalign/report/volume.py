"""Values in a volume: slices from below to above, the left of the brain on the left."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from neuroalign.errors import SchemaError
from neuroalign.report._style import INK, MUTED, new_figure
from neuroalign.report._summaries import need_coord
from neuroalign.report.surface import add_bar, choose_colors

Array = npt.NDArray[Any]
MOST_SLICES = 12
# Inches: a page's card, and one panel at most.
WIDTH, TALLEST = 9.0, 6.5
UNKNOWN = "voxel indices, orientation unknown"
# Indices to places may be off by this much of a voxel, as rounded tables are.
ROUGH = 0.1


class Orientation(NamedTuple):
    """Which axis of the grid runs right, front and up, and which way; ``affine`` (4, 4) [mm]."""

    axes: tuple[int, ...]
    signs: tuple[int, ...]
    affine: Array


def find_orientation(values: xr.DataArray) -> Orientation | None:
    """Find out how a grid of voxels lies in the head.

    Parameters
    ----------
    values : DataArray (neuroid)
        With coords ``i``, ``j``, ``k``, and ``attrs['affine']`` (16 numbers, from indices to mm,
        x right, y front, z up) or coords ``x``, ``y``, ``z`` [mm].

    Returns
    -------
    Orientation or None
        None where neither tells.

    Notes
    -----
    Axes are paired as in ``nibabel.as_closest_canonical``: by the rotation nearest to the affine.
    """
    affine = _get_affine(values)
    if affine is None:
        return None
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    rotation = left @ right
    _, axes = linear_sum_assignment(-np.abs(rotation))
    signs = np.where(rotation[range(3), axes] < 0, -1, 1)
    return Orientation(tuple(axes.tolist()), tuple(signs.tolist()), affine)


def _get_affine(values: xr.DataArray) -> Array | None:
    """The affine as it is told, else as places of voxels imply it."""
    given = np.asarray(values.attrs.get("affine", []), dtype=np.float64)
    if given.size == 16:
        affine = given.reshape(4, 4)
        whole = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0
        return affine if whole else None
    if not all(name in values.coords and values[name].dims == ("neuroid",) for name in "xyz"):
        return None
    index = np.stack([values[name].values for name in "ijk"] + [np.ones(values.size)], axis=1)
    places = np.stack([values[name].values for name in "xyz"], axis=1).astype(np.float64)
    known = np.isfinite(places).all(axis=1)
    if known.sum() < 4 or np.linalg.matrix_rank(index[known].astype(np.float64)) < 4:
        return None
    found = np.linalg.lstsq(index[known].astype(np.float64), places[known], rcond=None)[0].T
    size = np.linalg.norm(found[:, :3], axis=0)
    off = np.abs(index[known] @ found.T - places[known]).max()
    if not size.min() > 0 or off > ROUGH * size.min():
        return None
    return np.vstack([found, [0, 0, 0, 1]])


def describe_slices(values: xr.DataArray) -> str:
    """Say where left is on the slices that `plot_volume` draws.

    Parameters
    ----------
    values : DataArray (neuroid)

    Returns
    -------
    str
    """
    if find_orientation(values) is None:
        return f"Slices by {UNKNOWN}: left and right cannot be told."
    return "Left of the brain is on the left (L, R); z: height of a slice at its middle."


def _check_box(values: xr.DataArray) -> Array:
    """Indices (3, neuroid) of the voxels, inside their grid."""
    if values.dims != ("neuroid",):
        raise SchemaError(f"values: expected dims ('neuroid',), got {values.dims}. Average first.")
    need_coord(values, "i", "j", "k")
    where = np.stack([values[name].values.astype(np.int64) for name in "ijk"])
    if not np.isfinite(values.values).any():
        raise SchemaError("values: expected finite values, got none. Check for constant responses.")
    shape = tuple(map(int, values.attrs.get("grid_shape", where.max(axis=1) + 1)))
    if len(shape) != 3 or where.min() < 0 or (where.max(axis=1) >= np.array(shape)).any():
        raise SchemaError(
            f"values: expected voxels inside grid_shape {shape}, got indices up to "
            f"{where.max(axis=1).tolist()}. Keep i, j, k of the image the mask belongs to."
        )
    return where


class _Box(NamedTuple):
    """Values (right, front, up) of a cut-out, names of its slices, and the size of its voxels."""

    values: Array
    names: list[str]
    size: Array


def _cut_out(values: xr.DataArray, where: Array, lies: Orientation | None) -> _Box:
    """Put values on the smallest grid that holds them, turned as the brain lies in the scanner."""
    low, high = where.min(axis=1), where.max(axis=1) + 1
    box = np.full(high - low, np.nan)
    known = np.isfinite(values.values)
    box[tuple((where - low[:, None])[:, known])] = values.values[known]
    if lies is None:
        return _Box(box, [f"k = {low[2] + n}" for n in range(box.shape[2])], np.ones(3))
    middle = (low + high - 1) / 2
    along = lies.axes[2]
    points = np.tile(np.r_[middle, 1.0], (box.shape[along], 1))
    points[:, along] = np.arange(low[along], high[along])
    heights = (points @ lies.affine.T)[:, 2][:: lies.signs[2]]
    turned = box.transpose(lies.axes)[tuple(slice(None, None, sign) for sign in lies.signs)]
    size = np.linalg.norm(lies.affine[:3, :3], axis=0)[list(lies.axes)]
    return _Box(turned, [f"z = {round(z, 1) + 0.0:g} mm" for z in heights.tolist()], size)


def _mark_sides(axes: Axes) -> None:
    """Write L and R beside a slice."""
    for name, place, near in (("L", -0.02, "right"), ("R", 1.02, "left")):
        axes.text(
            place, 0.5, name, transform=axes.transAxes, ha=near, va="center", fontsize=8,
            color=INK, fontweight="bold", gid="side",
        )  # fmt: skip


def plot_volume(
    values: xr.DataArray, *, label: str = "score", limits: tuple[float, float] | None = None
) -> Figure:
    """Draw values on voxels as a mosaic of up to 12 slices from below to above.

    Parameters
    ----------
    values : DataArray (neuroid)
        With coords ``i``, ``j``, ``k`` (voxel indices) on ``neuroid``; attrs ``grid_shape``, taken
        from the largest indices when absent. With ``attrs['affine']`` (16 numbers) or coords
        ``x``, ``y``, ``z`` [mm] the left of the brain is on the left, and slices are named by
        their height; without, they are slices along the third axis as it is stored.
    label : str
        Beside the colour bar.
    limits : (float, float), optional
        Range of colours; otherwise as in `plot_cortex`. Slices share it.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When coords are missing, indices are outside the grid, or nothing is finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> ijk = np.argwhere(np.ones((4, 4, 3)))
    >>> place = {axis: ("neuroid", ijk[:, n]) for n, axis in enumerate("ijk")}
    >>> figure = plot_volume(xr.DataArray(np.linspace(0, 1, 48), place, ("neuroid",)))
    >>> len(figure.axes)  # three slices and the colour bar
    4
    """
    where = _check_box(values)
    lies = find_orientation(values)
    box, names, size = _cut_out(values, where, lies)
    filled = np.flatnonzero(np.isfinite(box).any(axis=(0, 1)))
    chosen = filled[np.linspace(0, len(filled) - 1, min(MOST_SLICES, len(filled))).astype(int)]
    finite = values.values[np.isfinite(values.values)]
    cmap, norm = choose_colors(finite, None, limits)
    n_columns = min(6 if len(chosen) > 8 else 4, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    ratio = box.shape[1] * size[1] / (box.shape[0] * size[0])
    wide = min((WIDTH - 1.2) / n_columns, TALLEST / ratio)
    figure = new_figure(wide * n_columns + 1.2, (wide * ratio + 0.3) * n_rows + 0.3)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for number, axes in enumerate(grid.ravel()):
        axes.set_axis_off()
        if number < len(chosen):
            piece, shape = box[:, :, chosen[number]].T, size[1] / size[0]
            axes.imshow(
                np.zeros_like(piece), cmap="Greys", vmin=-0.25, vmax=1, origin="lower",
                aspect=shape,
            )  # fmt: skip
            axes.imshow(
                piece, cmap=cmap, norm=norm, origin="lower", interpolation="nearest", aspect=shape
            )
            axes.set_title(names[chosen[number]], fontsize=9, color=INK, pad=3)
            if lies is not None:
                _mark_sides(axes)
    if lies is None:
        figure.supxlabel(UNKNOWN, fontsize=8, color=MUTED, x=0.01, ha="left")
    add_bar(figure, grid, norm, cmap, label, None, bool(finite.max() > norm.vmax))
    return figure
