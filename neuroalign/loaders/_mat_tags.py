"""Tags of a MATLAB file of version 5 to 7, walked before scipy trusts them.

scipy reads what a tag says without a look at what is there, and can take the process down.
"""

import mmap
import struct
from pathlib import Path

HEAD, MATRIX, COMPRESSED = 128, 14, 15
# Bytes of one number, by the type of a tag.
WIDTHS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
CELL, STRUCT, OBJECT, CHARACTERS, SPARSE, LAST_NUMBER = 1, 2, 3, 4, 5, 15
MOST_LEVELS = 50


class BadTag(ValueError):
    """What is wrong with a tag, for the message of whoever names the file."""


class _Walk:
    """One content, and the byte order of its tags."""

    def __init__(self, content: mmap.mmap, order: str) -> None:
        self.content, self.order = content, order

    def unpack(self, form: str, place: int, end: int) -> tuple[int, ...]:
        if place + struct.calcsize(form) > end:
            raise BadTag(f"a tag at byte {place} that goes beyond its matrix")
        return struct.unpack_from(self.order + form, self.content, place)

    def read_tag(self, place: int, end: int) -> tuple[int, int, int, int]:
        """Type, start and size of the data of a tag, and where the next one stands."""
        kind, size = self.unpack("II", place, end)
        start, small = place + 8, kind >> 16
        if small:
            kind, size, start = kind & 0xFFFF, small, place + 4
            following = place + 8
        else:
            following = start + size + (0 if kind == COMPRESSED else -size % 8)
        if (small and size > 4) or start + size > end:
            raise BadTag(f"a tag at byte {place} of {size} bytes, more than there are")
        return kind, start, size, min(following, end)

    def read_numbers(self, place: int, end: int) -> tuple[list[int], int]:
        kind, start, size, following = self.read_tag(place, end)
        if WIDTHS.get(kind) != 4 or size % 4:
            raise BadTag(f"a tag at byte {place} of type {kind}, for sizes")
        return list(self.unpack(f"{size // 4}i", start, start + size)), following

    def check_data(self, place: int, end: int, count: int | None = None) -> int:
        kind, _, size, following = self.read_tag(place, end)
        width = WIDTHS.get(kind, 0)
        if not width or size % width or (count is not None and size // width != count):
            raise BadTag(f"a tag at byte {place} of type {kind} and {size} bytes, for data")
        return following

    def check_elements(self, place: int, end: int, level: int, count: int | None = None) -> int:
        """Walk matrices one after the other: so many, or to the end."""
        done = 0
        while place < end and (count is None or done < count):
            kind, start, size, following = self.read_tag(place, end)
            if kind == MATRIX:
                if size:
                    self.check_matrix(start, start + size, level + 1)
            elif kind != COMPRESSED or level:
                raise BadTag(f"a tag at byte {place} of type {kind}, for a matrix")
            place, done = following, done + 1
        if count is not None and done < count:
            raise BadTag(f"{done} matrices of {count} that were promised")
        return place

    def check_matrix(self, place: int, end: int, level: int) -> None:
        if level > MOST_LEVELS:
            raise BadTag(f"matrices in more than {MOST_LEVELS} levels")
        flags, place = self.read_numbers(place, end)
        kind = flags[0] & 0xFF if flags else 0
        if not 1 <= kind <= LAST_NUMBER:
            # Functions and objects of MATLAB's own, which hold what their makers like.
            return
        dims, place = self.read_numbers(place, end)
        count = 1
        for size in dims:
            count *= size
        if not dims or min(dims) < 0:
            raise BadTag(f"a matrix of sizes {dims[:8]}")
        place = self.check_data(place, end)
        if kind == OBJECT:
            place = self.check_data(place, end)
        if kind in (STRUCT, OBJECT):
            (width, *_), place = self.read_numbers(place, end)
            _, _, size, place = self.read_tag(place, end)
            if width <= 0 or size % width:
                raise BadTag(f"names of fields of {size} bytes, {width} each")
            self.check_elements(place, end, level, count * (size // width))
        elif kind == CELL:
            self.check_elements(place, end, level, count)
        elif kind == SPARSE:
            for _ in range(3):
                place = self.check_data(place, end)
        else:
            place = self.check_data(place, end, None if kind == CHARACTERS else count)
            if flags[0] & 0x800:
                self.check_data(place, end, count)


def check_tags(path: Path) -> None:
    """Check that every tag of a MATLAB file lies inside what holds it.

    Compressed variables carry a sum of their own; files of other versions are passed by.

    Raises
    ------
    BadTag
        For the caller to name the file.
    """
    if path.stat().st_size < HEAD:
        return
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        # The version, and the order of its bytes: 7.3 is HDF5 behind such a head.
        order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(content[124:128])
        if order is not None:
            _Walk(content, order).check_elements(HEAD, len(content), 0)
