"""The mean around every pixel of an image, without the pixel itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TRUNCATE = 3.0


def reach(width: float) -> int:
    """Radius in pixels of a window."""
    return int(TRUNCATE * width + 0.5)


def local_mean(
    values: NDArray, width: float, inside: Sequence[NDArray[np.bool_]] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaussian mean around every pixel without the pixel itself, and how many it is worth.

    Parameters
    ----------
    values : ndarray, shape (*space)
    width : float
        Standard deviation of the window in pixels.
    inside : sequence of ndarray of bool, optional
        Per axis, which positions count.

    Returns
    -------
    mean, count : ndarray, shape (*space)

    Examples
    --------
    >>> x = np.zeros((9, 9)); x[4, 4] = 5
    >>> mean, count = local_mean(x, 1.0)
    >>> float(mean[4, 4]), bool(mean[4, 5] > 0)
    (0.0, True)
    """
    kernel = np.exp(-0.5 * (np.arange(-reach(width), reach(width) + 1) / width) ** 2)
    weight = square = np.ones((1,) * values.ndim)
    total = np.asarray(values, np.float64)
    for axis, size in enumerate(values.shape):
        there = np.ones(size) if inside is None else inside[axis].astype(np.float64)
        shape = [-1 if a == axis else 1 for a in range(values.ndim)]
        total = total * there.reshape(shape)
        total = ndimage.correlate1d(total, kernel, axis=axis, mode="constant")
        same = slice(reach(width), reach(width) + size)  # "same" of NumPy is the longer of the two
        weight = weight * np.convolve(there, kernel)[same].reshape(shape)
        square = square * np.convolve(there, kernel**2)[same].reshape(shape)
    rest = np.maximum(weight - 1, 1e-12)  # the middle of the kernel is 1
    count = rest**2 / np.maximum(square - 1, 1e-12)
    return (total - values) / rest, np.maximum(count, 1.0)
