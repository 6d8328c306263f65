"""Which images a TIFF file holds, which of them is meant, and where their planes lie.

A series is what belongs together: an image with its planes and its smaller copies (pyramid). Beside
it files hold thumbnails, labels of slides, masks, or several images that are alike (positions). The
planes of one image may also lie in several OME-TIFF files, each of which tells of all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.formats import _ome_xml, _tiff_bounds
from unnoise.images.formats.beside import check_beside

TIFF = re.compile(r"\.tiff?$", re.IGNORECASE)
MASK = 4
"""Bit of NewSubfileType: a page that says which pixels of another one count."""
YCBCR = 6
"""PhotometricInterpretation whose colours may be stored at a quarter of the resolution."""
EXPANSION = {1: 1, 5: 1400, 8: 1100, 32946: 1100, 32773: 64}
"""How many bytes one compressed byte can become at most, for codecs where that is known."""


class Alone(NamedTuple):
    """What one file of a set holds when the others are missing.

    Attributes
    ----------
    pages : list of int
        Numbers of its own pages, in the order of `axes`.
    axes : str
    shape : tuple of int
    coordinates : dict of str to list of int
        Where they lie in the whole image, by letter.
    missing : tuple of str
        Names of files that are not there.
    """

    pages: list[int]
    axes: str
    shape: tuple[int, ...]
    coordinates: dict[str, list[int]]
    missing: tuple[str, ...]


@contextmanager
def opened(path: Path) -> Iterator[tuple[tifffile.TiffFile, str, ElementTree.Element | None]]:
    """A TIFF file, or the one of its set that tells of all, what is missing otherwise, and its
    document if it is an OME-TIFF.

    Of the files of a set all but one may only say where the metadata are; these are then in a TIFF
    file, which is opened, or in a file of their own, which is not read.
    """
    with tifffile.TiffFile(path) as tif:
        root = _checked(tif, path)
        name = _ome_xml.companion(root)
        other = path.with_name(name) if name else path
        if other == path or not (other.is_file() and TIFF.search(name)):
            found = "lie" if other.is_file() else "lay"
            note = f"its OME metadata {found} in {name}, which is not read" if name else ""
            yield tif, note, root
            return
    with tifffile.TiffFile(other) as tif:
        yield tif, "", _checked(tif, other)


def _checked(tif: tifffile.TiffFile, path: Path) -> ElementTree.Element | None:
    """The document of an OME-TIFF; errors for files that tifffile must not follow."""
    pages = _tiff_bounds.check_pages(tif, path)
    root = _ome_xml.parse(tif.ome_metadata) if tif.is_ome else None
    if root is not None:
        _tiff_bounds.check_set(root, path, pages)
    if tif.is_ndtiff:
        _tiff_bounds.check_index(path)
    return root


def series_of(tif: tifffile.TiffFile, path: Path) -> list[tifffile.TiffPageSeries]:
    """All images of a file, without masks, and without images of the other files of its set.

    tifffile takes any smaller page of the same proportions for a level of a pyramid; here only what
    says so itself is one.
    """
    found: list[tifffile.TiffPageSeries] = []
    for series in tif.series:
        found.append(series)
        if series.kind == "generic":
            loose = [s for s in series.levels[1:] if not (_is_reduced(s) or s.keyframe.is_subifd)]
            for level in loose:
                series.levels.remove(level)
            found += loose
    _take_copies(found)
    found = [s for s in found if not is_mask(s)] or found
    found = [s for s in found if not (s.kind == "lsm" and _is_reduced(s))] or found  # thumbnails
    # Each file of a set tells of the images in all files; its own ones are meant.
    if all(s.keyframe.parent is tif and not s.is_multifile for s in found):
        return found
    files = [files_of(s) for s in found]
    check_beside(path, [file for places in files for file in places])
    own = Path(os.path.realpath(path))
    return [s for s, places in zip(found, files, strict=True) if own in places] or found


def _take_copies(found: list[tifffile.TiffPageSeries]) -> None:
    """Make levels of the images that say to be smaller copies, whatever their factor.

    tifffile knows the factors 2, 3 and 4 in a row; overviews of GeoTIFF may leave some out.
    """
    for small in [one for one in found if one.kind == "generic" and _is_reduced(one)]:
        whole = next((one for one in found if _is_copy(small, one)), None)
        if whole is not None:
            whole.levels.append(small)
            found.remove(small)


def form(series: tifffile.TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Letters and shape of an image: tiles and positions of LSM are one axis, P, and what was
    scanned along Z or T instead of Y is Y.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> form(SimpleNamespace(kind="lsm", axes="MPTCZX", shape=(2, 3, 4, 1, 5, 6)))
    ('PTCYX', (6, 4, 1, 5, 6))
    """
    axes, shape = series.axes, tuple(map(int, series.shape))
    if series.kind != "lsm":
        return axes, shape
    if axes.startswith("MP"):
        axes, shape = axes[1:], (shape[0] * shape[1], *shape[2:])
    axes = axes.replace("M", "P")
    if "Y" not in axes:
        scanned = "Z" if "Z" in axes else "T"
        axes = axes.replace(scanned, "Y")
    return axes, shape


