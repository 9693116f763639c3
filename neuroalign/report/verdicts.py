"""One sentence for each kind of result."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError, choose, some
from neuroalign.report._summaries import (
    ALPHA,
    compute_interval,
    describe_model,
    get_ceiling,
    get_scores,
    name_measure,
    name_method,
    name_metric,
    summarise,
    warn_of_coarse_p,
)
from neuroalign.report.course_figures import summarise_courses
from neuroalign.report.latent_verdicts import judge_fit, judge_latents, judge_states
from neuroalign.report.rsa_verdicts import judge_fusion, judge_generalization, judge_rsa
from neuroalign.report.time_figures import get_times


def _describe_peak(result: xr.Dataset) -> str:
    """Where the mean over neuroids is highest in time, under which ceiling."""
    (course,) = summarise_courses(result.drop_vars("roi", errors="ignore"))
    times, unit = get_times(result["score"])
    best = int(np.nanargmax(course.bounds[:, 0]))
    mean, low, high = course.bounds[best]
    n = int(np.isfinite(course.values[:, best]).sum())
    text = f"{name_metric(result)} peaks at {mean:.3f} at {times[best]:.3g} {unit}, mean over {n}"
    text += " neuroids"
    if np.isfinite(low):
        text += f" [{low:.3f}, {high:.3f}: 95 % over neuroids]"
    if course.ceiling is not None and np.isfinite(course.ceiling[best]):
        text += f", ceiling there {course.ceiling[best]:.3f}"
    return text


def _count_passed(result: xr.Dataset) -> str:
    """How many tests pass, by either correction, and whether any could."""
    if "q_value" not in result or not set(result["q_value"].dims) <= {"neuroid", "time"}:
        return ""
    q = result["q_value"]
    n = int(np.isfinite(q.values).sum())
    of = f"{n} tests (neuroids by times)" if "time" in q.dims else f"{q.sizes['neuroid']}"
    text = f", {int((q.values < ALPHA).sum())} of {of} with q < {ALPHA:g}"
    text += warn_of_coarse_p(result)
    if "p_fwer" in result:
        passed = int((result["p_fwer"].values < ALPHA).sum())
        text += f", {passed} with p < {ALPHA:g} by the max statistic"
    return text


def _judge_encoding(result: xr.Dataset) -> str:
    if "time" in result["score"].dims:
        get_scores(result)
        return f"{_describe_peak(result)}{_count_passed(result)}."
    scores = get_scores(result).values
    mean, low, high, n = compute_interval(scores)
    text = f"{name_metric(result)} {mean:.3f} on average over {n} neuroids"
    if np.isfinite(low):
        text += f" [{low:.3f}, {high:.3f}: 95 % over neuroids]"
    ceiling = get_ceiling(result)
    if ceiling is not None:
        text += f", ceiling {compute_interval(ceiling).mean:.3f}"
    return f"{text}{_count_passed(result)}."


def _judge_layers(result: xr.Dataset) -> str:
    rois = result["roi"].values.astype(str)
    if "best_layer" not in result:
        return f"{result.sizes['layer']} layers compared in {len(rois)} regions."
    best = result["best_layer"].values.astype(str)
    if "planted_layer" not in result:
        pairs = [f"{layer} in {roi}" for layer, roi in zip(best[:6], rois[:6], strict=True)]
        return f"Best layers: {', '.join(pairs)}{' …' if len(rois) > 6 else ''}."
    agree = best == result["planted_layer"].values.astype(str)
    text = f"The planted layer is recovered in {int(agree.sum())} of {len(rois)} regions"
    return text + (f" (not in {', '.join(rois[~agree])})." if not agree.all() else ".")


def _judge_rdm(rdm: xr.DataArray) -> str:
    paired = rdm.dims[-1] == "pair"
    lead = rdm.dims[:-1] if paired else rdm.dims[:-2]
    n_panels = int(np.prod([rdm.sizes[dim] for dim in lead]))
    named = "first" in rdm.coords and "second" in rdm.coords
    of = f"{rdm.sizes['pair']} pairs" if paired else f"{rdm.sizes['first']} conditions"
    if paired and named:
        names = np.union1d(rdm["first"].values, rdm["second"].values)
        of = f"{len(names)} conditions, {of}"
    distance = str(rdm.attrs.get("distance", "dissimilarity"))
    distance = "distance not named" if distance == "unknown" else distance
    return f"{n_panels} RDM{'s' if n_panels > 1 else ''} of {of} ({distance})."


def _judge_comparison(result: xr.Dataset) -> str:
    """Which of two models predicts better on average, and in how many tests either way."""
    difference = np.asarray(result["difference"].values, dtype=np.float64)
    mean, _, _, n = compute_interval(difference)
    if not n:
        return "Models compared: no difference is known."
    better = {1: "model a predicts better on average", -1: "model b predicts better on average"}
    which = better.get(int(np.sign(mean)), "both predict alike")
    text = f"Mean difference {mean:+.3f} in {name_metric(result)} (model a minus model b)"
    per_test = "neuroid" in result["difference"].dims
    if per_test:
        what = "neuroids" if result["difference"].dims == ("neuroid",) else "tests"
        text += f" over {n} {what}: {which}"
    else:
        text += f": {which}"
        ends = [float(result[end].mean()) for end in ("lower", "upper") if end in result]
        if n == 1 and len(ends) == 2:
            text += f" [{ends[0]:.3f}, {ends[1]:.3f}]"
    if "q_value" in result:
        low = np.asarray(result["q_value"].values) < ALPHA
        if n == 1:
            text += f", p = {float(result['p_value'].mean()):.2g}" if "p_value" in result else ""
        else:
            above, below = ((low & (sign * difference > 0)).sum() / n for sign in (1, -1))
            text += f"; q < 0.05 for a in {above:.1%}, for b in {below:.1%}"
        text += warn_of_coarse_p(result)
    names = {key: describe_model(str(result.attrs.get(f"model_{key}", ""))) for key in "ab"}
    if names["a"] != names["b"] and all(names.values()):
        text += f". a: {names['a']}; b: {names['b']}"
    return text + "."


def _judge_estimate(result: xr.Dataset) -> str:
    if "verdict" in result.attrs:
        meaning = str(result.attrs.get("meaning", ""))
        return f"{result.attrs['verdict']}: {meaning}" if meaning else str(result.attrs["verdict"])
    if str(result.attrs.get("method", "")).startswith("compare_models") and "difference" in result:
        return _judge_comparison(result)
    said = judge_fit(result)
    if said is not None:
        return said
    if "score" in result and set(result["score"].dims) - {"subject"} == {"roi", "time"}:
        return judge_fusion(result)
    name = str(result.attrs.get("headline", next(iter(result.data_vars))))
    if name not in result:
        raise SchemaError(
            f"result.attrs['headline']: expected one of {some(result.data_vars)}, got '{name}'. "
            "Name a variable."
        )
    middle, low, high, n = summarise(result[name].values)
    text = f"{name_method(result.attrs['method'])}: {name_measure(name)} {middle:.3f}"
    if n > 1:
        text += f" at the median of {n} values [{low:.3f} to {high:.3f}]"
    return f"{text}, lag {result.attrs['lag']:g} s." if "lag" in result.attrs else f"{text}."


def _judge_plain(result: xr.DataArray | xr.Dataset) -> str:
    sizes = " × ".join(f"{size} {dim}" for dim, size in result.sizes.items())
    return f"{result.attrs.get('kind', 'data')}: {sizes}."


VERDICTS: dict[str, Callable[[Any], str]] = {
    "encoding": _judge_encoding,
    "layers": _judge_layers,
    "dissimilarity": _judge_rdm,
    "cross": _judge_rdm,
    "responses": _judge_plain,
    "features": _judge_plain,
    "matched": _judge_plain,
    "latents": judge_latents,
    "states": judge_states,
    "estimate": _judge_estimate,
    "rsa": judge_rsa,
    "generalisation": judge_generalization,
}


def state_verdict(result: xr.DataArray | xr.Dataset) -> str:
    """Say in one sentence what a result shows.

    Parameters
    ----------
    result : Dataset or DataArray
        Of a kind in ``VERDICTS``.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        When the kind is unknown.
    """
    judge = choose(VERDICTS, str(result.attrs.get("kind", "")), "result.attrs['kind']")
    try:
        return judge(result)
    except SchemaError as error:
        return f"No verdict. {error}"
