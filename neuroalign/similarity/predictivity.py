"""Linear predictivity: how well each representation predicts the units of the other.

In: arrays (sample, unit). Out: held-out correlations of every unit, both ways. It is asymmetric
by nature: a rich representation predicts a poor one, not the other way round.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from neuroalign._folds import Folds
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import NeuroalignWarning
from neuroalign.evaluate.normalization import normalize_scores
from neuroalign.scores import pearson
from neuroalign.similarity._pairs import find_groups, read_pair, split_stimuli

Array = npt.NDArray[Any]
INNER_SPLITS = 5


class Predictivity(NamedTuple):
    """How well X predicts units of Y (``forward``), and Y those of X (``backward``).

    ``forward`` (unit of Y,) and ``backward`` (unit of X,): held-out r, over the root of the ceiling
    where one was given; ``forward_mean`` and ``backward_mean`` over units that have a value;
    ``symmetric``: geometric mean of the two, with negative ones as 0.
    """

    forward: Array
    backward: Array
    forward_mean: float
    backward_mean: float
    symmetric: float


class Known(NamedTuple):
    """A representation (sample, unit), its folds, and those inside their training rows."""

    values: Array
    folds: Folds
    inner: list[Folds]


def linear_predictivity(
    X: Any,
    Y: Any,
    *,
    encoder: Any = None,
    n_splits: int = 5,
    groups: Sequence[Any] | Array | None = None,
    ceiling_x: Any = None,
    ceiling_y: Any = None,
    min_ceiling: float = 0.1,
    seed: int = 0,
) -> Predictivity:
    """Predict the units of each representation from the other, on held-out stimuli.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        The same stimuli in the same order.
    encoder : estimator, optional
        Cloned and fitted in each fold, each way. None: ``encoders.Ridge``, one penalty a unit,
        chosen on folds of stimuli inside the training rows.
    n_splits : int
        Folds of stimuli, dealt at random.
    groups : sequence (sample,), optional
        Rows of one group stay together; the stimuli of labelled rows when not given.
    ceiling_x, ceiling_y : array (unit,), DataArray or Dataset (neuroid,), optional
        Share of variance of each unit that is signal, as functions of ``ceilings`` return it: r
        is divided by its root. Labelled ones are matched by ``neuroid`` of labelled units.
    min_ceiling : float
        Units with a lower ceiling are left out (NaN).
    seed : int

    Returns
    -------
    Predictivity
        r is the mean over folds; NaN for units that are constant in a fold.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 6))
    >>> found = linear_predictivity(X, X[:, :2])
    >>> found.forward_mean > 0.99, found.backward_mean < 0.6
    (True, True)
    """
    one, other = read_pair(X, Y)
    labels = find_groups(X, groups)
    first, second = (prepare_predictivity(side, n_splits, labels, seed) for side in (one, other))
    forward = predict_held_out(first, second, encoder)
    backward = predict_held_out(second, first, encoder)
    ours = _normalize(forward, Y, ceiling_y, "ceiling_y", min_ceiling)
    theirs = _normalize(backward, X, ceiling_x, "ceiling_x", min_ceiling)
    ahead, back = _average(ours), _average(theirs)
    return Predictivity(ours, theirs, ahead, back, join_ways(ahead, back))


def _average(values: Array) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else float("nan")


def join_ways(forward: float, backward: float) -> float:
    """Geometric mean of the two ways; a negative one counts 0."""
    return float(np.sqrt(np.maximum(forward, 0.0) * np.maximum(backward, 0.0)))


def _normalize(r: Array, units: Any, ceiling: Any, name: str, min_ceiling: float) -> Array:
    """Average held-out r (fold, unit) over folds, in units of the ceiling where there is one."""
    if ceiling is None:
        mean: Array = r.mean(axis=0)
        return mean
    if isinstance(ceiling, xr.DataArray | xr.Dataset):
        table = xr.DataArray(r, dims=("fold", "neuroid"), coords={"fold": np.arange(len(r))})
        if isinstance(units, xr.DataArray) and "neuroid" in units.coords:
            table = table.assign_coords(neuroid=units["neuroid"].values)
        result = xr.Dataset({"score": table}, attrs={"metric": "pearson"})
        found = normalize_scores(result, ceiling=ceiling, min_ceiling=min_ceiling)
    else:
        top = np.asarray(ceiling, dtype=np.float64)
        if top.shape != r.shape[1:]:
            raise ValueError(
                f"{name}: expected one share of variance for each of {r.shape[1]} units, got shape "
                f"{top.shape}. Pass ceilings of the units that are predicted."
            )
        result = xr.Dataset(
            {"score": (("fold", "neuroid"), r), "ceiling": ("neuroid", top)},
            attrs={"metric": "pearson"},
        )
        found = normalize_scores(result, min_ceiling=min_ceiling)
    normalized: Array = found["mean_normalized_score"].values
    return normalized


def predict_held_out(source: Known, target: Known, encoder: Any = None) -> Array:
    """Held-out r of each target unit: (fold, unit)."""
    scores = []
    for (train, test), inner in zip(source.folds, source.inner, strict=True):
        fitted = Ridge(cv=inner) if encoder is None else clone(encoder)
        with warnings.catch_warnings():
            # Representations without noise rightly take the smallest penalty.
            warnings.filterwarnings("ignore", "alphas: expected the best", NeuroalignWarning)
            fitted.fit(source.values[train], target.values[train])
        predicted = np.reshape(fitted.predict(source.values[test]), (len(test), -1))
        scores.append(pearson(target.values[test], predicted))
    return np.stack(scores)


def prepare_predictivity(
    X: Array,
    n_splits: int = 5,
    groups: Sequence[Any] | Array | None = None,
    seed: int = 0,
) -> Known:
    """Deal the stimuli to folds, and those of each training side to inner folds."""
    folds = split_stimuli(len(X), n_splits, seed, groups)
    labels = np.arange(len(X)) if groups is None else np.asarray(groups)
    inner = []
    for train, _ in folds:
        n_inner = min(INNER_SPLITS, len(np.unique(labels[train])), len(train) // 3)
        inner.append(split_stimuli(len(train), max(n_inner, 2), seed, labels[train]))
    return Known(X, folds, inner)


def pair_forward(one: Known, other: Known) -> float:
    """Mean held-out r of the units of the second, predicted from the first."""
    return _average(predict_held_out(one, other).mean(axis=0))


def pair_symmetric(one: Known, other: Known) -> float:
    """Geometric mean of the predictivity of both ways."""
    return join_ways(pair_forward(one, other), pair_forward(other, one))
