"""Which maps a result has to show on the cortex: its scores, ceilings, p values, penalties."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import copy_geometry
from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Block, Picture
from neuroalign.report._parts import map_values
from neuroalign.report._style import STILL_PIXELS_PER_INCH, to_picture
from neuroalign.report._summaries import average, get_scores, name_metric
from neuroalign.report.cortex_block import MOST_STEPS, Form, Metric, build_cortex
from neuroalign.report.figure_data import lay_out, tabulate_variables
from neuroalign.report.surface import plot_cortex
from neuroalign.report.time_figures import get_times

Array = npt.NDArray[Any]
# What stands beside the scores of an encoding, by variable: its name on the page and its form.
BESIDE: dict[str, tuple[str, Form]] = {
    "mean_normalized_score": ("normalised score", "signed"),
    "ceiling": ("noise ceiling (share of variance)", "share"),
    "p_value": ("p", "probability"),
    "q_value": ("q (false discovery rate)", "probability"),
    "p_fwer": ("p (max statistic)", "probability"),
    "alpha": ("log10 penalty", "range"),
}
TURN = "Turn, threshold and read it; without scripts and in print a still picture stands here."


def _average_logs(values: Array) -> Array:
    """Log10 of positive values; NaN for others."""
    return np.log10(np.where(values > 0, values, np.nan))


PREPARE: dict[str, Callable[[Array], Array]] = {"alpha": _average_logs}


def list_metrics(result: xr.Dataset) -> list[Metric]:
    """Maps of an encoding: scores (at each time, where there are times), and what stands beside.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``.

    Returns
    -------
    list of Metric
        Averaged over folds; of more than 24 times evenly spaced ones are taken.
    """
    chosen = pick_steps(result)
    name = f"mean {name_metric(result)}"
    metrics = [Metric(name, _read(result["score"], chosen), "signed")]
    for variable, (said, form) in BESIDE.items():
        if variable in result and "neuroid" in result[variable].dims:
            prepare = PREPARE.get(variable, np.asarray)
            array = result[variable].copy(data=prepare(result[variable].values))
            metrics.append(Metric(said, _read(array, chosen), form))
    return metrics


def pick_steps(result: xr.Dataset) -> Array | None:
    """Times that the slider goes through, by number; None where a result has no times.

    Parameters
    ----------
    result : Dataset

    Returns
    -------
    array of int or None
    """
    if "time" not in result["score"].dims:
        return None
    return thin_steps(result.sizes["time"])


def thin_steps(n: int) -> Array:
    """Numbers of at most 24 evenly spaced steps of ``n``, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, MOST_STEPS)).astype(int))


def _read(array: xr.DataArray, chosen: Array | None) -> Array:
    """Values (step, neuroid), averaged over folds."""
    timed = "time" in array.dims and chosen is not None
    kept = ("time", "neuroid") if timed else ("neuroid",)
    array = array.transpose(..., *kept)
    extra = tuple(range(array.ndim - len(kept)))
    values = average(np.asarray(array.values, dtype=np.float64), extra) if extra else array.values
    return values[chosen] if timed else np.atleast_2d(values)


def map_encoding(result: xr.Dataset) -> Block:
    """Map of an encoding: to be turned where there are vertices, slices where there are voxels.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``.

    Returns
    -------
    Block

    Raises
    ------
    SchemaError
        When places are missing, or no score is finite.
    """
    scores = copy_geometry(result, get_scores(result))
    label = f"mean {name_metric(result)}"
    numbers = lay_out("Map", {"score": scores, **_list_beside(result)})
    if "vertex" not in scores.coords:
        made = map_values(scores, label, caption="Colours end at the 98th percentile.")
        return replace(made, data=numbers) if isinstance(made, Picture) else made
    n = int(np.isfinite(scores.values).sum())
    still = to_picture(
        plot_cortex(scores, label=label), "Cortical map",
        f"{label} of {n} neuroids drawn on the inflated fsaverage5 cortex.", data=numbers,
        pixels_per_inch=STILL_PIXELS_PER_INCH,
    )  # fmt: skip
    chosen = pick_steps(result)
    steps, along = [""], "time"
    if chosen is not None:
        times, unit = get_times(result["score"])
        steps, along = [f"{time:.3g} {unit}" for time in times[chosen]], "time"
    caption = (
        f"{n} neuroids, each in the faces around its vertex of fsaverage5. Colours of scores go "
        "from 0 (as far below it as above, where scores lie well below) to the 98th percentile of "
        "their size. Grey: sulci (dark), "
        f"gyri (light), and wherever there is no value. {TURN}"
    )
    return build_cortex(
        scores, list_metrics(result), still, along=along, steps=steps, caption=caption
    )


