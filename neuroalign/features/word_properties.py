"""Features of words that need no model: when they are said, how long and how frequent they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import SchemaError, choose, some
from neuroalign.features._words import Words, WordSource, as_words, label_words

Array = npt.NDArray[Any]

# What a word gets that the table of frequencies lacks -> whether it may be lacking.
UNSEEN: dict[str, bool] = {"floor": True, "error": False}


def _label(values: Any, words: Words, name: str, units: str) -> xr.DataArray:
    column = np.asarray(values, dtype=np.float32)[:, None]
    attrs = {"model": "words", "layer": name, "layer_order": 0, "preprocessing": "none"}
    return label_words(column, words, name, {**attrs, "units": units}, f"word features: {name}")


def word_rate(words: WordSource) -> xr.DataArray:
    """Mark each word with an impulse at its onset.

    Parameters
    ----------
    words : DataFrame, DataArray, Dataset, sequence of str, or mapping
        With ``onset`` [s]; see `extract_text`.

    Returns
    -------
    DataArray (sample, feature)
        1 for each word, with duration 0: an impulse of area 1 s. `align.resample` makes words per
        second of it with ``method="mean"``, words per sample with ``"lanczos"``; with ``"last"``,
        and with ``normalize=True``, it is 1 whatever is said. `align.convolve_hrf` makes the
        response to the rate.

    Raises
    ------
    SchemaError
        For words without onsets.

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroalign.align import resample
    >>> from neuroalign.loaders import from_arrays
    >>> said = {"stimulus": ["a", "cat", "sat"], "onset": [0.1, 0.6, 2.5], "run": ["run-01"] * 3}
    >>> volumes = from_arrays(
    ...     np.zeros((2, 1)), modality="fmri", run=["run-01"] * 2, onset=[0, 2], duration=[2, 2]
    ... )
    >>> resample(word_rate(pd.DataFrame(said)), volumes).values[:, 0].tolist()
    [1.0, 0.5]
    """
    parsed = as_words(words)
    if "onset" not in parsed.coords:
        raise SchemaError(
            f"words: expected 'onset' [s], got {some(parsed.coords)}. Say when each was said."
        )
    instant = {**parsed.coords, "duration": np.zeros(len(parsed.text))}
    timed = Words(parsed.text, instant, parsed.parts)
    return _label(np.ones(len(parsed.text)), timed, "word_rate", "1/s")


def word_length(words: WordSource) -> xr.DataArray:
    """Count the letters and digits of each word.

    Parameters
    ----------
    words : DataFrame, DataArray, Dataset, sequence of str, or mapping
        See `extract_text`.

    Returns
    -------
    DataArray (sample, feature)
        Punctuation and spaces do not count.

    Raises
    ------
    SchemaError
        For missing words.

    Examples
    --------
    >>> word_length(["Don't", "panic!"]).values[:, 0].tolist()
    [4.0, 5.0]
    """
    parsed = as_words(words)
    counts = [sum(character.isalnum() for character in word) for word in parsed.text]
    return _label(counts, parsed, "word_length", "letters")


def strip_word(word: str) -> str:
    """Write a word as dictionaries do: no capitals, no punctuation around it."""
    inside = [place for place, character in enumerate(word) if character.isalnum()]
    return (word[inside[0] : inside[-1] + 1] if inside else word).casefold()


def word_frequency(
    words: WordSource, table: Mapping[str, float] | pd.Series, *, unseen: str = "floor"
) -> xr.DataArray:
    """Look up how frequent each word is.

    Parameters
    ----------
    words : DataFrame, DataArray, Dataset, sequence of str, or mapping
        See `extract_text`.
    table : mapping or Series, word -> number
        Occurrences per million words (SUBTLEX and the like). Entries that differ only in capitals
        or in punctuation around them are added up.
    unseen : {"floor", "error"}
        Words that the table lacks get its lowest frequency, or are an error.

    Returns
    -------
    DataArray (sample, feature)
        log10 of the occurrences per million. attrs ``unseen_share``: share of the words that the
        table lacks.

    Raises
    ------
    SchemaError
        When the table is empty or holds what is no positive number, or lacks a word with
        ``unseen="error"``.
    ValueError
        For an unknown option.

    References
    ----------
    Brysbaert & New (2009), Behavior Research Methods 41, 977-990, doi:10.3758/BRM.41.4.977.

    Examples
    --------
    >>> frequency = word_frequency(["The", "axolotl."], {"the": 10_000, "rare": 0.1})
    >>> frequency.values[:, 0].tolist(), frequency.attrs["unseen_share"]
    ([4.0, -1.0], 0.5)
    """
    may_lack = choose(UNSEEN, unseen, "unseen")
    parsed, known = as_words(words), _read_frequencies(table)
    keys = [strip_word(word) for word in parsed.text]
    lacking = [word for word, key in zip(parsed.text, keys, strict=True) if key not in known]
    if lacking and not may_lack:
        raise SchemaError(
            f"table: expected the frequency of every word, got none for "
            f"{some(dict.fromkeys(lacking))}. Add them, or use unseen='floor'."
        )
    floor = min(known.values())
    result = _label(
        np.log10([known.get(key, floor) for key in keys]),
        parsed,
        "word_frequency",
        "log10 per million",
    )
    return result.assign_attrs(unseen=unseen, unseen_share=len(lacking) / len(keys))


def _read_frequencies(table: Mapping[str, float] | pd.Series) -> dict[str, float]:
    known: dict[str, float] = {}
    for word, value in table.items():
        if not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
            raise SchemaError(
                f"table: expected positive numbers (occurrences per million), got {value!r} for "
                f"'{word}'. Drop it."
            )
        key = strip_word(str(word))
        known[key] = known.get(key, 0.0) + float(value)
    if not known:
        raise SchemaError("table: expected words with frequencies, got none. Check the file.")
    return known
