"""Smaller copies of an array of Zarr: every pixel is the mean of those that it covers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = 256
"""Levels are added until the longer side of a plane is no longer than this."""
ROUND = 1.5
"""Z is halved too while a slice is no thicker than so many pixels are wide."""
AT_ONCE = 2**26
"""Bytes of pixels that are averaged at once."""


def factors(axes: str, shape: Sequence[int], size: Sequence[float]) -> list[tuple[int, ...]]:
    """By how much each level is smaller than the first, by axis.

    Parameters
    ----------
    axes : str
    shape : sequence of int
    size : sequence of float
        Of a pixel by axis; 0 where it is unknown.

    Examples
    --------
    >>> factors("ZYX", (40, 600, 500), (2.0, 0.5, 0.5))
    [(1, 2, 2), (1, 4, 4)]
    >>> factors("ZYX", (40, 600, 500), (0.6, 0.5, 0.5))
    [(2, 2, 2), (4, 4, 4)]
    """
    found: list[tuple[int, ...]] = []
    factor = dict.fromkeys(axes, 1)
    known = dict(zip(axes, size, strict=True))
    full = dict(zip(axes, shape, strict=True))
    while max(full[k] / factor[k] for k in "YX") > SMALL:
        thick, wide = known.get("Z", 0.0) * factor.get("Z", 1), known["X"] * factor["X"]
        halved = "ZYX" if 0 < thick <= ROUND * wide and full["Z"] > factor["Z"] else "YX"
        factor = {k: f * 2 if k in halved and full[k] > f else f for k, f in factor.items()}
        found.append(tuple(factor.values()))
    return found


def shrunk(shape: Sequence[int], factor: Sequence[int]) -> tuple[int, ...]:
    """The shape of a level."""
    return tuple(-(-n // f) for n, f in zip(shape, factor, strict=True))


def fill(target: Any, source: Any, steps: tuple[int, ...]) -> None:
    """Write a level out of the one before it, so many pixels of which become one along each axis.

    Whole shards are written one by one, and what is read at once is bounded.
    """
    whole = target.shards or target.chunks
    for region in blocks(target.shape, whole):
        target[region] = _mean_of(source, region, steps)


def blocks(shape: Sequence[int], size: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """The regions of a grid."""
    edges = (
        [slice(a, min(a + c, n)) for a in range(0, n, c)] for n, c in zip(shape, size, strict=True)
    )
    return itertools.product(*edges)


def ranges(array: Any, axes: str) -> list[tuple[float, float]]:
    """Lowest and highest value of each channel."""
    count = dict(zip(axes, array.shape, strict=True)).get("C", 1)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for region in blocks(array.shape, array.shards or array.chunks):
        block = np.asarray(array[region], np.float64)
        others = tuple(i for i, k in enumerate(axes) if k != "C")
        at = region[axes.index("C")] if "C" in axes else slice(0, 1)
        low[at] = np.fmin(low[at], np.fmin.reduce(block, axis=others))
        high[at] = np.fmax(high[at], np.fmax.reduce(block, axis=others))
    finite = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(finite, low, 0), np.where(finite, high, 1)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _mean_of(source: Any, region: tuple[slice, ...], steps: tuple[int, ...]) -> NDArray:
    """A region of a level; halves of it where the pixels it covers are too many."""
    sizes = [part.stop - part.start for part in region]
    covered = math.prod(sizes) * math.prod(steps) * np.dtype(source.dtype).itemsize
    longest = int(np.argmax(sizes[:-1])) if max(sizes[:-1]) > 1 else len(sizes) - 1
    if covered > AT_ONCE and sizes[longest] > 1:
        part = region[longest]
        middle = (part.start + part.stop) // 2
        halves = (slice(part.start, middle), slice(middle, part.stop))
        return np.concatenate(
            [
                _mean_of(source, (*region[:longest], half, *region[longest + 1 :]), steps)
                for half in halves
            ],
            axis=longest,
        )
    where = tuple(slice(p.start * f, p.stop * f) for p, f in zip(region, steps, strict=True))
    return means(np.asarray(source[where]), steps)


def means(pixels: NDArray, steps: Sequence[int]) -> NDArray:
    """Means of blocks of pixels; NaN does not count, and at the ends blocks may be cut off.

    Examples
    --------
    >>> means(np.arange(10).reshape(2, 5), (2, 2))
    array([[3, 5, 6]])
    """
    # Sums of up to 256 integers of 16 bit are exact in 32-bit floats.
    exact = pixels.dtype.kind in "bui" and pixels.dtype.itemsize <= 2
    total = pixels.astype(np.float32 if exact else np.float64)
    # Where all pixels count, their number is a product along the axes: nothing of full size.
    counts: list[NDArray] = [
        np.ones([n if i == axis else 1 for i in range(pixels.ndim)], total.dtype)
        for axis, n in enumerate(pixels.shape)
    ]
    if pixels.dtype.kind == "f" and np.isnan(total).any():
        counts = [(~np.isnan(total)).astype(total.dtype)]
        total = np.nan_to_num(total, nan=0.0, posinf=np.inf, neginf=-np.inf)
    for axis, step in enumerate(steps):
        total = _sums(total, axis, step)
        counts = [_sums(count, axis, step) if count.shape[axis] > 1 else count for count in counts]
    count = math.prod(counts[1:], start=counts[0])
    mean = total / np.maximum(count, 1)
    mean[np.broadcast_to(count == 0, mean.shape)] = np.nan
    result: NDArray = (np.rint(mean) if pixels.dtype.kind in "bui" else mean).astype(pixels.dtype)
    return result


def _sums(values: NDArray, axis: int, step: int) -> NDArray:
    """Sums of so many neighbours along an axis."""
    if step == 1:
        return values
    ahead = (slice(None),) * axis
    result = values[(*ahead, slice(0, None, step))].copy()
    for i in range(1, step):
        part = values[(*ahead, slice(i, None, step))]
        result[(*ahead, slice(0, part.shape[axis]))] += part
    return result
