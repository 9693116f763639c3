"""Layers by regions as cells to open: what stands behind each mean."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.report._blocks import Cortex
from neuroalign.report._style import clean, to_picture
from neuroalign.report._summaries import ALPHA, Interval, average, compute_interval, name_metric
from neuroalign.report.ceiling_figures import get_least_ceiling
from neuroalign.report.cortex_block import N_COLORS, sample_colors
from neuroalign.report.figure_data import tabulate_variables
from neuroalign.report.figures import plot_layer_roi
from neuroalign.report.verdicts import state_verdict

Array = npt.NDArray[Any]
N_BINS = 24
# The strictest test that a result holds gives the stars.
TESTED = {
    "p_fwer": "p < 0.05 by the max statistic",
    "q_value": "q < 0.05, false discovery rate",
    "p_value": "p < 0.05, uncorrected",
}


def find_members(result: xr.Dataset) -> dict[str, Array]:
    """Which neuroids belong to each region: coord ``region`` on ``neuroid``.

    Parameters
    ----------
    result : Dataset
        Of kind ``layers``.

    Returns
    -------
    dict of str to array of bool (neuroid,)
        Empty where it is not known.
    """
    if "region" not in result.coords or result["region"].dims != ("neuroid",):
        return {}
    labels = result["region"].values.astype(str)
    return {roi: labels == roi for roi in result["roi"].values.astype(str).tolist()}


def find_starred(result: xr.Dataset) -> tuple[Array, str]:
    """Cells that pass the strictest test over (layer, roi) a result holds, and its name.

    Parameters
    ----------
    result : Dataset
        Of kind ``layers``.

    Returns
    -------
    array of bool (layer, roi)
    str
        Empty where nothing was tested.
    """
    for name, said in TESTED.items():
        if name in result and set(result[name].dims) == {"layer", "roi"}:
            return result[name].transpose("layer", "roi").values < ALPHA, said
    return np.zeros(result["score"].shape, dtype=bool), ""


def get_roi_ceilings(result: xr.Dataset) -> Array:
    """Ceiling of each region as a share of variance; NaN where it is not known.

    Parameters
    ----------
    result : Dataset
        Of kind ``layers``: ``ceiling`` (roi), or (neuroid) with coord ``region``.

    Returns
    -------
    array (roi,)
    """
    n = result.sizes["roi"]
    if "ceiling" not in result:
        return np.full(n, np.nan)
    if result["ceiling"].dims == ("roi",):
        return np.asarray(result["ceiling"].values, dtype=np.float64)
    members = find_members(result)
    if result["ceiling"].dims != ("neuroid",) or not members:
        return np.full(n, np.nan)
    return np.array([float(average(result["ceiling"].values[one], 0)) for one in members.values()])


def _write_facts(
    result: xr.Dataset, row: int, column: int, spread: Interval | None, ceiling: float
) -> list[str]:
    """Sentences behind one cell."""
    unit, mean = name_metric(result), float(result["score"].values[row, column])
    facts = [f"mean {mean:.3f} {unit}" if np.isfinite(mean) else "no finite score"]
    if spread is not None and np.isfinite(spread.low):
        facts[0] += f" [{spread.low:.3f}, {spread.high:.3f}: 95 % over {spread.n} neuroids]"
    if "fold_score" in result:
        folds = result["fold_score"].transpose("layer", "roi", "fold").values[row, column]
        known = folds[np.isfinite(folds)]
        spread_said = f", SD {known.std(ddof=1):.3f}" if len(known) > 1 else ""
        facts.append(f"folds: {', '.join(f'{value:.3f}' for value in known)}{spread_said}")
    if np.isfinite(ceiling):
        facts.append(f"noise ceiling: {ceiling:.3f} of the variance, mean over neuroids")
    for name in TESTED:
        if name in result and set(result[name].dims) == {"layer", "roi"}:
            value = float(result[name].transpose("layer", "roi")[row, column])
            facts.append(f"{name}: {value:.3g}")
    return facts


def show_cells(result: xr.Dataset) -> Cortex:
    """Heat map of layers by regions whose cells open: histogram of neuroids, interval, folds.

    Parameters
    ----------
    result : Dataset
        Of kind ``layers``: ``score`` (layer, roi). Optional: ``planted_layer`` (roi);
        ``neuroid_score`` (layer, neuroid) with coord ``region`` on ``neuroid`` for histograms and
        intervals; ``fold_score`` (layer, fold, roi); ``ceiling`` (roi or neuroid), a share of
        variance, below 0.1 of which cells are hatched; ``p_fwer``, ``q_value`` or ``p_value``
        (layer, roi) for stars.

    Returns
    -------
    Cortex
        Its fallback is the heat map as a picture.

    Raises
    ------
    SchemaError
        When no score is finite.
    """
    planted = result.get("planted_layer")
    starred, test = find_starred(result)
    ceilings, least = get_roi_ceilings(result), get_least_ceiling(result)
    hatched = ceilings < least
    words = "Mean score over neuroids. Frame: the best layer of the region."
    words += " Dot: the planted layer." if planted is not None else ""
    words += f" ★: {test}." if test else ""
    words += f" Hatched: mean ceiling below {least:g} of the variance." if hatched.any() else ""
    still = to_picture(
        plot_layer_roi(
            result["score"],
            planted,
            hatched=hatched,
            starred=starred,
            label=f"mean {name_metric(result)}",
        ),
        "Layers by regions",
        f"Heat map of mean score by layer and region. {state_verdict(result)}",
        words,
        data=tabulate_variables("Layers by regions", result, "score", "ceiling", *TESTED),
    )
    values = np.asarray(result["score"].values, dtype=np.float64)
    each, members = None, find_members(result)
    edges = np.array([0.0, 1.0])
    if "neuroid_score" in result and members:
        each = result["neuroid_score"].transpose("layer", "neuroid").values.astype(np.float64)
        edges = np.histogram_bin_edges(each[np.isfinite(each)], bins=N_BINS)
    cells = []
    layers = result["layer"].values.astype(str).tolist()
    for row, layer in enumerate(values):
        line = []
        for column, mean in enumerate(layer):
            cell: dict[str, Any] = {
                "mean": round(float(mean), 6) if np.isfinite(mean) else None,
                "star": int(starred[row, column]),
                "hatched": int(hatched[column]),
                "planted": int(planted is not None and str(planted.values[column]) == layers[row]),
                "best": int(np.isfinite(mean) and mean == np.nanmax(values[:, column])),
            }
            spread = None
            if each is not None:
                inside = each[row, list(members.values())[column]]
                spread = compute_interval(inside)
                cell["counts"] = np.histogram(inside[np.isfinite(inside)], edges)[0].tolist()
            cell["facts"] = _write_facts(result, row, column, spread, float(ceilings[column]))
            line.append(cell)
        cells.append(line)
    payload = {
        "form": "cells",
        "row_name": "layer",
        "unit": clean(name_metric(result)),
        "rows": [clean(name) for name in result["layer"].values],
        "columns": [clean(name) for name in result["roi"].values],
        "low": min(0.0, float(np.nanmin(values))),
        "high": float(np.nanmax(values)),
        "colors": sample_colors("viridis", N_COLORS),
        "edges": edges.tolist(),
        "cells": cells,
    }
    return Cortex("Layers by regions", payload, still, f"{words} Choose a cell for what is behind.")
