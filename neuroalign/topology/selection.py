"""Which layer or region made these data: model selection by transformed RDMs, thresholds nested.

In: RDMs (subject, source, pair). Out: how often each source is found again in subjects that were
held out, over the whole grid of thresholds, with thresholds chosen on the other subjects, and with
plain RDMs. To add a baseline: a function and its row in ``BASELINES``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import SchemaError, choose
from neuroalign.schema import SCHEMA_VERSION, check_estimate
from neuroalign.topology import _geotopology as kernels
from neuroalign.topology import _selection
from neuroalign.topology._pairs import count_conditions, read_pairs
from neuroalign.topology.geodesics import geodesic_rdm
from neuroalign.topology.geotopology import categorize_thresholds, threshold_grid

Array = npt.NDArray[Any]
MIN_SUBJECTS = 3


def _standardize(values: Array) -> Array:
    spread = values.std(axis=-1, keepdims=True)
    centered = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(centered / np.where(spread > 0, spread, 1))


BASELINES: dict[str, Callable[[Array], Array]] = {
    "raw": np.asarray,
    "rank": kernels.rank_unit,
    "z_score": _standardize,
}
REPRESENTATIONS = ("nested", *BASELINES)


def _clip(pairs: xr.DataArray, lower: Array, upper: Array) -> Array:
    values = kernels.rank_unit(np.asarray(pairs.values, dtype=np.float64))
    return kernels.threshold_all(values, lower, upper, "quantile")


def _walk(pairs: xr.DataArray, lower: Array, upper: Array) -> Array:
    found = [
        geodesic_rdm(pairs, graph="two_step", lower=low, upper=high).values
        for low, high in zip(lower.tolist(), upper.tolist(), strict=True)
    ]
    return np.stack(found)


TRANSFORMS: dict[str, Callable[[xr.DataArray, Array, Array], Array]] = {
    "geo_topological": _clip,
    "geodesic": _walk,
}
# Whether subjects, and stimuli, are drawn anew.
BOOTSTRAPS: dict[str, tuple[bool, bool]] = {
    "none": (False, False),
    "subjects": (True, False),
    "stimuli": (False, True),
    "both": (True, True),
}


class Evaluation(NamedTuple):
    """Accuracies of one sample of subjects and stimuli."""

    surface: Array  # (setting, subject)
    methods: Array  # (method, subject)
    chosen: npt.NDArray[np.intp]  # (subject,)


def select_source(
    rdms: xr.DataArray,
    *,
    source: str = "roi",
    over: str = "subject",
    transform: str = "geo_topological",
    step: float = 0.1,
    bootstrap: str = "subjects",
    n_bootstrap: int = 200,
    n_permutations: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Find the source of each RDM among those of other subjects, by nearest centroid.

    Parameters
    ----------
    rdms : DataArray (subject, source, pair) or (subject, source, first, second)
        Complete; dims in any order. Networks from other seeds are subjects, their layers sources.
    source : str
        The dim to be told: "roi", "layer".
    over : str
        The dim of independent units, 3 or more: "subject", "seed".
    transform : {"geo_topological", "geodesic"}
        `transform_rdm`, or `geodesic_rdm` with ``graph="two_step"``, on ranks.
    step : float
        Of the grid of thresholds; see `threshold_grid` (those with lower = upper included).
    bootstrap : {"subjects", "stimuli", "both", "none"}
        What is drawn anew for standard errors. Copies of a subject are left out together; copies
        of stimuli are weights of pairs, whose ranks and thresholds stay those of all stimuli.
    n_bootstrap : int
    n_permutations : int
        0 skips the test. Sources change names within each subject, and all is done anew,
        the choice of thresholds too.
    seed : int

    Returns
    -------
    Dataset
        Of kind ``estimate``. Over ``setting`` (coords ``lower``, ``upper``, ``category``):
        ``accuracy`` and ``accuracy_error``, each setting scored as if it had been named before.
        Over ``representation`` (nested, raw, rank, z_score): ``mean``, ``standard_error``,
        ``score`` (representation, subject), ``difference`` and ``difference_error`` of nested less
        each, with permutations ``p_value``. ``selected_lower``, ``selected_upper`` (subject):
        chosen without that subject. ``confusion`` (source, predicted) of nested.
        ``category_accuracy`` (kind): means of the surface over each category of settings.
        ``best_in_sample``: the top of the surface, which is too high, as it is chosen on the
        scores that it reports. ``chance``.

    Raises
    ------
    SchemaError
        Without these dims, with fewer than 3 subjects or 2 sources, or with missing pairs.
    ValueError

    Notes
    -----
    The nearest centroid (Euclidean) is that of all other subjects. Nested: for each subject held
    out, each of the others is held out in turn, and the couple of thresholds with the highest
    accuracy there is used; of several the one with the widest range between, nearest to plain
    ranks. The published protocol reports the best couple on the very folds that chose it, compares
    ranked RGTMs with raw RDMs, and draws rows, so that a subject may lie on both sides. A tie
    between centroids counts as a share of a right answer.

    References
    ----------
    Lin & Kriegeskorte (2024), PNAS 121, doi:10.1073/pnas.2317881121.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random((1, 3, 66))
    >>> first, second = np.triu_indices(12, 1)
    >>> names = np.array([f"s{i:02d}" for i in range(12)])
    >>> rdms = xr.DataArray(
    ...     truth + 0.1 * rng.random((5, 3, 66)),
    ...     {"roi": ["V1", "V4", "IT"], "first": ("pair", names[first]),
    ...      "second": ("pair", names[second])},
    ...     ("subject", "roi", "pair"), attrs={"kind": "dissimilarity"})
    >>> result = select_source(rdms, n_bootstrap=20)
    >>> float(result["mean"].sel(representation="nested"))
    1.0
    """
    compute = choose(TRANSFORMS, transform, "transform")
    draws = choose(BOOTSTRAPS, bootstrap, "bootstrap")
    pairs = _read_stack(rdms, over, source)
    if (n_bootstrap < 2 and bootstrap != "none") or n_permutations < 0:
        raise ValueError(
            f"n_bootstrap, n_permutations: expected 2 or more and 0 or more, got {n_bootstrap} and "
            f"{n_permutations}. Use bootstrap='none' for no standard errors."
        )
    lower, upper = threshold_grid(step, equal=True)
    preference = lower - upper
    values = np.asarray(pairs.values, dtype=np.float64)
    plain = np.stack([_fit_scale(make(values)) for make in BASELINES.values()])
    vectors = np.concatenate([plain, compute(pairs, lower, upper)])
    full = _selection.multiply(vectors)
    ones = np.ones(len(values))
    found = _evaluate(full, ones, preference)
    n = count_conditions(pairs)
    rng = np.random.default_rng([seed, 3])
    samples = []
    for _ in range(n_bootstrap if any(draws) else 0):
        weights = _draw(len(values), MIN_SUBJECTS, rng) if draws[0] else ones
        again = full
        if draws[1]:
            copies = _draw(n, MIN_SUBJECTS, rng)
            again = _selection.multiply(vectors, np.outer(copies, copies)[np.triu_indices(n, 1)])
        one = _evaluate(again, weights, preference)
        samples.append([rows @ weights / weights.sum() for rows in (one.surface, one.methods)])
    errors = [np.std([s[i] for s in samples], axis=0, ddof=1) if samples else None for i in (0, 1)]
    gaps = [s[1][0] - s[1] for s in samples]
    means = found.methods.mean(axis=1)
    categories = categorize_thresholds(lower, upper)
    surface = found.surface.mean(axis=1)
    kinds = np.unique(categories)
    names = pairs[source].values if source in pairs.coords else np.arange(pairs.sizes[source])
    data: dict[str, Any] = {
        "accuracy": ("setting", surface),
        "score": (("representation", over), found.methods),
        "mean": ("representation", means),
        "difference": ("representation", means[0] - means),
        "selected_lower": (over, lower[found.chosen]),
        "selected_upper": (over, upper[found.chosen]),
        "confusion": (("source", "predicted"), _confuse(full, ones, found.chosen)),
        "category_accuracy": ("kind", [surface[categories == kind].mean() for kind in kinds]),
        "best_in_sample": float(surface.max()),
        "chance": 1 / pairs.sizes[source],
    }
    if samples:
        data["accuracy_error"] = ("setting", errors[0])
        data["standard_error"] = ("representation", errors[1])
        data["difference_error"] = ("representation", np.std(gaps, axis=0, ddof=1))
    if n_permutations:
        data["p_value"] = (
            "representation",
            _permute(full, preference, means, n_permutations, seed),
        )
    coords: dict[str, Any] = {
        "lower": ("setting", lower),
        "upper": ("setting", upper),
        "category": ("setting", categories),
        "representation": list(REPRESENTATIONS),
        "source": names,
        "predicted": names,
        "kind": kinds,
    }
    coords |= {str(key): c for key, c in pairs.coords.items() if c.dims == (over,)}
    parameters: dict[str, str | float | bool | list[str]] = {
        "source": source,
        "over": over,
        "transform": transform,
        "step": step,
        "bootstrap": bootstrap,
        "n_bootstrap": n_bootstrap,
        "n_permutations": n_permutations,
    }
    attrs = {
        "kind": "estimate",
        "headline": "mean",
        "verdict": _describe(means, errors[1], 1 / pairs.sizes[source]),
        "method": f"leave-one-{over}-out nearest centroid ({transform}, nested thresholds)",
        "metric": "accuracy",
        "n_subjects": len(values),
        "n_conditions": n,
        "bootstrap": bootstrap,
        "seed": seed,
        "schema_version": SCHEMA_VERSION,
        "history": str(rdms.attrs.get("history", "")),
        "provenance": provenance.collect(parameters, {"rdms": provenance.hash_array(rdms)}),
    }
    return check_estimate(xr.Dataset(data, coords, attrs))


