"""Whether the darkest value is where grey levels were cut off, or a count of no photon at all."""

from __future__ import annotations

from dataclasses import dataclass

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
DARK, PHOTONS = 0.93, 16
"""Share of pixels without a photon from which photons are sparse, and the fewest that tell it: with
more light blocks measure the noise as it is."""


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


@dataclass(frozen=True)
class Sparse:
    """Single photons in the dark.

    Attributes
    ----------
    offset, gain : float
        The value of no photon, and what one adds.
    photons : int
        How many there are.
    mean, most : float
        Of photons in a pixel: the mean over the picture, and over its brightest block.
    """

    offset: float
    gain: float
    photons: int
    mean: float
    most: float


def sparse(planes: NDArray, excluded: NDArray[np.bool_] | None = None) -> Sparse | None:
    """What single photons in the dark are told by, or None where pixels are none.

    Their values are even steps, and pixels of two are as rare as the Poisson distribution has it
    beside those of one in the same block: of a pair of photons in a block of n pixels, one in n
    shares a pixel. Noise that was cut off has far more of the second step, drawn shapes have none.

    Parameters
    ----------
    planes, excluded : ndarray, shape (n, y, x)
        Noisy planes, and which of their pixels are no measurement.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = sparse(rng.poisson(0.01, (1, 128, 128)) * 12.0 + 100)
    >>> found.offset, found.gain, sparse(rng.normal(-9, 5, (1, 128, 128)).round().clip(0)) is None
    (100.0, 12.0, True)
    """
    known = np.ones(planes.shape, np.bool_) if excluded is None else ~excluded
    if not known.any():
        return None
    values = planes[known]
    offset = float(values.min())
    dark = values == offset
    if dark.mean() < DARK or dark.all():
        return None
    lit = values[~dark].astype(np.float64) - offset
    gain = float(lit.min())
    counts = lit / gain
    if not np.allclose(counts, np.rint(counts), rtol=0, atol=1e-6) or counts.sum() < PHOTONS:
        return None
    ones, twos = (
        block_means((known & (planes == offset + k * gain)).astype(np.float64), SIDE) * SIDE**2
        for k in (1, 2)
    )
    expected = float((ones * (ones - 1)).sum()) / (2 * SIDE**2)
    if abs(float(twos.sum()) - expected) > 4 * (expected + 1) ** 0.5 + expected / 4:
        return None
    all_ = block_means(np.where(known, planes - offset, 0) / gain, SIDE)
    return Sparse(offset, gain, round(counts.sum()), float(counts.sum() / known.sum()), all_.max())
