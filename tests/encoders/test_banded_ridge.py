"""Banded ridge against himalaya, plain ridge and the normal equations; its promises on spaces."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from neuroalign.encoders import BandedRidge, Ridge
from neuroalign.encoders._simplex import SimplexSearch, draw_candidates
from neuroalign.encoders._spaces import read_spaces, take_root
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError

GRID = np.logspace(-3, 4, 15)
SPACES = ["a"] * 6 + ["b"] * 9


def _two_spaces(rng: np.random.Generator, n: int = 120, t: int = 8) -> tuple[np.ndarray, ...]:
    """Half of the targets follow the first space only; the second is large and mostly noise."""
    X = rng.normal(size=(n, 15)) * np.array([1.0] * 6 + [20.0] * 9) + 3
    weights = rng.normal(size=(15, t)) / np.array([1.0] * 6 + [20.0] * 9)[:, None]
    weights[6:, : t // 2] = 0
    return X, X @ weights + 2 * rng.normal(size=(n, t)) + 5


def _scale(X: np.ndarray) -> np.ndarray:
    parts = [X[:, :6] - X[:, :6].mean(0), X[:, 6:] - X[:, 6:].mean(0)]
    return np.concatenate([one / np.sqrt((one**2).sum() / len(X)) for one in parts], axis=1)


def _brute_force(X: np.ndarray, Y: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, ...]:
    scaled = _scale(X)
    losses = np.zeros((len(candidates), len(GRID), Y.shape[1]))
    for row, (first, second) in enumerate(candidates):
        own = scaled * np.sqrt([first] * 6 + [second] * 9)
        for train, test in KFold(5).split(X):
            for column, alpha in enumerate(GRID):
                peer = PeerRidge(alpha=alpha).fit(own[train], Y[train])
                losses[row, column] += ((Y[test] - peer.predict(own[test])) ** 2).sum(0)
    flat = losses.reshape(-1, Y.shape[1])
    best = flat.argmin(0)
    return candidates[best // len(GRID)], GRID[best % len(GRID)], flat.min(0) / len(X)


def test_a_full_search_is_the_brute_force_search(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    candidates = draw_candidates(2, 12, 3)
    model = BandedRidge(GRID, spaces=SPACES, candidates=candidates, n_best=12).fit(X, Y)
    weights, alphas, mse = _brute_force(X, Y, candidates)
    np.testing.assert_allclose(model.cv_mse_, mse, rtol=1e-8)
    np.testing.assert_allclose(model.space_weights_, weights)
    np.testing.assert_allclose(model.alpha_, alphas)


def test_screening_costs_little_held_out_error(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng, t=60)
    full = BandedRidge(GRID, spaces=SPACES, n_candidates=40, n_best=40).fit(X, Y)
    few = BandedRidge(GRID, spaces=SPACES, n_candidates=40, n_best=5).fit(X, Y)
    assert (few.cv_mse_ >= full.cv_mse_ - 1e-9).all()
    assert np.mean(few.cv_mse_ / full.cv_mse_) < 1.005


def test_himalaya_finds_no_better_weights_among_the_same(rng: np.random.Generator) -> None:
    himalaya = pytest.importorskip("himalaya.ridge")
    X, Y = _two_spaces(rng, t=20)
    candidates = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.99, 0.01]])
    ours = BandedRidge(GRID, spaces=SPACES, candidates=candidates, n_best=4).fit(X, Y)
    params = {"n_iter": candidates, "alphas": GRID, "progress_bar": False}
    groups = [0] * 6 + [1] * 9
    peer = himalaya.GroupRidgeCV(groups, cv=5, fit_intercept=True, solver_params=params)
    peer.fit(_scale(X), Y)
    np.testing.assert_allclose(ours.predict(X), peer.predict(_scale(X)), rtol=1e-4, atol=1e-3)


def test_one_space_is_plain_ridge(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    grid = np.logspace(-7, 3, 21)
    banded, plain = BandedRidge(grid).fit(X, Y), Ridge(grid).fit(X, Y)
    np.testing.assert_allclose(banded.predict(X), plain.predict(X), rtol=1e-8)
    np.testing.assert_allclose(banded.cv_mse_, plain.cv_mse_, rtol=1e-8)


@pytest.mark.parametrize("intercept", [True, False])
def test_wide_spaces_give_the_weights_of_their_columns(
    intercept: bool, rng: np.random.Generator
) -> None:
    X = rng.normal(size=(30, 90)) + 1
    Y = X[:, :3] @ rng.normal(size=(3, 4)) + rng.normal(size=(30, 4))
    labels = ["a"] * 40 + ["b"] * 50
    model = BandedRidge(2.0, spaces=labels, candidates=[[0.3, 0.7]], fit_intercept=intercept).fit(
        X, Y
    )
    scale = np.sqrt(np.array([0.3] * 40 + [0.7] * 50)) / np.repeat(model.space_scales_, [40, 50])
    peer = PeerRidge(alpha=2.0, fit_intercept=intercept, solver="svd").fit(X * scale, Y)
    np.testing.assert_allclose(model.coef_, peer.coef_ * scale, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(model.predict(X), peer.predict(X * scale), rtol=1e-7, atol=1e-9)


def test_a_space_without_weight_is_dropped_where_himalaya_crashes(
    rng: np.random.Generator,
) -> None:
    X, Y = _two_spaces(rng)
    model = BandedRidge(GRID, spaces=SPACES, candidates=np.eye(2)).fit(X, Y)
    dropped = model.space_weights_ == 0
    assert dropped.any(axis=0).all()
    assert (model.coef_[dropped[:, 0], :6] == 0).all()
    only = Ridge(GRID).fit(X[:, :6], Y)
    kept = dropped[:, 1]
    np.testing.assert_allclose(model.predict(X)[:, kept], only.predict(X[:, :6])[:, kept])


def test_offset_targets_lose_nothing_where_himalaya_falls_to_minus_51(
    rng: np.random.Generator,
) -> None:
    X, Y = _two_spaces(rng)
    near = BandedRidge(GRID, spaces=SPACES, n_candidates=10).fit(X, Y)
    far = BandedRidge(GRID, spaces=SPACES, n_candidates=10).fit(X, Y + 1e4)
    np.testing.assert_allclose(far.predict(X) - 1e4, near.predict(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(far.cv_r2_, near.cv_r2_, atol=1e-6)


def test_refined_and_split_fits_keep_an_intercept_where_those_of_himalaya_have_none(
    rng: np.random.Generator,
) -> None:
    X, Y = _two_spaces(rng, t=3)
    options: dict[str, Any] = {"spaces": SPACES, "candidates": [[0.5, 0.5]], "n_refine": 2}
    near = BandedRidge(GRID, **options).fit(X, Y)
    far = BandedRidge(GRID, **options).fit(X + 100, Y + 1e4)
    np.testing.assert_allclose(far.predict(X + 100) - 1e4, near.predict(X), atol=1e-5)
    parts = far.predict(X + 100, split=True)
    np.testing.assert_allclose(parts.sum(axis=1), far.predict(X + 100), rtol=1e-9)


def test_split_predictions_add_up(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    model = BandedRidge(GRID, spaces=SPACES, n_candidates=10).fit(X[:90], Y[:90])
    parts = model.predict(X[90:], split=True)
    assert parts.shape == (30, 2, 8)
    np.testing.assert_allclose(parts.sum(axis=1), model.predict(X[90:]), rtol=1e-9)


def test_labelled_split_predictions_carry_their_space(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    features = xr.DataArray(X, dims=("sample", "feature"), coords={"space": ("feature", SPACES)})
    responses = xr.DataArray(
        np.stack([Y, 2 * Y], axis=2), dims=("sample", "neuroid", "time"),
        coords={"neuroid": [f"n{i}" for i in range(8)], "time": [0.1, 0.2]},
    )  # fmt: skip
    model = BandedRidge(GRID, n_candidates=10).fit(features, responses)
    parts = model.predict(features, split=True)
    assert parts.dims == ("sample", "space", "neuroid", "time")
    assert parts["space"].values.tolist() == ["a", "b"]
    np.testing.assert_allclose(parts.sum("space"), model.predict(features))
    measured = model.product_measure(features, responses)
    assert measured.sel(space="a").dims == ("neuroid", "time")


def test_the_product_measure_adds_up_to_r2_for_offset_targets(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    model = BandedRidge(GRID, spaces=SPACES, n_candidates=10).fit(X[:80], Y[:80])
    parts = model.product_measure(X[80:], Y[80:])
    joint = r2_score(Y[80:], model.predict(X[80:]), multioutput="raw_values")
    np.testing.assert_allclose(parts.sum(axis=0), joint, atol=1e-10)
    assert (parts[0, :4] > parts[1, :4]).all()


def test_weights_of_an_irrelevant_space_are_small(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng, n=400)
    model = BandedRidge(spaces=SPACES, n_candidates=40).fit(X, Y)
    assert model.space_weights_[:4, 1].mean() < 0.05 < model.space_weights_[4:, 1].min()


def test_refinement_never_raises_the_held_out_error(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng, t=20)
    coarse = BandedRidge(GRID, spaces=SPACES, candidates=[[0.5, 0.5]]).fit(X, Y)
    fine = BandedRidge(GRID, spaces=SPACES, candidates=[[0.5, 0.5]], n_refine=3).fit(X, Y)
    assert (fine.cv_mse_ <= coarse.cv_mse_ + 1e-12).all()
    assert fine.cv_mse_[:10].mean() < 0.995 * coarse.cv_mse_[:10].mean()
    np.testing.assert_allclose(fine.space_weights_.sum(axis=1), 1)


def test_slopes_of_log_weights_match_finite_differences(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng, t=3)
    parts = [take_root(X[:, :6], center=True).values, take_root(X[:, 6:], center=True).values]
    search = SimplexSearch(parts, [], np.ones(1), center=True, n_best=1)
    alphas = np.array([0.1, 1.0, 10.0])

    def log_gcv(weights: np.ndarray) -> np.ndarray:
        kernel = sum(one * part @ part.T for one, part in zip(weights, parts, strict=True))
        lost = []
        for alpha, y in zip(alphas, (Y - Y.mean(0)).T, strict=True):
            rest = alpha * np.linalg.inv(kernel + alpha * np.eye(len(X)))
            lost.append(np.log(y @ rest @ rest @ y) - 2 * np.log(np.trace(rest) - 1))
        return np.array(lost)

    weights = np.array([0.3, 0.7])
    moved = [weights * np.exp(1e-5 * row) for row in np.eye(2)]
    back = [weights * np.exp(-1e-5 * row) for row in np.eye(2)]
    numeric = [(log_gcv(a) - log_gcv(b)) / 2e-5 for a, b in zip(moved, back, strict=True)]
    np.testing.assert_allclose(search._slope(Y, weights, alphas), numeric, rtol=1e-4, atol=1e-7)


def test_refinement_of_one_target_does_not_depend_on_the_others(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng, t=12)
    options = {"spaces": SPACES, "n_candidates": 20, "n_best": 3, "n_refine": 2}
    together = BandedRidge(GRID, **options).fit(X, Y).predict(X)
    alone = BandedRidge(GRID, **options).fit(X, Y[:, 5]).predict(X)
    np.testing.assert_allclose(together[:, 5], alone, rtol=1e-9)


def test_candidates_lie_on_the_simplex_and_hold_exact_zeros() -> None:
    rows = draw_candidates(20, 2000, 0)
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert rows.shape == (2000, 20)
    assert (rows[:20] == np.eye(20)).all()
    assert not ((rows > 0) & (rows < 5e-7)).any()


def test_single_precision_agrees(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    options = {"spaces": SPACES, "candidates": [[0.4, 0.6]]}
    single = BandedRidge(1.0, **options).fit(X.astype("f4"), Y.astype("f4"))
    double = BandedRidge(1.0, **options).fit(X, Y)
    assert single.coef_.dtype == single.predict(X.astype("f4")).dtype == np.float32
    np.testing.assert_allclose(single.predict(X.astype("f4")), double.predict(X), rtol=1e-3)


def test_a_constant_space_and_a_constant_target_do_no_harm(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    X[:, 6:], Y[:, 0] = 4.0, 7.0
    model = BandedRidge(GRID, spaces=SPACES, n_candidates=10).fit(X, Y)
    np.testing.assert_allclose(model.predict(X)[:, 0], 7)
    assert np.isfinite(model.predict(X)).all()


def test_a_short_grid_is_said(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    with pytest.warns(NeuroalignWarning, match="alphas: expected the best penalty inside"):
        BandedRidge([1e3, 1e4], spaces=SPACES, n_candidates=5).fit(X, Y)


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        (["a"] * 4, "spaces: expected one label for each of 15 features"),
        ([[0, 1], [1, 2]], "spaces: expected every feature in exactly one space"),
        ({"a": slice(0, 15), "b": []}, "no space empty"),
    ],
)
def test_bad_spaces_are_named(spaces: object, message: str, rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    with pytest.raises(SchemaError, match=message):
        BandedRidge(spaces=spaces).fit(X, Y)


def test_spaces_may_be_labels_groups_or_a_mapping() -> None:
    expected = [[0, 1], [2, 3]]
    for spaces in (list("aabb"), [[0, 1], [2, 3]], {"x": slice(0, 2), "y": [2, 3]}):
        found = read_spaces(spaces, None, 4)
        assert [one.tolist() for one in found.values()] == expected


def test_bad_candidates_and_penalties_are_named(rng: np.random.Generator) -> None:
    X, Y = _two_spaces(rng)
    with pytest.raises(ValueError, match="candidates: expected weights >= 0 of 2 spaces"):
        BandedRidge(spaces=SPACES, candidates=[[1, -1]]).fit(X, Y)
    with pytest.raises(ValueError, match="alphas: expected finite numbers >= 0"):
        BandedRidge(-1.0, spaces=SPACES).fit(X, Y)
    with pytest.raises(ValueError, match="cv: expected an int, a splitter or a list"):
        BandedRidge(spaces=SPACES, cv="gcv").fit(X, Y)


def test_categories_explain_voxels_of_haxby_beyond_drift(real_data: Path) -> None:
    from neuroalign.encoders import partition_variance

    X, Y, runs = load_haxby(real_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeuroalignWarning)
        found = partition_variance(
            X, Y, groups=runs, cv=4, estimator=BandedRidge(n_candidates=10), n_bootstrap=200
        )
    category = found["share"].sel(part="category")
    sure = found["share_low"].sel(part="category") > 0
    assert float(category.quantile(0.95)) > 0.1
    assert int(sure.sum()) > 100
    total = found["share"].sum("part")
    np.testing.assert_allclose(total, found["r2"].sel(model="category+drift"), atol=1e-10)


def load_haxby(folder: Path) -> tuple[xr.DataArray, xr.DataArray, np.ndarray]:
    """Category (already late, as PROVENANCE tells) and drift in each run, for 530 voxels."""
    nibabel = pytest.importorskip("nibabel")
    own = folder / "haxby2001_pymvpa"
    mask = np.asarray(nibabel.load(own / "mask.nii.gz").dataobj).squeeze() > 0
    bold = np.asarray(nibabel.load(own / "bold.nii.gz").dataobj).squeeze()[mask].T.astype("f4")
    rows = [line.split() for line in (own / "attributes_literal.txt").read_text().splitlines()]
    rows = [row for row in rows if len(row) == 2 and row[1].isdigit()]
    labels, runs = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    names = [one for one in np.unique(labels) if one != "rest"]
    category = np.stack([labels == one for one in names], axis=1).astype("f4")
    time = np.concatenate([np.linspace(-1, 1, (runs == one).sum()) for one in dict.fromkeys(runs)])
    drift = np.stack([time**power for power in (1, 2, 3)], axis=1).astype("f4")
    for one in np.unique(runs):
        bold[runs == one] -= bold[runs == one].mean(axis=0)
    spaces = ["category"] * len(names) + ["drift"] * 3
    X = xr.DataArray(
        np.concatenate([category, drift], axis=1), dims=("sample", "feature"),
        coords={"space": ("feature", spaces)},
    )  # fmt: skip
    voxels = [f"voxel-{row}" for row in range(bold.shape[1])]
    return X, xr.DataArray(bold, dims=("sample", "neuroid"), coords={"neuroid": voxels}), runs


def test_the_product_measure_refuses_rows_of_another_stimulus(rng: np.random.Generator) -> None:
    coords = {"stimulus": ("sample", [f"s{row}" for row in range(20)])}
    X = xr.DataArray(rng.normal(size=(20, 2)), coords, ("sample", "feature"))
    y = X.rename(feature="neuroid")
    model = BandedRidge(1.0, spaces=["a", "b"], n_candidates=5).fit(X, y)
    with pytest.raises(AlignError, match="y: expected the 'stimulus' of X"):
        model.product_measure(X, y[::-1])
