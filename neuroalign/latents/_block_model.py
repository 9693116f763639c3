"""Labels of a weighted block model, climbed greedily: single moves, then merges of blocks.

In: weights, and which pairs were seen. Out: `Partition` with its evidence, parameters integrated
out. Evidence is a sum over pairs of blocks, so that a move is scored from one row of statistics.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln
from sklearn.cluster import KMeans

from neuroalign.latents._edge_evidence import (
    Family,
    score_degrees,
    score_edges,
    score_sizes,
)

Array = npt.NDArray[Any]
GAIN = 1e-9


class Graph(NamedTuple):
    """``statistics`` (statistic, i, j): pairs seen, edges, then those of the weights."""

    statistics: Array
    family: Family
    degree: Array
    corrected: bool

    @classmethod
    def make(cls, edge: Array, seen: Array, family: Family, corrected: bool) -> Self:
        """Collect the statistics; the diagonal counts nowhere."""
        parts = [seen.astype(float), edge.astype(float), *family.statistics]
        return cls(np.stack(parts), family, edge.sum(axis=1).astype(float), corrected)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.degree)

    def score(self, sums: Array) -> Array:
        """Evidence of each block of pairs (statistic, ...)."""
        return score_edges(sums[0], sums[1]) + self.family.score(sums[1], sums[2:])


class Partition(NamedTuple):
    """Labels (node,) from 0, and the log evidence of the labels with the graph."""

    labels: Array
    evidence: float


def sum_blocks(graph: Graph, labels: Array, k: int) -> Array:
    """Statistics of blocks (statistic, block, block), each pair of nodes once."""
    member = np.eye(k)[labels]
    sums = np.einsum("ik,qij,jl->qkl", member, graph.statistics, member, optimize=True)
    within = np.arange(k)
    sums[:, within, within] /= 2.0
    return np.asarray(sums)


def score_partition(graph: Graph, sums: Array, sizes: Array, degrees: Array) -> float:
    """Log evidence of blocks from their statistics; none may be empty."""
    total = float(graph.score(sums)[np.triu_indices(len(sizes))].sum() + score_sizes(sizes))
    if graph.corrected:
        total += float(score_degrees(sizes, degrees).sum() + gammaln(graph.degree + 1.0).sum())
    return total + graph.family.constant


def measure_evidence(graph: Graph, labels: Array) -> float:
    """Log evidence of labels and graph, with the parameters of blocks integrated out."""
    _, labels = np.unique(labels, return_inverse=True)
    k = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=k).astype(float)
    degrees = np.bincount(labels, weights=graph.degree, minlength=k)
    return score_partition(graph, sum_blocks(graph, labels, k), sizes, degrees)


class _Climb:
    """Labels on their way up, with the statistics of their blocks."""

    def __init__(self, graph: Graph, labels: Array, k: int) -> None:
        self.graph, self.labels, self.k = graph, labels.copy(), k
        self.member = np.eye(k)[labels]
        self.sums = sum_blocks(graph, labels, k)
        self.sizes = self.member.sum(axis=0)
        self.degrees = graph.degree @ self.member

    def score_moves(self, i: int) -> Array:
        """Take node i out; give the gain in evidence of putting it into each block (block,)."""
        old = self.labels[i]
        links = self._shift(i, old, -1.0)
        gain = self.graph.score(self.sums + links[:, None, :]) - self.graph.score(self.sums)
        sizes = self.sizes + np.eye(self.k)
        found: Array = gain.sum(axis=1) + score_sizes(sizes)
        if self.graph.corrected:
            degree = self.graph.degree[i]
            found = found + score_degrees(self.sizes + 1.0, self.degrees + degree)
            found = found - score_degrees(self.sizes, self.degrees)
        return found

    def put(self, i: int, new: int) -> None:
        """Put a node that was taken out into a block."""
        self._shift(i, new, 1.0)
        self.labels[i] = new

    def _shift(self, i: int, block: int, sign: float) -> Array:
        """Count a node in or out; give its links to each block (statistic, block)."""
        self.member[i, block] = 0.0
        links: Array = self.graph.statistics[:, i, :] @ self.member
        self.sums[:, block, :] += sign * links
        self.sums[:, :, block] += sign * links
        # The row and the column both hold the diagonal.
        self.sums[:, block, block] -= sign * links[:, block]
        self.member[i, block] = float(sign > 0)
        self.sizes[block] += sign
        self.degrees[block] += sign * self.graph.degree[i]
        return links


def climb_moves(
    graph: Graph, labels: Array, k: int, rng: np.random.Generator, max_sweeps: int, *, fixed: bool
) -> Array:
    """Move single nodes while the evidence rises; ``fixed``: no block may fall empty."""
    climb = _Climb(graph, labels, k)
    for _ in range(max_sweeps):
        moved = 0
        for i in rng.permutation(graph.n):
            old = climb.labels[i]
            if fixed and climb.sizes[old] == 1:
                continue
            gains = climb.score_moves(i)
            new = int(gains.argmax())
            if gains[new] <= gains[old] + GAIN:
                new = int(old)
            climb.put(i, new)
            moved += new != old
        if not moved:
            break
    return climb.labels


def climb_merges(graph: Graph, labels: Array) -> tuple[Array, bool]:
    """Merge the two blocks that gain most, while any two do."""
    labels = np.asarray(np.unique(labels, return_inverse=True)[1])
    k = int(labels.max()) + 1
    sums = sum_blocks(graph, labels, k)
    sizes: Array = np.bincount(labels).astype(float)
    degrees: Array = np.bincount(labels, weights=graph.degree)
    best, merged = score_partition(graph, sums, sizes, degrees), False
    while True:
        tries = []
        for one, other in zip(*np.triu_indices(k, 1), strict=True):
            join = np.delete(np.eye(k), other, axis=1)
            join[other, one] = 1.0
            parts = (_join_blocks(sums, join), sizes @ join, degrees @ join)
            tries.append((score_partition(graph, *parts), join, parts))
        if not tries:
            return labels, merged
        score, join, parts = max(tries, key=lambda found: found[0])
        if score <= best + GAIN:
            return labels, merged
        labels, best, merged, k = join.argmax(axis=1)[labels], score, True, k - 1
        sums, sizes, degrees = parts


def _join_blocks(sums: Array, join: Array) -> Array:
    """Statistics after blocks are joined by a matrix of 0 and 1 (old, new)."""
    twice = sums.copy()
    within = np.arange(sums.shape[1])
    twice[:, within, within] *= 2.0
    joined = join.T @ twice @ join
    within = np.arange(join.shape[1])
    joined[:, within, within] /= 2.0
    return np.asarray(joined)


def start_spectral(weights: Array, k: int, seed: int) -> Array:
    """Clusters of the leading eigenvectors, largest in magnitude, of the normalised weights."""
    strength = weights.sum(axis=1)
    root = 1.0 / np.sqrt(np.maximum(strength, strength.mean()))
    values, vectors = np.linalg.eigh(root[:, None] * weights * root)
    top = np.argsort(-np.abs(values), kind="stable")[:k]
    found = KMeans(k, n_init=5, random_state=seed).fit_predict(vectors[:, top])
    return _fill_blocks(found, k)


def kick(labels: Array, rng: np.random.Generator) -> Array:
    """Exchange the labels of a third of the nodes, at least two, among them."""
    kicked = labels.copy()
    chosen = rng.permutation(len(labels))[: max(2, len(labels) // 3)]
    kicked[chosen] = labels[rng.permutation(chosen)]
    return np.asarray(kicked)


def _fill_blocks(labels: Array, k: int) -> Array:
    """Give blocks that no node chose one each of the largest block."""
    labels = np.asarray(labels, dtype=np.int64).copy()
    for block in range(k):
        if not (labels == block).any():
            largest = np.bincount(labels, minlength=k).argmax()
            labels[np.flatnonzero(labels == largest)[0]] = block
    return labels


def fit_labels(
    graph: Graph, start: Array, rng: np.random.Generator, max_sweeps: int, *, fixed: bool
) -> Partition:
    """Climb from one start, by moves and (unless the number is fixed) by merges and new blocks."""
    labels: Array = np.asarray(start, dtype=np.int64)
    while True:
        k = int(labels.max()) + 1
        # One empty block lets a node leave for a new one.
        room = k if fixed or k == graph.n else k + 1
        labels = climb_moves(graph, labels, room, rng, max_sweeps, fixed=fixed)
        if not fixed:
            labels, merged = climb_merges(graph, labels)
        labels = np.unique(labels, return_inverse=True)[1]
        if fixed or not merged:
            return Partition(labels, measure_evidence(graph, labels))
