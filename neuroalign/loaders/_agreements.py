"""What is asked of the user before a download: agreement to terms, and to size."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from neuroalign.errors import LoadError
from neuroalign.loaders._cards import Card, RemoteFile
from neuroalign.loaders._shelf import keep_terms, terms_accepted

LARGE = 10**9


def show_bytes(n_bytes: int | None) -> str:
    """Show a number of bytes in decimal units."""
    if n_bytes is None:
        return "unknown"
    size, unit = float(n_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _agree(question: str, refusal: str) -> None:
    """Ask, where somebody can answer."""
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ValueError(refusal)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ValueError(refusal)


def agree_to_terms(card: Card, shelf: Path, accept_terms: bool) -> None:
    """Ask for agreement to the terms, once for each wording.

    Raises
    ------
    ValueError
        Without agreement, or without anybody to ask.
    """
    if not card.terms_required or terms_accepted(shelf, card):
        return
    if not accept_terms:
        terms = f"{card.terms} {card.terms_url}".strip()
        _agree(
            f"{card.title}\n{terms}\nDo you accept these terms?",
            f"accept_terms: expected agreement to the terms of '{card.name}' ({terms}), got none. "
            "Read them, then pass accept_terms=True (--accept-terms).",
        )
    keep_terms(shelf, card)


def agree_to_size(card: Card, files: Sequence[RemoteFile], shelf: Path, yes: bool) -> None:
    """Ask before what is large, or may be; refuse what the disk cannot hold.

    Raises
    ------
    ValueError, LoadError
    """
    known = sum(file.size or 0 for file in files)
    total = None if any(file.size is None for file in files) else known
    if known > shutil.disk_usage(shelf).free:
        raise LoadError(
            f"{shelf}: expected room for {show_bytes(known)}, got "
            f"{show_bytes(shutil.disk_usage(shelf).free)}. Free space, name another folder, or "
            "narrow it by include or subjects."
        )
    unsure = total is None and (card.size_bytes is None or card.size_bytes > LARGE)
    if not files or yes or not (known > LARGE or unsure):
        return
    size = card.size if total is None else show_bytes(total)
    _agree(
        f"Download {len(files)} files ({size}) to {shelf}?",
        f"yes: expected agreement to download {len(files)} files ({size}), got none. "
        "Pass yes=True (--yes), or narrow it by include or subjects.",
    )
