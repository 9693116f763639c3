"""Names of points that never stand on each other, not even where two points do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from neuroalign.report._style import INK, MUTED, write_label

Array = npt.NDArray[Any]
SIZE = 7.0
# Width of a letter and height of a line, in sizes of the font.
LETTER, LINE_HEIGHT = 0.62, 1.25
# Letters of a name.
MOST_LETTERS = 24
# Where a name may stand around its point, nearest first [points].
RINGS = (7.0, 14.0, 22.0, 32.0, 44.0, 58.0)
N_ANGLES = 16
# Rings from which on a line leads back to the point.
LED = 1
# Between two names in a row [points].
GAP = 3.0


def _list_offsets() -> list[tuple[float, float, int]]:
    """Offsets (x, y) and their ring: above to the right first, then around."""
    turns = np.pi / 4 + np.array([0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8]) * (
        2 * np.pi / N_ANGLES
    )
    return [
        (radius * float(np.cos(turn)), radius * float(np.sin(turn)), ring)
        for ring, radius in enumerate(RINGS)
        for turn in turns
    ]


def _make_box(x: float, y: float, width: float) -> Array:
    """Left, bottom, right, top of a name whose near end is at x, y."""
    left = x if x >= 0 else x - width
    half = SIZE * LINE_HEIGHT / 2
    return np.array([left, y - half, left + width, y + half])


def place_names(points: Array, names: Sequence[str], dots: float = 3.5) -> list[Any]:
    """Find a place for each name around its point where it meets no name and no point.

    Parameters
    ----------
    points : array (point, 2)
        On the page [points of 1/72 inch].
    names : sequence of str
    dots : float
        Radius of a drawn point [points].

    Returns
    -------
    list of (x, y, ring)
        Offset of the near end of each name from its point; the last ring where none is free.
    """
    taken: list[Array] = [np.r_[p - dots, p + dots] for p in points]
    offsets = _list_offsets()
    found = []
    for point, name in zip(points, names, strict=True):
        width = SIZE * LETTER * len(name) + GAP
        boxes = np.array([_make_box(x, y, width) for x, y, _ in offsets]) + np.tile(point, 2)
        others = np.array(taken)
        meets = (boxes[:, None, :2] < others[:, 2:]) & (boxes[:, None, 2:] > others[:, :2])
        hits = meets.all(axis=2).sum(axis=1)
        best = int(np.argmin(hits))
        taken.append(boxes[best])
        found.append(offsets[best])
    return found


def label_points(axes: Axes, points: Array, names: Sequence[object]) -> None:
    """Write a name at each point, with a line to it where it stands further away.

    Parameters
    ----------
    axes : Axes
        With its points drawn; limits must not change afterwards.
    points : array (point, 2)
        In data.
    names : sequence
    """
    figure = axes.figure
    # Limits and the size of the axes are known only after a layout.
    figure.draw_without_rendering()  # type: ignore[union-attr]
    inch = figure.dpi / 72
    page = axes.transData.transform(np.asarray(points, dtype=np.float64)) / inch
    texts = [write_label(name, MOST_LETTERS) for name in names]
    for point, text, (x, y, ring) in zip(
        np.asarray(points).tolist(), texts, place_names(page, texts), strict=True
    ):
        lead = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            text, tuple(point), (x, y), textcoords="offset points", fontsize=SIZE, color=INK,
            ha="left" if x >= 0 else "right", va="center",
            arrowprops=lead if ring >= LED else None, gid="led" if ring >= LED else "near",
        )  # fmt: skip
