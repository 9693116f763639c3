"""Factors: scikit-learn's optimum, likelihoods by brute force, missing entries, real brains."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn import decomposition

from neuroalign.latents import FactorAnalysis, ProbabilisticPCA

# Few steps are enough here; models rightly say when they are too few.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(max_iter|epochs). expected to converge:neuroalign.errors.NeuroalignWarning"
)


def simulate(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 3))
    scales = rng.uniform(0.3, 0.8, 15)
    return Z @ rng.normal(size=(3, 15)) + scales * rng.normal(size=(n, 15)) + 4, Z


def explain(found: np.ndarray, known: np.ndarray) -> float:
    """R2 of the known from all of the found, fitted on the first half, scored on the second."""
    half = len(known) // 2
    full = np.column_stack([found, np.ones(len(found))])
    weights = np.linalg.lstsq(full[:half], known[:half], rcond=None)[0]
    rest = known[half:] - full[half:] @ weights
    return float(1 - np.sum(rest**2) / np.sum((known[half:] - known[half:].mean(axis=0)) ** 2))


def test_the_optimum_is_that_of_scikit_learn() -> None:
    X, _ = simulate(0)
    model = FactorAnalysis(3, tol=1e-11, max_iter=5000).fit(X)
    peer = decomposition.FactorAnalysis(3, tol=1e-11, max_iter=5000, svd_method="lapack").fit(X)
    assert float(np.sum(model.log_prob(X))) / len(X) == pytest.approx(peer.score(X), rel=1e-8)
    C = model.params_["loadings"].values
    np.testing.assert_allclose(C @ C.T, peer.components_.T @ peer.components_, atol=2e-3)


def test_the_closed_form_is_that_of_scikit_learn() -> None:
    X, _ = simulate(1)
    model, peer = ProbabilisticPCA(3).fit(X), decomposition.PCA(3).fit(X)
    C, noise = model.params_["loadings"].values, model.params_["noise"].values
    known = peer.get_covariance() * (len(X) - 1) / len(X)
    np.testing.assert_allclose(C @ C.T + np.diag(noise), known, atol=1e-8)


def test_em_with_one_missing_entry_agrees_with_the_closed_form() -> None:
    X, _ = simulate(1)
    full = ProbabilisticPCA(3).fit(X).params_
    X[0, 0] = np.nan
    model = ProbabilisticPCA(3, tol=1e-9).fit(X).params_
    assert float(model["noise"][0]) == pytest.approx(float(full["noise"][0]), rel=0.01)


def test_likelihoods_and_rates_with_missing_entries_equal_brute_force() -> None:
    X, _ = simulate(2, n=60)
    model = FactorAnalysis(2).fit(X)
    C, d, R = (model.params_[key].values for key in ("loadings", "offset", "noise"))
    row, seen = X[:2].copy(), np.arange(15) != 4
    row[:, 4] = np.nan
    full = C @ C.T + np.diag(R)
    joint = multivariate_normal(d[seen], full[np.ix_(seen, seen)])
    assert float(np.sum(model.log_prob(row))) == pytest.approx(joint.logpdf(row[:, seen]).sum())
    known = d[4] + (row[:, seen] - d[seen]) @ np.linalg.solve(
        full[np.ix_(seen, seen)], full[seen, 4]
    )
    np.testing.assert_allclose(np.asarray(model.predict_rates(row))[:, 4], known)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("model", [FactorAnalysis(3, tol=1e-5), ProbabilisticPCA(3, tol=1e-5)])
def test_planted_latents_come_back_through_holes(model: FactorAnalysis, seed: int) -> None:
    X, Z = simulate(seed)
    X[np.random.default_rng(seed).random(X.shape) < 0.1] = np.nan
    model.fit(X)
    assert explain(np.asarray(model.transform(X)), Z) > 0.93
    assert np.min(np.diff(model.history_["objective"])) > -1e-6


def test_what_a_mask_hides_has_no_influence() -> None:
    X, _ = simulate(0)
    mask = np.random.default_rng(1).random(X.shape) < 0.2
    one = FactorAnalysis(3, max_iter=20).fit(X, mask=mask)
    other = FactorAnalysis(3, max_iter=20).fit(np.where(mask, 99.0, X), mask=mask)
    np.testing.assert_array_equal(one.params_["loadings"], other.params_["loadings"])


@pytest.mark.parametrize("n", [0, 15, 2.5])
def test_a_wrong_number_of_latents_is_named(n: int) -> None:
    with pytest.raises(ValueError, match=f"n_latents: expected an integer from 1 to 14, got {n}"):
        FactorAnalysis(n).fit(simulate(0)[0])


def test_factors_of_resting_fmri_beat_shuffled_regions(real_data: Path) -> None:
    table = pd.read_csv(real_data / "nitime_fmri" / "fmri_timeseries.csv")
    rows = table.iloc[:, 3:].to_numpy(float)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(rows, axis=0)
    scores = [
        float(np.sum(FactorAnalysis(4).fit(x[:170]).log_prob(x[170:]))) for x in (rows, shuffled)
    ]
    assert scores[0] > scores[1] + 100
    assert FactorAnalysis(4).fit(rows[:170]).score(rows[170:]) > 0.2
