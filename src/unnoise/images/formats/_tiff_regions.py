"""Regions of TIFF images: only the tiles and strips that a region touches are read and decoded.

tifffile offers this through Zarr alone; here its pages tell where their segments lie, and decode
them. Pages whose pixels lie bare in the file are mapped. Decoded segments are kept for a while, as
neighbouring regions share them.
"""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from unnoise.images.formats import _encoded_size
from unnoise.images.formats.reader import check_room, reading, recent

PICTURES = {6, 7, 33007, 34887, 34892, *tifffile.TIFF.IMAGE_COMPRESSIONS}
"""Compressions whose results have a header of their own."""
LARGE = 2**24
"""Samples of a tile, as of 4096 x 4096 pixels, that are never too many, however small the image."""
PACKED = 2**22
"""Bytes that a tile or strip may have besides twice those of its pixels: tables, profiles."""
OPEN_FILES = 8
"""Files of a set of many that stay open."""
_numbers = itertools.count()


class Shown(NamedTuple):
    """How stored numbers become pixels, one by one, in which type, with what dimensions at last."""

    pixels_of: Callable[[NDArray], NDArray]
    dtype: np.dtype
    added: tuple[int, ...] = ()


class Regions:
    """An array whose regions are decoded when they are asked for, by several threads at a time.

    Parameters
    ----------
    path : Path
        For messages.
    files : ExitStack
        Closes the files; it is emptied, as they stay open as long as the pixels are needed.
    pages : sequence of tifffile.TiffPage or TiffFrame
        Along the leading dimensions.
    shape : tuple of int
        Leading dimensions and those of a page, with or without those of length 1.
    shown : Shown, optional

    Raises
    ------
    ValueError, IndexError
        If the pages do not form an array of this shape, or are not there.
    """

    def __init__(
        self,
        path: Path,
        files: ExitStack,
        pages: Sequence[Any],
        shape: tuple[int, ...],
        shown: Shown | None = None,
    ) -> None:
        self._path, self._pages, self._shown = path, pages, shown
        self._lock, self._number = threading.RLock(), next(_numbers)
        self._opened: list[Any] = []
        files.callback(_close, self._opened)
        key = pages[len(pages) - 1].keyframe
        self._stored, self._dtype = tuple(map(int, shape)), np.dtype(key.dtype)
        self.dtype = self._dtype if shown is None else shown.dtype
        self.shape = (*self._stored, *(() if shown is None else shown.added))
        self._dims = _dimensions(self._stored, key.shaped, len(pages))
        weakref.finalize(self, files.pop_all().close)

    def __getitem__(self, index: Any, /) -> NDArray:
        parts, taken = _parts(index, len(self.shape))
        ranges = [range(n)[part] for n, part in zip(self._stored, parts, strict=False)]
        block = self._read([r if r.step > 0 else r[::-1] for r in ranges])
        block = block[tuple(slice(None, None, 1 if r.step > 0 else -1) for r in ranges)]
        if self._shown is not None:
            index = (Ellipsis, *parts[len(ranges) :])
            block = self._shown.pixels_of(block)[index]
        return block[taken]

    def _read(self, ranges: Sequence[range]) -> NDArray:
        """The stored pixels at some positions."""
        lead = len(ranges) - len(self._dims)
        inner = [range(1)] * 5
        for r, dim in zip(ranges[lead:], self._dims, strict=True):
            if dim is not None:
                inner[dim] = r
        block = np.empty([len(r) for r in ranges], self._dtype)
        if not block.size:
            return block
        sizes = self._stored[:lead]
        places = itertools.product(*ranges[:lead])
        pages = block.reshape(-1, *(len(r) for r in inner))
        for out, place in zip(pages, places, strict=True):
            self._page(int(np.ravel_multi_index(place, sizes)) if lead else 0, inner, out)
        return block

    def _page(self, number: int, ranges: Sequence[range], out: NDArray) -> None:
        """Positions of a page in its five dimensions (samples apart, z, y, x, samples)."""
        with reading(self._path, "TIFF"):  # sides of strips may be 0
            with self._lock:
                page = self._pages[number]
                key = page.keyframe
                is_bare = key.is_contiguous and page.is_memmappable and key.predictor == 1
                key.init_decode()
            if is_bare and key.fillorder == 1:
                kind = np.dtype(key.dtype).newbyteorder(key.parent.byteorder)
                name, offset = page.parent.filehandle.path, page.dataoffsets[0]
                stored = np.memmap(name, kind, "r", offset, key.shaped)
                out[...] = stored[tuple(slice(r.start, r.stop, r.step) for r in ranges)]
                return
            check_segments(self._path, key)
            for segment, at in _touched(key, ranges):
                if not page.databytecounts[segment]:
                    _place(out, ranges, at, _left_out(key, segment))
                    continue
                part = "TIFF", self._number, number, segment
                _place(out, ranges, at, recent(part, partial(self._segment, page, segment)))

    def _segment(self, page: Any, number: int) -> NDArray:
        """The pixels of a tile or strip of a page (z, y, x, samples)."""
        key = page.keyframe
        samples = math.prod(key.chunks)
        most = 2 * samples * np.dtype(key.dtype).itemsize + PACKED
        more: dict[str, Any] = {}
        with reading(self._path, "TIFF"):
            with self._lock:
                file = self._file(page)
                file.seek(page.dataoffsets[number])
                data = file.read(min(page.databytecounts[number], most))
                if page.jpegtables is not None or key.jpegheader is not None:
                    more = {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader}
            if key.compression in PICTURES:
                _encoded_size.check(data, samples)
            pixels, _, _ = key.decode(data, number, **more)
        return np.asarray(pixels)

    def _file(self, page: Any) -> Any:
        """The open file of a page; of a set few stay open."""
        file = page.parent.filehandle
        if file.closed:
            file.open()
            self._opened.append(file)
            if len(self._opened) > OPEN_FILES:
                self._opened.pop(0).close()
        return file


