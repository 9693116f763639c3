"""Compare representations: the table of measures and the one door to all of them.

To add a measure: a module with ``prepare_<name>`` (float array (n, p), and its parameters by name
-> whatever ``pair`` needs) and ``pair_<name>`` (two of those -> float), both pure, and a row in
``SIMILARITIES`` below. `Measure` says what else a row may hold: a pair function alone is enough.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign._threads import map_threads
from neuroalign.errors import choose, some
from neuroalign.similarity._alignment_rows import ALIGNMENTS
from neuroalign.similarity._measures import Measure, dot, multiply_squares, permute_square
from neuroalign.similarity._representations import Named, Representation, name_columns, read_sets
from neuroalign.similarity._tables import Table, correct_table, fill_table, judge_table
from neuroalign.similarity.dependence import (
    multiply_adjusted_rv,
    multiply_distance_correlation,
    pair_adjusted_rv,
    pair_distance_correlation,
    permute_adjusted_rv,
    prepare_adjusted_rv,
    prepare_debiased_distance_correlation,
    prepare_debiased_hsic,
    prepare_distance_correlation,
    prepare_hsic,
    prepare_rv,
)
from neuroalign.similarity.kernel_alignment import (
    multiply_angles,
    pair_angle,
    prepare_biased,
    prepare_debiased,
)
from neuroalign.similarity.neighbors import (
    pair_published_cknna,
    permute_local,
    prepare_cknna,
    prepare_mutual_neighbors,
    prepare_published_cknna,
)
from neuroalign.similarity.rdm_similarity import prepare_rdm, prepare_rsa

Array = npt.NDArray[Any]
Single = xr.DataArray | npt.NDArray[Any] | tuple[Any, Any]
Several = Mapping[str, Single]


def _by_product(prepare: Any, description: str, low: float = 0.0, **more: Any) -> Measure:
    """A row whose prepared matrices (n, n) are compared by their inner product."""
    options = {"multiply": multiply_squares, "permute": permute_square, **more}
    return Measure(prepare, dot, description, (low, 1.0), **options)


SIMILARITIES: dict[str, Measure] = {
    "cka": _by_product(
        prepare_biased, "centred kernel alignment; biased up when units outnumber stimuli"
    ),
    "cka_debiased": _by_product(
        prepare_debiased,
        "centred kernel alignment, unbiased HSIC",
        -1.0,
        correctable={"kernel": ("linear",)},
    ),
    "cka_angle": Measure(
        prepare_biased,
        pair_angle,
        "angle in radians between centred kernels, arccos of cka, a metric; same bias",
        bounds=(0.0, np.pi),
        distance=True,
        multiply=multiply_angles,
        permute=permute_square,
    ),
    "rv": _by_product(prepare_rv, "RV coefficient, equal to linear CKA"),
    "rv_adjusted": Measure(
        prepare_adjusted_rv,
        pair_adjusted_rv,
        "RV of z-scored units without what chance gives",
        (-np.inf, 1.0),
        correctable={},
        multiply=multiply_adjusted_rv,
        permute=permute_adjusted_rv,
    ),
    "distance_correlation": Measure(
        prepare_distance_correlation,
        pair_distance_correlation,
        "distance correlation; biased up when units outnumber stimuli",
        multiply=multiply_distance_correlation,
        permute=permute_square,
    ),
    "distance_correlation_debiased": _by_product(
        prepare_debiased_distance_correlation, "bias-corrected squared distance correlation", -1.0
    ),
    "hsic": _by_product(prepare_hsic, "Hilbert-Schmidt independence criterion")._replace(
        bounds=(0.0, np.inf)
    ),
    "hsic_debiased": _by_product(
        prepare_debiased_hsic, "unbiased Hilbert-Schmidt independence criterion"
    )._replace(bounds=(-np.inf, np.inf)),
    "mutual_neighbors": _by_product(
        prepare_mutual_neighbors, "share of the k nearest stimuli that both have in common"
    ),
    "cknna": _by_product(prepare_cknna, "CKA of entries that are near in both", -1.0),
    "cknna_published": Measure(
        prepare_published_cknna,
        pair_published_cknna,
        "CKNNA as the published code has it: unbiased HSIC of kernels kept to common neighbours",
        (-np.inf, np.inf),
        symmetric=False,
        permute=permute_local,
    ),
    "rsa": _by_product(
        prepare_rsa,
        "similarity of dissimilarity matrices",
        -1.0,
        prepare_rdm=prepare_rdm,
        correctable={
            "distance": ("correlation", "cosine", "squared_euclidean"),
            "comparison": ("pearson",),
        },
    ),
} | ALIGNMENTS


@overload
def compare(
    a: Single, b: Single, method: str = ..., *,
    params: Mapping[str, Any] | None = ..., how: str = ..., over: str | None = ...,
    correct: bool = ..., n_splits: int = ..., n_permutations: int = ..., seed: int = ...,
) -> float: ...  # fmt: skip
@overload
def compare(
    a: Several, b: Single | Several | None = ..., method: str = ..., *,
    params: Mapping[str, Any] | None = ..., how: str = ..., over: str | None = ...,
    correct: bool = ..., n_splits: int = ..., n_permutations: int = ..., seed: int = ...,
) -> xr.Dataset: ...  # fmt: skip
@overload
def compare(
    a: Single, b: Several, method: str = ..., *,
    params: Mapping[str, Any] | None = ..., how: str = ..., over: str | None = ...,
    correct: bool = ..., n_splits: int = ..., n_permutations: int = ..., seed: int = ...,
) -> xr.Dataset: ...  # fmt: skip
def compare(
    a: Single | Several,
    b: Single | Several | None = None,
    method: str = "cka_debiased",
    *,
    params: Mapping[str, Any] | None = None,
    how: str = "strict",
    over: str | None = "roi",
    correct: bool = False,
    n_splits: int = 20,
    n_permutations: int = 0,
    seed: int = 0,
) -> float | xr.Dataset:
    """Compare representations of the same stimuli.

    Parameters
    ----------
    a, b : array or DataArray (sample, unit[, ...]), or mapping of name to these
        Rows are matched by label ``stimulus`` when all are DataArrays (repeats are averaged), by
        place when a bare array is among them. Dims after the first are joined to one pattern. A
        tuple of two is one representation measured twice. RDMs (first, second) or (pair) are taken
        by ``rsa``; a bare square matrix that may be one is refused. With mappings the answer is a
        table: layers ``a`` by regions ``b``. Without ``b``, all of ``a`` with each other.
    method : str
        A name in ``SIMILARITIES``.
    params : mapping, optional
        Parameters of the measure, such as ``{"kernel": "rbf"}``.
    how : {"strict", "inner"}
        All hold the same stimuli, or those that all share are compared.
    over : str, optional
        In a table, responses in ``b`` that are no mapping are split by this coord on ``neuroid``
        where they carry it.
    correct : bool
        Divide by the root of the reliabilities of both sides: what the similarity would be without
        noise. From random halves of the repeats, or from tuples of two halves; a representation
        with neither counts as noiseless. For measures that independent noise leaves unbiased,
        see Notes.
    n_splits : int
        Random halves of the repeats; given halves are used once.
    n_permutations : int
        In a table: orders of the stimuli of ``b``, the same for all cells, for p values.
    seed : int

    Returns
    -------
    float
        For two single representations.
    Dataset
        Of kind ``layers`` with ``score`` (layer, roi) and ``best_layer`` (roi); (layer,
        layer_other) of kind ``estimate`` where ``b`` is left out or holds features. With
        permutations ``p_value``, ``p_fwer`` (max statistic), ``q_value``, ``null_mean`` and
        ``null_sd``, all of the uncorrected score. With ``correct``, ``score_raw`` (between halves,
        see Notes) and the reliability of each side; NaN where a reliability is not positive.

    Raises
    ------
    AlignError
        When stimuli differ.
    SchemaError
        For missing values, rows that cannot be matched, or a bare matrix that may be an RDM.
    ValueError

    Notes
    -----
    ``score_raw`` is not the score without ``correct``. It is the mean similarity of a half of one
    side with a half of the other: halves average half as many repeats, so that more noise is left
    and it lies below the score of all repeats. Both parts of a corrected score must come from
    equally noisy data: ``score_raw`` between halves goes with reliabilities between halves, that of
    all repeats would come out above 1. Without repeats on a side, its whole is used in every half.

    ``correct`` needs a cosine whose inner product independent noise scales and does nothing else
    to. ``cka_debiased`` with a linear kernel is one exactly, ``rsa`` with Pearson correlations of
    squared Euclidean distances too where noise is alike for all stimuli (their common offset
    cancels). Correlation and cosine distances are where all patterns have a similar share of
    noise, and ``rv_adjusted`` where all units have (else it weighs units by their reliability).
    The rest is refused: noise adds to the diagonal of ``cka``, ``rv``, ``hsic`` and
    ``distance_correlation`` and to all RDMs that keep their mean; it bends Euclidean distances,
    ranks and kernels other than linear; it decides who is near, and it is fitted by CCA,
    Procrustes and matchings. ``hsic_debiased`` with a linear kernel is no cosine: noise does not
    lower it. Predictivity is divided by ceilings instead (`linear_predictivity`).

    References
    ----------
    Kornblith et al. (2019), ICML, arXiv:1905.00414; Murphy, Zylberberg & Fyshe (2024),
    arXiv:2405.01012 (debiased CKA); Phipson & Smyth (2010), doi:10.2202/1544-6115.1585 (p values).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(60, 20))
    >>> layers = {"early": image, "late": rng.normal(size=(60, 20))}
    >>> found = compare(layers, {"V1": image @ rng.normal(size=(20, 40))})
    >>> found["best_layer"].values.tolist()
    ['early']
    >>> round(compare(image, 3 * image + 1), 6)
    1.0
    """
    measure = choose(SIMILARITIES, method, "method")
    params = dict(params or {})
    _check_params(measure, params, method)
    if correct:
        _check_correctable(measure, params, method)
    if n_splits < 1 or n_permutations < 0:
        raise ValueError(
            f"n_splits, n_permutations: expected at least 1 and 0, got {n_splits} and "
            f"{n_permutations}."
        )
    table = isinstance(a, Mapping) or isinstance(b, Mapping) or b is None
    if not table and n_permutations:
        raise ValueError(
            f"n_permutations: expected 0 for two single representations, got {n_permutations}. "
            "Name them to get a table with p values: {'name': a}."
        )
    if b is None and not isinstance(a, Mapping):
        raise ValueError(
            f"b: expected a second representation, got one {type(a).__name__} alone. Pass b, or "
            "several by name in a: {'layer1': array, ...}."
        )
    rows, columns, labels = read_sets(a, b, over if table else None, how)
    dims = ("layer", name_columns(b))
    filled = fill_table(measure, params, rows, columns)
    variables = {"score": filled.score}
    if correct:
        variables |= correct_table(measure, params, rows, columns, n_splits, seed)
    if not table:
        return float(variables["score"][0, 0])
    if n_permutations:
        variables |= judge_table(measure, params, filled, columns or rows, n_permutations, seed)
    attrs = _describe(method, params, correct, n_splits, n_permutations, seed, len(labels))
    inputs = {
        f"{side}/{name}": one
        for side, named in (("a", rows), ("b", columns or {}))
        for name, one in named.items()
    }
    hashes = map_threads(lambda one: one.hash(), inputs.values())
    attrs["provenance"] = provenance.collect(
        {key: value for key, value in attrs.items() if key != "kind"},
        dict(zip(inputs, hashes, strict=True)),
    )
    return _wrap(variables, dims, rows, columns, attrs, measure)


def _check_correctable(measure: Measure, params: dict[str, Any], method: str) -> None:
    if measure.correctable is None:
        fit = [name for name, row in SIMILARITIES.items() if row.correctable is not None]
        raise ValueError(
            f"correct: expected a method that noise leaves unbiased, got '{method}'. "
            f"Use one of {some(fit, 20)}."
        )
    known = signature(measure.prepare).parameters
    for name, right in measure.correctable.items():
        value = params.get(name, known[name].default)
        if value not in right:
            raise ValueError(
                f"correct: expected {name} {some(right)} for method '{method}', got {value!r}. "
                "Noise changes others by more than a factor: use one of these."
            )


def _check_params(measure: Measure, params: dict[str, Any], method: str) -> None:
    known = list(signature(measure.prepare).parameters)[1:]
    extra = sorted(set(params) - set(known))
    if extra:
        raise ValueError(
            f"params: expected some of {some(known, 20) or 'none'} for method '{method}', got "
            f"{some(extra)}. Leave them out."
        )


def _describe(
    method: str,
    params: dict[str, Any],
    correct: bool,
    n_splits: int,
    n_permutations: int,
    seed: int,
    n_stimuli: int,
) -> dict[str, Any]:
    return {
        "metric": method,
        "model": ", ".join(f"{key}={value}" for key, value in params.items()),
        "corrected": int(correct),
        "n_splits": n_splits if correct else 0,
        "n_permutations": n_permutations,
        "n_stimuli": n_stimuli,
        "seed": seed,
    }


def _wrap(
    variables: dict[str, Array],
    dims: tuple[str, str],
    rows: Named,
    columns: Named | None,
    attrs: dict[str, Any],
    measure: Measure,
) -> xr.Dataset:
    coords: dict[str, list[str]] = {dims[0]: list(rows), dims[1]: list(columns or rows)}
    sides: dict[str, tuple[str, ...]] = {
        "row_reliability": dims[:1],
        "column_reliability": dims[1:],
    }
    names = {"row_reliability": f"{dims[0]}_reliability"}
    names["column_reliability"] = f"{dims[1]}_reliability"
    made = {names.get(key, key): (sides.get(key, dims), v) for key, v in variables.items()}
    result = xr.Dataset(made, coords=coords, attrs=attrs)
    if dims[1] != "roi":
        method = f"compare ({attrs['metric']})"
        result.attrs |= {"kind": "estimate", "method": method, "headline": "score"}
        verdict = _tell_extremes(
            result["score"], attrs["metric"], columns is None, measure.distance
        )
        result.attrs |= {"verdict": verdict} if verdict else {}
        return schema.check_estimate(result)
    better = -variables["score"] if measure.distance else variables["score"]
    best = np.where(np.isfinite(better), better, -np.inf)
    layers = np.array(list(rows))[best.argmax(axis=0)]
    found = np.isfinite(best).any(axis=0)
    result["best_layer"] = ("roi", np.where(found, layers, "").astype(str))
    result.attrs["kind"] = "layers"
    return schema.check_layers(result)


def _tell_extremes(score: xr.DataArray, metric: str, same: bool, distance: bool) -> str:
    """Say which couple is most alike and which least; a layer with itself says nothing."""
    values = score.values.astype(np.float64)
    if same:
        values[np.diag_indices_from(values)] = np.nan
    if not np.isfinite(values).any():
        return ""
    places = [np.nanargmax(values), np.nanargmin(values)]
    told = []
    for place in places[::-1] if distance else places:
        row, column = np.unravel_index(place, values.shape)
        names = str(score["layer"].values[row]), str(score["layer_other"].values[column])
        told.append(f"{names[0]} and {names[1]} ({values[row, column]:.3f})")
    sizes = f"{len(values)} layers" if same else f"{len(values)} by {values.shape[1]} layers"
    return f"{sizes} ({metric}): most alike {told[0]}, least {told[1]}."


__all__ = ["SIMILARITIES", "Measure", "Representation", "Table", "compare"]