def _is_copy(small: tifffile.TiffPageSeries, whole: tifffile.TiffPageSeries) -> bool:
    """Whether an image has the shape of another one with pixels joined along Y and X."""
    if _is_reduced(whole) or (small.axes, small.dtype) != (whole.axes, whole.dtype):
        return False
    a, b = (dict(zip(one.axes, one.shape, strict=True)) for one in (small, whole))
    factor = b["Y"] / a["Y"]
    is_alike = all(a[letter] == b[letter] for letter in a if letter not in "YX")
    return is_alike and factor > 1 and abs(b["X"] / factor - a["X"]) <= 1


def is_mask(series: tifffile.TiffPageSeries) -> bool:
    """Whether the pixels only say which of another image count."""
    return bool(int(series.keyframe.subfiletype) & MASK)


def _is_reduced(series: tifffile.TiffPageSeries) -> bool:
    return bool(int(series.keyframe.subfiletype) & 1)


def choose(series: Sequence[tifffile.TiffPageSeries]) -> list[int]:
    """The numbers of those of full size: the largest, and all that are like it."""

    def size(one: tifffile.TiffPageSeries) -> tuple[bool, int, int]:
        return not _is_reduced(one), int(np.prod(one.shape, dtype=np.int64)), one.dtype.itemsize

    def kind(one: tifffile.TiffPageSeries) -> tuple[Any, ...]:
        return size(one), tuple(one.shape), one.dtype, one.axes

    largest = max(series, key=size)
    return [i for i, one in enumerate(series) if kind(one) == kind(largest)]


def files_of(series: tifffile.TiffPageSeries) -> list[Path]:
    """The files where the planes of an image lie."""
    parents = {page.parent for page in series if page is not None and page.parent is not None}
    return sorted({Path(p.filehandle.dirname, p.filehandle.name) for p in parents})


def alone(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, names: Sequence[str]
) -> Alone | None:
    """What a file holds of an image whose other planes lie in files that are missing.

    Parameters
    ----------
    tif : TiffFile
    series : TiffPageSeries
    names : sequence of str
        The files of the set, as its metadata name them.

    Returns
    -------
    Alone or None
        None where no plane is missing, or where no other file is to blame.

    Raises
    ------
    InputError
        If the planes that are there do not form an image.
    """
    folder = Path(tif.filehandle.dirname)
    missing = tuple(name for name in names if not (folder / name).is_file())
    pages: list[Any] = list(series) if missing else []
    if all(page is not None for page in pages):
        return None
    flat = series.keyframe.ndim
    axes, shape = series.axes[:-flat], tuple(series.shape[:-flat])
    own = [i for i, page in enumerate(pages) if page is not None and page.parent is tif]
    at = np.unravel_index(np.array(own, dtype=np.int64), shape)
    coordinates = {a: np.unique(index).tolist() for a, index in zip(axes, at, strict=True)}
    sizes = {a: len(found) for a, found in coordinates.items()}
    if not own or int(np.prod(list(sizes.values()))) != len(own):
        raise InputError(
            f"{tif.filehandle.path} holds {len(own)} planes of an image whose other planes lie in "
            f"files that are missing ({', '.join(missing[:3])}); put them beside it"
        )
    kept = "".join(a for a in axes if sizes[a] > 1)
    return Alone(
        [pages[i].index for i in own],
        kept + series.axes[-flat:],
        (*(sizes[a] for a in kept), *series.shape[-flat:]),
        coordinates,
        missing,
    )


def check_complete(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, part: Alone | None
) -> None:
    """ValueError unless all bytes of all pages are there, as many as the header asks for."""
    pages: Sequence[Any]
    if part is not None:
        pages = [tif.pages[i] for i in part.pages]
    elif series.dataoffset is not None and not series.is_multifile:
        pages = [series.keyframe]  # the others follow it without a gap, and may be thousands
    else:
        pages = series
    for page in pages:
        if page is None or page.parent is None:
            raise ValueError("some of its planes are missing, they lie in other files")
        if not page.dataoffsets:
            raise ValueError("it does not say where the pixels of a page are")
        segments = zip(page.dataoffsets, page.databytecounts, strict=False)
        end = max((offset + count for offset, count in segments), default=0)
        if series.dataoffset is not None and not series.is_multifile:
            end = max(end, series.dataoffset + series.nbytes)
        size = page.parent.filehandle.size
        if end > size:
            raise ValueError(f"its pixels reach to byte {end} but it ends at {size}")
    _check_believable(series.keyframe)


def _check_believable(page: Any) -> None:
    """ValueError if a header declares more pixels than its compressed bytes can hold."""
    declared = int(np.prod(page.shape, dtype=np.int64)) * page.dtype.itemsize
    counts = [int(count) for count in page.databytecounts]
    if 0 in counts or page.is_contiguous:  # segments that were left out are all zeros
        return
    expected = int(np.prod(page.chunked, dtype=np.int64))
    if len(counts) < expected:
        raise ValueError(f"it has {len(counts)} pieces of pixels, but its size asks for {expected}")
    most = EXPANSION.get(int(page.compression), 2**17) * (
        4 if int(page.photometric) == YCBCR else 1
    )
    bits = max(int(page.bitspersample), 1)
    if sum(counts) * most * 8 < declared // page.dtype.itemsize * bits:
        raise ValueError(f"its {sum(counts)} bytes cannot hold the {page.shape} pixels it declares")


def decode_alone(tif: tifffile.TiffFile, part: Alone) -> NDArray:
    """The pixels of one file of a set."""
    return np.stack([tif.pages[i].asarray() for i in part.pages]).reshape(part.shape)
