"""Ranks of pairs of conditions that come several times, and what follows from their order."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Sign matrices of rank correlations are held for so many numbers at once.
CHUNK = 4_000_000


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


def sum_signs(A: Array, B: Array, pairs: Array) -> tuple[Array, Array, Array]:
    """Sum of products of signs over pairs of pairs, and how many pairs of pairs are not tied."""
    used = pairs > 0
    A, B, w = A[:, used], B[:, used], pairs[used]
    # Ranks are exact in single precision, distances are not.
    ranked = [np.unique(row, return_inverse=True)[1] for row in (*A, *B)]
    R = np.asarray(ranked, dtype=np.float32).reshape(len(A) + len(B), -1)
    total = np.zeros((len(A), len(B)))
    untied = np.zeros(len(R))
    step = max(1, CHUNK // R.size)
    for i in range(0, R.shape[1], step):
        signs = np.sign(R[:, i : i + step, None] - R[:, None, i:])
        # Within the block each pair of pairs is met twice, beyond it once.
        factor = np.outer(w[i : i + step], w[i:])
        factor[:, : min(step, R.shape[1] - i)] /= 2
        signs = signs.reshape(len(R), -1)
        flat = factor.ravel().astype(np.float32)
        weighed = signs[: len(A)] * flat
        total += weighed @ signs[len(A) :].T
        untied += np.abs(signs) @ flat
    return total, untied[: len(A)], untied[len(A) :]
