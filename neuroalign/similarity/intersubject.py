"""Inter-subject correlation: what a subject's responses share with those of others."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign._arrays import copy_geometry, is_time_series
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.rsa.intersubject import match_rows
from neuroalign.schema import check_responses
from neuroalign.scores import pearson
from neuroalign.stats.intervals import bootstrap_interval
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, permutation_p, permute_rows

Array = npt.NDArray[Any]


def _leave_one_out(stack: Array) -> Array:
    """Correlate each subject with the mean of the others: (subject, target)."""
    total = stack.sum(axis=0)
    return np.stack([pearson(one, (total - one) / (len(stack) - 1)) for one in stack])


def _pairwise(stack: Array) -> Array:
    """Average of the correlations of each subject with each other one: (subject, target)."""
    centred = stack - stack.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    # A course that does not vary correlates with nothing.
    unit = centred / np.where(norm > 0, norm, np.nan)
    others = unit.sum(axis=0) - unit
    return np.asarray((unit * others).sum(axis=1) / (len(stack) - 1))


METHODS: dict[str, Callable[[Array], Array]] = {
    "leave_one_out": _leave_one_out,
    "pairwise": _pairwise,
}
# What a null keeps: the autocorrelation of a course, or nothing of single presentations.
SCHEMES = ("circular", "block")


def correlate_subjects(
    responses: Mapping[str, xr.DataArray],
    *,
    method: str = "leave_one_out",
    on: str = "stimulus",
    over: str | None = None,
    scheme: str | None = None,
    level: float = 0.95,
    n_bootstrap: int = 1000,
    n_permutations: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Correlate the responses of subjects who saw the same, neuroid by neuroid.

    Parameters
    ----------
    responses : mapping of subject to DataArray (sample, neuroid[, time])
        Three subjects or more, in a common space, or with regions to average over. The same
        stimuli or moments, each once, in any order.
    method : {"leave_one_out", "pairwise"}
        With the mean of all others, or the average correlation with each other subject, which does
        not grow with their number.
    on : str
        Coord on sample by which rows are matched: ``stimulus``, or ``onset`` (with ``run``).
    over : str, optional
        Average first over the neuroids of each value of this coord, such as "roi". Subjects then
        need the same regions only, not the same neuroids.
    scheme : {"circular", "block"}, optional
        The null: each subject shifted in time on its own, run by run, or single rows in random
        order. By default ``circular`` for time series and ``block`` for presentations.
    level : float
        Of the interval.
    n_bootstrap : int
        Resamples of subjects; 0 for no interval.
    n_permutations : int
        0 for no test.
    seed : int

    Returns
    -------
    Dataset
        Of kind ``estimate``: ``score`` (subject, neuroid[, time]) or (subject, roi[, time]), its
        mean ``estimate``, ``lower``, ``upper`` and ``standard_error`` over subjects; ``p_value``,
        ``p_fwer`` (max statistic over all targets) and ``q_value`` of the mean. Leave-one-out
        scores share data, so that their interval is somewhat too narrow.

    Raises
    ------
    SchemaError, AlignError, ValueError

    References
    ----------
    Hasson et al. (2004), Science 303, 1634-1640; Nastase et al. (2019), Soc. Cogn. Affect.
    Neurosci. 14, 667-685 (methods and nulls); Chen et al. (2016), NeuroImage 142, 248-259 (tests).

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> film, moments = rng.normal(size=(80, 2)), [f"moment-{n}" for n in range(80)]
    >>> data = {
    ...     name: from_arrays(film + rng.normal(size=(80, 2)), modality="fmri", stimulus=moments)
    ...     for name in ("ann", "ben", "cleo")
    ... }
    >>> found = correlate_subjects(data, scheme="block", n_bootstrap=100, n_permutations=99)
    >>> found["p_value"].values.tolist()
    [0.01, 0.01]
    """
    compute = choose(METHODS, method, "method")
    if n_permutations < 0 or n_bootstrap < 0:
        raise ValueError(
            f"n_permutations, n_bootstrap: expected 0 or more, got {n_permutations} and "
            f"{n_bootstrap}."
        )
    aligned = align_subjects(responses, on, over)
    first = aligned[0]
    if scheme is None:
        scheme = "circular" if is_time_series(next(iter(responses.values()))) else "block"
    choose(dict.fromkeys(SCHEMES), scheme, "scheme")
    stack = np.stack([one.values.reshape(one.shape[0], -1) for one in aligned]).astype(np.float64)
    score = _correlate(compute, stack)
    shape = first.shape[1:]
    coords = {key: c for key, c in first.coords.items() if "sample" not in c.dims}
    scores = xr.DataArray(
        score.reshape(len(score), *shape),
        {"subject": list(responses), **coords},
        ("subject", *first.dims[1:]),
    )
    variables: dict[str, Any] = {"score": scores, "estimate": scores.mean("subject")}
    if n_bootstrap:
        interval = bootstrap_interval(
            scores, level=level, method="percentile", n_resamples=n_bootstrap, seed=seed
        )
        variables |= {key: interval[key] for key in ("lower", "upper", "standard_error")}
    if n_permutations:
        run = first["run"].values if "run" in first.coords else None
        time = first["onset"].values if "onset" in first.coords else None
        null = _shuffle(compute, stack, scheme, run, time, n_permutations, seed)
        observed = score.mean(axis=0)
        count, top = count_reached(null, observed)
        p_value = permutation_p(count, observed, n_permutations)
        p_fwer = permutation_p(top, observed, n_permutations)
        for key, column in (("p_value", p_value), ("p_fwer", p_fwer), ("q_value", fdr(p_value))):
            variables[key] = (first.dims[1:], column.reshape(shape))
    parameters: dict[str, str | float | bool | list[str]] = {
        "method": method,
        "over": over or "",
        "scheme": scheme,
        "n_bootstrap": n_bootstrap,
        "n_permutations": n_permutations,
        "level": level,
    }
    attrs = {
        **parameters,
        "kind": "estimate",
        "headline": "estimate",
        "method": f"intersubject correlation ({method})",
        "metric": "pearson",
        "n_subjects": len(responses),
        "seed": seed,
        "provenance": provenance.collect(
            parameters, {name: provenance.hash_array(one) for name, one in responses.items()}
        ),
    }
    result = copy_geometry(next(iter(responses.values())), xr.Dataset(variables, attrs=attrs))
    return schema.check_estimate(result)


