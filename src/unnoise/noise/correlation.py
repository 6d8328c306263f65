"""How the noise of a pixel is correlated with that of its neighbours, told apart from texture.

Within a plane `unnoise.noise.noise_or_texture` tells noise from texture. What is shown beside it is
the autocorrelation of blocks without texture, chosen by what their eight neighbours show, which
says nothing about their own noise: a quadratic surface is taken out of each, and the autocovariance
that this leaves is turned back into that of the noise by solving the linear equations of the
projection. Between planes a specimen that stays the same is smooth, and noise is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.noise import noise_or_texture
from unnoise.noise.autocovariance import calm, detrended, fade, lagged_products, mixing
from unnoise.noise.planes import block_means

REACH = 6
"""Largest lag that is measured."""
ACT = 0.065
"""Correlation of the noise with the next pixel from which a method must respect it."""
ORDER = 4
"""Differences of this order are the high-pass."""
BESIDE = 0.5
"""Share of the correlation along the other axis below which that along one may be an error."""
SURE = 1.4
"""Log odds from which noise counts as correlated ..."""
CERTAIN = 3.5
"""... and from which all that was measured is taken for noise."""
ACROSS, KEPT = 0.15, 0.6
"""`ACT` between planes, and the least share of `smooth`: a specimen at rest is hard to tell."""
DEEP = 4
"""Largest lag between planes."""
FADE = 0.3
"""Least `fade` of noise: 0.37 where it is blurred with sigma 1.5, below 0.1 for smooth scenes."""
WEAK, DOUBT = 0.04, -2.0
"""Correlation and log odds from which it is worth a word."""
OPPOSED = 0.06
"""Correlation below 0 that is not believed; all is of one a third larger. Of noise that is none it
was 0.053 once (FMD, green), 0.03 else."""
UNLIKELY = 0.05
"""Probability below which a correlation is not counted on."""
MISSED = 0.1
"""Largest correlation with the next pixel that may have been missed: white noise of 10 over fine
texture (kodim13) came out 0.5 dB worse where all that texture showed was counted."""
SMALLEST = 64
"""Side of images below which blocks of 8x8 pixels alone decide."""
LINKED = 0.1
"""Pixels with less of a correlation than this tell each other's noise no more ..."""
FARTHEST = 5
"""... and so many pixels apart are taken for such."""
MASK = 0.08
"""Lags with at least this correlation belong into the mask of structN2V."""


