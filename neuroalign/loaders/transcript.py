"""Transcripts to words in time: Praat TextGrid and tables, in the shape of `load_events`."""

import codecs
import math
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neuroalign.errors import DataCorruptionError, LoadError, some
from neuroalign.loaders._files import check_file
from neuroalign.loaders._tables import SEPARATORS, read_seconds, read_table

# Marks of aligners (MFA, FAVE, Gentle) for stretches without a word, and BIDS 'n/a'.
SILENCES = ("", "sp", "sil", "spn", "<eps>", "<sil>", "n/a")
WORDS = ("word", "words", "text")
ONSETS = ("onset", "start", "start_time", "tmin", "xmin")
STOPS = ("offset", "stop", "stop_time", "end", "end_time", "tmax", "xmax")
# Aligners round to milliseconds, so that neighbours may overlap by one.
OVERLAP = 1e-3
# Praat reads free-standing tokens only: strings (quotes doubled), numbers and flags. All else,
# such as 'intervals [3]:', is decoration of the long form. '!' opens a comment.
TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"'
    r"|(?<!\S)(?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)"
    r"|<(?P<flag>exists|absent)>|!.*"
)
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class _Tokens:
    """The tokens of a TextGrid, taken one by one; damage is said with the file's name."""

    def __init__(self, path: Path, content: str) -> None:
        self.path = path
        self.found: Iterator[re.Match[str]] = (m for m in TOKEN.finditer(content) if m.lastgroup)

    def take(self, group: str, what: str) -> str:
        """Take the next token, which must be a ``text``, ``number`` or ``flag``."""
        match = next(self.found, None)
        if match is None or match.lastgroup != group:
            got = "the end of the file" if match is None else f"{match.group()}"
            raise DataCorruptionError(
                f"{self.path}: expected {what}, got {got}. The TextGrid is cut or damaged; "
                "export it again."
            )
        return match[group].replace('""', '"')

    def take_number(self, what: str) -> float:
        """Take a finite number."""
        number = float(self.take("number", what))
        if not math.isfinite(number):
            raise DataCorruptionError(
                f"{self.path}: expected {what}, got {number}. Export it again."
            )
        return number


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise LoadError(
            f"{path}: expected UTF-8, or UTF-16 with its byte order mark, got '{error}'. "
            "Save it as UTF-8."
        ) from error


def _read_tier(tokens: _Tokens) -> tuple[str, pd.DataFrame]:
    """Read one tier: its name, and onset, stop [s] and text; points stop where they start."""
    kind = tokens.take("text", "the class of a tier")
    if kind not in ("IntervalTier", "TextTier"):
        raise DataCorruptionError(
            f"{tokens.path}: expected an IntervalTier or TextTier, got '{kind}'. Export it again."
        )
    name = tokens.take("text", "the name of a tier")
    tokens.take_number(f"the start of tier '{name}'")
    tokens.take_number(f"the end of tier '{name}'")
    rows = []
    size = int(tokens.take_number(f"the size of tier '{name}'"))
    for number in range(size):
        what = f"interval {number + 1} of {size} in tier '{name}'"
        onset = tokens.take_number(what)
        stop = tokens.take_number(what) if kind == "IntervalTier" else onset
        rows.append((onset, stop, tokens.take("text", what)))
    return name, pd.DataFrame(rows, columns=["onset", "stop", "word"])


def _choose_tier(names: list[str], tier: str | None, path: Path) -> int:
    wanted = [tier] if tier is not None else list(WORDS)
    found = [n for n, name in enumerate(names) if (name if tier else name.lower()) in wanted]
    if tier is None and len(names) == 1:
        return 0
    if len(found) != 1:
        what = f"one tier '{tier}'" if tier is not None else "one tier named 'words'"
        raise LoadError(
            f"{path}: expected {what}, got {len(found)} among {some(names, 20)}. Pass tier=."
        )
    return found[0]


def _read_textgrid(path: Path, tier: str | None) -> pd.DataFrame:
    content = _decode(path)
    tokens = _Tokens(path, content)
    head = [tokens.take("text", "a TextGrid in Praat's text form") for _ in range(2)]
    if not head[0].startswith("ooTextFile") or head[1] != "TextGrid":
        raise LoadError(
            f"{path}: expected a TextGrid in Praat's text form, got {some(head)}. "
            "Save it from Praat as a text file."
        )
    tokens.take_number("the start of the TextGrid")
    tokens.take_number("the end of the TextGrid")
    present = tokens.take("flag", "the flag <exists>") == "exists"
    count = int(tokens.take_number("the number of tiers")) if present else 0
    tiers = [_read_tier(tokens) for _ in range(count)]
    return tiers[_choose_tier([name for name, _ in tiers], tier, path)][1]


