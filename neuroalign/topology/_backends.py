"""The libraries that compute persistence: one signature for both.

In: distances (n, n). Out: a diagram (bar, 2) of births and deaths for each dimension.
To add one: a function of that signature and its row in ``BACKENDS``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import require

ripser: Any = require("ripser", "topology")
gudhi: Any = require("gudhi", "topology")
Array = npt.NDArray[Any]


def run_ripser(distances: Array, max_dim: int, threshold: float, coefficients: int) -> list[Array]:
    """Bars by ripser, which rounds distances to float32."""
    found = ripser.ripser(
        distances, maxdim=max_dim, thresh=threshold, coeff=coefficients, distance_matrix=True
    )
    return [np.asarray(bars, dtype=np.float64).reshape(-1, 2) for bars in found["dgms"]]


def run_cocycles(distances: Array, coefficients: int) -> tuple[Array, list[Array]]:
    """Bars of dimension 1, and for each a cocycle: rows (vertex, vertex, value)."""
    found = ripser.ripser(
        distances, maxdim=1, coeff=coefficients, do_cocycles=True, distance_matrix=True
    )
    return np.asarray(found["dgms"][1], dtype=np.float64).reshape(-1, 2), found["cocycles"][1]


def run_gudhi(distances: Array, max_dim: int, threshold: float, coefficients: int) -> list[Array]:
    """Bars by gudhi, in float64; edges that change nothing are collapsed first."""
    # From here on one point is joined to all others, and nothing is born or dies.
    radius = min(threshold, float(distances.max(axis=1).min()))
    rips = gudhi.RipsComplex(distance_matrix=distances, max_edge_length=radius)
    tree = rips.create_simplex_tree(max_dimension=1)
    if max_dim > 0:
        tree.collapse_edges()
        tree.expansion(max_dim + 1)
    # Below a low threshold the complex may lack simplices of the dimension that would fill loops.
    tree.compute_persistence(homology_coeff_field=coefficients, persistence_dim_max=True)
    bars = [tree.persistence_intervals_in_dimension(k) for k in range(max_dim + 1)]
    return [np.asarray(one, dtype=np.float64).reshape(-1, 2) for one in bars]


BACKENDS: dict[str, Callable[[Array, int, float, int], list[Array]]] = {
    "ripser": run_ripser,
    "gudhi": run_gudhi,
}
