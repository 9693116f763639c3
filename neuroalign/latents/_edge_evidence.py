"""What a block of edges says, its parameters integrated out: each term of a block model's evidence.

In: sufficient statistics of blocks of pairs. Out: log evidence, term by term. To add a family of
weights: a function in ``WEIGHTS`` that makes the statistics of single edges and their evidence.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln

Array = npt.NDArray[Any]
# Conjugate priors worth about one pair, on weights in units of their mean (or standardised logs).
PRIOR_LOG_VARIANCE = 0.5


class Family(NamedTuple):
    """``statistics``: (statistic, i, j) of single edges; ``score`` of their sums over blocks.

    ``score`` takes the number of edges and the sums; ``constant`` is what units of the weights add.
    """

    statistics: Array
    score: Callable[[Array, Array], Array]
    constant: float


def _score_exponential(count: Array, sums: Array) -> Array:
    """Weights of rate drawn from Gamma(1, 1): log of Gamma(1 + m) / (1 + s) ** (1 + m)."""
    found: Array = np.asarray(gammaln(1.0 + count) - (1.0 + count) * np.log1p(sums[0]))
    return found


def _make_exponential(weights: Array, edge: Array) -> Family:
    mean = weights[edge].mean()
    scaled = np.where(edge, weights / mean, 0.0)
    return Family(scaled[None], _score_exponential, -0.5 * float(edge.sum()) * float(np.log(mean)))


def _score_normal(count: Array, sums: Array) -> Array:
    """Logarithms of normal density, mean and precision from a normal-gamma prior (1 each)."""
    total, squares = sums
    kappa, shape = 1.0 + count, 1.0 + 0.5 * count
    # Rounding may leave a variance just below 0.
    within = np.maximum(squares - total**2 / kappa, 0.0)
    rate = PRIOR_LOG_VARIANCE + 0.5 * within
    found = gammaln(shape) - shape * np.log(rate) + np.log(PRIOR_LOG_VARIANCE)
    return np.asarray(found - 0.5 * np.log(kappa) - 0.5 * count * np.log(2 * np.pi))


def _make_lognormal(weights: Array, edge: Array) -> Family:
    logs = np.log(np.where(edge, weights, 1.0))
    center = logs[edge].mean()
    spread = max(float(logs[edge].std()), 1e-6)
    scaled = np.where(edge, (logs - center) / spread, 0.0)
    constant = -0.5 * float(edge.sum() * np.log(spread) + logs[edge].sum())
    return Family(np.stack([scaled, scaled**2]), _score_normal, constant)


def _make_binary(weights: Array, edge: Array) -> Family:
    """Edges alone: their weights say nothing."""
    return Family(np.empty((0, *edge.shape)), lambda count, sums: np.zeros_like(count), 0.0)


WEIGHTS: dict[str, Callable[[Array, Array], Family]] = {
    "exponential": _make_exponential,
    "lognormal": _make_lognormal,
    "binary": _make_binary,
}


def score_edges(pairs: Array, count: Array) -> Array:
    """``count`` edges among ``pairs``, the chance uniform from 0 to 1."""
    found: Array = betaln(count + 1.0, np.maximum(pairs - count, 0.0) + 1.0)
    return found


def score_degrees(size: Array, degree: Array) -> Array:
    """How the ends of edges spread over the members of a block, against all members alike.

    Propensities of a block are uniform on the simplex; without the degrees' own factorials, which
    no label changes. Karrer & Newman (2011), eq. 9, integrated as in Peixoto (2017), section II.
    """
    safe = np.maximum(size, 1.0)
    found: Array = degree * np.log(safe) + gammaln(safe) - gammaln(safe + degree)
    return np.where(size > 0, found, 0.0)


def score_sizes(sizes: Array) -> Array:
    """Labels (..., block): number of blocks, then sizes, then labels, each uniform."""
    n = sizes.sum(axis=-1)
    filled = (sizes > 0).sum(axis=-1)
    ways = gammaln(n) - gammaln(filled) - gammaln(n - filled + 1.0)
    found: Array = gammaln(sizes + 1.0).sum(axis=-1) - gammaln(n + 1.0) - ways - np.log(n)
    return found
