"""NRRD, with its pixels in the same file or beside it, by pynrrd.

The definition is at https://teem.sourceforge.net/nrrd/format.html; the fastest axis comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _stored
from unnoise.images.formats.about import About
from unnoise.images.formats.beside import beside
from unnoise.images.formats.reader import Pixels, needs, reading
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About(
        "NRRD",
        (".nrrd", ".nhdr"),
        "pynrrd",
        "MIT",
        "spaces are ZYX, time is T, colours, vectors and lists are C by their kinds",
        "pixel size by space directions or spacings, units",
        writes=False,
        extra="formats",
        tested="synthetic",
    ),
)
BYTES = {"char": 1, "short": 2, "int": 4, "long long": 8, "longlong": 8}
BYTES |= {f"int{8 * n}": n for n in (1, 2, 4, 8)}
"""Bytes of integers by their name without a sign."""
PACKED = {"gzip": ".gz", "gz": ".gz", "bzip2": ".bz2", "bz2": ".bz2"}
TEXT = ("ascii", "text", "txt")
PLACED = ("space", "domain")
"""Kinds of axes along which pixels lie beside each other."""
COLOURS = {"rgb-color": 3, "rgba-color": 4}
LISTED = (*COLOURS, "list", "point", "vector", "covariant-vector", "normal", "scalar", "stub")
LISTED += ("3-color", "4-color", "2-vector", "3-vector", "4-vector", "3-gradient", "3-normal")
"""Kinds of axes along which there are several values of one place."""


def read(path: Path, axes: str | None = None) -> Image:
    """Map a NRRD file, or unpack it when its pixels are asked for.

    Raises
    ------
    InputError
        For damaged files, complex pixels and tensors.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    nrrd = needs("nrrd", "formats")
    with reading(path, "NRRD"):
        with open(path, "rb") as file:
            header = nrrd.read_header(file)
            start = file.tell()
        if start >= path.stat().st_size and not {"data file", "datafile"} & set(header):
            raise EOFError("it ends within its header")
        sizes = [int(n) for n in header["sizes"]]
        dtype = _type(header)
        if len(sizes) != int(header["dimension"]) or min(sizes) < 0:
            raise ValueError(f"it has {header['dimension']} dimensions of sizes {sizes}")
        shape = tuple(reversed(sizes))
        check_pixels(shape, dtype, path.name)
        kinds = _kinds(path, header, len(sizes))
        letters = ax.check(axes or _axes(header, kinds, shape), shape)
        data = _pixels(path, header, start, (shape, dtype))
        scale, units = _scale(header, letters)
    other = _elsewhere(path, header)
    is_rgb = letters.endswith("C") and COLOURS.get(kinds[0]) == shape[-1]
    return Image(
        data, letters, scale=scale, units=units, is_rgb=is_rgb,
        alpha=3 if is_rgb and shape[-1] == 4 else None, path=path,
        metadata={
            "source": "nrrd", "holds": ["NRRD header"], "files": [path, other] if other else [],
        },
    )  # fmt: skip


def _type(header: Any) -> np.dtype:
    """Type of the pixels, with its byte order."""
    name = str(header["type"]).lower().replace("_t", "")
    order = ">" if str(header.get("endian", "little")).lower() == "big" else "<"
    if name in ("float", "double"):
        return np.dtype(f"{order}f{4 if name == 'float' else 8}")
    unsigned = name.startswith("u")
    bare = name.removeprefix("unsigned ").removeprefix("signed ").removeprefix("u")
    bare = bare.removesuffix(" int")
    if bare not in BYTES:
        raise ValueError(f"its type is {name}")
    return np.dtype(f"{order}{'iu'[unsigned]}{BYTES[bare]}")


def _kinds(path: Path, header: Any, count: int) -> list[str]:
    """The kind of every axis, the fastest first."""
    kinds = [str(kind).lower() for kind in header.get("kinds", ["???"] * count)]
    if "complex" in kinds:
        raise InputError(
            f"{path.name} holds complex numbers; save its magnitude, or its real and imaginary "
            f"parts as channels, and denoise those"
        )
    tensors = [kind for kind in kinds if "matrix" in kind or kind == "quaternion"]
    if tensors:
        raise InputError(
            f"{path.name} holds tensors ({tensors[0]}), which follow from other images; denoise "
            f"the images that they were computed from"
        )
    return kinds


