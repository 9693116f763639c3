"""Delayed copies stay in their run."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.align import delay_features
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError


def timed(values: np.ndarray, runs: list[str], step: float = 2.0) -> xr.DataArray:
    n = len(values) // len(runs)
    coords = {
        "run": ("sample", np.repeat(runs, n)),
        "onset": ("sample", np.tile(np.arange(n) * step, len(runs))),
        "condition": ("feature", np.array([f"c{i}" for i in range(values.shape[1])])),
    }
    return xr.DataArray(values, coords, ("sample", "feature"), attrs={"kind": "features"})


def test_delays_equal_brute_force_and_never_cross_runs(rng: np.random.Generator) -> None:
    features = timed(rng.normal(size=(24, 3)), ["a", "b", "c"])
    delays = [0, 2, -1, 9]
    result = delay_features(features, delays)
    run = features["run"].values
    for row in range(24):
        for place, delay in enumerate(delays):
            source = row - delay
            inside = 0 <= source < 24 and run[source] == run[row]
            expected = features.values[source] if inside else np.zeros(3)
            np.testing.assert_array_equal(result.values[row, 3 * place : 3 * place + 3], expected)
    assert result["delay"].values.tolist() == [0, 0, 0, 4, 4, 4, -2, -2, -2, 18, 18, 18]
    assert result["condition"].values[:4].tolist() == ["c0", "c1", "c2", "c0"]


def test_order_of_rows_does_not_matter(rng: np.random.Generator) -> None:
    features = timed(rng.normal(size=(20, 2)), ["a", "b"])
    order = rng.permutation(20)
    np.testing.assert_array_equal(
        delay_features(features[order], [1, 3]), delay_features(features, [1, 3])[order]
    )


def test_an_encoder_recovers_the_planted_response(rng: np.random.Generator) -> None:
    features = timed(rng.normal(size=(600, 1)), ["a", "b"])
    delayed = delay_features(features, [0, 1, 2, 3])
    planted = np.array([0.0, 1.0, 0.5, -0.2])
    response = delayed.values @ planted + 0.1 * rng.normal(size=600)
    weights = Ridge().fit(delayed, response[:, None]).weights_
    np.testing.assert_allclose(weights.values[:, 0], planted, atol=0.03)


def test_faults_are_named(rng: np.random.Generator) -> None:
    features = timed(rng.normal(size=(8, 2)), ["a", "b"])
    uneven = features.assign_coords(onset=("sample", [0, 2, 4, 9, 0, 2, 4, 6.0]))
    with pytest.raises(AlignError, match="onsets every 2 s, got a step of 5 s in run 'a'"):
        delay_features(uneven)
    with pytest.raises(ValueError, match=r"delays: expected whole numbers of samples, got \[0.5\]"):
        delay_features(features, [0.5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="expected each once"):
        delay_features(features, [1, 1])
    shown = features.assign_coords(stimulus=("sample", [f"s{i}" for i in range(8)]))
    with pytest.raises(AlignError, match="expected coord 'onset'"):
        delay_features(shown.drop_vars("onset"))


def test_delays_longer_than_every_run_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"delays: expected some below the length of a run"):
        delay_features(timed(rng.normal(size=(8, 2)), ["a"] * 8), [500])


def test_runs_of_one_sample_have_no_past(rng: np.random.Generator) -> None:
    alone = timed(rng.normal(size=(3, 2)), ["a", "b", "c"])
    with pytest.raises(AlignError, match="features: expected several samples in a run, got one"):
        delay_features(alone, [0])


@pytest.mark.parametrize("delays", [4, [2.0, 4.0]])
def test_delays_are_integers_in_a_sequence(delays: object, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"Write integers in a sequence: \(2,\) is one delay"):
        delay_features(timed(rng.normal(size=(8, 2)), ["a", "b"]), delays)  # type: ignore[arg-type]
