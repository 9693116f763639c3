"""Which rows a ridge fit trains and judges on: folds as given, weights of zero, rows that lack."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.model_selection import ShuffleSplit

from neuroalign.encoders import Ridge
from neuroalign.errors import LeakageError

ROWS = np.arange(30)
GRID = np.logspace(-2, 3, 6)


def _linear(rng: np.random.Generator, t: int = 4) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(30, 5)) + 2.0
    return X, X @ rng.normal(size=(5, t)) + 2 * rng.normal(size=(30, t))


def _refit_errors(
    X: np.ndarray, Y: np.ndarray, folds: Any, alphas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared held-out error of each penalty (a, t), and of the training mean (t,)."""
    total, null, count = np.zeros((len(alphas), Y.shape[1])), np.zeros(Y.shape[1]), 0
    for train, test in folds:
        x, y = X[train] - X[train].mean(0), Y[train] - Y[train].mean(0)
        known = Y[test] - Y[train].mean(0)
        for row, alpha in enumerate(alphas):
            weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)
            total[row] += ((known - (X[test] - X[train].mean(0)) @ weights) ** 2).sum(0)
        null, count = null + (known**2).sum(0), count + len(test)
    return total / count, null / count


def test_folds_that_are_no_partition_equal_refits(rng: np.random.Generator) -> None:
    X, Y = _linear(rng)
    folds = list(ShuffleSplit(4, test_size=0.4, random_state=0).split(X))
    model = Ridge(GRID, cv=folds, alpha_scale="absolute").fit(X, Y)
    losses, null = _refit_errors(X, Y, folds, GRID)
    np.testing.assert_allclose(model.alpha_, GRID[losses.argmin(0)])
    np.testing.assert_allclose(model.cv_mse_, losses.min(0), rtol=1e-8)
    np.testing.assert_allclose(model.cv_r2_, 1 - losses.min(0) / null, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:alphas")
def test_masks_and_row_numbers_are_the_same_folds(rng: np.random.Generator) -> None:
    X, Y = _linear(rng)
    Y[3, 0] = np.nan
    masks = Ridge(GRID, cv=[(ROWS < 20, ROWS >= 20)], missing="drop").fit(X, Y)
    numbers = Ridge(GRID, cv=[(ROWS[:20], ROWS[20:])], missing="drop").fit(X, Y)
    np.testing.assert_array_equal(masks.coef_, numbers.coef_)


@pytest.mark.parametrize(
    ("cv", "error", "message"),
    [
        ([], ValueError, "cv: expected at least one fold"),
        (None, ValueError, "cv: expected a whole number, a splitter or a list"),
        (2.5, ValueError, "cv: expected a whole number, a splitter or a list"),
        ([(ROWS[:0], ROWS)], ValueError, "cv: .*got 0 and 30 in fold 0"),
        ([(ROWS, ROWS[:0])], ValueError, "cv: .*got 30 and 0 in fold 0"),
        ([(ROWS, ROWS + 9)], ValueError, "cv: expected rows from 0 to 29"),
        ([(ROWS[:20], ROWS[15:])], LeakageError, "cv: .*got 5 shared in fold 0"),
    ],
)
def test_folds_that_cannot_be_used_are_named(
    cv: Any, error: type[Exception], message: str, rng: np.random.Generator
) -> None:
    with pytest.raises(error, match=message):
        Ridge(cv=cv).fit(*_linear(rng))


@pytest.mark.parametrize("cv", ["loo", "gcv", [(ROWS[15:], ROWS[:15]), (ROWS[:15], ROWS[15:])]])
def test_a_row_without_weight_is_no_row(cv: Any, rng: np.random.Generator) -> None:
    X, Y = _linear(rng)
    weights = np.where(ROWS % 3, rng.uniform(0.5, 2, 30), 0)
    kept = np.flatnonzero(weights)
    place = np.cumsum(weights > 0) - 1
    inner = cv
    if not isinstance(cv, str):
        inner = [tuple(place[rows[rows % 3 > 0]] for rows in fold) for fold in cv]
    whole = Ridge(GRID, cv=cv).fit(X, Y, sample_weight=weights)
    part = Ridge(GRID, cv=inner).fit(X[kept], Y[kept], sample_weight=weights[kept])
    for name in ("alpha_", "coef_", "intercept_", "cv_mse_"):
        np.testing.assert_allclose(getattr(whole, name), getattr(part, name), rtol=1e-9)


def test_a_fold_without_weight_is_left_out(rng: np.random.Generator) -> None:
    X, Y = _linear(rng)
    weights = (ROWS >= 6).astype(float)
    assert np.isfinite(Ridge(GRID).fit(X, Y, sample_weight=weights).cv_mse_).all()
    with pytest.raises(ValueError, match="expected rows without NaN, or with weight"):
        Ridge(GRID).fit(X, Y, sample_weight=1 - weights)


@pytest.mark.parametrize("share", ["global", "roi"])
def test_neuroids_that_lack_different_rows_share_a_penalty(
    share: str, rng: np.random.Generator
) -> None:
    X, Y = _linear(rng, t=8)
    Y[:5, 0] = Y[9, 3] = np.nan
    Y[:, 7] = np.where(np.isnan(Y[:, 0]), np.nan, 3.0)
    rois = ["a"] * 4 + ["b"] * 4
    y = xr.DataArray(Y, dims=("sample", "neuroid"), coords={"roi": ("neuroid", rois)})
    folds = [(ROWS[10:], ROWS[:10]), (ROWS[:20], ROWS[20:])]
    options: dict[str, Any] = {"cv": folds, "missing": "drop", "alpha_scale": "absolute"}
    model = Ridge(GRID, alpha_per=share, **options).fit(X, y)
    relative = np.full((len(GRID), 7), np.nan)
    for target in range(7):
        own = np.isfinite(Y[:, target])
        inner = [(train[own[train]], test[own[test]]) for train, test in folds]
        losses, null = _refit_errors(X, np.nan_to_num(Y[:, [target]]), inner, GRID)
        relative[:, target] = losses[:, 0] / null
    parts = [slice(0, 7)] if share == "global" else [slice(0, 4), slice(4, 7)]
    for part in parts:
        expected = GRID[relative[:, part].mean(1).argmin()]
        np.testing.assert_allclose(model.alpha_[part], expected)
    assert (model.coef_[7], model.intercept_[7], model.no_signal_[7]) == (
        pytest.approx(np.zeros(5)),
        pytest.approx(3.0),
        True,
    )


@pytest.mark.filterwarnings("ignore:alphas")
def test_one_fold_has_no_standard_error_to_be_conservative_by(rng: np.random.Generator) -> None:
    X, Y = _linear(rng)
    one = [(ROWS[:20], ROWS[20:])]
    plain, careful = (Ridge(GRID, cv=one, conservative=c).fit(X, Y) for c in (False, True))
    np.testing.assert_array_equal(plain.alpha_, careful.alpha_)
    with pytest.raises(ValueError, match="conservative: .*alpha_per='global'"):
        Ridge(GRID, alpha_per="global", conservative=True).fit(X, Y)
