"""What results of convergence show on the page, by the method that made them.

To add a figure: a function from the result to parts, and its row in ``CONVERGENCE``.
"""

from collections.abc import Callable

import xarray as xr

from neuroalign.convergence.preferences import average_regions
from neuroalign.report._parts import Part, picture
from neuroalign.report.convergence_figures import (
    MOST_REGIONS,
    plot_half_times,
    plot_latencies,
    plot_spatial_scores,
    plot_trace,
)
from neuroalign.report.figures import plot_layer_roi
from neuroalign.report.futures_figures import plot_behaviour, plot_futures, plot_motion_shares
from neuroalign.report.signature_figures import SIGNATURES


def _name_interval(result: xr.Dataset) -> str:
    """Say which interval is drawn; that of `trace` has one level alone."""
    return f"{100 * float(result.attrs.get('level', 0.95)):g} %"


def _show_trace(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Scores over training", "Courses of scores over training steps.",
            "Encoding: mean over neuroids, each at the layer that is best in the other folds. "
            "Spatial: correlation of each neuroid's best layer with its distance. Temporal: "
            f"correlation of depth with latency. Bands: {_name_interval(result)} bootstrap "
            "intervals. Dashed: the last network with its weights in random places.",
            lambda: plot_trace(result),
        ),
        *_show_half_times(result),
    ]  # fmt: skip


def _show_half_times(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Half-times", "Training steps at half of the final score, by region.",
            f"Lines: {_name_interval(result)} bootstrap intervals. At most {MOST_REGIONS} regions. "
            "At the first step: the score begins above half of its end, and the truth lies before.",
            lambda: plot_half_times(result),
        )
    ]  # fmt: skip


def _show_spatial(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Spatial scores", "Correlations by distance, rule and unit, with intervals.",
            f"Correlation of preferred depth with distance. Lines: {_name_interval(result)} "
            f"intervals over {result.attrs.get('resampled', 'regions')}; none with fewer than 5 "
            "regions as units. "
            "Filled: below .05 by spins of the cortex. The published score is 'euclidean · best'.",
            lambda: plot_spatial_scores(result),
        )
    ]  # fmt: skip


def _show_layers(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Layers by regions", "Heat map of mean score by layer and region.",
            "Mean held-out score over the neuroids of each region (and over time). Frame: the best "
            f"layer, chosen by the score that is shown. At most {MOST_REGIONS} regions.",
            lambda: plot_layer_roi(_average_layers(result)),
        )
    ]  # fmt: skip


def _average_layers(result: xr.Dataset) -> xr.DataArray:
    """Mean scores (layer, roi); all neuroids together where no region is named."""
    scores = result["mean_score"]
    scores = scores.mean("time") if "time" in scores.dims else scores
    if "roi" in scores.coords and (scores["roi"].values != "").any():
        return average_regions(scores)[:, :MOST_REGIONS]
    return scores.mean("neuroid").expand_dims(roi=["all"], axis=1)


def _show_temporal(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Latencies of layers", "Latency of each layer by its depth.",
            "When each layer predicts best. Peak: mean of the times near the peak, as published; "
            "centroid: mean time weighted by what exceeds half of the peak. Lines: "
            f"{_name_interval(result)} bootstrap intervals over neuroids.",
            lambda: plot_latencies(result),
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
    "encode_layers": _show_layers,
    "trace": _show_trace,
    "find_half_times": _show_half_times,
    "spatial_score": _show_spatial,
    "compare_futures": _show_futures,
    "compare_behaviour": _show_behaviour,
    "compare_motion": _show_motion,
    "temporal_score": _show_temporal,
    **SIGNATURES,
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
