"""Which of many items a decoded pattern is: ranks on bare arrays, for draws and in expectation."""

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from neuroalign.errors import choose

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Whether each row loses its own mean before cosines are taken.
SIMILARITIES = {"cosine": False, "correlation": True}


def compare_rows(given: Array, wanted: Array, metric: str) -> Array:
    """Cosine or correlation (n, m) of all pairs of rows; 0 for a row without length."""
    rows = []
    for part in (given, wanted):
        centred = part - part.mean(axis=1, keepdims=True) * choose(SIMILARITIES, metric, "metric")
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        # What rounding leaves of a row without contrast is no pattern.
        lost = length <= 1e-12 * np.linalg.norm(part, axis=1, keepdims=True)
        rows.append(np.where(lost, 0.0, centred / np.where(lost, 1.0, length)))
    return np.asarray(rows[0] @ rows[1].T)


def find_beaten(similarity: Array, rng: np.random.Generator) -> Flags:
    """Tell which candidates stand before the right one, on the diagonal; ties are drawn.

    Parameters
    ----------
    similarity : array (n, n)
        Item, candidate.
    rng : numpy.random.Generator

    Returns
    -------
    bool array (n, n)
    """
    right = np.diagonal(similarity)[:, None]
    lot = rng.random(similarity.shape)
    ahead: Flags = (similarity > right) | (
        (similarity == right) & (lot > np.diagonal(lot)[:, None])
    )
    np.fill_diagonal(ahead, False)
    return ahead


def draw_hits(
    ahead: Flags,
    n_candidates: int,
    top: npt.NDArray[np.intp],
    n_draws: int,
    rng: np.random.Generator,
) -> Array:
    """Retrieve among items drawn at random: share of hits (draw, top)."""  # fmt: skip
    n = len(ahead)
    found = np.empty((n_draws, len(top)))
    for draw in range(n_draws):
        items = rng.choice(n, n_candidates, replace=False)
        rank = ahead[np.ix_(items, items)].sum(axis=1)
        found[draw] = (rank[:, None] < top).mean(axis=0)
    return found


def expect_hits(ahead: Flags, n_candidates: int, top: npt.NDArray[np.intp]) -> Array:
    """Chance of each item to be a hit over all draws that hold it: (item, top).

    Of the other ``n - 1`` items, ``n_candidates - 1`` are drawn: how many of those that stand
    before the right one are among them is hypergeometric.
    """
    n = len(ahead)
    before = ahead.sum(axis=1)
    return np.stack(
        [hypergeom.cdf(k - 1, n - 1, before, n_candidates - 1) for k in top.tolist()], axis=1
    )


def rank_reciprocally(given: Array, wanted: Array) -> float:
    """Mean reciprocal rank by cosine, mean of both directions; 1 is perfect."""
    table = compare_rows(given.astype(np.float64), wanted.astype(np.float64), "cosine")
    rng = np.random.default_rng(0)
    ranks = [find_beaten(way, rng).sum(axis=1) + 1 for way in (table, table.T)]
    return float(np.mean([np.mean(1 / rank) for rank in ranks]))
