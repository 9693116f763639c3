"""Damage of gzip streams, found without holding them: cut, changed, or far too long."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuroalign.errors import DataCorruptionError

BLOCK = 1 << 16
# Bytes that may follow the volumes, and how many times smaller gzip can make a file.
SPARE, MOST_RATIO = 1 << 26, 1032


def check_size(path: Path, size: int, promised: int) -> None:
    if size < promised:
        raise DataCorruptionError(
            f"{path}: truncated: the header promises {promised} bytes, the file has {size}. "
            "Download it again."
        )


def check_gzip(path: Path, promised: int) -> None:
    """Read the stream to its end, so that its CRC and its length are compared."""
    with name_damage(path, promised), gzip.open(path) as stream:
        size = read_out(stream, path, promised, 0)
    check_size(path, size, promised)


def read_out(stream: Any, path: Path | str, promised: int, size: int) -> int:
    """Read a stream to its end; give its size, or refuse one that goes on far behind its data.

    A hundred kilobytes under gzip can hold a hundred megabytes of nothing.
    """
    limit = 2 * promised + SPARE
    while block := stream.read(BLOCK):
        size += len(block)
        if size > limit:
            raise DataCorruptionError(
                f"{path}: expected {promised} bytes under gzip, as its header says, got more than "
                f"{limit}. Download it again."
            )
    return size


def check_ratio(path: Path, promised: int) -> None:
    """Refuse a header that promises more than the file can hold under gzip."""
    size = path.stat().st_size
    if promised > size * MOST_RATIO + SPARE:
        raise DataCorruptionError(
            f"{path}: truncated: the header promises {promised} bytes, {size} bytes under gzip "
            f"hold {size * MOST_RATIO} at most. Download it again."
        )


@contextmanager
def name_damage(path: Path | str, promised: int) -> Iterator[None]:
    """Say which file it is whose gzip stream is damaged."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataCorruptionError(
            f"{path}: expected {promised} bytes under gzip, got a stream that is damaged "
            f"({error}). Download it again."
        ) from error
