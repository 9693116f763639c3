"""What each kind of result shows on the page, in order of reading.

To add a kind: a function from the result to blocks, and its row in ``SCREENS``. A part that lacks
its dims or coords becomes a visible note.
"""

from collections.abc import Callable
from typing import Any

import xarray as xr

from neuroalign._arrays import copy_geometry
from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Block, Table
from neuroalign.report._parts import attempt, map_values, warn
from neuroalign.report._style import to_picture
from neuroalign.report._summaries import get_scores, name_metric
from neuroalign.report.convergence_screens import list_convergence_parts
from neuroalign.report.decoding_screens import list_decoding_parts
from neuroalign.report.figures import (
    MOST_CURVES,
    MOST_ROIS,
    plot_layer_roi,
    plot_roi_bars,
    plot_score_histogram,
    plot_time_course,
)
from neuroalign.report.latent_screens import list_fit_parts, show_latents, show_states
from neuroalign.report.matrices import MOST_PANELS, plot_mds, plot_rdm
from neuroalign.report.rsa_screens import list_estimate_parts, show_generalization, show_rsa
from neuroalign.report.shape_screens import list_shape_parts
from neuroalign.report.tables import (
    tabulate_estimate,
    tabulate_provenance,
    tabulate_recovery,
    tabulate_rois,
)
from neuroalign.report.verdicts import state_verdict


def show_encoding(result: xr.Dataset) -> list[Block]:
    """Warnings, regions, map, histogram, time course, provenance of an encoding result.

    Parameters
    ----------
    result : Dataset
        ``score`` (fold, neuroid[, time]); see `neuroalign.evaluate.cross_validate`.

    Returns
    -------
    list of Block
    """
    said, metric = state_verdict(result), name_metric(result)

    def draw_map() -> Block:
        scores = get_scores(result)
        return map_values(
            copy_geometry(result, scores), f"mean {metric}",
            caption="Colours end at the 98th percentile.",
        )  # fmt: skip

    # Regions and places are no defect where a study has none: only what should be there is noted.
    known = {
        "Scores by region": "roi" in result.coords,
        "Map": bool({"vertex", "i"} & set(result.coords)),
    }
    parts: list[tuple[str, Callable[[], Block]]] = [
        ("Table of regions", lambda: tabulate_rois(result)),
        (
            "Scores by region",
            lambda: to_picture(
                plot_roi_bars(result), "Scores by region",
                f"Bars of mean {metric} by region; the table of regions holds the numbers.",
                "Mean over neuroids with a 95 % t-interval over neuroids. Diamonds: mean noise "
                f"ceiling in units of the score. At most {MOST_ROIS} regions.",
            ),
        ),
        ("Map", draw_map),
        (
            "Distribution of scores",
            lambda: to_picture(
                plot_score_histogram(result), "Distribution of scores",
                f"Histogram over neuroids. {said}",
                "Each neuroid's score is averaged over folds (and times).",
            ),
        ),
    ]  # fmt: skip
    if "time" in result["score"].dims:
        parts.append(
            (
                "Time course",
                lambda: to_picture(
                    plot_time_course(result), "Time course",
                    f"Mean {metric} at each time with its interval.",
                    "Mean over neuroids; band: 95 % t-interval over neuroids. At most "
                    f"{MOST_CURVES} regions.",
                ),
            )
        )  # fmt: skip
    blocks = [attempt(title, make) for title, make in parts if known.get(title, True)]
    return [*warn(result), *blocks, tabulate_provenance(result)]


