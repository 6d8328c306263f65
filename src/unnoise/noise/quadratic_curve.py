"""Noise variance as a square of the intensity, from every block whose spectrum is white.

The line of `unnoise.noise.photon_transfer` suits photons and cameras. Multiplicative noise (speckle
of radar and ultrasound) grows with the square of the signal, its bright tails make the low and the
high frequencies of a block strong together, so that blocks which are chosen as calm have too little
of both, and the brightest pixels hold most of its power. So here the blocks of every range of
intensity are taken in the order of their low-frequency energy for as long as they hold no more of
it, on average, than of high-frequency energy: the spectrum of noise is white, that of texture
red. Where noise is strong nearly all blocks are taken, and little is left for a choice to distort.

All errors come from sums over squares of the picture (the sandwich estimator of Liang and Zeger,
Biometrika 1986), so they hold for heavy tails, overlapping blocks and noise that differs from place
to place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from unnoise.noise.cosine_blocks import Blocks

FEWEST = 8
"""Blocks of a range that are taken even if they are not white."""
ROUNDS, REFINED, PLACED = 4, 3, 6
"""Choices against the ranges themselves, against the square, and by place."""
CONVEX = 3.5
"""Standard errors of the square from which the curve bends upwards where half of the bright blocks
are white, twice as many where a quarter is: bright texture bends it too. Photographs and smooth
cells with photon and camera noise stay below 3.3 (300 tries); speckle has 3 to 60."""
UNEVEN, SURE, SURER = 0.4, 15.0, 25.0
"""Range of the variance over the picture, in shares of its mean, and Wald statistic of 5 degrees
(at first, and at the end) from which noise depends on the place. Texture alone reaches one or the
other, hardly all (none of 105 photographs)."""
LEAST_WHITE = 0.15
"""Share of white blocks below which all that is found may be texture."""
DARKEST = 0.15
"""Least variance at a place, as a share of the mean."""
PEAK = 48.0
"""Share of the energy of 64 pixels that one of them has only if it is hot or dead: that of an
impulse of 14 standard deviations. Its spectrum is white as that of noise."""
EDGE = 2.0
"""Energy over that of the noise from which a block surely holds an edge."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """Variance over intensity s: ``c[0] + c[1] d + c[2] d^2`` with ``d = s - centre``.

    Attributes
    ----------
    centre : float
        Mean intensity, without which large offsets would cost digits.
    coefficients : tuple of three floats
        From the constant on.
    bend : float
        The square over its standard error.
    slope, slope_error : float
        Mean slope over the picture, and its standard error.
    level, level_error : float
        Mean variance over the blocks, and its standard error.
    uneven : bool
        Whether the noise depends on the place too; `level` then counts that.
    share, bright : float
        Share of the blocks that are white, of all and of the brightest third.
    rows : list of (signal, variance, standard error)
        By range of intensity, from its white blocks.
    """

    centre: float
    coefficients: tuple[float, float, float]
    bend: float
    slope: float
    slope_error: float
    level: float
    level_error: float
    uneven: bool
    share: float
    bright: float
    rows: list[tuple[float, float, float]]

    @property
    def is_convex(self) -> bool:
        """Whether the variance surely grows faster than along a line."""
        return self.bend * min(2 * self.bright, 1.0) > CONVEX


def fit(blocks: Blocks, n_ranges: int) -> Quadratic:
    """The square through the white blocks of all ranges of intensity.

    Parameters
    ----------
    blocks : Blocks
        Not clipped, and not constant.
    n_ranges : int
        Ranges of intensity, of equally many blocks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean = np.sort(rng.uniform(1, 5, 2000))
    >>> low, high = (mean**2 * rng.chisquare(k, 2000) / k for k in (42, 15))
    >>> place, tile = rng.uniform(-1, 1, (2000, 2)), rng.integers(0, 50, 2000)
    >>> blocks = Blocks(mean, low, high, low, np.ones(2000), place, tile)
    >>> found = fit(blocks, 10)
    >>> found.is_convex, round(found.coefficients[2], 1)
    (True, 1.0)
    """
    blocks = blocks.part(blocks.peak <= PEAK)
    mean = blocks.mean
    groups = np.array_split(np.argsort(mean, kind="stable"), n_ranges)
    expected = np.ones(len(blocks))
    at = np.array([mean[group].mean() for group in groups])
    for _ in range(ROUNDS):
        values = [_middle(blocks, group, expected) for group in groups]
        expected = np.maximum(np.interp(mean, at, values), 1e-300)
    least = 0.2 * min(values)
    centre, scale = float(mean.mean()), max(float(mean.std()), 1e-300)
    powers = np.vander((mean - centre) / scale, 3, increasing=True)
    for _ in range(REFINED):
        ranges = _white(blocks, groups, expected)
        c, covariance = _least_squares(powers, blocks.high, expected, ranges, blocks.tile)
        expected = np.maximum(powers @ c, least)
        bend = float(c[2] / max(np.sqrt(max(covariance[2, 2], 0.0)), 1e-300))
    by_place = _by_place(blocks, groups, powers, expected, least)
    average = powers.mean(0)
    error = float(np.sqrt(max(average @ covariance @ average, 0.0)))
    local = expected
    if by_place is not None:
        local, error = by_place
    level = float(local.mean())
    # Of edges the square of the signal is more than that of their mean.
    energy = (blocks.energy - 63 / 64 * expected) * (blocks.energy > EDGE * expected)
    edges = float(c[2] / scale**2 * energy.mean()) if bend > CONVEX else 0.0
    # The means are noisy themselves, and all pixels are seen but once.
    pixels = 16 * len(blocks)
    steep = powers[:, :2] @ (c[1:] * (1, 2)) / scale
    error = float(np.hypot(error, np.sqrt((steep**2 * expected).mean() / pixels)))
    third = -(-n_ranges // 3)
    return Quadratic(
        centre=centre,
        coefficients=(float(c[0]), float(c[1] / scale), float(c[2] / scale**2)),
        bend=bend,
        slope=float(c[1] / scale),
        slope_error=float(np.sqrt(max(covariance[1, 1], 0.0)) / scale),
        level=level + edges,
        level_error=float(np.hypot(error, edges / 2)),
        uneven=by_place is not None,
        share=_share(ranges, groups),
        bright=_share(ranges[-third:], groups[-third:]),
        rows=[_row(blocks, group) for group in ranges],
    )


def white(low: NDArray, high: NDArray, limit: float = 1.0) -> NDArray[np.intp]:
    """Positions of the largest set of calm blocks whose spectrum is white.

    Parameters
    ----------
    low, high : ndarray, shape (blocks,)
        Energies over those that are expected.

    Examples
    --------
    >>> white(np.arange(20.0), np.full(20, 5.0)).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    order = np.argsort(low, kind="stable")
    fits = np.flatnonzero(np.cumsum(low[order]) <= limit * np.cumsum(high[order]))
    return order[: max(FEWEST, int(fits[-1]) + 1 if len(fits) else 0)]


