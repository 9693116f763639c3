"""Rows for the tables of a page: regions, recovery, provenance, warnings."""

import json
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Cell, Table
from neuroalign.report._summaries import (
    average,
    compute_interval,
    get_ceiling,
    get_scores,
    group_by_roi,
    name_metric,
    summarise,
)
from neuroalign.report.rsa_figures import check_result, iterate_slices

MOST_ROWS = 500
ENDS = ("ceiling_lower", "ceiling_upper")
# Attrs of an estimate that its head or the table of provenance says already.
SAID_ELSEWHERE = {"affine", "grid_shape", "headline", "kind", "meaning", "provenance"}
SAID_ELSEWHERE |= {"schema_version", "verdict"}
# Attrs that are true when something is wrong, and what to say then.
SPOKEN = {
    "fitted_without_cross_validation": (
        "Weights of models were fitted and scored on the same data: scores of fitted models are "
        "too high, and so is their rank among fixed ones."
    ),
    "overlapping_tests": (
        "Test windows overlap: scores at neighbouring times share data and are not independent."
    ),
}


def _to_cell(value: float, digits: int = 3) -> Cell:
    """Round a number; None where there is none."""
    return round(float(value), digits) if np.isfinite(value) else None


def _to_p_cell(value: float) -> Cell:
    """Round a p value; never to 0, which no test gives."""
    return "< .001" if value < 0.001 else _to_cell(value, 4)


def _is_p(name: str) -> bool:
    """Whether a variable holds p or q values, by its name."""
    return any(word in ("p", "q") for word in name.split("_"))


def tabulate_rois(result: xr.Dataset) -> Table:
    """One row a region: how many neuroids, how well predicted, how well predictable.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``; without coord ``roi`` there is one row for all neuroids.

    Returns
    -------
    Table
        Columns: region, finite neuroids, mean score and its 95 % t-interval over neuroids,
        mean ceiling in units of the metric, mean score over mean ceiling, share with q < 0.05.

    Raises
    ------
    SchemaError
        When no score is finite.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> responses = data.responses.assign_coords(roi=("neuroid", ["V1"] * 3 + ["IT"] * 3))
    >>> result = cross_validate(Ridge(), data.features, responses)
    >>> [row[:2] for row in tabulate_rois(result).rows]
    [('V1', 3), ('IT', 3)]
    """
    scores, ceiling = get_scores(result).values, get_ceiling(result)
    everywhere = {"all": np.ones(len(scores), dtype=bool)}
    groups = group_by_roi(result) if "roi" in result.coords else everywhere
    significant = _get_significant(result)
    rows = []
    for roi, inside in groups.items():
        mean, low, high, n = compute_interval(scores[inside])
        top = np.nan if ceiling is None else compute_interval(ceiling[inside]).mean
        share = compute_interval(significant[inside]).mean
        ratio = mean / top if top > 0 else np.nan
        row = (mean, low, high, top, ratio, share)
        rows.append((roi, n, *map(_to_cell, row)))
    metric = name_metric(result)
    columns = ("region", "n", f"mean {metric}", "95 % low", "95 % high")
    return Table(
        "Regions",
        (*columns, f"ceiling, as {metric}", "score / ceiling", "share q < 0.05"),
        tuple(rows),
        "n counts neuroids with a finite score. The interval is a t-interval over neuroids, which "
        "share noise: it does not speak about other subjects.",
    )


def tabulate_models(result: xr.Dataset) -> Table:
    """One row a model (and region or time): similarity, interval, tests against 0 and ceiling.

    Parameters
    ----------
    result : Dataset
        Of kind ``rsa``; see `neuroalign.rsa.infer`.

    Returns
    -------
    Table
        Columns: slice, model, mean, standard error, interval, p and q against 0, p against the
        lower ceiling, and both ceilings. The first 500 rows.

    Raises
    ------
    SchemaError
        When it is of another form, or no mean is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, infer
    >>> values, names = np.random.default_rng(0).random((8, 66)), list("abcdefghijkl")
    >>> good, other, *people = (from_matrix(row, names) for row in values)
    >>> models, rdms = {"good": good, "other": other}, dict(zip("stuvwx", people, strict=True))
    >>> found = infer(models, rdms, bootstrap="subjects", n_bootstrap=50)
    >>> [row[:2] for row in tabulate_models(found).rows]
    [('all', 'good'), ('all', 'other')]
    """
    check_result(result)
    rows: list[tuple[Cell, ...]] = []
    by_model = ("mean", "standard_error", "interval_lower", "interval_upper", "p_value", "q_value",
                "p_ceiling")  # fmt: skip
    empty = np.full(result.sizes["model"], np.nan)
    for title, one in iterate_slices(result):
        ends = [float(one[name]) for name in ENDS]
        columns = [one[name].values if name in one else empty for name in by_model]
        for name, *values in zip(one["model"].values.astype(str), *columns, strict=True):
            known = zip((*by_model, *ENDS), (*values, *ends), strict=True)
            cells = [_to_p_cell(v) if _is_p(key) else _to_cell(v, 4) for key, v in known]
            rows.append((title or "all", str(name), *cells))
    level = f"{100 * float(result.attrs.get('level', 0.95)):g} %"
    named = ("slice", "model", name_metric(result), "standard error", f"{level} low",
             f"{level} high", "p > 0", "q > 0", "p vs ceiling", "ceiling low",
             "ceiling high")  # fmt: skip
    cut = f" The first {MOST_ROWS} of {len(rows)} rows." if len(rows) > MOST_ROWS else ""
    caption = "p > 0 is one-sided, p vs ceiling two-sided against the lower noise ceiling."
    return Table("Models", named, tuple(rows[:MOST_ROWS]), caption + cut)


