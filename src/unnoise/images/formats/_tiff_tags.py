"""Tags of a TIFF file that say nothing of its pixels' layout: carried over, or named.

Georeference (GeoTIFF, OGC 19-008r4), date, software and whatever private tags there are go to the
result byte for byte, except those that point to places in the file or that make readers take the
file for another format.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import tifffile

NODATA = 42113
LAYOUT = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284),
    *(288, 289, 292, 293, 297, 317, 320, 322, 323, 324, 325, 326, 327, 328, 330, 338, 339, 340),
    *(341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 559),
    *(32997, 32998, 50674, 65534),
}
"""How and where the pixels are stored, and their extremes: written anew, or true no more."""
ELSEWHERE = {270, 274, 282, 283, 296, 34675, 50838, 50839}
"""Description, orientation, resolution, colour profile, ImageJ: kept by those who know them."""
POINTERS = {400: "global parameters", 34665: "EXIF", 34853: "GPS position", 40965: "EXIF"}
"""Tags that hold places in the file."""
VENDORS = {
    "MetaMorph": range(33628, 33632),
    "Zeiss LSM": (34412,),
    "FluoView": (34361, 34362, 34386),
    "Molecular Dynamics": range(33445, 33453),
    "Micro-Manager": (50839, 51123),
    "Olympus SIS": (33471, 33560),
    "Hamamatsu NDPI": range(65420, 65460),
    "TVIPS": (37706, 37707),
}
"""Tags that describe the file as a whole; readers would look for the rest of that format."""
GROUPS = {
    "date": (306,),
    "software": (305,),
    "georeference": (33550, 33922, 34264, 34735, 34736, 34737, 33920),
    "GDAL metadata": (42112,),
    "nodata value": (NODATA,),
    "colour profile": (34675,),
}
"""Names of tags for messages; others have their own."""
MOST_NAMED = 6
FRACTIONS = {5: "I", 10: "i"}
"""Types of two integers each."""
WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}
"""Bytes of a value by its type."""


class Tags(NamedTuple):
    """What the tags of a page hold.

    Attributes
    ----------
    kept : list of tuple
        Tags for `tifffile.TiffWriter.write`, as bytes in the byte order of the file.
    names : list of str
        What they are.
    lost : list of str
        What cannot be kept.
    nodata : float or None
        Value of pixels without data.
    """

    kept: list[tuple[int, int, int, bytes | tuple[int, ...], bool]]
    names: list[str]
    lost: list[str]
    nodata: float | None


def read(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Tags:
    """The tags of the first page of an image, or of its file where it lies in several."""
    page: Any = series.keyframe if series.keyframe.parent is tif else tif.pages.first
    vendor = {code: name for name, codes in VENDORS.items() for code in codes}
    kept, names, lost = [], [], []
    for tag in page.tags:
        code = int(tag.code)
        if code in LAYOUT or code in ELSEWHERE:
            continue
        if code in POINTERS or code in vendor or int(tag.dtype) in (13, 18):
            lost.append(POINTERS.get(code) or vendor.get(code) or name_of(tag))
            continue
        content = _bytes(tif, tag)
        if content is None:
            lost.append(name_of(tag))
            continue
        value: bytes | tuple[int, ...] = content
        if int(tag.dtype) in FRACTIONS:  # tifffile would take bytes for twice as many
            value = struct.unpack(
                f"{tif.byteorder}{len(content) // 4}{FRACTIONS[tag.dtype]}", content
            )
        kept.append((code, int(tag.dtype), int(tag.count), value, True))
        names.append(name_of(tag))
    last = series[-1]
    if last is not None and last.parent is tif and not page.is_subifd and last.index != page.index:
        lost += _of_single_pages(tif, page, int(last.index))
    return Tags(kept, _unique(names), _unique(lost), _nodata(page))


def name_of(tag: Any) -> str:
    """How messages call a tag."""
    code = int(tag.code)
    group = next((name for name, codes in GROUPS.items() if code in codes), None)
    return group or f"tag {code}" + (f" ({tag.name})" if str(tag.name) != str(code) else "")


def _bytes(tif: tifffile.TiffFile, tag: Any) -> bytes | None:
    """The value of a tag as it lies in the file; None if it is cut off or of an unknown type."""
    size = WIDTHS.get(int(tag.dtype), 0) * int(tag.count)
    tif.filehandle.seek(tag.valueoffset)
    found = tif.filehandle.read(size)
    return found if size and len(found) == size else None


def _of_single_pages(tif: tifffile.TiffFile, first: Any, number: int) -> list[str]:
    """What differs from page to page, judged by the last one: a file has one value here."""
    last: Any = tif.pages.get(number, aspage=True, cache=False)
    vendors = {code for codes in VENDORS.values() for code in codes}
    skipped = LAYOUT | (ELSEWHERE - {270}) | POINTERS.keys() | vendors
    differing = [
        tag
        for tag in last.tags
        if int(tag.code) not in skipped and tag.value != first.tags.valueof(tag.code)
    ]
    return [f"the {name_of(tag)} of every single page" for tag in differing]


def _nodata(page: Any) -> float | None:
    """The number in the tag of GDAL, which is text, at times with a comma."""
    try:
        return float(str(page.tags.valueof(NODATA)).strip("\0 ").replace(",", "."))
    except ValueError:  # no such tag, or no number
        return None


def _unique(names: list[str]) -> list[str]:
    found = list(dict.fromkeys(names))
    rest = len(found) - MOST_NAMED
    return found if rest <= 0 else [*found[:MOST_NAMED], f"{rest} more tags"]
