"""Fits behind a calibration: bins of variance against signal, lines, curves, densities.

Every pixel brings a key that says which bin it belongs to and is independent of its noise, and
unbiased measurements of its signal and its noise variance. Sums are kept per block of the image, so
that resampling blocks (bootstrap) gives standard errors that survive noise correlated in space.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from unnoise.noise.noise_models import Histogram, Mixture, between

MAX_BINS, KNOTS = 32, 24
MIN_PER_BIN, MIN_FREEDOM = 40, 400
"""Pixels, and degrees of freedom of the variance (7 % error), that a bin has at least."""
RESOLUTION = 0.1
"""Standard deviations of the noise below which two bins are one: they differ only by chance."""
SIDE = 8
"""Blocks along each side of the image."""
DRAWS = 300
"""Bootstrap draws: the standard error is then known within 4 %."""
TRUST = 0.005
"""Relative error every bin has at least, so that a large dark background does not rule the fit."""
CLIPPED = 1e-3
"""Share of saturated values from which a bin is left out: they cost 1 % of its variance."""


@dataclass(frozen=True)
class Samples:
    """Measurements of single pixels, all of shape (n,).

    `key` chooses the bin, `signal` and `variance` are unbiased and independent of the key,
    `clipped` is the share of saturated values and `block` a number per region of the image.
    """

    key: NDArray
    signal: NDArray
    variance: NDArray
    clipped: NDArray
    block: NDArray

    @classmethod
    def join(cls, parts: list[Samples], *, same_blocks: bool = False) -> Samples:
        """One after another, with blocks of their own unless they show the same pixels."""
        last = [0 if same_blocks else int(p.block.max()) + 1 for p in parts[:-1]]
        shifts = np.cumsum([0, *last])
        moved = [replace(p, block=p.block + s) for p, s in zip(parts, shifts, strict=True)]
        return cls(*(np.concatenate([getattr(p, f.name) for p in moved]) for f in fields(cls)))


@dataclass(frozen=True)
class Bins:
    """Sums of samples by block and bin, and their means.

    Attributes
    ----------
    sums : ndarray, shape (blocks, 3, bins)
        Number, sum of signals, sum of variances.
    """

    sums: NDArray

    @property
    def n(self) -> NDArray:
        """Number of samples in every bin."""
        return np.asarray(self.sums[:, 0].sum(axis=0))

    @property
    def signal(self) -> NDArray:
        """Mean signals, rising."""
        return np.asarray(self.sums[:, 1].sum(axis=0) / self.n)

    @property
    def variance(self) -> NDArray:
        """Mean variances."""
        return np.asarray(self.sums[:, 2].sum(axis=0) / self.n)

    def draws(self, seed: int = 0) -> tuple[NDArray, NDArray, NDArray]:
        """Numbers, signals and variances of the bins in every bootstrap draw of blocks."""
        rng = np.random.default_rng(seed)
        blocks = len(self.sums)
        times = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS)
        n, s, v = np.moveaxis(np.tensordot(times, self.sums, axes=1), 1, 0)
        some = np.maximum(n, 1)
        return n, s / some, v / some

    @property
    def reach(self) -> float:
        """Standard errors in a 95 % interval, by Student's t for few blocks."""
        return float(stats.t.ppf(0.975, max(len(self.sums) - 1, 1)))