def _find_column(table: pd.DataFrame, names: Sequence[str], path: Path) -> str:
    for name in names:
        if name in table:
            return name
    raise LoadError(
        f"{path}: expected a column {some(names, 20)}, got {some(table.columns, 20)}. Rename one."
    )


def _read_words(path: Path, word: str | None) -> pd.DataFrame:
    table = read_table(path)
    text = _find_column(table, WORDS if word is None else (word,), path)
    onset = read_seconds(table, _find_column(table, ONSETS, path), path)
    end = _find_column(table, ("duration", *STOPS), path)
    stop = read_seconds(table, end, path) + (onset if end == "duration" else 0)
    return pd.DataFrame({"onset": onset, "stop": stop, "word": table[text]})


def _check_times(words: pd.DataFrame, path: Path) -> None:
    onset, stop = words["onset"].to_numpy(), words["stop"].to_numpy()
    text = words["word"].to_numpy()
    backward = np.flatnonzero(stop < onset)
    if len(backward):
        row = int(backward[0])
        raise LoadError(
            f"{path}: expected words that end after they start, got '{text[row]}' from "
            f"{onset[row]:g} to {stop[row]:g} s ({len(backward)} of {len(words)}). Correct them."
        )
    earlier = np.flatnonzero(np.diff(onset) < 0)
    if len(earlier):
        row = int(earlier[0]) + 1
        raise LoadError(
            f"{path}: expected words in order of time, got '{text[row]}' at {onset[row]:g} s "
            f"after '{text[row - 1]}' at {onset[row - 1]:g} s. Sort them, or load runs apart."
        )
    overlaps = np.flatnonzero(stop[:-1] > onset[1:] + OVERLAP)
    if len(overlaps):
        row = int(overlaps[0])
        raise LoadError(
            f"{path}: expected words one after the other, got '{text[row]}' until {stop[row]:g} s "
            f"over '{text[row + 1]}' from {onset[row + 1]:g} s ({len(overlaps)} overlaps). "
            "Load each speaker apart."
        )


def load_transcript(
    path: Path | str,
    *,
    tier: str | None = None,
    word: str | None = None,
    silences: Collection[str] = SILENCES,
    run_duration: float | None = None,
) -> pd.DataFrame:
    r"""Read the words of a transcript and when they were said.

    Parameters
    ----------
    path : path
        ``.TextGrid`` (Praat's long or short text form, UTF-8 or UTF-16), or ``.tsv`` / ``.csv``
        (BIDS events too) with a column of onsets (``onset``, ``start``, ``xmin``...), one of
        ``duration`` or stops (``offset``, ``stop``, ``end``, ``xmax``...) and one of words.
    tier : str, optional
        TextGrid only: its tier; when not given, the only one, or the one named ``words``.
        Points of a point tier get duration 0.
    word : str, optional
        Tables only: the column of words; ``word``, ``words`` or ``text`` when not given.
    silences : collection of str
        Marks of stretches without a word, dropped whatever their case; ``()`` keeps all but the
        empty ones.
    run_duration : float, optional
        [s]; words that end later are an error.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` [s] and ``stimulus`` (the word), in order of time.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataCorruptionError
        When it is empty, cut, or something else under this name.
    LoadError
        When the tier or a column is unknown, or times run backward or overlap.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "story.tsv"
    ...     _ = path.write_text("onset\toffset\tword\n0.2\t0.5\tonce\n0.5\t0.9\tupon\n")
    ...     words = load_transcript(path)
    >>> words["stimulus"].tolist(), words["duration"].round(2).tolist()
    (['once', 'upon'], [0.3, 0.4])
    """
    path = check_file(path, (".textgrid", *SEPARATORS))
    grid = path.suffix.lower() == ".textgrid"
    if (word if grid else tier) is not None:
        used, other = ("tier", "word") if grid else ("word", "tier")
        raise LoadError(f"{path}: expected {used}= for this format, got {other}=. Pass {used}=.")
    words = _read_textgrid(path, tier) if grid else _read_words(path, word)
    words["word"] = words["word"].astype(object).map(str.strip)
    dropped = {"", *(mark.lower() for mark in silences)}
    said = ~words["word"].map(str.lower).isin(dropped)
    words = words[said].reset_index(drop=True)
    if words.empty:
        raise LoadError(f"{path}: expected words, got none that is not a silence. Check the tier.")
    _check_times(words, path)
    late = 0 if run_duration is None else int((words["stop"] > run_duration + OVERLAP).sum())
    if late:
        raise LoadError(
            f"{path}: expected words inside the run ({run_duration:g} s), got {late} of "
            f"{len(words)} that end later, the last at {words['stop'].max():g} s. Check units."
        )
    duration = words["stop"] - words["onset"]
    return pd.DataFrame(
        {
            "onset": words["onset"],
            "duration": duration,
            "stimulus": words["word"].to_numpy(dtype=str),
        }
    )
