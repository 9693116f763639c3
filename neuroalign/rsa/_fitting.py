"""Weights of basis RDMs from inner products: the best similarity with normalised subjects."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve, solve_triangular
from scipy.optimize import nnls

Array = npt.NDArray[Any]
# (gram (k, k), target (k,), similarities (k,) on demand, penalty) -> weights (k,)
Single = Callable[[], Array]
Solver = Callable[[Array, Array, Single, float], Array]
# Share of the mean squared norm added to the diagonal, so that collinear RDMs can be solved.
JITTER = 1e-10
N_INNER = 4


def _regularise(gram: Array, penalty: float) -> Array:
    size = float(np.trace(gram)) / len(gram)
    return gram + (penalty + JITTER) * max(size, np.finfo(float).tiny) * np.eye(len(gram))


def solve_first(gram: Array, _target: Array, _single: Single, _penalty: float) -> Array:
    """Take the only one."""
    return np.asarray(np.eye(len(gram))[0])


def solve_best(gram: Array, _target: Array, single: Single, _penalty: float) -> Array:
    """Take the one that is most similar."""
    return np.asarray(np.eye(len(gram))[int(np.argmax(single()))])


def solve_free(gram: Array, target: Array, _single: Single, penalty: float) -> Array:
    """Least squares: weights of either sign."""
    weights: Array = solve(_regularise(gram, penalty), target, assume_a="pos")
    return weights


def solve_non_negative(gram: Array, target: Array, _single: Single, penalty: float) -> Array:
    """Least squares with weights of 0 or more."""
    factor = cholesky(_regularise(gram, penalty), lower=True)
    weights: Array = nnls(factor.T, solve_triangular(factor, target, lower=True))[0]
    return weights


def solve_between(gram: Array, target: Array, _single: Single, _penalty: float) -> Array:
    """Take the best point on the line through the RDMs in order.

    On the segment a + t (b - a) similarity (p + t q) / sqrt(A + 2 B t + C t^2) peaks at
    t = (q A - p B) / (p C - q B), or at an end.
    """
    best, score = np.eye(len(gram))[0], -np.inf
    for left in range(len(gram) - 1):
        step = np.zeros(len(gram))
        step[left : left + 2] = -1, 1
        start = np.eye(len(gram))[left]
        p, q = start @ target, step @ target
        a, b, c = start @ gram @ start, start @ gram @ step, step @ gram @ step
        divisor = p * c - q * b
        inner = [(q * a - p * b) / divisor] if divisor != 0 else []
        for t in (0.0, 1.0, *(t for t in inner if 0 < t < 1)):
            size = a + 2 * b * t + c * t**2
            found = (p + t * q) / np.sqrt(size) if size > 0 else 0.0
            if found > score:
                best, score = start + t * step, found
    return np.asarray(best)
