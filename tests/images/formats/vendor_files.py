"""TIFF as microscopes and slide scanners write it, made for a test."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tifffile


def lsm(path: Path, pixels: np.ndarray, *, behind: int = 10**5, **places: int) -> Path:
    """A stack (z, c, y, x), or several of one behind the other: each plane has a thumbnail.

    Colours and names of channels lie `behind` so many bytes, which must suffice for the rest.
    """
    depth, channels, height, width = pixels.shape
    for letter, count in places.items():
        depth //= count if letter in "PM" else 1
    info = np.zeros(1, np.dtype(tifffile.TIFF.CZ_LSMINFO))
    sizes = {"X": width, "Y": height, "Z": depth, "Channels": channels, "Time": 1}
    for name, size in sizes.items():
        info[f"Dimension{name}"] = size
    for letter, count in places.items():
        info["ScanType" if letter == "kind" else f"Dimension{letter}"] = count
    info["MagicNumber"], info["StructureSize"] = 67127628, info.dtype.itemsize
    info["VoxelSizeX"], info["VoxelSizeY"], info["VoxelSizeZ"] = 2.5e-7, 5e-7, 1e-6
    info["OffsetChannelColors"] = behind
    colours = bytes([255, 128, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0])
    names = b"".join(struct.pack("<I", 5) + f"Ch {c}".encode() + b"\0" for c in range(channels))
    head = struct.pack("<6i", 24 + 12 + len(names), channels, channels, 24, 36, 0)
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for z, plane in enumerate(pixels):
            tags = [(34412, "B", info.nbytes, info.tobytes(), True)] if z == 0 else []
            kind = {"photometric": "minisblack", "metadata": None}
            tif.write(plane, planarconfig="separate", extratags=tags, **kind)
            tif.write(plane[:, ::4, ::4], planarconfig="separate", subfiletype=1, **kind)
    path.write_bytes(path.read_bytes().ljust(behind, b"\0") + head + colours + names)
    return path


def by_hand(
    path: Path, pixels: np.ndarray, vendor: dict[int, tuple[int, int, bytes]], *, wide: bool = False
) -> Path:
    """A file of one page (y, x, samples): its pixels, the values of its tags, their list.

    With `wide`, places have 64 bits as in NDPI: their upper halves follow the list.
    """
    height, width, samples = pixels.shape
    bits = np.full(samples, 8 * pixels.itemsize, "<u2").tobytes()
    tags = {
        256: (4, 1, struct.pack("<I", width)),
        257: (4, 1, struct.pack("<I", height)),
        258: (3, samples, bits),
        259: (3, 1, struct.pack("<I", 1)),
        262: (3, 1, struct.pack("<I", 2 if samples == 3 else 1)),
        273: (4, 1, struct.pack("<I", 16)),
        277: (3, 1, struct.pack("<I", samples)),
        278: (4, 1, struct.pack("<I", height)),
        279: (4, 1, struct.pack("<I", height * width * samples * pixels.itemsize)),
    } | vendor
    values, entries = bytearray(pixels.tobytes()), b""
    for code, (kind, count, value) in sorted(tags.items()):
        if len(value) > 4:
            value, place = struct.pack("<I", 16 + len(values)), value
            values += place + b"\0" * (len(place) % 2)
        entries += struct.pack("<HHI4s", code, kind, count, value)
    listed = struct.pack("<H", len(tags)) + entries
    listed += bytes(8 + 4 * len(tags)) if wide else bytes(4)
    head = b"II*\0" + struct.pack("<I8x", 16 + len(values))
    path.write_bytes(head + values + listed)
    return path


def stk(path: Path, pixels: np.ndarray, axis: str = "Z") -> Path:
    """Planes (n, y, x) of 16 bits that follow one another behind a single page."""
    count, height, width = pixels.shape
    depth = (3, 2) if axis == "Z" else (0, 1)
    planes = [(*depth, 2459001, 1000 + 500 * i, 2459001, 0) for i in range(count)]
    unit = 16 + pixels.nbytes  # place of what the values of UIC1 point to
    uic1 = [(3, 1), (4, unit), (5, unit + 8), (6, unit + 16)]
    behind = struct.pack("<5I3s", 1, 4, 1, 2, 3, b"um")
    stack = np.frombuffer(pixels.tobytes() + behind + bytes(21), "<u2")
    vendor = {
        256: (4, 1, struct.pack("<I", width)),
        257: (4, 1, struct.pack("<I", height)),
        278: (4, 1, struct.pack("<I", height)),
        279: (4, 1, struct.pack("<I", height * width * 2)),
        33628: (4, len(uic1), np.array(uic1, "<u4").tobytes()),
        33629: (5, len(planes), np.array(planes, "<u4").tobytes()),
    }
    return by_hand(path, stack[None, :, None], vendor)


def svs(path: Path, pixels: np.ndarray) -> Path:
    """A pyramid of colours (y, x, 3) of 8 bits, with a thumbnail and a label."""
    text = (
        f"Aperio Image Library v1\r\n{pixels.shape[1]}x{pixels.shape[0]} (256x256) JPEG/RGB Q=70|"
        "AppMag = 40|MPP = 0.2525"
    )
    with tifffile.TiffWriter(path) as tif:
        kind = {"photometric": "rgb", "metadata": None}
        tile = {"tile": (128, 128), "compression": "zlib"}
        tif.write(pixels, description=text, **tile, **kind)
        tif.write(pixels[::8, ::8], description="Aperio thumbnail", **kind)
        tif.write(pixels[::4, ::4], description="Aperio level", **tile, **kind)
        label = pixels[:90, :70]
        tif.write(label, description="Aperio label 70x90", subfiletype=1, **kind)
    return path


def ndpi(path: Path, pixels: np.ndarray) -> Path:
    """One page of colours (y, x, 3) of 8 bits."""
    vendor = {
        271: (2, 10, b"Hamamatsu\0"),
        282: (5, 1, struct.pack("<II", 20000, 1)),
        283: (5, 1, struct.pack("<II", 40000, 1)),
        296: (3, 1, struct.pack("<I", 3)),
        65420: (4, 1, struct.pack("<I", 1)),
        65421: (11, 1, struct.pack("<f", 20.0)),
    }
    return by_hand(path, pixels, vendor, wide=True)
