"""Planes of small integers, as most are: order statistics by counting instead of sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 2**20
"""Most counters: more would not stay in the cache."""
_Pair = Sequence[NDArray] | NDArray
LINE = 2**15
"""Pixels whose neighbours are sorted at a time: they fit into the cache."""


def is_small(plane: NDArray) -> bool:
    """Whether its values can be counted one by one.

    Examples
    --------
    >>> is_small(np.zeros(1, np.uint16)), is_small(np.zeros(1, np.float32))
    (True, False)
    """
    return plane.dtype.kind in "ui" and plane.dtype.itemsize <= 2


def count(values: NDArray) -> tuple[NDArray[np.intp], int]:
    """How often there is each value from the lowest on, and the lowest.

    Examples
    --------
    >>> count(np.array([7, 5, 7], np.uint8))
    (array([1, 0, 2]), 5)
    """
    flat = values.reshape(-1)
    if values.dtype.kind == "u":
        found = np.bincount(flat)
        low = int((found > 0).argmax())
        return found[low:], low
    low = int(flat.min())
    return np.bincount(flat.astype(np.int32) - low), low


def quantiles(
    counts: NDArray, shares: Sequence[float] | NDArray, first: int = 0
) -> NDArray[np.float64]:
    """As `numpy.quantile` of integers from `first` on, of which there are so many each.

    Examples
    --------
    >>> quantiles(np.array([1, 0, 2]), [0.0, 0.25, 1.0])
    array([0., 1., 2.])
    """
    upto = counts.cumsum()
    at = (int(upto[-1]) - 1) * np.asarray(shares, np.float64)
    below = np.floor(at)
    share = at - below
    low, high = (
        np.searchsorted(upto, np.minimum(below + i, upto[-1] - 1), side="right") + float(first)
        for i in (0, 1)
    )
    step = high - low
    return np.asarray(np.where(share >= 0.5, high - step * (1 - share), low + step * share))


def twice_the_medians(plane: NDArray) -> NDArray[np.intp]:
    """Twice the median of the eight neighbours of every pixel; the plane is mirrored at its ends.

    Examples
    --------
    >>> int(twice_the_medians(np.arange(9, dtype=np.uint8).reshape(3, 3))[1, 1])
    8
    """
    h, w = plane.shape
    wide = w + 2
    # All rows are one line, whose shifts are the neighbours: NumPy passes a line in 0.6 of the time
    # that it takes for rows.
    line = np.pad(plane, 1, mode="reflect").reshape(-1)
    out = np.empty((h, w), np.intp)
    rows = max(LINE // wide, 1)
    room = np.empty((12, rows * wide), plane.dtype)
    for y in range(0, h, rows):
        n = min(rows, h - y)
        size = n * wide - 2  # the last two of a row are no pixels
        above, row, below = (line[(y + k) * wide :][: size + 2] for k in range(3))
        low, high = _sorted(above, below, room[:2, : size + 2])
        a, b, spare = room[2:6, :size], room[6:10, :size], room[10:, :size]
        # Two halves in order: the columns on both sides; the pixels above, below and beside.
        _merge((low[:-2], high[:-2]), (low[2:], high[2:]), a, spare)
        _merge((low[1:-1], high[1:-1]), _sorted(row[:-2], row[2:], spare), b, spare)
        # Of them the fourth and fifth of all eight, in one or the other order.
        np.minimum(a[2], b[2], out=a[2])
        np.maximum(a[2], np.maximum(a[0], b[0], out=a[0]), out=a[2])
        np.maximum(a[1], b[1], out=a[1])
        np.minimum(a[1], np.minimum(a[3], b[3], out=a[3]), out=a[1])
        one, other = room[3:5, : n * wide].reshape(2, n, wide)[:, :, :w]
        np.add(one, other, out=out[y : y + n], dtype=np.intp)
    return out


def _sorted(x: NDArray, y: NDArray, into: NDArray) -> NDArray:
    """The lower and the higher of two numbers."""
    np.minimum(x, y, out=into[0])
    np.maximum(x, y, out=into[1])
    return into


def _merge(x: _Pair, y: _Pair, into: NDArray, spare: NDArray) -> None:
    """Four numbers in order out of two pairs in order; the second one may lie in `spare`."""
    np.minimum(x[0], y[0], out=into[0])
    np.maximum(x[1], y[1], out=into[3])
    np.maximum(x[0], y[0], out=spare[0])
    np.minimum(x[1], y[1], out=spare[1])
    _sorted(spare[0], spare[1], into[1:3])


class Residuals(NamedTuple):
    """Twice the differences of pixels from the median of their neighbours, in groups.

    Attributes
    ----------
    table : ndarray, shape (groups, 2 * n + 1)
        By group of similar brightness, how many differences (of a million pixels) there are of
        each value, -n to n.
    lowest, highest : ndarray, shape (groups,)
        Of all pixels of a group.
    """

    table: NDArray[np.intp]
    lowest: NDArray[np.intp]
    highest: NDArray[np.intp]


def residuals(plane: NDArray, shares: NDArray[np.float64]) -> Residuals | None:
    """Residuals of a plane, in groups cut at these quantiles of the brightness around a pixel.

    None where they are too large to be counted, or a group has pixels but none that is counted.
    """
    if plane.dtype.kind == "i":
        plane = (plane.astype(np.int32) - int(plane.min())).astype(np.uint16)
    centre = twice_the_medians(plane).reshape(-1)  # of the type by which NumPy counts and takes
    residual = plane.reshape(-1) * np.intp(2)
    residual -= centre
    widest = max(int(residual.max()), -int(residual.min()))
    counts = np.bincount(centre)
    cuts = np.unique(quantiles(counts, shares))
    width, groups = 2 * widest + 1, len(cuts) + 1
    if width * groups > BINS:
        return None
    base = np.searchsorted(cuts, np.arange(len(counts)), side="right") * width + widest
    places = base.take(centre)
    places += residual
    stride = max(1, plane.size >> 20)
    parts = [places] if stride == 1 else [places, places[::stride]]
    tables = [np.bincount(part, minlength=width * groups) for part in parts]
    every, some = (table.reshape(groups, width) for table in (tables[0], tables[-1]))
    if (every.any(1) & ~some.any(1)).any():
        return None
    there = every > 0
    highest = width - 1 - there[:, ::-1].argmax(1)
    return Residuals(some, there.argmax(1) - widest, highest - widest)
