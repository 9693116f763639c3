"""How much each feature space explains alone, and how much they share."""

from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from neuroalign._arrays import check_labelled, check_same_rows, flatten_targets, unwrap
from neuroalign.encoders._labelled import read_exact_folds
from neuroalign.encoders._spaces import read_spaces
from neuroalign.encoders.banded_ridge import BandedRidge

Array = npt.NDArray[Any]
MOST_SPACES = 6
Subset = tuple[int, ...]
# Targets whose draws are held at a time.
CHUNK = 256


def list_subsets(n_spaces: int) -> list[Subset]:
    """List all sets of spaces but the empty one, small ones first."""
    sizes = range(1, n_spaces + 1)
    return list(chain.from_iterable(combinations(range(n_spaces), size) for size in sizes))


def divide_shared(scores: Array, n_spaces: int) -> Array:
    """Turn scores of all models into the parts of a Venn diagram, by inclusion and exclusion.

    Parameters
    ----------
    scores : array (model, ...)
        Of the sets of ``list_subsets``, in that order.
    n_spaces : int

    Returns
    -------
    array (part, ...)
        What exactly the spaces of each set explain, all of them and no other. Sums to the score of
        the full model. A part may be negative: where two spaces explain more together than the
        sum of both (suppression), or by errors of estimation.
    """
    subsets = list_subsets(n_spaces)
    place = {subset: row for row, subset in enumerate(subsets)}
    parts = np.zeros_like(scores)
    for row, subset in enumerate(subsets):
        others = set(range(n_spaces)) - set(subset)
        for inner in [(), *(one for one in subsets if set(one) <= set(subset))]:
            joined = tuple(sorted(others | set(inner)))
            if joined:
                parts[row] += (-1.0) ** (len(inner) + 1) * scores[place[joined]]
    return parts


