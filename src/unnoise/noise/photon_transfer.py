"""The photon-transfer curve of a picture: noise variance against intensity, past all texture.

Blocks of 8x8 pixels are turned into cosine coefficients. For independent noise these are
uncorrelated, so blocks can be chosen by their low frequencies, where texture lives, without any
bias to their high frequencies, where the variance is read. The blocks of every range of intensity
are taken in the order of their low-frequency energy for as long as the high frequencies agree.
The line through these is ``variance = gain * (signal - offset) + read noise`` (Foi, Trimeche,
Katkovnik, Egiazarian, IEEE Transactions on Image Processing 2008), or a parabola where
`unnoise.noise.quadratic_curve` finds that the variance grows faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from unnoise.noise import quadratic_curve
from unnoise.noise.cosine_blocks import Blocks, cut
from unnoise.noise.planes import calmest
from unnoise.noise.quadratic_curve import Quadratic

ROUNDS = 3
CALM = 0.92
"""Blocks with at most this share of the expected low-frequency energy are without texture."""
LEAK = 1.0  # share of the low-frequency energy of texture that may be found at high frequencies
RISE = 0.02
"""Most that the high frequencies of blocks with texture may exceed those of blocks without."""
BUSY = 1.5  # low-frequency energy, over that of noise, that noise alone hardly ever has
SHELLS, MUCH = (256.0, 64.0, 16.0, 4.0, 2.0), 16
"""Low-frequency energies, over that of noise, up to which this is tried."""
TEXTURE = 0.015
"""Relative error that texture leaves behind (BSD68, sigma 10: 2 %; sigma 25: 0.7 %)."""
FEWEST = 200  # blocks per range of intensity
MAX_BINS = 16
TILES = 12
"""Squares of the picture that the errors of `quadratic_curve` need."""
TAILS = 0.01
"""Relative error of white blocks: the brightest tails seem to be texture."""
APART = 0.12  # most that the level of the white blocks adds to the error
LEAST_SHARE = 0.04  # of white blocks that may be chance: of 200 the 8 that are always taken
AGREE = 2.0
"""Errors of the level from which the whole curve is moved to that of the white blocks."""
FEW_WHITE, MOST_WHITE = 0.3, 0.6
"""Shares of white blocks from which they have a say in the level, and the whole say."""
FAR = 30.0
"""Mean signal over its range from which the line is fitted around that mean."""
GROWN = 0.1
"""Change of the variance over the signals of the picture, in shares of its level, that counts."""
Row = tuple[float, float, float]
"""Of a range of intensity: its mean, the variance of the noise, and the standard error of that."""


@dataclass(frozen=True)
class PhotonTransfer:
    """Noise variance against intensity, in the units of the image.

    Attributes
    ----------
    signal, variance, error : ndarray, shape (bins,)
        Mean intensity, noise variance and its standard error in every range of intensity.
    gain, gain_low, gain_high : float
        Slope of the line and its 95 % interval: grey levels per photo-electron.
    intercept : float
        Variance of the line at intensity 0.
    curvature : float
        p value of the line: small where the curve is no line.
    level : float
        Mean variance over the pixels of the picture.
    level_error : float
        Relative standard error of `level`.
    square : tuple of four floats, or None
        ``variance = c0 + c1 d + c2 d^2`` with ``d = signal - centre``, as (centre, c0, c1, c2),
        where the curve surely bends upwards, as that of multiplicative noise does; `gain` is then
        the mean slope.
    falls : bool
        Whether the line surely falls, as in photographs, whose dark parts were brightened.

    Examples
    --------
    >>> y = np.random.default_rng(0).poisson(np.linspace(20, 200, 256), (1, 256, 256)) * 3.0
    >>> curve = measure(y)
    >>> bool(abs(curve.gain / 3 - 1) < 0.1), curve.is_signal_dependent
    (True, True)
    """

    signal: NDArray[np.float64]
    variance: NDArray[np.float64]
    error: NDArray[np.float64]
    gain: float
    gain_low: float
    gain_high: float
    intercept: float
    curvature: float
    level: float
    level_error: float
    square: tuple[float, float, float, float] | None = None
    falls: bool = False

    @property
    def is_signal_dependent(self) -> bool:
        """Whether the variance grows with intensity beyond doubt, and by more than a tenth."""
        growth = self.gain * float(np.ptp(self.signal))
        return self.gain_low > 0 and growth > GROWN * self.level

    @property
    def is_line(self) -> bool:
        """Whether the line describes the curve."""
        return self.curvature > 0.01

    @property
    def offset(self) -> float:
        """Intensity without light, where read noise is taken to be none; 0 where there is some.

        One picture shows the line alone: a larger offset and more read noise look the same.
        """
        return -self.intercept / self.gain if self.gain > 0 and self.intercept < 0 else 0.0

    @property
    def read_noise(self) -> float:
        """Standard deviation of the noise at `offset`."""
        return float(np.sqrt(max(self.intercept, 0.0))) if self.offset == 0 else 0.0

    def at(self, signal: ArrayLike) -> NDArray[np.float64]:
        """Noise variance at an intensity: a line or a square, or between the bins."""
        s = np.asarray(signal, np.float64)
        floor = max(float(self.variance.min()) * 0.25, 1e-300)
        if self.square is not None:
            centre, *c = self.square
            return np.maximum(np.polynomial.polynomial.polyval(s - centre, c), floor)
        if self.falls:  # and stays what it was where nothing was measured
            inside = np.clip(s, self.signal[0], self.signal[-1])
            return np.maximum(self.gain * inside + self.intercept, floor)
        if len(self.signal) == 1 or (self.is_line and not self.is_signal_dependent):
            return np.full(s.shape, max(self._mean(), 1e-300))
        if self.is_line:
            return np.maximum(self.gain * s + self.intercept, floor)
        return np.maximum(np.interp(s, self.signal, self.variance), floor)

    def _mean(self) -> float:
        """The level of the bins: of all as one where nothing grows, else of the line."""
        if self.gain_low <= 0 <= self.gain_high:
            weights = 1 / self.error**2
            return float((weights * self.variance).sum() / weights.sum())
        line = self.gain * self.signal + self.intercept
        return float(np.maximum(line, 0.2 * self.variance).mean())


def measure(
    planes: NDArray,
    excluded: NDArray[np.bool_] | None = None,
    *,
    shares: tuple[float, float] = (1.0, 1.0),
    falling: bool = False,
) -> PhotonTransfer | None:
    """Noise variance against intensity of one channel.

    Parameters
    ----------
    planes, excluded : ndarray, shape (n, y, x)
        Noisy planes of at least 16x16 pixels, and which of them are no measurement.
    shares : tuple of two floats
        Noise power of the low coefficients, which choose the blocks, and of the high ones, which
        are measured, over that of an average one: 1 for independent noise;
        `unnoise.noise.correlated_curve.shares` gives them for correlated noise.
    falling : bool
        Whether the line may fall; otherwise noise that seems to is of one strength.

    Returns
    -------
    PhotonTransfer or None
        None where every block is constant or clipped.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(100, 5, (1, 128, 128))
    >>> round(measure(noise).level ** 0.5, 1)
    5.0
    """
    # By a power of two, which is exact: squares of squares of 1e-30 or 1e30 leave float64.
    unit = float(2.0 ** np.round(np.log2(max(float(np.ptp(planes)), 1e-300))))
    blocks, clipped = cut(planes / unit, FEWEST, excluded)
    blocks = replace(blocks, low=blocks.low / shares[0], high=blocks.high / shares[1])
    whole = blocks.part(~clipped)
    mean, low, high = whole.mean, whole.low, whole.high
    if len(mean) < 4:
        return None
    n_bins = int(np.clip(len(mean) // FEWEST, 1, MAX_BINS))
    groups = np.array_split(np.argsort(mean, kind="stable"), n_bins)
    curve = _start(groups, mean, low, high)
    for _ in range(ROUNDS):
        curve = fitted(_calm(groups, mean, low, high, curve))
        fall = -curve.gain * float(np.ptp(curve.signal))
        sure = curve.is_line and curve.gain_high < 0 and fall > GROWN * curve.level
        curve = replace(curve, falls=falling and sure)
    if len(np.unique(whole.tile)) >= TILES:
        curve = _joined(curve, quadratic_curve.fit(whole, n_bins))
    return scaled(_with_clipped(curve, len(mean), blocks.part(clipped)), unit, 1.0)


def _joined(curve: PhotonTransfer, found: Quadratic) -> PhotonTransfer:
    """The curve with what all white blocks say of it.

    Calm blocks have too little of noise with bright tails, white ones too much texture: the level
    lies between, and its error holds the difference. While both agree the curve stays as it is.
    """
    if found.is_convex:
        signal, variance, errors = (np.array(column) for column in zip(*found.rows, strict=True))
        half = 1.96 * found.slope_error
        curve = replace(
            curve,
            signal=signal,
            variance=variance,
            error=np.hypot(errors, TEXTURE * variance),
            gain=found.slope,
            gain_low=found.slope - half,
            gain_high=found.slope + half,
            intercept=found.coefficients[0] - found.slope * found.centre,
            curvature=min(curve.curvature, quadratic_curve.p_value(found.bend)),
            square=(found.centre, *found.coefficients),
        )
    if found.is_convex or found.uneven:
        error = TEXTURE / found.share + TAILS * found.is_convex + found.level_error / found.level
        return replace(curve, level=found.level, level_error=error)
    apart = found.level / curve.level - 1
    share = min(found.share, found.bright)
    part = float(np.clip((share - FEW_WHITE) / (MOST_WHITE - FEW_WHITE), 0, 1))
    if abs(apart) > 2 * APART:  # more than tails of noise do: hot pixels are white, too
        part = 0.0
    texture = TEXTURE / np.sqrt(max(found.share, LEAST_SHARE))
    error = math.hypot(curve.level_error, min(abs(apart), APART), texture)
    level = curve.level * (1 + part * apart)
    if abs(part * apart) > AGREE * curve.level_error:
        curve = scaled(curve, 1.0, 1 + part * apart)
        move = abs(part * apart * curve.gain)
        curve = replace(curve, gain_low=curve.gain_low - move, gain_high=curve.gain_high + move)
    return replace(curve, level=level, level_error=error)


def _with_clipped(curve: PhotonTransfer, n: int, clipped: Blocks) -> PhotonTransfer:
    """The curve with the level of the whole picture, of which so many blocks are not clipped.

    Pixels that are cut off at an end have less noise than before: the level lies between, and both
    in its interval. Zeros of sparse counts are cut off nowhere, and there the two agree.
    """
    if len(clipped) == 0:
        return curve
    before = curve.at(clipped.mean)
    after = quadratic_curve.total(clipped, before, FEWEST)
    levels = (curve.level * n + np.array([before.sum(), after])) / (n + len(clipped))
    level, apart = float(levels.mean()), float(np.ptp(levels)) / 2
    return replace(curve, level=level, level_error=math.hypot(curve.level_error, apart / level))


def _start(groups: list[NDArray], mean: NDArray, low: NDArray, high: NDArray) -> PhotonTransfer:
    """A first curve from the calmest fiftieth of every range."""
    rows = []
    for group in groups:
        calm = group[calmest(low[group], 0.02, at_least=8)]
        value = float(high[calm].mean())
        rows.append((float(mean[group].mean()), value, value * (2 / len(calm)) ** 0.5))
    return fitted(rows)


def _calm(
    groups: list[NDArray], mean: NDArray, low: NDArray, high: NDArray, curve: PhotonTransfer
) -> list[Row]:
    """The ranges again, from blocks whose low frequencies hold noise alone."""
    expected = curve.at(mean)
    ratio = low / expected
    limit = max(CALM, float(np.quantile(ratio, min(FEWEST / len(ratio), 1.0))))
    wider = _wider(groups, ratio, high / expected, limit)
    leak = LEAK if wider == limit else RISE / wider
    rows = []
    for group in groups:
        calm = group[ratio[group] <= wider]
        if len(calm) < 8:  # no calm block: the calmest ones, with what their texture may add
            calm = group[calmest(ratio[group], 0.01, at_least=8)]
        variance = float(high[calm].mean())
        # Blocks overlap, so their mean is known as if there were 0.4 times as many.
        error = float(high[calm].std() / np.sqrt(0.4 * len(calm)))
        textured = leak * max(float(low[calm].mean()) - variance, 0.0)
        error = float(np.hypot(np.hypot(error, textured), TEXTURE * variance))
        rows.append((float(mean[calm].mean()), variance, error))
    return rows


def _wider(groups: list[NDArray], ratio: NDArray, high: NDArray, limit: float) -> float:
    """The largest limit up to which more low-frequency energy brings no more at high ones.

    Smooth texture, as a microscope blurs it, leaves the high frequencies alone, and whole ranges
    of intensity may hold nothing else. Blocks with texture are compared with the calmest fifth of
    the same range; `high` is that over its expectation.
    """
    for wider in SHELLS:
        rises, weights = [0.0], [0.0]
        for group in groups:
            r, values = ratio[group], high[group]
            calm = max(limit, float(np.quantile(r, 0.2)))
            below, shell = values[r <= calm], values[(r > max(calm, BUSY)) & (r <= wider)]
            if min(len(below), len(shell)) >= 8:
                rises.append(float(shell.mean() / below.mean()) - 1)
                weights.append(1 / (1 / len(below) + 1 / len(shell)))
        total = sum(weights)
        # A mean of 16 squared coefficients has a relative variance of 2/16; blocks overlap.
        error = (0.125 / 0.4 / max(total, 1e-9)) ** 0.5
        # Texture that leaks at all would leak much where there is so much of it.
        allowed, least = (RISE / 2 + error, 2 * RISE) if wider >= MUCH else (RISE / 2, RISE)
        if error < least and np.dot(rises, weights) / total < allowed:
            return max(limit, wider)
    return limit


def fitted(rows: Sequence[Row]) -> PhotonTransfer:
    """The line through the curve: weighted least squares, bins high above it left out.

    Texture adds variance and never takes any, so only bins above the line are suspect.
    """
    signal, variance, error = (np.array(column) for column in zip(*rows, strict=True))
    kept = np.ones(len(signal), bool)
    slope, intercept, doubt = 0.0, float(variance[0]), 0.0
    expected = variance
    for _ in range(4):
        if kept.sum() < 3 or np.ptp(signal[kept]) == 0:
            break
        # The expected variance gives the weights: bins that came out low would get too much.
        sigma = error * np.maximum(expected, 0.2 * variance) / variance
        slope, intercept, doubt = _line(signal[kept], variance[kept], sigma[kept])
        expected = np.maximum(slope * signal + intercept, 0.2 * variance)
        excess = (variance - expected) / np.maximum(sigma, 1e-300)
        wanted = excess < 4
        if wanted.sum() < max(3, len(signal) // 2) or (wanted == kept).all():
            break
        kept = wanted
    left = (variance - slope * signal - intercept)[kept] / error[kept]
    degrees = int(kept.sum()) - 2
    chi2 = float((left**2).sum())
    p = float(special.chdtrc(degrees, chi2)) if degrees > 0 else 1.0
    if (~kept[1:] & ~kept[:-1]).any():  # texture is found here and there; neighbours are a bend
        p = 0.0
    if degrees > 0:
        doubt *= max(chi2 / degrees, 1.0)
    half = 1.96 * float(np.sqrt(doubt))
    weights = 1 / error**2
    line = np.maximum(slope * signal + intercept, 0.2 * variance)
    level = float((line if p > 0.01 else variance).mean())  # bins hold equally many blocks
    if half >= abs(slope):  # no dependence: all bins measure the same level
        level = float((weights * variance).sum() / weights.sum())
    level_error = float(np.hypot(1 / np.sqrt((weights * level**2).sum()), TEXTURE))
    return PhotonTransfer(
        signal=signal,
        variance=variance,
        error=error,
        gain=slope,
        gain_low=slope - half,
        gain_high=slope + half,
        intercept=intercept,
        curvature=p,
        level=level,
        level_error=level_error,
    )


def _line(x: NDArray, y: NDArray, sigma: NDArray) -> tuple[float, float, float]:
    """Slope, intercept and the variance of the slope, by weighted least squares."""
    # Offsets far beyond the range (300 K, 1e6 counts) would leave no digits for the slope.
    centre = float(x.mean()) if abs(float(x.mean())) > FAR * float(np.ptp(x)) else 0.0
    design = np.stack([x - centre, np.ones_like(x)], 1) / sigma[:, None]
    inverse = np.linalg.pinv(design.T @ design)
    slope, middle = inverse @ design.T @ (y / sigma)
    return float(slope), float(middle) - float(slope) * centre, float(inverse[0, 0])


def scaled(curve: PhotonTransfer, unit: float, share: float) -> PhotonTransfer:
    """The curve in another unit of intensity, with all variances multiplied by a share."""
    factors = {
        "signal": unit,
        **dict.fromkeys(("gain", "gain_low", "gain_high"), unit * share),
        **dict.fromkeys(("variance", "error", "intercept", "level"), unit**2 * share),
    }
    square = curve.square
    if square is not None:
        centre, constant, slope, bend = square
        square = (centre * unit, constant * unit**2 * share, slope * unit * share, bend * share)
    changed = {k: getattr(curve, k) * factor for k, factor in factors.items()}
    return replace(curve, square=square, **changed)
