"""Intrinsic dimension: how many numbers place a point on the surface that the points lie on.

It is read off distances to near neighbours, so it counts curved surfaces right, and it counts
noise: at the distance of the noise every recording is as wide as its channels. Average repeats
first, and look at `trace_dimension`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from neuroalign.errors import SchemaError, choose
from neuroalign.geometry._matrices import (
    Matrix,
    as_layers,
    as_matrix,
    check_draws,
    join_layers,
    sign,
)

Array = npt.NDArray[Any]


class Method(NamedTuple):
    """What each point gives, and how the dimension is read off (draw, point, ...) of it."""

    measure: Callable[[Array, int], Array]
    combine: Callable[[Array, float], Array]


def _find_distances(values: Array, k: int) -> Array:
    """Distances to the k nearest others (sample, k), nearest first."""
    search = NearestNeighbors(n_neighbors=k).fit(values)
    distances: Array = search.kneighbors(return_distance=True)[0]
    return distances


def _measure_ratios(values: Array, _k: int) -> Array:
    near = _find_distances(values, 2)
    return np.asarray(np.log(near[:, 1] / near[:, 0]))


def _fit_ratios(ratios: Array, discard: float) -> Array:
    """Slope of -log(1 - F) over log mu through the origin, without the largest ratios."""
    ratios = np.sort(ratios, axis=-1)
    n = ratios.shape[-1]
    kept = max(2, int(np.floor(n * (1 - discard) + 1e-9)))
    kept = min(kept, n - 1)
    x = ratios[..., :kept]
    y = -np.log1p(-np.arange(1, kept + 1) / n)
    return np.asarray((x @ y) / (x * x).sum(axis=-1))


def _measure_logs(values: Array, k: int) -> Array:
    near = _find_distances(values, k)
    return np.asarray(np.log(near[:, -1:] / near[:, :-1]).sum(axis=1) / (k - 2))


def _invert_mean(inverses: Array, _discard: float) -> Array:
    return np.asarray(1 / inverses.mean(axis=-1))


def _measure_counts(values: Array, k: int) -> Array:
    """Others within two radii of each point, and log of the ratio of the radii: (sample, 3)."""
    near = _find_distances(values, k)
    small, large = np.median(near[:, k // 2 - 1]), np.median(near[:, -1])

    def count(block: Array, _start: int) -> Array:
        within = [(block <= radius).sum(axis=1) - 1 for radius in (small, large)]
        return np.stack(within, axis=1)

    counts = np.concatenate(list(pairwise_distances_chunked(values, reduce_func=count)))
    # The radii belong to the data: they stay as they are when points are drawn again.
    span = np.full((len(values), 1), np.log(large / small))
    return np.hstack([counts, span])


def _divide_logs(counts: Array, _discard: float) -> Array:
    mean = counts.mean(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(mean[..., 1] / mean[..., 0]) / mean[..., 2])


METHODS: Mapping[str, Method] = {
    "two_nn": Method(_measure_ratios, _fit_ratios),
    "mle": Method(_measure_logs, _invert_mean),
    "correlation": Method(_measure_counts, _divide_logs),
}


def estimate_dimension(
    X: Matrix | Mapping[str, Matrix],
    method: str = "two_nn",
    *,
    n_neighbors: int = 20,
    discard: float = 0.1,
    level: float = 0.95,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> xr.Dataset:
    """Intrinsic dimension of points, with its uncertainty.

    Parameters
    ----------
    X : array or DataArray (sample, unit), or dict of layer -> one
        Points differ: a point that comes twice counts once.
    method : {"two_nn", "mle", "correlation"}
        ``two_nn``: from the ratio of the distances to the second and first neighbour, the finest
        scale there is. ``mle``: maximum likelihood over ``n_neighbors``, inverses averaged over
        points. ``correlation``: growth of the number of pairs between the median distances to
        neighbour ``n_neighbors / 2`` and ``n_neighbors``.
    n_neighbors : int
        Of ``mle`` and ``correlation``, from 4: more is a coarser scale, less noise, and more bias
        by curvature and edges.
    discard : float
        Share of the largest ratios that ``two_nn`` leaves out.
    level : float
        Of the interval, 0 to 1.
    n_bootstrap, seed : int
        Draws of points, each with the neighbours it has in all the data: to draw points first
        would make neighbours at distance 0.

    Returns
    -------
    Dataset
        Over ``layer`` (none for one matrix): ``dimension``, ``lower``, ``upper``,
        ``standard_error``, ``n_points``. The interval is for spread over points; it knows nothing
        of the bias, downwards, that all three have above about 10 dims, nor of dependent rows.

    Raises
    ------
    SchemaError
        When there are fewer points than neighbours, or neighbours of most points tie.
    ValueError

    References
    ----------
    Facco et al. (2017), Scientific Reports 7:12140, doi:10.1038/s41598-017-11873-y; Levina &
    Bickel (2004), NeurIPS 17; MacKay & Ghahramani (2005), comments on it; Grassberger & Procaccia
    (1983), Physica D 9, 189-208.

    Examples
    --------
    >>> angle = np.random.default_rng(0).uniform(size=(1000, 1)) * 6
    >>> curve = np.hstack([np.cos(angle), np.sin(angle), angle])
    >>> round(float(estimate_dimension(curve)["dimension"]), 1)
    1.0
    """
    chosen = choose(METHODS, method, "method")
    if n_neighbors < 4:
        raise ValueError(f"n_neighbors: expected 4 or more, got {n_neighbors}. 20 is usual.")
    if not 0 <= discard < 1 or not 0 < level < 1:
        raise ValueError(
            f"discard: expected shares (discard 0 to below 1, level between 0 and 1), got "
            f"{discard} and {level}. 0.1 and 0.95 are usual."
        )
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap: expected 1 or more, got {n_bootstrap}. 500 is usual.")
    layers = as_layers(X)
    rows = {}
    for layer, matrix in layers.items():
        name = f"X['{layer}']" if layer else "X"
        values = _drop_copies(as_matrix(matrix, name), n_neighbors)
        parts = chosen.measure(values, n_neighbors)
        dimension = _read_off(chosen, parts, discard, name)
        rng = np.random.default_rng(seed)
        drawn = [
            chosen.combine(parts[rng.integers(0, len(parts), len(parts))], discard)
            for _ in range(n_bootstrap)
        ]
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        rows[layer] = xr.Dataset(
            {
                "dimension": dimension,
                "lower": float(low),
                "upper": float(high),
                "standard_error": float(np.std(drawn, ddof=1)) if n_bootstrap > 1 else np.nan,
                "n_points": len(values),
            }
        )
    parameters: dict[str, Any] = {"n_neighbors": 2 if method == "two_nn" else n_neighbors}
    parameters |= {"level": level, "n_bootstrap": n_bootstrap, "seed": seed}
    parameters["n"] = min(int(row["n_points"]) for row in rows.values())
    if method == "two_nn":
        parameters["discard"] = discard
    named = {layer or "X": matrix for layer, matrix in layers.items()}
    return sign(join_layers(rows), method, named, parameters, "dimension")


def _read_off(method: Method, parts: Array, discard: float, name: str) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        dimension = float(method.combine(parts, discard))
    if not np.isfinite(dimension):
        raise SchemaError(
            f"{name}: expected neighbours at different distances, got ties in most points, as on a "
            "grid. Use more neighbours, or values that are not rounded."
        )
    return dimension


def _drop_copies(values: Array, n_neighbors: int) -> Array:
    values = np.unique(values, axis=0)
    if len(values) < n_neighbors + 2:
        raise SchemaError(
            f"X: expected at least {n_neighbors + 2} different points for {n_neighbors} "
            f"neighbours, got {len(values)}. Use more points or fewer neighbours."
        )
    return values


def trace_dimension(
    X: Matrix,
    method: str = "two_nn",
    *,
    shares: Sequence[float] = (1.0, 0.5, 0.25, 0.125),
    n_draws: int = 5,
    n_neighbors: int = 20,
    discard: float = 0.1,
    seed: int = 0,
) -> xr.Dataset:
    """Intrinsic dimension at coarser and coarser scales, by leaving points out.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    method, n_neighbors, discard, seed
        As in `estimate_dimension`.
    shares : sequence of float
        Of the points, above 0 to 1. Fewer points are farther apart.
    n_draws : int
        Random subsets of each share.

    Returns
    -------
    Dataset
        Over (``share``, ``draw``): ``dimension`` and ``n_points``. Where it stays the same it is
        of the surface; where it grows with more points it is of the noise.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Facco et al. (2017), doi:10.1038/s41598-017-11873-y, section on multiscale dimension.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> plane = np.hstack([rng.uniform(size=(2000, 2)), 0.01 * rng.normal(size=(2000, 8))])
    >>> trace_dimension(plane)["dimension"].mean("draw").round(1).values.tolist()
    [7.0, 6.2, 5.1, 4.1]
    """
    values = as_matrix(X)
    check_draws(shares, n_draws)
    rng = np.random.default_rng(seed)
    found = []
    for share in shares:
        size = round(share * len(values))
        for _ in range(n_draws):
            one = estimate_dimension(
                values[rng.permutation(len(values))[:size]],
                method,
                n_neighbors=n_neighbors,
                discard=discard,
                n_bootstrap=1,
                seed=seed,
            )
            found.append((float(one["dimension"]), int(one["n_points"])))
    dims, shape = ("share", "draw"), (len(shares), n_draws)
    dimension, n_points = zip(*found, strict=True)
    result = xr.Dataset(
        {
            "dimension": (dims, np.reshape(dimension, shape)),
            "n_points": (dims, np.reshape(n_points, shape)),
        },
        coords={"share": list(shares)},
    )
    parameters: dict[str, Any] = {"n_neighbors": n_neighbors, "n_draws": n_draws, "seed": seed}
    parameters["n"] = len(values)
    return sign(result, f"{method} by scale", {"X": X}, parameters, "dimension")
