"""What results of convergence show on the page, by the method that made them.

To add a figure: a function from the result to parts, and its row in ``CONVERGENCE``.
"""

from collections.abc import Callable

import xarray as xr

from neuroalign.report._parts import Part, picture
from neuroalign.report.convergence_figures import (
    MOST_REGIONS,
    plot_half_times,
    plot_spatial_scores,
    plot_trace,
)


def _show_trace(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Scores over training", "Courses of scores over training steps.",
            "Encoding: mean over neuroids, each at the layer that is best in the other folds. "
            "Spatial: correlation of each neuroid's best layer with its distance. Temporal: "
            "correlation of depth with latency. Bands: 95 % bootstrap intervals. Dashed: the last "
            "network with its weights in random places.",
            lambda: plot_trace(result),
        ),
        *_show_half_times(result),
    ]  # fmt: skip


def _show_half_times(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Half-times", "Training steps at half of the final score, by region.",
            f"Lines: 95 % bootstrap intervals. At most {MOST_REGIONS} regions.",
            lambda: plot_half_times(result),
        )
    ]  # fmt: skip


def _show_spatial(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Spatial scores", "Correlations by distance, rule and unit, with intervals.",
            "Correlation of preferred depth with distance. Lines: 95 % intervals over regions. "
            "Filled: below .05 by spins of the cortex. The published score is 'euclidean · best'.",
            lambda: plot_spatial_scores(result),
        )
    ]  # fmt: skip


CONVERGENCE: dict[str, Callable[[xr.Dataset], list[Part]]] = {
    "trace": _show_trace,
    "find_half_times": _show_half_times,
    "spatial_score": _show_spatial,
}


def list_convergence_parts(result: xr.Dataset) -> list[Part]:
    """Figures of a result of convergence; none for other estimates.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    show = CONVERGENCE.get(str(result.attrs.get("method", "")))
    return show(result) if show is not None else []
