"""The noise of calm places: a second opinion on its strength, which believes no curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.noise.local_mean import local_mean, reach
from unnoise.quality import blocks

MASK = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0]) / 6
"""What is left of a plane where it bends; of white noise, its variance."""
LIKE = 4096
"""Pixels of like intensity ..."""
CALM = 0.25
"""... of which this share, in the calmest surroundings, tells the noise."""
CLIPPED = 0.1
"""Groups with less than this share of the median are at an end of the range."""
WIDTH = 4.0
"""Standard deviation, in pixels, of the window of the surroundings."""


def calm_variance(noisy: ArrayLike) -> NDArray[np.float64]:
    """Variance at every pixel, as the calmest places of like intensity show it.

    The mask is that of Immerkær (Computer Vision and Image Understanding 64, 1996). Texture can
    only add to what it leaves, so where no place is calm this is too much; but noise does not
    fall with intensity, so calm places that are brighter bound it too. It checks measured curves,
    and is none of them.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(64, 64))
    >>> 0.9 < float(calm_variance(noise).mean()) < 1.1
    True
    """
    (x,) = blocks.pixels(noisy)
    mask = MASK.reshape((1,) * (x.ndim - 2) + MASK.shape)
    squares = ndimage.correlate(x, mask, mode="mirror") ** 2
    around = _ring(squares)
    signal, _ = local_mean(x, 2.0)
    order = np.argsort(signal, axis=None, kind="stable")
    flat, restless = squares.ravel(), around.ravel()
    groups = np.array_split(order, max(order.size // LIKE, 1))
    found = np.empty(len(groups))
    for i, group in enumerate(groups):
        calm = group[np.argsort(restless[group], kind="stable")[: max(int(CALM * group.size), 1)]]
        found[i] = flat[calm].mean()
    clipped = found < CLIPPED * np.median(found)
    least = np.minimum.accumulate(np.where(clipped, np.inf, found)[::-1])[::-1]
    out = np.empty(x.size)
    for group, own, bound in zip(groups, found, least, strict=True):
        out[group] = min(own, bound)
    return out.reshape(x.shape)


def _ring(squares: NDArray) -> NDArray[np.float64]:
    """Gaussian sums around every pixel without the pixels whose masks know its own noise.

    With them, places would be calm because their own noise happens to be low: 0.62 of the truth.
    """
    kernel = np.exp(-0.5 * (np.arange(-reach(WIDTH), reach(WIDTH) + 1) / WIDTH) ** 2)
    middle = np.where(np.abs(np.arange(-reach(WIDTH), reach(WIDTH) + 1)) <= 2, kernel, 0)
    whole = inner = np.asarray(squares, np.float64)
    for axis in (-2, -1):
        whole = ndimage.correlate1d(whole, kernel, axis=axis, mode="mirror")
        inner = ndimage.correlate1d(inner, middle, axis=axis, mode="mirror")
    return np.asarray(whole - inner)
