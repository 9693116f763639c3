"""Geo-topological transforms: distances that forget what is very near and what is very far.

In: RDMs. Out: RDMs of the same conditions (RGTM). To add a shape of the transform, or a kind of
threshold: a function and its row in a table of ``_geotopology``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._checks import add_history
from neuroalign.errors import choose
from neuroalign.topology import _geotopology as kernels
from neuroalign.topology._pairs import Levels, read_levels, read_pairs, write_pairs

Array = npt.NDArray[Any]
SHAPES = (*kernels.SHAPES, "sigmoid")


def threshold_grid(step: float = 0.05, *, equal: bool = False) -> tuple[Array, Array]:
    """All couples of lower and upper thresholds on a grid.

    Parameters
    ----------
    step : float
        Between 0 and 1; 1 is a multiple of it.
    equal : bool
        Also take lower = upper: the RDM becomes the adjacency of a graph.

    Returns
    -------
    array (setting,), array (setting,)
        Lower and upper, lower first. 210 of them at the published step of 0.05. The two that
        leave nothing to see (all at 0, all at 1) are left out.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> lower, upper = threshold_grid(0.5)
    >>> lower.tolist(), upper.tolist()
    ([0.0, 0.0, 0.5], [0.5, 1.0, 1.0])
    """
    count = round(1 / step) if 0 < step <= 1 else 0
    if not count or not np.isclose(count * step, 1):
        raise ValueError(f"step: expected a part of 1 such as 0.05, got {step}. Use 0.05 or 0.1.")
    first, second = np.triu_indices(count + 1, 0 if equal else 1)
    some = (first + second > 0) & (first + second < 2 * count)
    return first[some] / count, second[some] / count


def categorize_thresholds(lower: Levels, upper: Levels) -> npt.NDArray[np.str_]:
    """Name what couples of thresholds are sensitive to.

    Parameters
    ----------
    lower, upper : float or sequence of float (setting,)

    Returns
    -------
    array of str (setting,)
        ``local`` (mean of both <= 0.2), ``global`` (>= 0.8), ``geometry`` (upper - lower >= 0.8),
        ``topology`` (both within 0.4 to 0.6), ``intermediate`` otherwise.

    Raises
    ------
    ValueError

    References
    ----------
    Lin & Kriegeskorte (2024), PNAS 121, doi:10.1073/pnas.2317881121.

    Examples
    --------
    >>> categorize_thresholds([0.0, 0.0, 0.4], [0.2, 1.0, 0.6]).tolist()
    ['local', 'geometry', 'topology']
    """
    low, high, _ = read_levels(lower, upper, "quantile")
    # A grid such as 0.05 is not exact in binary.
    slack = kernels.SAME
    middle = (low + high) / 2
    cases = [
        middle <= 0.2 + slack,
        middle >= 0.8 - slack,
        high - low >= 0.8 - slack,
        (low >= 0.4 - slack) & (high <= 0.6 + slack),
    ]
    return np.select(cases, ["local", "global", "geometry", "topology"], "intermediate")


def transform_rdm(
    rdm: xr.DataArray,
    lower: Levels = 0.0,
    upper: Levels = 1.0,
    *,
    threshold: str = "quantile",
    rank: bool | None = None,
    shape: str = "linear",
    slope: float = 10.0,
    midpoint: float = 0.5,
) -> xr.DataArray:
    """Set small dissimilarities to 0 and large ones to 1, and keep the order of those between.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Any leading dims; each RDM is ranked and thresholded on its own. Never changed. Missing
        pairs (NaN) stay missing.
    lower, upper : float, or sequence of float (setting,)
        Dissimilarities up to ``lower`` become 0, from ``upper`` on 1, linear between. Where both
        are equal (or ties leave no values between), those above become 1 and the others 0: the
        graph that joins pairs at that threshold or nearer. Sequences give the whole grid at once.
    threshold : {"quantile", "fraction", "absolute"}
        What thresholds are: quantiles of the RDM; fractions of its largest value; values.
    rank : bool, optional
        Replace values by their ranks, scaled to [0, 1], first. By default with quantiles only.
    shape : {"linear", "gate", "sigmoid"}
        ``gate`` keeps values between the thresholds as they are, and sets those above to the
        largest. ``sigmoid`` takes ``slope`` and ``midpoint`` instead of thresholds, on values
        scaled to [0, 1].
    slope, midpoint : float

    Returns
    -------
    DataArray ([setting,] ..., first, second) or ([setting,] ..., pair)
        The form and dtype of ``rdm``, pairs in the order (0, 1), (0, 2), ... With sequences, a
        first dim ``setting`` with coords ``lower``, ``upper`` and, for quantiles, ``category``.

    Raises
    ------
    SchemaError
        For what is no RDM, or an asymmetric one.
    ValueError
        On unknown options, or thresholds out of order or range.

    Notes
    -----
    rsatoolbox 0.3 pools quantiles over all RDMs of an object, does not rank, writes into its
    argument, and sets values of the ramp that exceed the upper threshold to 1 once more, so that
    it depends on units. A constant RDM becomes 0 when it is ranked.

    References
    ----------
    Lin & Kriegeskorte (2024), PNAS 121, doi:10.1073/pnas.2317881121 (RGTM);
    Lin & Kriegeskorte (2018), arXiv:1810.02923 (fractions, gate).

    Examples
    --------
    >>> from neuroalign.rsa import magnitude_rdm
    >>> rdm = magnitude_rdm({"a": 0.0, "b": 1.0, "c": 3.0, "d": 7.0})
    >>> near = transform_rdm(rdm, 0.5, 0.5)
    >>> near.values.tolist()
    [0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    >>> transform_rdm(rdm, [0.0, 0.2], [0.5, 0.8]).dims
    ('setting', 'pair')
    """
    _, ranked = choose(kernels.THRESHOLDS, threshold, "threshold")
    choose(dict.fromkeys(SHAPES), shape, "shape")
    low, high, many = read_levels(lower, upper, threshold)
    if shape == "sigmoid" and (many or (low[0], high[0]) != (0, 1)):
        raise ValueError(
            "lower: expected no thresholds with shape='sigmoid', got some. "
            "Use slope and midpoint, or shape='linear'."
        )
    pairs = read_pairs(rdm)
    values = np.asarray(pairs.values, dtype=np.float64)
    if ranked if rank is None else rank:
        values = kernels.rank_unit(values)
    if shape == "sigmoid":
        made = kernels.squash(kernels.scale_unit(values), slope, midpoint)[None]
    else:
        made = kernels.threshold_all(values, low, high, threshold, shape)
    step = f"transform_rdm({shape}, {threshold})"
    pairs = add_history(pairs, step)
    attrs: dict[str, Any] = {"transform": "geo-topological", "threshold": threshold, "shape": shape}
    if not many:
        attrs |= {"lower": float(low[0]), "upper": float(high[0])}
        return write_pairs(made[0], pairs, rdm).assign_attrs(attrs)
    settings: dict[str, Any] = {"lower": ("setting", low), "upper": ("setting", high)}
    if threshold == "quantile":
        settings["category"] = ("setting", categorize_thresholds(low, high))
    stack = pairs.expand_dims(setting=len(low)).assign_coords(settings)
    return write_pairs(made, stack, rdm).assign_attrs(attrs)
