"""What RSA results, generalisations in time and maps of estimates show on the page."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from neuroalign._arrays import copy_geometry
from neuroalign.report._blocks import Block
from neuroalign.report._parts import attempt, map_values, picture, warn
from neuroalign.report._summaries import ALPHA, name_place
from neuroalign.report.frames import plot_frames
from neuroalign.report.rsa_figures import MOST_SLICES, plot_model_courses, plot_models
from neuroalign.report.tables import tabulate_latencies, tabulate_models, tabulate_provenance
from neuroalign.report.time_figures import MOST_PANELS, plot_fusion, plot_generalization
from neuroalign.report.verdicts import state_verdict

Part = tuple[str, Callable[[], Block]]
MOST_MAPS = 4
STARS = (
    "Stars: above 0 at q < 0.05 (*), 0.01 (**), 0.001 (***), false discovery rate over all models "
    "and panels. Lines above the bars join two models that differ at q < 0.05; a line with a dot "
    "says that the model under the dot is above every model under a tick. Grey band: noise "
    "ceiling, from the lower bound (each subject with the mean of the others) to the upper."
)


def show_rsa(result: xr.Dataset) -> list[Block]:
    """Models under their noise ceiling, in time where there is any, with their table.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa``; see `neuroalign.rsa.infer`.

    Returns
    -------
    list of Block
    """
    said = state_verdict(result)
    timed = "time" in result["mean"].dims
    bars = picture(
        "Models", f"Bars of the similarity of each model. {said}",
        f"Mean over subjects ± standard error. {STARS} At most {MOST_SLICES} panels.",
        lambda: plot_models(result),
    )  # fmt: skip
    courses = picture(
        "Models in time", f"Curves of the similarity of each model in time. {said}",
        "Mean over subjects, band ± standard error; grey band: noise ceiling. Squares: times with "
        f"q < 0.05, false discovery rate over all models, times and panels (each time by itself, "
        f"not clusters). At most {MOST_SLICES} panels.",
        lambda: plot_model_courses(result),
    )  # fmt: skip
    parts: list[Part] = [
        courses if timed else bars,
        ("Table of models", lambda: tabulate_models(result)),
    ]
    blocks = [attempt(title, make) for title, make in parts]
    return [*warn(result), *blocks, tabulate_provenance(result)]


def show_generalization(result: xr.Dataset) -> list[Block]:
    """Matrix of fitting times by test times.

    Parameters
    ----------
    result : Dataset
        Of kind ``generalisation``: ``score`` (fold, neuroid, train_time, time).

    Returns
    -------
    list of Block
    """
    title, make = picture(
        "Generalisation in time",
        f"Matrix of scores by fitting time and test time. {state_verdict(result)}",
        "Mean over folds and neuroids. Dashed: fitted and tested at the same time. White is "
        f"chance. At most {MOST_PANELS} regions.",
        lambda: plot_generalization(result),
    )
    return [*warn(result), attempt(title, make), tabulate_provenance(result)]


def list_estimate_parts(result: xr.Dataset) -> list[Part]:
    """Figures that an estimate allows by the dims of its ``score``.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``: with ``score`` (roi, time[, subject]), as of a fusion, or ``score``
        or ``mean`` (..., neuroid[, time]) on the cortex, in voxels or at sensors, as of a
        searchlight. Where ``p_value`` has the same dims, a second map shows what passes 0.05.

    Returns
    -------
    list of (title, function that makes the block)
    """
    score = result.get("score", result.get("mean"))
    if score is None:
        return []
    if set(score.dims) - {"subject"} == {"roi", "time"}:
        fused = [
            picture(
                "Regions in time", "Curves and heat map of similarity by region and time.",
                "Mean over subjects; band: 95 % t-interval over subjects. Dots: peaks. Squares: "
                "times below 0.05, corrected over times and regions (of a cluster they say that "
                "there is something, not that each of its times differs).",
                lambda: plot_fusion(result),
            )
        ]  # fmt: skip
        timed = [("Onsets and peaks", lambda: tabulate_latencies(result))]
        return fused + (timed if "peak" in result else [])
    if "neuroid" not in score.dims or not {"vertex", "i", "x"} & set(result.coords):
        return []
    name = "score" if "score" in result else "mean"
    parts = [part for title, one in _split(score, name) for part in _map(result, title, one)]
    if "p_value" in result and result["p_value"].dims == score.dims:
        passed = score.where(result["p_value"] < ALPHA)
        for title, one in _split(passed, name):
            if one.notnull().any():
                parts += _map(result, f"{title} where p < {ALPHA:g}", one)
    return parts


def _split(score: xr.DataArray, name: str) -> list[tuple[str, xr.DataArray]]:
    """One array (neuroid[, time]) for each model or other slice, the first 4; subjects averaged."""
    mean = score.mean("subject") if "subject" in score.dims else score
    lead = [str(dim) for dim in mean.dims if dim not in ("neuroid", "time")]
    found = []
    for where in list(np.ndindex(*(mean.sizes[dim] for dim in lead)))[:MOST_MAPS]:
        chosen = dict(zip(lead, where, strict=True))
        place = name_place(mean, chosen)
        title = f"{name}, {place}" if place else name
        found.append((title, mean.isel(chosen, drop=True)))
    return found


def _map(result: xr.Dataset, title: str, one: xr.DataArray) -> list[Part]:
    placed = copy_geometry(result, one)
    if "time" not in one.dims:
        if not {"vertex", "i"} & set(one.coords):
            return []
        return [(f"Map of {title}", lambda: map_values(placed, title))]
    return [
        picture(
            f"Frames of {title}", f"Maps of {title} at up to 6 times.",
            "One scale of colours around 0. Grey: no value.",
            lambda: plot_frames(placed, label=title),
        )
    ]  # fmt: skip
