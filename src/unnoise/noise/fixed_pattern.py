"""What still frames tell about the detector: its fixed pattern, and its noise without the scene."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from unnoise.errors import InputError
from unnoise.noise.still_frames import blocks, filled, matched

LAGS = 8


@dataclass(frozen=True)
class FixedPattern:
    """A pattern of the detector that is the same in all frames; ``sd`` in grey levels.

    ``share`` is its fraction of the variance of the noise. ``texture`` says that something fixed
    was seen which the fine structure of a still scene explains as well; it is not ``found`` then.
    """

    found: bool
    sd: float
    share: float
    significance: float
    texture: bool

    def line(self) -> str | None:
        """One sentence for the user, or None."""
        if not self.found:
            return None
        return (
            f"A fixed pattern of {self.sd:.2g} grey levels ({100 * self.share:.2g} % of the noise "
            "variance) is the same in all frames: averaging or pairing frames keeps it."
        )


@dataclass(frozen=True, eq=False)
class RepeatNoise:
    """Noise measured from repeats: variance against signal, and spatial autocorrelation.

    ``autocorrelation`` has the shape (17, 17): lags -8..8 in y and x, 1 in the middle.
    ``significant`` is four standard errors of one of its values.
    """

    signal: NDArray[np.float64]
    variance: NDArray[np.float64]
    count: NDArray[np.int64]
    autocorrelation: NDArray[np.float64]
    significant: float

    @property
    def found(self) -> bool:
        """Whether neighbouring pixels share noise (beyond 5 % and four standard errors)."""
        rest = self.autocorrelation.copy()
        rest[LAGS, LAGS] = 0
        return bool(np.abs(rest).max() > max(0.05, self.significant))

    def line(self) -> str | None:
        """One sentence for the user, or None."""
        if not self.found:
            return None
        right = self.autocorrelation[LAGS, LAGS + 1]
        down = self.autocorrelation[LAGS + 1, LAGS]
        return (
            f"Differences of frames show that neighbouring pixels share noise (correlation "
            f"{right:.2f} along rows, {down:.2f} along columns): plain Noise2Void keeps part of it."
        )


def fixed_pattern(frames: ArrayLike) -> FixedPattern:
    """Fixed pattern noise: what a checkerboard high-pass finds alike in all frames.

    The covariance of even with odd frames is the variance of the fixed part, free of the noise,
    which falls as ``1/n``. It is measured in the flattest half of the blocks. A pattern of the
    detector is white; the texture of a scene seen through optics is stronger at coarser scales
    and where the scene is not flat, and is told by that.

    Parameters
    ----------
    frames : (n, y, x)
        At least 4 frames, else nothing is found.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pattern = rng.normal(0, 1, (128, 128))
    >>> result = fixed_pattern(rng.normal(100, 2, (8, 128, 128)) + pattern)
    >>> result.found, abs(result.sd - 1) < 0.1, abs(result.share - 0.2) < 0.05
    (True, True, True)
    """
    stack = np.asarray(frames)
    nothing = FixedPattern(False, 0.0, 0.0, 0.0, False)
    if stack.ndim != 3 or len(stack) < 4 or min(stack.shape[1:]) < 32:
        return nothing
    stack = _cut(stack)
    even, odd = (np.asarray(stack[k::2].mean(axis=0)) for k in (0, 1))
    first, second = stack[0], stack[-1]
    mean = ndimage.gaussian_filter((even + odd) / 2, 2)
    slope = blocks(np.hypot(*np.gradient(mean[1:-1, 1:-1])))
    flat = slope <= np.median(slope)
    fine, coarse = (blocks(f(even) * f(odd)) for f in (_checker, _second))
    error = float(fine[flat].std()) / sqrt(flat.sum())
    fixed = float(np.mean(fine[flat]))
    total = float(np.mean(blocks((_checker(first) ** 2 + _checker(second) ** 2) / 2)[flat]))
    if error <= 0 or fixed > 0.999 * total:  # no noise, or copies of one frame
        return nothing
    significance = fixed / error
    share = min(max(fixed / total, 0.0), 1.0)
    seen = significance > 6 and share > 0.01
    rough = float(np.mean(fine[~flat])) if (~flat).any() else fixed
    texture = float(np.mean(coarse[flat])) > 1.5 * fixed or rough > 2 * fixed
    sd = sqrt(max(fixed, 0.0))
    return FixedPattern(seen and not texture, sd, share, significance, seen and texture)


def noise_of_repeats(frames: ArrayLike, bins: int = 32) -> RepeatNoise:
    """Variance against signal, and spatial autocorrelation, from frames of a still scene.

    Differences of neighbouring frames cancel the scene: ``(y2 - y1)^2 / 2`` estimates the variance
    of each pixel without bias, and the autocorrelation of the differences is that of the noise.
    Pixels are sorted into bins of equal count by their mean over all frames.

    Parameters
    ----------
    frames : (n, y, x)
        Frames that `repeats` calls still; at most 32 are used, and of large ones the middle.
    bins : int
        Number of bins; bins of equal signal are merged.

    Raises
    ------
    InputError
        If there are fewer than two frames.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frames = rng.poisson(np.linspace(5, 50, 128), (8, 128, 128))
    >>> noise = noise_of_repeats(frames)
    >>> bool(np.allclose(noise.variance, noise.signal, rtol=0.1)), noise.found
    (True, False)
    """
    stack = _cut(np.asarray(frames))
    if len(stack) < 2:
        raise InputError(
            f"There are {len(stack)} frames, but noise is measured from two or more; give repeats."
        )
    stack = np.stack([matched(stack[0], frame) for frame in stack])
    mean = stack.mean(axis=0)
    differences = np.diff(stack, axis=0)
    squares = (differences**2).mean(axis=0) / 2
    cuts = np.unique(np.quantile(mean, np.arange(1, bins) / bins))
    index = np.searchsorted(cuts, mean.ravel(), side="right")
    count = np.bincount(index)
    used = count > 0
    signal = np.bincount(index, mean.ravel())[used] / count[used]
    variance = np.bincount(index, squares.ravel())[used] / count[used]
    scale = np.sqrt(np.interp(mean, signal, variance))
    # Bright regions are noisier: without this division they alone would decide.
    unit = differences / np.where(scale > 0, scale, np.inf)
    rho = _autocorrelation(unit)
    # Neighbouring differences share a frame: only every second is independent.
    significant = 4 / sqrt(mean.size * max(1, len(unit) / 2))
    return RepeatNoise(signal, variance, count[used], rho, significant)


def _cut(stack: NDArray) -> NDArray[np.float64]:
    """At most 32 frames and 8 million pixels, evenly in time, from the middle; filled float64."""
    n = min(32, len(stack))
    chosen = np.linspace(0, max(len(stack) - 1, 0), n).astype(int)
    side = max(128, int(sqrt((1 << 23) / max(n, 1))))
    y, x = ((m - min(m, side)) // 2 for m in stack.shape[1:])
    frames = [filled(stack[i, y : y + side, x : x + side]) for i in chosen]
    return np.array(frames).reshape(n, *np.minimum(stack.shape[1:], side))


def _checker(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The high-pass [1 -2 1] x [1 -2 1] of unit variance for white noise."""
    rows = x[:-2] - 2 * x[1:-1] + x[2:]
    return np.asarray(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6


def _second(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second difference along x of unit variance for white noise, cut to fit the checker."""
    rows = x[1:-1]
    return np.asarray(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / sqrt(6)


def _autocorrelation(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spatial autocorrelation over frames (n, y, x) at lags -8..8, normalised to 1 at lag 0."""
    unit = unit - unit.mean(axis=(1, 2), keepdims=True)
    h, w = unit.shape[1:]
    shape = [fft.next_fast_len(n + LAGS) for n in (h, w)]
    power = np.zeros((shape[0], shape[1] // 2 + 1))
    for frame in unit:
        power += np.abs(fft.rfft2(frame, shape)) ** 2
    sums = fft.irfft2(power, shape)
    lags = np.arange(-LAGS, LAGS + 1)
    pairs = np.outer(np.maximum(h - np.abs(lags), 1), np.maximum(w - np.abs(lags), 1)) * len(unit)
    means = sums[np.ix_(lags % shape[0], lags % shape[1])] / pairs
    middle = means[LAGS, LAGS]
    return np.asarray(means / middle) if middle > 0 else np.zeros_like(means)
