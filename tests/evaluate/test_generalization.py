"""Weights of one time at another: against plain loops, planted codes and real brain waves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as PeerRidge

from neuroalign import schema, scores, storage
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, LeakageError, SchemaError
from neuroalign.evaluate import cross_validate, generalize_time
from neuroalign.loaders import features_from_arrays, from_arrays, load_epochs

TIMES = np.array([0.0, 0.1, 0.2, 0.3])


def make_study(
    rng: np.random.Generator, weights: np.ndarray, n: int = 400, noise: float = 1.0
) -> tuple[xr.DataArray, xr.DataArray]:
    """Trials whose response at each time is linear by ``weights`` (feature, neuroid, time)."""
    X = rng.normal(size=(n, len(weights)))
    Y = np.einsum("nf,fct->nct", X, weights)
    stimulus = [f"s{i:03d}" for i in range(n)]
    run = np.repeat(["r0", "r1", "r2", "r3"], n // 4)
    responses = from_arrays(
        Y + noise * rng.normal(size=Y.shape) + 3.0, stimulus=stimulus, run=run, modality="eeg",
        time=TIMES[: Y.shape[2]], dtype="float64",
    )  # fmt: skip
    return features_from_arrays(X, stimulus=stimulus, dtype="float64"), responses


@pytest.fixture(scope="module")
def wordpairs() -> Any:
    """A maker of the features and responses of the N400 recording."""

    def make(folder: Path) -> tuple[xr.DataArray, xr.DataArray]:
        path = folder / "eeg_n400_wordpairs" / "subject04-epo.fif"
        with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
            responses = load_epochs(path, stimulus="association")
        related = (responses["event_code"].values == 6).astype(float)
        stimulus = responses["stimulus"].values
        return features_from_arrays(related[:, None], stimulus=stimulus), responses

    return make


@pytest.mark.parametrize("metric", ["pearson", "spearman", "r2"])
def test_scores_equal_a_plain_loop(rng: np.random.Generator, metric: str) -> None:
    features, responses = make_study(rng, rng.normal(size=(3, 2, 4)), n=80)
    model = Ridge(2.0, alpha_scale="absolute")
    result = generalize_time(model, features, responses, metric=metric)
    for fold, run in enumerate(["r0", "r1", "r2", "r3"]):
        test = responses["run"].values == run
        for learnt in range(4):
            peer = PeerRidge(2.0).fit(features.values[~test], responses.values[~test, 0, learnt])
            guess = peer.predict(features.values[test])
            for seen in range(4):
                expected = scores.METRICS[metric](responses.values[test, 0, seen], guess)
                found = result["score"].values[fold, 0, learnt, seen]
                np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_diagonal_is_the_score_of_cross_validation(rng: np.random.Generator) -> None:
    features, responses = make_study(rng, rng.normal(size=(3, 2, 4)))
    across = generalize_time(Ridge(), features, responses)["score"].values
    within = cross_validate(Ridge(), features, responses, ceiling=None)["score"].values
    np.testing.assert_allclose(np.diagonal(across, axis1=2, axis2=3), within, atol=1e-12)


def test_a_stable_code_gives_a_square_and_a_travelling_one_a_diagonal(
    rng: np.random.Generator,
) -> None:
    stable = np.repeat(rng.normal(size=(4, 1)), 4, axis=1)
    weights = np.stack([stable, 2 * np.eye(4)], axis=1)
    score = generalize_time(Ridge(), *make_study(rng, weights))["mean_score"].values
    assert score[0].min() > 0.6
    off = ~np.eye(4, dtype=bool)
    assert np.diag(score[1]).min() > 0.8
    assert np.abs(score[1][off]).max() < 0.15


def test_a_code_that_grows_keeps_its_correlation_and_loses_its_r2(
    rng: np.random.Generator,
) -> None:
    weights = rng.normal(size=(3, 1, 1)) * np.array([1.0, 4.0])
    study = make_study(rng, weights, noise=0.1)
    r, r2 = (generalize_time(Ridge(), *study, metric=m)["mean_score"] for m in ("pearson", "r2"))
    assert r.values.min() > 0.95
    assert r2.values[0, 1, 0] < -2


def test_the_result_keeps_the_schema_and_survives_storage(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    features, responses = make_study(rng, rng.normal(size=(3, 2, 4)))
    result = generalize_time(Ridge(), features, responses)
    assert schema.check(result).attrs["kind"] == "generalisation"
    np.testing.assert_array_equal(result["train_time"], TIMES)
    storage.save(result, tmp_path / "result.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "result.nc"), result)


def test_a_silent_neuroid_scores_nan_at_its_times_only(rng: np.random.Generator) -> None:
    features, responses = make_study(rng, rng.normal(size=(3, 2, 4)))
    responses[:, 1, 2] = 5.0
    score = generalize_time(Ridge(), features, responses)["mean_score"].values
    assert np.isnan(score[1, 2]).all()
    assert np.isnan(score[1, :, 2]).all()
    assert np.isnan(score).sum() == 7


def test_faults_are_named(rng: np.random.Generator) -> None:
    features, responses = make_study(rng, rng.normal(size=(3, 2, 4)))
    with pytest.raises(SchemaError, match=r"expected dims \('sample', 'neuroid', 'time'\)"):
        generalize_time(Ridge(), features, responses[:, :, 0])
    with pytest.raises(ValueError, match="metric: .* got 'r'. Did you mean 'pearson'"):
        generalize_time(Ridge(), features, responses, metric="r")
    with pytest.raises(AlignError, match="'stimulus' of responses in every row"):
        generalize_time(Ridge(), features[::-1], responses)
    shared = {"stimulus": ("sample", np.tile([f"s{i}" for i in range(100)], 4))}
    with pytest.raises(LeakageError, match="unseen in training"):
        generalize_time(Ridge(), features.assign_coords(shared), responses.assign_coords(shared))
    gone = responses.copy()
    gone[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="responses: expected finite"):
        generalize_time(Ridge(), features, gone)


class _Flat(PeerRidge):  # type: ignore[misc]
    """Predicts one target whatever it was given."""

    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(X, np.asarray(y)[:, 0, 0])


def test_an_encoder_that_drops_times_is_named(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"encoder: expected predictions of shape \(100, 2, 4\)"):
        generalize_time(_Flat(), *make_study(rng, rng.normal(size=(3, 2, 4))))


def test_relatedness_of_words_peaks_in_the_n400(real_data: Path, wordpairs: Any) -> None:
    features, responses = wordpairs(real_data)
    result = cross_validate(Ridge(), features, responses, group=None, ceiling=None, n_repeats=4)
    score = result["mean_score"].mean("neuroid")
    assert score.dims == ("time",)
    assert 0.3 <= float(score["time"][int(score.argmax("time"))]) <= 0.5
    assert float(result["mean_score"].sel(neuroid="Pz").sel(time=slice(0.3, 0.5)).mean()) > 0.1


def test_the_n400_holds_within_itself(real_data: Path, wordpairs: Any) -> None:
    features, responses = wordpairs(real_data)
    result = generalize_time(Ridge(), features, responses, group=None)
    late, early = slice(0.3, 0.5), slice(-0.2, 0.0)
    score = result["mean_score"].sel(neuroid="Pz")
    inside = score.sel(train_time=late, time=late).mean()
    assert float(inside) > 0.1
    assert abs(float(score.sel(train_time=late, time=early).mean())) < float(inside) / 2