def tabulate_latencies(result: xr.Dataset) -> Table:
    """One row a region of a fusion: onset and peak with their intervals.

    Parameters
    ----------
    result : Dataset
        ``onset`` and ``peak`` (roi) [s], optional ``_lower`` and ``_upper`` of both and
        ``onset_share``; see `neuroalign.rsa.fuse`.

    Returns
    -------
    Table

    Examples
    --------
    >>> import xarray as xr
    >>> times = {"onset": ("roi", [0.08, 0.12]), "peak": ("roi", [0.1, 0.17])}
    >>> tabulate_latencies(xr.Dataset(times, {"roi": ["V1", "IT"]})).rows[0][0]
    'V1'
    """
    rois = result["roi"].values.astype(str).tolist() if "roi" in result.coords else []
    named = {
        "onset": "onset [s]", "onset_lower": "low", "onset_upper": "high",
        "onset_share": "resamples with onset", "peak": "peak [s]", "peak_lower": "low",
        "peak_upper": "high",
    }  # fmt: skip
    known = [name for name in named if name in result and result[name].dims == ("roi",)]
    rows = [
        (roi, *(_to_cell(result[name].values[number]) for name in known))
        for number, roi in enumerate(rois)
    ]
    columns = ("region", *(named[name] for name in known))
    caption = "Low and high: bootstrap over subjects. A dash: none was found."
    return Table("Onsets and peaks", columns, tuple(rows), caption)


def tabulate_estimate(result: xr.Dataset) -> Table:
    """One row a variable: how many values are finite, and how they spread.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``.

    Returns
    -------
    Table
        Columns: variable, finite values, median, 5th and 95th percentile.
    """
    rows: list[tuple[Cell, ...]] = []
    for name, variable in result.data_vars.items():
        if variable.dtype.kind not in "biuf":
            rows.append((str(name), variable.size, *_sketch_text(variable.values)))
            continue
        middle, low, high, n = summarise(variable.values)
        write = _to_p_cell if _is_p(str(name)) else _to_cell
        rows.append((str(name), n, *map(write, (middle, low, high))))
    settings = "; ".join(
        f"{key} {value}"
        for key, value in result.attrs.items()
        if key not in SAID_ELSEWHERE and str(value)
    )
    columns = ("variable", "values", "median", "5th percentile", "95th percentile")
    return Table("Estimates", columns, tuple(rows), settings)


def _sketch_text(values: np.ndarray) -> tuple[str, str, str]:
    """The commonest value in the middle, and how many others there are."""
    names, counts = np.unique(values.astype(str), return_counts=True)
    others = f"and {len(names) - 1} other values" if len(names) > 1 else ""
    return str(names[counts.argmax()]), others, ""


def _get_significant(result: xr.Dataset) -> np.ndarray:
    """1 where q < 0.05 (at any time), 0 where not, NaN where untested (neuroid)."""
    if "q_value" not in result:
        return np.full(result.sizes["neuroid"], np.nan)
    values = result["q_value"]
    others = tuple(number for number, dim in enumerate(values.dims) if dim != "neuroid")
    tested = np.isfinite(values.values).any(axis=others)
    return np.where(tested, (values.values < 0.05).any(axis=others), np.nan)


