"""Traces: continuous and around events."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders.calcium import from_traces


def make_events(onset: list[float], duration: float = 1.0) -> pd.DataFrame:
    names = ["a", "b"] * len(onset)
    return pd.DataFrame({"onset": onset, "duration": duration, "stimulus": names[: len(onset)]})


def ramp(n: int = 100) -> np.ndarray:
    return np.column_stack([np.arange(n), -np.arange(n)]).astype(float)


def test_continuous_traces_keep_their_clock() -> None:
    responses = from_traces(ramp(), rate=10, start=4.2)
    assert responses.dims == ("sample", "neuroid")
    assert responses.attrs["sampling_rate"] == 10
    assert np.allclose(responses["onset"].values, 4.2 + np.arange(100) / 10)
    assert responses.attrs["modality"] == "calcium"


@pytest.mark.parametrize(("how", "shift"), [("nearest", 0.0), ("linear", 0.4)])
def test_events_between_frames_take_the_nearest_or_a_line(how: str, shift: float) -> None:
    events = make_events([1.04, 3.04])
    responses = from_traces(ramp(), rate=10, events=events, window=(-0.2, 0.3), how=how)
    expected = np.array([[8, 9, 10, 11, 12], [28, 29, 30, 31, 32]]) + shift
    assert np.allclose(responses.values[:, 0], expected, atol=1e-4)
    assert np.allclose(responses["time"].values, [-0.2, -0.1, 0, 0.1, 0.2])
    assert "valid" not in responses.coords


def test_trials_last_to_their_end() -> None:
    events = make_events([1.0, 3.0]).assign(duration=[0.3, 0.5])
    responses = from_traces(ramp(), rate=10, events=events)
    assert responses["valid"].values.sum(axis=1).tolist() == [3, 5]
    assert np.array_equal(np.isnan(responses.values[:, 1]), ~responses["valid"].values)


@pytest.mark.parametrize("how", ["nearest", "linear"])
def test_times_without_frames_are_nan(how: str) -> None:
    clock = np.concatenate([np.arange(10), np.arange(20, 30)]) / 10
    events = make_events([0.0, 0.7, 2.8])
    responses = from_traces(ramp(20), times=clock, events=events, window=(0, 0.5), how=how)
    assert responses["valid"].values.sum(axis=1).tolist() == [5, 3, 2]
    assert np.array_equal(np.isnan(responses.values[:, 0]), ~responses["valid"].values)


def test_a_frame_that_is_nan_does_not_spread() -> None:
    traces = ramp()
    traces[11] = np.nan
    responses = from_traces(
        traces, rate=10, events=make_events([1.0]), window=(0, 0.3), how="linear"
    )
    assert np.isnan(responses.values[0, 0]).tolist() == [False, True, False]
    assert "valid" not in responses.coords


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "times, rate: expected one of them, got none"),
        ({"rate": 10, "times": np.arange(100)}, "got both"),
        ({"rate": 0.0}, "rate: expected Hz above 0"),
        ({"times": np.arange(2)}, r"times: expected 100 values"),
        ({"times": np.r_[np.arange(99), 5]}, "increasing seconds, got 5.0 in row 99"),
        ({"rate": 10, "events": make_events([500.0])}, "inside the recording"),
        ({"rate": 10, "events": make_events([1.0]), "window": (0, 0.01)}, "one period"),
    ],
)
def test_faults_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LoadError, match=words):
        from_traces(ramp(), **changes)


def test_traces_of_other_shapes_and_samplings_are_refused() -> None:
    with pytest.raises(LoadError, match=r"traces: expected numbers \(time, roi\)"):
        from_traces(np.zeros(10), rate=10)
    with pytest.raises(ValueError, match="how: expected one of 'nearest', 'linear'"):
        from_traces(ramp(), rate=10, how="cubic")
