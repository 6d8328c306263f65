"""What the noise of neighbouring frames has in common, and how skewed it is.

Differences between frames tell both, as the scene is nearly the same in all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from unnoise.noise.planes import block_means

PLACE = 16
"""Side of the places at which the variance of differences is compared with that of the noise."""
BLOCK = 8
"""Side of the blocks that are calm or not."""
CALM = 2.0
"""Times the median of the variance up to which a block is said to have no change."""


def shared(tiles: Iterable[NDArray], variance: Sequence[Callable[[NDArray], NDArray]]) -> float:
    """Which share of their noise neighbouring frames have in common: what differences lack.

    Without a transform, which evens out the strength of noise from some photons on, and not of
    fewer: 30 % seemed to be shared at one photon a pixel.

    Parameters
    ----------
    tiles : iterable of ndarray, shape (n, c, y, x)
        Frames, NaN where pixels are no measurement.
    variance : sequence of callable
        By channel, the variance of the noise of such values.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(0.3, (4, 1, 128, 128)).astype(float)
    >>> shared([counts], [lambda signal: signal]) < 0.1
    True
    >>> means = (counts[1:] + counts[:-1]) / 2  # each has half of its noise from the one before
    >>> round(shared([means], [lambda signal: signal / 2]), 1)
    0.5
    """
    found = []
    for tile in tiles:
        side = min(PLACE, *tile.shape[2:])
        for c, of in enumerate(variance):
            for one, other in itertools.pairwise(tile[:, c]):
                change, mean = (
                    block_means(part, side) for part in ((other - one) ** 2 / 2, (one + other) / 2)
                )
                some = change > 0  # of neither copies nor padding
                found.append(change[some] / of(mean[some]))
    values = np.concatenate(found) if found else np.ones(1)
    return max(1 - float(np.median(values)), 0.0) if values.size else 1.0


def skewness(tiles: Iterable[NDArray]) -> float:
    """Of frames less the mean of those before and after; 0 where there is nothing to tell it by.

    That has 3/2 of the variance and 3/4 of the third cumulant, and a drift takes no part in it,
    nor, within a block, the light. Blocks that change have more variance, and are passed over.

    Parameters
    ----------
    tiles : iterable of ndarray, shape (n, c, y, x)
        Frames with noise of variance 1.

    Examples
    --------
    >>> noise = np.random.default_rng(0).gamma(4.0, size=(5, 1, 128, 128))
    >>> round(skewness([noise / 2]), 1)  # of a gamma number of shape 4
    1.0
    """
    second, third = [], []
    for tile in tiles:
        bends = tile[1:-1] - (tile[:-2] + tile[2:]) / 2
        for bend in bends.reshape(-1, *bends.shape[2:]):
            if min(bend.shape) >= BLOCK:
                m1, m2, m3 = (block_means(bend**n, BLOCK).ravel() for n in (1, 2, 3))
                second.append((m2 - m1**2) / 1.5)
                third.append((m3 - 3 * m1 * m2 + 2 * m1**3) / 0.75)
    if not second:
        return 0.0
    variance, cumulant = np.concatenate(second), np.concatenate(third)
    calm = (variance > 0) & (variance < CALM * np.median(variance))
    return float(cumulant[calm].mean() / variance[calm].mean() ** 1.5) if calm.any() else 0.0
