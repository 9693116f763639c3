"""What every loader asks of a file before a format's own library opens it."""

import re
from collections.abc import Sequence
from pathlib import Path

from neuroalign.errors import DataCorruptionError, LoadError, some

# Endings of formats whose own content is XML.
XML = (".gii", ".xml")
# What may become a part of a path.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


def check_id(label: str, argument: str) -> str:
    """Refuse a label that would lead out of the folder it is looked for in.

    Parameters
    ----------
    label : str
        Such as a subject, before it becomes a part of a path.
    argument : str
        Named in the message.

    Returns
    -------
    str

    Raises
    ------
    LoadError
    """
    if not ID.fullmatch(str(label)):
        raise LoadError(
            f"{argument}: expected letters, digits, '.', '_', '+' and '-', at most 128, got "
            f"{str(label)[:130]!r}. Write it as in the names of the files."
        )
    return str(label)


def _exists(path: Path) -> bool:
    """Look for a path; one that no system can hold is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def check_file(path: Path | str, endings: Sequence[str]) -> Path:
    """Refuse what is not there, empty, or another kind of content under this name.

    Parameters
    ----------
    path : path
    endings : sequence of str
        Lower-case endings of the format, such as ``(".nii", ".nii.gz")``.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError
    """
    path = Path(path)
    if not _exists(path):
        near = sorted(other.name for ending in endings for other in path.parent.glob(f"*{ending}"))
        raise FileNotFoundError(
            f"{path}: expected a file, got none. In its folder: {some(near) or 'nothing like it'}."
        )
    kinds = " or ".join(endings)
    if path.is_dir() or not path.name.lower().endswith(tuple(endings)):
        raise LoadError(
            f"{path}: expected a {kinds} file, got "
            f"{'a folder' if path.is_dir() else 'another name'}. Name the file."
        )
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise DataCorruptionError(
            f"{path}: expected a {kinds} file, got an empty one. Download it again."
        )
    text = head.lstrip().lower()
    page = (
        (b"<!doctype html", b"<html") if path.suffix in XML else (b"<!doctype", b"<html", b"<?xml")
    )
    if text.startswith(page):
        raise DataCorruptionError(
            f"{path}: expected {kinds} content, got an HTML or XML page. "
            "The download failed or asked to log in; download it again."
        )
    if b"annex/objects" in head or text.startswith(b"version https://git-lfs"):
        raise DataCorruptionError(
            f"{path}: expected {kinds} content, got a pointer to it. "
            "Fetch the content (git annex get, or git lfs pull)."
        )
    if path.name.endswith(".gz") and not head.startswith(b"\x1f\x8b"):
        raise DataCorruptionError(
            f"{path}: expected gzip content, got bytes {head[:4].hex()}. Rename or download again."
        )
    return path