def _axes(header: Any, kinds: Sequence[str], shape: tuple[int, ...]) -> str:
    """Letters by the kinds of the axes, or by their directions in space."""
    count = len(shape)
    if all(kind not in (*PLACED, *LISTED, "time") for kind in kinds):
        directions = [_length(row) for row in header.get("space directions", ())]
        known = directions or [float(step) for step in header.get("spacings", ())]
        if count == 3 and len(known) == 3 and np.isfinite(known).all():
            return "ZYX"
        return ax.infer(shape)
    free = iter("XYZ")
    pattern = []
    for kind in kinds:
        letter = "T" if kind == "time" else "C" if kind in LISTED else "?"
        letter = next(free, "?") if kind in PLACED else letter
        pattern.append(letter if letter not in pattern else "?")
    letters = "".join(reversed(pattern))
    if "?" in letters or not {"X", "Y"} <= set(letters):
        raise ax.ambiguous(shape, letters if {"X", "Y"} <= set(letters) else "")
    return letters


def _length(direction: Any) -> float:
    """The length of a direction, NaN of an axis that has none."""
    if direction is None:
        return float("nan")
    return float(np.linalg.norm(np.asarray(direction, float)))


def _scale(header: Any, letters: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size and units."""
    count = len(letters)
    directions = [_length(row) for row in header.get("space directions", ())]
    sizes = directions or [float(step) for step in header.get("spacings", ())]
    own = [str(unit) for unit in header.get("units", ())]
    spaces = [str(unit) for unit in header.get("space units", ())]
    anatomic = "mm" if "space" in header else ""  # ITK and 3D Slicer count all spaces in mm
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    for i, letter in enumerate(reversed(letters)):
        size = sizes[i] if len(sizes) == count else 0.0
        if letter in "TZYX" and 0 < size < np.inf:
            scale[letter] = size
            unit = own[i] if len(own) == count else ""
            unit = unit or (spaces[0] if spaces and letter != "T" else "")
            unit = unit or (anatomic if directions and letter != "T" else "")
            units |= {letter: unit} if unit else {}
    return scale, units


def _elsewhere(path: Path, header: Any) -> Path | None:
    """The file beside the header that holds the pixels; None where they are behind it."""
    other = header.get("data file", header.get("datafile"))
    if other is None:
        return None
    if str(other).upper().startswith("LIST") or "%" in str(other):
        raise InputError(f"{path} has its pixels in several files; join them in one NRRD file")
    return beside(path, str(other))


def _pixels(path: Path, header: Any, start: int, form: tuple[tuple[int, ...], np.dtype]) -> Pixels:
    """Pixels behind the header or in a file beside it; those written as text are read at once."""
    shape, dtype = form
    encoding = str(header["encoding"]).lower()
    other = _elsewhere(path, header)
    if encoding in TEXT:
        return Pixels(lambda: _text(path, shape), shape, dtype)
    if encoding != "raw" and encoding not in PACKED:
        raise ValueError(f"its encoding is {encoding}")
    file, at = (path, start) if other is None else (other, 0)
    if not file.exists():
        raise InputError(f"the pixels of {path} lie in {file}, which is missing; copy it too")
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    place = _stored.Place(0, shape, dtype)
    with open(file, "rb") as stream:
        stream.seek(at)
        for _ in range(lines):
            stream.readline()
        at = stream.tell()
    if encoding in PACKED:
        packed = place._replace(offset=max(skip, 0), packed=PACKED[encoding], start=at)
        return _stored.pixels(file, packed, "NRRD")
    at = file.stat().st_size - place.size if skip < 0 else at + skip
    if at < 0:
        raise EOFError(f"its pixels need {place.size} bytes")
    return _stored.pixels(file, place._replace(offset=at, packed=""), "NRRD")


def _text(path: Path, shape: tuple[int, ...]) -> NDArray:
    with reading(path, "NRRD"):
        array: NDArray = needs("nrrd", "formats").read(str(path), index_order="C")[0]
        return array.reshape(shape)
