"""How large the picture is that an encoded one becomes, by its header, before it is decoded.

Decoders make room for what a header tells: 1 kB of JPEG 2000 became 1 GB.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import imagecodecs

ZSTANDARD = b"\x28\xb5\x2f\xfd"
SLACK = 2**20
"""Samples that are never too many."""


def check(data: bytes, samples: int) -> None:
    r"""Refuse an encoded picture that has far more samples than it may have.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> png = b"\x89PNG" + bytes(12) + struct.pack(">IIBB", 50_000, 50_000, 8, 2)
    >>> check(png, 64 * 64)
    Traceback (most recent call last):
    ...
    ValueError: an encoded part of it has 7500000000 samples in the place of 4096
    """
    try:
        told = samples_of(_unwrapped(data, 8 * (4 * samples + SLACK)))
    except (struct.error, IndexError):  # cut off: decoders refuse it
        return
    if told > 4 * samples + SLACK:
        raise ValueError(f"an encoded part of it has {told} samples in the place of {samples}")


def _unwrapped(data: bytes, most: int) -> bytes:
    """LERC without what it may be packed with once more; ValueError if more bytes come of that."""
    if data.startswith(ZSTANDARD):
        try:
            return bytes(imagecodecs.zstd_decode(data, out=most))
        except imagecodecs.ZstdError as error:  # too small a room, or damaged
            raise ValueError(f"an encoded part of it unpacks to more than {most} bytes") from error
    if data[:1] == b"\x78" and int.from_bytes(data[:2], "big") % 31 == 0:
        packer = zlib.decompressobj()
        found = packer.decompress(data, most)
        if packer.unconsumed_tail:
            raise ValueError(f"an encoded part of it unpacks to more than {most} bytes")
        return found
    return data


def samples_of(data: bytes) -> int:
    """Samples of a picture; 0 where its kind or its size is unknown."""
    for start, kind in KINDS.items():
        if data.startswith(start):
            return kind(data)
    return _jpeg_2000(data) if data[4:8] == b"jP  " else 0


def _jpeg(data: bytes) -> int:
    """The frame header (ITU T.81, B.2.2), or the largest of several."""
    at, most = 2, 0
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return most
        marker = data[at + 1]
        is_frame = marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC)
        if is_frame or marker == 0xF7:
            _, _, height, width, count = struct.unpack_from(">HBHHB", data, at + 2)
            most = max(most, height * width * count)
        if marker == 0xDA:  # pixels follow
            return most
        alone = marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8
        at += 1 if marker == 0xFF else 2 if alone else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return most


def _jpeg_2000(data: bytes) -> int:
    """The size of the reference grid (ITU T.800, A.5.1)."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return 0
    width, height, left, top = struct.unpack_from(">4I", data, at + 8)
    (count,) = struct.unpack_from(">H", data, at + 40)
    return int(max(width - left, 0) * max(height - top, 0) * count)


def _png(data: bytes) -> int:
    width, height, _, colours = struct.unpack_from(">IIBB", data, 16)
    return int(width * height * {0: 1, 2: 3, 3: 3, 4: 2}.get(colours, 4))


def _webp(data: bytes) -> int:
    """The canvas, or the only picture (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    return width * height * 4


def _jpeg_xr(data: bytes) -> int:
    """Tags of width and height (ITU T.832, A.7)."""
    at = int.from_bytes(data[4:8], "little")
    (count,) = struct.unpack_from("<H", data, at)
    tags = {}
    for i in range(count):
        tag, kind, _, value = struct.unpack_from("<HHII", data, at + 2 + 12 * i)
        tags[tag] = value & 0xFFFF if kind == 3 else value
    return int(tags.get(0xBC80, 0) * tags.get(0xBC81, 0))


def _lerc(data: bytes) -> int:
    """Rows, columns, and from version 4 on numbers of a pixel, behind version and checksum."""
    (version,) = struct.unpack_from("<i", data, 6)
    rows, columns, depth = struct.unpack_from("<3I", data, 14 if version > 2 else 10)
    return int(rows * columns * (depth if version > 3 else 1))


def _jpeg_xl(data: bytes) -> int:
    """The bits behind the signature (ISO 18181-1, SizeHeader), in a box or bare."""
    if not data.startswith(b"\xff\x0a"):
        at = max(data.find(b"\xff\x0a", data.find(b"jxl", 16)), 0)
        data = data[at:]
    bits = int.from_bytes(data[2:14], "little")

    def taken(count: int) -> int:
        nonlocal bits
        found, bits = bits & (1 << count) - 1, bits >> count
        return found

    is_small = taken(1)

    def side() -> int:
        return 8 * (taken(5) + 1) if is_small else taken((9, 13, 18, 30)[taken(2)]) + 1

    height = side()
    ratio = taken(3)
    across, down = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio]
    return height * (height * across // down if ratio else side())


KINDS: dict[bytes, Callable[[bytes], int]] = {
    b"\xff\xd8": _jpeg,
    b"\xff\x4f": _jpeg_2000,
    b"\x89PNG": _png,
    b"RIFF": _webp,
    b"II\xbc": _jpeg_xr,
    b"Lerc2 ": _lerc,
    b"\xff\x0a": _jpeg_xl,
    b"\0\0\0\x0cJXL ": _jpeg_xl,
}
"""How encoded pictures begin, and what tells their samples."""
