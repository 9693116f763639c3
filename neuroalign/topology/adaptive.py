"""Dependence of two RDMs at the thresholds that show it best.

In: two RDMs. Out: their distance correlation under all couples of thresholds of both, a statistic
of that map, and its permutation test. To add a statistic: a function and its row in
``STATISTICS``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import SchemaError, choose
from neuroalign.rsa import align_rdms
from neuroalign.schema import SCHEMA_VERSION, check_estimate
from neuroalign.topology import _geotopology as kernels
from neuroalign.topology._pairs import count_conditions, read_pairs
from neuroalign.topology.geotopology import threshold_grid

Array = npt.NDArray[Any]
MIN_CONDITIONS = 4


def _center_doubly(squares: Array) -> Array:
    """Take row and column means out of (..., n, n), the zero diagonal among them."""
    row = squares.mean(axis=-1, keepdims=True)
    middle = row.mean(axis=-2, keepdims=True)
    return np.asarray(squares - row - np.swapaxes(row, -1, -2) + middle)


def _center_without_bias(squares: Array) -> Array:
    """The same without the diagonal, so that independent RDMs have product 0 on average."""
    n = squares.shape[-1]
    row = squares.sum(axis=-1, keepdims=True) / (n - 2)
    middle = row.sum(axis=-2, keepdims=True) / (n - 1)
    centered = squares - row - np.swapaxes(row, -1, -2) + middle
    return np.asarray(np.where(np.eye(n, dtype=bool), 0, centered))


# And what becomes of negative products: the published measure takes them as positive.
CENTERINGS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "unbiased": (_center_without_bias, np.asarray),
    "double": (_center_doubly, np.abs),
}


def normalize_maps(squares: Array, centering: str) -> Array:
    """Centre squares (setting, n, n) and bring each to norm 1; one whose pairs are alike to 0."""
    n = squares.shape[-1]
    pairs = squares[:, *np.triu_indices(n, 1)]
    varies = (np.ptp(pairs, axis=1) > kernels.SAME * np.abs(pairs).max(axis=1))[:, None, None]
    centered = CENTERINGS[centering][0](squares)
    norm = np.sqrt(np.square(centered).sum(axis=(-1, -2), keepdims=True))
    varies &= norm > kernels.SAME * n
    return np.asarray(np.where(varies, centered / np.where(varies, norm, 1), 0))


def _take_max(maps: Array) -> Array:
    return np.asarray(maps.max(axis=(-1, -2)))


def _inflate(maps: Array) -> Array:
    mean = maps.mean(axis=0)
    return _take_max(maps / np.where(mean > 0, mean, 1))


def _inflate_by_noise(maps: Array) -> Array:
    mean, spread = maps.mean(axis=0), maps.std(axis=0)
    inflation = maps / np.where(mean > 0, mean, 1)
    # A map that no permutation changes says nothing.
    noise = np.where(spread > kernels.SAME, spread, np.inf)
    return _take_max(1 + (inflation - 1) / noise)


# Ratios to the mean over permutations need a mean that is not 0: the biased one.
STATISTICS: dict[str, tuple[Callable[[Array], Array], tuple[str, ...]]] = {
    "max": (_take_max, ("unbiased", "double")),
    "inflation": (_inflate, ("double",)),
    "normalized_inflation": (_inflate_by_noise, ("double",)),
}


def adaptive_similarity(
    a: xr.DataArray,
    b: xr.DataArray,
    *,
    statistic: str = "max",
    n_thresholds: int = 8,
    threshold: str = "fraction",
    rank: bool = False,
    shape: str = "linear",
    centering: str | None = None,
    n_permutations: int = 999,
    how: str = "strict",
    seed: int = 0,
) -> xr.Dataset:
    """Find the thresholds at which two RDMs depend on each other most, and test it.

    Parameters
    ----------
    a, b : DataArray (first, second) or (pair)
        Complete RDMs, aligned by label.
    statistic : {"max", "inflation", "normalized_inflation"}
        Of the map of distance correlations: its largest value; largest ratio to the mean over
        permutations; that ratio less 1, divided by the standard deviation over permutations,
        plus 1.
    n_thresholds : int
        Evenly from 0 to 1; all couples lower < upper of each RDM are crossed with all of the
        other.
    threshold : {"fraction", "quantile"}
        Of the largest value, or quantiles of the RDM.
    rank : bool
        Replace values by their ranks first.
    shape : {"linear", "gate"}
        As in `transform_rdm`.
    centering : {"unbiased", "double"}, optional
        ``double`` is published, and the only one of the inflations; ``unbiased``, the default of
        ``max``, leaves the diagonal out.
    n_permutations : int
        Orders of the conditions of ``b``.
    how : {"strict", "inner"}
        Both must hold the same conditions, or those that they share are compared.
    seed : int

    Returns
    -------
    Dataset
        Of kind ``estimate``: ``similarity`` and ``null_mean`` (setting, setting_other), with the
        thresholds ``lower``, ``upper``, ``lower_other``, ``upper_other``; ``statistic``,
        ``null_statistic`` (permutation) and ``p_value``; ``best_lower`` ... ``best_upper_other``,
        where the map is largest.

    Raises
    ------
    SchemaError
        With leading dims, missing pairs, or fewer than 4 conditions.
    AlignError
        When conditions differ.
    ValueError

    Notes
    -----
    ``dCor = sqrt(|<A, B>| / (|A| |B|))``, A and B the centred transformed RDMs; the unbiased one
    keeps the sign of the product. The diagonal is 0 in both RDMs: at thresholds that few pairs lie
    below, double centring leaves little but that. Human and monkey IT of Kriegeskorte et al.
    (2008) then reach 0.999 in the observed order of images and in random ones; without the
    diagonal, 0.73 and at most 0.43. Pairs that are all alike count as 0. The search
    over thresholds is repeated in each permutation, so ``p_value`` pays for it. Means and standard
    deviations are taken over the observed order too, so that under the null all orders are alike
    and p is exact; the published code leaves it out.

    References
    ----------
    Lin & Kriegeskorte (2018), arXiv:1810.02923; Székely et al. (2007), Ann. Stat. 35, 2769;
    Székely & Rizzo (2013), J. Multivar. Anal. 117, 193 (unbiased).

    Examples
    --------
    >>> from neuroalign.rsa import magnitude_rdm
    >>> rng = np.random.default_rng(0)
    >>> x = {f"c{i:02d}": float(value) for i, value in enumerate(rng.normal(size=20))}
    >>> y = {name: value**2 for name, value in x.items()}
    >>> result = adaptive_similarity(magnitude_rdm(x), magnitude_rdm(y), n_permutations=199)
    >>> float(result["p_value"]) < 0.05
    True
    """
    summarize, centerings = choose(STATISTICS, statistic, "statistic")
    centering = centerings[0] if centering is None else centering
    choose(dict.fromkeys(centerings), centering, "centering")
    choose(dict.fromkeys(("fraction", "quantile")), threshold, "threshold")
    choose(kernels.SHAPES, shape, "shape")
    if n_thresholds < 2 or n_permutations < 1:
        raise ValueError(
            f"n_thresholds, n_permutations: expected 2 or more and 1 or more, got {n_thresholds} "
            f"and {n_permutations}. Use 8 and 999."
        )
    for name, one in {"a": a, "b": b}.items():
        read_pairs(one, name)
        if one.ndim > 2 or (one.ndim == 2 and one.dims[-1] == "pair"):
            raise SchemaError(f"{name}: expected one RDM, got dims {one.dims}. Select one.")
    both = align_rdms(a, b, how=how)
    n = count_conditions(both[0])
    vectors = [np.asarray(one.values, dtype=np.float64) for one in both]
    if n < MIN_CONDITIONS or not np.isfinite(vectors).all():
        raise SchemaError(
            f"a, b: expected complete RDMs of {MIN_CONDITIONS} conditions or more, got {n} with "
            f"{int(np.isnan(vectors).sum())} missing pairs. Drop the conditions that lack them."
        )
    lower, upper = threshold_grid(1 / (n_thresholds - 1))
    maps = []
    for vector in vectors:
        values = kernels.rank_unit(vector) if rank else vector
        made = kernels.threshold_all(values, lower, upper, threshold, shape)
        maps.append(normalize_maps(kernels.square_up(made, n), centering))
    rng = np.random.default_rng(seed)
    found = _permute_maps(maps[0], maps[1], CENTERINGS[centering][1], n_permutations, rng)
    values = summarize(found)
    reached = int((values[1:] >= values[0] - kernels.SAME * abs(values[0])).sum())
    best = np.unravel_index(int(np.argmax(found[0])), found[0].shape)
    result = xr.Dataset(
        {
            "similarity": (("setting", "setting_other"), found[0]),
            "null_mean": (("setting", "setting_other"), found[1:].mean(axis=0)),
            "statistic": float(values[0]),
            "null_statistic": ("permutation", values[1:]),
            "p_value": (1 + reached) / (1 + n_permutations),
            "best_lower": float(lower[best[0]]),
            "best_upper": float(upper[best[0]]),
            "best_lower_other": float(lower[best[1]]),
            "best_upper_other": float(upper[best[1]]),
        },
        coords={
            "lower": ("setting", lower),
            "upper": ("setting", upper),
            "lower_other": ("setting_other", lower),
            "upper_other": ("setting_other", upper),
        },
    )
    parameters: dict[str, str | float | bool | list[str]] = {
        "statistic": statistic,
        "n_thresholds": n_thresholds,
        "threshold": threshold,
        "rank": rank,
        "shape": shape,
        "centering": centering,
        "n_permutations": n_permutations,
    }
    hashes = {"a": provenance.hash_array(a), "b": provenance.hash_array(b)}
    p_value = float(result["p_value"])
    result.attrs = {
        "kind": "estimate",
        "headline": "statistic",
        "verdict": f"Adaptive distance correlation ({statistic}) {float(values[0]):.3f}, "
        f"p = {p_value:.3g}.",
        "method": f"adaptive distance correlation ({statistic})",
        "metric": statistic,
        "n_conditions": n,
        "seed": seed,
        "schema_version": SCHEMA_VERSION,
        "provenance": provenance.collect(parameters, hashes),
    }
    return check_estimate(result)


def _permute_maps(
    a: Array,
    b: Array,
    fold: Callable[[Array], Array],
    n_permutations: int,
    rng: np.random.Generator,
) -> Array:
    """Distance correlations (1 + permutation, setting, setting_other), the observed first."""
    n = a.shape[-1]
    left = a.reshape(len(a), -1)
    found = np.empty((1 + n_permutations, len(a), len(b)))
    for index in range(1 + n_permutations):
        # Centring does not know the order: centred matrices may be permuted.
        order = rng.permutation(n) if index else np.arange(n)
        right = b[:, order[:, None], order].reshape(len(b), -1)
        product = fold(left @ right.T)
        found[index] = np.sign(product) * np.sqrt(np.abs(product))
    return found
