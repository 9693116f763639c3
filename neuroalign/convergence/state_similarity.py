"""How alike a population is in two states, by how far they are from each other.

In: maps over places, or over any states whose distances are known. Out: similarity by distance,
with its interval and its null.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import rankdata

from neuroalign import provenance
from neuroalign.convergence._correlation import (
    correlate_weighted,
    count_two_sided,
    draw_weights,
    find_bounds,
    state,
)
from neuroalign.convergence.place_fields import read_maps
from neuroalign.errors import SchemaError, choose
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]
# More distances than this are joined to so many of equal width.
MOST_DISTANCES = 60
FEW_DISTANCES = 20


def _cosine(vectors: Array, weights: Array) -> Array:
    """Cosines (b, state, state) of states (state, unit) under each weighting of units (b, unit)."""
    products = np.einsum("bu,su,tu->bst", weights, vectors, vectors, optimize=True)
    length = np.sqrt(np.maximum(np.einsum("bss->bs", products), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines: Array = products / (length[:, :, None] * length[:, None, :])
    return cosines


def _pearson(vectors: Array, weights: Array) -> Array:
    """Correlations (b, state, state), as cosines of what is left of the mean over units."""
    n = weights.sum(axis=1)[:, None]
    means = weights @ vectors.T / n
    products = np.einsum("bu,su,tu->bst", weights, vectors, vectors, optimize=True)
    products -= n[:, :, None] * means[:, :, None] * means[:, None, :]
    length = np.sqrt(np.maximum(np.einsum("bss->bs", products), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = products / (length[:, :, None] * length[:, None, :])
    return found


ALIKE: dict[str, Callable[[Array, Array], Array]] = {"cosine": _cosine, "correlation": _pearson}


def correlate_states(
    maps: Any,
    distance: Any = None,
    *,
    metric: str = "cosine",
    n_permutations: int = 1000,
    n_resamples: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Relate how alike the population is in two states to how far they are from each other.

    Parameters
    ----------
    maps : Dataset of `map_places`, or DataArray (neuroid, place)
        Places may be any states: name them by numbers, and pass their distances.
    distance : array (place, place), optional
        Symmetric, of steps or lengths; the difference of places when None.
    metric : {"cosine", "correlation"}
        Of population vectors; correlation is blind to the mean over units.
    n_permutations : int
        Orders of the states against each other, for ``p_value``.
    n_resamples, level, seed
        Of bootstrap intervals over units.

    Returns
    -------
    Dataset
        ``similarity`` (place, place_other), NaN for states in which all units are silent, which
        enter nothing else; ``curve`` (distance), its mean at each distance, with
        ``lower`` and ``upper``; ``rank_correlation`` of similarity and distance over pairs, with
        ``rank_lower``, ``rank_upper`` and two-sided ``p_value``.

    Raises
    ------
    SchemaError, ValueError

    Notes
    -----
    Rows of a successor representation on a track run one way with discount g have the cosine
    ``g^d`` at a distance of d places, far from the end.

    Examples
    --------
    >>> place = np.arange(40.0)
    >>> rows = np.where(place >= place[:, None], 0.7 ** (place - place[:, None]), 0.0)
    >>> maps = xr.DataArray(rows.T, {"place": place}, ("neuroid", "place"))[:, :20]
    >>> found = correlate_states(maps, n_resamples=20, n_permutations=99)
    >>> found["curve"].sel(distance=[1, 2]).values.round(3)
    array([0.7 , 0.49])
    """
    compute = choose(ALIKE, metric, "metric")
    array = read_maps(maps)
    if array.ndim != 2:
        raise SchemaError(f"maps: expected ('neuroid', 'place'), got {array.dims}. Select one.")
    vectors = array.values.T.astype(np.float64)
    known = np.isfinite(vectors).all(axis=1)
    place = np.asarray(array["place"].values, dtype=np.float64)
    far = np.abs(place[:, None] - place) if distance is None else np.asarray(distance, np.float64)
    if far.shape != (len(place), len(place)) or not np.allclose(far, far.T):
        raise ValueError(
            f"distance: expected a symmetric matrix of {len(place)} places, got shape {far.shape}."
        )
    if known.sum() < 4:
        raise SchemaError(
            f"maps: expected four or more places that are known of all units, got "
            f"{int(known.sum())}. Use wider bins."
        )
    vectors, far, place = vectors[known], far[np.ix_(known, known)], place[known]
    n_units = vectors.shape[1]
    first, second = np.triu_indices(len(place), 1)
    alike = compute(vectors, np.ones((1, n_units)))[0]
    centers, code = _join_distances(far[first, second])
    rng = np.random.default_rng(seed)
    ranks = rankdata(far[first, second])

    def curve(pairs: Array) -> Array:
        # States in which no unit is active are like none, and unlike none.
        known = np.isfinite(pairs)
        with np.errstate(invalid="ignore"):
            total = np.bincount(code[known], pairs[known], len(centers))
            return np.asarray(total / np.bincount(code[known], minlength=len(centers)))

    drawn = [
        compute(vectors, one[None])[0][first, second]
        for one in draw_weights(n_units, n_resamples, rng)
    ]
    curves = np.array([curve(one) for one in drawn]).reshape(-1, len(centers))
    rho = _rank(alike[first, second], ranks)
    rhos = np.array([_rank(one, ranks) for one in drawn])
    null = np.empty(n_permutations)
    for number in range(n_permutations):
        order = rng.permutation(len(place))
        null[number] = _rank(alike[np.ix_(order, order)][first, second], ranks)
    bounds = np.array([find_bounds(one, level) for one in curves.T]).reshape(-1, 2)
    low, high = find_bounds(rhos, level)
    p_value = count_two_sided(rho, null)
    found = xr.Dataset(
        {
            "similarity": (("place", "place_other"), alike),
            "curve": ("distance", curve(alike[first, second])),
            "lower": ("distance", bounds[:, 0]),
            "upper": ("distance", bounds[:, 1]),
            "rank_correlation": ((), rho),
            "rank_lower": ((), low),
            "rank_upper": ((), high),
            "p_value": ((), p_value),
        },
        {"place": place, "place_other": place, "distance": centers},
        {
            "kind": "estimate",
            "method": "correlate_states",
            "metric": metric,
            "headline": "rank_correlation",
            "verdict": (
                f"{n_units} units, {len(place)} states: "
                f"{state('rank correlation of similarity and distance', rho, low, high)}, "
                f"p = {p_value:.3g}."
            ),
            "n_permutations": n_permutations,
            "n_resamples": n_resamples,
            "level": level,
            "seed": seed,
            "provenance": provenance.collect(
                {"metric": metric, "seed": seed},
                {"maps": provenance.hash_array(array), "distance": provenance.hash_array(far)},
            ),
        },
    )
    return check_estimate(found)


def _rank(pairs: Array, ranks: Array) -> float:
    """Spearman correlation with what is ranked already."""
    known = np.isfinite(pairs)
    ones = np.ones((1, int(known.sum())))
    return float(correlate_weighted(rankdata(pairs[known]), ranks[known], ones)[0])


def _join_distances(far: Array) -> tuple[Array, Array]:
    """Distances to be told apart, and which of them each pair has."""
    # Differences of places are equal up to rounding.
    digits = 9 - int(np.floor(np.log10(far.max()))) if far.max() > 0 else 9
    rounded = np.round(far, digits)
    centers, code = np.unique(rounded, return_inverse=True)
    if len(centers) <= MOST_DISTANCES:
        return centers, code
    edges = np.linspace(far.min(), far.max(), FEW_DISTANCES + 1)
    code = np.clip(np.searchsorted(edges, far, side="right") - 1, 0, FEW_DISTANCES - 1)
    kept, code = np.unique(code, return_inverse=True)
    return (edges[kept] + edges[kept + 1]) / 2, code
