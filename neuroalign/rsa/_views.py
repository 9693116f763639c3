"""Models and subjects under one resample of conditions: scores, fits, and pooled subjects."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neuroalign.errors import choose
from neuroalign.rsa._comparison_kernels import RANK_KERNELS, Weights
from neuroalign.rsa._grams import GRAMS, divide_norms
from neuroalign.rsa._pairs import weigh_pairs
from neuroalign.rsa._ranks import rank_rows

Array = npt.NDArray[Any]


class View(Protocol):
    """What can be asked under one resample of conditions."""

    gram: Array
    target: Array

    def score(self, weights: Array) -> Array:
        """Similarity (model, subject) of weighted sums (model, basis) of basis RDMs."""

    def pooled(self, pools: Array) -> Array:
        """Similarity (subject,) with averages of normalised subjects, weights (subject | 1, s)."""


class GramView:
    """Everything from one Gram matrix of basis RDMs and subjects."""

    def __init__(self, full: Array, n_basis: int) -> None:
        self.gram = full[:n_basis, :n_basis]
        self.cross = full[:n_basis, n_basis:]
        self.norms = np.diagonal(full)[n_basis:]
        self.subjects = divide_norms(full[n_basis:, n_basis:], self.norms, self.norms)
        # Inner products of basis RDMs with subjects of unit norm: (basis, subject).
        self.target = divide_norms(self.cross, np.ones(n_basis), self.norms)

    def score(self, weights: Array) -> Array:
        size = ((weights @ self.gram) * weights).sum(axis=1)
        return divide_norms(weights @ self.cross, size, self.norms)

    def pooled(self, pools: Array) -> Array:
        inner = (pools * self.subjects).sum(axis=1)
        size = np.sqrt(np.clip(((pools @ self.subjects) * pools).sum(axis=1), 0, None))
        return np.asarray(np.divide(inner, size, out=np.zeros_like(inner), where=size > 1e-12))


class RankView:
    """Ranks of the resampled pairs; fitted models are weighted in values, then ranked."""

    def __init__(self, space: "RankSpace", counts: Array) -> None:
        pairs = weigh_pairs(counts)
        # A resample misses about 60 % of the pairs, which need no ranks.
        drawn = pairs > 0
        self.space, self.rows = space, space.rows[:, drawn]
        self.weights = Weights(counts, pairs[drawn])
        self.data = rank_rows(space.data[:, drawn], self.weights.pairs)
        self.basis = rank_rows(self.rows, self.weights.pairs)
        full = space.linear(counts) if space.fitted else np.zeros((1, 1))
        view = GramView(full, len(space.rows) if space.fitted else 0)
        self.gram, self.target = view.gram, view.target

    def score(self, weights: Array) -> Array:
        if not len(weights):
            return np.zeros((0, len(self.data)))
        single = (np.count_nonzero(weights, axis=1) == 1) & (weights.max(axis=1) > 0)
        ranks = np.empty((len(weights), self.basis.shape[1]))
        ranks[single] = self.basis[weights[single].argmax(axis=1)]
        if not single.all():
            ranks[~single] = rank_rows(weights[~single] @ self.rows, self.weights.pairs)
        return self.space.compare(ranks, self.data, self.weights)

    def pooled(self, pools: Array) -> Array:
        means = rank_rows(pools @ self.data, self.weights.pairs)
        if len(pools) == 1:
            return np.asarray(self.space.compare(means, self.data, self.weights)[0])
        return np.diagonal(self.space.compare(means, self.data, self.weights))


class GramSpace:
    """Views by the Gram matrix of a bilinear comparison."""

    def __init__(self, basis: Array, data: Array, method: str) -> None:
        self.n_basis = len(basis)
        self.make = GRAMS[method](np.concatenate([basis, data]))

    def view(self, counts: Array) -> View:
        return GramView(self.make(counts), self.n_basis)


class RankSpace:
    """Views by ranks, sorted once."""

    def __init__(self, basis: Array, data: Array, method: str, fitted: bool) -> None:
        self.rows, self.data, self.fitted = basis, data, fitted
        self.compare = RANK_KERNELS[method]
        # Weights of models are fitted to ranks by least squares: rank scores have steps only.
        ranks = rank_rows(data, np.ones(data.shape[1]))
        self.linear = GRAMS["pearson"](np.concatenate([basis, ranks]))

    def view(self, counts: Array) -> View:
        return RankView(self, counts)


Space = GramSpace | RankSpace
METHODS = (*GRAMS, *RANK_KERNELS)


def make_space(basis: Array, data: Array, method: str, *, fitted: bool = True) -> Space:
    """Prepare basis RDMs (basis, pair) and subjects (subject, pair) for a comparison.

    Raises
    ------
    ValueError
        When the comparison is unknown.
    """
    choose(dict.fromkeys(METHODS), method, "method")
    if method in GRAMS:
        return GramSpace(basis, data, method)
    return RankSpace(basis, data, method, fitted)