def _list_beside(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """Variables over neuroids alone, for the table behind a map."""
    names = ("ceiling", "p_value", "q_value", "p_fwer")
    return {
        name: result[name] for name in names if name in result and result[name].dims == ("neuroid",)
    }


def map_layers(result: xr.Dataset) -> Block:
    """Map of a comparison of layers: the best layer, and the score of each where it is stored.

    Parameters
    ----------
    result : Dataset
        Of kind ``layers``: ``best_layer_index`` (neuroid), optional ``neuroid_score`` (layer,
        neuroid), ``ceiling``, ``p_value``, ``q_value``, ``p_fwer`` (neuroid), and coord ``region``
        on ``neuroid``.

    Returns
    -------
    Block

    Raises
    ------
    SchemaError
        When there is no best layer, or places are missing.
    """
    if "best_layer_index" not in result:
        raise SchemaError("result: expected 'best_layer_index' (neuroid), got none. Assign it.")
    index = result["best_layer_index"].astype("float64")
    index = copy_geometry(result, index.where(index >= 0))
    layers = result["layer"].values.astype(str).tolist()
    words = "Each neuroid in the colour of the layer that predicts it best."
    if "neuroid_score" in result:
        words = "The score of each layer, and which layer predicts each neuroid best."
    beside = [name for name in BESIDE if name in result and result[name].dims == ("neuroid",)]
    numbers = tabulate_variables("Map", result, "best_layer_index", *beside)
    if "vertex" not in index.coords:
        return map_values(index, "best layer", layers, words)
    n = int(np.isfinite(index.values).sum())
    still = to_picture(
        plot_cortex(index, label="best layer", categories=layers), "Cortical map",
        f"best layer of {n} neuroids drawn on the inflated fsaverage5 cortex.", data=numbers,
        pixels_per_inch=STILL_PIXELS_PER_INCH,
    )  # fmt: skip
    name = f"mean {name_metric(result)}"
    metrics = [Metric("best layer", index.values, "category", tuple(layers), by=name)]
    if "neuroid_score" in result:
        scores = result["neuroid_score"].transpose("layer", "neuroid").values
        metrics.insert(0, Metric(name, scores))
    for variable in beside:
        said, form = BESIDE[variable]
        metrics.append(Metric(said, result[variable].values, form))
    if "region" in result.coords and "roi" not in index.coords:
        index = index.assign_coords(roi=("neuroid", result["region"].values))
    caption = f"{n} neuroids. {words} {TURN}"
    return build_cortex(index, metrics, still, along="layer", steps=layers, caption=caption)


def map_estimate(
    values: xr.DataArray,
    title: str,
    still: Picture,
    *,
    p_value: xr.DataArray | None = None,
    limit: float | None = None,
    form: Form = "signed",
) -> Block:
    """Map of one estimate to turn; at each time where it has times.

    Parameters
    ----------
    values : DataArray (neuroid[, time])
        With coords ``hemisphere`` and ``vertex``.
    title : str
        What the values are.
    still : Picture
        What stands without scripts and in print.
    p_value : DataArray (neuroid[, time]), optional
    limit : float, optional
        Where colours end: for maps that share a scale.
    form : {"signed", "share"}
        Colours on both sides of 0, or from 0.

    Returns
    -------
    Block

    Raises
    ------
    SchemaError
        When places are missing, or nothing is finite.
    """
    numbers = {title: values} | ({} if p_value is None else {"p": p_value})
    heading = f"{'Frames' if 'time' in values.dims else 'Map'} of {title}"
    still = replace(still, data=lay_out(heading, numbers))
    chosen, steps = None, [""]
    places = values
    if "time" in values.dims:
        places = values.isel(time=0, drop=True)
        chosen = thin_steps(values.sizes["time"])
        times, unit = get_times(values)
        steps = [f"{time:.3g} {unit}" for time in times[chosen]]
    metrics = [Metric(title, _read(values, chosen), form, limit=limit)]
    if p_value is not None:
        metrics.append(Metric("p", _read(p_value, chosen), "probability"))
    return build_cortex(
        places, metrics, still, along="time", steps=steps, title=heading,
        caption=f"{still.caption} Here colours start at 0, or go as far below it as above. {TURN}",
    )  # fmt: skip
