"""The folder that a dataset is fetched into: its lock, its record of what was verified, terms."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuroalign.errors import LoadError
from neuroalign.loaders._archives import archive_stem, unpack
from neuroalign.loaders._cards import Card, RemoteFile
from neuroalign.loaders._content import hash_file, is_whole
from neuroalign.storage import write_whole

if sys.platform != "win32":
    import fcntl

RECORD, LOCK, TERMS = ".neuroalign-files.jsonl", ".neuroalign-lock", ".neuroalign-terms.json"
Entry = dict[str, Any]


def default_folder() -> Path:
    """``NEUROALIGN_DATA``, else the platform's place for caches."""
    named = os.environ.get("NEUROALIGN_DATA")
    if named:
        return Path(named)
    places = {
        "win32": os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local",
        "darwin": Path.home() / "Library" / "Caches",
    }
    other = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(places.get(sys.platform, other)) / "neuroalign"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder against another fetch; the system frees it when a process is killed.

    Raises
    ------
    LoadError
        When another fetch holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as held:
        if sys.platform != "win32":
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LoadError(
                    f"{folder}: expected no other fetch at work here, got one. Wait for it to end."
                ) from error
        yield


def read_record(folder: Path) -> dict[str, Entry]:
    """Read what was verified, by path; a line cut by a kill counts as not written."""
    path = folder / RECORD
    entries: dict[str, Entry] = {}
    if not path.is_file():
        return entries
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            entries[entry["path"]] = entry
    return entries


def write_record(folder: Path, entry: Entry) -> None:
    """Add one line, on a line of its own even after a cut one."""
    with (folder / RECORD).open("ab", buffering=0) as stream:
        stream.write(b"\n" + json.dumps(entry).encode() + b"\n")


def place(folder: Path, path: str) -> Path:
    """Turn a checked relative path into a place, refusing links that lead out of the folder.

    Raises
    ------
    LoadError
    """
    target = folder / path
    if not target.parent.resolve().is_relative_to(folder.resolve()) or target.is_symlink():
        raise LoadError(
            f"{target}: expected a place inside {folder}, got a link that leads out of it. "
            "Remove the link or name another folder."
        )
    return target


def is_here(folder: Path, file: RemoteFile, entries: dict[str, Entry]) -> bool:
    """Tell whether a verified file is here: recorded and untouched, or verified again now."""
    target = place(folder, file.path)
    if not target.is_file():
        return False
    entry, state = entries.get(file.path), target.stat()
    recorded = entry is not None and entry.get("digest", "") == file.digest
    if recorded and entry is not None and entry.get("size") == state.st_size:
        if file.size is not None and file.size != state.st_size:
            return False
        if entry.get("mtime_ns") == state.st_mtime_ns:
            return True
        return hash_file(target, "sha256") == entry.get("sha256")
    if not file.digest or not is_whole(target, file):
        return False
    write_record(folder, describe_file(target, file, hash_file(target, "sha256")))
    return True


def describe_file(path: Path, file: RemoteFile, sha256: str) -> Entry:
    """What the record keeps of a verified file."""
    state = path.stat()
    return {
        "path": file.path,
        "url": file.url,
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "sha256": sha256,
        "digest": file.digest,
    }


def _measure(folder: Path) -> list[int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return [len(sizes), sum(sizes)]


def unpack_here(folder: Path, file: RemoteFile, entries: dict[str, Entry]) -> None:
    """Unpack an archive beside itself, unless what it held is here whole."""
    stem = archive_stem(file.path)
    if stem is None:
        return
    target, key = place(folder, stem), f"{file.path}!unpacked"
    archive = folder / file.path
    sha256 = read_record(folder)[file.path]["sha256"]
    done = entries.get(key)
    if done and done.get("sha256") == sha256 and target.is_dir():
        # More than was unpacked is the user's own, which unpacking again would delete.
        kept = zip(_measure(target), done.get("content", ()), strict=False)
        if all(now >= then for now, then in kept):
            return
    elif target.exists() and done is None and not target.is_dir():
        raise LoadError(f"{target}: expected a folder to unpack to, got a file. Move it away.")
    unpack(archive, target)
    write_record(folder, {"path": key, "sha256": sha256, "content": _measure(target)})


def bytes_here(folder: Path) -> int:
    """Bytes of the verified files that are still here."""
    found = 0
    for path, entry in read_record(folder).items():
        if "!" not in path and (folder / path).is_file():
            found += int(entry.get("size", 0))
    return found


def terms_accepted(folder: Path, card: Card) -> bool:
    """Tell whether these terms, in this wording, were accepted for this folder."""
    try:
        kept = json.loads((folder / TERMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(kept, dict) and kept.get("terms") == card.terms


def keep_terms(folder: Path, card: Card) -> None:
    """Keep what was accepted, and when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"dataset": card.name, "terms": card.terms, "url": card.terms_url, "accepted": now}
    with write_whole(folder / TERMS) as partial:
        partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
