"""Does denoising keep the mean, dark and bright?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.noise.confidence_interval import Interval
from unnoise.quality import blocks

BINS = 16
FEWEST_BLOCKS = 5
"""A bin in fewer blocks borrows what correlation widens from the whole image."""


@dataclass(frozen=True, eq=False)
class Bias:
    """Mean of noisy minus clean, per bin of the clean intensity and in total.

    Parameters
    ----------
    centre : ndarray (bins,)
        Mean clean intensity of each bin.
    mean, low, high : ndarray (bins,)
        Mean difference and its 95 % interval; above 0, the clean image is too dark.
    total : Interval
        Mean difference of all pixels.
    total_relative : float
        The same over the mean noisy intensity, the best guess at the truth.
    """

    centre: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    total: Interval
    total_relative: float


def mean_preservation(
    noisy: ArrayLike, clean: ArrayLike, *, inside: NDArray[np.bool_] | None = None
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
    inside : ndarray of bool, optional
        Which pixels count.

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
    steps = np.sin(np.linspace(0, np.pi / 2, BINS + 1)) ** 2
    used = np.ones(x.shape, np.bool_) if inside is None else inside
    edges = np.unique(np.quantile(x[used], steps[1:-1]))
    index = np.where(used, np.searchsorted(edges, x, side="right"), -1)
    d = y - x
    total, error, degrees = blocks.mean(d, inside)
    plain = float(d[used].std() / np.sqrt(used.sum()))
    widening = max(1.0, error / plain) if plain > 0 and np.isfinite(error) else 1.0
    reach = blocks.quantile(degrees) * plain * widening
    rows = [_bin(d, x, index == i, widening) for i in np.unique(index[used])]
    centre, count, mean, errors, freedom = np.array(rows).T
    quantum = np.median(np.diff(np.unique(y[used]))) if np.ptp(y[used]) > 0 else 0.0
    # n pixels without an event have no spread, but -log(p) events are still possible there
    rare = -np.log(0.025) * quantum / count
    half = np.maximum(errors * [blocks.quantile(int(f)) for f in freedom], rare)
    level = float(y[used].mean())
    return Bias(
        centre=centre,
        mean=mean,
        low=mean - half,
        high=mean + half,
        total=Interval.around(total, reach),
        total_relative=total / level if level else np.copysign(np.inf, total) if total else 0.0,
    )


def _bin(d: NDArray, x: NDArray, inside: NDArray[np.bool_], widening: float) -> list[float]:
    """One bin: mean clean, count, mean difference, its standard error, degrees of freedom."""
    values = d[inside]
    n = values.size
    mean, error, degrees = blocks.mean(d, inside)
    spread = float(values.var(ddof=1)) if n > 1 else float(d.var())
    plain = np.sqrt(spread / n)
    few = degrees + 1 < FEWEST_BLOCKS
    error = plain * widening if few else max(plain, error)
    degrees = max(n - 1, 1) if few else degrees
    return [float(x[inside].mean()), n, mean, error, degrees]
