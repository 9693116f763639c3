"""Rate, length and frequency of words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from neuroalign import schema
from neuroalign.align import resample
from neuroalign.errors import SchemaError
from neuroalign.features import word_frequency, word_length, word_rate
from neuroalign.loaders import from_arrays

TABLE = {"the": 50_000.0, "The": 10_000.0, "cat": 10.0, "zebu": 0.1}


@pytest.fixture
def words(rng: np.random.Generator) -> pd.DataFrame:
    onset = np.sort(rng.uniform(0, 20, 50))
    return pd.DataFrame({"stimulus": "cat", "onset": onset, "duration": 0.3, "run": "run-01"})


def test_the_rate_counts_words_per_second(words: pd.DataFrame) -> None:
    volumes = from_arrays(
        np.zeros((10, 1)),
        modality="fmri",
        run=["run-01"] * 10,
        onset=np.arange(10) * 2.0,
        duration=np.full(10, 2.0),
    )
    rate = resample(word_rate(words), volumes).values[:, 0]
    counts = np.histogram(words["onset"], np.arange(0, 21, 2))[0]
    np.testing.assert_allclose(rate, counts / 2, atol=1e-6)


def test_the_rate_needs_onsets() -> None:
    with pytest.raises(SchemaError, match=r"words: expected 'onset' \[s\], got 'stimulus'"):
        word_rate(["the", "cat"])


@pytest.mark.parametrize(
    ("word", "length"), [("cat", 3), ("Don't", 4), ("naïve!", 5), ("3rd", 3), ("--", 0)]
)
def test_the_length_counts_letters_and_digits(word: str, length: int) -> None:
    assert word_length([word]).item() == length


def test_frequencies_ignore_capitals_and_punctuation() -> None:
    found = word_frequency(["THE", "“cat,”"], TABLE)
    np.testing.assert_allclose(found.values[:, 0], np.log10([60_000, 10]), rtol=1e-6)
    assert found.attrs["unseen_share"] == 0


def test_unseen_words_get_the_lowest_frequency() -> None:
    found = word_frequency(["axolotl", "cat"], pd.Series(TABLE))
    np.testing.assert_allclose(found.values[:, 0], [-1, 1], atol=1e-6)
    assert found.attrs["unseen_share"] == 0.5


def test_unseen_words_can_be_an_error() -> None:
    with pytest.raises(SchemaError, match="table: expected the frequency of every word, got none "):
        word_frequency(["axolotl", "cat"], TABLE, unseen="error")
    with pytest.raises(ValueError, match="unseen: expected one of 'floor', 'error'"):
        word_frequency(["cat"], TABLE, unseen="mean")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "table: expected words with frequencies, got none"),
        ({"cat": 0.0}, r"table: expected positive numbers .*, got 0.0 for 'cat'"),
        ({"cat": "many"}, r"table: expected positive numbers .*, got 'many' for 'cat'"),
    ],
)
def test_tables_are_checked(table: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        word_frequency(["cat"], table)


def test_labels_follow_the_schema(words: pd.DataFrame) -> None:
    for found in (word_rate(words), word_length(words), word_frequency(words, TABLE)):
        schema.check_features(found)
        assert set(found.coords) == {"stimulus", "run", "onset", "duration", "space"}
        assert found.space.item() == found.attrs["layer"]
    assert word_rate(words).duration.values.max() == 0


@pytest.mark.parametrize(
    ("options", "units", "total"),
    [
        ({}, "1/s", 25.0),
        ({"method": "lanczos"}, "1/sample", 50.0),
        ({"method": "lanczos", "normalize": True}, "1", None),
        ({"method": "last"}, "1", None),
    ],
)
def test_the_resampled_rate_bears_its_units(
    options: dict[str, Any], units: str, total: float | None, words: pd.DataFrame
) -> None:
    volumes = from_arrays(
        np.zeros((14, 1)),
        modality="fmri",
        run=["run-01"] * 14,
        onset=np.arange(-2, 12) * 2.0,
        duration=np.full(14, 2.0),
    )
    found = resample(word_rate(words), volumes, **options)
    assert found.attrs["units"] == units
    if total is None:
        np.testing.assert_allclose(found.values[found.values != 0], 1.0, rtol=1e-6)
    else:
        np.testing.assert_allclose(found.values.sum(), total, rtol=0.02)
    summed = resample(word_length(words), volumes, method="lanczos")
    assert summed.attrs["units"] == "letters, summed over a sample"
