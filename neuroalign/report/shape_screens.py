"""What results of similarity, topology and geometry show on the page, by the method that made them.

To add a figure: a function from the result to parts, and its row in ``SHAPES``.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from neuroalign.report._blocks import Table
from neuroalign.report._parts import Part, picture
from neuroalign.report._summaries import name_place
from neuroalign.report.diagram_figures import list_diagram_parts
from neuroalign.report.figure_data import tabulate_variables
from neuroalign.report.geometry_figures import (
    MOST_ROWS,
    MOST_SPECTRA,
    plot_dichotomies,
    plot_learning,
    plot_spectra,
    plot_steps,
)
from neuroalign.report.similarity_figures import plot_similarities
from neuroalign.report.topology_figures import plot_angles, plot_persistence, plot_thresholds

MOST_DIAGRAMS = 4
# A coord on sample of this name is what decoded angles are held against.
TRUTH = "truth"


def _tabulate(title: str, result: xr.Dataset) -> Table:
    """Numbers of a result, as far as they lie over the dims of its largest variable."""
    known = [name for name, array in result.data_vars.items() if array.dtype.kind in "biuf"]
    return tabulate_variables(title, result, *map(str, known))


def _show_persistence(result: xr.Dataset) -> list[Part]:
    lead = [str(dim) for dim in result["dimension"].dims[:-1]]
    parts = []
    for where in list(np.ndindex(*(result.sizes[dim] for dim in lead)))[:MOST_DIAGRAMS]:
        chosen = dict(zip(lead, where, strict=True))
        place = name_place(result, chosen)
        parts.append(_draw_diagram(result.isel(chosen), f", {place}" if place else ""))
    return parts + list_diagram_parts(result)


def _draw_diagram(one: xr.Dataset, place: str) -> Part:
    return picture(
        f"Persistence{place}", "Diagram of births and deaths, and curves of how many bars live.",
        "Left: each bar at the distance of its birth and death; the higher above the line, the "
        "longer it lives, and those on the dashed line never die. Right: how many are alive. "
        f"Distances: {one.attrs.get('preprocessing', 'not named')}.",
        lambda: plot_persistence(one),
        data=lambda: tabulate_variables("Persistence", one, "dimension", "birth", "death"),
    )  # fmt: skip


def _show_angles(result: xr.Dataset) -> list[Part]:
    known = TRUTH if TRUTH in result.coords else None
    words = (
        "Decoded angles after the best rotation and reflection, which are arbitrary, against the "
        f"coord '{TRUTH}'."
        if known
        else f"How often each angle is met. A coord '{TRUTH}' on sample would be drawn against."
    )
    return [
        picture(
            "Circular coordinates", "Angles of samples on their ring.", words,
            lambda: plot_angles(result, truth=known),
            data=lambda: _tabulate("Circular coordinates", result),
        )
    ]  # fmt: skip


def _show_thresholds(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Thresholds", "Accuracy by lower and upper threshold, and of plain RDMs.",
            "Accuracy of finding the source again in subjects left out, each pair of thresholds "
            "scored as if it had been named before; the largest of them is too high, as it is "
            "chosen on what it reports. Circles: thresholds chosen without the subject tested, "
            "which the bar 'nested' scores. Errors: standard errors over bootstrap samples.",
            lambda: plot_thresholds(result),
            data=lambda: _tabulate("Thresholds", result),
        )
    ]  # fmt: skip


def _show_spectra(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Spectrum", "Eigenvalues by their rank, in logarithms, with the power law fitted.",
            f"Dashed: power law fitted over the shaded ranks, weighted by 1/rank; "
            f"{result.attrs.get('n', 'unknown')} samples. The first {MOST_SPECTRA} layers.",
            lambda: plot_spectra(result),
            data=lambda: _tabulate("Spectrum", result),
        )
    ]  # fmt: skip


def _show_dichotomies(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Dichotomies", "Parallelism, generalisation and decoding of each dichotomy.",
            "Open: parallelism as measured, which noise lowers; filled: freed of noise. Ticks: "
            "mean of the null of generalisation, where conditions left out lie elsewhere; stars: "
            f"q < 0.05 over the table. At most {MOST_ROWS} rows.",
            lambda: plot_dichotomies(result),
            data=lambda: _tabulate("Dichotomies", result),
        )
    ]  # fmt: skip


def _show_steps(result: xr.Dataset) -> list[Part]:
    words = "Mean over samples of the dissimilarity of each pair of steps."
    if "boundary" in result:
        words = (
            "Boxes: phases, cut exactly. The cost of each number of phases is held against a "
            f"reference ({result.attrs.get('reference', 'unknown')}) that has none; p: share of "
            f"surrogates ({result.attrs.get('surrogate', 'unknown')}) with as large a gap."
        )
    return [
        picture(
            "Steps", "Heat map of the dissimilarity of all pairs of steps.", words,
            lambda: plot_steps(result),
            data=lambda: _tabulate("Steps", result),
        )
    ]  # fmt: skip


def _show_similarities(result: xr.Dataset) -> list[Part]:
    words = "Score of each couple of layers, not averaged."
    if "p_fwer" in result:
        words += (
            " Dots: p < 0.05 among orders of the stimuli, corrected over all couples (largest "
            "score of each order)."
        )
    return [
        picture(
            "Layers by layers", "Heat map of the similarity of all couples of layers.", words,
            lambda: plot_similarities(result),
            data=lambda: _tabulate("Layers by layers", result),
        )
    ]  # fmt: skip


def _show_learning(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Learning curves", "Courses over training steps.",
            "Bands: one standard error, by a jackknife over blocks of samples, where there is one.",
            lambda: plot_learning(result),
            data=lambda: _tabulate("Learning curves", result),
        )
    ]  # fmt: skip


SHAPES: dict[str, Callable[[xr.Dataset], list[Part]]] = {
    "persistence": _show_persistence,
    "circular_coordinates": _show_angles,
    "spectrum": _show_spectra,
    "cross-validated spectrum": _show_spectra,
    "dichotomies": _show_dichotomies,
    "compare_steps": _show_steps,
    "segment_steps": _show_steps,
    "trace_alignment": _show_learning,
    "trace_spectra": _show_learning,
    "phases": _show_learning,
}
# Of methods that say in their name what was left out, and how.
THRESHOLDS = ("accuracy", "lower", "upper", "selected_lower")


def list_shape_parts(result: xr.Dataset) -> list[Part]:
    """Figures of a result of similarity, topology or geometry; none for other estimates.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    if "score" in result and set(result["score"].dims) == {"layer", "layer_other"}:
        return _show_similarities(result)
    if set(THRESHOLDS) <= set(map(str, result.variables)):
        return _show_thresholds(result)
    show = SHAPES.get(str(result.attrs.get("method", "")))
    return show(result) if show is not None else []
