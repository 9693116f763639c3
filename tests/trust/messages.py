"""What every message owes its reader: where it went wrong, what was found, what to do."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neuroalign.errors import NeuroalignError

# A message is read in a terminal, after the word "error".
LONGEST = 900


@dataclass(frozen=True)
class Bad:
    """A bad input: how it is made and used, and what the error must say.

    ``use`` takes an empty folder, makes the input there and hands it to us. ``names``, ``found``
    and ``advice`` are patterns.
    """

    use: Callable[[Path], Any]
    error: type[Exception]
    names: str
    found: str
    advice: str


def assert_message(error: BaseException, *, names: str, found: str, advice: str) -> None:
    """Check the three parts of a message, in their order: the place, the finding, the remedy.

    Parameters
    ----------
    error : exception
    names : str
        Pattern of the file or argument; the message begins with it, up to a folder.
    found : str
        Pattern of what was met.
    advice : str
        Pattern of what to do.
    """
    text = str(error)
    assert isinstance(error, NeuroalignError | FileNotFoundError | FileExistsError | ValueError)
    assert "\n" not in text, f"expected one line, got {text!r}"
    assert len(text) < LONGEST, f"expected a message that is read, got {len(text)} characters"
    place = re.search(names, text)
    assert place, f"expected the message to name '{names}', got: {text}"
    # Folders may stand before it.
    assert " " not in text[: place.start()], f"expected it first, got: {text}"
    finding = re.search(found, text[place.end() :])
    assert finding, f"expected the message to show '{found}', got: {text}"
    remedy = re.search(advice, text[place.end() + finding.end() :])
    assert remedy, f"expected the message to advise '{advice}' after it, got: {text}"
    assert text.endswith((".", "?")), f"expected a sentence at the end, got: {text}"


def check_refused(bad: Bad, folder: Path) -> None:
    """Use a bad input; it must be refused in the form of the house."""
    with pytest.raises(bad.error) as caught:
        bad.use(folder)
    assert_message(caught.value, names=bad.names, found=bad.found, advice=bad.advice)
