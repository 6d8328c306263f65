"""Noise along lines: rows and columns that are shifted as a whole, and periodic interference."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees, hypot, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.images.robust_sigma import robust_sigma
from unnoise.noise.planes import blocks, centred, middle

WIDE = 1024  # the spectrum is taken of at most this much of the plane
SEGMENTS = 8


@dataclass(frozen=True)
class Stripes:
    """Offsets of whole rows and columns: standard deviations in grey levels.

    ``rows_share`` and ``columns_share`` are fractions of the standard deviation of the noise;
    significances are in standard errors.
    """

    rows: float
    rows_share: float
    rows_significance: float
    columns: float
    columns_share: float
    columns_significance: float

    @property
    def direction(self) -> str:
        """``rows``, ``columns``, ``both`` or ``none``."""
        rows = self.rows_significance > 6 and self.rows_share > 0.03
        columns = self.columns_significance > 6 and self.columns_share > 0.03
        return {(1, 0): "rows", (0, 1): "columns", (1, 1): "both"}.get((rows, columns), "none")

    @property
    def found(self) -> bool:
        """Whether rows or columns are significantly shifted."""
        return self.direction != "none"

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        what = {
            "rows": f"Rows are shifted as a whole by {self.rows:.2g} grey levels "
            f"({100 * self.rows_share:.0f} % of the noise)",
            "columns": f"Columns are shifted as a whole by {self.columns:.2g} grey levels "
            f"({100 * self.columns_share:.0f} % of the noise)",
            "both": f"Rows and columns are shifted as a whole by {self.rows:.2g} and "
            f"{self.columns:.2g} grey levels",
        }[self.direction]
        return (
            f"{what}: such stripes are predictable along the line, so plain Noise2Void keeps "
            "them; a mask along the line (structN2V) removes them."
        )


@dataclass(frozen=True)
class Peak:
    """A wave in the image; frequencies in cycles per pixel, amplitude in grey levels.

    ``direction`` is the angle in degrees from the x axis towards y in which the wave varies;
    ``significance`` is ``-log10`` of the probability of such a peak anywhere in white noise.
    """

    fy: float
    fx: float
    amplitude: float
    significance: float
    found: bool = True

    @property
    def frequency(self) -> float:
        """Cycles per pixel."""
        return hypot(self.fy, self.fx)

    @property
    def direction(self) -> float:
        """Degrees in [0, 180)."""
        return degrees(atan2(self.fy, self.fx)) % 180

    def line(self) -> str:
        """One sentence for the user."""
        return (
            f"A periodic pattern of {1 / self.frequency:.3g} pixels period at "
            f"{self.direction:.0f} degrees has an amplitude of {self.amplitude:.2g} grey levels: "
            "it is interference or a lattice in the specimen; denoising keeps it."
        )


def stripes(plane: ArrayLike) -> Stripes:
    """Row and column noise.

    The offset of a row against the mean of the rows above and below is taken as the median over
    each of 8 segments of the row. Noise that is independent from pixel to pixel makes these eight
    independent, so the mean product of two segments estimates the variance of the offsets without
    a noise floor; structure of the scene rarely spans all segments. The largest tenth of the rows
    is ignored, so a few horizontal edges do not count.

    Parameters
    ----------
    plane : (y, x)
        Any real type, at least 32 x 32 (smaller ones show nothing).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> plane = rng.normal(size=(128, 128)) + rng.normal(0, 0.5, (128, 1))
    >>> result = stripes(plane)
    >>> result.direction, abs(result.rows - 0.5) < 0.1
    ('rows', True)
    """
    x = centred(plane)
    if min(x.shape) < 32:
        return Stripes(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Stripes(*_offsets(x), *_offsets(x.T))


def periodic(plane: ArrayLike) -> tuple[Peak, ...]:
    """Isolated peaks in the spectrum, at most ten, strongest first.

    The plane is detrended and windowed. In white noise the power at a frequency, divided by the
    local mean, is exponentially distributed, so ``n exp(-p)`` bounds the chance of a peak ``p``
    among ``n`` frequencies. A peak must pass three times the level at which this is 0.001, and
    stand alone: five times above all within a ring around it, which edges (rays in the
    spectrum) and textures do not.

    Parameters
    ----------
    plane : (y, x)
        Any real type, at least 32 x 32; larger than 1024 x 1024 is cut to its middle.

    Examples
    --------
    >>> x = np.arange(128)
    >>> plane = np.random.default_rng(0).normal(size=(128, 128)) + np.sin(2 * np.pi * x / 8)
    >>> [round(peak.fx, 3) for peak in periodic(plane)]
    [0.125]
    """
    x = centred(plane)
    if min(x.shape) < 32:
        return ()
    x = x[middle(x.shape, WIDE)]
    x = x - ndimage.gaussian_filter(x, 6)
    # Bright structure must not drown the rest: clip at five robust local deviations.
    limit = 5 * 1.4826 * float(np.median(np.abs(x))) or float(np.abs(x).max())
    x = np.clip(x, -limit, limit)
    h, w = x.shape
    window = np.outer(np.hanning(h), np.hanning(w))
    power = np.abs(np.fft.fftshift(np.fft.fft2(x * window))) ** 2
    fy, fx = np.fft.fftshift(np.fft.fftfreq(h)), np.fft.fftshift(np.fft.fftfreq(w))
    out = []
    for (i, j), score in _peaks(power):
        amplitude = 2 * sqrt(float(power[i, j])) / float(window.sum())
        # The detrending took away part of a slow wave: divide by its response.
        response = 1 - np.exp(-2 * (np.pi * 6) ** 2 * (fy[i] ** 2 + fx[j] ** 2))
        significance = (score - log(power.size / 2)) / log(10)
        out.append(Peak(float(fy[i]), float(fx[j]), float(amplitude / response), significance))
    return tuple(out)


def _offsets(x: NDArray[np.float64]) -> tuple[float, float, float]:
    """Standard deviation of row offsets, its share of the noise, its significance."""
    x = x[:: max(1, -(-len(x) // 2048) - 1)] if len(x) > 4096 else x
    high = x[1:-1] - (x[:-2] + x[2:]) / 2
    # Differences along a row hold nothing of its offset, and twice the variance of the noise. Of
    # correlated noise they see more than the diagonal details of `noise_sigma` do: with these the
    # limit below was 9 % lower on a picture of SIDD and its stripes were not found.
    along = np.diff(x, axis=1)
    noise = (robust_sigma(along) or float(along.std())) / sqrt(2)
    if not noise:
        return 0.0, 0.0, 0.0
    width = high.shape[1] // SEGMENTS
    parts = high[:, : SEGMENTS * width].reshape(len(high), SEGMENTS, width)
    # Grey levels of coarse steps make medians jump; clipped means are as robust and smooth.
    limit = 3 * sqrt(1.5) * noise
    offsets = np.clip(parts, -limit, limit).mean(axis=2)
    offsets = offsets - np.median(offsets, axis=0)
    total = offsets.sum(axis=1)
    products = (total**2 - (offsets**2).sum(axis=1)) / (SEGMENTS * (SEGMENTS - 1))
    kept = np.sort(products)[: max(8, int(0.9 * len(products)))]
    # Without stripes the mean of all products is zero, and dropping the largest tenth makes it
    # negative: what is found is found in spite of it.
    error = float(kept.std()) / sqrt(len(kept))
    spread = (offsets**2).mean(axis=1)
    floor = float(np.median(spread)) / (SEGMENTS - 1) / sqrt(len(kept))
    significance = float(kept.mean()) / max(error, floor, 1e-12 * noise**2)
    # Rows that lie 3 apart share no pixels, so every third product is independent.
    sd = sqrt(max(float(products.mean() if significance > 0 else kept.mean()), 0.0) / 1.5)
    return sd, sd / noise, significance / sqrt(2)


def _peaks(power: NDArray[np.float64]) -> list[tuple[tuple[int, int], float]]:
    """Positions in the shifted spectrum and heights over the local mean, half plane only."""
    h, w = power.shape
    cy, cx = h // 2, w // 2
    level = _level(power)
    # The axes hold row and column structure: their level is their own.
    for axis, centre in ((0, cy), (1, cx)):
        turned, own = (power, level) if axis == 0 else (power.T, level.T)
        for k in range(centre - 2, centre + 3):
            line = ndimage.median_filter(turned[k], 31, mode="wrap") / log(2)
            own[k] = np.maximum(own[k], line)
    score = power / np.maximum(level, 1e-30 + 1e-12 * float(power.max()))
    wanted = 3 * log(power.size / 2 / 0.001)
    ky, kx = np.arange(h)[:, None] - cy, np.arange(w)[None] - cx
    slow = np.hypot(ky / h, kx / w) < 0.02
    half = (ky > 0) | ((ky == 0) & (kx > 0))
    candidates = np.argwhere((score > wanted) & ~slow & half)
    found: list[tuple[tuple[int, int], float]] = []
    ring = np.hypot(*np.mgrid[-7:8, -7:8])
    ring_mask, core = (ring > 3.2) & (ring < 7.5), ring <= 2.9
    order = np.argsort([-score[i, j] for i, j in candidates])
    for i, j in candidates[order][:200]:
        around = power[np.ix_(np.arange(i - 7, i + 8) % h, np.arange(j - 7, j + 8) % w)]
        if power[i, j] < around[core].max() or power[i, j] < 5 * around[ring_mask].max():
            continue
        found.append(((int(i), int(j)), float(score[i, j])))
        if len(found) == 10:
            break
    return found


def _level(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The local mean of an exponentially distributed spectrum, from medians of 8x8 blocks."""
    medians = np.median(blocks(power, 8), axis=(1, 3)) / log(2)
    h, w = medians.shape
    smooth = ndimage.median_filter(medians, 3, mode="wrap")
    y = np.minimum(np.arange(power.shape[0]) // 8, h - 1)
    x = np.minimum(np.arange(power.shape[1]) // 8, w - 1)
    return np.asarray(smooth[np.ix_(y, x)])
