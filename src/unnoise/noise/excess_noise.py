"""Whether a camera multiplied electrons before it read them (EMCCD), told by one picture.

Of photons read as they are the third cumulant of the noise grows with its variance by the gain a:
``k3 = a (v - r)``, where r is the read variance; of electrons that were multiplied, at the same
line of variance ``v = a (s - offset) + r``, by 1.5 a, as their excess noise has tails
(`unnoise.noise.electron_multiplication`). Where that line meets 0 lies the read variance, which the
variance alone does not tell from an offset.

Both cumulants are those of a pixel less the mean of its four neighbours, 1 and 2 pixels away: noise
is alike in both, texture is not, so squares of the picture where they differ are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TILE = 16
"""Side of the squares that are kept or left out, and drawn anew for the errors."""
TEXTURED = 1.15
"""Squares whose variance grows by more from neighbours at 1 pixel to those at 2 hold texture."""
BINS, FEWEST = 12, 1500
"""Ranges of intensity, and pixels of each at least."""
SHARE2, SHARE3 = 1.25, 0.9375
"""Cumulants of the difference over those of a pixel: ``1 + 4 / 16`` and ``1 - 4 / 64``."""
DRAWS = 100
MULTIPLIED = 1.5
"""Ratio of the slopes of multiplied electrons; 1 of photons."""
LEAST, NEAR, WORST = 1.15, 0.2, 0.1
"""Ratio that must be exceeded by three standard errors, distance from `MULTIPLIED` beside two of
them, and the largest error of which anything is believed: sharp texture is skewed, too."""


@dataclass(frozen=True)
class ExcessNoise:
    """What the skewness of the noise tells.

    Attributes
    ----------
    ratio, error : float
        Slope of the third cumulant over that of the variance, and its standard error; 1 of photons
        that are read as they are, 1.5 of multiplied electrons.
    gain, offset, read_variance : float
        What an electron gives on average, the grey level without light, and the read noise.
    found : bool
        Whether electrons were multiplied.
    signal, variance : float
        Means of the pixels and of their noise where the picture is calm; 0 where it is not.
    """

    ratio: float = 0.0
    error: float = 0.0
    gain: float = 0.0
    offset: float = 0.0
    read_variance: float = 0.0
    found: bool = False
    signal: float = 0.0
    variance: float = 0.0

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        return (
            f"The noise is as skewed as that of a camera that multiplies electrons (EMCCD): about "
            f"{self.gain:.3g} grey levels an electron at an offset of {self.offset:.3g}, with an "
            f"excess noise factor of 2."
        )


def measure(planes: NDArray, excluded: NDArray[np.bool_] | None = None) -> ExcessNoise:
    """Slopes of variance and third cumulant over intensity, where the picture is calm.

    Parameters
    ----------
    planes, excluded : ndarray, shape (n, y, x)
        Noisy planes with independent noise, and which pixels are no measurement.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> electrons = rng.poisson(np.tile(np.linspace(0.2, 6, 256), (1, 256, 1)))
    >>> y = 10 * rng.standard_gamma(electrons + 1e-9) + rng.normal(20, 2, electrons.shape)
    >>> found = measure(y)
    >>> found.found, 8 < found.gain < 12
    (True, True)
    """
    y = np.asarray(planes, np.float64)
    unit = float(np.ptp(y)) or 1.0
    sums = _sums((y - y.min()) / unit, excluded)
    if len(sums) < 2:
        return ExcessNoise()
    n, total, first, second, _ = sums.sum((0, 1))
    signal = unit * float(total / n) + float(y.min())
    variance = unit**2 * float(second / n - (first / n) ** 2) / SHARE2
    weights = np.random.default_rng(0).poisson(1.0, (DRAWS, len(sums)))
    whole, drawn = _lines(sums.sum(0)[None]), _lines(np.tensordot(weights, sums, 1))
    slope, third, read, offset = (float(v[0]) for v in whole)
    if not slope > 3 * float(np.std(drawn[0])):
        return ExcessNoise(signal=signal, variance=variance)
    steep = drawn[0] != 0  # few blocks may be drawn as one and the same
    ratio, error = third / slope, float(np.std(drawn[1][steep] / drawn[0][steep]))
    near = abs(ratio - MULTIPLIED) < NEAR + 2 * error and error < WORST
    return ExcessNoise(
        ratio,
        error,
        gain=unit * slope / 2,
        offset=unit * offset + float(y.min()),
        read_variance=unit**2 * max(read, 0.0),
        found=bool(near and ratio - 3 * error > LEAST),
        signal=signal,
        variance=variance,
    )


def _sums(planes: NDArray[np.float64], excluded: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Sums over the pixels of every calm square and range of intensity, (squares, BINS, 5).

    Of 1, of the pixels, and of their differences to the power of 1, 2 and 3.
    """
    near, far = (_difference(planes, distance) for distance in (1, 2))
    ring = np.ones((1, 9, 9))
    ring[:, 3:6, 3:6] = 0
    guide = ndimage.convolve(planes, ring / ring.sum(), mode="mirror")
    used = np.ones(planes.shape, np.bool_)
    if excluded is not None:
        used = ~ndimage.binary_dilation(excluded, np.ones((1, 5, 5), np.bool_))
    n, height, width = planes.shape
    across = -(-width // TILE)
    down = -(-height // TILE)
    k, i, j = np.ogrid[:n, :height, :width]
    square = np.broadcast_to((k * down + i // TILE) * across + j // TILE, planes.shape)[used]
    squares = n * down * across
    energies = (np.bincount(square, d[used] ** 2, squares) for d in (near, far))
    first, second = energies
    calm = (second < TEXTURED * first)[square]
    if calm.sum() < 4 * FEWEST:
        return np.zeros((0, BINS, 5))
    y, d, guide, square = planes[used][calm], near[used][calm], guide[used][calm], square[calm]
    edges = np.quantile(guide, np.linspace(0, 1, BINS + 1)[1:-1])
    cell = square * BINS + np.searchsorted(edges, guide)
    values = (None, y, d, d**2, d**3)
    found = [np.bincount(cell, v, squares * BINS).reshape(squares, BINS) for v in values]
    stacked = np.stack(found, axis=-1).astype(np.float64)
    return stacked[stacked[..., 0].any(1)]


def _difference(planes: NDArray[np.float64], distance: int) -> NDArray[np.float64]:
    """Pixels less the mean of their four neighbours at a distance."""
    cross = np.zeros((1, 2 * distance + 1, 2 * distance + 1))
    cross[0, [0, -1], distance] = cross[0, distance, [0, -1]] = 0.25
    return np.asarray(planes - ndimage.convolve(planes, cross, mode="mirror"))


def _lines(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Slopes of variance and third cumulant, read variance and offset, for every set of sums."""
    n = np.maximum(sums[..., 0], 1e-9)
    signal, first, second, third = np.moveaxis(sums[..., 1:] / n[..., None], -1, 0)
    variance = np.maximum(second - first**2, 1e-12) / SHARE2
    cumulant = (third - 3 * first * second + 2 * first**3) / SHARE3
    # Where the brightest values are cut off there are no tails.
    inside = (n >= FEWEST) & (signal + 3.5 * np.sqrt(variance) < 1)
    slope, start = _line(signal, variance, inside * n / variance**2)
    bend, zero = _line(variance, cumulant, inside * n / variance**3)
    bend = np.where(bend == 0, 1e-12, bend)
    read = -zero / bend
    offset = (np.maximum(read, 0) - start) / np.where(slope == 0, 1e-12, slope)
    return slope, bend, read, offset


def _line(x: NDArray, y: NDArray, w: NDArray) -> tuple[NDArray, NDArray]:
    """Slope and intercept by weighted least squares along the last axis; slope 0 of few points."""
    total = np.maximum(w.sum(-1, keepdims=True), 1e-300)
    mx, my = ((w * v).sum(-1, keepdims=True) / total for v in (x, y))
    spread = (w * (x - mx) ** 2).sum(-1)
    enough = ((w > 0).sum(-1) >= 3) & (spread > 0)
    slope = np.where(enough, (w * (x - mx) * (y - my)).sum(-1) / np.where(enough, spread, 1), 0.0)
    return slope, my[..., 0] - slope * mx[..., 0]