def tabulate_recovery(result: xr.Dataset) -> Table:
    """One row a region: the layer planted there and the layer recovered.

    Parameters
    ----------
    result : Dataset
        Of kind ``layers``: ``score`` (layer, roi), ``best_layer`` (roi), optional
        ``planted_layer`` (roi).

    Returns
    -------
    Table

    Raises
    ------
    SchemaError
        Without ``best_layer``.

    Examples
    --------
    >>> import xarray as xr
    >>> score = (("layer", "roi"), [[0.5, 0.2], [0.3, 0.4]])
    >>> parts = {"score": score, "best_layer": ("roi", ["conv1", "fc"])}
    >>> parts |= {"planted_layer": ("roi", ["conv1", "conv1"])}
    >>> coords = {"layer": ["conv1", "fc"], "roi": ["V1", "IT"]}
    >>> result = xr.Dataset(parts, coords, {"kind": "layers"})
    >>> [row[:4] for row in tabulate_recovery(result).rows]
    [('V1', 'conv1', 'conv1', 'yes'), ('IT', 'fc', 'conv1', 'no')]
    """
    if "best_layer" not in result:
        raise SchemaError("result: expected 'best_layer' (roi), got none. Assign it.")
    scores = np.asarray(result["score"].values, dtype=np.float64)
    known = "planted_layer" in result
    rows: list[tuple[Cell, ...]] = []
    for number, roi in enumerate(result["roi"].values.astype(str).tolist()):
        best = str(result["best_layer"].values[number])
        ordered = np.sort(scores[:, number][np.isfinite(scores[:, number])])[::-1]
        lead = ordered[0] - ordered[1] if len(ordered) > 1 else np.nan
        row: tuple[Cell, ...] = (roi, best)
        if known:
            planted = str(result["planted_layer"].values[number])
            row += (planted, "yes" if planted == best else "no")
        rows.append((*row, _to_cell(ordered[0] if len(ordered) else np.nan), _to_cell(lead)))
    named = ("region", "recovered layer", *(("planted layer", "agrees") if known else ()))
    title = "Recovered against planted" if known else "Best layer by region"
    caption = "Lead: how far the best layer is ahead of the second."
    return Table(title, (*named, "best score", "lead"), tuple(rows), caption)


def tabulate_provenance(result: xr.Dataset | xr.DataArray) -> Table:
    """Where a result comes from: one row for each attr and each entry of ``provenance``.

    Parameters
    ----------
    result : Dataset or DataArray
        ``attrs['provenance']`` is JSON; text that is not is shown as it stands.

    Returns
    -------
    Table
        Columns ``what`` and ``value``, nested names joined by dots.

    Examples
    --------
    >>> import xarray as xr
    >>> result = xr.Dataset(attrs={"provenance": '{"versions": {"numpy": "2.1"}}', "seed": 0})
    >>> tabulate_provenance(result).rows
    (('versions.numpy', '2.1'), ('seed', '0'))
    """
    rows: list[tuple[Cell, ...]] = []
    for key, value in result.attrs.items():
        if key in ("warnings", "history"):
            continue
        if key == "provenance":
            rows += _flatten(_read_json(str(value)), "")
        else:
            rows.append((str(key), _to_text(value)))
    rows += [
        (f"step {number}", line)
        for number, line in enumerate(str(result.attrs.get("history", "")).split("\n"), 1)
        if line
    ]
    return Table("Provenance", ("what", "value"), tuple(rows))


def _to_text(value: Any) -> str:
    """Write a list of numbers to four digits."""
    if isinstance(value, str | int | float):
        return str(value)
    return ", ".join(f"{number:.4g}" for number in value)


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"provenance": text}


def _flatten(value: Any, prefix: str, depth: int = 0) -> list[tuple[Cell, ...]]:
    """Turn nested mappings into rows of a dotted name and a text."""
    if isinstance(value, dict) and depth < 8:
        rows = []
        for key, item in value.items():
            rows += _flatten(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)
        return rows
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return [(prefix or "provenance", text)]


def read_provenance(result: xr.Dataset | xr.DataArray) -> dict[str, Any]:
    """Read ``attrs['provenance']``; empty where it is not a JSON object.

    Parameters
    ----------
    result : Dataset or DataArray

    Returns
    -------
    dict
    """
    found = _read_json(str(result.attrs.get("provenance", "")))
    return found if isinstance(found, dict) else {}


def _shares_stimuli(result: xr.Dataset | xr.DataArray) -> bool:
    parameters = read_provenance(result).get("parameters")
    return isinstance(parameters, dict) and parameters.get("allow_shared_stimuli") is True


def list_warnings(result: xr.Dataset | xr.DataArray) -> list[str]:
    """What was warned of on the way, and what the numbers themselves give away.

    Parameters
    ----------
    result : Dataset or DataArray
        ``attrs['warnings']`` holds one message a line; ``attrs['n_constant']`` counts neuroids
        without variance.

    Returns
    -------
    list of str
    """
    lines = [line for line in str(result.attrs.get("warnings", "")).split("\n") if line.strip()]
    lines += [said for attr, said in SPOKEN.items() if result.attrs.get(attr)]
    if _shares_stimuli(result):
        lines.append("Tests overlap with training: stimuli may be on both sides of a fold.")
    n_constant = result.attrs.get("n_constant", 0)
    if isinstance(n_constant, int | float | np.number) and n_constant > 0:
        lines.append(f"{int(n_constant)} neuroids never vary: their scores are undefined.")
    if isinstance(result, xr.Dataset) and "score" in result and "neuroid" in result["score"].dims:
        others = [n for n, dim in enumerate(result["score"].dims) if dim != "neuroid"]
        missing = int(np.isnan(average(result["score"].values, tuple(others))).sum())
        if missing > n_constant:
            lines.append(f"{missing} of {result.sizes['neuroid']} neuroids have no finite score.")
        if "ceiling" not in result or not np.isfinite(result["ceiling"].values).any():
            lines.append("No noise ceiling: scores cannot be held against what is predictable.")
        if "q_value" not in result:
            lines.append("No permutation test: scores are shown without their null.")
    return lines
