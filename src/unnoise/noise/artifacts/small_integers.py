"""Planes of small integers, as most are: order statistics by counting instead of sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 2**20
"""Most counters: more would not stay in the cache."""
ROWS = 64
"""Rows whose neighbours are sorted at a time."""
_BESIDE = tuple((i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1))
# Two sorted halves, of which the fourth and fifth of all eight follow by six more comparisons.
_HALVES = tuple((i + k, j + k) for k in (0, 4) for i, j in ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2)))


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


def twice_the_medians(plane: NDArray) -> NDArray[np.int32]:
    """Twice the median of the eight neighbours of every pixel; the plane is mirrored at its ends.

    Examples
    --------
    >>> int(twice_the_medians(np.arange(9, dtype=np.uint8).reshape(3, 3))[1, 1])
    8
    """
    padded = np.pad(plane, 1, mode="reflect")
    h, w = plane.shape
    out = np.empty((h, w), np.int32)
    for y in range(0, h, ROWS):
        n = min(ROWS, h - y)
        a = [padded[y + i : y + i + n, j : j + w] for i, j in _BESIDE]
        for i, j in _HALVES:
            a[i], a[j] = np.minimum(a[i], a[j]), np.maximum(a[i], a[j])
        low, high = np.minimum(a[2], a[6]), np.minimum(a[3], a[7])
        fifth = np.maximum(low, np.maximum(a[0], a[4]))
        fourth = np.minimum(high, np.maximum(a[1], a[5]))
        np.add(fourth, fifth, out=out[y : y + n], dtype=np.int32)
    return out


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
    centre = twice_the_medians(plane)
    residual = plane * np.int32(2)
    residual -= centre
    widest = max(int(residual.max()), -int(residual.min()))
    counts = np.bincount(centre.ravel())
    cuts = np.unique(quantiles(counts, shares))
    width, groups = 2 * widest + 1, len(cuts) + 1
    if width * groups > BINS:
        return None
    base = np.searchsorted(cuts, np.arange(len(counts)), side="right") * width + widest
    places = base.take(centre.ravel())
    places += residual.ravel()
    stride = max(1, plane.size >> 20)
    parts = [places] if stride == 1 else [places, places[::stride]]
    tables = [np.bincount(part, minlength=width * groups) for part in parts]
    every, some = (table.reshape(groups, width) for table in (tables[0], tables[-1]))
    if (every.any(1) & ~some.any(1)).any():
        return None
    there = every > 0
    highest = width - 1 - there[:, ::-1].argmax(1)
    return Residuals(some, there.argmax(1) - widest, highest - widest)
