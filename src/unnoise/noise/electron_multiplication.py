"""The noise of a register that multiplies electrons (EMCCD): its density, and halves of it.

Every photo-electron comes out as an exponential number of electrons, so n of them, a Poisson
number of mean m, give a sum of variance 2 m: the excess noise factor of 2 (Robbins, Hadwen, IEEE
Transactions on Electron Devices 2003; Basden, Haniff, Mackay, MNRAS 2003). With normal read noise
of variance r the characteristic function is

    exp(m / (1 - i t) - m - r t**2 / 2).

All here is in photo-electrons after multiplication: mean m, one electron is 1. Any power of that
function is the noise of a share of the light with the same share of the read noise, so a pixel can
be split into two that are independent, as photons are (Neufeld, Dharamshi, Gao, Witten, Journal of
Machine Learning Research 2024: data thinning of what can be divided infinitely often).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

LEAST_READ = 0.02
"""Read noise in squared electrons below which the peak of no electron at all is widened to that."""
MANY = 40.0
"""Electrons from which a gamma distribution with the same first three moments is the density."""
REACH = 10.0
"""Standard deviations up to which densities are computed."""
LOG_FLOOR = -27.0
"""Least logarithm of a density: what a sum of 1e5 terms in float64 can tell from 0."""
MOST, FAR = 3000.0, 4.0
"""Electrons up to which halves are tabled, and how far the roots of value and mean may lie apart:
there the density is e**-16."""
LEVELS = 65
"""Probabilities at which quantiles are known."""


def density(
    electrons: float, read_variance: float, share: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places, evenly spaced, and the density of the noisy value there.

    Parameters
    ----------
    electrons : float
        Mean number of photo-electrons of the pixel.
    read_variance : float
        In squared electrons.
    share : float
        The share of the light, and of the read variance, that is meant.

    Examples
    --------
    >>> x, p = density(3.0, 0.1)
    >>> step = x[1] - x[0]
    >>> bool(abs((p * x).sum() * step - 3) < 1e-3), bool(abs(p.sum() * step - 1) < 1e-3)
    (True, True)
    """
    narrow = np.sqrt(share * read_variance)
    mean, wide = share * electrons, np.sqrt(share * (2 * electrons + read_variance))
    low = max(-8 * narrow, mean - REACH * wide) - narrow
    high = mean + REACH * wide + 20
    # The peak of no electron is as narrow as the read noise; where it is empty, the rest is wide.
    finest = narrow if share * electrons < 30 else wide / 8
    step = float(np.clip(finest / 3, (high - low) / 16_384, (high - low) / 512))
    n = 1 << int(np.ceil(np.log2((high - low) / step + 1)))
    t = 2 * np.pi * np.fft.fftfreq(n, step)
    power = share * (electrons / (1 - 1j * t) - electrons - read_variance * t**2 / 2)
    p = np.fft.fft(np.exp(power - 1j * t * low)).real / (n * step)
    return low + step * np.arange(n), np.maximum(p, 0)


def log_density(
    values: NDArray[np.float64], electrons: NDArray[np.float64], read_variance: float
) -> NDArray[np.float64]:
    """Logarithm of the density of noisy values, given the mean number of electrons of each.

    Examples
    --------
    >>> at = np.array([0.0, 1.0])
    >>> x, p = density(2.0, 0.1)
    >>> found = np.exp(log_density(at, np.full(2, 2.0), 0.1))
    >>> np.allclose(found, np.interp(at, x, p), rtol=0.02)
    True
    """
    read = max(read_variance, LEAST_READ)
    known, places, table = _log_table(read)
    row = np.interp(np.sqrt(np.maximum(electrons, 0)), np.sqrt(known), np.arange(len(known)))
    column = np.interp(values, places, np.arange(len(places)))
    i = np.minimum(row.astype(np.int64), len(known) - 2)
    j = np.minimum(column.astype(np.int64), len(places) - 2)
    a, b = row - i, column - j
    few = (1 - a) * ((1 - b) * table[i, j] + b * table[i, j + 1])
    few += a * ((1 - b) * table[i + 1, j] + b * table[i + 1, j + 1])
    variance = 2 * np.maximum(electrons, MANY) + read
    scale = 3 * np.maximum(electrons, MANY) / variance
    shape = variance / scale**2
    shifted = np.maximum((values - electrons) / scale + shape, 1e-12)
    many = (shape - 1) * np.log(shifted) - shifted - gammaln(shape) - np.log(scale)
    return np.asarray(np.maximum(np.where(electrons < MANY, few, many), LOG_FLOOR))