@dataclass(frozen=True)
class Correlation:
    """Autocorrelation of the noise by lag.

    Attributes
    ----------
    rho : ndarray, shape (2 r + 1, 2 r + 1)
        Correlation by lag in (y, x) in places without much texture; 1 in the centre.
    error : ndarray
        Standard errors.
    noise : ndarray, shape (2 r + 1, 2 r + 1)
        The same of the noise alone.
    odds : float
        Logarithm of the odds that noise is correlated with the next pixel along Y or X.
    excess : mapping
        By letter (Y, X and, of stacks, Z or T): correlation with the next pixel along that axis
        above what texture explains, and its standard error.
    fine : mapping
        By letter: correlation of the noise with the next pixels along that axis, from lag 0 on.
    smooth : float
        Share of the measured variance with a smooth autocorrelation up to lag 0: about 1 where
        nothing is independent from pixel to pixel.
    fade : float
        Variance in blocks of half the side over that in whole blocks: 1 for white noise, little
        where all that was measured is the bend of a smooth scene.
    signal, variance : ndarray, shape (blocks,)
        Mean intensity and noise variance of every block that entered, in units of the image.
    whole : ndarray, shape (all blocks,)
        Mean intensity of every block.

    Examples
    --------
    >>> y = np.random.default_rng(0).normal(size=(1, 128, 128))
    >>> measure(y).along, measure(ndimage.uniform_filter1d(y, 5, axis=2)).along
    ((), ('X',))
    """

    rho: NDArray[np.float64]
    error: NDArray[np.float64]
    noise: NDArray[np.float64]
    odds: float
    excess: Mapping[str, tuple[float, float]]
    fine: Mapping[str, NDArray[np.float64]]
    smooth: float
    fade: float
    signal: NDArray[np.float64]
    variance: NDArray[np.float64]
    whole: NDArray[np.float64]

    @property
    def along(self) -> tuple[str, ...]:
        """Axes along which the noise is correlated beyond doubt, in the order TZYX."""
        found = self._between(ACROSS)
        if self.odds > SURE and self.fade > FADE:
            strong = max(self.excess[k][0] for k in "YX")
            found |= {k for k in "YX" if self.excess[k][0] > max(ACT, BESIDE * strong)}
        return tuple(letter for letter in "TZYX" if letter in found)

    @property
    def weak(self) -> tuple[str, ...]:
        """Axes with a correlation that is certain but too small to act on."""
        found = self._between(ACROSS * WEAK / ACT)
        if self.odds > DOUBT:
            found |= {k for k in "YX" if self.excess[k][0] > max(WEAK, 4 * self.excess[k][1])}
        return tuple(letter for letter in "TZYX" if letter in found - set(self.along))

    def _between(self, least: float) -> set[str]:
        """Axes of planes with more than a correlation, its error and what texture may explain."""
        return {
            letter
            for letter, (value, error) in self.excess.items()
            if letter not in "YX" and value > max(KEPT * self.smooth, least, 4 * error)
        }

    @property
    def neighbours(self) -> NDArray[np.float64]:
        """Correlation of the noise alone; of the pixel with itself where that is all there is."""
        if any(k in "YX" for k in self.along):
            return self.noise
        r = len(self.noise) // 2
        alone = np.zeros_like(self.noise)
        alone[r, r] = 1
        return alone

    @property
    def share(self) -> float:
        """How much of the measured correlation is believed: none at `SURE`, all at `CERTAIN`."""
        return float(np.clip((self.odds - SURE) / (CERTAIN - SURE), 0.0, 1.0))

    @property
    def believed(self) -> NDArray[np.float64]:
        """The correlation that results count on, where a part of it may be texture.

        Fine texture that is taken for correlated noise costs up to 8 dB; correlated noise over
        such texture is measured far too strong, so there, too, a part is better than all.
        """
        rho = self.neighbours * self.share
        rho[len(rho) // 2, len(rho) // 2] = 1
        return rho

    @property
    def probable(self) -> NDArray[np.float64]:
        """What strength counts on where noise counts as independent: the correlation, times a
        probability that is a half at the odds `DOUBT` and none far below.

        Noise that is taken too weak stays: a correlation of 0.07 cost 0.7 and 1.5 dB, texture that
        is taken for it a few hundredths. A stronger one would have been found.
        """
        share = 1 / (1 + np.exp(min(DOUBT - self.odds, 50.0)))
        nearest = max(self.excess[k][0] for k in "YX")
        share *= min(1.0, MISSED / max(nearest, MISSED))
        share = max(share if share > UNLIKELY else 0.0, self._opposed)
        expected = share * self.noise
        expected[len(expected) // 2, len(expected) // 2] = 1
        return expected

    @property
    def _opposed(self) -> float:
        """How much is believed of a correlation below 0: texture makes neighbours alike alone."""
        most = max(-value / max(OPPOSED, 2 * error) for _, (value, error) in self._near)
        return float(np.clip(3 * (most - 1), 0.0, 1.0))

    @property
    def sharpened(self) -> tuple[str, ...]:
        """Axes along which the noise of neighbours is surely opposed, as sharpening makes it."""
        return tuple(k for k, (value, error) in self._near if -value > max(ACT, 4 * error))

    @property
    def _near(self) -> list[tuple[str, tuple[float, float]]]:
        """Axes within the plane, in the order YX, with correlation and error."""
        return [(k, self.excess[k]) for k in "YX"]

    @property
    def apart(self) -> tuple[int, int]:
        """Pixels so far apart in Y and X, in multiples, do not tell each other's noise."""
        return apart([self.neighbours])

    def joined(self, other: Correlation, letter: str) -> Correlation:
        """With the correlation along one more axis, taken from another measurement."""
        return replace(
            self,
            excess={**self.excess, letter: other.excess[letter]},
            fine={**self.fine, letter: other.fine[letter]},
        )

    def reach(self, letter: str) -> int:
        """Pixels to either side along an axis over which the noise is correlated."""
        if letter not in self.along:
            return 0
        far = np.flatnonzero(self.fine[letter] < MASK)
        return max(int(far[0]) - 1 if len(far) else len(self.fine[letter]) - 1, 1)

    def mask(self) -> NDArray[np.bool_] | None:
        """The structN2V footprint: all lags at which the noise is correlated, without gaps.

        Returns
        -------
        ndarray of bool with odd sides, or None
            In YX; None where the noise is independent in the plane.
        """
        if not any(k in "YX" for k in self.along):
            return None
        r = len(self.rho) // 2
        rho = self.neighbours
        wanted = rho > np.maximum(MASK, 3 * self.error)
        wanted[r, r] = True
        wanted |= wanted[::-1, ::-1]
        # No further along each axis than noise reaches: beyond lies chance.
        for letter, turned in (("Y", wanted), ("X", wanted.T)):
            end = self.reach(letter)
            turned[: r - end] = turned[r + end + 1 :] = False
        wanted = without_gaps(wanted)
        if wanted.sum() == 1:
            for letter, lag in (("Y", (r + 1, r)), ("X", (r, r + 1))):
                if letter in self.along:
                    wanted[lag] = wanted[2 * r - lag[0], 2 * r - lag[1]] = True
        rows, columns = (np.flatnonzero(wanted.any(axis)) for axis in (1, 0))
        return wanted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def without_gaps(wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What hangs together with the middle, every row and column filled between its ends."""
    labels, _ = ndimage.label(wanted, np.ones((3, 3)))
    filled: NDArray[np.bool_] = labels == labels[wanted.shape[0] // 2, wanted.shape[1] // 2]
    for axis in (0, 1):
        first = np.maximum.accumulate(filled, axis)
        last = np.flip(np.maximum.accumulate(np.flip(filled, axis), axis), axis)
        filled = first & last
    return filled


def apart(shapes: Sequence[NDArray]) -> tuple[int, int]:
    """How far apart in Y and X pixels do not tell each other's noise, by its autocorrelations.

    Examples
    --------
    >>> apart([np.array([[0.3, 0.6, 1.0, 0.6, 0.3]])]), apart([])
    ((1, 3), (1, 1))
    """
    far = [0, 0]
    for rho in shapes:
        for axis, found in enumerate(np.nonzero(np.abs(rho) > LINKED)):
            reach = int(np.abs(found - rho.shape[axis] // 2).max())
            far[axis] = min(max(far[axis], reach), FARTHEST - 1)
    return far[0] + 1, far[1] + 1


def measure(
    planes: NDArray, letter: str | None = None, excluded: NDArray[np.bool_] | None = None
) -> Correlation | None:
    """Autocorrelation of the noise of one channel.

    Parameters
    ----------
    planes : ndarray, shape (n, y, x)
        Noisy planes of at least 16x16 pixels.
    letter : str, optional
        ``Z`` or ``T`` if the planes follow each other along this axis; then the correlation
        between neighbouring planes is measured too.
    excluded : ndarray of bool, shape (n, y, x), optional
        Pixels that are no measurement.

    Returns
    -------
    Correlation or None
        None where too few blocks are not constant or clipped.
    """
    side = 16 if min(planes.shape[1:]) >= SMALLEST else 8
    reach = REACH if side == 16 else 2
    blocks, power, grid = detrended(planes, side)
    chosen = calm(blocks, power, grid, planes, side)
    if chosen.sum() < 4:
        return None
    scaled = blocks[chosen] / np.sqrt(power[chosen])[:, None, None]
    lags, matrix = mixing(side, reach)
    products = lagged_products(scaled, side, axes=(1, 2))
    sums = np.stack([products[:, side + y, side + x] for y, x in lags])
    values = np.linalg.solve(matrix, sums).T
    mean, spread = values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))
    # The lags are a half plane, row by row from 0 on; the other half is its mirror.
    rho, error = (
        np.concatenate([half[:0:-1], half]).reshape(2 * reach + 1, -1)
        for half in (mean / mean[0], spread / mean[0])
    )
    error[reach, reach] = 0
    judged = noise_or_texture.judge(planes, excluded) if side == 16 else None
    smooth = _smooth(rho, reach)
    noise, odds = (judged.rho, judged.odds) if judged else (rho, -np.inf)
    if smooth == 0 and odds <= SURE < (plain := _odds(values / mean[0], lags)):
        noise, odds = rho, CERTAIN + plain  # no texture in calm blocks: they say it themselves
    excess = {
        "Y": (float(noise[reach + 1, reach]), float(error[reach + 1, reach])),
        "X": (float(noise[reach, reach + 1]), float(error[reach, reach + 1])),
    }
    profiles = {"Y": noise[reach:, reach], "X": noise[reach, reach:]}
    if letter is not None:
        steps = range(1, min(DEEP, len(planes) - 1) + 1)
        found = [_across(blocks, power, chosen, len(planes), step) for step in steps]
        excess[letter] = found[0]
        profiles[letter] = np.array([1.0, *(value for value, _ in found)])
    means = block_means(planes.astype(np.float64), side).ravel()
    return Correlation(
        rho=rho,
        error=error,
        noise=noise,
        odds=odds,
        excess=excess,
        fine=profiles,
        smooth=smooth,
        fade=fade(planes, power, chosen, side),
        signal=judged.signal if judged else means[chosen],
        # Detrending takes a little of correlated noise with it: mean[0] puts that back.
        variance=judged.variance if judged else power[chosen] * mean[0],
        whole=judged.whole if judged else means[power > 0],
    )


def _odds(values: NDArray, lags: list[tuple[int, int]]) -> float:
    """Above `SURE` if next pixels are surely more alike than diagonal neighbours.

    Texture that an objective has blurred is as much alike along the diagonal as along the axes.
    """
    at = {lag: values[:, i] for i, lag in enumerate(lags)}
    corner = (at[1, 1] + at[1, -1]) / 2
    if corner.mean() < 0:  # noise of alternating sign is no texture
        corner = np.zeros_like(corner)
    above = (_mean(at[lag] - corner) for lag in ((1, 0), (0, 1)))
    return SURE + max(value - max(ACT, 4 * error) for value, error in above)


def _mean(values: NDArray) -> tuple[float, float]:
    """Mean and standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _smooth(rho: NDArray, r: int) -> float:
    """What a Gaussian through the nearest lags says of lag 0: rho(1, 0) rho(0, 1) / rho(1, 1)."""
    corner = (rho[r + 1, r + 1] + rho[r + 1, r - 1]) / 2
    y, x = rho[r + 1, r], rho[r, r + 1]
    if min(y, x, corner) <= 0.05:
        return 0.0
    return float(min(y * x / corner, 1.0))


def _across(
    blocks: NDArray, power: NDArray, chosen: NDArray, planes: int, step: int
) -> tuple[float, float]:
    """Correlation of pixels with those some planes on, and its standard error.

    Both planes are high-passed along Y and X first: a specimen that stays the same from plane to
    plane is smooth, a pattern of the detector and noise smeared along the axis are not.
    """
    stack = blocks.reshape(planes, -1, *blocks.shape[1:])
    use, alive, scale = (
        found.reshape(planes, -1)
        for found in (chosen, power > 0, np.sqrt(np.maximum(power, 1e-300)))
    )
    both = use[:-step] & use[step:]
    if both.sum() < 4:
        both = (use[:-step] | use[step:]) & alive[:-step] & alive[step:]
    if both.sum() < 4:
        return 0.0, 1.0
    a, b = (
        stack[part][both] / scale[part][both][:, None, None]
        for part in (slice(None, -step), slice(step, None))
    )
    low = (a * b).mean((1, 2))
    a, b = (np.diff(np.diff(x, ORDER, axis=1), ORDER, axis=2) for x in (a, b))
    norm = float(np.sqrt((a**2).mean() * (b**2).mean()))
    if norm <= 0:
        return 0.0, 1.0
    high = (a * b).mean((1, 2)) / norm
    return _mean(high if high.mean() < low.mean() else low)