def align_subjects(
    responses: Mapping[str, xr.DataArray], on: str, over: str | None
) -> list[xr.DataArray]:
    """Bring rows, and neuroids or regions, of all subjects into the order of the first.

    Parameters
    ----------
    responses : mapping of subject to DataArray (sample, neuroid[, time])
    on : str
    over : str or None

    Returns
    -------
    list of DataArray (sample, neuroid[, time]) or (sample, region[, time])

    Raises
    ------
    SchemaError, AlignError
    """
    if len(responses) < 3:
        raise SchemaError(
            f"responses: expected 3 subjects or more, got {len(responses)}. "
            "Pass a mapping of subject to responses."
        )
    first = next(iter(responses.values()))
    check_responses(first)
    aligned = []
    for name, one in responses.items():
        label = f"responses['{name}']"
        rows = match_rows(one, first, on, label)
        aligned.append(rows if over is None else _average(rows, over, label))
    dim = str(aligned[0].dims[1])
    for name, one in zip(responses, aligned, strict=True):
        wanted, got = (array[dim].values.tolist() for array in (aligned[0], one))
        same_time = one.shape[2:] == aligned[0].shape[2:]
        if sorted(wanted) != sorted(got) or not same_time:
            raise AlignError(
                f"responses['{name}']: expected the {dim}s (and times) of the first subject, got "
                f"{some(got)} {one.shape[2:]}. Bring subjects into one space, or name regions in "
                "over=."
            )
        if not np.isfinite(one.values).all():
            raise SchemaError(
                f"responses['{name}']: expected finite responses, got "
                f"{int((~np.isfinite(one.values)).sum())} missing. Drop them in all subjects."
            )
    order = aligned[0][dim].values.tolist()
    return [one.isel({dim: _places(one[dim].values.tolist(), order)}) for one in aligned]


def _places(labels: list[Any], order: list[Any]) -> list[int]:
    place = {label: i for i, label in enumerate(labels)}
    return [place[label] for label in order]


def _average(one: xr.DataArray, over: str, name: str) -> xr.DataArray:
    """Average the neuroids of each region: (sample, region[, time])."""
    if over not in one.coords or one[over].dims != ("neuroid",):
        raise SchemaError(
            f"{name}: expected coord '{over}' on 'neuroid', got {some(one.coords, 20)}. Assign it."
        )
    values = one[over].values
    regions = np.unique(values[values != ""])
    means = np.stack([one.values[:, values == region].mean(axis=1) for region in regions], axis=1)
    coords: dict[Any, Any] = {k: c for k, c in one.coords.items() if "neuroid" not in c.dims}
    dims = (one.dims[0], over, *one.dims[2:])
    return xr.DataArray(means, {**coords, over: regions}, dims, attrs=one.attrs)


def _correlate(compute: Callable[[Array], Array], stack: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return compute(stack)


def _shuffle(
    compute: Callable[[Array], Array],
    stack: Array,
    scheme: str,
    run: Array | None,
    time: Array | None,
    n_permutations: int,
    seed: int,
) -> Array:
    """Mean scores when each subject's rows are moved on their own: (permutation, target)."""
    rng = np.random.default_rng(seed)
    null = np.empty((n_permutations, stack.shape[2]))
    for row in null:
        moved = [one[permute_rows(len(one), scheme, rng, run=run, time=time)] for one in stack]
        row[:] = _correlate(compute, np.stack(moved)).mean(axis=0)
    return null
