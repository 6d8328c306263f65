"""What measures look at: the pixels around 0, the middle of a plane, its blocks, the calmest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def centred(plane: ArrayLike) -> NDArray[np.float64]:
    """Float64 less its median, so that huge offsets cost no digits; missing pixels are 0.

    Examples
    --------
    >>> centred([[1e6, 1e6 + 2], [np.nan, 1e6 + 1]])
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    x = np.asarray(plane).astype(np.float64)
    finite = np.isfinite(x)
    level = float(np.median(x[finite])) if finite.any() else 0.0
    return np.where(finite, x - level, 0.0)


def middle(shape: tuple[int, ...], side: int, step: int = 1) -> tuple[slice, slice]:
    """The middle of a plane (..., y, x), at most so wide; it starts at a multiple of `step`.

    Examples
    --------
    >>> middle((10, 100, 20), 32, step=8)
    (slice(32, 64, None), slice(0, 32, None))
    """
    y, x = ((n - min(n, side)) // 2 // step * step for n in shape[-2:])
    return slice(y, y + side), slice(x, x + side)


def blocks(x: NDArray, side: int) -> NDArray:
    """The last two axes cut into whole blocks: shape (..., rows, side, columns, side).

    Examples
    --------
    >>> blocks(np.zeros((3, 17, 9)), 8).shape
    (3, 2, 8, 1, 8)
    """
    rows, columns = (n // side for n in x.shape[-2:])
    cut = x[..., : rows * side, : columns * side]
    return cut.reshape(*x.shape[:-2], rows, side, columns, side)


def block_means(x: NDArray, side: int) -> NDArray:
    """Means over whole blocks of the last two axes: shape (..., rows, columns).

    Examples
    --------
    >>> block_means(np.arange(12.0).reshape(2, 6), 2)
    array([[3.5, 5.5, 7.5]])
    """
    return np.asarray(blocks(x, side).mean(axis=(-3, -1)))


def calmest(score: NDArray, share: float, at_least: int = 1) -> NDArray[np.intp]:
    """Positions of the lowest share of a flat score, lowest first.

    Examples
    --------
    >>> calmest(np.array([3, 1, 2, 1]), 0.5)
    array([1, 3])
    """
    return np.argsort(score, kind="stable")[: max(int(share * len(score)), at_least)]
