"""An audit of representational similarity: does it follow what two systems compute?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, choose
from neuroalign.geometry import _feature_fits as fits
from neuroalign.geometry._kernels import cosine_of_kernels
from neuroalign.geometry._matrices import as_matrix, check_stimuli, sign
from neuroalign.geometry.features import Features, equalize_features, explain_variance
from neuroalign.rsa import COMPARISONS, compare_rdms, compute_rdm

Array = npt.NDArray[Any]
TOTALS = ("total", "total_lower", "total_upper")
VERDICTS = {
    "incomplete": "some feature cannot be read out of both: a low similarity may be real",
    "dissociated": "both hold every feature, yet one of them is more similar to a reference that "
    "lacks some: similarity does not follow computation here",
    "biased": "both hold every feature, but features differ in variance: similarity weighs them "
    "unequally, compare the equalized one",
    "consistent": "both hold every feature, in like shares, and no reference that lacks some "
    "comes closer",
}


def audit_similarity(
    a: Any,
    b: Any,
    features: Features,
    *,
    references: Mapping[str, Any] | None = None,
    distance: str = "correlation",
    comparison: str = "spearman",
    threshold: float = 0.95,
    n_splits: int = 2,
    group: str | Array | None = None,
    n_halves: int = 50,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Check whether RSA between two representations follows the features that both compute.

    Parameters
    ----------
    a, b : array or DataArray (sample, unit)
        The same rows in the same order, each an item of its own; average repeats first.
    features : as for ``explain_variance``
        What both are thought to compute.
    references : mapping of name to array (sample, unit), optional
        Other systems that lack some of the features, such as networks trained on one task. The
        code of each feature itself (with Euclidean distances) when not given. One that holds all
        features says nothing, and is left out of the verdict.
    distance, comparison : str
        Names in ``rsa.DISTANCES`` and ``rsa.COMPARISONS``.
    threshold : float
        Read-out from which on a feature counts as held: balanced accuracy of levels, R2 of
        numbers.
    n_splits, group, n_bootstrap : as for ``explain_variance``
    n_halves : int
        Random halves of the items for the intervals of RSA (delete-half jackknife).
    seed : int

    Returns
    -------
    Dataset
        ``rsa`` and ``cka`` of a with b; ``rsa_reference`` (reference, representation);
        ``shortfall`` = rsa_reference - rsa with ``shortfall_lower`` and ``shortfall_upper``, 95 %;
        ``decoding`` (feature, representation) and ``measure`` of it, ``reference_decoding``
        (feature, reference); ``total`` R2 (feature,
        representation) with ``total_lower`` and ``total_upper``; the remedies ``rsa_equalized``
        (all features given one variance, Euclidean) and ``rsa_within`` (mean over the levels of
        the ``dominant`` feature, NaN where it has no levels). attrs ``verdict`` (``incomplete``,
        ``dissociated``, ``biased`` or ``consistent``) and ``meaning``.

    Raises
    ------
    SchemaError, AlignError, ValueError

    Notes
    -----
    ``dissociated`` asks that the interval of the shortfall from a reference lies above 0 and that
    this reference lacks a feature; ``biased`` that in a or b
    the interval of the feature with the most variance lies above that with the least.

    References
    ----------
    Lampinen et al. (2024), arXiv:2405.05847; Shao & Wu (1989), Annals of Statistics 17, 1176-1197,
    on deleting half of the items.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> easy, hard = rng.choice(["no", "yes"], size=(2, 80))
    >>> code = np.stack([easy == "yes", hard == "yes"], axis=1) @ rng.normal(size=(2, 9))
    >>> other = np.stack([9.0 * (easy == "yes"), hard == "yes"], axis=1) @ rng.normal(size=(2, 9))
    >>> found = audit_similarity(code, other, {"easy": easy, "hard": hard}, distance="euclidean")
    >>> found.attrs["verdict"]
    'dissociated'
    """
    choose(COMPARISONS, comparison, "comparison")
    pair = {"a": as_matrix(a, "a", 4), "b": as_matrix(b, "b", 4)}
    n = len(pair["a"])
    if len(pair["b"]) != n:
        raise AlignError(f"b: expected {n} rows as in a, got {len(pair['b'])}. Match them first.")
    check_stimuli({"a": a, "b": b, **_name_references(references)})
    for one in (a, b):
        fits.check_rows(one, features)
    named = fits.read_features(features, n)
    folds = fits.split_rows(a, fits.read_groups(a, group, n), n, n_splits, seed)
    rdms = {key: _make_rdm(values, distance) for key, values in pair.items()}
    systems, known = _read_references(references, named, n, distance)
    halves = [np.arange(n), *_draw_halves(n, n_halves, seed)]
    ours = xr.concat(list(rdms.values()), "representation")
    others = xr.concat([rdms["b"], *known.values()], "reference")
    compared = np.stack([_compare(ours, others, comparison, rows) for rows in halves], axis=-1)
    base, toward = compared[0, 0], compared[:, 1:].swapaxes(0, 1)
    short = toward - base
    spread = short[..., 1:] - short[..., 1:].mean(axis=-1, keepdims=True)
    lower, upper = np.percentile(spread, [2.5, 97.5], axis=-1) + short[..., 0]
    decoding = np.array(
        [[fits.decode(values, f, folds) for values in pair.values()] for f in named]
    )
    shares = [
        explain_variance(
            one, features, n_splits=n_splits, group=group, n_bootstrap=n_bootstrap, seed=seed
        )
        for one in (a, b)
    ]
    totals = xr.concat(
        [one[list(TOTALS)] for one in shares], "representation", combine_attrs="drop"
    )
    totals = totals.transpose("feature", "representation")
    dominant = named[int(totals["total"].mean("representation").values.argmax())]
    even = [_make_rdm(equalize_features(v, features).values, "euclidean") for v in pair.values()]
    told = np.array([[fits.decode(values, f, folds) for values in systems.values()] for f in named])
    lacking = (told < threshold).any(axis=0)
    held = bool((decoding >= threshold).all())
    verdict = _judge(held, bool((lower[lacking] > 0).any()), _is_biased(totals))
    measures = ["r2" if one.levels is None else "balanced accuracy" for one in named]
    both, cross = ("feature", "representation"), ("reference", "representation")
    result = totals.assign(
        rsa=base[0],
        cka=float(cosine_of_kernels([v - v.mean(axis=0) for v in pair.values()])[0, 1]),
        rsa_reference=(cross, toward[..., 0]),
        shortfall=(cross, short[..., 0]),
        shortfall_lower=(cross, lower),
        shortfall_upper=(cross, upper),
        decoding=(both, decoding),
        reference_decoding=(("feature", "reference"), told),
        rsa_equalized=float(_compare(even[0], even[1], comparison, halves[0])),
        rsa_within=_compare_within(rdms, dominant, comparison),
    ).assign_coords(
        representation=np.array(["a", "b"]),
        reference=np.array(list(known)),
        measure=("feature", np.array(measures)),
    )
    parameters: dict[str, Any] = {
        "meaning": VERDICTS[verdict],
        "dominant": dominant.name,
        "n": n,
        "seed": seed,
        "distance": distance,
        "comparison": comparison,
        "threshold": threshold,
        "n_halves": n_halves,
        "n_bootstrap": n_bootstrap,
    }
    inputs = {**pair, **{f"features.{one.name}": one.design for one in named}}
    return sign(result, "audit_similarity", inputs, parameters, "rsa", verdict)


