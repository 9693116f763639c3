"""Whether deeper layers explain places farther along the cortex: the spatial score, its nulls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.convergence._correlation import (
    correlate,
    correlate_maps,
    correlate_weighted,
    count_two_sided,
    draw_weights,
    find_bounds,
    naive_p,
    state,
)
from neuroalign.convergence.preferences import (
    RULES,
    average_regions,
    find_preferred_depth,
    read_scores,
)
from neuroalign.convergence.spins import draw_spins, read_places
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]
# Fewer regions have no interval or p worth the name.
LEAST_REGIONS = 5
UNITS = {"neuroid": "neuroid", "roi": "roi"}
FOUND = (
    "score",
    "lower",
    "upper",
    "p_spin",
    "p_naive",
    "p_shuffled",
    "null_mean",
    "null_sd",
    "n_units",
)


def spatial_score(
    result: xr.Dataset,
    distances: xr.Dataset,
    *,
    rules: Sequence[str] = ("best", "centroid"),
    units: Sequence[str] = ("neuroid", "roi"),
    kept: xr.DataArray | None = None,
    min_score: float = 0.0,
    n_spins: int = 1000,
    n_shuffles: int = 1000,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Correlate the preferred depth of neuroids and regions with their distance from an origin.

    Parameters
    ----------
    result : Dataset
        Of `encode_layers`, without time.
    distances : Dataset
        Of `measure_distances` for the same neuroids. Kinds with a map on all vertices get spins.
    rules : sequence of {"best", "centroid"}
        See `find_preferred_depth`; the published score takes ``best``.
    units : sequence of {"neuroid", "roi"}
        What is correlated: every neuroid; or regions, by the mean of their scores and distances.
    kept : DataArray of bool (neuroid,), optional
        Neuroids to use, such as those that pass a test of their score.
    min_score : float
        Neuroids or regions that no layer predicts better than this are left out.
    n_spins, n_shuffles, n_resamples : int
        Rotations of the cortex, permutations of the layers, bootstrap draws; 0 spares spins or
        shuffles.
    level : float
    seed : int

    Returns
    -------
    Dataset
        Over (distance, rule, unit): ``score``, Pearson r, with ``lower`` and ``upper``;
        ``p_spin``, ``null_mean`` and ``null_sd`` of spins (NaN for distances without a map);
        ``p_shuffled``, of layers in random order; ``p_naive``, which takes places for independent
        and is reported to be held against ``p_spin``; ``n_units``. All p are two-sided. With fewer
        than 5 regions as units interval and p are NaN: ``attrs['n_without_interval']`` counts these
        scores, and ``attrs['warnings']`` says so.
        ``preferred_depth`` (rule, neuroid). The interval resamples regions: with the neuroids in
        them, or neuroids alone where none has a region (``attrs['resampled']``).

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    k* = argmax_k R_k; d* the distance from V1; score = Pearson(d*, k*). The score changes much with
    the unit, with averaging and with the rule: hence the table. A best layer chosen by the score
    that is shown is optimistic for R, but not for this correlation.

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226, section 2 (spatial score); Alexander-Bloch et al.
    (2018), NeuroImage 178, 540-551, doi:10.1016/j.neuroimage.2018.05.070 (spins).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> scores = np.array([[0.4, 0.3, 0.1], [0.2, 0.4, 0.2], [0.1, 0.2, 0.3]])
    >>> result = xr.Dataset(
    ...     {"mean_score": (("layer", "neuroid"), scores)},
    ...     coords={"layer": ["a", "b", "c"], "depth": ("layer", [0, 0.5, 1]),
    ...             "neuroid": ["x", "y", "z"]},
    ... )
    >>> distances = xr.Dataset(
    ...     {"euclidean": ("neuroid", [0.0, 10.0, 20.0])}, coords={"neuroid": ["x", "y", "z"]}
    ... )
    >>> found = spatial_score(result, distances, rules=("best",), units=("neuroid",))
    >>> round(float(found["score"].item()), 2)
    1.0
    """
    for unit in units:
        choose(UNITS, unit, "units")
    for rule in rules:
        choose(RULES, rule, "rules")
    scores, kinds = _read(result, distances, kept)
    if kept is not None:
        chosen = kept.sel(neuroid=result["neuroid"].values).values.astype(bool)
        result = result.isel(neuroid=chosen)
        scores = scores.isel(neuroid=chosen)
    distances = distances.sel(neuroid=scores["neuroid"].values)
    regions = scores["roi"].values if "roi" in scores.coords else None
    if "roi" in units and regions is None:
        raise SchemaError(
            "units: expected coord 'roi' in result for 'roi', got none. Use units=('neuroid',)."
        )
    spun = _spin(distances, kinds, n_spins, seed)
    shape = (len(kinds), len(rules), len(units))
    table = {name: np.full(shape, np.nan) for name in FOUND}
    depth = np.asarray(scores["depth"].values, dtype=np.float64)
    least = {"roi": LEAST_REGIONS, "neuroid": 0}
    for column, unit in enumerate(units):
        for row, rule in enumerate(rules):
            prefers = find_preferred_depth(result, rule=rule, by=unit, min_score=min_score)
            shuffled = _shuffle(scores, unit, rule, depth, n_shuffles, seed)
            for number, kind in enumerate(kinds):
                far, turned = distances[kind].values, spun.get(kind)
                if unit == "roi":
                    names = [str(name) for name in prefers["roi"].values]
                    far = _average(far[None], regions, names)[0]
                    turned = None if turned is None else _average(turned, regions, names)
                found = _judge(
                    prefers.values, far, turned, shuffled,
                    regions if unit == "neuroid" else None, least[unit], n_resamples, level, seed,
                )  # fmt: skip
                for name, value in found.items():
                    table[name][number, row, column] = value
    dims = ("distance", "rule", "unit")
    every = [find_preferred_depth(result, rule=rule, min_score=min_score) for rule in rules]
    own = dict(every[0].coords)
    answer = xr.Dataset(
        {name: (dims, values) for name, values in table.items()}
        | {"preferred_depth": (("rule", "neuroid"), np.stack([one.values for one in every]))},
        coords={"distance": list(kinds), "rule": list(rules), "unit": list(units), **own},
        attrs={
            "kind": "estimate",
            "method": "spatial_score",
            "metric": "pearson",
            "level": level,
            "headline": "score",
            "verdict": _say(table, kinds, rules, units),
            **_warn_few(table["n_units"], units, min_score),
            "n_spins": n_spins,
            "n_shuffles": n_shuffles,
            "n_resamples": n_resamples,
            "resampled": "neuroids" if regions is None else "regions",
            "seed": seed,
            "provenance": provenance.collect(
                {
                    "rules": list(rules),
                    "units": list(units),
                    "min_score": min_score,
                    "n_spins": n_spins,
                    "n_shuffles": n_shuffles,
                    "n_resamples": n_resamples,
                    "level": level,
                    "seed": seed,
                },
                {"scores": provenance.hash_array(scores)}
                | {f"distances {one}": provenance.hash_array(distances[one]) for one in kinds},
            ),
        },
    )
    return check_estimate(answer)


