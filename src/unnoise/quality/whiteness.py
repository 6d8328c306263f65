"""Is what was removed only noise? The residual must be white and must not know the specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, special

from unnoise.noise.autocovariance import lagged_products
from unnoise.noise.confidence_interval import Interval
from unnoise.quality import blocks

REACH = 5
"""Largest lag along each axis, in pixels."""

FEWEST_PAIRS = 30
"""Lags with fewer pairs of pixels are not judged."""

WIDTH = 4.0
"""Width (sigma, in pixels) of the window of the map of lost structure."""


@dataclass(frozen=True, eq=False)
class Whiteness:
    """The autocorrelation of a normalised residual.

    Parameters
    ----------
    rho : ndarray
        Autocorrelation by lag, of shape ``(2 REACH + 1,) * ndim``, lag 0 in the centre.
    largest : float
        The entry of largest size off the centre.
    at : tuple of int
        Its lag in pixels; the opposite lag has the same value.
    limit : float
        What the largest size stays below in 95 % of white residuals.
    p : float
        Probability of correlations as large as these if the residual were white.
    """

    rho: NDArray[np.float64]
    largest: float
    at: tuple[int, ...]
    limit: float
    p: float


@dataclass(frozen=True, eq=False)
class ResidualStructure:
    """How far structure of the specimen is left in the residual.

    Parameters
    ----------
    correlation : Interval
        Of the excess energy of the residual with the structure of the clean image; above 0,
        structure was lost.
    energy : float
        Mean of r^2 / variance over all pixels: 1 for a perfect result.
    map : ndarray
        Local mean of r^2 / variance, in the shape of the image: about 1 is fine, above 1 structure
        was lost, below 1 noise was kept.
    significance : ndarray
        How many standard errors the map is from 1; look where it exceeds 4 in size.
    """

    correlation: Interval
    energy: float
    map: NDArray[np.float64]
    significance: NDArray[np.float64]


def whiteness(residual: ArrayLike, variance: ArrayLike) -> Whiteness:
    """Autocorrelation of ``z = residual / sqrt(variance)``, and whether it could be chance.

    The autocovariance of each lag is divided by its number of pairs, so it is unbiased whichever
    pixels are left out. Its standard error is estimated from the squares of the pairs, so it holds
    for heavy tails and where the variance is wrong (White, Econometrica 1980). The p value is that
    of ``sum_lags (sum z z')^2 / sum (z z')^2``, which is chi-square for white residuals.

    Large images make tiny correlations significant: look at `largest` too; below 0.05 it rarely
    matters. The residual of a real denoiser is never quite white: its error follows the noise of
    the neighbours.

    Parameters
    ----------
    residual : array-like (y, x) or (z, y, x)
        Noisy minus clean image.
    variance : array-like
        Noise variance, one number or one per pixel, in squared image units.

    Raises
    ------
    InputError
        If shapes do not fit or values are not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(64, 64))
    >>> whiteness(noise, 1.0).p > 0.05
    True
    >>> w = whiteness(noise + np.roll(noise, 1, axis=1), 2.0)
    >>> w.at, round(w.largest, 1)
    ((0, 1), 0.5)
    """
    (r,) = blocks.pixels(residual)
    v = blocks.variances(variance, r.shape)
    used = v > 0
    z = np.divide(r, np.sqrt(v), out=np.zeros(r.shape), where=used)
    n = int(used.sum())
    rounding = 1e-9 * float(np.abs(z).max())  # that alone is no residual
    z = np.where(used, z - z.sum() / max(n, 1), 0.0)
    spread = math.sqrt(float((z**2).sum()) / max(n, 1))
    white = z / spread if spread > rounding else np.zeros(r.shape)
    pairs = np.rint(lagged_products(used.astype(np.float64), REACH))
    products, squares = (lagged_products(x, REACH) for x in (white, white**2))
    judged = (pairs >= FEWEST_PAIRS) & (squares > 1e-6 * max(n, 1))
    rho = np.divide(products, pairs, out=np.zeros(pairs.shape), where=judged)
    # The other half is its mirror.
    half = judged & (np.arange(rho.size).reshape(rho.shape) > rho.size // 2)
    chi2 = float((products[half] ** 2 / squares[half]).sum())
    lags = int(half.sum())
    best = np.unravel_index(np.argmax(np.where(half, np.abs(rho), -1)), rho.shape)
    error = float((np.sqrt(squares[half]) / pairs[half]).max(initial=0))
    return Whiteness(
        rho=rho,
        largest=float(rho[best]) if lags else 0.0,
        at=tuple(int(i) - REACH for i in best) if lags else (0,) * r.ndim,
        limit=-error * float(special.ndtri(0.025 / max(lags, 1))),
        p=float(special.chdtrc(lags, chi2)) if lags else 1.0,
    )


def residual_structure(
    noisy: ArrayLike, clean: ArrayLike, variance: ArrayLike
) -> ResidualStructure:
    """Does structure of the specimen remain in the residual ``r = noisy - clean``?

    Correlates the excess energy ``r^2 / variance - 1`` with the rank of the gradient of the clean
    image over the noise (Gaussian derivatives of 1.5 px). The excess has mean zero for any noise of
    that variance, bright or dark. Derivatives give the pixel itself no weight, so noise left in the
    clean image does not correlate by itself. The interval is a block jackknife.

    The variance must not be computed from the noisy pixel itself (noise that is high by chance
    would look small); compute it from the clean image. In a clean image without any gradient the
    correlation cannot be told: 0, from -1 to 1; look at `energy` then.

    Parameters
    ----------
    noisy, clean : array-like (y, x) or (z, y, x)
        Before and after denoising, in image units.
    variance : array-like
        Noise variance, one number or one per pixel.

    Raises
    ------
    InputError
        If shapes do not fit or values are not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = np.kron(rng.normal(size=(8, 8)), np.full((16, 16), 5.0))
    >>> noisy = truth + rng.normal(size=truth.shape)
    >>> residual_structure(noisy, truth, 1.0).correlation.significant
    False
    >>> residual_structure(noisy, ndimage.gaussian_filter(truth, 2), 1.0).correlation.low > 0
    True
    """
    y, x = blocks.pixels(noisy, clean)
    v = blocks.variances(variance, y.shape)
    used = v > 0
    energy = np.divide((y - x) ** 2, v, out=np.zeros(y.shape), where=used)
    length = blocks.side(y.shape)
    count = blocks.sums(used, length)
    n = float(count.sum())
    mean = float(energy.sum() / n) if n else 1.0
    smooth, significance = _map(energy, used, length)
    return ResidualStructure(
        _correlation(energy - mean, x, v, used, length), mean, smooth, significance
    )


def _correlation(
    excess: NDArray, clean: NDArray, v: NDArray, used: NDArray, length: int
) -> Interval:
    """Correlation of the excess energy with the rank of the structure."""
    scale = float(np.abs(clean).max())
    slope = ndimage.gaussian_gradient_magnitude(clean - clean.mean(), 1.5)
    slope[slope < 1e-12 * scale] = 0  # rounding of a flat image is no structure
    e = np.where(used, excess, 0.0)
    g = np.zeros(e.shape)
    if used.any():
        ranks = _ranks(slope[used] / np.sqrt(v[used]))
        g[used] = ranks / ranks.size - ranks.mean() / ranks.size
    moments = np.stack([blocks.sums(q, length) for q in (used, e, g, e * e, g * g, e * g)])

    def correlation(m: NDArray) -> NDArray:
        n, se, sg, see, sgg, seg = m
        safe = np.maximum(n, 1)
        power = (see - se**2 / safe) * (sgg - sg**2 / safe)
        root = np.sqrt(np.maximum(power, 0))
        covariance = seg - se * sg / safe
        return np.where(root > 1e-9, covariance / np.maximum(root, 1e-9), 0.0)

    value, error, degrees = blocks.jackknife(correlation, moments)
    if not (g.any() and e.any()):
        return Interval(0.0, -1.0, 1.0)
    reach = blocks.quantile(degrees) * error
    return Interval(value, max(-1.0, value - reach), min(1.0, value + reach))


def _ranks(values: NDArray) -> NDArray[np.float64]:
    """Ranks from 1; equal values share their mean (`scipy.stats` takes 0.4 s to load)."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse]


