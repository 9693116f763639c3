"""Distances along the ways between near conditions, not across the gaps between far ones.

In: RDMs. Out: RDMs of the same conditions (RGDM). To add a graph for the ways: a function and its
row in ``GRAPHS``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._checks import add_history
from neuroalign.errors import choose
from neuroalign.topology import _geotopology as kernels
from neuroalign.topology._pairs import count_conditions, read_levels, read_pairs, write_pairs

Array = npt.NDArray[Any]


class Graph(NamedTuple):
    """What decides which pairs are joined."""

    share: float
    k: int
    lower: float
    upper: float
    neighbors: str


def _p_shortest(square: Array, graph: Graph) -> tuple[Array, Array]:
    values = square[np.triu_indices(len(square), 1)]
    limit = np.nanquantile(values, graph.share) if np.isfinite(values).any() else 0.0
    return square, square <= limit + kernels.SAME


def _p_nearest(square: Array, graph: Graph) -> tuple[Array, Array]:
    # 0.29 * 100 is 28.999999999999996.
    return _k_nearest(square, graph._replace(k=int(graph.share * len(square) + kernels.SAME)))


def _k_nearest(square: Array, graph: Graph) -> tuple[Array, Array]:
    if not 1 <= graph.k < len(square):
        raise ValueError(
            f"k, share: expected 1 to {len(square) - 1} neighbours of {len(square)} conditions, "
            f"got {graph.k}. Change k, or share for graph='p_nearest'."
        )
    return square, kernels.find_near(square, graph.k, graph.neighbors)


def _two_step(square: Array, graph: Graph) -> tuple[Array, Array]:
    n = len(square)
    levels = np.array([graph.lower]), np.array([graph.upper])
    pairs = kernels.threshold_all(square[np.triu_indices(n, 1)], *levels, "quantile")[0]
    made = kernels.square_up(pairs, n)
    return made, made < 1 - kernels.SAME


GRAPHS: dict[str, Callable[[Array, Graph], tuple[Array, Array]]] = {
    "p_shortest": _p_shortest,
    "p_nearest": _p_nearest,
    "k_nearest": _k_nearest,
    "two_step": _two_step,
}
DISCONNECTED = ("farthest", "nan")


def geodesic_rdm(
    rdm: xr.DataArray,
    *,
    graph: str = "p_shortest",
    share: float = 0.05,
    k: int = 5,
    lower: float = 0.0,
    upper: float = 0.1,
    neighbors: str = "either",
    rank: bool = True,
    rank_result: bool = True,
    disconnected: str = "farthest",
) -> xr.DataArray:
    """Measure dissimilarity along shortest paths over near pairs.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Any leading dims; never changed. A missing pair (NaN) has no edge of its own.
    graph : {"p_shortest", "p_nearest", "k_nearest", "two_step"}
        Pairs joined: the ``share`` of shortest ones; each condition with its
        ``floor(share * n)``, or ``k``, nearest (and all that tie with the last); those below
        ``upper`` after `transform_rdm` with ``lower`` and ``upper``, whose values are the lengths.
    share : float
        Between 0 and 1.
    k : int
    lower, upper : float
        Quantiles.
    neighbors : {"either", "mutual", "one_sided"}
        Join two conditions when one is among the nearest of the other; when both are; or, as in
        the published code, when the later is among the nearest of the earlier, which depends on
        the order of conditions.
    rank : bool
        Replace dissimilarities by their ranks first; they are scaled to [0, 1] in any case.
    rank_result : bool
        Replace lengths of paths by their ranks, scaled to [0, 1].
    disconnected : {"farthest", "nan"}
        Conditions that no path joins: 1 (the longest edge there may be) farther than the longest
        path of that RDM, alike for all of them; or missing.

    Returns
    -------
    DataArray (..., first, second) or (..., pair)
        The form and dtype of ``rdm``. Never infinite. attrs ``n_disconnected`` counts pairs of
        the whole stack that no path joins.

    Raises
    ------
    SchemaError
        For what is no RDM, or an asymmetric one.
    ValueError

    Notes
    -----
    Edges of length 0 are edges. In networkx and sparse matrices made from dense ones they vanish,
    and the pairs that the transform calls identical end up far apart.

    References
    ----------
    Lin & Kriegeskorte (2024), PNAS 121, doi:10.1073/pnas.2317881121 (RGDM).

    Examples
    --------
    >>> from neuroalign.rsa import magnitude_rdm
    >>> rdm = magnitude_rdm({"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0})
    >>> path = geodesic_rdm(rdm, graph="k_nearest", k=1, rank=False, rank_result=False)
    >>> path.values.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    build = choose(GRAPHS, graph, "graph")
    choose(kernels.NEIGHBORS, neighbors, "neighbors")
    choose(dict.fromkeys(DISCONNECTED), disconnected, "disconnected")
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected 0 to 1, got {share}. Use 0.05 for 5 %.")
    read_levels(lower, upper, "quantile")
    pairs = read_pairs(rdm)
    n = count_conditions(pairs)
    values = np.asarray(pairs.values, dtype=np.float64).reshape(-1, pairs.sizes["pair"])
    values = kernels.rank_unit(values) if rank else kernels.scale_unit(values)
    options = Graph(share, k, lower, upper, neighbors)
    upper_pairs = np.triu_indices(n, 1)
    made = np.empty_like(values)
    for row, square in zip(made, kernels.square_up(values, n), strict=True):
        row[:] = kernels.walk(*build(square, options))[upper_pairs]
    apart = np.isinf(made)
    longest = np.max(made, axis=1, keepdims=True, where=~apart, initial=0.0)
    made = np.where(apart, np.nan if disconnected == "nan" else longest + 1, made)
    if rank_result:
        made = kernels.rank_unit(made)
    out = write_pairs(made.reshape(pairs.shape), pairs, rdm)
    attrs = {"transform": "geodesic", "graph": graph, "n_disconnected": int(apart.sum())}
    return add_history(out.assign_attrs(attrs), f"geodesic_rdm({graph})")
