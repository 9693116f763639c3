"""Kernels of model selection: nearest centroid with whole subjects left out, on inner products.

Every distance to every centroid, with any subjects left out of it, is a sum of inner products of
transformed RDMs. They are computed once; folds, folds within folds, bootstraps over subjects and
permutations of labels only add them up. Subjects may have weights: one drawn twice by a bootstrap
is left out with all its copies.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Distances this near, relative to the largest, tie: rounding must not choose a winner.
TIE = 1e-9


class Products(NamedTuple):
    """Inner products of subjects s, t and labels l, m under settings g, and their sums."""

    full: Array  # (g, s, l, t, m)
    within: Array  # (g, s, t, m): both of label m
    cross: Array  # (g, s, l, m): summed over weighted t
    margin: Array  # (g, s, m): within, summed over weighted t
    total: Array  # (g, m): margin, summed over weighted s
    weights: Array  # (s,)


def multiply(vectors: Array, pair_weights: Array | None = None) -> Array:
    """Inner products (g, s, l, t, m) of transformed RDMs (g, s, l, pair)."""
    settings, subjects, labels, pairs = vectors.shape
    flat = vectors.reshape(settings, -1, pairs)
    weighted = flat if pair_weights is None else flat * pair_weights
    full: Array = weighted @ np.swapaxes(flat, 1, 2)
    return full.reshape(settings, subjects, labels, subjects, labels)


def add_up(full: Array, weights: Array) -> Products:
    """Sums that folds share."""
    within = np.einsum("gsmtm->gstm", full)
    cross = np.einsum("gsltm,t->gslm", full, weights)
    margin = np.einsum("gstm,t->gsm", within, weights)
    total = np.einsum("gsm,s->gm", margin, weights)
    return Products(full, within, cross, margin, total, weights)


def _find_nearest(distances: Array) -> Array:
    """Centroids nearest to each label, ties and all: bool like the distances."""
    size = np.abs(distances).max(axis=(-1, -2), keepdims=True)
    return np.asarray(distances <= distances.min(axis=-1, keepdims=True) + TIE * size)


def share_credit(distances: Array) -> Array:
    """Share of right answers (...) from distances (..., label, centroid); ties share one."""
    nearest = _find_nearest(distances)
    right = np.diagonal(nearest, axis1=-2, axis2=-1)
    return np.asarray((right / nearest.sum(axis=-1)).mean(axis=-1))


def leave_one_out(found: Products) -> Array:
    """Distances (g, s, label, centroid) to centroids without subject s, less own norms."""
    w = found.weights
    rest = w.sum() - w
    own = np.einsum("gslsm->gslm", found.full)
    norm_own = np.einsum("gssm->gsm", found.within)
    cross = (found.cross - w[:, None, None] * own) / rest[:, None, None]
    norm = found.total[:, None] - 2 * w[:, None] * found.margin + w[:, None] ** 2 * norm_own
    return np.asarray(norm[:, :, None] / rest[:, None, None] ** 2 - 2 * cross)


def leave_two_out(found: Products, s: int) -> Array:
    """Distances (g, t, label, centroid) of subjects t to centroids without s and t."""
    w = found.weights
    rest = w.sum() - w[s] - w
    # Of s itself, and of subjects that leave none, nothing is used.
    rest = np.where((np.arange(len(w)) == s) | (rest <= 0), np.nan, rest)
    own = np.einsum("gtltm->gtlm", found.full)
    norm_own = np.einsum("gttm->gtm", found.within)
    cross = found.cross - w[s] * found.full[:, :, :, s] - w[:, None, None] * own
    norm = (
        found.total[:, None]
        - 2 * (w[s] * found.margin[:, s : s + 1] + w[:, None] * found.margin)
        + w[s] ** 2 * found.within[:, s, s][:, None]
        + w[:, None] ** 2 * norm_own
        + 2 * w[s] * w[:, None] * found.within[:, s]
    )
    return np.asarray(norm[:, :, None] / rest[:, None, None] ** 2 - 2 * cross / rest[:, None, None])


def score_settings(found: Products) -> Array:
    """Accuracy (g, s) of each left-out subject under each setting."""
    return share_credit(leave_one_out(found))


def choose_settings(found: Products, preference: Array) -> npt.NDArray[np.intp]:
    """Setting (s,) that is best among the other subjects, each of them left out in turn.

    Of settings that tie, the one with the smallest preference. Subjects of weight 0 get 0.
    """
    w = found.weights
    chosen = np.zeros(len(w), dtype=np.intp)
    for s in np.flatnonzero(w):
        others = np.flatnonzero((w > 0) & (np.arange(len(w)) != s))
        inner = share_credit(leave_two_out(found, int(s))[:, others])
        score = inner @ w[others] / w[others].sum()
        best = score >= score.max() - TIE
        chosen[s] = np.flatnonzero(best)[np.argmin(preference[best])]
    return chosen


def confuse(distances: Array) -> Array:
    """Shares (label, predicted), averaged over subjects: (s, label, centroid) in."""
    nearest = _find_nearest(distances)
    return np.asarray((nearest / nearest.sum(axis=-1, keepdims=True)).mean(axis=0))