def partition_variance(
    X: Any,
    y: Any,
    *,
    estimator: Any = None,
    spaces: Any = None,
    cv: Any = 5,
    groups: Any = None,
    block: int | None = None,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Divide held-out R2 among feature spaces, by one model for each set of them.

    Parameters
    ----------
    X : DataArray or array (sample, feature)
    y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
    estimator : encoder with parameter ``spaces``, optional
        None: ``BandedRidge()``. Every model chooses its own penalties, inside training rows.
    spaces : sequence of labels (feature,), list of column groups, mapping, or None
        None: coord ``space`` of X. At most 6 spaces: 2^m - 1 models are fitted in each fold.
    cv : int, splitter or list of (train, test)
        Outer folds, the same for all models.
    groups : sequence (sample,), optional
        Runs, say: kept together in outer and inner folds, and drawn as a whole by the bootstrap.
    block : int, optional
        Rows drawn together by the bootstrap where there are no groups. None: single rows.
    n_bootstrap : int
    level : float
        Of the intervals.
    seed : int

    Returns
    -------
    Dataset
        ``r2`` (model[, neuroid[, time]]), ``share`` (part[, neuroid[, time]]), each with ``_low``
        and ``_high``. Model ``a+b`` is that of both spaces; part ``a`` is unique to a, part
        ``a&b`` shared by a and b and no other. Parts add up to the full model. attrs:
        ``n_samples`` tested, ``n_units`` that the bootstrap draws.

    Raises
    ------
    AlignError
        When rows of X and y name other stimuli, or other runs and onsets.
    ValueError
        With fewer than 2 spaces or more than 6, or options out of range.

    Notes
    -----
    R2 is one minus the squared error pooled over all held-out rows to that of the training mean;
    nothing is clipped. Intervals are percentiles over draws of held-out rows with models fixed:
    they hold the noise of test rows, not that of training.

    References
    ----------
    Lescroart, Stansbury & Gallant (2015), Front. Comput. Neurosci. 9:135, section 2.10.

    Examples
    --------
    >>> from neuroalign.features import join_features
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=120, n_features=6, n_neuroids=2)
    >>> spaces = join_features({"a": data.features[:, :3], "b": data.features[:, 3:]})
    >>> found = partition_variance(spaces, data.responses, n_bootstrap=20)
    >>> found["part"].values.tolist()
    ['a', 'b', 'a&b']
    """
    check_labelled(X, "X")
    check_labelled(y, "y")
    check_same_rows(X, y)
    values, features = unwrap(X)
    values = np.asarray(values)
    targets, template = unwrap(y)
    targets, shape = flatten_targets(targets)
    targets = targets.reshape(len(targets), -1)
    named = read_spaces(spaces, features, values.shape[1])
    _check(len(named), n_bootstrap, level, block)
    folds = read_exact_folds(cv, values, targets, groups)
    base = BandedRidge() if estimator is None else estimator
    subsets = list_subsets(len(named))
    columns = list(named.values())
    labels = np.empty(values.shape[1], dtype=object)
    for name, own in named.items():
        labels[own] = name
    tested = np.unique(np.concatenate([test for _, test in folds]))
    units = _make_units(tested, groups, block)
    # Models one by one, then what they explain target by target: memory is that of a few targets.
    sums = np.empty((len(subsets) + 1, int(units.max()) + 1, targets.shape[1]))
    for row, subset in enumerate(subsets):
        own = np.sort(np.concatenate([columns[one] for one in subset]))
        model = clone(base).set_params(spaces=labels[own].tolist())
        sums[row] = _add_up(_collect(model, values[:, own], targets, folds, groups)[tested], units)
    sums[-1] = _add_up(_collect_null(targets, folds)[tested], units)
    drawn = _draw_units(sums.shape[1], n_bootstrap, seed)
    tails = [(1 - level) / 2, (1 + level) / 2]
    found: dict[str, list[Array]] = {}
    for start in range(0, targets.shape[1], CHUNK):
        piece = sums[:, :, start : start + CHUNK]
        r2, draws = _score(piece, np.ones((1, sums.shape[1])))[:, 0], _score(piece, drawn)
        parts = divide_shared(r2, len(named)), divide_shared(draws, len(named))
        for name, best, every in (("r2", r2, draws), ("share", *parts)):
            low, high = np.quantile(every, tails, axis=1)
            for suffix, one in (("", best), ("_low", low), ("_high", high)):
                found.setdefault(name + suffix, []).append(one)
    result = {
        name: _label(
            np.concatenate(pieces, axis=1).reshape(-1, *shape),
            "model" if name.startswith("r2") else "part",
            template,
        )
        for name, pieces in found.items()
    }
    names = list(named)
    joined = [[names[one] for one in subset] for subset in subsets]
    told = {
        "kind": "estimate", "method": "partition_variance", "model": " ".join(repr(base).split()),
        "n_samples": len(tested), "n_units": sums.shape[1], "n_bootstrap": n_bootstrap,
        "level": level, "seed": seed,
    }  # fmt: skip
    labels_ = {
        "model": ["+".join(one) for one in joined],
        "part": ["&".join(one) for one in joined],
    }
    return xr.Dataset(result, attrs=told).assign_coords(labels_)


def _check(n_spaces: int, n_bootstrap: int, level: float, block: int | None) -> None:
    if not 2 <= n_spaces <= MOST_SPACES:
        raise ValueError(
            f"spaces: expected 2 to {MOST_SPACES}, got {n_spaces}. Label columns with coord "
            "'space', or join some; the product measure of BandedRidge takes any number."
        )
    if n_bootstrap < 1 or not 0 < level < 1 or (block is not None and block < 1):
        raise ValueError(
            f"n_bootstrap, level, block: expected >= 1, between 0 and 1, >= 1, got {n_bootstrap}, "
            f"{level}, {block}. Pass such as 1000, 0.95, 10."
        )


def _collect(model: Any, X: Array, Y: Array, folds: Any, groups: Any) -> Array:
    """Sum the squared errors of held-out rows (sample, target) over the folds that test them."""
    errors = np.zeros(Y.shape)
    for train, test in folds:
        own = None if groups is None else np.asarray(groups)[train]
        fitted = clone(model).fit(X[train], Y[train], groups=own)
        errors[test] += (Y[test] - fitted.predict(X[test])) ** 2
    return errors


def _collect_null(Y: Array, folds: Any) -> Array:
    """Compute those of the training mean."""
    errors = np.zeros(Y.shape)
    for train, test in folds:
        errors[test] += (Y[test] - Y[train].mean(axis=0, dtype=np.float64)) ** 2
    return errors


def _make_units(tested: Array, groups: Any, block: int | None) -> Array:
    """Number the units that the bootstrap draws: (tested row,)."""
    if groups is not None:
        units: Array = np.unique(np.asarray(groups)[tested], return_inverse=True)[1]
        return units
    return np.arange(len(tested)) // (block or 1)


def _add_up(rows: Array, units: Array) -> Array:
    total = np.zeros((int(units.max()) + 1, rows.shape[1]))
    np.add.at(total, units, rows)
    return total


def _draw_units(n_units: int, n_bootstrap: int, seed: int) -> Array:
    """Draw how often each unit comes: (draw, unit)."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap)
    return drawn.astype(np.float64)


def _score(sums: Array, weights: Array) -> Array:
    """Compute R2 (model, draw, target) of sums over units (unit, target), the null's last."""
    null = weights @ sums[-1]
    ratio = [
        np.divide(weights @ one, null, out=np.full_like(null, np.nan), where=null > 0)
        for one in sums[:-1]
    ]
    return 1 - np.stack(ratio)


def _label(values: Array, dim: str, template: xr.DataArray | None) -> xr.DataArray:
    dims = (dim, *("neuroid", "time")[: values.ndim - 1])
    coords: dict[Any, Any] = {}
    if template is not None:
        dims, coords = (dim, *map(str, template.dims[1:])), dict(template.coords)
    return xr.DataArray(values, dims=dims, coords=coords)
