"""Rows for the tables of a page: regions, recovery, provenance, warnings."""

import json
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Cell, Table
from neuroalign.report._cells import is_p, to_cell, to_p_cell
from neuroalign.report._summaries import (
    average,
    compute_interval,
    find_floor,
    get_ceiling,
    get_scores,
    group_by_roi,
    name_metric,
    summarise,
)

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
# Attrs whose names say too little.
EXPLAINED = {
    "edge_low": "share of neuroids at the smallest penalty of the grid, by fold (edge_low)",
    "edge_high": "share of neuroids at the largest penalty of the grid, by fold (edge_high)",
    "ceiling_method": "noise ceiling, how (ceiling_method)",
    "ceiling_n_averaged": "noise ceiling, of averages of so many presentations",
}


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
        rows.append((roi, n, *map(to_cell, row)))
    metric = name_metric(result)
    timed = "time" in result["score"].dims
    columns = ("region", "n", f"mean {metric}", "95 % low", "95 % high")
    return Table(
        "Regions",
        (*columns, f"ceiling, as {metric}", "score / ceiling", "share q < 0.05"),
        tuple(rows),
        "n counts neuroids with a finite score. The interval is a t-interval over neuroids, which "
        "share noise: it does not speak about other subjects."
        + (" Scores and ceilings are means over all times." if timed else ""),
    )


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
        write = to_p_cell if is_p(str(name)) else to_cell
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
        rows.append((*row, to_cell(ordered[0] if len(ordered) else np.nan), to_cell(lead)))
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
    # What needs words of explanation does not open the table.
    for key in sorted(map(str, result.attrs), key=EXPLAINED.__contains__):
        value = result.attrs[key]
        if key in ("warnings", "history"):
            continue
        if key == "provenance":
            rows += _flatten(_read_json(str(value)), "")
        else:
            rows.append((EXPLAINED.get(key, key), _to_text(value)))
    rows += [
        (f"step {number}", line)
        for number, line in enumerate(str(result.attrs.get("history", "")).split("\n"), 1)
        if line
    ]
    return Table("Provenance", ("what", "value"), tuple(rows))


def _to_text(value: Any) -> str:
    """Write a list of numbers to four digits."""
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return str(value)
    return ", ".join(f"{number:.4g}" for number in np.ravel(value))


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
        floor = find_floor(result)
        if floor is not None:
            lines.append(
                f"No test can pass by false discovery rate: {floor}; take {floor.needed:,}."
            )
        if "q_value" not in result:
            lines.append("No permutation test: scores are shown without their null.")
    return lines
