"""Unpack zip and tar files that may be hostile: checked by member, whole or not at all."""

import errno
import lzma
import os
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._cards import check_relative

BLOCK = 1 << 20
MAX_MEMBERS = 2_000_000
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)
# Of OSErrors: readers of gzip and bzip2 give no number; a name that is a file and a folder.
DAMAGE_NUMBERS = (None, errno.EEXIST, errno.ENOTDIR)
# A member: name, size in bytes, a way to open it; None for a folder.
Member = tuple[str, int, Callable[[], IO[bytes] | None] | None]


def _refuse(archive: Path, name: str, what: str) -> LoadError:
    return LoadError(
        f"{archive}: expected files and folders only, got {what} '{name}'. "
        "Do not unpack this archive; tell those who publish it."
    )


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            # zipfile mends backslashes and NULs silently; the name as written is what counts.
            name = entry.orig_filename
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refuse(archive, name, "a link or device")
            if entry.flag_bits & 1:
                raise LoadError(
                    f"{archive}: expected an open archive, got one with a password ('{name}'). "
                    "Unpack it by hand with the password from its publisher."
                )
            opener = None if entry.is_dir() else (lambda entry=entry: opened.open(entry))
            yield name, entry.file_size, opener


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as opened:
        for entry in opened:
            if not (entry.isreg() or entry.isdir()):
                raise _refuse(archive, entry.name, "a link or device")
            opener = None if entry.isdir() else (lambda entry=entry: opened.extractfile(entry))
            yield entry.name, entry.size, opener
        rest: Any = opened.fileobj
        # tarfile takes a file that ends early for one that ends here.
        if rest.tell() < opened.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no end mark")
        # Compressed streams check their sum at their end.
        while rest.read(BLOCK):
            pass


MEMBERS: dict[str, Callable[[Path], Iterator[Member]]] = {
    ".zip": _zip_members,
    ".tar": _tar_members,
    ".tar.gz": _tar_members,
    ".tgz": _tar_members,
    ".tar.bz2": _tar_members,
    ".tar.xz": _tar_members,
}


def archive_stem(name: str) -> str | None:
    """Name of the folder that an archive unpacks to; None when it is no archive."""
    endings = [ending for ending in MEMBERS if name.lower().endswith(ending)]
    return name[: -len(max(endings, key=len))] or None if endings else None


def _copy(source: IO[bytes], target: Path, size: int, archive: Path, name: str) -> None:
    written = 0
    # "x": the same name twice, or two that the file system takes for one, is refused.
    with target.open("xb") as stream:
        while block := source.read(BLOCK):
            written += len(block)
            if written > size:
                break
            stream.write(block)
    if written != size:
        raise DataCorruptionError(
            f"{archive}: expected {size} bytes in '{name}', got "
            f"{'more' if written > size else written}. Download it again."
        )


def _unpack_into(archive: Path, folder: Path, read: Callable[[Path], Iterator[Member]]) -> None:
    room = shutil.disk_usage(folder).free
    for count, (name, size, opener) in enumerate(read(archive)):
        inside = name.removeprefix("./") or "."
        if inside == "." and opener is None:
            continue
        target = folder / check_relative(inside, str(archive))
        if count >= MAX_MEMBERS:
            raise LoadError(
                f"{archive}: expected at most {MAX_MEMBERS} members, got more. Unpack it by hand."
            )
        room -= size
        if room < 0:
            raise LoadError(
                f"{archive}: expected room for its content in {folder.parent}, got too little. "
                "Free space or name another folder."
            )
        if opener is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        source = opener()
        if source is None:
            raise _refuse(archive, name, "no content for")
        with source:
            _copy(source, target, size, archive, name)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive; the folder takes its name only when all of it is there.

    Parameters
    ----------
    archive : path
        ``.zip``, or ``.tar`` plain or compressed.
    folder : path
        The folder to be; one that is there is replaced.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    LoadError
        For links, devices, paths that leave the folder, passwords, unknown compression, too
        little room.
    DataCorruptionError
        For damage.
    """
    ending = archive.name[len(archive_stem(archive.name) or archive.name) :].lower()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{uuid.uuid4().hex[:8]}.partial.{folder.name}")
    partial.mkdir()
    try:
        _unpack_into(archive, partial, MEMBERS[ending])
        if folder.exists():
            old = partial.with_name(f"{partial.name}.old")
            os.replace(folder, old)
            os.replace(partial, folder)
            shutil.rmtree(old)
        else:
            os.replace(partial, folder)
    except NotImplementedError as error:
        raise LoadError(
            f"{archive}: expected a compression that Python knows, got: {error}. Unpack it by "
            f"hand to {folder}."
        ) from error
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in DAMAGE_NUMBERS:
            raise
        raise DataCorruptionError(
            f"{archive}: expected a whole archive, got: {error}. Download it again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
