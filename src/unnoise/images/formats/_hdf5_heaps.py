"""Damaged global heaps of HDF5, on which its library would be busy for ever, are found before.

Texts of attributes lie in global heaps: collections of objects, one behind the other. The library
goes from one to the next by their sizes, and where one has a length of 0, or of 2^64, it stays
there until the process is killed: HDF5 2.0.0, on all files of which fuzzing found that it hangs.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIGNATURE = b"GCOL"
"""Of a collection (HDF5 File Format Specification 3.0, section III.E)."""
HDF5 = b"\x89HDF\r\n\x1a\n"
MOST = 10**6
"""Objects of heaps that are looked at in a file."""


class Checked(io.FileIO):
    r"""A file that ``h5py.File`` reads, which shows no heap that has no end.

    In the place of its signature there are zeros, so that HDF5 says that the file is damaged.

    Parameters
    ----------
    path : Path

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp(), "heap.bin")
    >>> _ = place.write_bytes(HDF5 + b"\2\x08\x08".ljust(40) + b"GCOL\1\0\0\0\x30" + bytes(47))
    >>> with Checked(place) as file:
    ...     _ = file.seek(48), file.readinto(seen := bytearray(9))
    >>> seen.hex(" ")
    '00 00 00 00 01 00 00 00 30'
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._size_of_sizes = self._read_size_of_sizes()
        self._is_endless: dict[int, bool] = {}
        self._left = MOST

    def readinto(self, buffer: Any) -> int:
        """As that of a file; what it fills may hold parts of a heap, from any byte on."""
        at, view = self.tell(), memoryview(buffer).cast("B")
        count = super().readinto(view) or 0
        for place in self._places(at, view[:count].tobytes()):
            if place not in self._is_endless:
                self._is_endless[place] = self._has_no_end(place)
            if self._is_endless[place]:
                low, high = max(place - at, 0), min(place - at + len(SIGNATURE), count)
                view[low:high] = bytes(high - low)
        self.seek(at + count)
        return count

    def _places(self, at: int, seen: bytes) -> Iterator[int]:
        """Where collections may begin that are seen, if only by a byte of their signature."""
        for n in range(1, len(SIGNATURE)):
            if seen.startswith(SIGNATURE[n:]) and self._bytes(at - n, n) == SIGNATURE[:n]:
                yield at - n
            if seen.endswith(SIGNATURE[:n]):
                yield at + len(seen) - n
        found = seen.find(SIGNATURE)
        while found >= 0:
            yield at + found
            found = seen.find(SIGNATURE, found + 1)

    def _bytes(self, at: int, count: int) -> bytes:
        self.seek(max(at, 0))
        return super().read(count)

    def _read_size_of_sizes(self) -> int:
        """Bytes of a size, as the superblock tells, which may be behind something else."""
        at = 0
        while head := self._bytes(at, 16):
            if head.startswith(HDF5) and len(head) == 16:
                return head[14 if head[8] < 2 else 10]
            at = 2 * at or 512
        return 8

    def _has_no_end(self, place: int) -> bool:
        """Whether an object of a collection has a length that is none, or there are too many."""
        width = self._size_of_sizes
        head = self._bytes(place, 8 + width)
        if not head.startswith(SIGNATURE + b"\1"):  # of which the library says what is wrong
            return False
        size = int.from_bytes(head[8:], "little")
        end = place + min(size, self.seek(0, io.SEEK_END) - place)
        at, step = place + _aligned(8 + width), _aligned(8 + width)
        while at + step <= end:
            head = self._bytes(at, step)
            (number,) = struct.unpack_from("<H", head)
            size = int.from_bytes(head[8 : 8 + width], "little")
            length = step + _aligned(size) if number else size
            self._left -= 1
            if not 0 < length <= end - at or self._left < 0:
                return True
            at += length
        return False


def _aligned(size: int) -> int:
    """A size as multiple of 8.

    Examples
    --------
    >>> _aligned(0), _aligned(9), _aligned(16)
    (0, 16, 16)
    """
    return -(-size // 8) * 8
