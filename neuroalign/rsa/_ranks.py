"""Rank correlations of RDMs whose pairs come several times."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.rsa._grams import divide_norms

Array = npt.NDArray[Any]
# Differences of pairs held at once for Kendall's tau.
CHUNK = 2_000_000


def rank_rows(rows: Array, weights: Array) -> Array:
    """Average ranks among all copies of each column, less their mean: (row, pair)."""
    order = np.argsort(rows, axis=1)
    values = np.take_along_axis(rows, order, axis=1)
    weight = weights[order]
    total = np.cumsum(weight, axis=1)
    middle = total - (weight - 1) / 2
    tied = values[:, 1:] == values[:, :-1]
    for row in np.flatnonzero(tied.any(axis=1)):
        start = np.concatenate([[0], np.flatnonzero(~tied[row]) + 1])
        sizes = np.diff(start, append=rows.shape[1])
        before = total[row, start] - weight[row, start]
        after = total[row, start + sizes - 1]
        middle[row] = np.repeat((before + after + 1) / 2, sizes)
    middle -= (weights.sum() + 1) / 2
    ranks = np.empty_like(middle)
    np.put_along_axis(ranks, order, middle, axis=1)
    return ranks


def rho_a(a: Array, b: Array, weights: Array) -> Array:
    """Expected Spearman correlation under random breaking of ties (Schütt et al. 2023)."""
    n = weights.sum()
    similarity: Array = (a * weights) @ b.T * 12 / (n**3 - n)
    return similarity


def spearman(a: Array, b: Array, weights: Array) -> Array:
    """Pearson correlation of average ranks."""
    norms = [np.square(rows) @ weights for rows in (a, b)]
    return divide_norms((a * weights) @ b.T, norms[0], norms[1])


def _concordance(a: Array, b: Array, weights: Array) -> Array:
    """Sum of products of signs of differences: (a + b, a + b)."""
    rows = np.concatenate([a, b])
    step = max(1, CHUNK // rows.size)
    inner = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], step):
        part = slice(start, start + step)
        signs = np.sign(rows[:, part, None] - rows[:, None, :])
        weigh = (weights[part, None] * weights[None, :]).ravel()
        signs = signs.reshape(len(rows), -1)
        inner += (signs * weigh) @ signs.T
    return inner


def tau_a(a: Array, b: Array, weights: Array) -> Array:
    """Concordant less discordant, among all couples of pairs."""
    n = weights.sum()
    similarity: Array = _concordance(a, b, weights)[: len(a), len(a) :] / (n * (n - 1))
    return similarity


def tau_b(a: Array, b: Array, weights: Array) -> Array:
    """Concordant less discordant, among couples that neither RDM ties."""
    inner = _concordance(a, b, weights)
    sizes = np.diagonal(inner)
    return divide_norms(inner[: len(a), len(a) :], sizes[: len(a)], sizes[len(a) :])


RANK_SCORES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "spearman": spearman,
    "rho_a": rho_a,
    "tau_a": tau_a,
    "tau_b": tau_b,
}
