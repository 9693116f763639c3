"""Words to tokens and back: which tokens of a running text belong to which word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tokens:
    """The tokens of one stretch of words; word ``w`` has ``ids[bounds[w]:bounds[w + 1]]``."""

    ids: list[int]
    bounds: Array


def tokenize_words(tokenizer: Any, text: Sequence[str]) -> Tokens:
    """Turn words, joined by single spaces, into tokens, each of which belongs to one word.

    A token is the word's in which it starts; the space before a word is part of that word.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
        Fast ones give offsets into the joined text. Others see the words one by one, each but
        the first with its space.
    text : sequence of str

    Returns
    -------
    Tokens

    Raises
    ------
    SchemaError
        When a word gives no token, or one token covers parts of two words.
    """
    if getattr(tokenizer, "is_fast", False):
        ids, owner = _read_offsets(tokenizer, text)
    else:
        ids, owner = _read_singly(tokenizer, text)
    counts = np.bincount(owner, minlength=len(text))
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise SchemaError(
            f"words: expected every word to give a token, got none for {text[empty[0]]!r} (word "
            f"{empty[0]} of its run; {len(empty)} of {len(text)} words). Correct or drop them."
        )
    return Tokens(ids, np.concatenate([[0], np.cumsum(counts)]))


def _read_offsets(tokenizer: Any, text: Sequence[str]) -> tuple[list[int], Array]:
    encoded = tokenizer(
        " ".join(text), add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    stops = np.cumsum([len(word) + 1 for word in text]) - 1
    span = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    # Tokens without characters of their own (a mark of the start) stand with their neighbour.
    start = np.maximum.accumulate(span[:, 0])
    owner = np.minimum(np.searchsorted(stops, start, side="right"), len(text) - 1)
    crossing = np.flatnonzero(span[:, 1] > stops[owner])
    if len(crossing):
        first = int(owner[crossing[0]])
        raise SchemaError(
            f"words: expected tokens within words, got one that covers '{text[first]}' and "
            f"'{text[first + 1]}'. Use a tokenizer that splits at spaces."
        )
    return list(encoded["input_ids"]), owner


def _read_singly(tokenizer: Any, text: Sequence[str]) -> tuple[list[int], Array]:
    spaced = [word if row == 0 else f" {word}" for row, word in enumerate(text)]
    ids = [list(tokenizer(word, add_special_tokens=False)["input_ids"]) for word in spaced]
    owner = np.repeat(np.arange(len(text)), [len(part) for part in ids])
    return [token for part in ids for token in part], owner


def read_frame(tokenizer: Any, word: str) -> tuple[list[int], list[int]]:
    """Read what a tokenizer puts before and after a text: [CLS] and [SEP], a start token, nothing.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
    word : str
        Any text that has tokens.

    Returns
    -------
    list of int, list of int
    """
    bare = list(tokenizer(word, add_special_tokens=False)["input_ids"])
    full = list(tokenizer(word)["input_ids"])
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    return [], []
