"""What RSA results, generalisations in time and maps of estimates show on the page."""

from dataclasses import replace

import numpy as np
import xarray as xr

from neuroalign._arrays import copy_geometry
from neuroalign.report._blocks import Block, Picture, Table
from neuroalign.report._parts import Part, attempt, map_values, picture, warn
from neuroalign.report._style import to_picture
from neuroalign.report._summaries import ALPHA, name_place
from neuroalign.report.cortex_block import SLIGHT, Form
from neuroalign.report.cortex_maps import map_estimate
from neuroalign.report.figure_data import lay_out, tabulate_variables
from neuroalign.report.frames import plot_frames
from neuroalign.report.rsa_figures import (
    MOST_SLICES,
    is_always_above,
    plot_model_courses,
    plot_models,
)
from neuroalign.report.rsa_tables import tabulate_latencies, tabulate_models
from neuroalign.report.rsa_time_figures import (
    TESTED,
    plot_ceilings,
    plot_commonality,
    plot_rdm_generalization,
)
from neuroalign.report.tables import tabulate_provenance
from neuroalign.report.time_figures import (
    MOST_PANELS,
    average_generalization,
    get_times,
    plot_fusion,
    plot_generalization,
)
from neuroalign.report.verdicts import state_verdict

MOST_MAPS = 4
CEILINGS = (
    "mean", "time_ceiling_lower", "time_ceiling_upper", "roi_ceiling_lower", "roi_ceiling_upper",
)  # fmt: skip
SCALE = "All maps of this result share one colour scale."
# What stars and squares say, by what a result was tested for.
ABOVE = ("above 0 at q", "false discovery rate over all models, times and panels")
RELATED = (
    "related to these data at permutation p",
    "orders of condition labels, each model by itself; a cosine of distances is above 0 anyhow",
)
UNTESTED = (
    "No {0}: a cosine of distances is above 0 whatever they are of. n_permutations asks whether a "
    "model is related to these data. "
)
LINES = (
    "Lines above the bars join two models that differ at q < 0.05; a line with a dot "
    "says that the model under the dot is above every model under a tick. Grey band: noise "
    "ceiling, from the lower bound (each subject with the mean of the others) to the upper."
)


def _explain(result: xr.Dataset, marks: str, levels: str) -> str:
    """What stars or squares say of this result."""
    if is_always_above(result) and "p_permutation" not in result:
        return UNTESTED.format(marks)
    said, how = RELATED if is_always_above(result) else ABOVE
    return f"{marks.capitalize()}: {said} {levels} ({how}). "


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
        f"Mean over subjects ± standard error. "
        f"{_explain(result, 'stars', '< 0.05 (*), 0.01 (**), 0.001 (***)')}{LINES} "
        f"At most {MOST_SLICES} panels.",
        lambda: plot_models(result),
        data=lambda: tabulate_models(result),
    )  # fmt: skip
    courses = picture(
        "Models in time", f"Curves of the similarity of each model in time. {said}",
        "Mean over subjects, band ± standard error; grey band: noise ceiling. "
        f"{_explain(result, 'squares', '< 0.05')}Each time is judged by itself, not clusters. "
        f"At most {MOST_SLICES} panels.",
        lambda: plot_model_courses(result),
        data=lambda: tabulate_models(result),
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
        data=lambda: _tabulate_generalization(result),
    )
    return [*warn(result), attempt(title, make), tabulate_provenance(result)]