def _judge(held: bool, dissociated: bool, biased: bool) -> str:
    told = {"incomplete": not held, "dissociated": dissociated, "biased": biased}
    return next((name for name, true in told.items() if true), "consistent")


def _is_biased(totals: xr.Dataset) -> bool:
    """Tell whether, in either, the most explained feature lies clearly above the least."""
    least = totals["total_upper"].min("feature")
    return bool((totals["total_lower"].max("feature") > least).any())


def _make_rdm(values: Array, distance: str) -> xr.DataArray:
    names = np.array([f"item-{row:06d}" for row in range(len(values))])
    rows = xr.DataArray(values, {"stimulus": ("sample", names)}, ("sample", "feature"))
    return compute_rdm(rows, distance=distance)


def _name_references(references: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"references['{key}']": one for key, one in (references or {}).items()}


def _read_references(
    references: Mapping[str, Any] | None, named: list[fits.Feature], n: int, distance: str
) -> tuple[dict[str, Array], dict[str, xr.DataArray]]:
    """Give the references as matrices and as RDMs."""
    if references is None:
        codes = {one.name: one.design for one in named}
        return codes, {name: _make_rdm(code, "euclidean") for name, code in codes.items()}
    named_ones = _name_references(references).items()
    matrices = {
        key: as_matrix(one, place) for key, (place, one) in zip(references, named_ones, strict=True)
    }
    for key, matrix in matrices.items():
        if len(matrix) != n:
            raise AlignError(
                f"references['{key}']: expected {n} rows as in a, got {len(matrix)}. "
                "Show it the same items."
            )
    return matrices, {key: _make_rdm(matrix, distance) for key, matrix in matrices.items()}


def _draw_halves(n: int, n_halves: int, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    if n_halves < 2:
        raise ValueError(f"n_halves: expected at least 2, got {n_halves}. 50 is usual.")
    return [np.sort(rng.permutation(n)[: n // 2]) for _ in range(n_halves)]


def _compare(one: xr.DataArray, other: xr.DataArray, comparison: str, rows: Array) -> Array:
    cut = [rdm.isel(first=rows, second=rows) for rdm in (one, other)]
    return compare_rdms(*cut, method=comparison).values


def _compare_within(
    rdms: dict[str, xr.DataArray], dominant: fits.Feature, comparison: str
) -> float:
    if dominant.levels is None:
        return float("nan")
    places = [np.flatnonzero(dominant.levels == one) for one in np.unique(dominant.levels)]
    found = [_compare(rdms["a"], rdms["b"], comparison, rows) for rows in places if len(rows) > 3]
    return float(np.mean(found)) if found else float("nan")
