"""Features on their own clock reach the right samples, and never the next run."""

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.integrate import quad

from neuroalign._hrf import HRFS, impulse_response
from neuroalign.align import convolve_hrf, events_to_features, resample
from neuroalign.align.resampling import RESAMPLERS
from neuroalign.errors import AlignError
from neuroalign.loaders import features_from_arrays, from_arrays

TR = 2.0


def volumes(runs: int = 2, n: int = 30) -> xr.DataArray:
    responses = from_arrays(
        np.zeros((runs * n, 1), np.float32),
        run=np.repeat([f"run-{r + 1:02d}" for r in range(runs)], n),
        onset=np.tile(np.arange(n) * TR, runs),
        modality="fmri",
    )
    return responses.assign_coords(duration=("sample", np.full(runs * n, TR)))


def table(onset: list[float], duration: list[float], names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"onset": onset, "duration": duration, "stimulus": names})


@pytest.fixture
def events() -> xr.DataArray:
    return events_to_features(
        [table([3.0, 50.0], [5.0, 6.0], ["a", "b"]), table([11.0], [0.0], ["a"])]
    )


def test_convolution_equals_numerical_integration(events: xr.DataArray) -> None:
    responses = volumes()
    lag = -1.5
    result = convolve_hrf(events, responses, lag=lag)

    def course(t: float, onset: float, duration: float) -> float:
        return quad(
            lambda s: float(impulse_response(np.array(t - s), HRFS["glover"])),
            onset + lag,
            onset + lag + duration,
            points=[min(max(t, onset + lag), onset + lag + duration)],
        )[0]

    first = result.sel(sample=result["run"] == "run-01")
    for row, t in enumerate(first["onset"].values):
        expected = [course(t, 3.0, 5.0), course(t, 50.0, 6.0)]
        np.testing.assert_allclose(first.values[row], expected, atol=1e-6)
    second = result.sel(sample=result["run"] == "run-02")
    impulse = impulse_response(second["onset"].values - 9.5, HRFS["glover"])
    np.testing.assert_allclose(second.values[:, 0], impulse, atol=1e-6)
    assert result.attrs["lag"] == -1.5
    assert "convolve_hrf: glover, lag -1.5 s" in result.attrs["history"]


def test_late_events_of_one_run_do_not_reach_the_next(events: xr.DataArray) -> None:
    result = convolve_hrf(events, volumes())
    second = result.values[30:]
    assert np.abs(result.values[:30, 1]).max() > 0.3
    np.testing.assert_array_equal(second[:, 1], 0)


def test_rows_follow_the_responses_in_any_order(
    events: xr.DataArray, rng: np.random.Generator
) -> None:
    responses = volumes()
    order = rng.permutation(60)
    for bring in (convolve_hrf, resample):
        straight = bring(events, responses)
        np.testing.assert_array_equal(bring(events, responses[order]), straight[order])


def test_resampling_gives_the_share_of_each_volume(events: xr.DataArray) -> None:
    result = resample(events, volumes())
    np.testing.assert_allclose(result.values[:6, 0], [0, 0.5, 1, 1, 0, 0])
    np.testing.assert_allclose(result.values[30:, 0].nonzero()[0], [5])
    assert result.values[35, 0] == pytest.approx(1 / TR)


def test_features_of_stimuli_ride_on_their_events() -> None:
    layers = xr.DataArray(
        np.array([[1.0, 2, 3], [4, 5, 6]], np.float32),
        {"stimulus": ("sample", ["b", "a"])},
        ("sample", "feature"),
        attrs={"kind": "features", "layer": "conv"},
    )
    events = [table([2.0, 8.0], [2.0, 2.0], ["a", "b"]), table([0.0], [2.0], ["b"])]
    result = resample(events_to_features(events, layers), volumes())
    np.testing.assert_array_equal(result.values[[1, 4, 30]], [[4, 5, 6], [1, 2, 3], [1, 2, 3]])
    assert result.attrs["layer"] == "conv"


def test_faults_are_named(events: xr.DataArray) -> None:
    responses = volumes(3)
    with pytest.raises(AlignError, match="expected run 'run-03' of responses, got runs 'run-01'"):
        convolve_hrf(events, responses)
    milliseconds = events.assign_coords(onset=events["onset"] * 1000)
    with pytest.raises(AlignError, match="times that reach run 'run-01' .0 to 58 s., got 3000 to"):
        convolve_hrf(milliseconds, volumes())
    with pytest.raises(AlignError, match="features: expected coord 'duration'"):
        convolve_hrf(events.drop_vars("duration"), volumes())
    with pytest.raises(AlignError, match="responses: expected coord 'duration'"):
        resample(events, volumes().drop_vars("duration"))
    with pytest.raises(ValueError, match="hrf: expected one of 'glover', 'spm', got 'glovr'"):
        convolve_hrf(events, volumes(), hrf="glovr")
    late = events["onset"].values.copy()
    late[1] = np.nan
    with pytest.raises(AlignError, match="expected onset in seconds, got nan in row 1"):
        convolve_hrf(events.assign_coords(onset=("sample", late)), volumes())


def test_a_lag_is_a_number(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"lag: expected a number of seconds, got Dataset"):
        convolve_hrf(xr.DataArray(), xr.DataArray(), lag=xr.Dataset())


