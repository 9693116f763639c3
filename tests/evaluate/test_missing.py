"""Responses that lack rows, and folds too small to be scored."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroalign import schema
from neuroalign.encoders import Ridge
from neuroalign.evaluate import (
    bootstrap_scores,
    compare_models,
    cross_validate,
    select_features,
)

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]
DROP = Ridge(2.0, missing="drop")


def _torn(rng: np.random.Generator, study: Study) -> tuple[xr.DataArray, xr.DataArray]:
    features, responses = study(rng)
    responses[30:60, 1] = np.nan
    responses[5:9, 2] = np.nan
    responses[:29, 3] = np.nan
    return features, responses


def test_neuroids_are_scored_on_their_own_rows(rng: np.random.Generator, study: Study) -> None:
    features, responses = _torn(rng, study)
    result = schema.check(cross_validate(DROP, features, responses, ceiling=None))
    X, run = features.values, responses["run"].values
    for neuroid in range(6):
        y, expected = responses.values[:, neuroid], []
        for one in np.unique(run):
            train = (run != one) & np.isfinite(y)
            test = (run == one) & np.isfinite(y)
            guess = Ridge(2.0).fit(X[train], y[train]).predict(X[test]) if test.any() else []
            expected.append(np.corrcoef(guess, y[test])[0, 1] if test.sum() > 1 else np.nan)
        np.testing.assert_allclose(result["score"][:, neuroid], expected, atol=1e-6)
        np.testing.assert_allclose(result["mean_score"][neuroid], np.nanmean(expected), atol=1e-6)
    assert np.isnan(result["score"].values).sum() == 2


def test_pipelines_and_times_may_lack_rows_too(rng: np.random.Generator, study: Study) -> None:
    features, responses = _torn(rng, study)
    piped = make_pipeline(StandardScaler(), DROP)
    flat = cross_validate(piped, features, responses)["mean_score"]
    cube = responses.isel(neuroid=slice(3)).expand_dims(time=[0.0, 1.0], axis=2).copy()
    cube[:, :, 1] = responses.values[:, 3:]
    split = cross_validate(piped, features, cube)["mean_score"]
    np.testing.assert_allclose(split.values.T.ravel(), flat.values)


def test_what_cannot_lack_rows_is_refused(rng: np.random.Generator, study: Study) -> None:
    features, responses = _torn(rng, study)
    with pytest.raises(ValueError, match="responses: expected finite values"):
        cross_validate(Ridge(2.0), features, responses)
    with pytest.raises(ValueError, match="responses: expected finite values, got 1 NaN or inf"):
        cross_validate(DROP, features, responses.where(responses != responses[0, 0], np.inf))
    with pytest.raises(ValueError, match="n_permutations: expected 0 where responses hold NaN"):
        cross_validate(DROP, features, responses, n_permutations=9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": None, "n_splits": 500}, "n_splits: expected at most 120, as many as .*got 500"),
        ({"group": None, "n_splits": 120}, "n_splits: .*got 1 in 120 of 120 folds. One row has"),
        ({"group": None, "n_splits": 100}, "n_splits: .*got 1 in 80 of 100"),
        ({"group": "time", "n_splits": 120}, "n_splits: .*got 1 in 120 of 120"),
        ({"group": "odd"}, "group: .*got 1 in 1 of 2"),
    ],
)
def test_a_fold_of_one_row_is_named(
    options: dict[str, Any], message: str, rng: np.random.Generator, study: Study
) -> None:
    features, responses = study(rng, odd=("sample", ["a"] * 119 + ["b"]))
    with pytest.raises(ValueError, match=message):
        cross_validate(Ridge(1.0), features, responses, **options)


@pytest.mark.parametrize(("n_inner", "message"), [(90, "got 1 in 90 of 90"), (2.5, "got 2.5")])
def test_inner_folds_are_large_enough_to_choose_by(
    n_inner: Any, message: str, rng: np.random.Generator, study: Study
) -> None:
    features, responses = study(rng)
    spaces = {"one": features, "two": features * 2}
    halves = responses.drop_vars("run").assign_coords(half=("sample", ["a"] * 30 + ["b"] * 90))
    with pytest.raises(ValueError, match=f"n_inner: .*{message}"):
        select_features(Ridge(1.0), spaces, halves, group="half", n_inner=n_inner)


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_the_bootstrap_leaves_missing_rows_out(
    metric: str, rng: np.random.Generator, study: Study
) -> None:
    features, whole = study(rng)
    torn = whole.copy()
    torn[7:25:3, 1] = np.nan
    options = {"metric": metric, "ceiling": None, "keep": ("prediction",)}
    result = cross_validate(DROP, features, torn, **options)
    found = bootstrap_scores(result, torn, n_resamples=200)
    np.testing.assert_allclose(found["estimate"], result["mean_score"], atol=1e-5)
    # Without a gap the numbers are those of a study that never had the rows.
    kept = np.isfinite(torn.values[:, 1])
    alone = cross_validate(DROP, features[kept], whole[kept, 1:2], **options)
    shorter = bootstrap_scores(alone, whole[kept, 1:2], n_resamples=200)
    np.testing.assert_allclose(found["estimate"][1], shorter["estimate"][0], atol=1e-5)
    np.testing.assert_allclose(found["standard_error"][1], shorter["standard_error"][0], rtol=0.25)


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_models_are_compared_on_the_rows_there_are(
    metric: str, rng: np.random.Generator, study: Study
) -> None:
    features, responses = _torn(rng, study)
    options = {"metric": metric, "ceiling": None, "keep": ("prediction",)}
    one, two = (
        cross_validate(DROP, space, responses, **options) for space in (features, features[:, :3])
    )
    found = compare_models(one, two, responses=responses, n_permutations=99, n_resamples=50)
    expected = one["mean_score"] - two["mean_score"]
    np.testing.assert_allclose(found["difference"], expected, atol=1e-5)
    over = compare_models(one, two, over="neuroid", n_permutations=99, n_resamples=50)
    np.testing.assert_allclose(over["difference"], expected.mean(), atol=1e-6)


def test_a_choice_is_made_and_scored_on_the_rows_there_are(
    rng: np.random.Generator, study: Study
) -> None:
    features, responses = _torn(rng, study)
    noise = features.copy(data=rng.normal(size=features.shape))
    spaces = {"noise": noise, "true": features}
    result = schema.check(select_features(DROP, spaces, responses, ceiling=None, n_inner=3))
    plain = cross_validate(DROP, features, responses, ceiling=None)
    assert (result["choice"] == "true").mean() > 0.8
    np.testing.assert_allclose(result["space_score"].sel(space="true"), plain["score"])
    assert np.isfinite(result["mean_score"]).all()
    with pytest.raises(ValueError, match="responses: expected finite values"):
        select_features(Ridge(2.0), spaces, responses)
