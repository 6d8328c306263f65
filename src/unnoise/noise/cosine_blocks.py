"""Blocks of 8x8 pixels as cosine coefficients: what curves of noise against intensity are made of.

For independent noise the coefficients of a block are uncorrelated, so low frequencies, where
texture lives, and high ones, where noise is read, say different things.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from unnoise.noise.sparse_counts import at_an_end

SIDE = 8
"""Side of the blocks."""
LOW, HIGH = 8, 10
"""Coefficients (i, j) with 1 <= i + j <= LOW choose the blocks, those from HIGH on are measured."""
MAX_BLOCKS = 200_000
"""Blocks that are looked at: more change the level by less than 0.2 %."""
TILE = 32
"""Side of the squares, in pixels, whose sums are taken as independent."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of 8x8 pixels: their means and the energy of their cosine coefficients.

    Attributes
    ----------
    mean, low, high, energy : ndarray, shape (blocks,)
        Mean of the pixels; mean squared coefficient of low and of high frequency; mean squared
        deviation of the pixels from their mean.
    peak : ndarray, shape (blocks,)
        Largest squared deviation of a pixel from their mean, over `energy`.
    place : ndarray, shape (blocks, 2)
        Row and column of their middles, from -1 to 1 over the picture.
    tile : ndarray of int, shape (blocks,)
        The square of the picture that each lies in.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    energy: NDArray[np.float64]
    peak: NDArray[np.float64]
    place: NDArray[np.float64]
    tile: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.mean)

    def part(self, which: NDArray) -> Blocks:
        """Some of the blocks."""
        return Blocks(*(getattr(self, field.name)[which] for field in fields(self)))


def cut(
    planes: NDArray, fewest: int, excluded: NDArray[np.bool_] | None = None
) -> tuple[Blocks, NDArray[np.bool_]]:
    """All blocks that are not constant, and which of them are clipped.

    Parameters
    ----------
    planes : ndarray, shape (n, y, x)
        Noisy planes.
    fewest : int
        Blocks without clipped pixels that are enough; if there are fewer, all count as such.
    excluded : ndarray of bool, shape (n, y, x), optional
        Pixels that are no measurement; blocks that hold any are left out, if enough others are.

    Examples
    --------
    >>> blocks, clipped = cut(np.random.default_rng(0).normal(size=(1, 32, 32)), 10)
    >>> len(blocks), clipped.any()
    (49, np.False_)
    """
    n, height, width = planes.shape
    stride = 4
    while n * (height // stride) * (width // stride) > MAX_BLOCKS:
        stride += 1
    i, j = np.indices((SIDE, SIDE))
    low, high = (i + j >= 1) & (i + j <= LOW), i + j >= HIGH
    views = (sliding_window_view(plane, (SIDE, SIDE))[::stride, ::stride] for plane in planes)
    windows = [view.reshape(-1, SIDE, SIDE).astype(np.float64) for view in views]
    ends = (sliding_window_view(p, (SIDE, SIDE))[::stride, ::stride] for p in at_an_end(planes))
    clipped = [end.mean((2, 3)).ravel() for end in ends]
    # A clipped pixel has no noise. Where most are in the dark all blocks stay.
    limit = 0.05 if sum((c <= 0.05).sum() for c in clipped) >= fewest else 0.98
    rows, columns = (len(range(0, size - SIDE + 1, stride)) for size in (height, width))
    corner = np.moveaxis(np.indices((rows, columns)), 0, -1).reshape(-1, 2) * stride
    across = -(-width // TILE)
    tile = corner // TILE @ (across, 1)
    place = (corner + SIDE / 2) / (height, width) * 2 - 1
    parts = []
    for k, w in enumerate(windows):
        mean = w.mean((1, 2))
        centred = w - mean[:, None, None]
        power = fft.dctn(centred, axes=(1, 2), norm="ortho") ** 2
        energies = (power[:, low].mean(1), power[:, high].mean(1), power.mean((1, 2)))
        peak = np.abs(centred).max((1, 2)) ** 2 / np.maximum(energies[-1], 1e-300)
        parts.append((mean, *energies, peak, place, tile + k * (tile.max() + 1)))
    blocks = Blocks(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    alive = blocks.high > 0
    if excluded is not None:
        marks = (sliding_window_view(e, (SIDE, SIDE))[::stride, ::stride] for e in excluded)
        measured = alive & ~np.concatenate([m.any((2, 3)).ravel() for m in marks])
        alive = measured if measured.sum() >= fewest else alive
    return blocks.part(alive), (np.concatenate(clipped) > limit)[alive]
