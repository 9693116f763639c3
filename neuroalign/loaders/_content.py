"""What came over the wire: data and not a page or pointer, of the size and hash that are known."""

import hashlib
from pathlib import Path

from neuroalign.errors import DataCorruptionError
from neuroalign.loaders._cards import RemoteFile

PAGES = (b"<!doctype", b"<html", b"<?xml", b"<error")
MARKUP = (".html", ".htm", ".xml", ".gii", ".svg")


def refuse_stand_ins(head: bytes, name: str, url: str) -> None:
    """Refuse the page or pointer that a server sent in the place of data.

    Raises
    ------
    DataCorruptionError
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(PAGES) and not name.lower().endswith(MARKUP):
        raise DataCorruptionError(
            f"{url}: expected the content of {name}, got an HTML or XML page. "
            "The server asks to log in or shows an error; get the file by hand."
        )
    annex = len(head) < 1000 and b"/annex/objects/" in head
    if annex or text.startswith(b"version https://git-lfs"):
        raise DataCorruptionError(
            f"{url}: expected the content of {name}, got a pointer to it (git-annex or LFS). "
            "Get the content by datalad or git-lfs."
        )


def hash_file(path: Path, kind: str) -> str:
    """Hash a file by the algorithm named."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False))
    return digest.hexdigest()


def check_content(path: Path, file: RemoteFile) -> None:
    """Check that a file begins as data does, and has the size that is known.

    Raises
    ------
    DataCorruptionError
    """
    with path.open("rb") as stream:
        refuse_stand_ins(stream.read(1024), file.path, file.url)
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise DataCorruptionError(
            f"{file.url}: expected {file.size} bytes in {file.path}, got {size}. "
            "Repeat; if it stays, the file has changed."
        )


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Tell whether a file that has a known hash is what it must be."""
    try:
        check_content(path, file)
    except DataCorruptionError:
        return False
    kind, _, wanted = file.digest.partition(":")
    return hash_file(path, kind) == wanted