def stream(onset: np.ndarray, values: np.ndarray, run: str = "run-01") -> xr.DataArray:
    step = np.full(len(onset), float(np.median(np.diff(onset))))
    return features_from_arrays(
        values.reshape(len(onset), -1), run=[run] * len(onset), onset=onset, duration=step
    )


def kernel(u: float, lobes: int) -> float:
    if u == 0:
        return 1.0
    if abs(u) > lobes:
        return 0.0
    return lobes * math.sin(math.pi * u) * math.sin(math.pi * u / lobes) / (math.pi * u) ** 2


@pytest.mark.parametrize("lobes", [1, 2, 3])
def test_lanczos_equals_the_plain_sum_over_words(lobes: int, rng: np.random.Generator) -> None:
    onset = np.sort(rng.uniform(0, 60, 40))
    words = stream(onset, rng.normal(size=(40, 2)))
    result = resample(words, volumes(1), method="lanczos", window=lobes)
    middle = onset + words["duration"].values / 2
    expected = [
        sum(
            kernel((tr * TR + TR / 2 - t) / TR, lobes) * value
            for t, value in zip(middle, words.values, strict=True)
        )
        for tr in range(30)
    ]
    np.testing.assert_allclose(result.values, expected, atol=1e-5)
    assert f"lanczos, {lobes} lobes, normalize=False" in result.attrs["history"]


def test_lanczos_keeps_a_slow_wave_and_stops_a_fast_one() -> None:
    frames = np.arange(0, 200, 0.1)
    middle = frames + 0.05
    # 1 / (2 TR) = 0.25 Hz; 0.45 Hz would come back as 0.05 Hz.
    slow, fast = np.sin(2 * np.pi * 0.05 * middle), np.sin(2 * np.pi * 0.45 * middle)
    features = stream(frames, np.stack([slow, fast, np.ones_like(slow)], axis=1))
    result = resample(features, volumes(1, 100), method="lanczos", window=5, normalize=True)
    inner = slice(5, -5)
    truth = np.sin(2 * np.pi * 0.05 * (result["onset"].values + TR / 2))
    np.testing.assert_allclose(result.values[inner, 0], truth[inner], atol=0.02)
    np.testing.assert_allclose(result.values[:, 2], 1, atol=1e-5)
    assert np.abs(result.values[inner, 1]).max() < 0.02
    mean = resample(features, volumes(1, 100))
    assert np.abs(mean.values[inner, 1]).max() > 0.1


def test_normalised_samples_beyond_the_features_are_filled() -> None:
    features = stream(np.arange(0, 40, 0.1), np.ones(400))
    result = resample(features, volumes(1), method="lanczos", normalize=True, fill=np.nan).values[
        :, 0
    ]
    np.testing.assert_allclose(result[:20], 1, atol=1e-6)
    assert np.isnan(result[21:]).all()


@pytest.mark.parametrize("shuffled", [False, True])
def test_last_equals_merge_asof(shuffled: bool, rng: np.random.Generator) -> None:
    onset = np.round(rng.uniform(5, 60, 25), 1)
    onset[:4] = [8.0, 10.0, 12.0, 12.0]  # on the borders of volumes, and two at once
    words = stream(np.sort(onset), np.arange(25.0))
    order = rng.permutation(25) if shuffled else np.arange(25)
    table = pd.DataFrame({"end": np.sort(onset)[order], "value": words.values[order, 0]})
    ends = pd.DataFrame({"end": np.arange(30) * TR + TR})
    expected = pd.merge_asof(
        ends, table.sort_values("end", kind="stable"), on="end", allow_exact_matches=False
    )
    result = resample(words[order], volumes(1), method="last", fill=np.nan)
    np.testing.assert_array_equal(result.values[:, 0], expected["value"])
    zero = resample(words[order], volumes(1), method="last")
    np.testing.assert_array_equal(zero.values[:, 0], expected["value"].fillna(0))


@pytest.mark.parametrize("method", list(RESAMPLERS))
def test_no_way_of_resampling_crosses_a_run(method: str, rng: np.random.Generator) -> None:
    onset = np.arange(1, 59, 0.5)
    first, second = (stream(onset, rng.normal(size=116), f"run-0{r}") for r in (1, 2))
    responses = volumes()
    both = resample(xr.concat([second, first], "sample"), responses, method=method)
    alone = [
        resample(one, responses[rows], method=method)
        for one, rows in ((first, slice(0, 30)), (second, slice(30, 60)))
    ]
    np.testing.assert_array_equal(both.values, np.concatenate([a.values for a in alone]))


def test_options_of_resampling_are_checked(events: xr.DataArray) -> None:
    with pytest.raises(ValueError, match="method: expected one of 'mean', 'last', 'lanczos'"):
        resample(events, volumes(), method="lanczo")
    with pytest.raises(ValueError, match="window: expected a number of lobes from 1 on, got 0"):
        resample(events, volumes(), method="lanczos", window=0)
    instant = volumes().assign_coords(duration=("sample", np.zeros(60)))
    with pytest.raises(AlignError, match="responses: expected durations above 0 s, got 0"):
        resample(events, instant)
