"""Steps of scikit-learn do not cost the encoder its labels."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from neuroalign.encoders import PLS, BandedRidge, CategoryMean, FromSklearn, TemporalReceptiveField
from neuroalign.evaluate import cross_validate
from neuroalign.evaluate._pipelines import keep_labels
from neuroalign.loaders import features_from_arrays, from_arrays


class Recorder(BaseEstimator):
    """Says what its last step saw."""

    def fit(self, X: Any, y: Any) -> "Recorder":
        self.seen_ = X
        return self

    def predict(self, X: Any) -> Any:
        self.new_ = X
        return np.zeros((len(X), 1))


@pytest.fixture
def features(rng: np.random.Generator) -> xr.DataArray:
    X = rng.normal(size=(40, 4))
    X[:, 1] = 1.0
    names = [f"s{row:02d}" for row in range(40)]
    return features_from_arrays(X, stimulus=names, space=["a", "a", "b", "b"], dtype="float64")


def see(steps: list[Any], features: xr.DataArray) -> Any:
    model = keep_labels(make_pipeline(*steps, Recorder())).fit(features, np.zeros((40, 1)))
    model.predict(features[:5])
    return model[-1]


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        ["passthrough", StandardScaler()],
        [FunctionTransformer(np.tanh)],
        [make_pipeline(StandardScaler(), StandardScaler())],
        [FeatureUnion([("one", StandardScaler())])],
    ],
)
def test_steps_that_keep_columns_keep_all_labels(steps: list[Any], features: xr.DataArray) -> None:
    last = see(steps, features)
    assert last.seen_["space"].values.tolist() == ["a", "a", "b", "b"]
    assert last.new_["stimulus"].values.tolist() == ["s00", "s01", "s02", "s03", "s04"]


def test_columns_that_are_picked_keep_their_own_labels(features: xr.DataArray) -> None:
    assert see([VarianceThreshold()], features).seen_["space"].values.tolist() == ["a", "b", "b"]


@pytest.mark.parametrize("n_components", [2, 4])
def test_mixed_columns_keep_the_labels_of_samples_alone(
    n_components: int, features: xr.DataArray
) -> None:
    seen = see([PCA(n_components)], features).seen_
    assert "space" not in seen.coords
    assert seen["stimulus"].values.tolist() == features["stimulus"].values.tolist()


def test_bare_arrays_stay_bare(features: xr.DataArray) -> None:
    assert isinstance(see([StandardScaler()], features.values).seen_, np.ndarray)


def test_a_pipeline_predicts_the_numbers_of_scikit_learn(features: xr.DataArray) -> None:
    model = make_pipeline(StandardScaler(), PCA(2), PeerRidge(1.0))
    expected = model.fit(features.values, features.values[:, :2]).predict(features.values)
    kept = keep_labels(make_pipeline(StandardScaler(), PCA(2), PeerRidge(1.0)))
    found = kept.fit(features, features.values[:, :2]).predict(features)
    np.testing.assert_array_equal(found, expected)
    assert isinstance(kept, Pipeline)


def test_banded_ridge_behind_a_scaler_keeps_its_spaces(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 8)) * np.repeat([1.0, 30.0], 4)
    names = [f"s{row:02d}" for row in range(60)]
    features = features_from_arrays(X, stimulus=names, space=["a"] * 4 + ["b"] * 4)
    responses = from_arrays(X[:, :2] + rng.normal(size=(60, 2)), stimulus=names, modality="fmri")
    named, bare = (
        cross_validate(
            make_pipeline(StandardScaler(), BandedRidge(spaces=spaces, n_candidates=10)),
            features, responses, group=None, ceiling=None, keep="weights",
        )
        for spaces in (["a"] * 4 + ["b"] * 4, None)
    )  # fmt: skip
    np.testing.assert_array_equal(named["score"], bare["score"])
    assert named["weights"]["space"].values.tolist() == ["a"] * 4 + ["b"] * 4


def test_lags_behind_a_scaler_stay_in_their_runs_and_seconds(rng: np.random.Generator) -> None:
    run, onset = np.repeat(["a", "b", "c", "d"], 50), np.tile(np.arange(50) * 0.1, 4)
    sound = rng.normal(size=(200, 1))
    brain = np.concatenate([np.roll(part, 2) for part in np.split(sound, 4)])
    responses = from_arrays(
        brain + 0.1 * rng.normal(size=(200, 1)), run=run, onset=onset, modality="eeg"
    )
    features = features_from_arrays(sound, run=run, onset=onset)
    field = TemporalReceptiveField((0.0, 0.3), 1.0)
    behind, alone = (
        cross_validate(model, features, responses, on=("run", "onset"), ceiling=None)
        for model in (make_pipeline(StandardScaler(with_std=False), field), field)
    )
    np.testing.assert_allclose(behind["score"], alone["score"], rtol=1e-4)
    assert float(alone["mean_score"][0]) > 0.9


def test_categories_behind_a_scaler_are_still_read(features: xr.DataArray) -> None:
    kind = np.tile(["cat", "dog"], 20)
    responses = from_arrays(
        (kind == "dog")[:, None] + 0.0, stimulus=features["stimulus"].values, modality="fmri"
    )
    model = make_pipeline(StandardScaler(), CategoryMean(by="kind"))
    labelled = features.assign_coords(kind=("sample", kind))
    result = cross_validate(model, labelled, responses, group=None, ceiling=None, metric="r2")
    assert float(result["mean_score"][0]) == 1.0


@pytest.mark.parametrize(
    "encoder",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(with_std=False), PeerRidge(1e-9)),
        FromSklearn(LinearRegression()),
        PLS(4),
    ],
)
def test_weights_of_linear_models_of_scikit_learn_are_kept(
    encoder: Any, rng: np.random.Generator
) -> None:
    X, W = rng.normal(size=(40, 4)), rng.normal(size=(4, 3))
    names = [f"s{row:02d}" for row in range(40)]
    features = features_from_arrays(X, stimulus=names, space=list("aabb"), dtype="float64")
    responses = from_arrays(X @ W, stimulus=names, modality="fmri", dtype="float64")
    weights = cross_validate(
        encoder, features, responses, group=None, ceiling=None, keep="weights"
    )["weights"]
    assert weights.dims == ("fold", "feature", "neuroid")
    assert weights["space"].values.tolist() == list("aabb")
    np.testing.assert_allclose(weights[0], W, atol=1e-6)


def test_labels_that_were_not_compared_may_differ(rng: np.random.Generator) -> None:
    run, onset = np.repeat(["a", "b"], 20), np.tile(np.arange(20.0), 2)
    X = rng.normal(size=(40, 2))
    features = features_from_arrays(X, run=run, onset=onset, stimulus=["film"] * 40)
    responses = from_arrays(
        X + 0.1, run=run, onset=onset, stimulus=[f"scene {n}" for n in range(40)], modality="fmri"
    )
    result = cross_validate(
        BandedRidge(1.0), features, responses, on=("run", "onset"), ceiling=None
    )
    assert bool((result["mean_score"] > 0.9).all())
