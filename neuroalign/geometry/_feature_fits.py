"""Named features as designs, and how much of a representation each explains on unseen rows.

In: bare arrays. Out: squared residuals by row, unit and component.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroalign._arrays import is_continuous
from neuroalign._folds import Folds, find_repeated, make_folds
from neuroalign.errors import AlignError, SchemaError, some

Array = npt.NDArray[Any]


class Feature(NamedTuple):
    """``design`` (row, column), and the ``levels`` of each row where the feature is categorical."""

    name: str
    design: Array
    levels: Array | None


class Errors(NamedTuple):
    """Sums of squared residuals, and the totals they compare with, on rows held out.

    ``row`` (row,), ``unit`` (unit,), ``component`` (component,).
    """

    row: Array
    unit: Array
    component: Array


def read_features(features: Mapping[Any, Any] | xr.Dataset, n: int) -> list[Feature]:
    """Read named features of n rows: text and truth values by level, numbers as they are.

    Raises
    ------
    SchemaError
    AlignError
        When a feature has other rows.
    """
    names = features.data_vars if isinstance(features, xr.Dataset) else features
    found = [_read_feature(str(name), np.asarray(features[name]), n) for name in names]
    if not found:
        raise SchemaError("features: expected at least one, got none. Name some.")
    return found


def _read_feature(name: str, values: Array, n: int) -> Feature:
    if values.shape[:1] != (n,) or values.ndim > 2:
        raise AlignError(
            f"features['{name}']: expected {n} rows as in the representation, got shape "
            f"{values.shape}. Give a value to each sample."
        )
    levels = None
    if values.dtype.kind in "bUSTO":
        if values.ndim != 1:
            raise SchemaError(
                f"features['{name}']: expected one label a sample, got shape {values.shape}. "
                "Name each column as a feature of its own."
            )
        levels = values.astype(str)
        design = (levels[:, None] == np.unique(levels)[None, :]).astype(np.float64)
    else:
        design = values.astype(np.float64).reshape(n, -1)
    if not np.isfinite(design).all():
        raise SchemaError(
            f"features['{name}']: expected finite values, got "
            f"{int((~np.isfinite(design)).sum())} that are not. Drop those samples."
        )
    if not (design.std(axis=0) > 0).any():
        raise SchemaError(
            f"features['{name}']: expected values that differ, got one value. Leave it out."
        )
    return Feature(name, design, levels)


def check_rows(X: Any, features: Any) -> None:
    """Check that labelled features and a labelled representation name the same stimuli."""
    labelled = isinstance(X, xr.DataArray) and isinstance(features, xr.Dataset)
    if not labelled or "stimulus" not in X.coords or "stimulus" not in features.coords:
        return
    ours, theirs = X["stimulus"].values, features["stimulus"].values
    if len(ours) == len(theirs) and (ours != theirs).any():
        row = int(np.flatnonzero(ours != theirs)[0])
        raise AlignError(
            f"features: expected the stimuli of X in their order, got {some([theirs[row]])} for "
            f"{some([ours[row]])} in row {row}. Reorder them."
        )


def check_varies(X: Array) -> None:
    """Check that there is variance to explain."""
    if not (np.ptp(X, axis=0) > 0).any():
        raise SchemaError("X: expected units that vary, got constant ones. Check the recording.")


def read_groups(X: Any, group: str | Array | None, n: int) -> Array | None:
    """Read the groups that folds never divide: a coord, labels, or the repeated stimuli."""
    if isinstance(group, str):
        if not isinstance(X, xr.DataArray) or group not in X.coords:
            raise SchemaError(
                f"group: expected a coord of X, got '{group}'. Assign it, or pass the labels."
            )
        return np.asarray(X[group].values)
    if group is not None:
        labels = np.asarray(group)
        if labels.shape != (n,):
            raise SchemaError(
                f"group: expected {n} labels, got shape {labels.shape}. Label each sample."
            )
        return labels
    if isinstance(X, xr.DataArray) and "stimulus" in X.coords:
        return find_repeated(X["stimulus"].values)
    return None


def split_rows(X: Any, groups: Array | None, n: int, n_splits: int, seed: int) -> Folds:
    """Deal rows, or whole groups, to folds at random; cut a recording into stretches."""
    if groups is None and isinstance(X, xr.DataArray) and is_continuous(X):
        return make_folds(n, n_splits=n_splits)
    labels = np.arange(n) if groups is None else groups
    return make_folds(n, groups=labels, n_splits=n_splits, seed=seed, shuffle_groups=True)


def center(train: Array, test: Array) -> tuple[Array, Array]:
    """Subtract the means of the training rows from both."""
    mean = train.mean(axis=0)
    return train - mean, test - mean


def find_axes(X: Array, folds: Folds, n_components: int) -> list[Array]:
    """Leading components (component, unit) of the training rows of each fold."""
    axes = []
    for train, _ in folds:
        centred = X[train] - X[train].mean(axis=0)
        axes.append(np.linalg.svd(centred, full_matrices=False)[2][:n_components])
    return axes


def sum_errors(X: Array, design: Array | None, folds: Folds, axes: list[Array]) -> Errors:
    """Predict held-out rows from a design (from the mean alone when None) and add the squares."""
    row = np.empty(len(X))
    unit, component = np.zeros(X.shape[1]), np.zeros(len(axes[0]) if axes else 0)
    for number, (train, test) in enumerate(folds):
        fitted, left = center(X[train], X[test])
        if design is not None:
            known, unseen = center(design[train], design[test])
            left = left - unseen @ np.linalg.lstsq(known, fitted, rcond=None)[0]
        squares = np.square(left)
        row[test] = squares.sum(axis=1)
        unit += squares.sum(axis=0)
        if axes:
            component += np.square(left @ axes[number].T).sum(axis=0)
    return Errors(row, unit, component)


def pool(error: Array, total: Array, counts: Array) -> Array:
    """1 - sum of errors / sum of squares, for each draw of row counts (draw, row)."""
    return np.asarray(1.0 - (counts @ error) / (counts @ total))


def average_items(error: Array, total: Array, counts: Array) -> Array:
    """Mean over rows of 1 - error / square, for each draw of row counts (draw, row)."""
    ratio = np.divide(error, total, out=np.ones_like(error), where=total > 0)
    return np.asarray(1.0 - (counts @ ratio) / counts.sum(axis=1))


AGGREGATES = {"pooled": pool, "item": average_items}


def draw_rows(n: int, groups: Array | None, n_draws: int, rng: np.random.Generator) -> Array:
    """How often each row comes in each bootstrap of rows, or of whole groups: (draw, row).

    The first draw holds every row once.
    """
    codes = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = int(codes.max()) + 1
    drawn = rng.multinomial(size, np.full(size, 1.0 / size), size=n_draws)
    return np.concatenate([np.ones((1, n)), drawn[:, codes]]).astype(np.float64)


def decode(X: Array, feature: Feature, folds: Folds) -> float:
    """Balanced accuracy of a linear read-out of levels, or R2 of one of numbers, on unseen rows."""
    guesses: list[Array] = []
    target = feature.design if feature.levels is None else feature.levels
    probe = Ridge(alpha=1.0) if feature.levels is None else RidgeClassifier(alpha=1.0)
    reader = make_pipeline(StandardScaler(), probe)
    for train, test in folds:
        guesses.append(reader.fit(X[train], target[train]).predict(X[test]))
    seen = np.concatenate([test for _, test in folds])
    known, guess = target[seen], np.concatenate(guesses)
    if feature.levels is None:
        return float(r2_score(known, guess.reshape(known.shape)))
    return float(balanced_accuracy_score(known, guess))


def find_axes_of(X: Array, features: list[Feature]) -> list[Array]:
    """Orthonormal directions (axis, unit) of each feature, from the regression on all jointly."""
    design = np.concatenate([one.design for one in features], axis=1)
    weights = np.linalg.lstsq(design - design.mean(axis=0), X - X.mean(axis=0), rcond=None)[0]
    ends = np.cumsum([one.design.shape[1] for one in features])
    axes = []
    for part in np.split(weights, ends[:-1]):
        _, scale, right = np.linalg.svd(part, full_matrices=False)
        axes.append(right[scale > scale.max(initial=0.0) * 1e-10])
    return axes
