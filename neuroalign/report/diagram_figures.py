"""How far persistence diagrams of a stack are apart: layers and regions by their shape."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from neuroalign import topology
from neuroalign.errors import MissingExtraError, SchemaError
from neuroalign.report._blocks import Block, Note
from neuroalign.report._parts import Part
from neuroalign.report._style import INK, name_ticks, new_figure, tidy, to_picture, write_label
from neuroalign.report._summaries import name_place
from neuroalign.report._variables import check_variables
from neuroalign.report.figure_data import lay_out

Array = npt.NDArray[Any]
# Matching bars costs time: a dozen diagrams are 66 couples.
MOST_DIAGRAMS = 12
DISTANCES = ("bottleneck", "wasserstein")


def measure_diagrams(diagrams: xr.Dataset, dimension: int = 1) -> xr.Dataset:
    """Distance of each persistence diagram of a stack from each other.

    Parameters
    ----------
    diagrams : Dataset
        What `neuroalign.topology.compute_persistence` returned for a stack; the first 12 of it.
    dimension : int
        Of the homology: 1 for loops.

    Returns
    -------
    Dataset
        ``bottleneck`` and ``wasserstein`` (diagram, diagram_other), in units of distance.

    Raises
    ------
    SchemaError
        When it holds fewer than two diagrams.
    """
    check_variables(diagrams, ("dimension", "birth", "death"), "topology.compute_persistence")
    lead = [str(dim) for dim in diagrams["dimension"].dims[:-1]]
    places = list(np.ndindex(*(diagrams.sizes[dim] for dim in lead)))[:MOST_DIAGRAMS]
    if len(places) < 2:
        raise SchemaError(
            f"diagrams: expected a stack of two or more, got {len(places)}. Nothing to compare."
        )
    chosen = [dict(zip(lead, where, strict=True)) for where in places]
    each = [diagrams.isel(one) for one in chosen]
    names = [name_place(diagrams, one) for one in chosen]
    found = {}
    for name in DISTANCES:
        values = np.zeros((len(each), len(each)))
        for row, column in zip(*np.triu_indices(len(each), 1), strict=True):
            values[row, column] = values[column, row] = topology.diagram_distance(
                each[row], each[column], dimension=dimension, distance=name
            )
        found[name] = (("diagram", "diagram_other"), values)
    coords = {"diagram": names, "diagram_other": names}
    return xr.Dataset(found, coords, {"dimension": dimension})


def plot_diagram_distances(diagrams: xr.Dataset, dimension: int = 1) -> Figure:
    """Heat maps of the bottleneck and Wasserstein distances of persistence diagrams.

    Parameters
    ----------
    diagrams, dimension
        As in `measure_diagrams`.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it holds fewer than two diagrams.

    References
    ----------
    Cohen-Steiner, Edelsbrunner & Harer (2007), Discrete & Computational Geometry 37, 103-120.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> from neuroalign.topology import compute_persistence
    >>> rng = np.random.default_rng(0)
    >>> angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    >>> ring = np.abs(np.exp(1j * angle)[:, None] - np.exp(1j * angle))
    >>> names = [f"c{n:02d}" for n in range(20)]
    >>> rdms = from_matrix(np.stack([ring, 2 * ring]), names, lead={"layer": ["small", "large"]})
    >>> len(plot_diagram_distances(compute_persistence(rdms)).axes)  # two, each with its colour bar
    4
    """
    return _draw(measure_diagrams(diagrams, dimension))


def _draw(found: xr.Dataset) -> Figure:
    names = found["diagram"].values.tolist()
    side = 2.2 + 0.3 * len(names)
    figure = new_figure(min(11.0, 2 * side + 1.2), side)
    for axes, name in zip(figure.subplots(1, 2), DISTANCES, strict=True):
        values = found[name].values
        finite = values[np.isfinite(values)]
        high = float(finite.max(initial=0)) or 1.0
        image = axes.imshow(values, cmap="viridis", vmin=0, vmax=high, interpolation="nearest")
        name_ticks(axes, "x", names, size=8)
        name_ticks(axes, "y", names if name == DISTANCES[0] else [""] * len(names), size=8)
        axes.set_title(write_label(name), fontsize=10, color=INK, loc="left")
        tidy(axes)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("distance", fontsize=9)
        bar.ax.tick_params(labelsize=8, length=2)
    return figure


def list_diagram_parts(diagrams: xr.Dataset) -> list[Part]:
    """The figure of distances of diagrams; none where there is one diagram only.

    Parameters
    ----------
    diagrams : Dataset
        Of `neuroalign.topology.compute_persistence`.

    Returns
    -------
    list of (title, function that makes the block)
    """
    lead = diagrams["dimension"].dims[:-1]
    if int(np.prod([diagrams.sizes[dim] for dim in lead])) < 2:
        return []
    dimension = min(1, int(diagrams.attrs.get("max_dim", 1)))
    what = ("components", "loops")[dimension]

    def draw() -> Block:
        try:
            found = measure_diagrams(diagrams, dimension)
        except MissingExtraError as error:
            return Note(f"Distances of diagrams left out. {error}")
        return to_picture(
            _draw(found), "Distances of diagrams",
            f"Heat maps of the distances of persistence diagrams of {what}.",
            f"Of {what} (H{dimension}). Bottleneck: the largest move of a bar; Wasserstein: the "
            f"sum of moves. Bars may go to length 0. At most {MOST_DIAGRAMS} diagrams.",
            data=lay_out("Distances of diagrams", {name: found[name] for name in DISTANCES}),
        )  # fmt: skip

    return [("Distances of diagrams", draw)]