def _tabulate_generalization(result: xr.Dataset) -> Table:
    """One row a region and couple of times."""
    found = average_generalization(result)
    times = {name: get_times(result["score"], name)[0] for name in ("train_time", "time")}
    coords = {"region": list(found), **times}
    array = xr.DataArray(np.stack(list(found.values())), coords, ("region", "train_time", "time"))
    return lay_out("Generalisation in time", {"score": array})


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
        over = "Mean over subjects; band: 95 % t-interval over subjects. "
        over = over if "subject" in score.dims else ""
        fused = [
            picture(
                "Regions in time", "Curves and heat map of similarity by region and time.",
                f"{over}Dots: peaks. Squares: "
                "times below 0.05, corrected over times and regions (of a cluster they say that "
                "there is something, not that each of its times differs).",
                lambda: plot_fusion(result),
                data=lambda: tabulate_variables(
                    "Regions in time", result, "score", "p_cluster", "p_fwer"
                ),
            )
        ]  # fmt: skip
        timed = [("Onsets and peaks", lambda: tabulate_latencies(result))]
        return fused + _list_fusion_parts(result) + (timed if "peak" in result else [])
    if {"time", "time_other"} <= set(score.dims):
        return [
            picture(
                "Geometry from time to time", f"Matrices of time by time. {state_verdict(result)}",
                "Left: similarity of RDMs of different units (subjects, halves), whose noise is "
                "not shared. Middle: divided by the root of both reliabilities; grey where there "
                "is none, cut at -1 and 1. Right: reliability, ± standard error by leaving out "
                "units. Dashed: equal times.",
                lambda: plot_rdm_generalization(result),
                data=lambda: tabulate_variables(
                    "Geometry from time to time", result, *map(str, result.data_vars)
                ),
            )
        ]  # fmt: skip
    if "neuroid" not in score.dims or not {"vertex", "i", "x"} & set(result.coords):
        return []
    name = "score" if "score" in result else "mean"
    maps = _split(score, name)
    limits = _find_limits(xr.concat([one for _, one in maps], "map", join="exact"))
    parts = [part for title, one in maps for part in _map(result, title, one, limits)]
    if "p_value" in result and result["p_value"].dims == score.dims:
        passed = score.where(result["p_value"] < ALPHA)
        for title, one in _split(passed, name):
            if one.notnull().any():
                parts += _map(result, f"{title} where p < {ALPHA:g}", one, limits)
    return parts


def _list_fusion_parts(result: xr.Dataset) -> list[Part]:
    """Noise ceilings, and what models and regions explain in common, where they are known."""
    parts: list[Part] = []
    if {"time_ceiling_lower", "roi_ceiling_lower"} & set(result.data_vars):
        parts.append(
            picture(
                "Noise ceilings", "Bands of noise ceilings, and mean similarity by region.",
                "Grey: from the lower ceiling (each subject with the mean of the others) to the "
                "upper one. The ceiling of the side whose subjects are kept bounds the curves: "
                f"{result.attrs.get('units', 'time')}.",
                lambda: plot_ceilings(result),
                data=lambda: tabulate_variables("Noise ceilings", result, *CEILINGS),
            )
        )  # fmt: skip
    if "commonality" in result:
        parts.append(
            picture(
                "Variance shared with models", "Curves of shared variance by region and model.",
                "Variance of RDMs in time that a region and a model explain in common; negative "
                "where one suppresses noise of the other. Band: 95 % t-interval over subjects. "
                "Squares: times below 0.05, corrected over times and regions.",
                lambda: plot_commonality(result),
                data=lambda: tabulate_variables(
                    "Variance shared with models", result, "commonality", *TESTED
                ),
            )
        )  # fmt: skip
    return parts


def _find_limits(score: xr.DataArray) -> tuple[float, float] | None:
    """One scale of colours for all maps of a result: from 0, or what lies below, to the top."""
    finite = score.values[np.isfinite(score.values)]
    if not finite.size:
        return None
    low, high = min(0.0, float(np.quantile(finite, 0.02))), float(np.quantile(finite, 0.98))
    return (low, high) if high > low else None


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


def _map(
    result: xr.Dataset, title: str, one: xr.DataArray, limits: tuple[float, float] | None
) -> list[Part]:
    placed = copy_geometry(result, one)
    timed = "time" in one.dims
    if not timed and not {"vertex", "i"} & set(one.coords):
        return []

    def draw() -> Block:
        if timed:
            still: Block = to_picture(
                plot_frames(placed, label=title), f"Frames of {title}",
                f"Maps of {title} at up to 6 times.",
                "One scale of colours around 0. Grey: no value.",
            )  # fmt: skip
        else:
            still = map_values(placed, title, caption=SCALE, limits=limits)
        if not isinstance(still, Picture):
            return still
        if "vertex" in placed.coords:
            top = None if limits is None else max(map(abs, limits))
            low, high = limits or (-1.0, 1.0)
            form: Form = "signed" if low < -SLIGHT * high else "share"
            return map_estimate(placed, title, still, limit=top, form=form)
        return replace(still, data=lay_out(still.title, {title: placed}))

    return [(f"{'Frames' if timed else 'Map'} of {title}", draw)]
