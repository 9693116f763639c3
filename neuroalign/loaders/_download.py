"""Download a file through pooch: resumed by range, verified, and only then named.

Pooch starts anew after a cut, so it is given a downloader of ours that goes on where the last
attempt, or the last process, ended. Pooch compares the hash.
"""

import json
import logging
import os
import re
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuroalign.errors import DataCorruptionError, LoadError, require
from neuroalign.loaders._cards import RemoteFile
from neuroalign.loaders._content import MARKUP, check_content, hash_file
from neuroalign.loaders._http import (
    Interrupted,
    Patience,
    Refused,
    drain,
    insist,
    open_url,
    read_length,
)

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


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
        raise Refused(
            f"{file.url}: expected the bytes as they are, got them encoded. Get the file by hand."
        )
    is_page = response.headers.get_content_type() == "text/html"
    if is_page and not file.path.lower().endswith(MARKUP):
        raise DataCorruptionError(
            f"{file.url}: expected the content of {file.path}, got an HTML or XML page. "
            "The server asks to log in or shows an error; get the file by hand."
        )
    declared = read_length(response)
    if file.size is not None and declared is not None and start + declared != file.size:
        raise DataCorruptionError(
            f"{file.url}: expected {file.size} bytes in {file.path}, got an offer of "
            f"{start + declared}. The file has changed; update neuroalign."
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


@contextmanager
def _keep_quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence the notes of pooch, which name its staging place; progress is shown by us."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _take_back(staging: Path, part: Path) -> None:
    """Make what a killed process had handed to pooch the part again."""
    for left in staging.iterdir() if staging.is_dir() else ():
        if left.stat().st_size and not part.exists():
            os.replace(left, part)
        else:
            left.unlink()
    if staging.is_dir():
        staging.rmdir()


def _hand_over(part: Path, output: Path) -> None:
    """Give pooch the file under its own name; the part stays, as pooch deletes when interrupted."""
    output.unlink()
    try:
        os.link(part, output)
    except OSError:
        # Some file systems have no hard links.
        os.replace(part, output)


def _retrieve(file: RemoteFile, staging: Path, bring: Callable[[Path], None]) -> Path:
    """Let pooch call ``bring`` and compare the hash of what it brought."""
    pooch: Any = require("pooch", "data")

    def downloader(url: str, output_file: str, _: Any) -> None:
        bring(Path(output_file))

    try:
        with _keep_quiet(pooch.get_logger()):
            found = pooch.retrieve(
                file.url,
                known_hash=file.digest or None,
                fname="whole",
                path=staging.absolute(),
                downloader=downloader,
            )
    except LoadError:
        raise
    except ValueError as error:
        kind, _, wanted = file.digest.partition(":")
        got = re.search(r"but got ([0-9a-f]+)", str(error))
        raise DataCorruptionError(
            f"{file.url}: expected {kind} {wanted} of {file.path}, got "
            f"{got[1] if got else 'another'}. Repeat; if it stays, the file has changed."
        ) from error
    return Path(found)


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
    MissingExtraError
        Without pooch.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    note = target.with_name(f".{target.name}.etag.part")
    # Apart, because pooch works under random names that a kill would leave among the data.
    staging = target.with_name(f".{target.name}.pooch.part")
    _take_back(staging, part)

    def reached() -> int:
        return part.stat().st_size if part.exists() else 0

    def bring(output: Path) -> None:
        insist(lambda: _transfer(file, part, note, patience, tell), file.url, patience, reached)
        check_content(part, file)
        _hand_over(part, output)

    for last in (False, True):
        resumed = reached() > 0
        try:
            whole = _retrieve(file, staging, bring)
            break
        except DataCorruptionError:
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            # Bytes of an earlier call may be the wrong ones; then one clean start is due.
            if last or not resumed:
                raise
        finally:
            if staging.is_dir() and not any(staging.iterdir()):
                staging.rmdir()
    kind, _, verified = file.digest.partition(":")
    record(whole, verified if kind == "sha256" else hash_file(whole, "sha256"))
    part.unlink(missing_ok=True)
    os.replace(whole, target)
    staging.rmdir()
    note.unlink(missing_ok=True)
