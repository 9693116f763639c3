"""The temporal score against planted latencies."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import temporal_score
from neuroalign.errors import SchemaError

TIME = np.linspace(-0.1, 0.6, 141)


def make(peaks: list[float], noise: float = 0.01, height: float = 0.2, seed: int = 0) -> xr.Dataset:
    """Layers whose scores at 20 sensors peak at planted times."""
    rng = np.random.default_rng(seed)
    course = height * np.exp(-(((TIME - np.array(peaks)[:, None]) / 0.06) ** 2))
    values = course[:, None] + noise * rng.normal(size=(len(peaks), 20, len(TIME)))
    return xr.Dataset(
        {"mean_score": (("layer", "neuroid", "time"), values)},
        coords={
            "layer": [f"l{i}" for i in range(len(peaks))],
            "depth": ("layer", np.linspace(0, 1, len(peaks))),
            "neuroid": [f"s{i}" for i in range(20)],
            "time": TIME,
        },
    )


@pytest.mark.parametrize("rule", ["peak", "centroid"])
def test_planted_latencies_and_score_come_out_within_their_intervals(rule: str) -> None:
    peaks = [0.1, 0.22, 0.18, 0.3, 0.35, 0.33]
    found = temporal_score(make(peaks)).sel(rule=rule)
    np.testing.assert_allclose(found["latency"], peaks, atol=0.02)
    true = np.corrcoef(np.arange(6), peaks)[0, 1]
    own = found.sel(statistic="pearson")
    assert float(own["lower"]) - 0.01 <= true <= float(own["upper"]) + 0.01
    assert float(own["p_shuffled"]) < 0.05


def test_the_published_latency_is_the_mean_time_near_the_peak() -> None:
    result = make([0.2, 0.3], noise=0.0)
    course = result["mean_score"].values[0, 0]
    inside = TIME >= 0
    near = inside & (course >= 0.95 * course[inside].max())
    found = temporal_score(result)["latency"].sel(rule="peak")
    assert float(found[0]) == pytest.approx(TIME[near].mean())


def test_scores_of_noise_lie_about_zero() -> None:
    scores = [
        float(
            temporal_score(make([0.2] * 8, height=0.0, seed=seed), n_shuffles=0, n_resamples=2)[
                "score"
            ].sel(rule="centroid", statistic="pearson")
        )
        for seed in range(40)
    ]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(40)


def test_layers_that_predict_nothing_are_left_out() -> None:
    result = make([0.1, 0.2, 0.3, 0.4], noise=0.0)
    result["mean_score"][1] = -0.1
    found = temporal_score(result)
    assert (found["n_layers"] == 3).all()
    assert np.isnan(found["latency"][:, 1]).all()
    assert float(found["score"].sel(rule="peak", statistic="pearson")) > 0.99


def test_neuroids_without_a_score_are_left_out_of_means() -> None:
    result = make([0.1, 0.2, 0.3], noise=0.0)
    result["mean_score"][:, ::2] = np.nan
    found, whole = temporal_score(result), temporal_score(make([0.1, 0.2, 0.3], noise=0.0))
    np.testing.assert_allclose(found["course"], whole["course"])
    np.testing.assert_allclose(found["latency_upper"], whole["latency_upper"])


def test_the_null_orders_the_layers_that_have_a_latency() -> None:
    result = make([0.1, 0.2, 0.3, 0.4, 0.0], noise=0.0)
    result["mean_score"][4] = -0.1
    found = temporal_score(result, n_shuffles=4000).sel(rule="peak", statistic="pearson")
    # Two of the 24 orders of four layers are as far from zero.
    assert float(found["p_shuffled"]) == pytest.approx(2 / 24, abs=0.02)


def test_only_the_window_is_looked_at() -> None:
    found = temporal_score(make([0.1, 0.3], noise=0.0), window=(0.0, 0.2))
    assert float(found["latency"].max()) <= 0.2


def test_the_table_passes_the_schema_and_is_stored(tmp_path) -> None:
    found = temporal_score(make([0.1, 0.2, 0.3]), n_shuffles=5, n_resamples=10)
    schema.check(found)
    storage.save(found, tmp_path / "temporal.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "temporal.nc"), found)


def test_faults_are_named() -> None:
    result = make([0.1, 0.2])
    with pytest.raises(SchemaError, match="expected scores over 'time'"):
        temporal_score(result.mean("time"))
    with pytest.raises(ValueError, match="share: expected"):
        temporal_score(result, share=0.0)
    with pytest.raises(ValueError, match="window: expected two time points"):
        temporal_score(result, window=(5.0, 6.0))


def test_the_verdict_says_rule_and_statistic() -> None:
    found = temporal_score(make([0.1, 0.2, 0.3]), n_shuffles=0, n_resamples=9)
    assert found.attrs["verdict"].startswith("temporal score (peak, Pearson) 1.0")
