"""Planes of an image at any zoom level, read within bounds of time and memory.

Level k has a pixel for every 2^k x 2^k pixels, their mean. It comes from the smaller copies that a
file holds; without them from the pixels themselves as long as few are needed, else from an
overview: a small copy in memory, made once in the background, and until then filled from a few
places.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.app.copies import Copy, copies_of
from unnoise.images import axes as ax
from unnoise.images.image import Image

TILE = 256
"""Side of a tile; the last level is one."""
AT_ONCE = 2**20
"""Pixels that one tile may cost without an overview: 4 tiles of 512 x 512, 10 ms with zlib."""
WHOLE = 2**24
"""Pixels of a plane whose overview is made at once."""
OVERVIEW = 2**24
"""Pixels of an overview at most, 64 MB."""
KEPT = 2**27
"""Bytes of the overviews of an image that are kept, the last used ones."""
PROBES, FINER, PROBE = 8, 24, 32
"""Places along each axis that fill an overview at first, and soon after; and pixels of each.

The first ones are those whose pixels told the brightness, so their tiles are decoded already.
"""
MANY = 2**28
"""Pixels of a plane from which the second ones are worth their time."""
BAND = 2**25
"""Pixels of a band of rows: strips of that many stay decoded, so each is decoded once."""
BLOCK = 1024
PATIENCE = 20.0
"""Seconds without anybody looking after which an overview is not worked on any longer."""


def _last() -> None:
    """Tiles that somebody waits for come first; at 10 it would starve beside a training."""
    with suppress(OSError):  # where priorities are those of processes
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 4)


_background = ThreadPoolExecutor(1, thread_name_prefix="overview", initializer=_last)


class Place(NamedTuple):
    """A plane: sample, time, slice, and channels."""

    s: int
    t: int
    z: int
    channels: tuple[int, ...]


class Pyramid:
    """An image by zoom levels.

    Parameters
    ----------
    image : Image

    Attributes
    ----------
    levels : int
        Level 0 has all pixels, the last one fits into a tile.

    Examples
    --------
    >>> pyramid = Pyramid(Image.from_array(np.arange(1024.0).reshape(1, 2, 512), axes="CYX"))
    >>> pyramid.levels, pyramid.shape(1)
    (2, (1, 256))
    >>> block, share = pyramid.read(1, slice(0, 1), slice(0, 2), Place(0, 0, 0, (0,)))
    >>> block.tolist(), share
    ([[[256.5, 258.5]]], 1.0)
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        n = image.sizes
        self._size = n["Y"], n["X"]
        self.levels = 1 + int(np.ceil(np.log2(max(max(self._size) / TILE, 1))))
        self._copies = copies_of(image)
        self._overviews: dict[tuple[Place, int], Overview] = {}
        self._lock = threading.Lock()

    def shape(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        height, width = self._size
        return -(-height // 2**level), -(-width // 2**level)

    def read(self, level: int, y: slice, x: slice, place: Place) -> tuple[NDArray, float]:
        """A region of a level.

        Parameters
        ----------
        level : int
        y, x : slice
            In pixels of the level.
        place : Place

        Returns
        -------
        block : ndarray of float, (channel, y, x)
            Means; NaN where there is no number.
        share : float
            How much of it has been read, below 1 as long as an overview is being made.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        factor = 2**level
        fine = [copy for copy in self._copies if max(copy.down, copy.right) <= factor]
        copy = max(fine, key=lambda one: one.down * one.right)
        # Pixels of an overview are means of whole pixels of a copy, and become pixels of levels.
        whole = max((one for one in fine if one.is_whole), key=lambda one: one.down * one.right)
        height, width = (part.stop - part.start for part in (y, x))
        overview = self._overview_factor(whole)
        if height * width * copy.cost(factor) <= AT_ONCE or factor < overview:
            return self._means(copy.image, (y, x), copy.steps(factor), place), 1.0
        if len(place.channels) > 1 and not self.image.is_rgb:
            parts = [self.read(level, y, x, place._replace(channels=(c,))) for c in place.channels]
            return np.concatenate([block for block, _ in parts]), min(s for _, s in parts)
        pixels, share = self._overview(whole, overview, place).look()
        steps = factor // overview
        part = pixels[:, y.start * steps : y.stop * steps, x.start * steps : x.stop * steps]
        return means(part, (steps, steps)), share

    def _overview_factor(self, copy: Copy) -> int:
        """By how much an overview is smaller than the image: little enough to be kept."""
        factor = int(max(copy.down, copy.right))
        height, width = self._size
        while TILE**2 * copy.cost(factor) <= AT_ONCE or height * width > OVERVIEW * factor**2:
            factor *= 2
        return factor

    def _overview(self, copy: Copy, factor: int, place: Place) -> Overview:
        with self._lock:
            found = self._overviews.pop((place, factor), None)
            if found is None:

                def read(y: slice, x: slice, steps: tuple[int, int]) -> NDArray:
                    return self._means(copy.image, (y, x), steps, place)

                n = copy.image.sizes
                down, right = map(int, copy.steps(factor))
                found = Overview(read, (len(place.channels), n["Y"], n["X"]), (down, right))
            self._overviews[place, factor] = found
            while len(self._overviews) > 1 and (
                sum(one.nbytes for one in self._overviews.values()) > KEPT
            ):
                del self._overviews[next(iter(self._overviews))]
            return found

    def _means(
        self, copy: Image, region: tuple[slice, slice], ratios: tuple[float, float], place: Place
    ) -> NDArray:
        """Means of so many pixels of a copy along Y and X; the nearest one where it is no number
        of whole pixels.
        """
        n = copy.sizes
        where: dict[str, int | slice] = {"S": place.s, "T": place.t}
        where["Z"] = min(place.z * n["Z"] // self.image.sizes["Z"], n["Z"] - 1)
        channels = place.channels
        where["C"] = slice(min(channels), max(channels) + 1)
        kept = [c - min(channels) for c in channels]
        steps, picks = [], []
        for letter, part, ratio in zip("YX", region, ratios, strict=True):
            count, last = part.stop - part.start, n[letter] - 1
            if ratio == round(ratio):
                # The copy of an odd size may lack the last pixel; the one before stands for it.
                start = min(int(part.start * ratio), last)
                where[letter] = slice(start, min(int(part.stop * ratio), last + 1))
                steps.append(int(ratio))
                picks.append(np.arange(count))
            else:
                at = ((np.arange(part.start, part.stop) + 0.5) * ratio).astype(int)
                at = np.minimum(at, last)
                where[letter] = slice(int(at[0]), int(at[-1]) + 1)
                steps.append(1)
                picks.append(at - at[0])
        block = means(_plane(copy, where)[kept], (steps[0], steps[1]))
        for axis, pick in enumerate(picks, 1):
            if len(pick) != block.shape[axis] or pick[-1] != len(pick) - 1:
                block = block.take(np.minimum(pick, block.shape[axis] - 1), axis)
        return block


class Overview:
    """A small copy of a plane in memory, which becomes exact piece by piece.

    Parameters
    ----------
    read : callable
        Gives a region (y, x) of so many times fewer pixels, as means.
    shape : tuple of int
        Channels, height and width of the plane.
    steps : tuple of int
        By how much the copy is smaller along y and x.

    Examples
    --------
    >>> plane = np.arange(64.0).reshape(1, 8, 8)
    >>> def cut(y, x, steps):
    ...     down, right = steps
    ...     y, x = slice(y.start * down, y.stop * down), slice(x.start * right, x.stop * right)
    ...     return means(plane[:, y, x], steps)
    >>> pixels, share = Overview(cut, plane.shape, (4, 4)).look()
    >>> pixels.tolist(), share
    ([[[13.5, 17.5], [45.5, 49.5]]], 1.0)
    """

    def __init__(
        self,
        read: Callable[[slice, slice, tuple[int, int]], NDArray],
        shape: tuple[int, int, int],
        steps: tuple[int, int],
    ) -> None:
        self._read, self._shape, self._steps = read, shape, steps
        channels, height, width = shape
        self._small = channels, -(-height // steps[0]), -(-width // steps[1])
        self.nbytes = int(np.prod(self._small)) * 4
        self._pixels: NDArray | None = None
        self._blocks = _blocks(shape, steps)
        self._next, self._asked, self._works = 0, time.monotonic(), False
        self._error: Exception | None = None
        self._is_fine = True
        self._lock = threading.Lock()

    def look(self) -> tuple[NDArray, float]:
        """All pixels, and how much of them is exact; whoever looks keeps the work going.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        with self._lock:
            self._asked = time.monotonic()
            error, self._error = self._error, None
            if error is not None:  # told once: a disk may be there again
                raise error
            if self._pixels is None:
                _, height, width = self._shape
                if height * width <= WHOLE:
                    y, x = (slice(0, n) for n in self._small[1:])
                    self._pixels, self._next = self._read(y, x, self._steps), len(self._blocks)
                else:
                    self._pixels = self._probed(PROBES)
                    self._is_fine = height * width < MANY
            if self._next < len(self._blocks) and not self._works:
                self._works = True
                _background.submit(self._work)
            return self._pixels, self._next / len(self._blocks)

    def _probed(self, count: int) -> NDArray:
        """Means of a few places, interpolated between them."""
        channels, height, width = self._shape
        rows, columns = (middles(n, count, PROBE) for n in (height, width))
        probes = np.empty((channels, len(rows), len(columns)), np.float32)
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                down, right = slice(y, min(y + PROBE, height)), slice(x, min(x + PROBE, width))
                probes[:, i, j] = _mean(self._read(down, right, (1, 1)))
        probes = np.where(np.isnan(probes), _mean(probes)[:, None, None], probes)
        _, tall, wide = self._small
        return np.asarray(
            _between(len(rows), tall) @ probes @ _between(len(columns), wide).T, np.float32
        )

    def _work(self) -> None:
        """Read a block, and come again for the next one, so that planes take turns."""
        try:
            if not self._is_fine:
                self._pixels, self._is_fine = self._probed(FINER), True
            y, x = self._blocks[self._next]
            block = self._read(y, x, self._steps)
            with self._lock:
                assert self._pixels is not None
                self._pixels[:, y, x] = block
                self._next += 1
        except Exception as error:  # told to whoever looks next
            self._error = error
        with self._lock:
            is_wanted = time.monotonic() - self._asked < PATIENCE
            self._works = is_wanted and self._error is None and self._next < len(self._blocks)
            if self._works:
                _background.submit(self._work)


def middles(size: int, count: int, window: int) -> list[int]:
    """Where windows begin that lie in the middles of equal parts of an axis, without overlap.

    Examples
    --------
    >>> middles(1000, 4, 100), middles(250, 4, 100), middles(50, 4, 100)
    ([75, 325, 575, 825], [12, 137], [0])
    """
    count = max(min(count, size // window), 1)
    return [max(int((2 * i + 1) * size / (2 * count) - window / 2), 0) for i in range(count)]


def _blocks(shape: tuple[int, int, int], steps: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Regions of an overview, bands of rows from the middle outwards."""
    _, height, width = shape
    down, right = steps
    side = max(BLOCK // right, 1)
    rows = max(min(BLOCK, BAND // width) // down, 1)
    tall, wide = -(-height // down), -(-width // right)
    tops = sorted(range(0, tall, rows), key=lambda top: abs(top + rows / 2 - tall / 2))
    return [
        (slice(top, min(top + rows, tall)), slice(left, min(left + side, wide)))
        for top in tops
        for left in range(0, wide, side)
    ]


def _between(count: int, size: int) -> NDArray[np.float32]:
    """Weights that interpolate between values at equal distances, (places, values)."""
    at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
    weights = np.maximum(1 - np.abs(at[:, None] - np.arange(count)), 0)
    return np.asarray(weights, np.float32)


def _plane(image: Image, where: ax.Where) -> NDArray:
    """A region of a plane, (channel, y, x)."""
    return image.original(where)[0, 0, :, 0]


def means(block: NDArray, steps: tuple[int, int]) -> NDArray:
    """Means of so many pixels along y and x; fewer at the ends, and NaN does not count.

    Examples
    --------
    >>> means(np.array([[[1, 3, 5], [1, 3, 5]]], np.uint8), (2, 2)).tolist()
    [[[2.0, 5.0]]]
    """
    # Sums of 256 numbers of 16 bit are exact in 32-bit floats; larger ones may share an offset.
    small = block.dtype.itemsize <= 2 or block.dtype == np.float32
    kind = np.float32 if small else np.float64
    if steps == (1, 1):
        return block.astype(kind)
    if block.dtype.kind == "f" and np.isnan(block).any():
        number = _sums(~np.isnan(block), steps, np.float32)
        total = _sums(np.nan_to_num(block, posinf=np.inf, neginf=-np.inf), steps, kind)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(kind)
    tall, wide = (
        np.minimum(step, n - np.arange(0, n, step)).astype(kind)
        for n, step in zip(block.shape[1:], steps, strict=True)
    )
    return np.asarray(_sums(block, steps, kind) / (tall[:, None] * wide))


def _sums(values: NDArray, steps: tuple[int, int], kind: DTypeLike) -> NDArray:
    """Sums over blocks of pixels; rows first, which is 10 times quicker than `reduceat`."""
    count, tall, wide = values.shape
    down, right = min(steps[0], tall), min(steps[1], wide)
    if tall % down or wide % right:
        values = np.pad(values, ((0, 0), (0, -tall % down), (0, -wide % right)))
        count, tall, wide = values.shape
    rows = values.reshape(count, tall // down, down, wide).sum(2, dtype=kind)
    return np.asarray(rows.reshape(count, tall // down, wide // right, right).sum(3))


def _mean(block: NDArray) -> NDArray:
    """The mean of each channel over what is finite; NaN where nothing is."""
    good = np.isfinite(block)
    total = np.where(good, block, 0).sum(axis=(1, 2), dtype=np.float64)
    number = good.sum(axis=(1, 2))
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