def _map(energy: NDArray, used: NDArray, length: int) -> tuple[NDArray, NDArray]:
    """Local mean of the energy, and its distance from 1 in standard errors.

    The spread of single pixels is 2 for Gaussian noise and more for photon counts; the median over
    blocks is not moved by the few blocks with lost structure.
    """
    filled = ndimage.gaussian_filter(used.astype(np.float64), WIDTH, mode="constant")
    total = ndimage.gaussian_filter(energy, WIDTH, mode="constant")
    # the square of a Gaussian window is one of width / sqrt(2), of mass (2 width sqrt(pi))^-ndim
    narrow = ndimage.gaussian_filter(used.astype(np.float64), WIDTH / math.sqrt(2), mode="constant")
    known = narrow > 1e-6  # else too far from any pixel used
    mean = np.divide(total, filled, out=np.ones(total.shape), where=known)
    mass = narrow / (2 * WIDTH * math.sqrt(math.pi)) ** energy.ndim
    count, first, second = (blocks.sums(q, length) for q in (used, energy, energy**2))
    full = count > 1
    spread = second[full] / count[full] - (first[full] / count[full]) ** 2
    error = np.sqrt(max(2.0, float(np.median(spread)) if full.any() else 2.0) * np.maximum(mass, 0))
    distance = np.divide((mean - 1) * filled, error, out=np.zeros(mean.shape), where=known)
    return mean, distance
