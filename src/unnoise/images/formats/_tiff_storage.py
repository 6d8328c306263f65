"""How a TIFF file stores its pixels: compression, tiles, byte order and smaller copies.

The result of denoising is stored as its input was, as far as that loses nothing. Smaller copies
(pyramids of OME-TIFF, overviews of GeoTIFF) are made anew from the result.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.formats._zarr_pyramid import means
from unnoise.images.formats.mapped import MappedFile, waiting

COMPRESSIONS = {
    "none": 1,
    "zlib": 8,
    "deflate": 8,
    "lzw": 5,
    "zstd": 50000,
    "packbits": 32773,
    "lzma": 34925,
}
"""What a user may ask for, and its number in TIFF."""
LOSSLESS = {**{code: code for code in COMPRESSIONS.values()}, 32946: 32946, 34926: 50000}
"""Number in a file -> the one to write."""


BUFFER, BAND = 2**25, 2**22
"""Bytes of pixels that are encoded at a time, and pixels that are averaged at a time."""
WIDEST = 16
"""Boxes up to this side are averaged by slices, six times as fast as by `numpy.add.reduceat`."""
DEFLATE = {8: {"level": 1}}
"""A million pixels of 16 bit in 0.007 to 0.012 s (libdeflate). The default, 6, takes four times as
long for results that are 7 % smaller; noisy pixels are not smaller at all."""
Stored = NDArray | MappedFile


class Storage(NamedTuple):
    """How the pixels of a file are stored.

    Attributes
    ----------
    compression : int
        Number in TIFF; 1 for none.
    predictor : bool
        Whether differences of neighbours are compressed.
    tile : tuple of int or None
        Height and width of the tiles.
    byteorder : str or None
        ``<`` or ``>``.
    bigtiff : bool
    levels : tuple of (int, int)
        Height and width of the smaller copies.
    subifds : bool
        Whether they hang on the pages that they are copies of, or follow them.
    """

    compression: int = 1
    predictor: bool = False
    tile: tuple[int, int] | None = None
    byteorder: Literal["<", ">"] | None = None
    bigtiff: bool = False
    levels: tuple[tuple[int, int], ...] = ()
    subifds: bool = True

    @property
    def is_bare(self) -> bool:
        """Whether the pixels lie in the file as in memory."""
        return self.compression == 1 and self.tile is None and not self.levels


def of(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> tuple[Storage, str]:
    """The storage to write, and what of that of the file is not kept, or nothing."""
    page = series.keyframe
    found = int(page.compression)
    lost = ""
    if found not in LOSSLESS:
        name = getattr(page.compression, "name", str(found))
        lost = f"{name} compression (deflate instead, which loses nothing)"
    tile = (int(page.tilelength), int(page.tilewidth)) if page.is_tiled else None
    if tile is not None:  # TIFF wants multiples of 16, though some files have others
        tile = (-(-tile[0] // 16) * 16, -(-tile[1] // 16) * 16)
    levels = [level.keyframe for level in series.levels[1:]]
    return (
        Storage(
            LOSSLESS.get(found, COMPRESSIONS["deflate"]),
            int(page.predictor) != 1 or found not in LOSSLESS,
            tile,
            tif.byteorder,
            tif.is_bigtiff,
            tuple((int(level.imagelength), int(level.imagewidth)) for level in levels),
            not levels or levels[0].is_subifd,
        ),
        lost,
    )


def asked(storage: Storage, compress: str | None, path: Path) -> Storage:
    """The storage with the compression that a user asks for.

    Raises
    ------
    InputError
        If there is no such compression.
    """
    if compress is None:
        return storage
    if compress.lower() not in COMPRESSIONS:
        raise InputError(
            f"{path}: unknown compression '{compress}'; choose one of {', '.join(COMPRESSIONS)}"
        )
    code = COMPRESSIONS[compress.lower()]
    # Differences compress noise-free pixels better in all codecs but the one for runs.
    return storage._replace(compression=code, predictor=code not in (1, 32773))


def keywords(storage: Storage, dtype: np.dtype) -> dict[str, Any]:
    """Keywords of `tifffile.TiffWriter.write` for the way pixels are stored."""
    found: dict[str, Any] = {"tile": storage.tile}
    if storage.compression != 1:
        can_differ = dtype.kind == "f" or (dtype.kind in "iu" and dtype.itemsize <= 4)
        found["compression"] = storage.compression
        found["compressionargs"] = DEFLATE.get(storage.compression)
        found["maxworkers"] = _cores()  # by itself tifffile takes half of them
        found["predictor"] = storage.predictor and can_differ
    return found


def write(
    part: Path,
    pixels: Stored,
    *,
    axes: str,
    storage: Storage,
    nodata: float | None,
    **own: Any,
) -> None:
    """Write an image with its smaller copies, tile by tile and strip by strip.

    Parameters
    ----------
    part : Path
    pixels : ndarray or MappedFile
        Of the latter never all are in memory.
    axes : str
        Its letters.
    storage : Storage
    nodata : float or None
        The value of pixels that do not count in the mean of their neighbours.
    own : dict
        Keywords of `tifffile.TiffWriter` and of its `write`.
    """
    file = {name: own.pop(name) for name in ("imagej", "ome", "bigtiff")}
    stored = keywords(storage, pixels.dtype)
    shared = {n: own[n] for n in ("photometric", "planarconfig", "extrasamples") if n in own}

    def written(tif: tifffile.TiffWriter, level: Stored, **more: Any) -> None:
        plane = tuple(level.shape[axes.index(letter)] for letter in "YX")
        is_bare = "compression" not in stored and stored["tile"] in (None, plane)
        data: Any = level
        if isinstance(level, MappedFile) and is_bare and level.dtype != np.bool_:
            data = level.pieces()  # whose bytes follow each other in the file
            more |= {"shape": level.shape, "dtype": level.dtype}
        tif.write(data, buffersize=BUFFER, **stored, **more)

    with tifffile.TiffWriter(part, byteorder=storage.byteorder, **file) as tif:
        subifds = len(storage.levels) if storage.subifds else 0
        written(tif, pixels, subifds=subifds or None, **own)
        for size in storage.levels:
            with ExitStack() as stack:
                smaller = None
                if isinstance(pixels, MappedFile):
                    smaller = waiting(part.parent, pixels.dtype, _resized(pixels, axes, size))
                    stack.callback(smaller.close)
                level = shrunk(pixels, axes, size, nodata, smaller)
                written(tif, level, subfiletype=1, metadata=None, **shared)


def shrunk(
    pixels: Stored, axes: str, size: Sequence[int], nodata: float | None = None, into: Any = None
) -> Any:
    """A smaller copy: every pixel is the mean of the pixels that it covers.

    Parameters
    ----------
    pixels : ndarray or MappedFile
        Of the latter some rows are read at a time.
    axes : str
        Its letters.
    size : sequence of int
        Height and width of the copy.
    nodata : float, optional
        Pixels with this value, and NaN, do not count; without others the result has it too.
    into : ndarray or MappedFile, optional
        Where the result goes, of its shape; by default a new array.

    Returns
    -------
    ndarray or MappedFile

    Examples
    --------
    >>> shrunk(np.arange(10).reshape(2, 5), "YX", (1, 2))
    array([[3, 6]])
    """
    y, x = axes.index("Y"), axes.index("X")
    shape = _resized(pixels, axes, size)
    result = np.empty(shape, pixels.dtype) if into is None else into
    rows, columns = (_starts(n, pixels.shape[at]) for n, at in zip(size, (y, x), strict=True))
    ends = [*rows[1:], pixels.shape[y]]
    step = max(BAND * size[0] // (pixels.shape[y] * pixels.shape[x]), 1)
    others = [range(1) if at in (y, x) else range(n) for at, n in enumerate(shape)]
    for place, first in itertools.product(itertools.product(*others), range(0, size[0], step)):
        index = [slice(i, i + 1) for i in place]
        last = min(first + step, size[0])
        index[y], index[x] = slice(rows[first], ends[last - 1]), slice(None)
        band = np.moveaxis(np.asarray(pixels[tuple(index)]), (y, x), (-2, -1))
        means = _means(
            band.reshape(band.shape[-2:]), rows[first:last] - rows[first], columns, nodata
        )
        index[y] = slice(first, last)
        result[tuple(index)] = np.moveaxis(
            means.reshape(*band.shape[:-2], *means.shape), (-2, -1), (y, x)
        )
    return result


def _means(
    band: NDArray, rows: NDArray[np.intp], columns: NDArray[np.intp], nodata: float | None
) -> NDArray:
    """Means of boxes that begin at some rows and columns."""

    def sums(plane: NDArray) -> NDArray:
        return np.asarray(
            np.add.reduceat(np.add.reduceat(plane, rows, 0, dtype=np.float64), columns, 1)
        )

    steps = _step(rows, band.shape[0]), _step(columns, band.shape[1])
    if nodata is None and 0 < max(steps) <= WIDEST and min(steps) > 0:
        return means(band, steps)
    bad = np.isnan(band) if band.dtype.kind == "f" else np.zeros(band.shape, bool)
    if nodata is not None:
        bad |= band == nodata
    count = sums(~bad)
    empty = np.nan if nodata is None else nodata
    mean = np.where(count > 0, sums(np.where(bad, 0, band)) / np.maximum(count, 1), empty)
    return np.asarray(np.rint(mean) if band.dtype.kind in "iu" else mean).astype(band.dtype)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _step(starts: NDArray[np.intp], size: int) -> int:
    """The distance of starts of which none is farther from the next, or the end; 0 if others are.

    Examples
    --------
    >>> _step(np.array([0, 2, 4]), 5), _step(np.array([0, 2]), 5)
    (2, 0)
    """
    step = int(starts[1] - starts[0]) if len(starts) > 1 else size
    same = np.array_equal(starts, np.arange(len(starts)) * step)
    return step if same and (len(starts) - 1) * step < size <= len(starts) * step else 0


def _resized(pixels: Stored, axes: str, size: Sequence[int]) -> tuple[int, ...]:
    """The shape with another height and width."""
    new = dict(zip("YX", size, strict=True))
    return tuple(new.get(k, n) for k, n in zip(axes, pixels.shape, strict=True))


def _starts(size: int, full: int) -> NDArray:
    """Where the pixels of a smaller copy begin, in pixels of the whole.

    Examples
    --------
    >>> _starts(3, 6), _starts(3, 5), _starts(2, 5), _starts(3, 7)
    (array([0, 2, 4]), array([0, 2, 4]), array([0, 2]), array([0, 2, 4]))
    """
    factor = round(full / size)
    if factor and size in (full // factor, -(-full // factor)):
        return np.arange(size) * factor
    return (np.arange(size) * full // size).clip(max=full - 1)