def _dimensions(shape: tuple[int, ...], page: tuple[int, ...], count: int) -> list[int | None]:
    """Which of the five dimensions of a page the last ones of an image are, None if of length 1.

    Examples
    --------
    >>> _dimensions((7, 64, 48), (1, 1, 64, 48, 1), 7), _dimensions((64, 3), (1, 1, 64, 1, 3), 1)
    ([2, 3], [2, 4])
    """
    found: list[int | None] = []
    left = [dim for dim in range(5) if page[dim] > 1]
    sizes = list(shape)
    while left:
        if sizes and sizes[-1] == page[left[-1]]:
            found.append(left.pop())
        elif sizes and sizes[-1] == 1:
            found.append(None)
        else:
            raise ValueError(f"pages of {page} make no image of {shape}")
        sizes.pop()
    if math.prod(sizes) != count:
        raise ValueError(f"{count} pages of {page} make no image of {shape}")
    return found[::-1]


def check_segments(path: Path, page: Any) -> None:
    """Refuse tiles and strips for which there is no room, or that are far larger than their image.

    Those at its edges reach beyond it, and a small image may lie in a tile of the usual size.

    Raises
    ------
    InputError, ValueError
    """
    samples = math.prod(page.chunks)
    if samples > 4 * math.prod(page.shaped) + LARGE:
        raise ValueError(f"tiles of {page.chunks} pixels make up an image of {page.shape}")
    size = samples * np.dtype(page.dtype).itemsize
    check_room(path, size, "the pixels of one strip or tile")


def _left_out(key: Any, number: int) -> NDArray:
    """The pixels of a tile or strip that the file leaves out, which take no memory."""
    _, _, form = key.decode(None, number)
    return np.broadcast_to(np.asarray(key.nodata).astype(key.dtype), form)


def _touched(key: Any, ranges: Sequence[range]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The tiles or strips of a page that hold some of the positions, and where they begin."""
    sides = [1, key.tiledepth, key.tilelength, key.tilewidth]
    if not key.is_tiled:
        sides = [1, 1, key.rowsperstrip, key.imagewidth]
    grid = [-(-n // side) for n, side in zip(key.shaped, sides, strict=False)]
    held = (sorted({i // side for i in r}) for r, side in zip(ranges, sides, strict=False))
    for place in itertools.product(*held):
        at = (i * side for i, side in zip(place, sides, strict=True))
        yield int(np.ravel_multi_index(place, grid)), (*at, 0)


def _close(files: list[Any]) -> None:
    for file in files:
        file.close()


def _place(out: NDArray, ranges: Sequence[range], at: tuple[int, ...], pixels: NDArray) -> None:
    """Copy what a segment (z, y, x, samples) holds of the positions; beyond the page it is cut."""
    target, source = [], []
    for r, start, size in zip(ranges, at, (1, *pixels.shape), strict=True):
        first = -(-max(start - r.start, 0) // r.step)
        last = min(-(-(start + size - r.start) // r.step), len(r))
        if first >= last:
            return
        target.append(slice(first, last))
        source.append(slice(r[first] - start, r[last - 1] - start + 1, r.step))
    out[tuple(target)] = pixels[None][tuple(source)]


def _parts(index: Any, ndim: int) -> tuple[list[slice], tuple[int | slice, ...]]:
    """An index as slices, one for each dimension, and what takes out those of integers."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis not in index:
        index = (*index, Ellipsis)
    at, missing = index.index(Ellipsis), ndim - len(index) + 1
    index = (*index[:at], *[slice(None)] * missing, *index[at + 1 :])
    parts = [i if isinstance(i, slice) else slice(i, i + 1 or None) for i in index]
    return parts, tuple(slice(None) if isinstance(i, slice) else 0 for i in index)
