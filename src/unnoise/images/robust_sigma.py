"""Quick standard deviations that a few outliers, or the edges of a picture, hardly change."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def robust_sigma(values: NDArray) -> float:
    """1.4826 times the median distance from the median, which is 1 for a normal distribution.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(5, 2, 10_000)
    >>> values[:100] = 1e6
    >>> round(robust_sigma(values), 1)
    2.0
    """
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def noise_sigma(planes: ArrayLike) -> float:
    """Standard deviation of white noise, within a few percent and in milliseconds.

    The median size of the diagonal details of the Haar transform in YX over 0.6745 (Donoho and
    Johnstone, Biometrika 1994): offsets of rows and columns, slopes and most edges are not in
    them. Where more than half of the details are 0, as in images with few photons, their root mean
    square.

    Parameters
    ----------
    planes : array-like, shape (..., y, x)

    Returns
    -------
    float
        In the units of the planes; 0 where nothing differs.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 0.3, (256, 256))
    >>> round(noise_sigma(noise + np.linspace(0, 9, 256)), 2)
    0.3
    """
    x = np.asarray(planes)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    d = (x[..., :-1, :-1] - x[..., 1:, :-1] - x[..., :-1, 1:] + x[..., 1:, 1:]) / 2
    if not d.size:
        return 0.0
    d = d.astype(np.float64)
    return float(np.median(np.abs(d))) / 0.6745 or float(np.sqrt(np.mean(d**2)))
