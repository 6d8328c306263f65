"""Small files of electron microscopes, written by hand: nothing in Python writes them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SER_TYPES = {"u1": 1, "u2": 2, "u4": 3, "i2": 5, "i4": 6, "f4": 7, "f8": 8}
DM_TYPES = {"f4": (2, 6), "u2": (10, 4), "i2": (1, 2), "u1": (6, 8)}
"""Of pixels the number in a list of images, and that of a tag."""


def ser(path: Path, stack: np.ndarray, unit: str = "s") -> Path:
    """A series of TIA: planes along an axis with a unit."""
    count, height, width = stack.shape
    outer = struct.pack("<iddii", count, 0.0, 0.5, 0, 0) + struct.pack("<i", len(unit))
    outer += unit.encode()
    planes = []
    for plane in stack:
        kind = SER_TYPES[plane.dtype.str[1:]]
        head = struct.pack("<ddi", 0.0, 2e-9, 0) * 2 + struct.pack("<hii", kind, width, height)
        planes.append(head + plane[::-1].tobytes())  # the last row comes first
    start = 30 + len(outer)
    at = start + 8 * count
    offsets = [at + sum(map(len, planes[:i])) for i in range(count)]
    tags_at = at + sum(map(len, planes))
    tags = [struct.pack("<hi", 0x4152, 1_600_000_000 + i) for i in range(count)]
    places = [*offsets, *(tags_at + 6 * i for i in range(count))]
    head = struct.pack("<hhhiiiiii", 0x4949, 0x197, 0x210, 0x4122, 0x4152, count, count, start, 1)
    table = np.array(places, "<i4").tobytes()
    path.write_bytes(b"".join([head, outer, table, *planes, *tags]))
    return path


def dm3(path: Path, array: np.ndarray, unit: str = "nm", sides: Sequence[int] = ()) -> Path:
    """A picture of DigitalMicrograph, which may tell of other sides than it has."""
    return _dm(path, array, unit, "i", sides)


def dm4(path: Path, array: np.ndarray, unit: str = "nm", sides: Sequence[int] = ()) -> Path:
    """The same with sizes of 64 bits, and one before each tag."""
    return _dm(path, array, unit, "q", sides)


def _dm(path: Path, array: np.ndarray, unit: str, size: str, sides: Sequence[int]) -> Path:
    number, kind = DM_TYPES[array.dtype.str[1:]]
    value, group, list_ = partial(_value, size), partial(_group, size), partial(_array, size)
    sizes = [("", value(5, "<I", n)) for n in sides or array.shape[::-1]]
    one = [("Origin", value(6, "<f", 0.0)), ("Scale", value(6, "<f", 0.5))]
    one.append(("Units", list_(4, np.array([ord(c) for c in unit], "<u2"))))
    steps = [("", group(one))] * array.ndim
    data = [
        ("Calibrations", group([("Dimension", group(steps))])),
        ("Data", list_(kind, array.ravel())),
        ("DataType", value(5, "<I", number)),
        ("Dimensions", group(sizes)),
        ("PixelDepth", value(5, "<I", array.itemsize)),
    ]
    picture = group([("ImageData", group(data)), ("ImageTags", group([]))])
    body = group([("ImageList", group([("", picture)]))])[1]
    head = struct.pack(f">i{size}i", 3 if size == "i" else 4, len(body) + 8, 1)
    path.write_bytes(head + body + bytes(8))
    return path


def _entry(size: str, name: str, tag: tuple[int, bytes]) -> bytes:
    kind, content = tag
    told = struct.pack(">q", len(content)) if size == "q" else b""
    return struct.pack(">BH", kind, len(name)) + name.encode() + told + content


def _group(size: str, tags: list[tuple[str, Any]]) -> tuple[int, bytes]:
    content = b"".join(_entry(size, *tag) for tag in tags)
    return 20, struct.pack(f">BB{size}", 1, 0, len(tags)) + content


def _value(size: str, kind: int, form: str, value: float) -> tuple[int, bytes]:
    return 21, b"%%%%" + struct.pack(f">2{size}", 1, kind) + struct.pack(form, value)


def _array(size: str, kind: int, values: np.ndarray) -> tuple[int, bytes]:
    return 21, b"%%%%" + struct.pack(f">4{size}", 3, 20, kind, values.size) + values.tobytes()


def emd(path: Path, array: np.ndarray, names: str, units: list[str]) -> Path:
    """A file of the Berkeley EMD."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("signals/picture")
        group.attrs["emd_group_type"] = 1
        group["data"] = array
        for i, (name, unit) in enumerate(zip(names, units, strict=True)):
            axis = group.create_dataset(f"dim{i + 1}", data=np.arange(array.shape[i]) * 0.5)
            axis.attrs["name"], axis.attrs["units"] = name, unit
    return path


def blo(path: Path, scan: np.ndarray) -> Path:
    """A scan (y, x, side, side) of diffraction patterns of 8 bits."""
    height, width, side, _ = scan.shape
    at, ends = 4096, 4096 + height * width
    head = struct.pack(
        "<6sHIIIHHHHH", b"IMGBLO", 0x102, at, ends, 131141, side, 0, width, height, 0
    )
    head += struct.pack("<ddIHId22d", 1.0, 1.0, 200000, 100, 10, 44000.0, *[0.0] * 22)
    patterns = scan.reshape(-1, side * side)
    frames = [struct.pack("<HI", 0x55AA, i) + one.tobytes() for i, one in enumerate(patterns)]
    path.write_bytes(head.ljust(at, b"\0") + bytes(height * width) + b"".join(frames))
    return path
