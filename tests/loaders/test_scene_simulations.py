"""Simulated films show what they say, and neurons follow the ball where it is hidden."""

from typing import Any

import numpy as np
import pytest

from neuroalign import schema
from neuroalign.loaders import simulate_scenes
from neuroalign.loaders.scene_simulations import SceneSimulation


def _average(scenes: SceneSimulation, subject: str) -> np.ndarray:
    """Mean over trials of each film: (film, neuroid, time)."""
    return scenes.responses[subject].groupby("stimulus").mean("sample").values


def test_the_ball_is_where_it_is_said_to_be_until_it_hides() -> None:
    scenes = simulate_scenes(6, 2, size=32)
    position, hidden = scenes.truth["position"].values, scenes.truth["occluded"].values
    for frames, path, gone in zip(scenes.films.values(), position, hidden, strict=True):
        assert len(frames) == np.isfinite(path[:, 0]).sum()
        assert (frames.max(axis=(1, 2)) == 0).tolist() == gone[: len(frames)].tolist()
        for frame, where in zip(frames[~gone[: len(frames)]], path, strict=False):
            row, column = np.unravel_index(frame.argmax(), frame.shape)
            shown = (np.array([column, row]) + 0.5) / 32
            np.testing.assert_allclose(shown, where, atol=0.04)


def test_balls_run_straight_but_for_the_walls() -> None:
    path = simulate_scenes(40, 2).truth["position"].values
    step = np.diff(path[..., 1], axis=1)
    inside = np.isfinite(step)
    assert np.nanmin(path) >= 0
    assert np.nanmax(path) <= 1
    speed = np.abs(step[:, :1])
    same = np.isclose(np.abs(step), speed, atol=1e-9)
    # Only the frame of a bounce is shorter.
    assert (same | ~inside).mean() > 0.97


def test_signals_have_unit_variance_and_noise_the_one_asked_for() -> None:
    scenes = simulate_scenes(30, 6, n_repeats=20, snr=0.5)
    signal = scenes.truth["signal"].values
    np.testing.assert_allclose(np.nanstd(signal, axis=(0, 2)), 1, rtol=1e-6)
    one = scenes.responses["sub-01"]
    names = scenes.truth["stimulus"].values
    rows = np.searchsorted(names, one["stimulus"].values)
    noise = one.values - signal[rows][:, :6]
    assert np.nanvar(noise) == pytest.approx(2.0, rel=0.03)
    left = np.nanvar(_average(scenes, "sub-01") - signal[:, :6])
    assert left == pytest.approx(0.1, rel=0.05)


def test_subjects_say_the_same_wrong_height() -> None:
    scenes = simulate_scenes(60, 2, n_repeats=40, slowing=0.3)
    end = scenes.truth["ends_at"].values
    said = [
        one.groupby("stimulus").mean("sample").values[:, 0] - end
        for one in scenes.behaviour.values()
    ]
    assert np.corrcoef(*said)[0, 1] > 0.8
    true = simulate_scenes(60, 2, n_repeats=40, slowing=0.0)
    error = true.behaviour["sub-01"].groupby("stimulus").mean("sample").values[:, 0]
    assert np.abs(error - true.truth["ends_at"].values).max() < 0.1


def test_all_parts_follow_the_schema() -> None:
    scenes = simulate_scenes(4, 3, n_subjects=3, kinds=("motion",))
    schema.check_features(scenes.encoder)
    for part in (scenes.responses, scenes.behaviour):
        assert list(part) == ["sub-01", "sub-02", "sub-03"]
        for one in part.values():
            schema.check(one)
    assert set(scenes.responses["sub-02"]["roi"].values) == {"motion"}
    assert scenes.truth.sizes["neuroid"] == 9
    ends = np.isfinite(scenes.encoder.values).all(axis=1)
    np.testing.assert_array_equal(ends, np.isfinite(scenes.truth["position"].values[..., 0]))


def test_without_an_occluder_all_is_seen() -> None:
    scenes = simulate_scenes(4, 2, occluder=None)
    assert not scenes.truth["occluded"].any()
    assert all((frames.max(axis=(1, 2)) > 0.5).all() for frames in scenes.films.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_conditions": 0}, "n_conditions: expected at least 1, got 0"),
        ({"occluder": 1.5}, "occluder: expected a place between 0 and 1, got 1.5"),
        ({"snr": 0.0}, "snr: expected a number above 0, got 0.0"),
        ({"kinds": ("colour",)}, "kinds: expected one of 'position', 'motion', got 'colour'"),
    ],
)
def test_impossible_scenes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_scenes(**options)
