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
from neuroalign.report.futures_figures import plot_behaviour, plot_futures, plot_motion_shares
from neuroalign.report.signature_figures import SIGNATURES


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


def _show_futures(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Predictors of dynamic scenes", "Noise-corrected correlations by predictor and window.",
            "Grey: neuroids. Dots: medians with their bootstrap interval over neuroids. Blue: "
            "models; red: neurons of other animals, the ceiling. Right: neuroids with a score, of "
            "all; where fewer than half have one there is no median. 1 is what the noise allows.",
            lambda: plot_futures(result),
        )
    ]  # fmt: skip


def _show_behaviour(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Behaviour consistency", "Corrected correlations with a subject's answers.",
            "Correlation over conditions of a predictor's held-out answers with the subject's, "
            "over the root of the answers' reliability. Lines: bootstrap intervals over "
            "conditions. Blue: models, with their performance on the task; red: other subjects.",
            lambda: plot_behaviour(result),
        )
    ]  # fmt: skip


def _show_motion(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Frames against motion", "Unique shares of variance by neuroid.",
            "A dot a neuroid: what only features of single frames explain against what only motion "
            "features do, of the variance that is not noise. Dotted: equal.",
            lambda: plot_motion_shares(result),
        )
    ]  # fmt: skip


CONVERGENCE: dict[str, Callable[[xr.Dataset], list[Part]]] = {
    "trace": _show_trace,
    "find_half_times": _show_half_times,
    "spatial_score": _show_spatial,
    "compare_futures": _show_futures,
    "compare_behaviour": _show_behaviour,
    "compare_motion": _show_motion,
} | SIGNATURES


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