def show_layers(result: xr.Dataset) -> list[Block]:
    """Heat map, recovery table and map of the best layer of a comparison of layers.

    Parameters
    ----------
    result : Dataset
        ``score`` (layer, roi), optional ``best_layer`` and ``planted_layer`` (roi), and
        ``best_layer_index`` (neuroid).

    Returns
    -------
    list of Block
    """
    planted = result.get("planted_layer")

    def draw_map() -> Block:
        if "best_layer_index" not in result:
            raise SchemaError("result: expected 'best_layer_index' (neuroid), got none. Assign it.")
        index = result["best_layer_index"].astype("float64")
        layers = result["layer"].values.astype(str).tolist()
        return map_values(
            copy_geometry(result, index.where(index >= 0)), "best layer", layers,
            "Each neuroid in the colour of the layer that predicts it best.",
        )  # fmt: skip

    dot = " Dot: the planted layer." if planted is not None else ""
    parts: list[tuple[str, Callable[[], Block]]] = [
        (
            "Layers by regions",
            lambda: to_picture(
                plot_layer_roi(result["score"], planted), "Layers by regions",
                f"Heat map of mean score by layer and region. {state_verdict(result)}",
                f"Mean score over neuroids. Frame: the best layer of the region.{dot}",
            ),
        ),
        ("Table of layers", lambda: tabulate_recovery(result)),
    ]  # fmt: skip
    # A comparison of whole regions has no places to draw.
    if "neuroid" in result.dims:
        parts.append(("Map of the best layer", draw_map))
    blocks = [attempt(title, make) for title, make in parts]
    return [*warn(result), *blocks, tabulate_provenance(result)]


def show_rdm(rdm: xr.DataArray) -> list[Block]:
    """Gallery and plane of an RDM or a stack of them.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    list of Block
    """
    said = state_verdict(rdm)
    parts: list[tuple[str, Callable[[], Block]]] = [
        (
            "RDM",
            lambda: to_picture(
                plot_rdm(rdm), "Dissimilarities", f"Matrix of dissimilarities. {said}",
                f"All panels share one colour scale; at most {MOST_PANELS} are drawn. White lines: "
                "between categories.",
            ),
        ),
        (
            "Conditions in a plane",
            lambda: to_picture(
                plot_mds(rdm), "Conditions in a plane",
                f"Metric scaling of the conditions to two axes. {said}",
                "Metric scaling (SMACOF, from the classical solution) of the mean over the stack, "
                "of its root where the distance is squared. Stress-1: 0 where the plane keeps all "
                "distances; above 0.2 it should not be trusted.",
            ),
        ),
    ]  # fmt: skip
    blocks = [attempt(title, make) for title, make in parts]
    return [*warn(rdm), *blocks, tabulate_provenance(rdm)]


def show_estimate(result: xr.Dataset) -> list[Block]:
    """Table of a ceiling, an interval, a test or a lag; figures where it has places or times.

    Parameters
    ----------
    result : Dataset

    Returns
    -------
    list of Block
    """
    parts = [
        *list_estimate_parts(result),
        *list_shape_parts(result),
        *list_fit_parts(result),
        *list_decoding_parts(result),
        *list_convergence_parts(result),
    ]
    drawn = [attempt(title, make) for title, make in parts]
    return [*warn(result), *drawn, tabulate_estimate(result), tabulate_provenance(result)]


def show_plain(result: xr.DataArray | xr.Dataset) -> list[Block]:
    """Dims, coords and provenance of anything else.

    Parameters
    ----------
    result : DataArray or Dataset

    Returns
    -------
    list of Block
    """
    rows = tuple(
        (str(name), ", ".join(map(str, coord.dims)), str(coord.dtype), int(coord.size))
        for name, coord in result.coords.items()
    )
    coords = Table("Coordinates", ("coord", "dims", "type", "values"), rows)
    return [*warn(result), coords, tabulate_provenance(result)]


SCREENS: dict[str, Callable[[Any], list[Block]]] = {
    "encoding": show_encoding,
    "layers": show_layers,
    "dissimilarity": show_rdm,
    "cross": show_rdm,
    "responses": show_plain,
    "features": show_plain,
    "matched": show_plain,
    "latents": show_latents,
    "states": show_states,
    "estimate": show_estimate,
    "rsa": show_rsa,
    "generalisation": show_generalization,
}
