"""Integer geometry of tiles, and reading them.

Think of the image as mirrored at its borders by a margin, up to the net's grid. A tile is read
from that larger image with a halo at least as wide as the net can look, cut off where the larger
image ends, and its read region starts and ends on the grid. So a tiled prediction does exactly
the arithmetic of an untiled one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from unnoise.images.image import Image


@dataclass(frozen=True)
class Tile:
    """One tile, every entry per space dimension.

    Attributes
    ----------
    read : tuple of slice
        Region to compute on; it may begin before 0 and end beyond the image.
    keep : tuple of slice
        Part of the computed region that counts.
    write : tuple of slice
        Where that part belongs in the image.
    """

    read: tuple[slice, ...]
    keep: tuple[slice, ...]
    write: tuple[slice, ...]


def tiles(
    shape: tuple[int, ...], tile: tuple[int, ...], halo: tuple[int, ...], grid: tuple[int, ...]
) -> Iterator[Tile]:
    """Cut an image into tiles.

    Parameters
    ----------
    shape : tuple of int
        Image.
    tile : tuple of int
        Kept part of a tile; rounded up to the grid.
    halo : tuple of int
        Context towards other tiles; rounded up to the grid.
    grid : tuple of int
        Period of the net; also the margin by which the image is mirrored.

    Examples
    --------
    >>> [(t.read[0].start, t.read[0].stop, t.write[0]) for t in tiles((20,), (8,), (6,), (4,))]
    [(-4, 16, slice(0, 8, None)), (0, 24, slice(8, 16, None)), (8, 24, slice(16, 20, None))]
    """
    sides = tuple(_up(max(side, 1), period) for side, period in zip(tile, grid, strict=True))
    whole = tuple(slice(0, size) for size in shape)
    yield from cut(whole, shape, sides, halo, grid)


def cut(
    region: tuple[slice, ...],
    shape: tuple[int, ...],
    tile: tuple[int, ...],
    halo: tuple[int, ...],
    grid: tuple[int, ...],
) -> Iterator[Tile]:
    """Cut a region of an image into tiles; neither it nor they need to begin on the grid.

    Examples
    --------
    >>> [(t.read[0], t.write[0]) for t in cut((slice(5, 15),), (20,), (6,), (1,), (4,))]
    [(slice(0, 16, None), slice(5, 11, None)), (slice(4, 20, None), slice(11, 15, None))]
    """
    spans = [
        [
            _span(start, min(start + side, part.stop), size, _up(reach, period), period)
            for start in range(part.start, part.stop, side)
        ]
        for part, size, side, reach, period in zip(region, shape, tile, halo, grid, strict=True)
    ]
    for parts in itertools.product(*spans):
        read, keep, write = zip(*parts, strict=True)
        yield Tile(read, keep, write)


def _up(length: int, period: int) -> int:
    """The next multiple of the period."""
    return -(-length // period) * period


def _span(
    start: int, stop: int, size: int, context: int, period: int
) -> tuple[slice, slice, slice]:
    """(read, keep, write) along one dimension."""
    first = max(start // period * period - context, -period)
    last = min(_up(stop, period) + context, _up(size, period) + period)
    return slice(first, last), slice(start - first, stop - first), slice(start, stop)


def mirror(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Image positions of a region, reflected at the borders as often as needed.

    Examples
    --------
    >>> mirror(-2, 5, 3)
    array([2, 1, 0, 1, 2, 1, 0])
    """
    if size == 1:
        return np.zeros(stop - start, np.intp)
    position = np.abs(np.arange(start, stop)) % (2 * size - 2)
    return np.asarray(np.minimum(position, 2 * size - 2 - position))


def choose(
    shape: tuple[int, ...],
    halo: tuple[int, ...],
    grid: tuple[int, ...],
    max_pixels: float,
) -> tuple[int, ...]:
    """The largest tile whose read region stays below `max_pixels`.

    The longest side is halved until the tile fits, though never below the grid.

    Examples
    --------
    >>> choose((4096, 1024), (48, 48), (8, 8), 1.5e6)
    (1024, 1024)
    """
    whole = [_up(n, g) for n, g in zip(shape, grid, strict=True)]
    tile = list(whole)

    def pixels(sides: list[int]) -> int:
        return math.prod(
            min(t + 2 * _up(h, g), w + 2 * g)
            for t, h, g, w in zip(sides, halo, grid, whole, strict=True)
        )

    while pixels(tile) > max_pixels and any(t > g for t, g in zip(tile, grid, strict=True)):
        axis = max(range(len(tile)), key=lambda a: tile[a] / grid[a])
        tile[axis] = _up(tile[axis] // 2, grid[axis])
    # Where the read region was cut off at the border, halving may not have saved a pixel.
    for axis in range(len(tile)):
        while tile[axis] < whole[axis]:
            longer = [*tile[:axis], min(2 * tile[axis], whole[axis]), *tile[axis + 1 :]]
            if pixels(longer) > max_pixels:
                break
            tile = longer
    return tuple(tile)


def read_tile(
    image: Image, at: Mapping[str, int], piece: Tile, ndim: int, *, alone: bool = False
) -> NDArray:
    """The mirrored read region of a tile of a frame (along S, T, Z), shape (c, *space); `alone` as
    of `Image.read`.
    """
    found = _mirrored(image, partial(image.read, alone=alone), at, piece, ndim)
    assert found is not None
    return found


def read_beside(
    image: Image, frames: Sequence[Mapping[str, int]], piece: Tile, ndim: int
) -> list[NDArray]:
    """The same of several frames; one that is named twice is read once, and the same array."""
    read = {k: read_tile(image, dict(k), piece, ndim, alone=True) for k in map(_key, frames)}
    return [read[_key(at)] for at in frames]


def _key(at: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(at.items()))


def read_marks(image: Image, at: Mapping[str, int], piece: Tile) -> NDArray | None:
    """Which pixels of `read_tile` in 2D are no measurement; None where all are."""
    return _mirrored(image, image.excluded, at, piece, 2)


def _mirrored(
    image: Image,
    read: Callable[[dict[str, int | slice]], NDArray | None],
    at: Mapping[str, int],
    piece: Tile,
    ndim: int,
) -> NDArray | None:
    """What is read of a tile, mirrored at the borders of the image."""
    n = image.sizes
    inside, picks = dict[str, int | slice](at), []
    for letter, region in zip("ZYX"[-ndim:], piece.read, strict=True):
        positions = mirror(region.start, region.stop, n[letter])
        low = int(positions.min())
        inside[letter] = slice(low, int(positions.max()) + 1)
        picks.append(positions - low)
    found = read(inside)
    if found is None:
        return None
    block = found[0, 0]
    if ndim == 2:
        block = block[:, 0]
    return np.asarray(block[np.ix_(np.arange(block.shape[0]), *picks)])
