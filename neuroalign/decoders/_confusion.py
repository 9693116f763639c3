"""Counts of what was shown and what was guessed, and the numbers made of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Array = npt.NDArray[Any]


def count_confusion(codes: Array, guess: Array, n_classes: int) -> Array:
    """Count pairs (..., true, predicted).

    Parameters
    ----------
    codes : array of int (n,)
    guess : array of int (..., n)
    n_classes : int
    """
    lead, n = guess.shape[:-1], guess.shape[-1]
    flat = guess.reshape(-1, n) + n_classes * codes
    flat = flat + n_classes**2 * np.arange(len(flat))[:, None]
    size = n_classes**2 * len(flat)
    counts: Array = np.bincount(flat.ravel(), minlength=size)
    return counts.reshape(*lead, n_classes, n_classes)


def balance(confusion: Array) -> Array:
    """Mean over the classes that were shown of the share guessed right (...)."""
    shown = confusion.sum(axis=-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    recall = right / np.maximum(shown, 1)
    mean: Array = recall.sum(axis=-1) / np.maximum((shown > 0).sum(axis=-1), 1)
    return mean


def score_accuracy(codes: Array, scores: Array) -> Array:
    """Balanced accuracy (...) of the class with the largest of scores (..., n, class)."""
    n_classes = scores.shape[-1]
    return balance(count_confusion(codes, scores.argmax(axis=-1), n_classes))


def score_auc(codes: Array, scores: Array) -> Array:
    """Area under the ROC curve (...) of two classes; ties count half; NaN with one class."""
    second = codes == 1
    n_second, n_first = int(second.sum()), int((~second).sum())
    if not n_second or not n_first:
        return np.full(scores.shape[:-2], np.nan)
    ranks = rankdata(scores[..., 1] - scores[..., 0], axis=-1)
    won = ranks[..., second].sum(axis=-1) - n_second * (n_second + 1) / 2
    area: Array = won / (n_second * n_first)
    return area
