"""How much closer to the truth, without the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.errors import InputError
from unnoise.noise.confidence_interval import Interval
from unnoise.quality import blocks


@dataclass(frozen=True)
class Gain:
    """Estimated error of a clean image.

    Parameters
    ----------
    mse : Interval
        Mean squared error of the clean image, in squared image units; an unbiased estimate, so it
        may come out negative where the truth is near zero.
    psnr : Interval
        PSNR gain over the noisy image in dB; `high` is infinite where the error may be zero.
    snr : float
        Variance of the clean image over its mean squared error.
    consistent : bool
        False if the residual is smaller than the noise by more than chance: the noise level
        or the correction is wrong, and the interval of the gain says nothing.
    """

    mse: Interval
    psnr: Interval
    snr: float
    consistent: bool

    def __str__(self) -> str:
        """The gain in words."""
        if not self.consistent:
            return "gain unknown: less was removed than the noise that was measured"
        if math.isinf(self.psnr.low):
            return "gain unknown: the noise level is too uncertain"
        if math.isinf(self.psnr.high):
            return f"gain of at least {self.psnr.low:.1f} dB"
        return f"gain of {self.psnr.value:.1f} dB ({self.psnr.low:.1f} to {self.psnr.high:.1f})"


def gain(
    noisy: ArrayLike,
    clean: ArrayLike,
    variance: ArrayLike,
    *,
    relative_error: float,
    correction: float = 0.0,
    correction_error: float = 0.0,
    inside: NDArray[np.bool_] | None = None,
) -> Gain:
    """Mean squared error of `clean` and its PSNR gain over `noisy`, with 95 % intervals.

    With noise n and error e of the clean image, ``r = noisy - clean = n - e``, so ``E e^2 = E r^2 -
    E n^2 + 2 E (n e)``. The last term is zero where the output does not see its own pixel (Batson
    and Royer, ICML 2019); else it is the penalty of SURE (Stein 1981), which the caller supplies.

    The gain is ``10 log10(V / M)``, where V is the noise variance and M the error. The interval
    joins the sampling error of ``mean(r^2 - variance)`` (jackknife over blocks) and that of the
    noise level, which moves V up and M down. It is Fieller's (J. R. Stat. Soc. B 1954), exact for
    ratios whose denominator may be zero: then it is open above.

    Parameters
    ----------
    noisy, clean : array-like (y, x) or (z, y, x)
        Before and after denoising, in image units.
    variance : array-like
        Noise variance, one number or one per pixel.
    relative_error : float
        Standard error of the variance over the variance, e.g. 0.02.
    correction : float
        ``2 cov(clean, noise)``: 0 where no pixel of `clean` depends on the noise of the same pixel
        of `noisy`.
    correction_error : float
        Its standard error.
    inside : ndarray of bool, optional
        Which pixels count.

    Raises
    ------
    InputError
        If shapes do not fit or values are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> truth = np.zeros((128, 128))
    >>> noisy = truth + rng.normal(size=truth.shape)
    >>> result = gain(noisy, truth + 0.5, 1.0, relative_error=0.01)
    >>> result.psnr.low < 6.02 < result.psnr.high  # 10 log10(1 / 0.25)
    True
    """
    if not (math.isfinite(relative_error) and relative_error >= 0):
        raise InputError(f"the relative error is {relative_error}; it must be 0 or more")
    y, x = blocks.pixels(noisy, clean)
    v = blocks.variances(variance, y.shape)
    excess, sampling, degrees = blocks.mean((y - x) ** 2 - v, inside)
    level = float((v if inside is None else v[inside]).mean())
    sampling = math.hypot(sampling, correction_error)
    mse = excess + correction
    reach = blocks.quantile(degrees)
    spread = math.hypot(sampling, relative_error * level)
    return Gain(
        mse=Interval.around(mse, reach * spread),
        psnr=_ratio(level, mse, relative_error * level, sampling, reach),
        snr=float((x if inside is None else x[inside]).var()) / mse if mse > 0 else math.inf,
        consistent=mse + reach * spread >= 0,
    )


def gain_ceiling(
    noisy: ArrayLike, clean: ArrayLike, *, inside: NDArray[np.bool_] | None = None
) -> float:
    """What the PSNR gain cannot exceed in dB, whatever the noise is.

    Its variance V is at most that of the noisy image. A result that follows the noise of its own
    pixels, if at all, to their side has an error of ``E r^2 - V`` at least; over V, that is least
    where V is largest. So a result that is off by more than the picture itself is known to be
    wrong where nothing can be measured, and under correlated noise.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(size=(64, 64))
    >>> gain_ceiling(noisy, np.zeros(noisy.shape)), gain_ceiling(noisy, noisy + 9) < -15
    (inf, True)
    """
    y, x = blocks.pixels(noisy, clean)
    square, error, degrees = blocks.mean((y - x) ** 2, inside)
    most = float((y if inside is None else y[inside]).var())
    least = square - blocks.quantile(degrees) * error - most
    return _decibel(most / least) if most > 0 and least > most else math.inf


def _ratio(v: float, m: float, dv: float, dm: float, reach: float) -> Interval:
    """Fieller's interval of v / m in dB.

    An error d of v makes an error -d of m, so the variance of ``v - rho m`` is
    ``dv^2 (1 + rho)^2 + dm^2 rho^2``; rho belongs to the interval if
    ``(v - rho m)^2 <= reach^2`` times that: ``a rho^2 - 2 b rho + c <= 0``.
    """
    # By a power of two, which is exact: squares of squares of 1e40 leave float64.
    unit = math.ldexp(1.0, -math.frexp(v)[1])
    v, m, dv, dm = (x * unit for x in (v, m, dv, dm))
    value = _decibel(v / m if m > 0 else math.inf)
    if m + reach * math.hypot(dm, dv) < 0 or not math.isfinite(dm):
        return Interval(value, -math.inf, math.inf)
    a = m**2 - reach**2 * (dv**2 + dm**2)
    b = v * m + (reach * dv) ** 2
    c = v**2 - (reach * dv) ** 2
    if c <= 0:  # the noise itself may be zero
        return Interval(value, -math.inf, math.inf)
    root = math.sqrt(max(b**2 - a * c, 0.0))
    low = c / (b + root) if b + root > 0 else math.inf
    high = (b + root) / a if a > 0 else math.inf
    return Interval(value, _decibel(low), _decibel(high))


def _decibel(ratio: float) -> float:
    """Ten times the decimal logarithm, infinite at both ends."""
    return 10 * math.log10(ratio) if 0 < ratio < math.inf else math.copysign(math.inf, ratio - 1)
