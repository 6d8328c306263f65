"""The tags of DigitalMicrograph, walked through before RosettaSciIO reads what they announce."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import IO, Literal

WIDTHS = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
"""Bytes of the plain types, by their numbers."""
FLOATS = (6, 7)
"""Those that are no integers."""
STRUCT, TEXT, LIST = 15, 18, 20
GROUP, VALUE = 20, 21
"""What a tag is."""


def check(path: Path) -> None:
    """Refuse a file whose tags do not end, or whose pictures have more pixels than it has bytes.

    RosettaSciIO makes as many elements of a list as it tells of, though each may take no bytes,
    and goes back in the file by lengths below 0: 400 bytes would keep it busy for hours.
    So would sides of millions of pixels, of which it makes a table of blocks.

    Parameters
    ----------
    path : Path
        A DM3 or DM4.

    Raises
    ------
    ValueError
        If a tag is longer than the rest of the file, or is none, or if pixels are missing.

    Notes
    -----
    "Digital Micrograph file format", https://personal.ntu.edu.sg/cbb/info/dmformat/.
    """
    with path.open("rb") as file:
        (version,) = struct.unpack(">i", file.read(4))
        if version not in (3, 4):
            raise ValueError(f"it is of version {version}, and not of 3 or 4")
        tags = _Tags(file, "q" if version == 4 else "i")
        tags.skip(tags.width)
        tags.order = "little" if struct.unpack(">i", file.read(4))[0] else "big"
        tags.group()


class _Tags:
    """The tags of a file, whose sizes are numbers of one kind."""

    def __init__(self, file: IO[bytes], size: str):
        self._file = file
        self._size = f">{size}"
        self.width = struct.calcsize(self._size)
        self._end = os.fstat(file.fileno()).st_size
        self.order: Literal["little", "big"] = "little"

    def skip(self, count: int) -> None:
        """Go on by so many bytes, which must be there."""
        if not 0 <= count <= self._end - self._file.tell():
            raise ValueError(f"a tag of {count} bytes is longer than the rest of the file")
        self._file.seek(count, os.SEEK_CUR)

    def group(self, before: int = 0, called: bytes = b"") -> None:
        """The tags of a group, behind two marks and so many bytes."""
        self.skip(2 + before)
        pixels = 1
        for _ in range(self._number()):
            kind, length = struct.unpack(">Bh", self._file.read(3))
            name = self._file.read(max(length, 0))
            long = self.width == 8
            if kind == GROUP:
                self.group(8 if long else 0, name)
            elif kind == VALUE:
                self.skip(8 if long else 0)
                number = self._value(is_pixels=name.replace(b".", b"") == b"Data")
                pixels *= max(number, 1) if called == b"Dimensions" else 1
            else:
                raise ValueError(f"a tag is of the unknown kind {kind}")
            if pixels > self._end:
                raise ValueError(f"it tells of {pixels} pixels or more, and has {self._end} bytes")

    def _value(self, *, is_pixels: bool) -> int:
        """A plain value, a text, a list of plain values, a structure, or a list of one of these.

        Only integers are read; 1 stands for all else.
        """
        if self._file.read(4) != b"%%%%":
            raise ValueError("a tag does not begin with %%%%")
        count, kind = self._number(), self._number()
        if count == 1:
            place, width = self._file.tell(), _width(kind)
            self.skip(width)
            if kind not in FLOATS:
                self._file.seek(place)
                return int.from_bytes(self._file.read(width), self.order)
        elif count == 2 and kind == TEXT:
            self.skip(self._number())
        elif count == 3 and kind == LIST:
            width = _width(self._number())
            self.skip(width * self._number())
        elif count > 3 and kind == STRUCT:
            self.skip(self._fields())
        elif count > 3 and kind == LIST:
            of = self._number()
            if of not in (STRUCT, TEXT) or (of == TEXT and is_pixels):
                raise ValueError(f"a list is of the unknown type {of}")
            width = self._fields() if of == STRUCT else self._number()
            length = self._number()
            if width < 1 and length:
                raise ValueError(f"a list has {length} elements of {width} bytes")
            self.skip(width * length)
        else:
            raise ValueError(f"a value is of the unknown type {kind} in {count} parts")
        return 1

    def _fields(self) -> int:
        """Bytes of a structure: of each field it has the length of a name, and a type."""
        self._number()
        width = 0
        for _ in range(self._number()):
            self._number()
            width += _width(self._number())
        return width

    def _number(self) -> int:
        return int(struct.unpack(self._size, self._file.read(self.width))[0])


def _width(kind: int) -> int:
    if kind not in WIDTHS:
        raise ValueError(f"a value is of the unknown type {kind}")
    return WIDTHS[kind]
