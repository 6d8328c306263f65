"""FITS that is packed: as a whole, or tile by tile. What unpacks without an end is refused."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.formats import _stored
from unnoise.images.formats.reader import check_room, needs

BLOCK, MOST_BLOCKS = 2880, 20_000
"""Bytes of a block, and blocks of all headers together."""
OTHER_PACKERS = (b"PK\3\4", b"\xfd7zX", b"\x1f\x9d")
"""What astropy would unpack at once."""
MOST_EXPANSION, SMALL = 1032, 2**28
"""Bytes that a byte becomes at most, and bytes that need no closer look."""
MOST_PIXELS = 4096
"""Pixels that a byte of a tile becomes at most; HCOMPRESS has no such bound for a constant one."""
COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA")
WIDTHS = {"B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8}
"""Bytes of a number of a tile, by the letter behind P or Q in the format of its column."""


@contextmanager
def unpacked(path: Path) -> Iterator[Any]:
    """A file as astropy takes it, whose headers end where it is packed.

    Raises
    ------
    InputError
        If it is packed in another way than by gzip or bzip2.
    """
    with open(path, "rb") as file:
        head = file.read(4)
    if head.startswith(OTHER_PACKERS):
        raise InputError(f"{path} is packed by zip, xz or compress; unpack it, or pack it by gzip")
    if _stored.packer(path) == ".gz":
        with _Packed(path) as packed:
            yield packed
    else:
        yield path


class _Packed(gzip.GzipFile):
    """A file of gzip of which no more than `MOST_BLOCKS` are taken for headers."""

    left = MOST_BLOCKS

    def read(self, size: int | None = -1) -> bytes:
        self.left -= size == BLOCK
        if self.left < 0:  # zeros that unpack without an end are read as a header
            raise ValueError("a header of it does not end")
        return super().read(size)


def check_tiles(path: Path, number: int) -> None:
    """Refuse tiles that lie outside, or are gzipped and unpack to more than their pixels.

    Raises
    ------
    ValueError
        If a tile lies before or behind the data of the file, which astropy would read there, is
        larger than the file can hold, or holds more than the header says.
    InputError
        If there is less free memory than a tile takes.
    """
    fits = needs("astropy.io.fits", "formats")
    with fits.open(path, memmap=True, disable_image_compression=True) as hdus:
        table = hdus[number]
        header, start = table.header, int(table.fileinfo()["datLoc"])
        packer = str(header.get("ZCMPTYPE", ""))
        # Tiles that another way did not fit are packed by gzip too.
        columns = COLUMNS[not packer.startswith("GZIP") :]
        names = [name for name in columns if name in table.columns.names]
        kind = table.columns.dtype.newbyteorder(">")
        formats = [(one.name, str(one.format)) for one in table.columns]
    axes = range(1, int(header["ZNAXIS"]) + 1)
    sides = {n: int(header[f"ZNAXIS{n}"]) for n in axes}
    # At the edge of the picture tiles end with it; by default they are rows.
    tile = [min(int(header.get(f"ZTILE{n}", sides[n] if n == 1 else 1)), sides[n]) for n in axes]
    pixels, size = math.prod(tile), path.stat().st_size
    if pixels > MOST_PIXELS * size and not packer.startswith("HCOMPRESS"):
        raise ValueError(f"a tile of {pixels} pixels cannot be in {size} bytes")
    most = pixels * 8
    check_room(path, most, "the pixels of one tile")
    heap = start + int(header.get("THEAP", header["NAXIS1"] * header["NAXIS2"]))
    rows = np.memmap(path, kind, "r", start, (int(header["NAXIS2"]),))
    for name, form in formats:
        if found := re.match(r"\d*[PQ](\w)", form):
            _check_places(rows[name], (start, heap, size), WIDTHS.get(found[1], 1))
    with open(path, "rb") as file:
        for name in names:
            sizes, offsets = rows[name].T.astype(np.int64)
            for i in np.flatnonzero(sizes > SMALL // MOST_EXPANSION):
                file.seek(heap + int(offsets[i]))
                data = zlib.decompressobj(31).decompress(file.read(int(sizes[i])), most + 1)
                if len(data) > most:
                    raise ValueError(f"a tile of it unpacks to more than {most} bytes")


def _check_places(rows: NDArray, ends: tuple[int, int, int], width: int) -> None:
    """Refuse tiles outside of the data: `ends` are where these begin, the heap, and the file's."""
    start, heap, end = ends
    sizes, offsets = rows.T.astype(np.int64)
    is_there = sizes != 0
    sizes, low = sizes[is_there], heap + offsets[is_there]
    if np.any((sizes < 0) | (sizes > end) | (low < start) | (low > end - sizes * width)):
        raise ValueError("a tile of it lies outside of its data")
