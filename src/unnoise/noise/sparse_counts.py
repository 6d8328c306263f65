"""Whether the darkest value is where grey levels were cut off, or a count of no photon at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unnoise.noise.planes import block_means

RARE = 1e-3
"""Share of the darkest value below which there are no such blocks."""
SIDE = 8
"""Side of the blocks in which levels are counted."""
COMMON = (0.2, 0.8)
"""Shares of the darkest value in the blocks that tell."""
FEWEST = 16
"""Blocks that tell enough."""
AGREE = (0.75, 1.33)
"""Counts of one and of two, over what the Poisson distribution expects beside so many of none.
Normal noise that was cut off has 0.5 to 2 of it, and mostly less: its levels are many."""


def at_an_end(planes: NDArray) -> NDArray[np.bool_]:
    """Pixels whose noise may be cut off: the brightest and, unless they are counts, the darkest.

    Parameters
    ----------
    planes : ndarray, shape (n, y, x)
        Noisy planes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(0.7, (1, 64, 64))
    >>> cut_off = rng.normal(0, 9, (1, 64, 64)).round().clip(0)
    >>> float(at_an_end(counts).mean()) < 0.01, float(at_an_end(cut_off).mean()) > 0.4
    (True, True)
    """
    ends = planes >= planes.max()
    if not are_counts(planes):
        ends |= planes <= planes.min()
    return np.asarray(ends)


def are_counts(planes: NDArray) -> bool:
    """Whether the darkest levels are as common as those of 0, 1 and 2 photons, wherever they are.

    Parameters
    ----------
    planes : ndarray, shape (n, y, x)
        Noisy planes.

    Examples
    --------
    >>> are_counts(np.random.default_rng(0).poisson(0.7, (1, 64, 64)) * 12 + 100)
    True
    """
    if (planes == planes.min()).mean() < RARE:
        return False
    shares = []
    left = planes
    for _ in range(3):
        if left.size == 0:
            return False
        level = left.min()
        shares.append(block_means((planes == level).astype(np.float32), SIDE).ravel())
        left = left[left > level]
    none, one, two = shares
    tells = (none > COMMON[0]) & (none < COMMON[1])
    if tells.sum() < FEWEST:
        return False
    expected = -np.log(none[tells])
    for found, wanted in ((one, expected), (two, expected**2 / 2)):
        share = float(found[tells].sum() / (wanted * none[tells]).sum())
        if not AGREE[0] < share < AGREE[1]:
            return False
    return True
