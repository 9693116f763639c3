"""How figures look, and how foreign text gets into them unread."""

import base64
import io
import warnings
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from neuroalign.report._blocks import Picture, Table

INK, MUTED, LINE = "#1d2330", "#667085", "#d5dae3"
ACCENT, SECOND = "#2f6690", "#c8553d"
# Okabe & Ito (2008): told apart by colour-blind readers too.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D1F", "#444444")
PIXELS_PER_INCH = 144
# Of maps that stand in print and without scripts alone: they are the largest part of a page.
STILL_PIXELS_PER_INCH = 100


def clean(text: object) -> str:
    """Replace control and direction characters, which could hide or reorder text."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def write_label(text: object, limit: int = 40) -> str:
    """Make foreign text a one-line label that matplotlib does not read as mathematics."""
    line = clean(text).replace("\n", " ")
    short = line if len(line) <= limit else line[: limit - 1] + "…"
    return short.replace("$", r"\$")


class Sheet(Figure):
    """A figure that a notebook shows by itself, whatever has been imported there."""

    def _repr_png_(self) -> bytes:
        return render_png(self)


def new_figure(width: float, height: float, *, dense: bool = False) -> Figure:
    """Make a figure [inch] that no global state knows of; ``dense`` leaves no gaps."""
    gap, pad = (0.0, 0.01) if dense else (0.02, 0.04)
    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad, wspace=gap, hspace=gap)
    return Sheet(figsize=(width, height), layout=layout, facecolor="white")


def tidy(axes: Axes, *, grid: str | None = None) -> None:
    """Leave only the lines that carry something."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    if grid == "x":
        axes.xaxis.grid(True, color=LINE, linewidth=0.6)
    elif grid == "y":
        axes.yaxis.grid(True, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


# Letters of tick labels that stand side by side in an inch without touching.
LETTERS_PER_INCH = 12


def name_ticks(axes: Axes, which: str, names: Sequence[object], *, size: float = 9) -> None:
    """Put labels on positions 0, 1, 2, ... of one axis."""
    labels = [write_label(name, 24) for name in names]
    if which == "x":
        inches = axes.get_position().width * axes.figure.get_figwidth()  # type: ignore[union-attr]
        turned = max(map(len, labels), default=0) * len(labels) > LETTERS_PER_INCH * inches
        axes.set_xticks(range(len(labels)), labels, rotation=40 if turned else 0, fontsize=size)
        if turned:
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
                label.set_rotation_mode("anchor")
    else:
        axes.set_yticks(range(len(labels)), labels, fontsize=size)


def render_png(figure: Figure, pixels_per_inch: int = PIXELS_PER_INCH) -> bytes:
    """Render a figure as a PNG: no alpha, packed as tightly as it goes without loss."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the tables still show it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="png", dpi=pixels_per_inch, pil_kwargs={"compress_level": 1})
    packed = io.BytesIO()
    Image.open(stream).convert("RGB").save(packed, "PNG", optimize=True)
    return packed.getvalue()


def to_picture(
    figure: Figure,
    title: str,
    alt: str,
    caption: str = "",
    *,
    data: Table | None = None,
    pixels_per_inch: int = PIXELS_PER_INCH,
) -> Picture:
    """Render a figure as a PNG in base64; ``data`` holds the numbers behind it."""
    png = base64.b64encode(render_png(figure, pixels_per_inch)).decode("ascii")
    return Picture(title, png, alt, caption, data)