def _describe(means: Array, errors: Array | None, chance: float) -> str:
    """Accuracy of nested thresholds beside the best of the plain RDMs."""
    spread = "" if errors is None else f" ± {errors[0]:.3f} (standard error)"
    best = 1 + int(np.argmax(means[1:]))
    return (
        f"Sources found with nested thresholds in {means[0]:.3f}{spread}, with "
        f"{REPRESENTATIONS[best].replace('_', '-')} RDMs in {means[best]:.3f}; chance {chance:.3f}."
    )


def _read_stack(rdms: xr.DataArray, over: str, source: str) -> xr.DataArray:
    """Pairs (subject, source, pair), complete."""
    pairs = read_pairs(rdms, "rdms")
    if set(pairs.dims) != {over, source, "pair"}:
        raise SchemaError(
            f"rdms: expected leading dims '{over}' and '{source}', got {rdms.dims}. "
            "Name them in over= and source=, and select one of any other."
        )
    pairs = pairs.transpose(over, source, "pair")
    if pairs.sizes[over] < MIN_SUBJECTS or pairs.sizes[source] < 2:
        raise SchemaError(
            f"rdms: expected {MIN_SUBJECTS} of '{over}' and 2 of '{source}' or more, got "
            f"{pairs.sizes[over]} and {pairs.sizes[source]}. Thresholds are chosen on the others, "
            "each left out in turn."
        )
    missing = int(np.isnan(pairs.values).sum())
    if missing:
        raise SchemaError(
            f"rdms: expected finite dissimilarities, got {missing} missing of {pairs.size}. "
            "Drop the conditions that lack them."
        )
    return pairs


