"""What encodings and comparisons of layers show on the page."""

from collections.abc import Callable

import xarray as xr

from neuroalign.report._blocks import Block
from neuroalign.report._parts import Part, attempt, picture, warn
from neuroalign.report._summaries import get_scores, name_metric
from neuroalign.report.ceiling_figures import list_ceiling_parts
from neuroalign.report.cortex_maps import map_encoding, map_layers
from neuroalign.report.course_figures import (
    MOST_CURVES,
    PASSING_SHARE,
    plot_time_course,
    tabulate_courses,
    tabulate_onsets,
)
from neuroalign.report.diagnostic_figures import list_diagnostic_parts
from neuroalign.report.figure_data import lay_out
from neuroalign.report.figures import MOST_ROIS, plot_roi_bars, plot_score_histogram
from neuroalign.report.layer_cells import show_cells
from neuroalign.report.null_figures import list_null_parts
from neuroalign.report.tables import tabulate_provenance, tabulate_recovery, tabulate_rois
from neuroalign.report.verdicts import state_verdict


def show_encoding(result: xr.Dataset) -> list[Block]:
    """Regions, map, histogram, ceilings, time course, null, diagnostics, provenance.

    Parameters
    ----------
    result : Dataset
        ``score`` (fold, neuroid[, time]); see `neuroalign.evaluate.cross_validate`.

    Returns
    -------
    list of Block
    """
    said, metric = state_verdict(result), name_metric(result)
    # Regions and places are no defect where a study has none: only what should be there is noted.
    known = {
        "Scores by region": "roi" in result.coords,
        "Map": bool({"vertex", "i"} & set(result.coords)),
    }
    parts: list[Part] = [
        ("Table of regions", lambda: tabulate_rois(result)),
        picture(
            "Scores by region",
            f"Bars of mean {metric} by region; the table of regions holds the numbers.",
            "Mean over neuroids with a 95 % t-interval over neuroids. Diamonds: mean noise "
            f"ceiling in units of the score. At most {MOST_ROIS} regions.",
            lambda: plot_roi_bars(result),
            data=lambda: tabulate_rois(result),
        ),
        ("Map", lambda: map_encoding(result)),
        picture(
            "Distribution of scores",
            f"Histogram over neuroids. {said}",
            "Each neuroid's score is averaged over folds (and times).",
            lambda: plot_score_histogram(result),
            data=lambda: lay_out("Distribution of scores", {"score": get_scores(result)}),
        ),
        *list_ceiling_parts(result),
    ]
    if "time" in result["score"].dims:
        parts += [
            picture(
                "Time course",
                f"Mean {metric} at each time with its interval.",
                "Mean over neuroids; band: 95 % t-interval over neuroids. Dashed: mean noise "
                f"ceiling. Squares: times at which {PASSING_SHARE:.0%} or more of the region's "
                f"neuroids have q < 0.05. At most {MOST_CURVES} regions.",
                lambda: plot_time_course(result),
                data=lambda: tabulate_courses(result),
            ),
            ("Onsets and peaks", lambda: tabulate_onsets(result)),
        ]
    parts += [*list_null_parts(result), *list_diagnostic_parts(result)]
    blocks = [attempt(title, make) for title, make in parts if known.get(title, True)]
    return [*warn(result), *blocks, tabulate_provenance(result)]


def show_layers(result: xr.Dataset) -> list[Block]:
    """Heat map to open, recovery table and map of a comparison of layers.

    Parameters
    ----------
    result : Dataset
        ``score`` (layer, roi), optional ``best_layer`` and ``planted_layer`` (roi),
        ``best_layer_index`` (neuroid), and what `show_cells` and `map_layers` read.

    Returns
    -------
    list of Block
    """
    parts: list[tuple[str, Callable[[], Block]]] = [
        ("Layers by regions", lambda: show_cells(result)),
        ("Table of layers", lambda: tabulate_recovery(result)),
    ]
    # A comparison of whole regions has no places to draw.
    if "neuroid" in result.dims:
        parts.append(("Map of the best layer", lambda: map_layers(result)))
    blocks = [attempt(title, make) for title, make in parts]
    return [*warn(result), *blocks, tabulate_provenance(result)]
