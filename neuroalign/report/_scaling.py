"""Points in a plane from distances: classical scaling, and least squares of distances."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Array = npt.NDArray[Any]
MOST_STEPS = 500
TOLERANCE = 1e-9


def compute_mds(lengths: Array) -> Array:
    """Classical scaling of distances (condition, condition) to points (condition, 2).

    References
    ----------
    Torgerson (1952), Multidimensional scaling: I. Theory and method, doi:10.1007/BF02288916.
    """
    squared = np.asarray(lengths, dtype=np.float64) ** 2
    centred = squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    found: Array = vectors[:, :-3:-1] * np.sqrt(np.clip(values, 0, None)[:-3:-1])
    return found


def compute_smacof(lengths: Array) -> Array:
    """Points (condition, 2) whose distances fit best in least squares, from the classical ones.

    References
    ----------
    de Leeuw & Mair (2009), Journal of Statistical Software 31(3), doi:10.18637/jss.v031.i03, eq. 8:
    the Guttman transform, under which the misfit never grows.
    """
    points = compute_mds(lengths)
    n, total = len(points), float((lengths**2).sum())
    before = np.inf
    for _ in range(MOST_STEPS):
        distances = cdist(points, points)
        misfit = float(((distances - lengths) ** 2).sum())
        if before - misfit <= TOLERANCE * total:
            break
        before = misfit
        ratio = np.divide(lengths, distances, out=np.zeros_like(distances), where=distances > 0)
        points = (ratio.sum(axis=1)[:, None] * points - ratio @ points) / n
    return points


def compute_stress(points: Array, lengths: Array) -> float:
    """Kruskal's stress-1: root of squared misfit over squared distances in the plane."""
    distances = cdist(points, points)
    size = float((distances**2).sum())
    return float(np.sqrt(((distances - lengths) ** 2).sum() / size)) if size else 0.0
