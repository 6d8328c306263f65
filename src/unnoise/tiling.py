"""Integer geometry of tiles. No pixels here.

A tile is read with a halo at least as wide as the net can look, its read region starts and ends
on the net's grid, and beyond the image pixels are mirrored. So a tiled prediction does exactly
the arithmetic of an untiled one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
        Context on each side; rounded up to the grid.
    grid : tuple of int
        Period of the net.

    Examples
    --------
    >>> [(t.read[0].start, t.read[0].stop, t.write[0]) for t in tiles((20,), (16,), (3,), (4,))]
    [(-4, 20, slice(0, 16, None)), (12, 24, slice(16, 20, None))]
    """
    spans = []
    for size, length, context, period in zip(shape, tile, halo, grid, strict=True):
        length, context = (max(-(-v // period), 1) * period for v in (length, context))
        spans.append(
            [_span(a, min(a + length, size), context, period) for a in range(0, size, length)]
        )
    for parts in itertools.product(*spans):
        read, keep, write = zip(*parts, strict=True)
        yield Tile(read, keep, write)


def _span(start: int, stop: int, context: int, period: int) -> tuple[slice, slice, slice]:
    """(read, keep, write) along one dimension."""
    end = start + -(-(stop - start) // period) * period
    read = slice(start - context, end + context)
    return read, slice(context, context + stop - start), slice(start, stop)


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

    The longest side is halved until the tile fits; tiles never get smaller than the grid.

    Examples
    --------
    >>> choose((4096, 1024), (48, 48), (8, 8), 1.5e6)
    (1024, 1024)
    """
    tile = [-(-n // g) * g for n, g in zip(shape, grid, strict=True)]

    def pixels() -> int:
        return int(np.prod([t + 2 * h for t, h in zip(tile, halo, strict=True)]))

    while pixels() > max_pixels and any(t > g for t, g in zip(tile, grid, strict=True)):
        axis = max(range(len(tile)), key=lambda a: tile[a] / grid[a])
        tile[axis] = -(-tile[axis] // (2 * grid[axis])) * grid[axis]
    return tuple(tile)
