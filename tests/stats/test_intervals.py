"""Bootstrap intervals equal scipy's, cover the truth, and respect groups."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import bootstrap

from neuroalign.stats import bootstrap_interval


@pytest.mark.parametrize("method", ["bca", "percentile", "basic"])
def test_intervals_equal_scipys(method: str, rng: np.random.Generator) -> None:
    values = rng.exponential(size=(40, 3))
    ours = bootstrap_interval(values, np.mean, method=method, n_resamples=999, seed=5)
    for target in range(3):
        peer = bootstrap(
            (values[:, target],),
            np.mean,
            method=method,
            n_resamples=999,
            rng=np.random.default_rng(5),
        )
        assert float(ours["lower"][target]) == pytest.approx(peer.confidence_interval.low)
        assert float(ours["upper"][target]) == pytest.approx(peer.confidence_interval.high)
        assert float(ours["standard_error"][target]) == pytest.approx(peer.standard_error)
    np.testing.assert_allclose(ours["estimate"], values.mean(axis=0))


def test_intervals_cover_the_truth_as_often_as_they_say(rng: np.random.Generator) -> None:
    values = rng.normal(size=(30, 400))
    result = bootstrap_interval(values, level=0.9, n_resamples=1000)
    covered = float(((result["lower"] <= 0) & (result["upper"] >= 0)).mean())
    assert 0.83 <= covered <= 0.93


def test_groups_widen_the_interval_of_dependent_units(rng: np.random.Generator) -> None:
    subject = np.repeat(np.arange(20), 25)
    values = rng.normal(size=20)[subject] + 0.1 * rng.normal(size=500)
    alone = bootstrap_interval(values, n_resamples=500)
    grouped = bootstrap_interval(values, groups=subject, n_resamples=500)
    by_subject = bootstrap_interval(values.reshape(20, 25).mean(axis=1), n_resamples=500)
    width = grouped["upper"] - grouped["lower"]
    assert float(width) > 3 * float(alone["upper"] - alone["lower"])
    assert float(width) == pytest.approx(float(by_subject["upper"] - by_subject["lower"]), rel=1e-6)


def test_labels_stay_and_degenerate_targets_are_counted(rng: np.random.Generator) -> None:
    values = xr.DataArray(
        np.stack([rng.normal(size=12), np.ones(12)], axis=1),
        {"roi": ["V1", "V2"]},
        ("subject", "roi"),
    )
    result = bootstrap_interval(values, np.median, n_resamples=200)
    assert result["roi"].values.tolist() == ["V1", "V2"]
    assert float(result["lower"].sel(roi="V2")) == 1
    assert result.attrs["n_degenerate"] == 1
    assert result.attrs["n_units"] == 12


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="values: expected at least 2 independent units, got 1"):
        bootstrap_interval(np.ones((1, 3)))
    with pytest.raises(ValueError, match="groups: expected at least 2 independent units, got 1"):
        bootstrap_interval(np.ones(4), groups=np.zeros(4))
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1, got 95"):
        bootstrap_interval(np.ones(4), level=95)
    with pytest.raises(ValueError, match="method: expected one of 'bca'"):
        bootstrap_interval(np.ones(4), method="studentized")
