"""Noise ceilings find the planted reliability."""

import numpy as np
import pytest

from neuroalign.ceilings import split_half
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays


def test_split_half_recovers_the_planted_reliability(rng: np.random.Generator) -> None:
    signal, noise = rng.normal(size=(400, 1, 5)), rng.normal(size=(400, 4, 5))
    values = (signal + np.array([0.5, 1, 1, 2, 2]) * noise).reshape(1600, 5)
    responses = from_arrays(
        values, stimulus=np.repeat([f"s{i}" for i in range(400)], 4), modality="fmri"
    )
    planted = 1 / (1 + np.array([0.25, 1, 1, 4, 4]) / 4)
    result = split_half(responses, seed=1)
    np.testing.assert_allclose(result["ceiling"], planted, atol=0.05)
    np.testing.assert_allclose(result["ceiling_r"] ** 2, result["ceiling"])
    assert (result["lower"] <= result["ceiling"]).all()
    assert (result["ceiling"] <= result["upper"]).all()


def test_two_repeats_equal_the_closed_form(rng: np.random.Generator) -> None:
    halves = rng.normal(size=(30, 1, 3)) + 0.5 * rng.normal(size=(30, 2, 3))
    responses = from_arrays(
        halves.reshape(60, 3), stimulus=np.repeat([f"s{i}" for i in range(30)], 2), modality="eeg"
    )
    result = split_half(responses, n_splits=200, seed=0)
    r = np.array([np.corrcoef(halves[:, 0, n], halves[:, 1, n])[0, 1] for n in range(3)])
    # Random assignment to halves scatters around the fixed one.
    np.testing.assert_allclose(result["ceiling"], 2 * r / (1 + r), atol=0.03)


def test_without_repeats_there_is_no_ceiling() -> None:
    responses = from_arrays(np.eye(3), stimulus=["a", "b", "c"], modality="eeg")
    with pytest.raises(SchemaError, match="expected repeated stimuli, got 3 shown once"):
        split_half(responses)
    timed = from_arrays(np.eye(3), run=["r"] * 3, onset=[0, 1, 2], modality="eeg")
    with pytest.raises(SchemaError, match="expected coord 'stimulus'"):
        split_half(timed)


def test_volumes_named_by_condition_are_no_repeats(rng: np.random.Generator) -> None:
    volumes = from_arrays(
        rng.normal(size=(40, 3)),
        modality="fmri",
        stimulus=["face", "face", "house", "house"] * 10,
        run=["a"] * 20 + ["b"] * 20,
        onset=np.tile(np.arange(20) * 2.0, 2),
    )
    with pytest.raises(SchemaError, match="expected presentations, got volumes named by condition"):
        split_half(volumes)


def test_times_of_a_film_shown_twice_are_repeats(rng: np.random.Generator) -> None:
    film = rng.normal(size=(20, 3))
    volumes = from_arrays(
        np.concatenate([film, film]) + 0.1 * rng.normal(size=(40, 3)),
        modality="fmri",
        stimulus=[f"second-{second:02d}" for second in range(20)] * 2,
        run=["a"] * 20 + ["b"] * 20,
        onset=np.tile(np.arange(20) * 2.0, 2),
    )
    assert (split_half(volumes)["ceiling"] > 0.9).all()


def test_at_least_one_split_is_drawn(rng: np.random.Generator) -> None:
    responses = from_arrays(rng.normal(size=(4, 2)), modality="fmri", stimulus=["a", "b"] * 2)
    with pytest.raises(ValueError, match="n_splits: expected at least 1"):
        split_half(responses, n_splits=0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_neurons_that_hardly_fire_have_no_reliability_and_no_complaint() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.02, size=(96, 40, 1))
    stimuli = np.repeat([f"s{i}" for i in range(8)], 12)
    found = split_half(from_arrays(counts, modality="spikes", stimulus=stimuli, time=[0.1]))
    assert not np.isfinite(found["ceiling"]).all()
