"""What screens are put together from."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Block, Note, Table
from neuroalign.report._style import to_picture
from neuroalign.report.surface import plot_cortex
from neuroalign.report.tables import list_warnings
from neuroalign.report.volume import describe_slices, plot_volume

# A title, and what makes the block.
Part = tuple[str, Callable[[], Block]]


def attempt(title: str, make: Callable[[], Block]) -> Block:
    """Make a block, or say which part is missing and why."""
    try:
        return make()
    except SchemaError as error:
        return Note(f"{title} left out. {error}")


def warn(result: xr.Dataset | xr.DataArray) -> list[Block]:
    """Notes of everything that the reader is to be warned of."""
    return [Note(line, "warning") for line in list_warnings(result)]


def picture(
    title: str,
    alt: str,
    caption: str,
    draw: Callable[[], Figure],
    *,
    data: Callable[[], Table] | Table | None = None,
) -> Part:
    """A part of a screen that is one figure; ``data``: its numbers, or what makes them."""

    def make() -> Block:
        numbers = data() if callable(data) else data
        return to_picture(draw(), title, alt, caption, data=numbers)

    return title, make


def map_values(
    values: xr.DataArray,
    label: str,
    categories: list[str] | None = None,
    caption: str = "",
    limits: tuple[float, float] | None = None,
    heading: str = "",
) -> Block:
    """Draw on the cortex where there are vertices, in slices where there are voxels."""
    if "vertex" in values.coords:
        figure = plot_cortex(values, label=label, categories=categories, limits=limits)
        title, ground = "Cortical map", "the inflated fsaverage5 cortex"
        caption += " Grey: sulci (dark), gyri (light), and wherever there is no value."
    elif {"i", "j", "k"} <= set(values.coords) and categories is None:
        figure = plot_volume(values, label=label, limits=limits)
        title, ground = "Volume map", "slices of the volume"
        caption = f"{describe_slices(values)} {caption}".strip()
    else:
        raise SchemaError(
            "result: expected coords 'hemisphere' and 'vertex', or 'i', 'j', 'k', on 'neuroid', "
            "got neither. Assign them to see a map."
        )
    n = int(np.isfinite(values.values).sum())
    return to_picture(
        figure,
        heading or title,
        f"{label} of {n} neuroids drawn on {ground}.",
        f"{n} neuroids. {caption}",
    )
