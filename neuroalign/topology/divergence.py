"""Representation topology divergence: how the shapes of two representations differ.

RTD sums the bars of a filtration that tells at which distances the points of one hang together in
another way than the points of both joined.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.errors import AlignError
from neuroalign.rsa.rdms import align_rdms
from neuroalign.topology._backends import run_ripser
from neuroalign.topology._points import check_same_samples, is_rdm, read_cloud

Array = npt.NDArray[Any]


def cross_distances(distances: Array, others: Array) -> Array:
    """Build the distances (2n, 2n) whose loops are the cross-barcode of two graphs.

    Parameters
    ----------
    distances, others : array (n, n)
        Of the same points, on one scale.

    Returns
    -------
    array (2n, 2n)
        Each point comes twice: first copies are 0 apart, second ones by the smaller of both
        distances, and a first copy is as far from a second one as the points are by ``distances``.

    References
    ----------
    Barannikov, Trofimov, Balabin & Burnaev (2022), ICML, section 2.4 and algorithm 1, with their
    point that is 0 from all first copies drawn into those.
    """
    joined = np.minimum(distances, others)
    return np.block([[np.zeros_like(distances), distances.T], [distances, joined]])


def sum_cross_bars(distances: Array, others: Array, dimension: int = 1) -> float:
    """Sum the bar lengths of the cross-barcode in one dimension."""
    bars = run_ripser(cross_distances(distances, others), dimension, np.inf, 2)[dimension]
    return float((bars[:, 1] - bars[:, 0]).sum())


def compute_divergence(
    a: Any,
    b: Any,
    *,
    metric: str = "euclidean",
    rdm_transform: str = "auto",
    batch_size: int = 200,
    n_batches: int = 10,
    quantile: float = 0.9,
    dimension: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Compute the representation topology divergence (RTD) of two representations.

    Parameters
    ----------
    a, b : array or DataArray (sample, unit), or RDM (pair) or (first, second)
        The same samples in the same order, checked by label where both have one; two RDMs are
        aligned by condition.
    metric : {"euclidean", "city_block", "cosine", "correlation"}
        Of points.
    rdm_transform : {"auto", "root", "ranks", "none"}
        Of RDMs, see `compute_persistence`.
    batch_size : int
        Points at a time: time grows with the third power or faster. With as many points, or fewer,
        there is one batch and no standard error.
    n_batches : int
        Batches, each drawn without replacement.
    quantile : float
        Distances of each batch are divided by this quantile of theirs, so that scale is no matter.
    dimension : {1, 2}
        1 sees how components merge, 2 how loops do.
    seed : int

    Returns
    -------
    Dataset
        ``divergence``: mean over batches of half the sum of both directions; ``a_to_b`` and
        ``b_to_a``: means; ``standard_error`` of the mean over batches, NaN with one;
        ``batch_value`` (batch, direction). It is 0 for equal distances, grows with the number of
        points in a batch, and has no upper bound: compare at equal ``n_used``. Batches may share
        points, so the standard error is that of drawing them, not of drawing samples.

    Raises
    ------
    AlignError
        When the two do not hold the same samples.
    SchemaError, ValueError
    MissingExtraError

    References
    ----------
    Barannikov, Trofimov, Balabin & Burnaev (2022), Representation topology divergence: a method
    for comparing neural network representations, ICML, PMLR 162, 1607-1626, algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(30, 3))
    >>> round(float(compute_divergence(points, 5 * points)["divergence"]), 4)
    0.0
    """
    if dimension not in (1, 2):
        raise ValueError(f"dimension: expected 1 or 2, got {dimension}. 1 is usual.")
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile: expected a share in (0, 1], got {quantile}. Use 0.9.")
    if batch_size < 3 or n_batches < 1:
        raise ValueError(
            f"batch_size, n_batches: expected 3 or more points in 1 or more batches, got "
            f"{batch_size} and {n_batches}. Use 200 and 10."
        )
    if is_rdm(a) and is_rdm(b):
        a, b = align_rdms(a, b)
    check_same_samples(a, b)
    first, second = (
        read_cloud(one, metric, rdm_transform, name) for one, name in ((a, "a"), (b, "b"))
    )
    if first.n != second.n:
        raise AlignError(
            f"b: expected the {first.n} samples of a, got {second.n}. Use align.match first."
        )
    n = first.n
    rng = np.random.default_rng(seed)
    everything = n <= batch_size
    drawn = (
        [np.arange(n)]
        if everything
        else [np.sort(rng.choice(n, batch_size, replace=False)) for _ in range(n_batches)]
    )
    values = np.empty((len(drawn), 2))
    for row, rows in enumerate(drawn):
        ours, theirs = (
            _scale(cloud.measure_all(rows), quantile, name)
            for cloud, name in ((first, "a"), (second, "b"))
        )
        values[row] = (
            sum_cross_bars(ours, theirs, dimension),
            sum_cross_bars(theirs, ours, dimension),
        )
    both = values.mean(axis=1)
    error = both.std(ddof=1) / np.sqrt(len(both)) if len(both) > 1 else np.nan
    result = xr.Dataset(
        {
            "divergence": both.mean(),
            "a_to_b": values[:, 0].mean(),
            "b_to_a": values[:, 1].mean(),
            "standard_error": error,
            "batch_value": (("batch", "direction"), values),
        },
        {"direction": ["a_to_b", "b_to_a"]},
    )
    parameters: dict[str, str | float | bool | list[str]] = {
        "metric": metric,
        "rdm_transform": rdm_transform,
        "batch_size": batch_size,
        "n_batches": n_batches,
        "quantile": quantile,
        "dimension": dimension,
        "seed": seed,
    }
    hashes = {
        name: provenance.hash_array(
            one if isinstance(one, xr.DataArray) else np.asarray(one, dtype=np.float64)
        )
        for name, one in (("a", a), ("b", b))
    }
    scale = f"divided by their {quantile:g} quantile in each batch"
    spread = f" ± {error:.3g} (standard error)" if np.isfinite(error) else ""
    result.attrs = {
        "kind": "estimate",
        "headline": "divergence",
        "verdict": f"Topology divergence {both.mean():.3g}{spread}; 0 for the same shape.",
        "method": "representation_topology_divergence",
        "dimension": dimension,
        "preprocessing": f"a: {first.steps}; b: {second.steps}; {scale}",
        "n_points": n,
        "n_used": n if everything else batch_size,
        "n_batches": len(drawn),
        "seed": seed,
        "schema_version": schema.SCHEMA_VERSION,
        "provenance": provenance.collect(parameters, hashes),
    }
    return schema.check(result)


def _scale(distances: Array, quantile: float, name: str) -> Array:
    unit = float(np.quantile(distances[np.triu_indices(len(distances), 1)], quantile))
    if not unit > 0:
        raise ValueError(
            f"{name}: expected points that differ, got {quantile:g} of all distances at 0. "
            "Average repeated samples first."
        )
    return distances / unit