@lru_cache(maxsize=16)
def _log_table(read_variance: float) -> tuple[NDArray, NDArray, NDArray]:
    """Numbers of electrons, places, and the logarithm of the density."""
    electrons = np.linspace(0.03, np.sqrt(MANY), 128) ** 2  # in roots all are equally far apart
    narrow = np.arange(-8, 8, 0.1) * np.sqrt(read_variance)
    places = np.union1d(narrow, np.sinh(np.linspace(-4.0, np.arcsinh(8 * MANY), 1500)))
    found = (density(float(m), read_variance) for m in electrons)
    rows = [np.log(np.interp(places, x, p, left=0, right=0) + np.exp(LOG_FLOOR)) for x, p in found]
    return electrons, places, np.array(rows)


@dataclass(frozen=True, eq=False)
class Halves:
    """How a noisy value is split in two: quantiles of the second part, given value and mean.

    Attributes
    ----------
    share : float
        Of the light and of the read variance, in the second part.
    electrons, values, levels : ndarray
        Where the table is known: means, noisy values, and probabilities.
    second : ndarray of float32, shape (len(electrons), len(values), len(levels))
        In electrons. Its mean over the levels is ``share * value``, exactly.
    """

    share: float
    electrons: NDArray[np.float64]
    values: NDArray[np.float64]
    levels: NDArray[np.float64]
    second: NDArray[np.float32]


@lru_cache(maxsize=32)
def halves(read_variance: float, share: float) -> Halves:
    """The table of a split, of the conditional density f_share(w) f_rest(value - w).

    Examples
    --------
    >>> table = halves(0.1, 0.2)
    >>> weights = np.diff(table.levels)
    >>> middle = (table.second[..., 1:] + table.second[..., :-1]) / 2
    >>> np.allclose((middle * weights).sum(-1), 0.2 * table.values, atol=1e-3)
    True
    """
    read = max(read_variance, LEAST_READ)
    narrow, part = np.sqrt(read), np.sqrt(share * read)
    electrons = np.geomspace(0.02, MOST, 44)
    # Noisy values are dense where single electrons can be told apart.
    near = np.arange(-5 * narrow, 3, min(narrow / 2.5, 0.25))
    values = np.append(near, np.geomspace(near[-1] + 0.25, 1.5 * MOST, 120))
    levels = (1 - np.cos(np.linspace(0, np.pi, LEVELS))) / 2
    inner = np.clip(levels, 1e-4, 1 - 1e-4)
    places = np.concatenate(
        [
            np.arange(-6 * part, 6 * part, part / 3),
            np.arange(6 * part, 12.0, max(narrow / 3, part / 3)),
            np.geomspace(12.0 + narrow, share * values[-1] + 40 * np.sqrt(share * MOST), 240),
        ]
    )
    second = np.empty((len(electrons), len(values), LEVELS))
    for row, m in zip(second, electrons, strict=True):
        x, p = density(float(m), read, share)
        own = np.interp(places, x, p, left=0, right=0)
        x, p = density(float(m), read, 1 - share)
        joint = own * np.interp(values[:, None] - places, x, p, left=0, right=0)
        pieces = (joint[:, 1:] + joint[:, :-1]) / 2 * np.diff(places)
        total = np.concatenate([np.zeros((len(values), 1)), pieces.cumsum(1)], 1)
        total /= np.maximum(total[:, -1:], 1e-300)
        for cell, below in zip(row, total, strict=True):
            cell[:] = np.interp(inner, below + 1e-12 * np.arange(len(places)), places)
    # Values that no such mean explains are split as by the nearest mean that does.
    roots = np.sqrt(np.maximum(values, 0))
    likely = np.clip(electrons[:, None], np.maximum(roots - FAR, 0) ** 2, (roots + FAR) ** 2)
    nearest = np.abs(np.log(electrons) - np.log(np.maximum(likely, 0.02))[..., None]).argmin(-1)
    second = second[nearest, np.arange(len(values))]
    # Halves of something that is divided fairly have their share of it on average.
    mean = ((second[..., 1:] + second[..., :-1]) / 2 * np.diff(levels)).sum(-1, keepdims=True)
    second += share * values[:, None] - mean
    return Halves(share, electrons, values, levels, second.astype(np.float32))
