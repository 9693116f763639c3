"""cross_validate against a plain loop, and everything it refuses."""

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroalign import schema
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, LeakageError, NeuroalignWarning, SchemaError
from neuroalign.evaluate import cross_validate


def _study(
    rng: np.random.Generator, n: int = 60, t: int = 5, repeats: int = 1, noise: float = 1.0
) -> tuple[xr.DataArray, xr.DataArray]:
    """Runs of whole stimuli; each stimulus shown ``repeats`` times within its run."""
    base = rng.normal(size=(n // repeats, 6))
    X = np.repeat(base, repeats, axis=0)
    Y = X @ rng.normal(size=(6, t)) + noise * rng.normal(size=(n, t))
    coords = {
        "stimulus": ("sample", np.repeat([f"s{i:03d}" for i in range(n // repeats)], repeats)),
        "run": ("sample", np.repeat(["r1", "r2", "r3", "r4"], n // 4)),
    }
    features = xr.DataArray(X, dims=("sample", "feature"), coords=coords)
    responses = xr.DataArray(
        Y,
        dims=("sample", "neuroid"),
        coords=coords | {"neuroid": [f"v{i}" for i in range(t)], "roi": ("neuroid", ["V1"] * t)},
    )
    return features, responses


def test_scores_equal_a_plain_loop(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    result = cross_validate(make_pipeline(StandardScaler(), PeerRidge(2.0)), features, responses)
    X, Y = features.values, responses.values
    splits = LeaveOneGroupOut().split(X, groups=responses["run"].values)
    for fold, (train, test) in enumerate(splits):
        peer = make_pipeline(StandardScaler(), PeerRidge(2.0)).fit(X[train], Y[train])
        guess = peer.predict(X[test])
        expected = [np.corrcoef(guess[:, i], Y[test, i])[0, 1] for i in range(5)]
        np.testing.assert_allclose(result["score"].values[fold], expected, rtol=1e-6)


def test_the_result_keeps_the_schema_and_its_labels(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    result = cross_validate(Ridge(), features, responses, keep=("prediction", "weights"))
    schema.check(result)
    assert result.attrs["kind"] == "encoding"
    assert result["fold"].values.tolist() == ["r1", "r2", "r3", "r4"]
    assert result["roi"].values.tolist() == ["V1"] * 5
    assert result["prediction"].dims == ("sample", "neuroid")
    assert result["weights"].dims == ("fold", "feature", "neuroid")
    assert result["alpha"].dims == ("fold", "neuroid")
    assert len(result.attrs["edge_low"]) == 4


def test_predictions_of_each_fold_come_from_the_others(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    result = cross_validate(LinearRegression(), features, responses, keep=("prediction",))
    test = responses["run"].values == "r2"
    peer = LinearRegression().fit(features.values[~test], responses.values[~test])
    found = result["prediction"].values[test]
    np.testing.assert_allclose(found, peer.predict(features.values[test]))


def test_time_is_scored_by_itself(rng: np.random.Generator) -> None:
    features, flat = _study(rng, t=6)
    responses = xr.DataArray(
        flat.values.reshape(60, 3, 2),
        dims=("sample", "neuroid", "time"),
        coords={"stimulus": flat["stimulus"], "run": flat["run"], "neuroid": list("abc")},
    )
    cube = cross_validate(Ridge(), features, responses, n_permutations=5)
    plain = cross_validate(Ridge(), features, flat)
    np.testing.assert_allclose(cube["score"].values.reshape(4, 6), plain["score"].values)
    assert cube["p_value"].dims == cube["alpha"].dims[1:] == ("neuroid", "time")


def test_constant_neuroids_score_nan_and_are_counted(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    responses[:, 2] = 1.0
    result = cross_validate(Ridge(), features, responses, n_permutations=9)
    assert np.isnan(result["mean_score"].values[2])
    assert np.isnan(result["p_value"].values[2])
    assert np.isfinite(np.delete(result["q_value"].values, 2)).all()
    assert result.attrs["n_constant"] == 1


def test_order_of_neuroids_does_not_matter(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    straight = cross_validate(Ridge(), features, responses)["score"]
    turned = cross_validate(Ridge(), features, responses[:, ::-1])["score"]
    np.testing.assert_allclose(straight.values, turned.values[:, ::-1], rtol=1e-9)


def test_a_stimulus_in_train_and_test_is_refused(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    again = {"stimulus": ("sample", np.tile([f"s{i}" for i in range(15)], 4))}
    features, responses = features.assign_coords(again), responses.assign_coords(again)
    with pytest.raises(LeakageError, match="got 15 shared in fold 0"):
        cross_validate(Ridge(), features, responses)
    assert "score" in cross_validate(Ridge(), features, responses, allow_shared_stimuli=True)
    assert "score" in cross_validate(Ridge(), features, responses, group="stimulus")
    assert "score" in cross_validate(Ridge(), features, responses, group=None)


def test_rows_that_do_not_match_are_refused(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    with pytest.raises(AlignError, match=r"got 's059' against 's000' in row 0 \(60 rows differ\)"):
        cross_validate(Ridge(), features[::-1], responses)
    with pytest.raises(AlignError, match=r"expected 60 samples as in responses, got 50.*match"):
        cross_validate(Ridge(), features[:50], responses)


def test_continuous_runs_are_compared_by_onset(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    onset = {"onset": ("sample", np.tile(np.arange(15) * 2.0, 4))}
    features = features.drop_vars("stimulus").assign_coords(onset)
    responses = responses.drop_vars("stimulus").assign_coords(onset)
    result = cross_validate(Ridge(), features, responses, n_permutations=9)
    assert result.attrs["permutation_scheme"] == "circular"
    late = features.assign_coords(onset=features["onset"] + 1)
    with pytest.raises(AlignError, match=r"expected the 'onset' of responses.*row 0"):
        cross_validate(Ridge(), late, responses)


@pytest.mark.parametrize("name", ["features", "responses"])
def test_nan_is_refused_with_its_place(name: str, rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    (features if name == "features" else responses)[7, 1] = np.nan
    with pytest.raises(ValueError, match=rf"{name}: expected finite.*first: row 7"):
        cross_validate(Ridge(), features, responses)


def test_a_missing_group_is_said(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    with pytest.raises(ValueError, match=r"group: expected a coord.*got 'run'.*group=None"):
        cross_validate(Ridge(), features, responses.drop_vars("run"))


@pytest.mark.parametrize(
    ("option", "value"),
    [("metric", "x"), ("permutation_scheme", "x"), ("keep", ["x"]), ("ceiling", "x")],
)
def test_unknown_options_are_refused(option: str, value: Any, rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    with pytest.raises(ValueError, match=f"{option}: expected one of .*got 'x'"):
        cross_validate(Ridge(), features, responses, **{option: value})


def test_weights_are_asked_only_of_encoders_that_have_them(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    with pytest.raises(ValueError, match=r"weights_ for 'weights' \('Ridge', .* got KNei"):
        cross_validate(KNeighborsRegressor(), features, responses, keep=("weights",))


def test_p_values_are_uniform_without_signal(rng: np.random.Generator) -> None:
    features, responses = _study(rng, t=300)
    noise = responses.copy(data=rng.normal(size=responses.shape))
    result = cross_validate(Ridge(1.0), features, noise, n_permutations=99)
    p = result["p_value"].values
    assert 0.4 < p.mean() < 0.6
    assert 0.01 < (p <= 0.05).mean() < 0.09
    assert (result["q_value"].values > 0.05).mean() > 0.97


def test_signal_is_significant_and_below_its_ceiling(rng: np.random.Generator) -> None:
    features, responses = _study(rng, n=240, repeats=4, noise=3.0)
    result = cross_validate(Ridge(), features, responses, n_permutations=49)
    assert (result["p_value"] == 1 / 50).all()
    assert np.isfinite(result["ceiling"]).all()
    assert (result["ceiling"] > 0).all()


def test_without_repeats_there_is_no_ceiling(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    assert np.isnan(cross_validate(Ridge(), features, responses)["ceiling"]).all()
    given = xr.DataArray(
        np.arange(5) / 8, dims="neuroid", coords={"neuroid": responses["neuroid"].values}
    )
    result = cross_validate(Ridge(), features, responses, ceiling=given[::-1])
    assert result["ceiling"].values.tolist() == [0, 1 / 8, 2 / 8, 3 / 8, 4 / 8]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c: c[:2], AlignError, "missing 3"),
        (lambda c: c.assign_coords(neuroid=list("abcde")), AlignError, "missing 5"),
        (lambda c: c.expand_dims(time=[0.1]), AlignError, r"expected dims \('neuroid',\)"),
        (lambda c: c * 9, ValueError, "shares of variance from 0 to 1, got 0 to 4.5"),
        (lambda c: c.rename("ceiling_r"), ValueError, "its square root"),
        (lambda c: c.drop_vars("neuroid"), AlignError, "expected coord 'neuroid'"),
        (lambda c: c.to_dataset(name="rho"), AlignError, "expected a Dataset with 'ceiling'"),
        (lambda c: c.values, ValueError, "got ndarray"),
    ],
)
def test_a_ceiling_that_does_not_fit_is_refused(
    rng: np.random.Generator, change: Any, error: type[Exception], message: str
) -> None:
    features, responses = _study(rng)
    given = xr.DataArray(
        np.arange(5) / 8, dims="neuroid", coords={"neuroid": responses["neuroid"].values}
    )
    with pytest.raises(error, match=f"ceiling: .*{message}"):
        cross_validate(Ridge(), features, responses, ceiling=change(given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_permutations": -1}, "n_permutations: expected a whole number >= 0, got -1"),
        ({"n_permutations": 10.5}, "n_permutations: expected a whole number"),
        ({"n_splits": 1}, "n_splits: expected a whole number >= 2"),
        ({"keep": "weight"}, "keep: expected one of 'prediction', 'weights', got 'weight'"),
    ],
)
def test_options_are_checked(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    features, responses = _study(rng)
    with pytest.raises(ValueError, match=message):
        cross_validate(Ridge(), features, responses, **options)


@pytest.mark.parametrize("encoder", [Ridge, "ridge"])
def test_an_encoder_is_an_instance(rng: np.random.Generator, encoder: Any) -> None:
    with pytest.raises(ValueError, match="encoder: expected an estimator"):
        cross_validate(encoder, *_study(rng))


def test_tokens_are_refused_by_name(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    tokens = features.expand_dims(token=2, axis=1)
    with pytest.raises(SchemaError, match=r"features: expected dims \('sample', 'feature'\)"):
        cross_validate(Ridge(), tokens, responses)


def test_one_run_cannot_be_held_out(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    one = np.full(responses.sizes["sample"], "run-01")
    with pytest.raises(ValueError, match="group: expected at least 2 different 'run'"):
        cross_validate(Ridge(), features, responses.assign_coords(run=("sample", one)))


def test_no_score_at_all_is_said(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    with pytest.warns(NeuroalignWarning, match="the features never vary"):
        result = cross_validate(Ridge(1.0), features * 0, responses)
    assert "never vary" in result.attrs["warnings"]


def test_repeats_are_permuted_together(rng: np.random.Generator) -> None:
    features, responses = _study(rng, n=80, repeats=4)
    null = responses.copy(data=np.repeat(rng.normal(size=(20, 300)), 4, 0)[:, :5])
    result = cross_validate(Ridge(1.0), features, null, n_permutations=19)
    assert result.attrs["permutation_scheme"] == "block"
    assert (result["p_value"] > 0.05).any()


def test_a_seed_gives_the_same_p_values(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    first, again = (
        cross_validate(Ridge(), features, responses, n_permutations=19, seed=3) for _ in "ab"
    )
    np.testing.assert_array_equal(first["p_value"], again["p_value"])
    assert first.attrs["provenance"] == again.attrs["provenance"]


def test_warnings_of_folds_are_said_once_and_kept(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    with pytest.warns(NeuroalignWarning, match="alphas: expected the best") as caught:
        result = cross_validate(Ridge([1e3, 1e4]), features, responses)
    assert len(caught) == 1
    assert "alphas: expected the best" in result.attrs["warnings"]


def test_penalties_are_chosen_on_whole_groups(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    plain = cross_validate(Ridge(), features, responses)
    piped = cross_validate(
        make_pipeline(StandardScaler(with_std=False), Ridge()), features, responses
    )
    train = responses["run"].values != "r1"
    peer = Ridge().fit(features[train], responses[train], groups=responses["run"].values[train])
    np.testing.assert_allclose(plain["alpha"].values[0], peer.alpha_)
    np.testing.assert_allclose(piped["alpha"].values[0], peer.alpha_)


def test_the_ceiling_bounds_single_presentations(rng: np.random.Generator) -> None:
    features, responses = _study(rng, n=1600, repeats=2, noise=2.0)
    signal = responses.values.reshape(800, 2, 5).mean(axis=1).var(axis=0) - 4 / 2
    result = cross_validate(LinearRegression(), features, responses, metric="r2")
    np.testing.assert_allclose(result["ceiling"], signal / (signal + 4), atol=0.06)
    np.testing.assert_allclose(result["mean_score"], result["ceiling"], atol=0.06)
    for name in ("ncsnr", "explainable_variance", "signal_power"):
        other = cross_validate(LinearRegression(), features, responses, ceiling=name)
        np.testing.assert_allclose(other["ceiling"], result["ceiling"], atol=0.05)


def test_volumes_named_by_condition_have_no_ceiling(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    timed = {
        "onset": ("sample", np.tile(np.arange(15) * 2.0, 4)),
        "stimulus": ("sample", np.tile(np.repeat(["a", "b", "c"], 5), 4)),
    }
    features, responses = features.assign_coords(timed), responses.assign_coords(timed)
    with pytest.warns(NeuroalignWarning, match="ceiling: .*volumes named by condition"):
        result = cross_validate(LinearRegression(), features, responses, allow_shared_stimuli=True)
    assert np.isnan(result["ceiling"]).all()


def test_trials_at_a_fixed_pace_keep_their_ceiling(rng: np.random.Generator) -> None:
    features, responses = _study(rng, n=40, repeats=2)
    place = np.arange(10)
    pace = np.tile((place % 2 * 5 + place // 2) * 4.0, 4)
    timed = responses.assign_coords(onset=("sample", pace))
    result = cross_validate(Ridge(1.0), features, timed, group=None)
    assert np.isfinite(result["ceiling"]).all()


def test_stimuli_that_only_features_name_leak_too(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    n = responses.sizes["sample"]
    onset = np.random.default_rng(0).permutation(n).astype(float)
    both = {"run": ("sample", np.repeat(["a", "b"], n // 2)), "onset": ("sample", onset)}
    shared = features.assign_coords(stimulus=("sample", ["same"] * n), **both)
    with pytest.raises(LeakageError, match="'same'"):
        cross_validate(Ridge(), shared, responses.drop_vars("stimulus").assign_coords(both))


def test_a_result_says_what_was_allowed(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    result = cross_validate(Ridge(1.0), features, responses, allow_shared_stimuli=True)
    said = json.loads(result.attrs["provenance"])["parameters"]
    assert said["allow_shared_stimuli"] is True
    assert said["ceiling"] == "split_half"


def test_places_and_steps_come_with_the_result(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    responses = responses.assign_attrs(grid_shape=[2, 3, 1], space="MNI", history="detrended")
    features = features.assign_attrs(history="projected")
    result = cross_validate(LinearRegression(), features, responses)
    for placed in (result, result["mean_score"], result["score"]):
        assert placed.attrs["grid_shape"] == [2, 3, 1]
        assert placed.attrs["space"] == "MNI"
    assert result.attrs["history"] == "responses: detrended\nfeatures: projected"


def test_the_family_is_corrected_by_the_largest_score(rng: np.random.Generator) -> None:
    features, responses = _study(rng, noise=0.5)
    responses[:, 3:] = rng.normal(size=(60, 2))
    result = cross_validate(LinearRegression(), features, responses, n_permutations=99)
    assert (result["p_fwer"] >= result["p_value"]).all()
    assert (result["p_fwer"][:3] <= 0.05).all()
    assert (result["p_fwer"][3:] > 0.05).all()


def test_a_shuffled_time_series_is_said() -> None:
    rng = np.random.default_rng(2)
    slow = lfilter([1], [1, -0.95], rng.normal(size=(240, 13)), axis=0)
    coords = {
        "stimulus": ("sample", [f"second-{n:03d}" for n in range(240)]),
        "run": ("sample", np.repeat(["a", "b"], 120)),
        "onset": ("sample", np.tile(np.arange(120) * 2.0, 2)),
    }
    features = xr.DataArray(slow[:, :8], coords, ("sample", "feature"))
    responses = xr.DataArray(
        slow[:, 8:], coords | {"neuroid": list("abcde")}, ("sample", "neuroid")
    )
    with pytest.warns(NeuroalignWarning, match="folds: expected stretches of a time series"):
        result = cross_validate(
            Ridge(1.0), features, responses, group="stimulus", n_splits=5, ceiling=None
        )
    assert "between two training rows" in result.attrs["warnings"]
    cross_validate(Ridge(1.0), features, responses, group="run", ceiling=None)


def test_coords_named_as_results_are_left_out_and_named(rng: np.random.Generator) -> None:
    features, responses = _study(rng)
    names = ("ceiling", "score", "alpha", "mean_score")
    known = responses.assign_coords({name: ("neuroid", np.zeros(5)) for name in names})
    with pytest.warns(NeuroalignWarning, match="coords 'score', 'mean_score', 'ceiling', 'alpha'"):
        result = cross_validate(Ridge(), features, known, ceiling=None)
    plain = cross_validate(Ridge(), features, responses, ceiling=None)
    xr.testing.assert_equal(result, plain)
    assert "published_ceiling" in result.attrs["warnings"]
