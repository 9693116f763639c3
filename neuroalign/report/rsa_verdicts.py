"""Sentences on RSA results and on generalisation in time."""

import numpy as np
import xarray as xr

from neuroalign.report._summaries import ALPHA, average, name_metric
from neuroalign.report.rsa_figures import (
    check_result,
    find_winners,
    get_tested,
    is_always_above,
    iterate_slices,
)
from neuroalign.report.time_figures import average_generalization, find_passed, get_times

MOST_NAMED = 6
# Of a t test: 5 subjects leave 4.
FEW_DEGREES = 5


def _write_p(value: float) -> str:
    if np.isnan(value):
        return "untested"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _describe_test(one: xr.Dataset, best: int) -> str:
    """The test that means something for this comparison."""
    if "p_permutation" in one:
        return f"related to these data: permutation p {_write_p(float(one['p_permutation'][best]))}"
    if is_always_above(one):
        return "a cosine of distances is above 0 anyhow: n_permutations asks whether it is related"
    return f"above 0: q {_write_p(float(one['q_value'].values[best]))}"


def _judge_slice(one: xr.Dataset, metric: str) -> str:
    """Which model is highest in one slice, over how many, and how near the ceiling."""
    means = one["mean"].values
    best = int(np.nanargmax(means))
    error = float(one["standard_error"].values[best])
    text = (
        f"'{one['model'].values[best]}' is the most similar model: {metric} {means[best]:.3f} "
        f"± {error:.3f} (standard error; {_describe_test(one, best)})"
    )
    n_others = len(means) - 1
    if n_others:
        beaten = int(find_winners(one)[best].sum())
        text += f", above {beaten} of {n_others} other models at q < {ALPHA:g}"
    lower, upper = float(one["ceiling_lower"]), float(one["ceiling_upper"])
    if np.isfinite(lower):
        text += f"; noise ceiling {lower:.3f} to {upper:.3f}"
        p = float(one["p_ceiling"].values[best]) if "p_ceiling" in one else np.nan
        if p < ALPHA and means[best] < lower:
            text += f", which it stays below (p {_write_p(p)})"
        elif np.isfinite(p) and p >= ALPHA:
            text += f", from whose lower bound it is not told apart (p {_write_p(p)})"
    return text + "."


def _judge_slices(result: xr.Dataset, metric: str) -> str:
    """Where models are highest, over regions and times."""
    means = result["mean"].transpose("model", ...)
    flat = means.values.reshape(means.shape[0], -1)
    model, place = np.unravel_index(int(np.nanargmax(flat)), flat.shape)
    title = [title for title, _ in iterate_slices(result)][place]
    finite = flat[:, np.isfinite(flat).all(axis=0)]
    wins = np.bincount(finite.argmax(axis=0), minlength=len(flat))
    names = result["model"].values.astype(str)
    first = int(wins.argmax())
    text = (
        f"'{names[first]}' is the most similar model in {wins[first]} of {flat.shape[1]} slices; "
        f"the highest similarity is that of '{names[model]}': {metric} "
        f"{flat[model, place]:.3f} ({title})"
    )
    lower = result["ceiling_lower"].transpose(*means.dims[1:]).values.ravel()[place]
    upper = result["ceiling_upper"].transpose(*means.dims[1:]).values.ravel()[place]
    if np.isfinite(lower):
        text += f", noise ceiling there {lower:.3f} to {upper:.3f}"
    cosine = is_always_above(result)
    if cosine and "p_permutation" not in result:
        return f"{text}."
    passed = (get_tested(result).transpose("model", ...).values < ALPHA).reshape(len(flat), -1)
    n_passed = int(passed.any(axis=0).sum())
    what = "related to the data at permutation p" if cosine else "above 0 at q"
    return f"{text}; {n_passed} of {flat.shape[1]} slices hold a model {what} < {ALPHA:g}."


def judge_rsa(result: xr.Dataset) -> str:
    """Say which model wins, how near the ceiling, and for whom the tests speak.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa``.

    Returns
    -------
    str

    Raises
    ------
    SchemaError
        When it is of another form, or no mean is finite.
    """
    check_result(result)
    metric = name_metric(result)
    slices = list(iterate_slices(result))
    judge = _judge_slices(result, metric) if len(slices) > 1 else _judge_slice(slices[0][1], metric)
    if "generalises_to" in result.attrs:
        judge += f" The tests generalise to {result.attrs['generalises_to']}."
    freedom = int(result.attrs.get("degrees_of_freedom", 0))
    if 0 < freedom < FEW_DEGREES:
        judge += f" With {freedom} degrees of freedom their power is low."
    return judge


def judge_fusion(result: xr.Dataset) -> str:
    """Say when the first regions are most similar.

    Parameters
    ----------
    result : Dataset
        ``score`` (roi, time[, subject]).

    Returns
    -------
    str
    """
    score = result["score"].transpose("roi", "time", ...)
    values = average(score.values.reshape(*score.shape[:2], -1), 2)
    time, unit = get_times(score)
    rois = score["roi"].values.tolist() if "roi" in score.coords else list(range(len(values)))
    peaks = [
        f"{roi} at {time[np.nanargmax(row)]:.3g} {unit} ({np.nanmax(row):.3f})"
        for roi, row in zip(rois, values, strict=True)
        if np.isfinite(row).any()
    ]
    more = f" and {len(peaks) - MOST_NAMED} more" if len(peaks) > MOST_NAMED else ""
    text = f"{result.attrs['method']}: peaks of {', '.join(peaks[:MOST_NAMED])}{more}"
    passed = find_passed(result)
    if passed is not None:
        n_passed = int(passed.values.any(axis=1).sum())
        text += f"; above 0 at some time in {n_passed} of {len(rois)} (corrected p < {ALPHA:g})"
    return text + "."


def judge_generalization(result: xr.Dataset) -> str:
    """Say where the score peaks at equal times, and how far it carries to others.

    Parameters
    ----------
    result : Dataset
        Of kind ``generalisation``.

    Returns
    -------
    str

    Raises
    ------
    SchemaError
        When it is of another form, or no score is finite.
    """
    panels = average_generalization(result)
    train, unit = get_times(result["score"], "train_time")
    test, _ = get_times(result["score"], "time")
    said = []
    for roi, values in list(panels.items())[:3]:
        if not np.isfinite(values).any():
            continue
        row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
        place = f"fitted at {train[row]:.3g} {unit} and tested at {test[column]:.3g} {unit}"
        said.append(f"{name_metric(result)} peaks at {values[row, column]:.3f} in {roi}, {place}")
    more = len(panels) - 3
    return "; ".join(said) + (f"; {more} more regions." if more > 0 else ".")