def _say(
    table: Mapping[str, Array], kinds: Sequence[str], rules: Sequence[str], units: Sequence[str]
) -> str:
    """State the first rule and unit, which by default are those published."""
    said = []
    for number, kind in enumerate(kinds):
        at = (number, 0, 0)
        text = state(f"{kind}", *(table[name][at] for name in ("score", "lower", "upper")))
        spin = table["p_spin"][at]
        said.append(text + (f", spin p = {spin:.3g}" if np.isfinite(spin) else ""))
    return f"spatial score ({rules[0]} layer, {units[0]}s): {'; '.join(said)}"


def _warn_few(counts: Array, units: Sequence[str], min_score: float) -> dict[str, Any]:
    few = (counts < LEAST_REGIONS) & (np.array(units) == "roi")
    lines = []
    if few.any():
        lines.append(
            f"units: expected {LEAST_REGIONS} regions or more with a preferred depth and a "
            f"distance, got {int(counts[few].min())}. Interval and p of {int(few.sum())} scores "
            "are NaN: take finer regions, or units=('neuroid',)."
        )
    if (counts == 0).any():
        lines.append(
            f"min_score: expected neuroids with a score above {min_score:g} and a distance, got "
            f"none for {int((counts == 0).sum())} scores, which are NaN. Lower it."
        )
    said = {"warnings": "\n".join(lines)} if lines else {}
    return {"n_without_interval": int(few.sum()), **said}


