"""Ridge against scikit-learn, the normal equations, and brute-force selection."""

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.linear_model import RidgeCV as PeerCV
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroalign.encoders import Ridge
from neuroalign.errors import NeuroalignWarning, SchemaError

GRID = np.logspace(-3, 4, 15)


def _linear(
    rng: np.random.Generator, n: int = 60, p: int = 8, t: int = 6, noise: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X = rng.normal(size=(n, p)) + 1.5
    weights = rng.normal(size=(p, t))
    Y = X @ weights + noise * np.linspace(0.3, 3, t) * rng.normal(size=(n, t)) - 4.0
    return X, Y, weights


def _brute_force(X: np.ndarray, Y: np.ndarray, folds: Any, grid: np.ndarray) -> np.ndarray:
    losses = np.zeros((len(grid), Y.shape[1]))
    for train, test in folds:
        for row, alpha in enumerate(grid):
            peer = PeerRidge(alpha=alpha).fit(X[train], Y[train])
            losses[row] += ((Y[test] - peer.predict(X[test])) ** 2).sum(0)
    return grid[losses.argmin(0)]


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
@pytest.mark.parametrize("solver", ["auto", "primal", "dual"])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_fixed_penalty_gives_the_weights_of_scikit_learn(
    shape: tuple[int, int], solver: str, intercept: bool, rng: np.random.Generator
) -> None:
    X, Y, _ = _linear(rng, *shape)
    ours = Ridge(3.0, alpha_scale="absolute", solver=solver, fit_intercept=intercept).fit(X, Y)
    peer = PeerRidge(alpha=3.0, fit_intercept=intercept, solver="svd").fit(X, Y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-8, atol=1e-10)


def test_single_precision_agrees_to_four_digits(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 80, 30)
    ours = Ridge(5.0, alpha_scale="absolute").fit(X.astype("f4"), Y.astype("f4"))
    peer = PeerRidge(alpha=5.0).fit(X, Y)
    assert ours.coef_.dtype == ours.predict(X.astype("f4")).dtype == np.float32
    np.testing.assert_allclose(ours.predict(X.astype("f4")), peer.predict(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(60, 8), (40, 70)])
def test_penalties_equal_a_brute_force_search_for_each_neuroid(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    X, Y, _ = _linear(rng, *shape)
    ours = Ridge(GRID, alpha_scale="absolute", cv=4).fit(X, Y)
    expected = _brute_force(X, Y, KFold(4).split(X), GRID)
    np.testing.assert_array_equal(ours.alpha_, expected)
    assert len(np.unique(expected)) > 1
    for target, alpha in enumerate(expected):
        peer = PeerRidge(alpha=alpha).fit(X, Y[:, target])
        np.testing.assert_allclose(ours.coef_[target], peer.coef_, rtol=1e-8, atol=1e-10)


def test_penalty_of_one_target_equals_grid_search_of_scikit_learn(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, t=1)
    ours = Ridge(GRID, alpha_scale="absolute", cv=5).fit(X, Y[:, 0])
    search = GridSearchCV(
        PeerRidge(), {"alpha": GRID}, cv=KFold(5), scoring="neg_mean_squared_error"
    ).fit(X, Y[:, 0])
    assert ours.alpha_ == search.best_params_["alpha"]
    assert ours.cv_mse_ == pytest.approx(-search.best_score_)


def test_a_global_penalty_has_the_best_mean_of_relative_errors(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, t=20)
    one = Ridge(GRID, alpha_per="global").fit(X, Y)
    assert len(np.unique(one.alpha_)) == 1
    null = np.zeros(20)
    losses = np.zeros((len(GRID), 20))
    for train, test in KFold(5).split(X):
        null += ((Y[test] - Y[train].mean(0)) ** 2).sum(0)
        for row, alpha in enumerate(one.alphas_):
            peer = PeerRidge(alpha=alpha).fit(X[train], Y[train])
            losses[row] += ((Y[test] - peer.predict(X[test])) ** 2).sum(0)
    assert one.alpha_[0] == one.alphas_[(losses / null).mean(1).argmin()]


def test_more_neuroids_than_a_chunk_change_nothing(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 30, 4, 1203)
    whole, part = Ridge(GRID).fit(X, Y), Ridge(GRID).fit(X, Y[:, 990:1010])
    np.testing.assert_allclose(whole.coef_[990:1010], part.coef_, rtol=1e-9)
    np.testing.assert_array_equal(whole.alpha_[990:1010], part.alpha_)


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_primal_and_dual_agree(shape: tuple[int, int], rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, *shape)
    primal, dual = (Ridge(GRID, solver=name).fit(X, Y) for name in ("primal", "dual"))
    np.testing.assert_allclose(primal.alphas_, dual.alphas_)
    np.testing.assert_allclose(primal.cv_mse_, dual.cv_mse_, rtol=1e-9)
    np.testing.assert_allclose(primal.coef_, dual.coef_, rtol=1e-7, atol=1e-9)


def test_order_of_samples_does_not_matter_within_groups(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    groups, order = np.repeat(np.arange(5), 12), rng.permutation(60)
    straight = Ridge(GRID).fit(X, Y, groups=groups)
    shuffled = Ridge(GRID).fit(X[order], Y[order], groups=groups[order])
    # The mean eigenvalue that scales the grid is summed in another order.
    np.testing.assert_allclose(straight.alpha_, shuffled.alpha_, rtol=1e-14)
    np.testing.assert_allclose(straight.coef_, shuffled.coef_, rtol=1e-9)


def test_splitters_lists_and_groups_name_the_same_folds(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    groups = np.tile(np.arange(6), 10)
    by_int = Ridge(GRID, cv=3).fit(X, Y, groups=groups)
    by_splitter = Ridge(GRID, cv=GroupKFold(3)).fit(X, Y, groups=groups)
    by_list = Ridge(GRID, cv=list(GroupKFold(3).split(X, groups=groups))).fit(X, Y)
    np.testing.assert_array_equal(by_int.cv_mse_, by_splitter.cv_mse_)
    np.testing.assert_array_equal(by_int.cv_mse_, by_list.cv_mse_)


def test_relative_penalties_follow_the_scale_of_features(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    small, large = Ridge().fit(X, Y), Ridge().fit(1000 * X, Y)
    np.testing.assert_allclose(small.coef_, 1000 * large.coef_, rtol=1e-6)
    centred = X - X.mean(0)
    assert small.alphas_[0] == pytest.approx(1e-4 * (centred**2).sum() / len(X))


def test_time_is_fitted_like_more_neuroids(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, t=12)
    flat, cube = Ridge(GRID).fit(X, Y), Ridge(GRID).fit(X, Y.reshape(60, 4, 3))
    assert cube.coef_.shape == (4, 3, 8)
    assert cube.alpha_.shape == cube.intercept_.shape == (4, 3)
    np.testing.assert_array_equal(cube.predict(X).reshape(60, 12), flat.predict(X))
    assert cube.score(X, Y.reshape(60, 4, 3)) == pytest.approx(flat.score(X, Y))


def test_labelled_time_comes_back_labelled(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, t=6)
    features = xr.DataArray(X, dims=("sample", "feature"))
    responses = xr.DataArray(
        Y.reshape(60, 3, 2),
        dims=("sample", "neuroid", "time"),
        coords={"neuroid": list("abc"), "roi": ("neuroid", ["V1", "V2", "V2"]), "time": [0.0, 0.1]},
    )
    model = Ridge(GRID).fit(features, responses)
    assert model.predict(features).dims == ("sample", "neuroid", "time")
    assert model.weights_.dims == ("feature", "neuroid", "time")
    assert model.weights_["roi"].values.tolist() == ["V1", "V2", "V2"]
    np.testing.assert_array_equal(model.weights_.values, np.moveaxis(model.coef_, -1, 0))


def test_one_target_without_a_neuroid_axis_gives_plain_numbers(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    model = Ridge(GRID).fit(X, Y[:, 0])
    assert model.coef_.shape == (8,)
    assert np.ndim(model.intercept_) == np.ndim(model.alpha_) == 0
    assert model.predict(X).shape == (60,)


@pytest.mark.parametrize("shape", [(60, 6), (60, 3, 2)])
@pytest.mark.parametrize("labelled", [False, True])
def test_scikit_learn_tools_take_it(
    shape: tuple[int, ...], labelled: bool, rng: np.random.Generator
) -> None:
    X, Y, _ = _linear(rng)
    Y = Y.reshape(shape)
    if labelled:
        X = xr.DataArray(X, dims=("sample", "feature"))
        Y = xr.DataArray(Y, dims=("sample", "neuroid", "time")[: Y.ndim])
    assert np.isfinite(cross_val_score(Ridge(GRID), X, Y, cv=3)).all()
    search = GridSearchCV(Ridge(), {"alphas": [0.1, 1.0]}, cv=3).fit(X, Y)
    assert search.best_params_["alphas"] in (0.1, 1.0)
    pipeline = make_pipeline(StandardScaler(), Ridge(GRID)).fit(X, Y)
    assert np.shape(pipeline.predict(X)) == shape
    assert np.isfinite(cross_val_score(pipeline, X, Y, cv=3)).all()


def test_constant_neuroids_get_zero_weights_and_do_not_count(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    Y[:, :4] = 0.1
    model = Ridge(GRID).fit(X, Y)
    np.testing.assert_array_equal(model.coef_[:4], 0.0)
    np.testing.assert_allclose(model.predict(X)[:, :4], 0.1)
    assert (model.alpha_[:4] == model.alphas_[-1]).all()
    assert model.edge_high_ == 0.0


def test_constant_features_predict_the_mean(rng: np.random.Generator) -> None:
    Y = rng.normal(size=(20, 3))
    model = Ridge().fit(np.ones((20, 4)), Y)
    np.testing.assert_allclose(model.predict(np.ones((2, 4)))[0], Y.mean(0), atol=1e-12)


def test_neuroids_without_signal_take_the_largest_penalty_silently(
    rng: np.random.Generator,
) -> None:
    X, Y = rng.normal(size=(80, 5)), rng.normal(size=(80, 200))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Ridge().fit(X, Y)
    assert model.edge_high_ > 0.3
    assert model.edge_low_ == 0.0


@pytest.mark.parametrize(
    ("grid", "edge"), [([1e3, 1e4, 1e5], "smallest"), ([1e-9, 1e-3, 1e-2], "largest")]
)
def test_a_grid_that_is_too_short_is_said(
    grid: list[float], edge: str, rng: np.random.Generator
) -> None:
    X, Y, _ = _linear(rng, 60, 30, noise=3.0)
    with pytest.warns(NeuroalignWarning, match=f"alphas: expected the best.*the {edge} for .*%"):
        Ridge(grid).fit(X, Y)


@pytest.mark.parametrize("broken", ["X", "y"])
def test_nan_is_refused(broken: str, rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    (X if broken == "X" else Y)[3, 2] = np.nan
    with pytest.raises(ValueError, match=rf"Input {broken} contains NaN"):
        Ridge().fit(X, Y)


@pytest.mark.parametrize("alphas", [-1.0, [1.0, np.inf], [], np.ones((2, 2))])
def test_impossible_penalties_are_refused(alphas: Any, rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    with pytest.raises(ValueError, match="alphas: expected finite numbers >= 0"):
        Ridge(alphas).fit(X, Y)


@pytest.mark.parametrize("option", ["solver", "alpha_per", "alpha_scale"])
def test_unknown_options_are_refused(option: str, rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    with pytest.raises(ValueError, match=f"{option}: expected one of .*got 'other'"):
        Ridge(**{option: "other"}).fit(X, Y)


def test_four_dims_of_targets_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match=r"y: expected .*got 4 dims"):
        Ridge().fit(rng.normal(size=(4, 2)), rng.normal(size=(4, 2, 2, 2)))


def test_penalties_are_numbers() -> None:
    with pytest.raises(ValueError, match="alphas: expected finite numbers >= 0, got auto"):
        Ridge(alphas="auto").fit(np.eye(4), np.eye(4))


def test_a_large_offset_is_no_error_in_float32() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100_000, 2)).astype(np.float32)
    responses = (1e4 + rng.normal(size=(100_000, 3))).astype(np.float32)
    fitted = Ridge().fit(features, responses)
    assert fitted.intercept_ == pytest.approx(responses.mean(0, dtype=np.float64), abs=1e-2)
    assert fitted.cv_mse_ == pytest.approx(responses.var(0, dtype=np.float64), rel=1e-2)


def _refit_at(X: np.ndarray, Y: np.ndarray, model: Any) -> np.ndarray:
    """Weights of scikit-learn at the penalties chosen."""
    peers = [
        PeerRidge(alpha=alpha).fit(X, Y[:, number]) for number, alpha in enumerate(model.alpha_)
    ]
    return np.stack([peer.coef_ for peer in peers])


@pytest.mark.parametrize("cv", ["loo", "gcv"])
@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_rows_left_out_choose_what_scikit_learn_chooses(
    cv: str, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    X, Y, _ = _linear(rng, *shape)
    model = Ridge(GRID, alpha_scale="absolute", cv=cv).fit(X, Y)
    np.testing.assert_allclose(model.coef_, _refit_at(X, Y, model), rtol=1e-7, atol=1e-9)
    if cv == "loo":
        peers = [PeerCV(GRID).fit(X, Y[:, number]).alpha_ for number in range(Y.shape[1])]
        np.testing.assert_allclose(model.alpha_, peers)


@pytest.mark.parametrize("search", ["coarse", "mixed"])
def test_cheap_searches_find_nearly_always_the_same(search: str) -> None:
    if search == "mixed":
        pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    X = (rng.normal(size=(300, 200)) / np.sqrt(np.arange(1, 201))).astype("f4")
    noise = np.exp(rng.uniform(0, 3, size=1500)) * rng.normal(size=(300, 1500))
    Y = (X @ rng.normal(size=(200, 1500)) + noise).astype("f4")
    grid = np.logspace(-1, 5, 20)
    exact = Ridge(grid, alpha_scale="absolute").fit(X, Y)
    cheap = Ridge(grid, alpha_scale="absolute", search=search).fit(X, Y)
    steps = np.abs(np.log(cheap.alpha_ / exact.alpha_)) / np.log(grid[1] / grid[0])
    assert (steps < 0.5).mean() >= 0.99
    assert (steps < 1.5).mean() >= 0.999
    excess = cheap.cv_mse_ / exact.cv_mse_ - 1
    assert excess.mean() <= 1e-5
    assert excess.max() <= 1e-3


def test_an_unknown_mode_is_refused(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng)
    with pytest.raises(ValueError, match="cv: expected one of 'loo', 'gcv', got 'bic'"):
        Ridge(cv="bic").fit(X, Y)


def test_one_standard_error_takes_a_larger_penalty(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 60, 8, 40, noise=6.0)
    folds = list(KFold(5).split(X))
    losses = np.zeros((len(GRID), 5, 40))
    for number, (train, test) in enumerate(folds):
        for row, alpha in enumerate(GRID):
            peer = PeerRidge(alpha=alpha).fit(X[train], Y[train])
            losses[row, number] = ((Y[test] - peer.predict(X[test])) ** 2).mean(0)
    mean, error = losses.mean(1), losses.std(1, ddof=1) / np.sqrt(5)
    best = mean.argmin(0)
    bound = (mean + error)[best, np.arange(40)]
    expected = [GRID[mean[:, t] <= bound[t]].max() for t in range(40)]
    model = Ridge(GRID, alpha_scale="absolute", cv=folds, conservative=True).fit(X, Y)
    np.testing.assert_allclose(model.alpha_, expected)
    with pytest.raises(ValueError, match="conservative: expected folds"):
        Ridge(cv="gcv", conservative=True).fit(X, Y)


def test_each_region_takes_one_penalty(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 80, 8, 6)
    roi = ["V1", "V1", "IT", "V1", "IT", "IT"]
    coords = {"neuroid": [f"n{t}" for t in range(6)], "roi": ("neuroid", roi)}
    labelled = xr.DataArray(Y, coords, ("sample", "neuroid"))
    model = Ridge(GRID, alpha_per="roi", alpha_scale="absolute").fit(X, labelled)
    for name in ("V1", "IT"):
        part = Y[:, [label == name for label in roi]]
        alone = Ridge(GRID, alpha_per="global", alpha_scale="absolute").fit(X, part)
        chosen = model.alpha_[[label == name for label in roi]]
        np.testing.assert_allclose(chosen, alone.alpha_)
    with pytest.raises(SchemaError, match="coord 'roi' on 'neuroid' .* got a bare array"):
        Ridge(alpha_per="roi").fit(X, Y)


def test_missing_rows_are_left_out_neuroid_by_neuroid(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 60, 8, 5)
    broken = Y.copy()
    broken[:10, 1] = np.nan
    broken[:10, 3] = np.nan
    broken[[5, 40], 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Ridge(GRID).fit(X, broken)
    model = Ridge(GRID, missing="drop", cv=list(KFold(4).split(X))).fit(X, broken)
    for column, gone in ((0, []), (1, range(10)), (3, range(10)), (4, [5, 40])):
        rows = np.delete(np.arange(60), gone)
        place = np.full(60, -1)
        place[rows] = np.arange(len(rows))
        folds = [(place[a][place[a] >= 0], place[b][place[b] >= 0]) for a, b in KFold(4).split(X)]
        alone = Ridge(GRID, cv=[f for f in folds if len(f[1])]).fit(X[rows], Y[rows, column])
        np.testing.assert_allclose(model.coef_[column], alone.coef_, rtol=1e-8, atol=1e-12)
        assert model.cv_mse_[column] == pytest.approx(alone.cv_mse_)
    broken[1:, 2] = np.nan
    with pytest.raises(ValueError, match="y: expected at least 2 rows without NaN"):
        Ridge(missing="drop").fit(X, broken)


def test_weights_of_samples_equal_repeated_samples(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 40, 8, 3)
    times = rng.integers(1, 4, size=40)
    rows = np.repeat(np.arange(40), times)
    folds = list(KFold(4).split(X))
    repeated = [
        (np.flatnonzero(np.isin(rows, a)), np.flatnonzero(np.isin(rows, b))) for a, b in folds
    ]
    ours = Ridge(np.logspace(-5, 4, 15), cv=folds).fit(X, Y, sample_weight=times)
    long = Ridge(np.logspace(-5, 4, 15), cv=repeated).fit(X[rows], Y[rows])
    np.testing.assert_allclose(ours.alpha_, long.alpha_)
    np.testing.assert_allclose(ours.coef_, long.coef_, rtol=1e-8)
    np.testing.assert_allclose(ours.intercept_, long.intercept_, rtol=1e-8)
    np.testing.assert_allclose(ours.cv_mse_, long.cv_mse_, rtol=1e-8)


def test_neuroids_without_signal_are_named(rng: np.random.Generator) -> None:
    X, Y, _ = _linear(rng, 100, 8, 6, noise=0.5)
    Y[:, [1, 4]] = rng.normal(size=(100, 2))
    model = Ridge(np.logspace(-4, 1, 6)).fit(X, Y)
    assert not model.no_signal_[[0, 2, 3, 5]].any()
    assert model.no_signal_[[1, 4]].all()


@pytest.mark.parametrize(
    ("grid", "edge"), [(np.logspace(6, 9, 4), "smallest"), (np.logspace(-9, -6, 4), "largest")]
)
def test_a_grid_far_off_is_said_though_errors_are_flat(
    grid: np.ndarray, edge: str, rng: np.random.Generator
) -> None:
    X, Y, _ = _linear(rng, 60, 20, 12)
    with pytest.warns(NeuroalignWarning, match=f"got the {edge} for"):
        Ridge(grid).fit(X, Y)