def _fit_scale(vectors: Array) -> Array:
    """One factor for all RDMs, so that ties are judged alike whatever the unit."""
    largest = np.abs(vectors).max()
    return np.asarray(vectors / largest if largest > 0 else vectors)


def _draw(n: int, least: int, rng: np.random.Generator) -> Array:
    """How often each of n is drawn, until enough different ones are."""
    while True:
        counts = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        if (counts > 0).sum() >= least:
            return counts


def _evaluate(full: Array, weights: Array, preference: Array) -> Evaluation:
    """Score baselines, settings, and settings chosen on the other subjects."""
    n_plain = len(BASELINES)
    found = _selection.add_up(full, weights)
    scores = _selection.score_settings(found)
    settings = _selection.add_up(full[n_plain:], weights)
    chosen = _selection.choose_settings(settings, preference)
    surface = scores[n_plain:]
    nested = surface[chosen, np.arange(len(weights))]
    return Evaluation(surface, np.concatenate([nested[None], scores[:n_plain]]), chosen)


def _confuse(full: Array, weights: Array, chosen: npt.NDArray[np.intp]) -> Array:
    distances = _selection.leave_one_out(_selection.add_up(full[len(BASELINES) :], weights))
    return _selection.confuse(distances[chosen, np.arange(len(weights))])


def _permute(full: Array, preference: Array, observed: Array, n: int, seed: int) -> Array:
    """Share of orders of sources within subjects that score as high as the names do."""
    rng = np.random.default_rng([seed, 5])
    _, subjects, labels = full.shape[:3]
    flat = full.reshape(len(full), subjects * labels, -1)
    reached = np.zeros(len(observed))
    for _ in range(n):
        order = np.concatenate([s * labels + rng.permutation(labels) for s in range(subjects)])
        shuffled = flat[:, order[:, None], order].reshape(full.shape)
        null = _evaluate(shuffled, np.ones(subjects), preference).methods.mean(axis=1)
        reached += null >= observed - kernels.SAME
    return np.asarray((1 + reached) / (1 + n))
