"""Repeats average by label, and split into halves of the same stimuli."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.align import average_repeats, split_repeats
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays


def test_the_average_equals_a_loop(rng: np.random.Generator) -> None:
    values, labels = rng.normal(size=(7, 2)), ["b", "a", "b", "c", "a", "b", "a"]
    run = ["1", "2", "1", "3", "2", "1", "2"]
    averaged = average_repeats(from_arrays(values, stimulus=labels, run=run, modality="eeg"))
    assert averaged["stimulus"].values.tolist() == ["b", "a", "c"]
    assert averaged["run"].values.tolist() == ["1", "2", "3"]
    assert averaged["n_repeats"].values.tolist() == [3, 3, 1]
    assert "repeat" not in averaged.coords, "repeats differ within a label"
    for row, label in enumerate("bac"):
        rows = [index for index, name in enumerate(labels) if name == label]
        np.testing.assert_allclose(averaged.values[row], values[rows].mean(axis=0), rtol=1e-6)


def test_halves_hold_the_same_stimuli_and_no_sample_twice() -> None:
    labels = ["a"] * 4 + ["b"] * 3 + ["c"]
    responses = from_arrays(2.0 ** np.arange(8)[:, None], stimulus=labels, modality="eeg")
    first, second = split_repeats(responses, seed=2)
    assert first["stimulus"].values.tolist() == second["stimulus"].values.tolist() == ["a", "b"]
    assert first["n_repeats"].values.tolist() == second["n_repeats"].values.tolist() == [2, 1]
    # Distinct powers of two: the sum of both halves of 'a' is that of its four samples.
    assert float(first[0, 0] * 2 + second[0, 0] * 2) == 15.0


def test_nothing_to_split_or_average_by_is_an_error() -> None:
    responses = from_arrays(np.zeros((2, 1)), stimulus=["a", "b"], modality="eeg")
    with pytest.raises(SchemaError, match="expected repeated stimuli, got each once"):
        split_repeats(responses)
    with pytest.raises(SchemaError, match="expected coord 'subject' to average by"):
        average_repeats(responses, by="subject")


@pytest.mark.parametrize("chunks", [(3, 2), (20, 1), (7, 5)])
def test_chunked_responses_are_averaged_lazily_to_the_same_numbers(
    rng: np.random.Generator, chunks: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small that blocks of one and of two neuroids come up.
    monkeypatch.setattr("neuroalign.ceilings._blocks.BLOCK", 20 * 3 * 8 * 2)
    values = rng.normal(size=(20, 5, 3))
    values[4, 2] = np.nan
    labels = rng.choice(list("abcdef"), size=20)
    whole = from_arrays(values, stimulus=labels, time=np.arange(3.0), modality="eeg")
    lazy = average_repeats(whole.chunk(sample=chunks[0], neuroid=chunks[1]))
    assert lazy.chunks is not None
    assert max(lazy.chunks[1]) <= 2
    xr.testing.assert_identical(lazy.compute(), average_repeats(whole))


def test_a_label_that_is_all_nan_stays_nan_and_says_nothing() -> None:
    values = np.array([[np.nan], [np.nan], [1.0], [np.nan]])
    averaged = average_repeats(from_arrays(values, stimulus=list("aabb"), modality="eeg"))
    np.testing.assert_array_equal(averaged.values, [[np.nan], [1.0]])