def total(blocks: Blocks, expected: NDArray, size: int) -> float:
    """Variance of the noise over all blocks together, from the white ones of ranges of a size.

    Parameters
    ----------
    blocks : Blocks
        Any.
    expected : ndarray, shape (blocks,)
        Variance that is expected of them, but for a factor by range of intensity.
    size : int
        Blocks of a range.
    """
    found = 0.0
    for group in np.array_split(
        np.argsort(blocks.mean, kind="stable"), max(len(blocks) // size, 1)
    ):
        ratio = blocks.high[group] / expected[group]
        chosen = white(blocks.low[group] / expected[group], ratio)
        found += float(ratio[chosen].mean() * expected[group].sum())
    return found


def _white(blocks: Blocks, groups: list[NDArray], expected: NDArray) -> list[NDArray]:
    """The white blocks of every range."""
    return [g[white(blocks.low[g] / expected[g], blocks.high[g] / expected[g])] for g in groups]


def _share(chosen: list[NDArray], groups: list[NDArray]) -> float:
    """Share of the blocks that was chosen."""
    return sum(map(len, chosen)) / sum(map(len, groups))


def _middle(blocks: Blocks, group: NDArray, expected: NDArray) -> float:
    """Variance in the middle of a range, whose blocks lie in the order of their means."""
    (chosen,) = _white(blocks, [group], expected)
    middle = np.interp(blocks.mean[group].mean(), blocks.mean[group], expected[group])
    return float((blocks.high[chosen] / expected[chosen]).mean() * middle)


def _row(blocks: Blocks, chosen: NDArray) -> tuple[float, float, float]:
    """Mean, variance and standard error of a range; overlap leaves 0.4 of the blocks."""
    values = blocks.high[chosen]
    error = float(values.std() / np.sqrt(0.4 * len(chosen)))
    return float(blocks.mean[chosen].mean()), float(values.mean()), error


def _by_place(
    blocks: Blocks, groups: list[NDArray], powers: NDArray, expected: NDArray, least: float
) -> tuple[NDArray, float] | None:
    """Variance of every block and the error of its mean, by place; None where it is even.

    A picture that was divided by its vignetting is noisier towards the corners. The variance is the
    curve times a polynomial of second degree over the picture; each is fitted with the other held.
    """
    y, x = blocks.place.T
    places = np.stack([np.ones_like(y), y, x, y * y - 1 / 3, x * x - 1 / 3, x * y], 1)
    share = np.ones(len(blocks))
    for round_ in range(PLACED):
        chosen = _white(blocks, groups, expected * share)
        p, covariance = _least_squares(places, blocks.high / expected, share, chosen, blocks.tile)
        sure = p[1:] @ np.linalg.pinv(covariance[1:, 1:]) @ p[1:]
        if round_ == 0 and sure < SURE:
            return None
        share = np.maximum(places @ (p / p[0]), DARKEST)
        chosen = _white(blocks, groups, expected * share)
        c, of_curve = _least_squares(powers, blocks.high / share, expected, chosen, blocks.tile)
        expected = np.maximum(powers @ c, least)
    few = _share(chosen, groups) < LEAST_WHITE
    if few or sure < SURER or np.subtract(*np.quantile(share, (0.98, 0.02))) < UNEVEN:
        return None
    # Where few blocks are white, the share of a place is as uncertain as the curve.
    gradients = [(a * b[:, None]).mean(0) for a, b in ((powers, share), (places, expected / p[0]))]
    gradients[1] = gradients[1] - (expected * share).mean() / p[0] * np.eye(6)[0]
    both = zip(gradients, (of_curve, covariance), strict=True)
    return expected * share, float(np.sqrt(sum(g @ v @ g for g, v in both)))


def _least_squares(
    design: NDArray, values: NDArray, expected: NDArray, groups: list[NDArray], tile: NDArray
) -> tuple[NDArray, NDArray]:
    """Coefficients and their covariance from sums over tiles; errors go with what is expected."""
    chosen = np.concatenate(groups)
    x, y, weight = design[chosen], values[chosen], 1 / expected[chosen] ** 2
    inverse = np.linalg.pinv((x * weight[:, None]).T @ x)
    found = inverse @ (x * weight[:, None]).T @ y
    _, which = np.unique(tile[chosen], return_inverse=True)
    score = (weight * (y - x @ found))[:, None] * x
    sums = np.stack([np.bincount(which, weights=column) for column in score.T], 1)
    n = len(sums)
    return found, inverse @ (sums.T @ sums) @ inverse * n / max(n - len(found), 1)


def p_value(bend: float) -> float:
    """Chance of a bend as strong where there is none."""
    return float(2 * special.ndtr(-abs(bend)))
