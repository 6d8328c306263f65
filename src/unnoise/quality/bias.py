"""Does denoising keep the mean, dark and bright?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.errors import InputError
from unnoise.noise.interval import Interval
from unnoise.quality import blocks

FEWEST_BLOCKS = 5
"""A bin in fewer blocks borrows what correlation widens from the whole image."""


@dataclass(frozen=True, eq=False)
class Bias:
    """Mean of noisy minus clean, per bin of the clean intensity and in total.

    Parameters
    ----------
    centre : ndarray (bins,)
        Mean clean intensity of each bin.
    count : ndarray of int (bins,)
        Pixels in it.
    effective : ndarray (bins,)
        Independent pixels that would give the same standard error.
    mean, low, high : ndarray (bins,)
        Mean difference and its 95 % interval; above 0, the clean image is too dark.
    relative : ndarray (bins,)
        Mean difference over the mean noisy intensity above the offset, the best guess at the truth.
    significant : ndarray of bool (bins,)
        Whether the difference is not chance; all bins together are wrong in 5 % of images.
    total : Interval
        Mean difference of all pixels.
    total_relative : float
        The same over the mean noisy intensity above the offset.
    """

    centre: NDArray[np.float64]
    count: NDArray[np.int64]
    effective: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    relative: NDArray[np.float64]
    significant: NDArray[np.bool_]
    total: Interval
    total_relative: float


def mean_preservation(
    noisy: ArrayLike, clean: ArrayLike, *, bins: int = 16, offset: float = 0.0
) -> Bias:
    """Mean of (noisy - clean) per bin of clean intensity, with intervals.

    Pixels must be binned by the clean image. The noise of a pixel does not know the truth, so it
    averages out over pixels of similar truth. Binned by the *noisy* image, it would not: the
    brightest noisy pixels are those whose noise was high, so noisy - clean is positive there and
    negative in the dark, for a perfect result too (regression to the mean). Binning by clean is
    exact where the clean value does not depend on the noise of its own pixel (blind-spot methods);
    where it keeps a part of that noise, a little of the same effect comes back.

    Bins hold equal steps of the arcsine of the root of the quantile, finer in the dark and the
    bright tail, where denoisers pull values to the middle. Standard errors are the larger one of
    independent pixels and of a jackknife over blocks, since the errors of neighbours are
    correlated. In bins so dark that photons are rare, intervals reach at least as far as the chance
    to have seen none.

    Parameters
    ----------
    noisy, clean : array-like (y, x) or (z, y, x)
        Before and after denoising, in image units.
    bins : int
        Number of bins; fewer where values are few.
    offset : float
        Value of no light, for the relative bias.

    Raises
    ------
    InputError
        If shapes do not fit or values are not finite.

    Examples
    --------
    >>> truth = np.full((64, 64), 0.2)
    >>> noisy = np.random.default_rng(0).poisson(truth)
    >>> mean_preservation(noisy, truth).total.significant
    False
    >>> mean_preservation(noisy, truth - 0.05).total.significant
    True
    """
    y, x = blocks.pixels(noisy, clean)
    if bins < 1:
        raise InputError(f"the number of bins is {bins}; it must be 1 or more")
    steps = np.sin(np.linspace(0, np.pi / 2, bins + 1)) ** 2
    edges = np.unique(np.quantile(x, steps[1:-1]))
    index = np.searchsorted(edges, x, side="right")
    d = y - x
    length = blocks.side(x.shape)
    whole = np.stack([blocks.sums(q, length) for q in (d, np.ones(x.shape))])
    total, error, degrees = blocks.jackknife(blocks.quotient, whole)
    plain = float(d.std() / np.sqrt(d.size))
    widening = max(1.0, error / plain) if plain > 0 and np.isfinite(error) else 1.0
    reach = blocks.quantile(degrees) * plain * widening
    occupied = np.unique(index)
    rows = np.array([_bin(d, x, index == i, length, widening) for i in occupied])
    centre, count, mean, errors, freedom, spread = rows.T
    quantum = np.median(np.diff(np.unique(y))) if np.ptp(y) > 0 else 0.0

    def reaches(tests: int) -> NDArray[np.float64]:
        # n pixels without an event have no spread, but -log(p) events are still possible there
        rare = -np.log(0.025 / tests) * quantum / count
        usual = errors * [blocks.quantile(int(f), tests=tests) for f in freedom]
        return np.asarray(np.maximum(usual, rare))

    half, wide = reaches(1), reaches(len(rows))
    rounding = 1e-12 * np.abs(x).max()
    squared = np.divide(spread, errors**2, out=count.copy(), where=errors > 0)
    return Bias(
        centre=centre,
        count=count.astype(np.int64),
        effective=np.minimum(squared, count),
        mean=mean,
        low=mean - half,
        high=mean + half,
        relative=_relative(mean, centre + mean - offset),
        significant=np.abs(mean) > wide + rounding,
        total=Interval.around(total, reach),
        total_relative=float(_relative(np.array(total), np.array(y.mean() - offset))),
    )


def _bin(d: NDArray, x: NDArray, inside: NDArray, length: int, widening: float) -> list[float]:
    """One bin: mean clean, count, mean difference, standard error, degrees of freedom, variance."""
    values = d[inside]
    n = values.size
    each = np.stack([blocks.sums(q, length) for q in (np.where(inside, d, 0), inside)])
    each = each[:, each[1] > 0]
    mean, error, degrees = blocks.jackknife(blocks.quotient, each)
    spread = float(values.var(ddof=1)) if n > 1 else float(d.var())
    plain = np.sqrt(spread / n)
    few = degrees + 1 < FEWEST_BLOCKS
    error = plain * widening if few else max(plain, error)
    degrees = max(n - 1, 1) if few else degrees
    return [float(x[inside].mean()), n, mean, error, degrees, spread]


def _relative(mean: NDArray, level: NDArray) -> NDArray[np.float64]:
    """Mean difference over the level; 0 where there is none, infinite over nothing."""
    bad = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.asarray(np.divide(mean, level, out=bad, where=np.asarray(level != 0)))
