"""What a TIFF file may ask of a reader, which is looked at before tifffile follows it.

Pages that lead in a circle, lists of smaller copies, numbers of planes, and names of other files
stand in files of strangers: tifffile believes all of them.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import tifffile

from unnoise.errors import InputError
from unnoise.images.formats.beside import check_beside

MOST_TAGS = 4096
"""Tags of a page beyond which tifffile takes the list for damaged."""
LEAST_PAGE = 64
"""Bytes that a page takes in a file at least: six tags, where and how many."""
MOST_PLANES = 2**20
"""Planes that OME metadata may tell of beside the pages that are there."""
WIDTH, LENGTH, SUBIFDS = 256, 257, 330
INTEGERS = {3: "H", 4: "I", 16: "Q"}


class Page(NamedTuple):
    """How many pixels and smaller copies a page tells of."""

    pixels: int
    copies: int


def check_pages(tif: tifffile.TiffFile, path: Path) -> list[Page]:
    """The pages of a file, where they end and name no more smaller copies than it can hold.

    Raises
    ------
    ValueError
    """
    pages, copies = [], 0
    for page in _pages(tif, path):
        pages.append(page)
        copies += page.copies
        if copies > LEAST_PAGE + tif.filehandle.size // LEAST_PAGE:
            raise ValueError(f"its pages name {copies} smaller copies, more than it can hold")
    return pages


def _pages(tif: tifffile.TiffFile, path: Path) -> Iterator[Page]:
    """The pages in their order; ValueError where they name each other without end."""
    form = tif.tiff
    seen: set[int] = set()
    with open(path, "rb") as file:
        file.seek(4 if form.offsetsize == 4 else 8)
        at = file.read(form.offsetsize)
        while len(at) == form.offsetsize:
            (place,) = struct.unpack(form.offsetformat, at)
            if place == 0:
                return
            if place in seen:
                raise ValueError(f"its pages lead in a circle, back to that at {place}")
            seen.add(place)
            file.seek(place)
            count = file.read(form.tagnosize)
            if len(count) < form.tagnosize:
                return
            (tags,) = struct.unpack(form.tagnoformat, count)
            if tags > MOST_TAGS:
                return
            # Of a list that reaches beyond the end tifffile takes the last bytes that there are.
            data = file.read(tags * form.tagsize + form.offsetsize)
            yield _page(form, data[: min(tags, len(data) // form.tagsize) * form.tagsize])
            at = data[-form.offsetsize :]


def _page(form: tifffile.tifffile.TiffFormat, data: bytes) -> Page:
    sides, copies = {WIDTH: 1, LENGTH: 1}, 0
    for code, kind, count, value in struct.iter_unpack(form.tagformat1 + form.tagformat2[1:], data):
        if code in sides and kind in INTEGERS:
            with suppress(struct.error):
                (sides[code],) = struct.unpack_from(form.byteorder + INTEGERS[kind], value)
        elif code == SUBIFDS:
            copies += count
    return Page(max(math.prod(sides.values()), 1), copies)


def check_set(root: ElementTree.Element, path: Path, own: list[Page]) -> None:
    """Refuse OME metadata that name files which are not to be opened, or too many planes.

    tifffile opens each file that is named, even one that never answers, and makes room for all
    planes that are told of.

    Parameters
    ----------
    root : Element
        The document.
    path : Path
        The file where it stands.
    own : list of Page
        The pages of that file.

    Raises
    ------
    InputError
        If a name leads out of the folder, or to what is no file.
    ValueError
    """
    files = {"": own}
    named = (element.get("FileName", "") for element in root.iter() if _is(element, "UUID"))
    for name in filter(None, dict.fromkeys(named)):
        other = _file_beside(path, name)
        files[name] = [] if other is None else own if other == path else _pages_of(other)
    room = MOST_PLANES + sum(map(len, files.values()))
    planes: float = sum(_planes(pixels, files) for pixels in root.iter() if _is(pixels, "Pixels"))
    planes += sum(_along(element) for element in root.iter() if _is(element, "Along", cut=1))
    if planes > room:
        raise ValueError(f"its OME metadata tell of {planes:.0f} planes; its pages are {len(own)}")


def _is(element: ElementTree.Element, kind: str, cut: int = 0) -> bool:
    """As tifffile tells elements apart: by the end of their names."""
    return element.tag[: len(element.tag) - cut].endswith(kind)


def check_index(path: Path) -> None:
    """Refuse the index of an NDTiff (Micro-Manager) that names files which are not to be opened.

    Raises
    ------
    InputError
    """
    index = _file_beside(path, "NDTiff.index")
    if index is not None:
        for name in {fields[1] for fields in tifffile.tifffile.read_ndtiff_index(index)}:
            _file_beside(path, name)


def _file_beside(path: Path, name: str) -> Path | None:
    """The file of a name, None where it is missing; InputError where it is not to be opened."""
    other = path.parent / name
    check_beside(path, [other])
    if other.is_file():
        return path if os.path.samefile(other, path) else other
    if "\0" not in name and os.path.lexists(other) and not other.is_dir():
        raise InputError(
            f"{path.name} names {name}, which is no regular file; put the file with its planes "
            f"there"
        )
    return None


def _pages_of(path: Path) -> list[Page]:
    """The pages of a file; none where it is no TIFF file, which tifffile finds out as well."""
    with suppress(tifffile.TiffFileError, OSError), tifffile.TiffFile(path) as tif:
        return check_pages(tif, path)
    return []


def _planes(pixels: ElementTree.Element, files: dict[str, list[Page]]) -> int:
    """For how many planes tifffile makes room at most: as many as are told of, one by one and
    together, and as many pages as hold all pixels that are told of.
    """
    sizes = {letter: abs(_integer(pixels.get(f"Size{letter}"))) for letter in "XYZCT"}
    planes = math.prod(sizes[letter] for letter in "ZCT")
    told, least = 0, math.prod(sizes.values())
    for data in pixels:
        if not _is(data, "TiffData"):
            continue
        name = next((one.get("FileName", "") for one in data if _is(one, "UUID")), "")
        pages = files.get(name, [])
        count = _integer(data.get("NumPlanes", "1" if "IFD" in data.attrib else "0"))
        count = _integer(data.get("PlaneCount", str(count)))
        told += count or len(pages)
        first = max(_integer(data.get("IFD")), 0)
        found = islice(pages, first, first + (count or max(planes, 1)))
        least = min(least, min((page.pixels for page in found), default=least))
    return max(planes, told, math.prod(sizes.values()) // max(least, 1))


def _along(element: ElementTree.Element) -> float:
    """Steps of a further axis, which tifffile counts one by one."""
    start, end, step = (_number(element.get(key), 1) for key in ("Start", "End", "Step"))
    return max((end + step - start) / step, 0) if step else 0


def _integer(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:  # tifffile refuses it
        return 0


def _number(text: str | None, default: float) -> float:
    try:
        number = float(default if text is None else text)
    except ValueError:
        return default
    return number if math.isfinite(number) else default
