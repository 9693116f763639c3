"""Which tokens a model sees for which word: context windows, and passes that words share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import choose
from neuroalign.features._tokens import Tokens

Array = npt.NDArray[Any]

# What a context is counted in -> where each word starts, in that unit.
UNITS: dict[str, Callable[[Tokens], Array]] = {
    "words": lambda tokens: np.arange(len(tokens.bounds) - 1),
    "tokens": lambda tokens: tokens.bounds[:-1],
}


@dataclass(frozen=True)
class Context:
    """How far a window reaches: see `extract_text`. ``size`` None: to the start of the run."""

    size: int | None
    unit: str
    stride: int
    future: int

    def check(self, causal: bool) -> None:
        """Check that the options fit together and fit the model.

        Raises
        ------
        ValueError
        """
        choose(UNITS, self.unit, "unit")
        if self.size is not None and (not isinstance(self.size, int) or self.size < 0):
            raise ValueError(
                f"context: expected None or a whole number of {self.unit} from 0, got "
                f"{self.size!r}. Use 20."
            )
        most = np.inf if self.size is None else self.size + 1
        if not 1 <= self.stride <= most:
            raise ValueError(
                f"stride: expected 1 to context + 1 ({most:g}), got {self.stride}. Use 1 for "
                "windows of one length."
            )
        if self.stride > 1 and not causal:
            raise ValueError(
                f"stride: expected 1 for a model that looks both ways, got {self.stride}. Its "
                "words cannot share a pass: leave stride out."
            )
        if self.future < 0 or (self.future > 0 and causal):
            raise ValueError(
                f"future: expected 0 for a causal model, else 0 or more words, got {self.future}. "
                "Leave it out."
            )

    def describe(self) -> str:
        """Say it in words, for attrs."""
        if self.size is None:
            past = "all words before, in the run"
        elif self.stride == 1:
            past = f"{self.size} {self.unit} before"
        else:
            past = f"{self.size - self.stride + 1} to {self.size} {self.unit} before"
        return past if self.future == 0 else f"{past}, {self.future} words after"

    def starts(self, tokens: Tokens) -> Array:
        """Give the first token of each word's window."""
        places = UNITS[self.unit](tokens)
        if self.size is None:
            return np.zeros_like(places)
        first = np.maximum(-(-(places - self.size) // self.stride) * self.stride, 0)
        return np.asarray(tokens.bounds[first] if self.unit == "words" else first)


@dataclass(frozen=True)
class Window:
    """One forward pass.

    Parameters
    ----------
    ids : list of int
        Tokens, special ones included.
    rows : int array (word,)
        Words read from this pass.
    spans : int array (word, 2)
        First token of each word and the one after its last, as places in ``ids``.
    """

    ids: list[int]
    rows: Array
    spans: Array


def plan_windows(
    tokens: Tokens,
    rows: Array,
    context: Context,
    causal: bool,
    frame: tuple[list[int], list[int]],
) -> list[Window]:
    """Lay windows over one run.

    Words whose windows start at the same token share one pass when the model is causal, since what
    stands after a word cannot change it. Otherwise each word has a pass of its own.

    Parameters
    ----------
    tokens : Tokens
    rows : int array (word,)
        Rows of these words among all words.
    context : Context
    causal : bool
    frame : list of int, list of int
        Special tokens before and after; causal models take only those before.

    Returns
    -------
    list of Window
    """
    starts, n_words = context.starts(tokens), len(rows)
    cuts = np.flatnonzero(np.diff(starts)) + 1 if causal else np.arange(1, n_words)
    before, after = frame[0], [] if causal else frame[1]
    windows = []
    for group in np.split(np.arange(n_words), cuts):
        first = int(starts[group[0]])
        last = min(int(group[-1]) + context.future, n_words - 1)
        ids = tokens.ids[first : int(tokens.bounds[last + 1])]
        spans = np.stack([tokens.bounds[group], tokens.bounds[group + 1]], axis=1)
        windows.append(Window([*before, *ids, *after], rows[group], spans - first + len(before)))
    return windows


def check_windows(windows: Sequence[Window], text: Sequence[str], limit: int, vocab: int) -> None:
    """Check that windows fit into the model.

    Raises
    ------
    ValueError
        When a window is longer than the positions of the model, or a token is unknown to it.
    """
    longest = max(windows, key=lambda window: len(window.ids))
    if len(longest.ids) > limit:
        word = text[int(longest.rows[-1])]
        raise ValueError(
            f"context: expected windows of at most {limit} tokens, which the model can take, got "
            f"{len(longest.ids)} up to '{word}'. Use a smaller context."
        )
    largest = max(max(window.ids) for window in windows)
    if largest >= vocab:
        raise ValueError(
            f"tokenizer: expected tokens below {vocab}, which the model knows, got {largest}. "
            "Use the tokenizer that belongs to the model."
        )


def batch_windows(windows: Sequence[Window], batch_size: int) -> Iterator[list[Window]]:
    """Give windows in batches, the longest first, so that neighbours need little padding."""
    order = sorted(windows, key=lambda window: -len(window.ids))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def pad_windows(windows: Sequence[Window], pad: int) -> tuple[Array, Array]:
    """Fill windows up on the right, where no causal model looks.

    Returns
    -------
    int array (window, token)
        Tokens.
    int array (window, token)
        1 for tokens, 0 for padding.
    """
    length = max(len(window.ids) for window in windows)
    ids = np.full((len(windows), length), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
    return ids, mask
