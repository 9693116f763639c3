"""Scores in units of the ceiling, and their intervals."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression

from neuroalign import scores
from neuroalign.ceilings import normalized_correlation, signal_power
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.evaluate import bootstrap_scores, cross_validate, normalize_scores
from neuroalign.loaders import features_from_arrays, from_arrays

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]


def _repeated(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    """Responses that features explain wholly, in noise of growing strength, shown four times."""
    X = rng.normal(size=(200, 4))
    signal = X @ rng.normal(size=(4, 5))
    signal /= signal.std(axis=0)
    noise = np.array([0.5, 1.0, 2.0, 3.0, 30.0])
    stimulus = [f"s{i:03d}" for i in range(200)] * 4
    values = np.concatenate([signal + noise * rng.normal(size=signal.shape) for _ in range(4)])
    features = features_from_arrays(np.tile(X, (4, 1)), stimulus=stimulus)
    return features, from_arrays(values, stimulus=stimulus, modality="fmri")


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_a_perfect_model_reaches_one(metric: str, rng: np.random.Generator) -> None:
    features, responses = _repeated(rng)
    plain = cross_validate(LinearRegression(), features, responses, group=None, metric=metric)
    found = normalize_scores(plain, min_ceiling=0.05)
    assert float(found["mean_normalized_score"][:4].mean()) == pytest.approx(1, abs=0.1)
    assert np.isnan(found["normalized_score"][:, 4]).all()
    assert found.attrs["n_below_ceiling"] == 1
    assert "normalized_score" not in plain
    xr.testing.assert_identical(found["score"], plain["score"])


def test_it_is_the_normalised_correlation_of_schoppe(rng: np.random.Generator) -> None:
    features, responses = _repeated(rng)
    mean = from_arrays(
        responses.values.reshape(4, 200, 5).mean(axis=0),
        stimulus=responses["stimulus"].values[:200],
        modality="fmri",
        dtype="float64",
    )
    ceiling = signal_power(responses, n_bootstrap=20)
    half = xr.DataArray(np.repeat(["a", "b"], 100), dims="sample")
    result = cross_validate(
        LinearRegression(),
        features[:200],
        mean.assign_coords(half=half),
        group="half",
        ceiling=None,
        keep=("prediction",),
    )
    pooled = scores.score(mean, result["prediction"])
    result["score"] = result["score"] * 0 + pooled
    ours = normalize_scores(result, ceiling=ceiling)
    peer = normalized_correlation(responses, result["prediction"], n_bootstrap=0)
    np.testing.assert_allclose(ours["mean_normalized_score"][:4], peer["cc_norm"][:4], rtol=1e-5)
    bounds = ours["normalized_lower"] <= ours["mean_normalized_score"]
    assert bool(bounds[:4].all())
    assert bool((ours["normalized_upper"] >= ours["mean_normalized_score"])[:4].all())


def test_what_cannot_be_normalised_is_refused(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    result = cross_validate(Ridge(1.0), features, responses, metric="spearman")
    with pytest.raises(ValueError, match=r"result.attrs\['metric'\]: expected one of 'pearson'"):
        normalize_scores(result)
    result = cross_validate(Ridge(1.0), features, responses)
    with pytest.raises(ValueError, match="min_ceiling: expected a share"):
        normalize_scores(result, min_ceiling=1.5)
    with pytest.raises(SchemaError, match="result: expected 'ceiling'"):
        normalize_scores(result.drop_vars("ceiling"))
    with pytest.warns(NeuroalignWarning, match="got none known: every normalised score is NaN"):
        assert np.isnan(normalize_scores(result)["normalized_score"]).all()


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_the_bootstrap_equals_a_plain_loop(
    metric: str, rng: np.random.Generator, study: Study
) -> None:
    features, responses = study(rng, n=80)
    result = cross_validate(
        Ridge(1.0), features, responses, metric=metric, keep=("prediction",), ceiling=None
    )
    found = bootstrap_scores(result, responses, n_resamples=3, seed=4)
    np.testing.assert_allclose(found["estimate"], result["mean_score"], atol=1e-12)
    counts = np.random.default_rng(4).multinomial(80, np.full(80, 1 / 80), size=3)
    drawn = []
    for count in counts:
        parts = []
        for run in np.unique(responses["run"]):
            own = np.flatnonzero(responses["run"].values == run)
            rows = np.repeat(own, count[own])
            score = scores.METRICS[metric](
                responses.values[rows], result["prediction"].values[rows]
            )
            parts.append((len(rows) / len(own), score))
        drawn.append(sum(w * s for w, s in parts) / sum(w for w, _ in parts))
    np.testing.assert_allclose(found["standard_error"], np.std(drawn, axis=0, ddof=1), rtol=1e-6)


def test_the_interval_covers_other_stimuli(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng, n=400, t=200, p=4)
    model = Ridge(1.0).fit(features[:200], responses[:200])
    weights = model.predict(np.eye(4)) - model.predict(np.zeros((1, 4)))
    assert weights.shape == (4, 200)
    result = cross_validate(Ridge(1.0), features, responses, keep=("prediction",), ceiling=None)
    by_stimulus = bootstrap_scores(result, responses, n_resamples=200)
    by_run = bootstrap_scores(result, responses, by="run", n_resamples=200)
    expected = (1 - result["mean_score"] ** 2) / np.sqrt(400)
    ratio = (by_stimulus["standard_error"] / expected).mean()
    assert float(ratio) == pytest.approx(1, abs=0.1)
    assert by_run.attrs["n_units"] == 4
    assert np.isfinite(by_run["standard_error"]).all()


def test_faults_of_the_bootstrap_are_named(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    result = cross_validate(Ridge(1.0), features, responses, keep=("prediction",), ceiling=None)
    with pytest.raises(SchemaError, match="result: expected 'prediction' of one split"):
        bootstrap_scores(result.drop_vars("prediction"), responses)
    with pytest.raises(AlignError, match="expected the shape"):
        bootstrap_scores(result, responses[:, :2])
    with pytest.raises(AlignError, match="by: expected a coord"):
        bootstrap_scores(result, responses, by="trial")
    with pytest.raises(AlignError, match="expected those scored in result, got others: neuroid"):
        bootstrap_scores(result, responses + responses.values[::-1])
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1"):
        bootstrap_scores(result, responses, level=95)
    with pytest.raises(ValueError, match="by: expected at least 2 different 'one'"):
        bootstrap_scores(result, responses.assign_coords(one=("sample", ["x"] * 120)), by="one")
