"""CZI files made for a test: segments of ZISRAW with their headers, in little endian."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np

PIXEL_TYPES = {("u1", 1): 0, ("u2", 1): 1, ("f4", 1): 2, ("u1", 3): 3, ("u2", 3): 4}
XML = """<ImageDocument><Metadata><Scaling><Items>
<Distance Id="X"><Value>2.5E-07</Value></Distance><Distance Id="Y"><Value>5E-07</Value></Distance>
<Distance Id="Z"><Value>1E-06</Value></Distance></Items></Scaling>
<Information><Image><AcquisitionDateAndTime>2024-03-02T01:02:03</AcquisitionDateAndTime><Dimensions>
<Channels><Channel Id="Channel:0" Name="DAPI"><Color>#FF0000FF</Color></Channel>
<Channel Id="Channel:1" Name="GFP"><Color>#FF00FF00</Color></Channel></Channels>
<T><Positions><Interval><Increment>1.5</Increment></Interval></Positions></T>
<S><Scenes><Scene Index="0" Name="A1"/><Scene Index="1" Name="B2"/></Scenes></S>
</Dimensions></Image><Instrument><Objectives><Objective Id="Objective:1" Name="Plan 20x/0.8">
<LensNA>0.8</LensNA><NominalMagnification>20</NominalMagnification></Objective></Objectives>
</Instrument></Information></Metadata></ImageDocument>"""


class Tile(NamedTuple):
    """A subblock: its pixels, where they lie, and how they are stored."""

    pixels: np.ndarray
    at: dict[str, int]
    corner: tuple[int, int] = (0, 0)
    size: tuple[int, int] | None = None
    compression: int = 0


def zstd(pixels: np.ndarray, compression: int) -> bytes:
    """Zstandard, with low and high bytes apart in version 1."""
    plain = pixels.tobytes()
    if compression == 5:
        return imagecodecs.zstd_encode(plain)
    split = np.frombuffer(plain, np.uint8).reshape(-1, 2).T.tobytes()
    return b"\3\1\1" + imagecodecs.zstd_encode(split)


def stored(tile: Tile) -> bytes:
    """The bytes of the pixels; colours are in the order blue, green, red but in JPEG XR."""
    pixels = tile.pixels
    if tile.compression == 4:
        return imagecodecs.jpegxr_encode(np.ascontiguousarray(pixels), level=1.0)
    pixels = np.ascontiguousarray(pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    return zstd(pixels, tile.compression) if tile.compression in (5, 6) else pixels.tobytes()


def entry(tile: Tile, position: int) -> bytes:
    rows, columns, *samples = tile.pixels.shape
    height, width = tile.size or (rows, columns)
    places = {"X": (tile.corner[1], width, columns), "Y": (tile.corner[0], height, rows)}
    places |= {letter: (index, 1, 1) for letter, index in tile.at.items()}
    kind = PIXEL_TYPES[tile.pixels.dtype.str[1:], samples[0] if samples else 1]
    is_pyramid = (height, width) != (rows, columns)
    head = (b"DV", kind, position, 0, tile.compression, is_pyramid, 0, b"", len(places))
    dimensions = [
        struct.pack("<4siifi", letter.encode(), start, size, 0.0, own)
        for letter, (start, size, own) in places.items()
    ]
    return struct.pack("<2siqiiBB4si", *head) + b"".join(dimensions)


def segment(name: bytes, data: bytes) -> bytes:
    size = -len(data) % 32 + len(data)
    return struct.pack("<16sqq", name, size, len(data)) + data.ljust(size, b"\0")


def write(path: Path, tiles: list[Tile], xml: str = XML) -> Path:
    """A file of tiles."""
    file = bytearray(544)
    entries = []
    for tile in tiles:
        entries.append(entry(tile, len(file)))
        data = stored(tile)
        head = struct.pack("<iiq", 0, 0, len(data)) + entries[-1].ljust(240, b"\0")
        file += segment(b"ZISRAWSUBBLOCK", head + data)
    metadata = len(file)
    head = struct.pack("<ii248x", len(xml.encode()), 0)
    file += segment(b"ZISRAWMETADATA", head + xml.encode())
    directory = len(file)
    head = struct.pack("<i124x", len(entries))
    file += segment(b"ZISRAWDIRECTORY", head + b"".join(entries))
    parts = (1, 0, 0, 0, b"", b"", 0, directory, metadata, 0, 0)
    head = struct.pack("<iiii16s16siqqiq", *parts)
    file[:544] = segment(b"ZISRAWFILE", head.ljust(512, b"\0"))
    path.write_bytes(file)
    return path
