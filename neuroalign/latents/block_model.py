"""Communities of a weighted graph by a stochastic block model, their number found by evidence.

In: symmetric weights, 0 for no edge. Out: a label per node, and what edges are like between blocks.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, ClusterMixin

from neuroalign.errors import SchemaError, choose
from neuroalign.latents._block_model import (
    Graph,
    Partition,
    fit_labels,
    kick,
    start_spectral,
    sum_blocks,
)
from neuroalign.latents._edge_evidence import WEIGHTS
from neuroalign.latents._factors import check_count

Array = npt.NDArray[Any]
# With or without propensities of the nodes; the evidence decides between several.
CORRECTIONS: dict[str, tuple[bool, ...]] = {
    "yes": (True,), "no": (False,), "auto": (False, True),
}  # fmt: skip


class BlockModel(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Weighted stochastic block model of an undirected graph.

    Parameters
    ----------
    n_blocks : int or None
        None: as many as the integrated complete likelihood wants, up to ``max_blocks`` at the
        start.
    weights : {"exponential", "lognormal", "binary"}
        Density of the weights of edges; ``binary`` takes edges alone.
    degree_corrected : {"auto", "yes", "no"}
        Whether nodes of one block differ in their number of edges.
    n_inits : int
        Spectral starts for each number of blocks, of the weights and of the edges in turn.
    n_kicks : int
        Climbs from the best labels, a third of them exchanged.
    max_blocks : int
    max_sweeps : int
        Over all nodes, from each start.
    random_state : int

    Attributes
    ----------
    labels_ : DataArray or array (neuroid,)
        From 0, the largest block first.
    n_blocks_ : int
    degree_corrected_ : bool
    evidence_ : float
        Integrated complete log likelihood of labels and weights. Comparable between numbers of
        blocks, corrections, and ``exponential`` and ``lognormal`` weights of one graph.
    blocks_ : Dataset (block, block_other)
        ``edge_probability``, ``weight_mean`` (NaN without edges), ``n_pairs``; ``size`` (block).
    starts_ : Dataset (start,)
        ``evidence`` and ``n_blocks`` that each start led to, ``corrected`` as 0 or 1.

    Notes
    -----
    Edges are drawn with a chance for each pair of blocks (uniform prior); weights of edges from a
    density for each pair (rates Gamma(1, 1) on weights in units of their mean; or a normal-gamma
    prior on standardised logarithms). Parameters are integrated out. Degree correction adds the
    evidence of unequal propensities within blocks, in the Poisson approximation, which is least
    apt for dense blocks: there "auto" may rather split blocks by degree; pass "yes". There is no
    hierarchy of blocks: groups smaller than the root of the number of nodes may go unseen. A pair
    that is NaN was not seen, and says nothing.

    References
    ----------
    Aicher, Jacobs & Clauset (2015), J. Complex Netw. 3, doi:10.1093/comnet/cnu026 (weights). Côme &
    Latouche (2015), Stat. Model. 15, 564-589 (greedy search by the integrated likelihood). Karrer &
    Newman (2011), Phys. Rev. E 83, 016107; Peixoto (2017), Phys. Rev. E 95, 012317 (degrees).

    Examples
    --------
    >>> from neuroalign.latents import BlockModel
    >>> from neuroalign.loaders import simulate_block_graph
    >>> planted = simulate_block_graph(40, 2, p_in=0.8, p_out=0.1)
    >>> model = BlockModel(n_inits=1).fit(planted.graph)
    >>> model.n_blocks_, model.labels_.dims
    (2, ('neuroid',))
    """

    def __init__(
        self, n_blocks: int | None = None, *, weights: str = "exponential",
        degree_corrected: str = "auto", n_inits: int = 2, n_kicks: int = 10,
        max_blocks: int = 12, max_sweeps: int = 50, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.n_blocks = n_blocks
        self.weights = weights
        self.degree_corrected = degree_corrected
        self.n_inits = n_inits
        self.n_kicks = n_kicks
        self.max_blocks = max_blocks
        self.max_sweeps = max_sweeps
        self.random_state = random_state

    def fit(self, X: Any, y: None = None) -> Self:
        """Find the blocks.

        Parameters
        ----------
        X : DataArray or array (neuroid, neuroid)
            Symmetric, >= 0; 0: no edge; NaN: not seen. The diagonal is not looked at.
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        SchemaError
            When X is no such matrix.
        ValueError
            For unknown options, or more blocks than nodes.
        """
        make = choose(WEIGHTS, self.weights, "weights")
        corrections = choose(CORRECTIONS, self.degree_corrected, "degree_corrected")
        for name in ("max_blocks", "max_sweeps", "n_inits"):
            check_count(getattr(self, name), name)
        values, seen = _read_graph(X)
        n = len(values)
        edge = seen & (values > 0)
        if self.n_blocks is None:
            top = min(self.max_blocks, n)
            wide = np.geomspace(1, top, 7).round().astype(int).tolist()
            counts = sorted({*range(1, min(top, 6) + 1), *wide})
        else:
            counts = [check_count(self.n_blocks, "n_blocks", n)]
        family = make(values, edge)
        found: list[tuple[Partition, bool]] = []
        for corrected in corrections:
            graph = Graph.make(edge, seen, family, corrected)
            found += [(one, corrected) for one in self._climb(graph, values, counts)]
        best, self.degree_corrected_ = max(found, key=lambda one: one[0].evidence)
        order = np.argsort(-np.bincount(best.labels), kind="stable")
        labels = np.argsort(order)[best.labels]
        self.n_blocks_, self.evidence_ = int(labels.max()) + 1, best.evidence
        self.n_features_in_ = n
        self.starts_ = xr.Dataset({
            "evidence": ("start", [one.evidence for one, _ in found]),
            "n_blocks": ("start", [int(one.labels.max()) + 1 for one, _ in found]),
            "corrected": ("start", [int(corrected) for _, corrected in found]),
        })  # fmt: skip
        self.blocks_ = _describe(graph, values, labels, self.n_blocks_)
        self.labels_ = _label(labels, X)
        return self

    def _climb(self, graph: Graph, values: Array, counts: list[int]) -> list[Partition]:
        """Climb from spectral starts, then from the best of them, kicked."""
        found, fixed = [], self.n_blocks is not None
        for k in counts:
            rng = np.random.default_rng([self.random_state, k])
            for number in range(self.n_inits if k > 1 else 1):
                # Edges and weights may show different blocks.
                seed, view = int(rng.integers(2**31)), (values, values > 0)[number % 2]
                start = start_spectral(view.astype(np.float64), k, seed)
                found.append(fit_labels(graph, start, rng, self.max_sweeps, fixed=fixed))
        rng = np.random.default_rng(self.random_state)
        for _ in range(self.n_kicks):
            kicked = kick(max(found, key=lambda one: one.evidence).labels, rng)
            found.append(fit_labels(graph, kicked, rng, self.max_sweeps, fixed=fixed))
        return found


def _read_graph(X: Any) -> tuple[Array, Array]:
    """Weights with 0 on the diagonal and where not seen, and which pairs were seen."""
    values = np.array(X.values if isinstance(X, xr.DataArray) else X, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 2:
        raise SchemaError(
            f"X: expected a square matrix of at least 2 nodes, got shape {values.shape}. "
            "Pass the weights of a graph (neuroid, neuroid)."
        )
    np.fill_diagonal(values, 0.0)
    seen = ~np.isnan(values)
    np.fill_diagonal(seen, False)
    values = np.where(seen, values, 0.0)
    if not np.isfinite(values).all() or (values < 0).any():
        i, j = np.argwhere(~np.isfinite(values) | (values < 0))[0]
        raise SchemaError(
            f"X: expected weights >= 0 and finite, got {values[i, j]:g} in row {i}, column {j}. "
            "Clip it, or set it to NaN for a pair not seen."
        )
    if not np.allclose(values, values.T, rtol=1e-6) or (seen != seen.T).any():
        i, j = np.argwhere(~np.isclose(values, values.T, rtol=1e-6) | (seen != seen.T))[0]
        raise SchemaError(
            f"X: expected symmetric weights, got {values[i, j]:g} in row {i}, column {j} and "
            f"{values[j, i]:g} the other way. Average both directions."
        )
    if not (values > 0).any():
        raise SchemaError(
            "X: expected a graph with edges, got weights of 0 only. Lower the threshold behind it."
        )
    return values, seen


def _label(labels: Array, X: Any) -> Any:
    if not isinstance(X, xr.DataArray):
        return labels
    own = {key: c.values for key, c in X.coords.items() if c.dims == X.dims[:1]}
    coords = {"neuroid" if key == X.dims[0] else key: ("neuroid", c) for key, c in own.items()}
    return xr.DataArray(labels, dims="neuroid", coords=coords)


def _describe(graph: Graph, values: Array, labels: Array, k: int) -> xr.Dataset:
    sums = sum_blocks(graph, labels, k)
    member = np.eye(k)[labels]
    weight = member.T @ values @ member
    weight[np.arange(k), np.arange(k)] /= 2.0
    pairs, edges = sums[0], sums[1]
    dims = ("block", "block_other")
    return xr.Dataset({
        "edge_probability": (dims, np.where(pairs > 0, edges / np.maximum(pairs, 1), np.nan)),
        "weight_mean": (dims, np.where(edges > 0, weight / np.maximum(edges, 1), np.nan)),
        "n_pairs": (dims, pairs.round().astype(np.int64)),
        "size": ("block", np.bincount(labels, minlength=k)),
    })  # fmt: skip
