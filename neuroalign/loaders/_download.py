"""Download a file: resume by range, verify; the final name only for what is verified."""

import hashlib
import json
import os
import re
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuroalign.errors import DataCorruptionError
from neuroalign.loaders._cards import RemoteFile
from neuroalign.loaders._http import Interrupted, Patience, Refused, drain, insist, open_url

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
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


def hash_file(path: Path, kinds: set[str]) -> dict[str, str]:
    """Hash a file in one pass, by each algorithm named."""
    running = {kind: hashlib.new(kind, usedforsecurity=False) for kind in sorted(kinds)}
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            for one in running.values():
                one.update(block)
    return {kind: one.hexdigest() for kind, one in running.items()}


def verify(path: Path, file: RemoteFile) -> str:
    """Check a file's content, size and hash against what is known; give its sha256.

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
    kind, _, wanted = file.digest.partition(":")
    found = hash_file(path, {"sha256"} | ({kind} if kind else set()))
    if kind and found[kind] != wanted:
        raise DataCorruptionError(
            f"{file.url}: expected {kind} {wanted} of {file.path}, got {found[kind]}. "
            "Repeat; if it stays, the file has changed."
        )
    return found["sha256"]


def _resumable(part: Path, note: Path, file: RemoteFile) -> tuple[int, str]:
    """Bytes to go on from, and the validator that says the server's file is still the same."""
    if not part.exists():
        return 0, ""
    try:
        url, validator = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        url, validator = "", ""
    size = part.stat().st_size
    # Without hash or validator, two halves of different files could be joined unseen.
    same = url == file.url and (validator or file.digest)
    if not same or (file.size is not None and size > file.size):
        part.unlink()
        return 0, ""
    return size, str(validator)


def _check_answer(response: Any, file: RemoteFile, start: int) -> None:
    """Refuse an answer that cannot be the file, before a byte of it is kept."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"{file.url}: expected the bytes as they are, got them encoded.")
    is_page = response.headers.get_content_type() == "text/html"
    if is_page and not file.path.lower().endswith(MARKUP):
        raise DataCorruptionError(
            f"{file.url}: expected the content of {file.path}, got an HTML or XML page. "
            "The server asks to log in or shows an error; get the file by hand."
        )
    declared = response.headers.get("Content-Length")
    if file.size is not None and declared is not None and start + int(declared) != file.size:
        raise DataCorruptionError(
            f"{file.url}: expected {file.size} bytes in {file.path}, got an offer of "
            f"{start + int(declared)}. The file has changed; update neuroalign."
        )


def _transfer(
    file: RemoteFile, part: Path, note: Path, patience: Patience, tell: Callable[[int], None]
) -> None:
    """One attempt: go on from what is there, or start anew."""
    start, validator = _resumable(part, note, file)
    if start and start == file.size:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and validator:
        headers["If-Range"] = validator
    try:
        response = open_url(file.url, headers, file.digest, patience)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        total = CONTENT_RANGE.fullmatch(error.headers.get("Content-Range", "") or "")
        if total is None or total.group(2) != str(start):
            part.unlink()
            raise Interrupted("the server holds less than was downloaded") from error
        return
    with response:
        if response.status == 206:
            span = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if span is None or span.group(1) != str(start):
                part.unlink()
                raise Interrupted("the server sent another range than asked for")
        else:
            start = 0
        _check_answer(response, file, start)
        etag = response.headers.get("ETag", "")
        kept = "" if etag.startswith("W/") else etag
        note.write_text(json.dumps([file.url, kept]), encoding="utf-8")
        limit = None if file.size is None else file.size - start
        tell(start)
        # Unbuffered: what has come is on disk when the process is killed.
        with part.open("ab" if start else "wb", buffering=0) as stream:

            def keep(block: bytes) -> None:
                stream.write(block)
                tell(stream.tell())

            drain(response, patience, keep, limit)
            os.fsync(stream.fileno())


def download(
    file: RemoteFile,
    target: Path,
    *,
    patience: Patience,
    tell: Callable[[int], None],
    record: Callable[[Path, str], None],
) -> None:
    """Download one file to ``target``, which takes its name once verified.

    Parameters
    ----------
    file : RemoteFile
    target : path
        ``<target>.part`` keeps what has come; it is resumed by the next call.
    patience : Patience
    tell : callable of int
        Told the bytes on disk as they grow.
    record : callable of (path, sha256)
        Called between verification and renaming.

    Raises
    ------
    LoadError, DataCorruptionError
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    note = target.with_name(f".{target.name}.etag.part")

    def reached() -> int:
        return part.stat().st_size if part.exists() else 0

    for last in (False, True):
        resumed = reached() > 0
        insist(lambda: _transfer(file, part, note, patience, tell), file.url, patience, reached)
        try:
            digest = verify(part, file)
            break
        except DataCorruptionError:
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            # Bytes of an earlier call may be the wrong ones; then one clean start is due.
            if last or not resumed:
                raise
    record(part, digest)
    os.replace(part, target)
    note.unlink(missing_ok=True)
