"""How a TIFF file stores its pixels: compression, tiles, byte order and smaller copies.

The result of denoising is stored as its input was, as far as that loses nothing. Smaller copies
(pyramids of OME-TIFF, overviews of GeoTIFF) are made anew from the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from unnoise.errors import InputError

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
        found["predictor"] = storage.predictor and can_differ
    return found


def write(
    part: Path, pixels: NDArray, *, axes: str, storage: Storage, nodata: float | None, **own: Any
) -> None:
    """Write an image with its smaller copies.

    Parameters
    ----------
    part : Path
    pixels : ndarray
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
    with tifffile.TiffWriter(part, byteorder=storage.byteorder, **file) as tif:
        subifds = len(storage.levels) if storage.subifds else 0
        tif.write(pixels, subifds=subifds or None, **stored, **own)
        for level in storage.levels:
            smaller = shrunk(pixels, axes, level, nodata)
            tif.write(smaller, subfiletype=1, metadata=None, **stored, **shared)


def shrunk(pixels: NDArray, axes: str, size: Sequence[int], nodata: float | None = None) -> NDArray:
    """A smaller copy: every pixel is the mean of the pixels that it covers.

    Parameters
    ----------
    pixels : ndarray
    axes : str
        Its letters.
    size : sequence of int
        Height and width of the copy.
    nodata : float, optional
        Pixels with this value, and NaN, do not count; without others the result has it too.

    Examples
    --------
    >>> shrunk(np.arange(10).reshape(2, 5), "YX", (1, 2))
    array([[3, 6]])
    """
    y, x = axes.index("Y"), axes.index("X")
    shape = list(pixels.shape)
    shape[y], shape[x] = size
    result = np.empty(shape, pixels.dtype)
    source, target = np.moveaxis(pixels, (y, x), (-2, -1)), np.moveaxis(result, (y, x), (-2, -1))
    starts = [_starts(n, full) for n, full in zip(size, source.shape[-2:], strict=True)]

    def sums(plane: NDArray) -> NDArray:
        rows = np.add.reduceat(plane, starts[0], axis=0, dtype=np.float64)
        return np.asarray(np.add.reduceat(rows, starts[1], axis=1))

    for at in np.ndindex(source.shape[:-2]):
        plane = np.asarray(source[at])
        bad = np.isnan(plane) if plane.dtype.kind == "f" else np.zeros(plane.shape, bool)
        if nodata is not None:
            bad |= plane == nodata
        count = sums(~bad)
        total = sums(np.where(bad, 0, plane))
        empty = np.nan if nodata is None else nodata
        mean = np.where(count > 0, total / np.maximum(count, 1), empty)
        target[at] = np.rint(mean) if plane.dtype.kind in "iu" else mean
    return result


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