def block_numbers(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Number of the block of every pixel (..., y, x) of an image."""
    y, x = (np.arange(n) * min(SIDE, n) // n for n in shape[-2:])
    return np.broadcast_to(y[:, None] * SIDE + x, shape)


def binned(samples: Samples, freedom: int) -> Bins:
    """Sort samples into bins: half of the edges follow the pixels, half the range of the signal."""
    key = samples.key
    some = key[:: max(len(key) // 200_000, 1)]
    low, high = (float(q) for q in np.quantile(some, (0.001, 0.999)))
    even = np.linspace(low, high, MAX_BINS + 1)[1:-1]
    edges = np.union1d(np.quantile(some, np.linspace(0, 1, MAX_BINS + 1)[1:-1]), even)
    index = np.searchsorted(edges, key, side="right")
    count = np.bincount(index, minlength=len(edges) + 1)
    least = min(max(MIN_PER_BIN, MIN_FREEDOM / freedom), len(key) / 8)
    merged, here, seen = np.zeros(len(count), np.int64), 0, 0
    for i, n in enumerate(count):  # neighbours join until they hold enough pixels
        if seen >= least and count[i:].sum() >= least:
            here, seen = here + 1, 0
        merged[i], seen = here, seen + n
    sums, clipped = summed(samples, merged[index], here + 1)
    kept = clipped <= CLIPPED * sums[:, 0].sum(axis=0)
    sums = sums[:, :, kept] if kept.any() else sums
    sums = sums[sums[:, 0].sum(axis=1) > 0]
    return _distinct(sums[:, :, np.argsort(Bins(sums).signal)])


def summed(samples: Samples, index: NDArray, n_bins: int) -> tuple[NDArray, NDArray]:
    """Number, sums of signals and of variances by block and bin; saturated shares by bin."""
    shape = int(samples.block.max()) + 1, n_bins
    at = samples.block * n_bins + index
    values = (None, samples.signal, samples.variance, samples.clipped)
    *sums, clipped = (np.bincount(at, v, np.prod(shape)).reshape(shape) for v in values)
    return np.stack(sums, axis=1), clipped.sum(axis=0)


def _distinct(sums: NDArray) -> Bins:
    """Join bins whose signals hardly differ, as those of a flat field do."""
    bins = Bins(sums)
    sd = np.sqrt(np.maximum(bins.variance, 1e-3 * bins.variance.max()))
    first = [0]
    for i in range(1, len(bins.n)):
        if bins.signal[i] - bins.signal[first[-1]] > RESOLUTION * sd[i]:
            first.append(i)
    return Bins(np.add.reduceat(sums, first, axis=2))


def weights(bins: Bins, freedom: int) -> NDArray:
    """Inverse squared standard errors of the bins' variances.

    The error follows the variance of the neighbourhood (5 bins), not of the bin itself: weights
    that shrink with their own bin's luck pull the line down.
    """
    v, n = (np.pad(a, 2, mode="edge") for a in (bins.variance, bins.n))
    windows = [np.lib.stride_tricks.sliding_window_view(a, 5) for a in (v * n, n)]
    smooth = windows[0].sum(axis=1) / windows[1].sum(axis=1)
    smooth = np.maximum(smooth, 1e-3 * smooth.max())
    relative = 2 / (freedom * bins.n) + TRUST**2
    safe = np.where(smooth > 0, smooth, 1)
    return np.asarray(1 / (relative * safe**2))


def least_squares(x: NDArray, y: NDArray, w: NDArray) -> NDArray:
    """Weighted least squares; x (..., bins, p), y and w (..., bins) -> (..., p)."""
    root = np.sqrt(w)
    scale = np.sqrt((x**2 * w[..., None]).sum(axis=-2, keepdims=True))
    scale = np.where(scale > 0, scale, 1)
    a = x / scale * root[..., None]
    solution = np.linalg.pinv(a, rcond=1e-10) @ (y * root)[..., None]
    return np.asarray(solution[..., 0] / scale[..., 0, :])


def huber(bins: Bins, w: NDArray, x: NDArray) -> NDArray:
    """The weights with outlying bins (beyond 2.5 robust standard errors) weighed down."""
    robust = w
    for _ in range(10):
        error = (bins.variance - x @ least_squares(x, bins.variance, robust)) * np.sqrt(w)
        scale = max(float(np.median(np.abs(error))) * 1.4826, 1.0)
        robust = w * np.minimum(1, 2.5 * scale / np.maximum(np.abs(error), 1e-12))
    return robust


def curvature(bins: Bins, w: NDArray) -> float:
    """The p value of a straight line against one with a square and a square root (Wald test)."""
    if len(bins.n) < 6 or len(bins.sums) < 6:
        return 1.0

    def terms(signal: NDArray) -> NDArray:
        low, high = bins.signal[0], bins.signal[-1]
        u = np.clip((signal - low) / max(high - low, 1e-300), 0, 1)
        return np.stack([np.ones_like(u), u, u**2, np.sqrt(u)], axis=-1)

    found = least_squares(terms(bins.signal), bins.variance, w)[2:]
    n, s, v = bins.draws()
    drawn = least_squares(terms(s), v, w * n / bins.n)[:, 2:]
    cov = np.cov(drawn.T)
    if not np.isfinite(cov).all() or np.linalg.det(cov) <= 0:
        return 1.0
    wald = float(found @ np.linalg.solve(cov, found)) / 2
    return float(stats.f.sf(wald, 2, max(len(bins.sums) - 2, 1)))


def curve(bins: Bins, w: NDArray, knots: int = KNOTS) -> tuple[NDArray, NDArray]:
    """Knots and variances of a piecewise linear curve through the bins, slightly smoothed."""
    at = np.unique(np.linspace(0, len(bins.n) - 1, min(knots, len(bins.n))).round().astype(int))
    place = bins.signal[at]
    place = place[np.concatenate([[True], np.diff(place) > 1e-9 * max(np.abs(place).max(), 1e-9)])]
    if len(place) < 3:
        return place, np.maximum(np.interp(place, bins.signal, bins.variance), 1e-30)
    x = np.stack([np.interp(bins.signal, place, row) for row in np.eye(len(place))], axis=1)
    # Second differences on the true spacing, in units of the variance's own size.
    gap = np.diff(place)
    bend = np.zeros((len(place) - 2, len(place)))
    for i in range(len(bend)):
        bend[i, i : i + 3] = 1 / gap[i], -1 / gap[i] - 1 / gap[i + 1], 1 / gap[i + 1]
        bend[i] *= min(gap[i], gap[i + 1])
    middle = np.maximum(np.interp(place[1:-1], bins.signal, bins.variance), 1e-300)
    weak = 0.3 * np.sqrt(np.median(w * bins.variance**2)) / middle
    target = np.concatenate([bins.variance, np.zeros(len(bend))])
    v = least_squares(np.concatenate([x, bend]), target, np.concatenate([w, weak**2]))
    return place, np.maximum(v, max(1e-3 * float(np.median(bins.variance)), 1e-30))


@dataclass(frozen=True)
class Residuals:
    """Standardised residuals counted by knot and size.

    Attributes
    ----------
    places : ndarray, shape (n,)
        Centres of the bins in standard deviations.
    counts : ndarray, shape (knots, n)
        Pixels are shared out to the two knots around their signal.
    """

    knots: NDArray
    variances: NDArray
    places: NDArray
    counts: NDArray

    @property
    def rows(self) -> NDArray:
        """Densities by knot; thin rows borrow the mean shape, as much as 200 residuals weigh."""
        common = self.counts.sum(axis=0) / max(float(self.counts.sum()), 1e-300)
        rows = self.counts + 200 * common
        return np.asarray(rows / rows.sum(axis=1, keepdims=True))

    def moments(self) -> tuple[float, float, float]:
        """Skewness, excess kurtosis and number of all residuals."""
        count = self.counts.sum(axis=0)
        total = float(count.sum())
        z = self.places - (count @ self.places) / total
        m2, m3, m4 = ((count @ z**k) / total for k in (2, 3, 4))
        if m2 <= 0:
            return 0.0, 0.0, total
        return float(m3 / m2**1.5), float(m4 / m2**2 - 3), total


def residuals(
    pairs: list[tuple[NDArray, NDArray]], knots: NDArray, variances: NDArray
) -> Residuals:
    """Count (residual, signal) pairs of arrays around a curve."""
    reach, n = 10.0, 401
    places = np.linspace(-reach, reach, n)
    step = places[1] - places[0]
    counts = np.zeros((len(knots), n))
    for residual, signal in pairs:
        z = residual / np.sqrt(np.interp(signal, knots, variances))
        column = np.clip(np.rint((z + reach) / step), 0, n - 1).astype(np.int64)
        row, up = between(knots, signal)
        flat = np.bincount(row * n + column, 1 - up, minlength=counts.size)
        upper = np.minimum(row + 1, len(knots) - 1)
        flat = flat + np.bincount(upper * n + column, up, minlength=counts.size)
        counts += flat.reshape(counts.shape)
    return Residuals(knots, variances, places, counts)


def histogram(found: Residuals) -> Histogram:
    """The table of PN2V, slightly smoothed, with residuals of mean 0 and variance 1 at knots."""
    step = found.places[1] - found.places[0]
    width = 3  # a normal kernel of 0.15 standard deviations
    kernel = np.exp(-((np.arange(-4 * width, 4 * width + 1) / width) ** 2) / 2)
    kernel /= kernel.sum()
    rows = np.stack([np.convolve(row, kernel, mode="same") for row in found.rows])
    rows /= rows.sum(axis=1, keepdims=True)
    centred = []
    for row in rows:  # smoothing widens, sampling shifts: stretch back to mean 0 and variance 1
        mean = row @ found.places
        sd = np.sqrt(max(float(row @ (found.places - mean) ** 2), 1e-6))
        centred.append(np.interp(found.places * sd + mean, found.places, row, left=0, right=0))
    return Histogram(found.knots, found.variances, found.places, np.stack(centred) / step)


def mixture(found: Residuals, components: int = 3, rounds: int = 300) -> Mixture:
    """The mixture of PPN2V: expectation maximisation at every knot, of mean 0 and variance 1.

    Every knot starts from the mixture of all residuals, so that components keep their places
    and may be interpolated between knots.
    """
    z, rows = found.places, found.rows
    common = found.counts.sum(axis=0, keepdims=True)
    even = np.linspace(0, 1, components + 2)[1:-1]
    m = np.interp(even, np.cumsum(common[0]) / common.sum(), z)[None]
    w, s = np.full((1, components), 1 / components), np.linspace(0.6, 1.6, components)[None]
    start = _em(common / common.sum(), z, w, m, s, rounds)
    w, m, s = (np.repeat(a, len(rows), axis=0) for a in start)
    w, m, s = _em(rows, z, w, m, s, rounds // 6)
    m = m - (w * m).sum(axis=1, keepdims=True)  # the noise has mean 0
    scale = np.sqrt((w * (s**2 + m**2)).sum(axis=1, keepdims=True))
    return Mixture(found.knots, found.variances, w, m / scale, s / scale)


def _em(
    rows: NDArray, z: NDArray, w: NDArray, m: NDArray, s: NDArray, rounds: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Expectation maximisation on histograms (rows, n); parameters (rows, components)."""
    for _ in range(rounds):
        d = (z - m[..., None]) / s[..., None]  # (rows, components, n)
        p = w[..., None] / s[..., None] * np.exp(-(d**2) / 2) + 1e-300
        p *= (rows / p.sum(axis=1))[:, None]
        w = p.sum(axis=2) + 1e-9
        m = (p * z).sum(axis=2) / w
        s = np.sqrt((p * (z - m[..., None]) ** 2).sum(axis=2) / w + 0.05**2)
        w = w / w.sum(axis=1, keepdims=True)
    return w, m, s
