"""Do subjects who behave alike respond alike? Geometries of subjects instead of stimuli."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import rankdata

from neuroalign import provenance, schema
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.rsa._label_permutations import (
    TAILS,
    draw_orders,
    find_basis,
    judge,
    normalise_rows,
    permute_rows_of,
)
from neuroalign.rsa._sentences import describe_subjects
from neuroalign.rsa._stacks import MIN_CONDITIONS, reorder, unfold
from neuroalign.schema import SCHEMA_VERSION, check_responses
from neuroalign.stats.multiple import fdr

Array = npt.NDArray[Any]
SUMMARIES = ("mean", "pattern")


def _nearest(a: Array, b: Array) -> Array:
    return np.asarray(np.abs(a - b))


def _high_alike(a: Array, b: Array) -> Array:
    return np.asarray(-(a + b) / 2)


def _low_alike(a: Array, b: Array) -> Array:
    return np.asarray((a + b) / 2)


def _both_high(a: Array, b: Array) -> Array:
    return np.asarray(-np.minimum(a, b))


def _both_low(a: Array, b: Array) -> Array:
    return np.asarray(np.maximum(a, b))


SUBJECT_MODELS: dict[str, Callable[[Array, Array], Array]] = {
    "nearest_neighbor": _nearest,
    "anna_karenina": _high_alike,
    "anna_karenina_low": _low_alike,
    "minimum": _both_high,
    "maximum": _both_low,
}


def _rank(values: Array) -> Array:
    return np.asarray(rankdata(values))


def _keep(values: Array) -> Array:
    return values


TRANSFORMS: dict[str, Callable[[Array], Array]] = {"ranks": _rank, "values": _keep}


def compute_subject_rdm(
    responses: Mapping[str, xr.DataArray],
    *,
    on: str = "stimulus",
    over: str | None = None,
    summary: str = "mean",
) -> xr.DataArray:
    """Compute how differently subjects respond: one minus the intersubject correlation.

    Parameters
    ----------
    responses : mapping of subject to DataArray (sample, neuroid[, time])
        Three subjects or more. Time courses of a film, or responses to the same stimuli.
    on : str
        Coord on sample by which rows of subjects are matched, in any order: ``stimulus`` when it
        names each row once, or ``onset``, with ``run`` where there is one (run names as in the
        first subject).
    over : str, optional
        One RDM for each value of this coord on neuroid: "roi", or "neuroid" for each channel.
    summary : {"mean", "pattern"}
        Of the neuroids of each RDM: the mean response, which subjects need no common space for, or
        all responses as one long pattern, which needs the same neuroids in all.

    Returns
    -------
    DataArray ([over,] first, second)
        RDM whose conditions are subjects, ``1 - r`` over samples (and time). A subject whose
        responses do not vary gets NaN.

    Raises
    ------
    SchemaError, AlignError, ValueError

    References
    ----------
    Hasson et al. (2004), Science 303, 1634-1640; Finn et al. (2020), NeuroImage 215, 116828.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> film, moments = rng.normal(size=(50, 1)), [f"moment-{n}" for n in range(50)]
    >>> data = {
    ...     name: from_arrays(film + rng.normal(size=(50, 8)), modality="fmri", stimulus=moments)
    ...     for name in ("ann", "ben", "cleo")
    ... }
    >>> bool(compute_subject_rdm(data).max() < 0.3)
    True
    """
    choose(dict.fromkeys(SUMMARIES), summary, "summary")
    if len(responses) < MIN_CONDITIONS:
        raise SchemaError(
            f"responses: expected {MIN_CONDITIONS} subjects or more, got {len(responses)}. "
            "Pass a mapping of subject to responses."
        )
    first = next(iter(responses.values()))
    names = list(responses)
    aligned = [
        match_rows(one, first, on, f"responses['{name}']") for name, one in responses.items()
    ]
    if summary == "pattern":
        _check_neuroids(aligned, names)
    groups = _group(first, over)
    courses = [
        np.stack([
            _summarise(one, over, group, summary, f"responses['{name}']")
            for name, one in zip(names, aligned, strict=True)
        ])
        for group in groups
    ]  # fmt: skip
    rdms = np.stack([_correlate(rows) for rows in courses])
    labels = np.array(names)
    dims = ("first", "second") if over is None else (over, "first", "second")
    coords = {"first": labels, "second": labels} | ({} if over is None else {over: groups})
    attrs = {"kind": "dissimilarity", "distance": "intersubject correlation", "noise": "none"}
    return xr.DataArray(
        rdms[0] if over is None else rdms,
        coords,
        dims,
        attrs=attrs | {"schema_version": SCHEMA_VERSION},
    )


def match_rows(one: xr.DataArray, first: xr.DataArray, on: str, name: str) -> xr.DataArray:
    """Bring the rows of a subject into the order of those of the first."""
    check_responses(one, name)
    by = ["run", on] if on == "onset" and "run" in first.coords else [on]
    for array, whose in ((first, "the first subject"), (one, name)):
        absent = [key for key in by if key not in array.coords or array[key].dims != ("sample",)]
        if absent:
            raise SchemaError(
                f"{whose}: expected coord '{absent[0]}' on 'sample', got {some(array.coords)}. "
                "Name another in on=."
            )
    ours, theirs = (list(zip(*(a[key].values.tolist() for key in by), strict=True))
                    for a in (first, one))  # fmt: skip
    if len(set(theirs)) != len(theirs):
        raise AlignError(
            f"{name}: expected each '{on}' once, got {len(theirs) - len(set(theirs))} repeats. "
            "Average them first (align.average_repeats), or match on='onset'."
        )
    if set(ours) != set(theirs):
        lost = [" ".join(map(str, key)) for key in sorted(set(ours) ^ set(theirs))]
        raise AlignError(
            f"{name}: expected the rows of the first subject, got {len(lost)} '{on}' in one only "
            f"({some(lost)}). Keep those that all have."
        )
    place = {key: row for row, key in enumerate(theirs)}
    return one.isel(sample=[place[key] for key in ours])


def _check_neuroids(aligned: list[xr.DataArray], names: list[str]) -> None:
    wanted = aligned[0]["neuroid"].values.tolist()
    for name, one in zip(names, aligned, strict=True):
        if one["neuroid"].values.tolist() != wanted:
            raise AlignError(
                f"responses['{name}']: expected the neuroids of the first subject in their order, "
                f"got {some(one['neuroid'].values)}. Use summary='mean', or align the subjects."
            )


def _group(first: xr.DataArray, over: str | None) -> Array:
    if over is None:
        return np.array(["all"])
    if over not in first.coords or first[over].dims != ("neuroid",):
        raise SchemaError(
            f"over: expected a coord on 'neuroid' such as 'roi', got '{over}'. "
            f"There are {some(first.coords, 20)}."
        )
    values = first[over].values
    return np.asarray(values[np.sort(np.unique(values, return_index=True)[1])])


def _summarise(one: xr.DataArray, over: str | None, group: Any, summary: str, name: str) -> Array:
    """One course a subject: (sample * time,), or with all neuroids of a pattern."""
    chosen = np.ones(one.sizes["neuroid"], dtype=bool)
    if over is not None:
        chosen = one[over].values == group if over in one.coords else ~chosen
    if not chosen.any():
        raise AlignError(
            f"{name}: expected neuroids of {over} '{group}', got none. Keep those that all have."
        )
    values = np.asarray(one.values[:, chosen], dtype=np.float64)
    if not np.isfinite(values).all():
        raise SchemaError(
            f"{name}: expected finite responses, got {int((~np.isfinite(values)).sum())} missing. "
            "Drop those neuroids or rows in all subjects."
        )
    return values.mean(axis=1).ravel() if summary == "mean" else values.ravel()


def _correlate(rows: Array) -> Array:
    spread = np.ptp(rows, axis=1) > 0
    centred = rows - rows.mean(axis=1, keepdims=True)
    unit = centred / np.where(spread, np.linalg.norm(centred, axis=1), 1.0)[:, None]
    rdm = 1 - unit @ unit.T
    rdm[~spread] = rdm[:, ~spread] = np.nan
    np.fill_diagonal(rdm, 0.0)
    return np.asarray((rdm + rdm.T) / 2)


def model_subjects(
    scores: Mapping[str, float], *, model: str = "nearest_neighbor", transform: str = "ranks"
) -> xr.DataArray:
    """Predict from behaviour which subjects respond alike.

    Parameters
    ----------
    scores : mapping of subject to number
    model : {"nearest_neighbor", "anna_karenina", "anna_karenina_low", "minimum", "maximum"}
        ``nearest_neighbor``: distance ``|a - b|``. ``anna_karenina``: high scorers are alike, low
        scorers each in their own way, similarity ``(a + b) / 2``; ``anna_karenina_low`` the
        reverse. ``minimum`` and ``maximum``: as these two, by the lower or the higher score.
    transform : {"ranks", "values"}
        Of the scores; ranks of equal scores are averaged.

    Returns
    -------
    DataArray (first, second)
        RDM whose conditions are subjects; the smallest distance of the Anna Karenina models is 0.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Finn et al. (2020), NeuroImage 215, 116828, doi:10.1016/j.neuroimage.2020.116828.

    Examples
    --------
    >>> scores = {"ann": 1.0, "ben": 2.0, "cleo": 4.0}
    >>> model_subjects(scores, model="anna_karenina", transform="values").values.tolist()
    [[0.0, 1.5, 0.5], [1.5, 0.0, 0.0], [0.5, 0.0, 0.0]]
    """
    distance = choose(SUBJECT_MODELS, model, "model")
    change = choose(TRANSFORMS, transform, "transform")
    values = np.array(list(scores.values()), dtype=np.float64)
    if len(values) < MIN_CONDITIONS or not np.isfinite(values).all():
        raise SchemaError(
            f"scores: expected finite scores of {MIN_CONDITIONS} subjects or more, got "
            f"{int(np.isfinite(values).sum())} of {len(values)}. Leave out subjects without one."
        )
    values = change(values)
    rdm = distance(values[:, None], values)
    np.fill_diagonal(rdm, np.inf)
    rdm = rdm - (0.0 if model == "nearest_neighbor" else rdm.min())
    np.fill_diagonal(rdm, 0.0)
    labels = np.array(list(scores))
    attrs = {"kind": "dissimilarity", "distance": model, "schema_version": SCHEMA_VERSION}
    return xr.DataArray(rdm, {"first": labels, "second": labels}, ("first", "second"), attrs=attrs)


def relate_subjects(
    neural: xr.DataArray,
    behavior: xr.DataArray,
    *,
    method: str = "spearman",
    controls: xr.DataArray | None = None,
    tail: str = "greater",
    n_permutations: int = 10_000,
    seed: int = 0,
) -> xr.Dataset:
    """Test whether subjects who behave alike respond alike (Mantel test).

    Parameters
    ----------
    neural : DataArray (..., first, second) or (..., pair)
        RDMs of subjects, as of `compute_subject_rdm`.
    behavior : DataArray (first, second) or (pair)
        One RDM of the same subjects in any order, as of `model_subjects`.
    method : {"spearman", "pearson", "cosine", "rho_a", "whitened_cosine", "whitened_correlation"}
    controls : DataArray (..., first, second) or (..., pair), optional
        RDMs of subjects to hold constant (age, movement), for ``spearman`` and ``pearson``.
    tail : {"greater", "less", "two-sided"}
    n_permutations : int
        Orders of the subjects, the same for all RDMs. Entries of an RDM depend on each other, so
        subjects change places, never entries.
    seed : int

    Returns
    -------
    Dataset
        Of kind ``estimate``, over the leading dims of ``neural``: ``score``, ``p_value``,
        ``p_fwer`` (max statistic), ``q_value`` (false discovery rate), ``null_mean``, ``null_sd``.

    Raises
    ------
    AlignError
        When subjects differ.
    SchemaError, ValueError

    References
    ----------
    Mantel (1967), Cancer Research 27, 209-220; Finn et al. (2020), NeuroImage 215, 116828;
    Dekker, Krackhardt & Snijders (2007), Psychometrika 72, 563-581 (controls).

    Examples
    --------
    >>> scores = {f"sub-{n:02d}": float(n) for n in range(12)}
    >>> behavior = model_subjects(scores)
    >>> found = relate_subjects(behavior, behavior, n_permutations=99)
    >>> float(found["score"].round(6)), float(found["p_value"])
    (1.0, 0.01)
    """
    change = choose(TAILS, tail, "tail")
    brains, behaved = unfold(neural, "neural"), unfold(behavior, "behavior")
    if behaved.lead:
        raise SchemaError(
            f"behavior: expected one RDM, got leading dims {behaved.lead}. Select one."
        )
    extra = sorted(set(behaved.labels.tolist()) - set(brains.labels.tolist()))
    if extra:
        raise AlignError(
            f"behavior: expected the subjects of neural, got {len(extra)} more ({some(extra)}). "
            "Keep those that both have (rsa.align_rdms, how='inner')."
        )
    basis = find_basis(controls, brains.labels, method)
    rows = reorder(behaved.values, behaved.labels, brains.labels, "behavior")[None]
    Z = normalise_rows(brains.values.reshape(-1, brains.values.shape[-1]), method, basis)
    score = Z @ normalise_rows(rows, method, basis)[0]
    orders = draw_orders(len(brains.labels), n_permutations, seed)
    null = np.stack([Z @ moved[0] for moved in permute_rows_of(rows, method, basis, orders)])
    p_value, p_fwer = judge(change(score), change(null))
    columns = {
        "score": score,
        "p_value": p_value,
        "p_fwer": p_fwer,
        "q_value": fdr(p_value),
        "null_mean": null.mean(axis=0),
        "null_sd": null.std(axis=0),
    }
    parameters: dict[str, str | float | bool | list[str]] = {
        "metric": method,
        "tail": tail,
        "n_permutations": n_permutations,
        "partial": controls is not None,
    }
    attrs = {
        **{key: int(v) if isinstance(v, bool) else v for key, v in parameters.items()},
        "kind": "estimate",
        "method": f"intersubject RSA ({method})",
        "n_subjects": len(brains.labels),
        "seed": seed,
        "provenance": provenance.collect(
            parameters,
            {key: provenance.hash_array(one)
             for key, one in (("neural", neural), ("behavior", behavior))},
        ),
    }  # fmt: skip
    shape = brains.values.shape[:-1]
    made = {key: (brains.lead, value.reshape(shape)) for key, value in columns.items()}
    result = xr.Dataset(made, coords=brains.coords, attrs=attrs)
    result = result.assign_attrs(headline="score", verdict=describe_subjects(result))
    return schema.check_estimate(result)
