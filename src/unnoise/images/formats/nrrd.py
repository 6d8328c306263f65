"""NRRD, with its pixels in the same file or beside it, by pynrrd.

The definition is at https://teem.sourceforge.net/nrrd/format.html; the fastest axis comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

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
from unnoise.images.units import metres, spelled

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
SPELLED = ("data file", "line skip", "byte skip")
"""Fields whose name may also be written without its space."""
MOST_HEADER = 2**22
"""Bytes of a header: those of thousands of segments have some hundred thousand."""
MOST_LINES, MOST_UNPACKED = 2**24, 2**26
"""Bytes of the lines before pixels, and of what is unpacked before them."""
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
            header = _one_name_each(nrrd.read_header(_lines(file)))
            start = file.tell()
        if start >= path.stat().st_size and "data file" not in header:
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


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines of a header, which ends with an empty one: no more of a file without such a line."""
    left = MOST_HEADER
    while line := file.readline(left):
        left -= len(line)
        if not left:
            raise ValueError(f"its header does not end within {MOST_HEADER} bytes")
        yield line


def _one_name_each(header: Any) -> dict[str, Any]:
    """A header whose fields have one spelling, as what is checked must be what is opened."""
    found = dict(header)
    for name in SPELLED:
        other = name.replace(" ", "")
        if {name, other} <= set(found):
            raise ValueError(f"its header says twice where its pixels lie: {name} and {other}")
        if other in found:
            found[name] = found.pop(other)
    return found


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
    spaces = [str(unit) for unit in header.get("space units", ())]
    steps = [_step(row, spaces) for row in header.get("space directions", ())]
    is_directed = bool(steps)
    if not steps:  # it is not said which axis of space an axis of the image is
        one = spaces[0] if len(set(spaces)) == 1 else ""
        steps = [(float(step), one) for step in header.get("spacings", ())]
    own = [str(unit) for unit in header.get("units", ())]
    anatomic = "mm" if "space" in header else ""  # ITK and 3D Slicer count all spaces in mm
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    for i, letter in enumerate(reversed(letters)):
        size, unit = steps[i] if len(steps) == count else (0.0, "")
        if letter in "TZYX" and 0 < size < np.inf:
            scale[letter] = size
            unit = unit if letter != "T" else ""
            unit = (own[i] if len(own) == count else "") or unit
            unit = unit or (anatomic if is_directed and letter != "T" else "")
            units |= {letter: unit} if unit else {}
    return scale, units


def _step(direction: Any, spaces: Sequence[str]) -> tuple[float, str]:
    """The length of a direction and its unit; NaN where the units of space do not add up."""
    if direction is None or not np.isfinite(direction).all():
        return float("nan"), ""
    row = np.asarray(direction, float)
    used = [unit for unit, part in zip(spaces, row, strict=False) if part]
    if len({spelled(unit) for unit in used}) > 1:
        lengths = np.array([metres(unit) for unit in spaces])
        if len(spaces) != len(row) or not all(map(metres, used)):
            return float("nan"), ""
        row = row * lengths / metres(used[0])
    return _length(row), used[0] if used else ""


def _elsewhere(path: Path, header: Any) -> Path | None:
    """The file beside the header that holds the pixels; None where they are behind it."""
    other = header.get("data file")
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
    if encoding != "raw" and encoding not in (*TEXT, *PACKED):
        raise ValueError(f"its encoding is {encoding}")
    file, at = (path, start) if other is None else (other, 0)
    if not file.exists():
        raise InputError(f"the pixels of {path} lie in {file}, which is missing; copy it too")
    at += _behind(file, at, int(header.get("line skip", 0)))
    skip, size = int(header.get("byte skip", 0)), file.stat().st_size
    place = _stored.Place(0, shape, dtype)
    if encoding in TEXT:
        at += max(skip, 0)
        if 2 * (place.size // dtype.itemsize) - 1 > size - at:  # a digit each, and what parts them
            raise EOFError(f"{max(size - at, 0)} bytes of text hold fewer pixels than it announces")
        return Pixels(lambda: _text(path, file, at, shape, dtype), shape, dtype)
    if encoding in PACKED:
        if skip > MOST_UNPACKED:
            raise ValueError(f"its pixels begin {skip} bytes behind its header")
        packed = place._replace(offset=max(skip, 0), packed=PACKED[encoding], start=at)
        return _stored.pixels(file, packed, "NRRD")
    at = size - place.size if skip < 0 else at + skip
    if at < 0:
        raise EOFError(f"its pixels need {place.size} bytes")
    return _stored.pixels(file, place._replace(offset=at, packed=""), "NRRD")


def _behind(file: Path, at: int, lines: int) -> int:
    """Bytes of so many lines from a place on."""
    if lines < 0:
        raise ValueError(f"its pixels begin {lines} lines behind its header")
    if not lines:
        return 0
    with open(file, "rb") as stream:
        stream.seek(at)
        ends = np.flatnonzero(np.frombuffer(stream.read(MOST_LINES), np.uint8) == ord("\n"))
    if lines > len(ends):
        raise EOFError(f"{lines} lines should lie before its pixels, and {len(ends)} were found")
    return int(ends[lines - 1]) + 1


def _text(path: Path, file: Path, at: int, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """Numbers that are written as text from a place on."""
    count = int(np.prod(shape, dtype=np.int64))
    with reading(path, "NRRD"), open(file, "rb") as stream:
        stream.seek(at)
        found = np.fromfile(stream, dtype.newbyteorder("="), count, " ")
        if found.size < count:
            raise EOFError(f"it has {found.size} numbers of {count}")
    return found.reshape(shape)
