"""Rows for the tables of RSA and fusion: models, onsets and peaks."""

import numpy as np
import xarray as xr

from neuroalign.report._blocks import Cell, Table
from neuroalign.report._cells import MOST_ROWS, is_p, to_cell, to_p_cell
from neuroalign.report._summaries import name_metric
from neuroalign.report.rsa_figures import check_result, is_always_above, iterate_slices

ENDS = ("ceiling_lower", "ceiling_upper")
ABOVE = {"p_value": "p > 0", "q_value": "q > 0"}
NO_TEST = "No test against 0: a cosine of distances is above it whatever they are of. "
PERMUTED = (
    "Permuted conditions: share of orders of condition labels that score as high, each model by "
    "itself. "
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
        Columns: where (with several regions or times), model, mean, standard error, interval, p
        and q against 0 (not of cosines, which are above it anyhow), p of permuted conditions where
        there is one, p against the lower ceiling, and both ceilings. The first 500 rows.

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
    >>> [row[0] for row in tabulate_models(found).rows]
    ['good', 'other']
    """
    check_result(result)
    rows: list[tuple[Cell, ...]] = []
    level = f"{100 * float(result.attrs.get('level', 0.95)):g} %"
    named = {
        "mean": name_metric(result), "standard_error": "standard error",
        "interval_lower": f"{level} low", "interval_upper": f"{level} high", **ABOVE,
        "p_permutation": "p, permuted conditions", "p_ceiling": "p vs ceiling",
    }  # fmt: skip
    cosine = is_always_above(result)
    named = {
        key: said for key, said in named.items()
        if not (cosine and key in ABOVE) and (key != "p_permutation" or key in result)
    }  # fmt: skip
    empty = np.full(result.sizes["model"], np.nan)
    slices = list(iterate_slices(result))
    for title, one in slices:
        ends = [float(one[name]) for name in ENDS]
        columns = [one[name].values if name in one else empty for name in named]
        for name, *values in zip(one["model"].values.astype(str), *columns, strict=True):
            known = zip((*named, *ENDS), (*values, *ends), strict=True)
            cells = [to_p_cell(v) if is_p(key) else to_cell(v, 4) for key, v in known]
            rows.append((*([title] if title else []), str(name), *cells))
    heads = (*(["where"] if slices[0][0] else []), "model", *named.values())
    cut = f" The first {MOST_ROWS} of {len(rows)} rows." if len(rows) > MOST_ROWS else ""
    caption = NO_TEST if cosine else "p > 0 is one-sided. "
    caption += PERMUTED if "p_permutation" in named else ""
    caption += "p vs ceiling: two-sided, against the lower noise ceiling."
    return Table(
        "Models", (*heads, "ceiling low", "ceiling high"), tuple(rows[:MOST_ROWS]), caption + cut
    )


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
        (roi, *(to_cell(result[name].values[number]) for name in known))
        for number, roi in enumerate(rois)
    ]
    columns = ("region", *(named[name] for name in known))
    caption = "Low and high: bootstrap over subjects. A dash: none was found."
    return Table("Onsets and peaks", columns, tuple(rows), caption)
