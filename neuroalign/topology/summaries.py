"""What diagrams say in numbers, and how far two of them are apart.

To add a summary: a function of bars (bar, 2) that are all finite, and its row in ``SUMMARIES``; to
add a distance: a function of two diagrams and an order, and its row in ``DIAGRAM_DISTANCES``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import schema
from neuroalign.errors import choose, require
from neuroalign.topology.persistence import check_diagrams, find_finite, take_bars

gudhi: Any = require("gudhi", "topology")
gudhi_representations: Any = require("gudhi.representations", "topology")
gudhi_wasserstein: Any = require("gudhi.wasserstein", "topology")
Array = npt.NDArray[Any]


def _lengths(bars: Array) -> Array:
    found: Array = np.sort(bars[:, 1] - bars[:, 0])[::-1]
    return found


def _entropy(bars: Array) -> float:
    """Entropy [nat] of bar lengths as shares of their sum; NaN without bars.

    Chintakunta, Gentimis, Gonzalez-Diaz, Jimenez & Krim (2015), Pattern Recognition 48, 391-401,
    doi:10.1016/j.patcog.2014.06.023.
    """
    lengths = _lengths(bars)
    if not len(lengths):
        return float("nan")
    share = lengths[lengths > 0] / lengths.sum()
    return float(-(share * np.log(share)).sum())


def _total(bars: Array) -> float:
    """Sum of bar lengths."""
    return float(_lengths(bars).sum())


def _longest(bars: Array) -> float:
    """Length of the longest bar; 0 without bars."""
    return float(_lengths(bars).max(initial=0.0))


def longest_bar_ratio(bars: Array, rank: int = 1) -> float:
    """Length of a bar over that of the next one: how far a feature stands out.

    Parameters
    ----------
    bars : array (bar, 2)
    rank : int
        1: the longest over the second; 2: the second over the third, for two loops.

    Returns
    -------
    float
        Infinite when there is no next one, NaN when there is no such bar at all.

    Examples
    --------
    >>> import numpy as np
    >>> longest_bar_ratio(np.array([[0.0, 4.0], [0.0, 1.0]]))
    4.0
    """
    lengths = _lengths(bars)
    if len(lengths) < rank:
        return float("nan")
    return float(lengths[rank - 1] / lengths[rank]) if len(lengths) > rank else float("inf")


def _count(bars: Array) -> float:
    return float(len(bars))


SUMMARIES: dict[str, Callable[[Array], float]] = {
    "n_bars": _count,
    "longest_bar": _longest,
    "longest_bar_ratio": longest_bar_ratio,
    "total_persistence": _total,
    "persistence_entropy": _entropy,
}


def summarize_diagrams(
    diagrams: xr.Dataset, summaries: Sequence[str] = tuple(SUMMARIES)
) -> xr.Dataset:
    """Summarise each dimension in numbers.

    Parameters
    ----------
    diagrams : Dataset
        What `compute_persistence` returned, of a stack too.
    summaries : sequence of str
        Names in ``SUMMARIES``. Bars that never die are left out.

    Returns
    -------
    Dataset
        One variable (..., dimension) for each name.

    Raises
    ------
    SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.topology import compute_persistence
    >>> table = summarize_diagrams(compute_persistence([[0.0], [1.0], [3.0]]))
    >>> table["total_persistence"].values.tolist()
    [3.0, 0.0]
    """
    names = [(name, choose(SUMMARIES, name, "summaries")) for name in summaries]
    lead = check_diagrams(diagrams)["dimension"].dims[:-1]
    highest = int(diagrams.attrs.get("max_dim", diagrams["dimension"].values.max(initial=0)))
    dimensions = np.arange(highest + 1)
    shape = tuple(diagrams.sizes[dim] for dim in lead)
    values = np.empty((len(names), *shape, len(dimensions)))
    for place in np.ndindex(shape):
        one = diagrams.isel(dict(zip(lead, place, strict=True)))
        for k in dimensions:
            bars = find_finite(take_bars(one, int(k)))
            values[(slice(None), *place, k)] = [summary(bars) for _, summary in names]
    columns = {
        name: ((*lead, "dimension"), column)
        for (name, _), column in zip(names, values, strict=True)
    }
    coords = {key: c for key, c in diagrams.coords.items() if set(c.dims) <= set(lead)}
    attrs = {key: value for key, value in diagrams.attrs.items() if key != "verdict"}
    attrs |= {"kind": "estimate", "method": "persistence_summaries", "headline": names[0][0]}
    result = xr.Dataset(columns, {**coords, "dimension": dimensions}, attrs)
    return schema.check(result)


def _bottleneck(a: Array, b: Array, _order: float) -> float:
    return float(gudhi.bottleneck_distance(a, b))


def _wasserstein(a: Array, b: Array, order: float) -> float:
    return float(gudhi_wasserstein.wasserstein_distance(a, b, order=order, internal_p=2))


def _sliced(a: Array, b: Array, _order: float) -> float:
    distance = gudhi_representations.SlicedWassersteinDistance(num_directions=50)
    return float(distance(find_finite(a), find_finite(b)))


DIAGRAM_DISTANCES: dict[str, Callable[[Array, Array, float], float]] = {
    "bottleneck": _bottleneck,
    "wasserstein": _wasserstein,
    "sliced_wasserstein": _sliced,
}


def diagram_distance(
    a: xr.Dataset,
    b: xr.Dataset,
    *,
    dimension: int = 1,
    distance: str = "bottleneck",
    order: float = 1.0,
) -> float:
    """Measure how far two diagrams are apart: the least cost of matching their bars.

    Parameters
    ----------
    a, b : Dataset
        What `compute_persistence` returned, from the same number of points at one scale: more
        points have more, and shorter, bars.
    dimension : int
    distance : {"bottleneck", "wasserstein", "sliced_wasserstein"}
        The largest move of a bar (maximum norm), or the sum of moves (Euclidean) to the power
        ``order``, each bar going to a bar of the other diagram or to length 0. Bars that never die
        match each other; sliced leaves them out, and averages over 50 directions.
    order : float
        Of Wasserstein: ``(sum of move ** order) ** (1 / order)``.

    Returns
    -------
    float
        In units of distance; infinite when not equally many bars never die.

    Raises
    ------
    SchemaError, ValueError
    MissingExtraError

    References
    ----------
    Cohen-Steiner, Edelsbrunner & Harer (2007), Discrete & Computational Geometry 37, 103-120,
    doi:10.1007/s00454-006-1276-5. Kerber, Morozov & Nigmetov (2017), ACM Journal of Experimental
    Algorithmics 22, 1.4, doi:10.1145/3064175.

    Examples
    --------
    >>> from neuroalign.topology import compute_persistence
    >>> near, far = (compute_persistence([[0.0], [gap]]) for gap in (1.0, 1.25))
    >>> round(diagram_distance(near, far, dimension=0), 6)
    0.25
    """
    measure = choose(DIAGRAM_DISTANCES, distance, "distance")
    if not order >= 1:
        raise ValueError(f"order: expected 1 or more, got {order}. Use 1 or 2.")
    return measure(take_bars(a, dimension, "a"), take_bars(b, dimension, "b"), order)
