"""Fewer points that still tell the shape: the dense core of a cloud, and landmarks spread over it.

In: points (sample, unit) or one RDM. Out: which of them to keep.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.neighbors import NearestNeighbors

from neuroalign.errors import choose
from neuroalign.topology._points import Cloud, read_cloud, read_values

Array = npt.NDArray[Any]


def _spread(cloud: Cloud, k: int, rng: np.random.Generator) -> Array:
    chosen = [int(rng.integers(cloud.n))]
    nearest = cloud.measure_from(chosen[0])
    while len(chosen) < k:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, cloud.measure_from(chosen[-1]))
    return np.array(chosen)


def _draw(cloud: Cloud, k: int, rng: np.random.Generator) -> Array:
    return rng.choice(cloud.n, k, replace=False)


LANDMARKS: dict[str, Callable[[Cloud, int, np.random.Generator], Array]] = {
    "maxmin": _spread,
    "random": _draw,
}


def pick_from_cloud(cloud: Cloud, k: int, method: str, seed: int) -> tuple[Array, float]:
    """Choose ``k`` points of a cloud: their rows, ascending, and the covering radius."""
    if not 2 <= k <= cloud.n:
        raise ValueError(
            f"landmarks: expected 2 to {cloud.n} (the number of points), got {k}. "
            "Use None to keep all points."
        )
    pick = choose(LANDMARKS, method, "landmark_method")
    rows = np.sort(pick(cloud, k, np.random.default_rng(seed)))
    nearest = np.full(cloud.n, np.inf)
    for row in rows:
        nearest = np.minimum(nearest, cloud.measure_from(int(row)))
    return rows, float(nearest.max())


def pick_landmarks(
    data: Any,
    n_landmarks: int,
    *,
    method: str = "maxmin",
    metric: str = "euclidean",
    rdm_transform: str = "auto",
    seed: int = 0,
) -> tuple[npt.NDArray[np.intp], float]:
    """Choose points that stand for all.

    Parameters
    ----------
    data : array or DataArray (sample, unit), or DataArray (pair) or (first, second)
        Points, or one RDM.
    n_landmarks : int
    method : {"maxmin", "random"}
        ``maxmin``: from a random point on, always the one farthest from those chosen. Covers the
        cloud evenly, outliers included. ``random``: follows the density.
    metric : {"euclidean", "city_block", "cosine", "correlation"}
        Of points; see `compute_persistence`.
    rdm_transform : {"auto", "root", "ranks", "none"}
        Of an RDM; see `compute_persistence`.
    seed : int

    Returns
    -------
    array of int (n_landmarks,)
        Rows, ascending.
    float
        Covering radius: the largest distance of a point to its nearest landmark. Diagrams of
        landmarks and of all points differ by at most twice that (bottleneck distance).

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    de Silva & Carlsson (2004), Topological estimation using witness complexes, Eurographics
    Symposium on Point-Based Graphics, doi:10.2312/SPBG/SPBG04/157-166, section 2.3.

    Examples
    --------
    >>> rows, radius = pick_landmarks([[0.0], [1.0], [10.0]], 2)
    >>> 2 in rows, radius
    (True, 1.0)
    """
    return pick_from_cloud(read_cloud(data, metric, rdm_transform), n_landmarks, method, seed)


def find_dense(values: Array, n_neighbors: int, keep: float) -> Array:
    """Rows of the densest share of points, ascending."""
    if not 1 <= n_neighbors < len(values):
        raise ValueError(
            f"n_neighbors: expected 1 to {len(values) - 1} (one less than points), got "
            f"{n_neighbors}. 15 is usual."
        )
    if not 0 < keep <= 1:
        raise ValueError(f"keep: expected a share in (0, 1], got {keep}. Use 0.3.")
    model = NearestNeighbors(n_neighbors=n_neighbors).fit(values)
    radius = model.kneighbors()[0][:, -1]
    rows: Array = np.sort(np.argsort(radius, kind="stable")[: max(2, round(keep * len(values)))])
    return rows


def keep_dense(data: Any, *, n_neighbors: int = 15, keep: float = 0.3) -> Any:
    """Keep the points whose neighbours are near: the core of a noisy cloud.

    Parameters
    ----------
    data : array or DataArray (sample, unit)
    n_neighbors : int
        Density is one over the distance to this neighbour. Few: fine structure; many: the coarse.
    keep : float
        Share of points to keep.

    Returns
    -------
    array or DataArray (sample, unit)
        As given, with fewer samples in their order.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Carlsson, Ishkhanov, de Silva & Zomorodian (2008), International Journal of Computer Vision 76,
    1-12, doi:10.1007/s11263-007-0056-x, section 3.

    Examples
    --------
    >>> keep_dense([[0.0], [0.1], [0.2], [9.0]], n_neighbors=1, keep=0.75).ravel().tolist()
    [0.0, 0.1, 0.2]
    """
    values = read_values(data)
    rows = find_dense(values, n_neighbors, keep)
    if isinstance(data, xr.DataArray):
        return data.isel({data.dims[0]: rows})
    return np.asarray(data)[rows]
