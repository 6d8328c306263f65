"""The pieces of a CZI file: where each lies in its image, and how its pixels are decoded.

A file is a list of subblocks, tiles of one plane that may overlap. The compressions are those of
libCZI (https://zeiss.github.io/libczi/); czifile decodes not all of them in every version.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from unnoise.images.formats import _encoded_size
from unnoise.images.formats.reader import needs, picked, recent
from unnoise.images.quiet import quiet

UNCOMPRESSED, JPEG, LZW, JPEG_XR, ZSTD, ZSTD_HEADED = 0, 1, 2, 4, 5, 6
"""Numbers of compressions."""
EXPANSION = 2**17
"""How many bytes one compressed byte can become at most."""
SPLIT_BYTES = 1
"""The chunk of a header whose first bit says that low and high bytes are stored apart."""


class Block(NamedTuple):
    """A subblock: its place in the image, and how it is stored.

    Attributes
    ----------
    at : mapping of str to int
        Its index along every dimension but X and Y, by letter; M is its number in the mosaic.
    corner, size, stored : tuple of int
        Along Y and X: first pixel, pixels it covers, and pixels that are stored.
    dtype : numpy.dtype
    samples : int
        Colours of a pixel.
    compression : int
    entry : object
        What czifile knows of it.
    room : int
        Bytes from its place to the end of the file.
    """

    at: Mapping[str, int]
    corner: tuple[int, int]
    size: tuple[int, int]
    stored: tuple[int, int]
    dtype: np.dtype
    samples: int
    compression: int
    entry: Any
    room: int

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded pixels."""
        return self.stored[0] * self.stored[1] * self.samples * self.dtype.itemsize


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A file as czifile opens it, which warns of files that are still being written.

    Raises
    ------
    ValueError
        If it has no list of its subblocks.
    """
    czifile = needs("czifile", "formats")
    with quiet():
        file = czifile.CziFile(str(path))
    with file:
        if not has(file, path, "directory_position", b"ZISRAWDIRECTORY"):
            raise ValueError("it has no list of its planes, as if the recording was broken off")
        yield file


def has(file: Any, path: Path, name: str, begin: bytes) -> bool:
    """Whether a part of a file is where its header says.

    Otherwise czifile goes through the whole file, and before 2026 for ever if sizes are wrong.
    """
    at = int(getattr(file.header, name))
    with open(path, "rb") as bare:
        bare.seek(max(at, 0))
        return at > 0 and bare.read(len(begin)) == begin


def blocks(file: Any, size: int) -> list[Block]:
    """The subblocks of a file of so many bytes.

    Raises
    ------
    ValueError
        If some of them cannot be there.
    """
    found = [_block(entry, size - entry.file_position) for entry in file.subblock_directory]
    for block in found:
        if block.entry.file_part:
            raise ValueError("its planes lie in several files; export it as one file")
        least = block.nbytes if block.compression == UNCOMPRESSED else block.nbytes // EXPANSION + 1
        if min(*block.size, *block.stored) <= 0 or not least <= block.room <= size:
            end = size - block.room + least
            raise ValueError(f"its planes reach to byte {end} but it ends at {size}")
    return found


def _block(entry: Any, room: int) -> Block:
    """What czifile knows of a subblock, before and since its version of 2026."""
    if hasattr(entry, "dimension_entries"):
        found = {d.dimension: (d.start, d.size, d.stored_size) for d in entry.dimension_entries}
        pixel = np.dtype(entry.dtype)
        dtype, samples = pixel.base, (*pixel.shape, 1)[0]
    else:
        parts = zip(entry.start, entry.shape, entry.stored_shape, strict=True)
        found = {d: part for d, part in zip(entry.dims, parts, strict=True) if d != "S"}
        numbers = {"S": entry.scene_index, "M": entry.mosaic_index}
        found |= {d: (number, 1, 1) for d, number in numbers.items() if number >= 0}
        dtype, samples = entry.pixel_type.dtype, entry.pixel_type.samples
    (y, height, rows), (x, width, columns) = found.pop("Y"), found.pop("X")
    thick = [letter for letter, (_, size, _) in found.items() if size > 1]
    if thick:
        raise ValueError(
            f"its planes run along {''.join(thick)}, as in a scan of a line, and are no images"
        )
    at = {letter: start for letter, (start, _, _) in found.items()}
    compression = int(entry.compression)
    size, stored = (height, width), (rows, columns)
    return Block(at, (y, x), size, stored, np.dtype(dtype), samples, compression, entry, room)


def decoded(file: Any, block: Block) -> NDArray:
    """The pixels of a subblock: (rows, columns), and the colours in the order red, green, blue.

    Raises
    ------
    ValueError
        For what is damaged, and unknown compressions.
    """
    old = hasattr(block.entry, "data_segment")
    segment = block.entry.data_segment() if old else block.entry.read_segment_data(file)
    if not 0 <= segment.data_size <= block.room:  # the library would claim so much memory
        raise ValueError("a plane of it ends behind the end of the file")
    data = segment.data(raw=True)
    if len(data) * EXPANSION < block.nbytes:
        raise ValueError(f"{len(data)} bytes of it cannot hold {block.nbytes} of pixels")
    if block.compression == UNCOMPRESSED or len(data) == block.nbytes:
        pixels = np.frombuffer(data, block.dtype)
    elif block.compression in (ZSTD, ZSTD_HEADED):
        pixels = _zstd(bytes(data), block)
    elif block.compression == LZW:
        pixels = np.frombuffer(imagecodecs.lzw_decode(data, out=block.nbytes), block.dtype)
    elif block.compression in (JPEG, JPEG_XR):
        is_jpeg = block.compression == JPEG
        _encoded_size.check(bytes(data), math.prod(block.stored) * block.samples)
        found = (imagecodecs.jpeg8_decode if is_jpeg else imagecodecs.jpegxr_decode)(data)
        return found.astype(block.dtype, copy=False).reshape(*block.stored, block.samples)
    else:
        raise ValueError(f"its pixels are compressed in the unknown way {block.compression}")
    pixels = pixels.reshape(*block.stored, block.samples)
    return pixels[..., [2, 1, 0, 3][: block.samples]] if block.samples > 1 else pixels


def _zstd(data: bytes, block: Block) -> NDArray:
    """Zstandard, in version 1 behind a header of some bytes, which may tell to join bytes."""
    length, split = 0, False
    if block.compression == ZSTD_HEADED:
        length, at = data[0], 1
        while at < length:
            if data[at] != SPLIT_BYTES:
                raise ValueError(f"its pixels have the unknown header {data[at]}")
            split, at = bool(data[at + 1] & 1), at + 2
    plain = imagecodecs.zstd_decode(data[length:], out=block.nbytes)
    if len(plain) != block.nbytes:
        raise ValueError(f"a plane of it has {len(plain)} bytes in the place of {block.nbytes}")
    if split:
        plain = np.frombuffer(plain, np.uint8).reshape(2, -1).T.tobytes()
    return np.frombuffer(plain, block.dtype)


class Mosaic:
    """A plane that is put together, where a region is asked for, of tiles that lie in a file.

    Where tiles overlap the later one is seen; where there is none, pixels are 0.
    """

    def __init__(
        self,
        file: Any,
        token: object,
        tiles: Sequence[Block],
        corner: tuple[int, int],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ):
        self.shape = shape
        self._dtype = dtype
        self._file, self._token, self._tiles = file, token, tiles
        self._corners = np.array([place(tile) for tile in tiles]) - corner
        self._ends = self._corners + np.array([tile.stored for tile in tiles])

    def __getitem__(self, region: tuple[Any, ...]) -> Any:
        rows, columns = (picked(n, r) for n, r in zip(self.shape[:2], region, strict=False))
        if not (rows.size and columns.size):
            return np.broadcast_to(np.zeros((), self._dtype), self.shape)[region]
        first = np.array([rows.min(), columns.min()])
        last = np.array([rows.max(), columns.max()]) + 1
        block = np.zeros((*(last - first), *self.shape[2:]), self._dtype)
        seen = ((self._corners < last) & (self._ends > first)).all(axis=1)
        for i in np.flatnonzero(seen).tolist():
            tile, corner = self._tiles[i], self._corners[i]
            start, stop = np.maximum(first, corner), np.minimum(last, self._ends[i])
            key = self._token, tile.entry.file_position
            pixels = recent(key, lambda: decoded(self._file, tile))  # noqa: B023
            found = pixels[tuple(map(slice, start - corner, stop - corner))]
            block[tuple(map(slice, start - first, stop - first))] = (
                found if len(self.shape) > 2 else found[..., 0]
            )
        return block[:, columns - first[1]][rows - first[0]][(..., *region[2:])]


def place(tile: Block) -> tuple[int, int]:
    """The first pixel of a tile along Y and X, in stored pixels."""
    parts = zip(tile.corner, tile.stored, tile.size, strict=True)
    y, x = (round(corner * stored / size) for corner, stored, size in parts)
    return y, x
