"""Is there anything but noise?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from unnoise.quality import blocks

SURE = 4.5
"""Standard errors from which neighbours are alike."""
FEWEST_PAIRS = 100
SHARES = (1e-3, 1e-2)
"""Of the pixels at each end, among which spots would be neighbours."""
CHANCE = 1e-6
"""Probability of so many of them in mere noise from which they are spots."""


def has_signal(noisy: ArrayLike) -> bool:
    """Whether neighbours are more alike than independent noise can make them, at any scale.

    Without signal, products of neighbouring pixels have mean 0 and, whatever the distribution of
    the noise, the squared variance for a variance; so have those of means over blocks, in which
    faint and wide signal rises above the noise.

    Parameters
    ----------
    noisy : array-like (y, x) or (z, y, x)
        Its noise is independent from pixel to pixel.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(64, 64))
    >>> has_signal(noise), has_signal(noise + np.linspace(0, 1, 64))
    (False, True)
    """
    (x,) = blocks.pixels(noisy)
    return _alike(x) or _spots(x)


def _alike(x: NDArray[np.float64]) -> bool:
    """Whether neighbours, or means over neighbouring blocks, are correlated."""
    side = 1
    while True:
        counts = [n // side for n in x.shape]
        if min(counts) < 2:
            return False
        mean = x[tuple(slice(0, n * side) for n in counts)]
        for axis, n in enumerate(counts):
            mean = np.add.reduceat(mean, np.arange(n) * side, axis=axis)
        d = mean - mean.mean()
        variance = float(d.var())
        products = [
            d.take(range(n - 1), axis) * d.take(range(1, n), axis) for axis, n in enumerate(counts)
        ]
        pairs = sum(p.size for p in products)
        if pairs < FEWEST_PAIRS or variance == 0:
            return False
        if sum(float(p.sum()) for p in products) > SURE * variance * np.sqrt(pairs):
            return True
        side *= 2


def _spots(x: NDArray[np.float64]) -> bool:
    """Whether extreme pixels are neighbours, as those of few spots are, too few to correlate all.

    Of independent pixels a share q is beyond a limit, so neighbours both are with probability q^2.
    """
    for end in (x, -x):
        for share in SHARES:
            beyond = end > np.quantile(end, 1 - share)
            both = [
                beyond.take(range(n - 1), axis) & beyond.take(range(1, n), axis)
                for axis, n in enumerate(x.shape)
            ]
            expected = float(beyond.mean()) ** 2 * sum(b.size for b in both)
            count = sum(int(b.sum()) for b in both)
            # of a Poisson number: that it is as large as this
            if count and special.gammainc(count, expected) < CHANCE:
                return True
    return False