def _read(
    result: xr.Dataset, distances: xr.Dataset, kept: xr.DataArray | None
) -> tuple[xr.DataArray, list[str]]:
    scores = read_scores(result)
    if "time" in scores.dims:
        raise SchemaError(
            "result: expected scores without 'time', got some. Select a time or average over it; "
            "temporal_score takes time."
        )
    for name, other in (("distances", distances), ("kept", kept)):
        if other is None:
            continue
        known = set(other["neuroid"].values.tolist())
        missing = [one for one in scores["neuroid"].values.tolist() if one not in known]
        if missing:
            raise AlignError(
                f"{name}: expected the neuroids of result, missing {len(missing)}: "
                f"{some(missing)}. Compute it from the same responses."
            )
    kinds = [str(one) for one in distances.data_vars if distances[one].dims == ("neuroid",)]
    if not kinds:
        raise SchemaError(
            f"distances: expected a variable (neuroid,), got {some(distances.data_vars)}. "
            "Use measure_distances."
        )
    return scores, kinds


def _spin(
    distances: xr.Dataset, kinds: Sequence[str], n_spins: int, seed: int
) -> Mapping[str, Array]:
    """Maps as they lie after each rotation: (spin, neuroid), for kinds that have one."""
    with_map = [kind for kind in kinds if f"{kind}_map" in distances]
    if not with_map or not n_spins:
        return {}
    mesh = str(distances.attrs["mesh"])
    turned = draw_spins(read_places(distances, mesh, "distances"), n_spins, seed, mesh)
    return {kind: distances[f"{kind}_map"].values[turned] for kind in with_map}


def _average(values: Array, regions: Array | None, names: Sequence[str]) -> Array:
    """Mean over the known neuroids of each region: (..., neuroid) to (..., roi)."""
    known = np.isfinite(values)
    member = np.asarray(regions)[:, None] == np.asarray(names)[None, :]
    with np.errstate(invalid="ignore"):
        means: Array = (np.where(known, values, 0.0) @ member) / (known @ member.astype(float))
    return means


def _shuffle(
    scores: xr.DataArray, unit: str, rule: str, depth: Array, n_shuffles: int, seed: int
) -> Array:
    """Preferred depths (shuffle, unit) when layers stand in random order."""
    values = (average_regions(scores) if unit == "roi" else scores).values
    rng, pick = np.random.default_rng(seed), RULES[rule]
    draws = [pick(values, rng.permutation(depth)) for _ in range(n_shuffles)]
    return np.array(draws).reshape(n_shuffles, values.shape[1])


def _judge(
    prefers: Array,
    far: Array,
    turned: Array | None,
    shuffled: Array,
    groups: Array | None,
    least: int,
    n_resamples: int,
    level: float,
    seed: int,
) -> dict[str, float]:
    """Correlate, resample and compare with the nulls, for one distance, rule and unit."""
    known = np.isfinite(prefers) & np.isfinite(far)
    x, y = prefers[known], far[known]
    r = correlate(x, y)
    found = {"score": r, "n_units": float(known.sum())}
    if len(x) < least:
        return found
    found["p_naive"] = naive_p(x, y)
    codes = np.arange(len(x))
    if groups is not None:
        codes = np.unique(groups[known], return_inverse=True)[1]
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups > 1:
        weights = draw_weights(n_groups, n_resamples, np.random.default_rng(seed))[:, codes]
        found["lower"], found["upper"] = find_bounds(correlate_weighted(x, y, weights), level)
    if turned is not None and len(x) > 1 and np.isfinite(r):
        null = correlate_maps(x[None], turned[:, known])[:, 0]
        found["p_spin"] = count_two_sided(r, null)
        found["null_mean"], found["null_sd"] = float(np.nanmean(null)), float(np.nanstd(null))
    if len(shuffled) and np.isfinite(r):
        moved = shuffled[:, known]
        # Here the distances stay and the depths move: the same product the other way round.
        found["p_shuffled"] = count_two_sided(r, correlate_maps(y[None], moved)[:, 0])
    return found
