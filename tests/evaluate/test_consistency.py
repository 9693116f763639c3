"""Noise is taken out of predictivity where it can be, and said where it cannot."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression

from neuroalign import schema
from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.evaluate import correct_consistency
from neuroalign.evaluate._halves import measure_growth
from neuroalign.loaders import features_from_arrays, from_arrays

TRUE_R = 0.7


def _plant(
    rng: np.random.Generator, snr: float, n: int = 400, t: int = 60, repeats: int = 6
) -> tuple[xr.DataArray, xr.DataArray]:
    """Signals that the features explain to r = 0.7, shown several times in noise."""
    X = rng.normal(size=(n, 8))
    linear = X @ rng.normal(size=(8, t))
    linear /= linear.std(axis=0)
    signal = TRUE_R * linear + np.sqrt(1 - TRUE_R**2) * rng.normal(size=(n, t))
    shown = [signal + rng.normal(size=(n, t)) / np.sqrt(snr) for _ in range(repeats)]
    stimulus = [f"s{i:03d}" for i in range(n)] * repeats
    features = features_from_arrays(np.tile(X, (repeats, 1)), stimulus=stimulus)
    return features, from_arrays(np.concatenate(shown), stimulus=stimulus, modality="fmri")


@pytest.mark.parametrize("snr", [0.1, 0.3, 1, 3, 10])
def test_the_true_correlation_comes_back(snr: float, rng: np.random.Generator) -> None:
    result = correct_consistency(LinearRegression(), *_plant(rng, snr), n_halves=5)
    schema.check(result)
    found = result["mean_normalized_score"].values
    assert np.isfinite(found).all()
    assert np.mean(found) == pytest.approx(TRUE_R, abs=0.03)
    assert np.std(found) < 0.12
    assert float(result["mean_score"].mean()) < np.mean(found)


@pytest.mark.parametrize("repeats", [3, 5])
def test_an_odd_number_of_repeats_is_no_bias(repeats: int, rng: np.random.Generator) -> None:
    """Halves of three repeats have one each: doubling them would give 0.81 here."""
    given = _plant(rng, 0.3, repeats=repeats)
    found = correct_consistency(LinearRegression(), *given, n_halves=5)
    assert float(found["mean_normalized_score"].mean()) == pytest.approx(TRUE_R, abs=0.03)
    reliability = 0.3 * repeats / (0.3 * repeats + 1)
    assert float(found["response_consistency"].mean()) == pytest.approx(reliability, abs=0.03)


@pytest.mark.parametrize(("counts", "growth"), [([2, 4, 6], 2.0), ([3, 3], 3.0), ([2, 3], 2.4)])
def test_growth_is_the_ratio_of_noise_variances(counts: list[int], growth: float) -> None:
    codes = np.repeat(np.arange(len(counts)), counts)
    assert measure_growth(codes) == pytest.approx(growth)


def test_without_signal_it_says_that_it_cannot(rng: np.random.Generator) -> None:
    with pytest.warns(NeuroalignWarning, match=r"got \d+ of 60 without \('neuroid-0000'"):
        result = correct_consistency(LinearRegression(), *_plant(rng, 0.001), n_halves=5)
    assert f"got {result.attrs['n_unreliable']} of 60 without" in result.attrs["warnings"]
    assert result.attrs["n_unreliable"] > 40
    unreliable = np.isnan(result["mean_normalized_score"].values)
    assert unreliable.sum() == result.attrs["n_unreliable"]
    assert np.isfinite(result["score"]).all()


def test_the_formula_is_that_of_the_paper(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 1.0, n=40, t=1, repeats=2)
    result = correct_consistency(LinearRegression(), features, responses, n_splits=2, n_halves=1)
    one = result.isel(fold=0, neuroid=0)
    product = one["prediction_consistency"] * one["response_consistency"]
    assert float(one["normalized_score"]) == pytest.approx(float(one["score"] / np.sqrt(product)))
    shown = responses.values.reshape(2, 40)
    full, draw = shown.mean(axis=0), np.random.default_rng(0).random(80).reshape(2, 40)
    halves = np.take_along_axis(shown, draw.argsort(axis=0), axis=0)
    base = features.values[:40]
    test = _find_test_rows(base, full, float(one["score"]))
    r = pearsonr(halves[0][test], halves[1][test])[0]
    assert float(one["response_consistency"]) == pytest.approx(2 * r / (1 + r) if r > 0 else r)


def _find_test_rows(X: np.ndarray, y: np.ndarray, expected: float) -> np.ndarray:
    """Find the seeded fold whose plain-loop score is the one reported."""
    from neuroalign._folds import make_folds

    names = np.array([f"s{i:03d}" for i in range(len(y))])
    folds = make_folds(len(y), groups=names, n_splits=2, seed=0, shuffle_groups=True)
    train, test = folds[0]
    guess = LinearRegression().fit(X[train], y[train]).predict(X[test])
    assert pearsonr(guess, y[test])[0] == pytest.approx(expected, rel=1e-5)
    return test


def test_faults_are_named(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 1.0, n=20, t=2, repeats=2)
    model = LinearRegression()
    with pytest.raises(SchemaError, match="every stimulus twice or more, got 20 shown once"):
        correct_consistency(model, features[:20], responses[:20])
    timed = {"run": ("sample", ["r"] * 40), "onset": ("sample", np.arange(40.0))}
    bare = [
        a.drop_vars(["stimulus", "repeat"], errors="ignore").assign_coords(timed)
        for a in (features, responses)
    ]
    with pytest.raises(SchemaError, match="expected presentations named by 'stimulus'"):
        correct_consistency(model, *bare)
    changed = features.copy()
    changed[3] += 1
    with pytest.raises(SchemaError, match="expected the same features in every row"):
        correct_consistency(model, changed, responses)
    with pytest.raises(ValueError, match="min_consistency: expected 0 to below 1"):
        correct_consistency(model, features, responses, min_consistency=1)
    with pytest.raises(ValueError, match="n_halves: expected at least 1"):
        correct_consistency(model, features, responses, n_halves=0)
