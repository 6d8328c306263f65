"""Compressed tiles of FITS within bounds, of which astropy's decoders in C look at none.

By them a damaged tile of Rice or PLIO was read beyond its end, and one of HCOMPRESS, whose stream
has lengths of its own, was written over eight times the memory of its pixels.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import threading
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

PLACE = "astropy.io.fits.hdu.compressed"
"""Where astropy has its decoders; elsewhere nothing can be done to them."""
MOST_BYTES = 2**31 - 1
"""Bytes of a tile: lengths are `int` there."""
MOST_BLOCK = 4096
"""Pixels of a block of Rice; the standard has 16 and 32."""
ROOM = 64
"""Bytes that the first numbers of a stream take, and more."""
FEWEST_SIDE, MOST_PLANES = 4, 63
"""Pixels of a side of a tile of HCOMPRESS, and planes of bits of its 64-bit numbers."""
_one = threading.Lock()
"""HCOMPRESS keeps its place in a static variable, and astropy lets other threads run meanwhile."""

Decode = Callable[..., bytes]


def guard() -> None:
    """Have astropy look at tiles before it decodes them, in this process, from now on.

    Pixels are the same; tiles that would be read or written beyond their ends raise `ValueError`.
    """
    for (module, name), check in CHECKS.items():
        with contextlib.suppress(ImportError, AttributeError), _one:
            library = importlib.import_module(f"{PLACE}.{module}")
            decode = getattr(library, name)
            if not isinstance(decode, partial):
                setattr(library, name, partial(check, decode))


def _padded(data: bytes, room: int, value: int) -> NDArray[np.uint8]:
    """The same bytes, behind which as many others belong to nobody else."""
    whole = np.full(len(data) + room, value, np.uint8)
    whole[: len(data)] = np.frombuffer(data, np.uint8)
    return whole[: len(data)]


def _check_size(*factors: int) -> None:
    if not 0 < math.prod(factors) <= MOST_BYTES or min(factors) < 1:
        raise ValueError(f"a tile of {' x '.join(map(str, factors))} bytes cannot be decoded")


def _rice(decode: Decode, data: bytes, block: int, bytepix: int, pixels: int) -> bytes:
    """A tile of Rice, whose end is looked for after every block, and ones end all that is open."""
    if bytepix not in (1, 2, 4) or not 1 <= block <= MOST_BLOCK:
        raise ValueError(f"blocks of {block} pixels of {bytepix} bytes are not those of Rice")
    _check_size(pixels, bytepix)
    return decode(_padded(data, ROOM + 5 * block, 0xFF), block, bytepix, pixels)


def _plio(decode: Decode, data: bytes, pixels: int) -> bytes:
    """A list of runs, whose first words tell where it begins and ends."""
    words = np.frombuffer(data[: len(data) // 2 * 2], np.int16).tolist()[:5]
    words += [0] * (5 - len(words))
    is_short = words[2] > 0
    first = 3 if is_short else words[1]
    last = words[2] if is_short else words[4] * 2**15 + words[3]
    if first < 0 or last > len(data) // 2:
        raise ValueError(f"its runs are the words {first} to {last} of {len(data) // 2}")
    _check_size(pixels, 4)
    return decode(_padded(data, ROOM, 0), pixels)


def _hcompress(
    decode: Decode, data: bytes, rows: int, columns: int, scale: int, smooth: int, bytepix: int
) -> bytes:
    """A tile of HCOMPRESS: sides, scale, sum, planes of bits; then codes: 5 and 10 end them."""
    head = np.frombuffer(data[2:10].ljust(8, b"\0"), ">i4").tolist()
    if head != [rows, columns] or min(head) < FEWEST_SIDE:
        raise ValueError(f"its stream has {head[0]} x {head[1]} pixels for {rows} x {columns}")
    if max(data[22:25], default=0) > MOST_PLANES:
        raise ValueError(f"its pixels have {max(data[22:25])} bits")
    _check_size(rows, columns, bytepix)
    whole = _padded(data, ROOM + rows * columns // 2, 0x55)
    with _one:
        return decode(whole, rows, columns, scale, smooth, bytepix)


def _dithered(decode: Decode, data: bytes, row: int, *more: object) -> bytes:
    """Real numbers of a tile, whose noise is looked up by its number, which is 1 or more."""
    if row < 1:
        raise ValueError(f"noise of the number {row} is none")
    return decode(data, row, *more)


CHECKS: dict[tuple[str, str], Callable[..., bytes]] = {
    ("_codecs", "decompress_rice_1_c"): _rice,
    ("_codecs", "decompress_plio_1_c"): _plio,
    ("_codecs", "decompress_hcompress_1_c"): _hcompress,
    ("_quantization", "unquantize_float_c"): _dithered,
    ("_quantization", "unquantize_double_c"): _dithered,
}
