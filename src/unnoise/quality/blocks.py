"""Blocks of pixels, and errors from them that hold though neighbours are correlated."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from unnoise.errors import InputError

SIDE = 32
"""Side of a block in pixels: far longer than residuals of a denoiser are correlated."""

FEWEST = 16
"""Blocks are made smaller until there are so many; intervals from fewer are too wide to use."""


def pixels(*images: ArrayLike) -> list[NDArray[np.float64]]:
    """Images as float64, after a check that they are finite, of one shape and 2D or 3D.

    Raises
    ------
    InputError
        If they are not.
    """
    arrays = [np.asarray(image, np.float64) for image in images]
    shapes = [a.shape for a in arrays]
    if len(set(shapes)) > 1:
        raise InputError(
            f"the images have the shapes {' and '.join(map(str, shapes))}; pass images of one shape"
        )
    if arrays[0].ndim not in (2, 3) or not arrays[0].size:
        raise InputError(f"an image has the shape {shapes[0]}; pass pixels of shape (z,) y, x")
    if not all(np.isfinite(a).all() for a in arrays):
        raise InputError("an image has NaN or infinite pixels; fill them before measuring quality")
    return arrays


def variances(variance: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The noise variance of every pixel; pixels of variance zero are left out of all measures.

    Raises
    ------
    InputError
        If the variance is negative, not finite or of another shape.
    """
    v = np.asarray(variance, np.float64)
    if v.shape not in ((), shape):
        raise InputError(
            f"the variance has the shape {v.shape} and the image {shape}; "
            "pass one number or one per pixel"
        )
    if not (np.isfinite(v).all() and (v >= 0).all()):
        raise InputError("the variance has negative or non-finite values; pass values of 0 or more")
    return np.broadcast_to(v, shape)


def side(shape: tuple[int, ...]) -> int:
    """Side of the blocks of an image: 32 px, or less where there would be too few of them."""
    length = SIDE
    while length > 4 and math.prod(max(1, n // length) for n in shape) < FEWEST:
        length //= 2
    return length


def sums(x: NDArray, length: int) -> NDArray[np.float64]:
    """Sum of `x` over each block, flat; blocks are `length` px wide or slightly more.

    Examples
    --------
    >>> sums(np.ones((9, 4)), 4)
    array([16., 20.])
    """
    total = np.asarray(x, np.float64)
    for axis, n in enumerate(x.shape):
        total = np.add.reduceat(total, _starts(n, length), axis=axis)
    return total.ravel()


def labels(shape: tuple[int, ...], length: int) -> NDArray[np.int64]:
    """The place of every pixel's block in `sums`.

    Examples
    --------
    >>> labels((2, 9), 4)
    array([[0, 0, 0, 0, 1, 1, 1, 1, 1],
           [0, 0, 0, 0, 1, 1, 1, 1, 1]])
    """
    found = np.zeros(shape, np.int64)
    for axis, n in enumerate(shape):
        starts = _starts(n, length)
        at = np.searchsorted(starts, np.arange(n), side="right") - 1
        found = found * len(starts) + np.expand_dims(at, tuple(range(1, len(shape) - axis)))
    return found


def _starts(n: int, length: int) -> NDArray[np.int64]:
    """Where the blocks of an axis begin."""
    k = max(1, n // length)
    return np.asarray(np.arange(k) * n // k)


def jackknife(
    statistic: Callable[[NDArray], NDArray], blocks: NDArray[np.float64]
) -> tuple[float, float, int]:
    """A smooth function of sums over blocks: its value, standard error and degrees of freedom.

    ``se^2 = (n - 1) / n sum_i (t_i - mean t)^2``, where t_i leaves block i out (Tukey 1958; for
    blocks of dependent data Künsch, Annals of Statistics 1989).

    Parameters
    ----------
    statistic : callable
        Of sums (quantities, ...) to (...).
    blocks : ndarray
        Sums of each quantity over each block, of shape (quantities, blocks).
    """
    total = blocks.sum(axis=1, keepdims=True)
    n = blocks.shape[1]
    value = float(statistic(total)[0])
    if n < 2:
        return value, math.inf, 1
    left = statistic(total - blocks)
    return value, float(np.sqrt((n - 1) / n * np.sum((left - left.mean()) ** 2))), n - 1


def mean(x: NDArray, inside: NDArray[np.bool_] | None = None) -> tuple[float, float, int]:
    """Mean of all pixels or those inside, its standard error and degrees of freedom.

    Examples
    --------
    >>> mean(np.arange(4.0).reshape(2, 2), np.eye(2, dtype=bool))
    (1.5, inf, 1)
    """
    length = side(x.shape)
    used = np.ones(x.shape, np.bool_) if inside is None else inside
    each = np.stack([sums(q, length) for q in (np.where(used, x, 0), used)])
    known = each if inside is None else each[:, each[1] > 0]
    return jackknife(lambda m: np.asarray(m[0] / m[1]), known)


def quantile(degrees: int) -> float:
    """How many standard errors a 95 % interval reaches."""
    return float(special.stdtrit(degrees, 0.975))
