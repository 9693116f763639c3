"""Scores against scipy and scikit-learn, and their NaN policy."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import r2_score

from neuroalign.encoders import bits_per_spike
from neuroalign.encoders import pseudo_r2 as encoders_pseudo_r2
from neuroalign.errors import AlignError
from neuroalign.loaders import from_arrays
from neuroalign.scores import METRICS, choose_metric, pearson, r2, score, spearman


def test_scores_agree_with_the_references(rng: np.random.Generator) -> None:
    observed, predicted = rng.normal(size=(2, 40, 3, 2))
    observed[:5] = observed[5:10]
    flat = zip(observed.reshape(40, -1).T, predicted.reshape(40, -1).T, strict=True)
    for index, (one, two) in enumerate(flat):
        place = np.unravel_index(index, (3, 2))
        assert pearson(observed, predicted)[place] == pytest.approx(
            scipy.stats.pearsonr(one, two).statistic, abs=1e-12
        )
        assert spearman(observed, predicted)[place] == pytest.approx(
            scipy.stats.spearmanr(one, two).statistic, abs=1e-12
        )
        assert r2(observed, predicted)[place] == pytest.approx(r2_score(one, two), abs=1e-12)


def test_a_scaled_prediction_keeps_r_and_loses_r2(rng: np.random.Generator) -> None:
    observed = rng.normal(size=(50, 1))
    observed -= observed.mean()
    assert pearson(observed, 3 * observed)[0] == pytest.approx(1.0)
    assert r2(observed, 3 * observed)[0] == pytest.approx(-3.0)


def test_scores_of_counts_are_those_of_the_encoders(rng: np.random.Generator) -> None:
    observed, rate = rng.poisson(2.0, (30, 3)).astype(float), rng.uniform(0.5, 3.0, (30, 3))
    observed[3, 1], observed[:, 2] = np.nan, 0.0
    for metric, peer in (("bits_per_spike", bits_per_spike), ("pseudo_r2", encoders_pseudo_r2)):
        values = METRICS[metric](observed, rate)
        assert values[0] == pytest.approx(peer(observed[:, 0], rate[:, 0]))
        assert np.isnan(values[1:]).all()


@pytest.mark.parametrize("metric", ["pearson", "r2", "spearman"])
def test_constant_and_missing_columns_give_nan(metric: str, rng: np.random.Generator) -> None:
    observed, predicted = rng.normal(size=(2, 20, 3))
    observed[:, 0] = 0.1
    observed[4, 1] = np.nan
    values = METRICS[metric](observed, predicted)
    assert np.isnan(values[:2]).all()
    assert np.isfinite(values[2])


def test_labelled_scores_count_constant_neuroids(rng: np.random.Generator) -> None:
    values = rng.normal(size=(10, 3))
    values[:, 1] = 2.0
    names = [f"s{row}" for row in range(10)]
    observed = from_arrays(values, stimulus=names, modality="eeg")
    result = score(observed, observed)
    assert result.dims == ("neuroid",)
    assert result.attrs["n_constant"] == 1
    np.testing.assert_allclose(result.values[[0, 2]], 1.0)


def test_other_labels_are_refused(rng: np.random.Generator) -> None:
    values = rng.normal(size=(4, 2))
    observed = from_arrays(values, stimulus=list("abcd"), modality="eeg")
    with pytest.raises(AlignError, match="expected stimulus 'a' in row 0, got 'b'"):
        score(observed, from_arrays(values, stimulus=list("bacd"), modality="eeg"))
    with pytest.raises(AlignError, match="predicted: expected dims"):
        score(observed, observed.isel(sample=slice(2)))
    with pytest.raises(ValueError, match="metric: expected one of 'pearson'.*Did you mean"):
        score(observed, observed, "pearsn")


@pytest.mark.parametrize(("said", "meant"), [("r", "pearson"), ("R2", "r2"), ("rho", "spearman")])
def test_usual_names_lead_to_ours(said: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"metric: .*got '{said}'. Did you mean '{meant}'"):
        choose_metric(said)


def test_bare_arrays_are_pointed_at_the_kernels() -> None:
    with pytest.raises(AlignError, match="observed: expected a DataArray .* got ndarray"):
        score(np.ones((3, 2)), np.ones((3, 2)))
