"""Noise that was cut off: what is seen of a signal, and the signal behind what is seen.

A value is written as ``clip(signal + noise, low, high)`` with normal noise of variance v. Its mean
and variance are those of a censored normal number (Johnson, Kotz, Balakrishnan, *Continuous
Univariate Distributions*, chapter 10; Foi, *Clipped noisy images*, Signal Processing 2009). The
mean rises with the signal, so a mean of many pixels, which is what a denoiser finds, can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from unnoise.noise.artifacts.histogram import Saturation
from unnoise.noise.noise_models import Clipped
from unnoise.noise.photon_transfer import PhotonTransfer

KNOTS, NOWHERE = 257, 1e30
"""Signals that are told of, and how far an end that cuts nothing off lies, in largest signals."""
LEAST_MOVE = 0.05
"""Standard deviations of noise below which a shift of the mean is not worth a change."""


def seen(
    signal: ArrayLike, variance: ArrayLike, low: float = -np.inf, high: float = np.inf
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of ``clip(signal + noise, low, high)`` with normal noise.

    Examples
    --------
    >>> mean, variance = seen(0.0, 1.0, low=0.0)
    >>> round(float(mean), 4), round(float(variance), 4)
    (0.3989, 0.3408)
    """
    s, v = np.broadcast_arrays(np.asarray(signal, np.float64), np.asarray(variance, np.float64))
    sd = np.sqrt(np.maximum(v, 1e-300))
    # With the signal as origin, numbers of the size of the noise are left.
    mean, square = np.zeros(s.shape), np.zeros(s.shape)
    below, above = np.zeros(s.shape), np.ones(s.shape)
    at_low, at_high = np.zeros(s.shape), np.zeros(s.shape)
    if np.isfinite(low):
        a = (low - s) / sd
        below, at_low = ndtr(a), _bell(a)
        mean, square = mean + a * below + at_low, square + a * a * below + a * at_low
    if np.isfinite(high):
        b = (high - s) / sd
        above, at_high = ndtr(b), _bell(b)
        mean = mean + b * ndtr(-b) - at_high
        square = square + b * b * ndtr(-b) - b * at_high
    square = square + above - below
    return s + sd * mean, v * np.maximum(square - mean**2, 0)


def latent(
    mean: ArrayLike, variance: ArrayLike, low: float = -np.inf, high: float = np.inf
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signal and noise variance whose clipped values have this mean and variance.

    Either end is undone on its own, the nearer one for every value. Of what lies nearly all beyond
    an end nothing can be told; there the signal is at most a standard deviation beyond it.

    Examples
    --------
    >>> signal, variance = latent(*seen(5.0, 100.0, low=0.0), low=0.0)
    >>> round(float(signal), 2), round(float(variance), 1)
    (5.0, 100.0)
    """
    m, v = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(variance, np.float64))
    if np.isfinite(low) and np.isfinite(high):
        dark = m - low < high - m
        ends = (latent(m, v, low=low), latent(m, v, high=high))
        signal, noise = (np.where(dark, one, two) for one, two in zip(*ends, strict=True))
        return signal, noise
    if np.isfinite(high):
        signal, noise = latent(-m, v, low=-high)
        return -signal, noise
    if not np.isfinite(low):
        return m.astype(np.float64), v.astype(np.float64)
    # Distance of the signal from the end in standard deviations, told by that of the mean.
    at = np.linspace(-1, 8, 1801)
    means, variances = seen(at, 1.0, low=0.0)
    ratio = (m - low) / np.sqrt(np.maximum(v, 1e-300))
    place = np.interp(ratio, means / np.sqrt(variances), at)
    far = ratio > at[-1]
    noise = np.where(far, v, v / np.interp(place, at, variances))
    return np.where(far, m, low + place * np.sqrt(noise)), noise


@dataclass(frozen=True)
class Declipping:
    """What is added to results, which are means of clipped pixels, for the signal behind.

    Attributes
    ----------
    at, add : ndarray, shape (KNOTS,)
        Means of clipped pixels, ascending, and how far the signal lies from each.
    variance : ndarray, shape (KNOTS,)
        Of the noise before it was cut off, at the signals ``at + add``.
    low, high : float
        Where values are cut off; infinite where they are not.
    """

    at: NDArray[np.float64]
    add: NDArray[np.float64]
    variance: NDArray[np.float64]
    low: float
    high: float

    @property
    def most(self) -> tuple[float, float]:
        """How much too bright the darkest places are, and how much too dark the brightest."""
        return max(-float(self.add[0]), 0.0), max(float(self.add[-1]), 0.0)

    def model(self) -> Clipped:
        """The noise as a model that knows the ends."""
        far = NOWHERE * float(np.abs(self.at).max())
        ends = (float(np.clip(end, -far, far)) for end in (self.low, self.high))
        return Clipped(self.at + self.add, self.variance, *ends)


def declipping(curve: PhotonTransfer, saturation: Saturation) -> Declipping | None:
    """How means of clipped pixels are undone, with the measured noise; None: nothing to do.

    Signals beyond an end, where more than half of the pixels are cut off, are taken to be at it.

    Examples
    --------
    >>> from unnoise.noise.artifacts.histogram import saturation
    >>> from unnoise.noise.photon_transfer import measure
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(np.linspace(0, 60, 256), 10, (1, 256, 256)).clip(0)
    >>> found = declipping(measure(y), saturation(y))
    >>> round(found.most[0], 1)
    4.0
    """
    low = saturation.bottom if saturation.clipped_bottom else -np.inf
    high = saturation.top if saturation.clipped_top else np.inf
    if not saturation.found:
        return None
    signal, variance = latent(curve.signal, curve.variance, low, high)
    first = max(low, float(signal.min()) - 3 * float(np.sqrt(variance.max())))
    last = min(high, float(signal.max()) + 3 * float(np.sqrt(variance.max())))
    signals = np.linspace(first, last, KNOTS)
    noise = _line(signals, signal, variance, curve.error * variance / curve.variance)
    means = np.maximum.accumulate(seen(signals, noise, low, high)[0])
    means = means + 1e-9 * (last - first) * np.arange(KNOTS)  # rising, where both ends are near
    add = signals - means
    if np.abs(add).max() < LEAST_MOVE * float(np.sqrt(noise.min())):
        return None
    return Declipping(means, add, noise, low, high)


def _line(at: NDArray, signal: NDArray, variance: NDArray, error: NDArray) -> NDArray[np.float64]:
    """Noise at signals by the line through measured ones; the mean where it does not grow."""
    w = 1 / np.maximum(error, 1e-300) ** 2
    mean, level = (float((w * v).sum() / w.sum()) for v in (signal, variance))
    spread = float((w * (signal - mean) ** 2).sum())
    slope = 0.0 if spread == 0 else float((w * (signal - mean) * (variance - level)).sum()) / spread
    if slope * spread**0.5 < 3:  # less than three standard errors
        slope = 0.0
    return np.asarray(np.maximum(level + slope * (at - mean), 0.25 * variance.min()))


def _bell(z: NDArray) -> NDArray[np.float64]:
    """Density of the standard normal distribution."""
    return np.asarray(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
