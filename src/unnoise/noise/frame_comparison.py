"""Two noisy frames of what may be one scene: how bright each is, and where they differ by more.

Gain and offset come from a regression of frame on frame. Both are noisy, so least squares would
find too low a gain; instead the means of blocks are compared with those of the blocks diagonally
beside them, whose noise is independent (instrumental variables, Fuller, Measurement Error Models,
1987, section 1.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.images.robust_sigma import robust_sigma
from unnoise.noise.planes import block_means, centred, middle

BLOCK = 8
TILE = 64  # drift is measured per tile, so that turning and stretching count too
CERTAIN = 4.0
"""Standard errors from which two frames are not equally bright."""
SIDES = (BLOCK, 4, 2)
"""Blocks whose means are regressed: large ones or, where those beside each other have too little in
common, as of points in the dark, smaller ones, whose noise is less surely independent."""
SURE = 0.15
"""Error of a gain from which smaller blocks are tried."""
ROUNDING = 1e-13
"""Deviation, over the values, that rounding alone leaves."""
TRUSTED = 5.0
"""Standard errors of what neighbouring blocks have in common from which a gain is fitted."""


@dataclass(frozen=True)
class Brightness:
    """``other * gain + offset`` is as bright as the frame.

    ``differs`` says that this is certain; else gain and offset are 1 and 0. ``structured`` says
    that there was structure to fit a gain to; ``error`` is the standard error of the gain, or,
    without structure, that of the mean over the mean.
    """

    gain: float = 1.0
    offset: float = 0.0
    differs: bool = False
    structured: bool = False
    error: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """What two frames have in common.

    ``changed`` is the share of 8x8 blocks that differ by more than noise; ``spread`` how much
    more the means of 4x4 blocks vary than those of white noise; ``correlation`` that of the
    smoothed frames; ``moved`` the share of tiles that moved; ``drift`` the shift (y, x) in pixels
    and ``drift_error`` its standard error.
    """

    brightness: Brightness
    changed: float
    spread: float
    correlation: float
    moved: float
    drift: tuple[float, float]
    drift_error: float


def is_copy(a: NDArray, b: NDArray) -> bool:
    """Whether two frames are the same to the last bit."""
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def is_blank(frame: NDArray) -> bool:
    """Whether nothing is on a frame: every pixel has the same value, or none."""
    return bool(
        np.isnan(frame).all() if np.isnan(frame.flat[0]) else (frame == frame.flat[0]).all()
    )


def match(frame: ArrayLike, other: ArrayLike) -> Brightness:
    """Gain and offset that make one frame as bright as another of the same scene.

    Parameters
    ----------
    frame, other : (y, x)
        Noisy frames; their noise may differ, and a part of the scene may have changed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scene = ndimage.gaussian_filter(rng.normal(0, 300, (128, 128)), 3).clip(0) + 10
    >>> found = match(100 + rng.poisson(scene), 100 + rng.poisson(2 * scene))
    >>> round(found.gain, 2), round(found.offset)
    (0.5, 50)
    >>> match(rng.poisson(scene), rng.poisson(scene)).differs
    False
    """
    a, b = (np.asarray(x).astype(np.float64) for x in (frame, other))
    missing = ~np.isfinite(a + b)
    if missing.any():
        a, b = (
            np.where(missing, float(x[~missing].mean()) if not missing.all() else 0.0, x)
            for x in (a, b)
        )
    means = float(a.mean()), float(b.mean())
    a, b = a - means[0], b - means[1]
    found: list[tuple[float, float, float, float, bool]] = []
    for side in SIDES:
        if min(a.shape) >= 4 * side and not (found and found[-1][1] < SURE):
            found.append(_regressed(block_means(a, side), block_means(b, side)))
    if not found:
        return Brightness()
    gain, gain_error, shift, shift_error, structured = min(found, key=lambda tried: tried[1])
    differs = abs(gain - 1) > CERTAIN * gain_error
    error = gain_error if structured else shift_error / max(abs(means[0]), 1e-300)
    gain = gain if differs else 1.0
    # The mean of the frame less that of the other, by gain 1, and by the gain that was found.
    plain = means[0] - means[1] + shift
    if not differs and abs(plain) <= CERTAIN * shift_error:
        return Brightness(structured=structured, error=error)
    return Brightness(gain, means[0] - gain * means[1] + shift, True, structured, error)


def _regressed(
    p: NDArray[np.float64], q: NDArray[np.float64]
) -> tuple[float, float, float, float, bool]:
    """Gain, its error, what is left of the offset, its error, and whether there was structure."""
    own, other = _beside(p), _beside(q)
    # Each must know something of what lies beside it in the other, or they have nothing in common.
    structured = _together(p, other) > TRUSTED and _together(q, own) > TRUSTED
    p, q, beside = p.ravel(), q.ravel(), (own + other).ravel()
    kept = np.ones(p.size, bool)
    gain, error = 1.0, np.inf
    for _ in range(4):
        if structured:
            pk, qk, z = (x[kept] - x[kept].mean() for x in (p, q, beside))
            strength = float(qk @ z)
            gain = float(pk @ z) / strength
            error = sqrt(float((((pk - gain * qk) * z) ** 2).sum())) / abs(strength)
        # Blocks that changed are left out.
        rest = p - gain * q
        spread = robust_sigma(rest[kept])
        if spread > 0:
            kept = np.abs(rest - float(np.median(rest[kept]))) <= 4 * spread
    rest = (p - gain * q)[kept]
    return gain, error, float(rest.mean()), float(rest.std()) / sqrt(len(rest)), structured


def _beside(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of the blocks diagonally beside every block, which share no row or column with it."""
    corners = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], np.float64)
    total, count = (
        ndimage.convolve(x, corners, mode="constant") for x in (means, np.ones_like(means))
    )
    return np.asarray(total / count)


def _together(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Covariance of two fields over its standard error."""
    product = (x - x.mean()) * (y - y.mean())
    return float(product.sum() / max(sqrt(float((product**2).sum())), 1e-300))


def compare(a: NDArray, b: NDArray) -> Comparison:
    """What two frames, at least 16x16 pixels, have in common.

    They are made comparable by a gain and an offset. Their difference ``d`` must then be noise:
    (1) its mean over blocks of 8 and 32 pixels zero within 5 standard errors, which come from
    ``d`` itself, the correlation of noise within 4x4 pixels counted in; (2) uncorrelated with the
    gradient of the frames' mean, since a shift ``s`` makes ``d = -s . grad``.
    """
    light = match(a, b)
    first = centred(a)
    finite = np.isfinite(a)
    middle_value = float(np.median(a[finite])) if finite.any() else 0.0
    matched = np.asarray(b, np.float64) * light.gain + light.offset
    second = np.where(np.isfinite(matched), matched - middle_value, 0.0)
    d, sd = _clipped(second - first, float(first.var()))
    level, lines = _without_lines(d)
    # The offsets of rows are noise too, so they count in dark places where there is little else.
    unit = level[: sd.shape[0], : sd.shape[1]] / np.hypot(sd, lines)
    correlation = _correlation(block_means(first, 4), block_means(second, 4))
    # Correlated noise makes means of 4x4 pixels vary more than white noise would, and those of
    # larger blocks a little more still; a scene that changes makes those vary far more. Frames
    # that are not alike get no such allowance.
    spread = robust_sigma(block_means(unit, 4) * 4)
    spread = min(1.25 * spread, 10.0) if spread > 1.2 and correlation > 0.5 else 1.0
    changed = float(changed_blocks(unit, spread).mean())
    moved, shift, error = _drift(d, (first + second) / 2, spread)
    return Comparison(light, changed, spread, correlation, moved, shift, error)


def changes(d: NDArray[np.float64], spread: float) -> NDArray[np.bool_]:
    """Pixels of a patch where a difference of matched frames is more than noise, or beside one.

    Offsets of rows and columns are counted as noise here and not taken out: in a patch, what
    changed would be a good part of its rows.
    """
    found = np.zeros(d.shape, np.bool_)
    if min(d.shape) < 2 * BLOCK:
        return found
    d, sd = _clipped(d, 0.0)
    white = float(np.mean(sd**2))
    lines = 0.0
    for axis in (0, 1):
        means = d.mean(axis=1 - axis)
        lines += max(robust_sigma(np.diff(means)) ** 2 / 2 - white / d.shape[1 - axis], 0.0)
    # An offset of a row is shared by the 32 pixels of it in the widest block that is judged.
    blocks = changed_blocks(d[: sd.shape[0], : sd.shape[1]] / np.sqrt(sd**2 + 32 * lines), spread)
    if blocks.any():
        # What changed seldom ends where a block does.
        blocks = ndimage.binary_dilation(blocks, np.ones((3, 3)))
        wide = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)
        found = np.pad(wide, [(0, n - m) for n, m in zip(d.shape, wide.shape, strict=True)], "edge")
    return found


def _clipped(
    d: NDArray[np.float64], power: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A difference of frames without outliers, and the noise of whole blocks of it by pixel."""
    # Differences of neighbours in d know the noise of d whatever the scene did slowly; jumps of
    # whole rows or columns enter along one axis only, so the smaller one counts.
    steps = (np.diff(d, axis=k, append=np.take(d, [-2], axis=k)) for k in (0, 1))
    jumps = np.minimum(*(block_means(step**2, BLOCK) for step in steps))
    noise = ndimage.uniform_filter(jumps / 2, 3)
    floor = 1e-3 * float(noise.mean()) + 1e-12 * power + 1e-300
    sd = np.sqrt(np.maximum(noise, floor)).repeat(BLOCK, 0).repeat(BLOCK, 1)
    # Single outliers (cosmic rays) are no change of the scene.
    limit = 5 * np.pad(sd, [(0, n - m) for n, m in zip(d.shape, sd.shape, strict=True)], "edge")
    return np.clip(d, -limit, limit), sd


def changed_blocks(unit: NDArray[np.float64], spread: float) -> NDArray[np.bool_]:
    """Which 8x8 blocks of a difference in standard deviations are more than noise."""
    fine = np.abs(block_means(unit, BLOCK) * BLOCK) > 5.0 * spread
    # What is seen in a block, and around it, says nothing about the rest of a coarse one.
    seen = ndimage.binary_dilation(fine, np.ones((3, 3))) if fine.any() else fine
    rest = np.where(seen.repeat(BLOCK, 0).repeat(BLOCK, 1), 0.0, unit) if fine.any() else unit
    coarse = np.abs(block_means(rest, 4 * BLOCK) * 4 * BLOCK) > 5.0 * spread
    # A coarse block is 16 fine ones; what is left over at the far borders is judged finely only.
    wide = coarse.repeat(4, 0).repeat(4, 1)
    fine[: wide.shape[0], : wide.shape[1]] |= wide
    return np.asarray(fine)


def _without_lines(d: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The difference without offsets of whole rows and columns, and their standard deviation."""
    variance = 0.0
    for axis in (0, 1):
        means = d.mean(axis=1 - axis)
        x = np.linspace(-1, 1, len(means))
        smooth = np.polynomial.legendre.legval(x, np.polynomial.legendre.legfit(x, means, 2))
        d = d - np.expand_dims(means - smooth, 1 - axis)
        variance += float((means - smooth).var())
    return d, sqrt(variance)


def _drift(d: NDArray, mean: NDArray, inflation: float) -> tuple[float, tuple[float, float], float]:
    """Share of tiles that moved, the shift (y, x) of all in pixels, and its standard error."""
    part = middle(d.shape, 1024)
    gy, gx = np.gradient(ndimage.gaussian_filter(mean[part], 1.0))
    r = ndimage.gaussian_filter(d[part], 1.0)
    side = min(TILE, *r.shape)
    sums = {
        name: block_means(product, side) * side**2
        for name, product in (
            *(("yy", gy * gy), ("xx", gx * gx), ("yx", gy * gx)),
            *(("yr", gy * r), ("xr", gx * r), ("rr", r * r)),
        )
    }
    whole = {name: np.array([tile.sum()]) for name, tile in sums.items()}
    (dy,), (dx,), (error,) = _shift(whole, sums["rr"].size * side**2, inflation)
    ty, tx, te = _shift(sums, side**2, inflation)
    size = np.hypot(ty, tx)
    return float(np.mean((size > 0.2) & (size > 5 * te))), (float(dy), float(dx)), float(error)


def _shift(
    s: dict[str, NDArray[np.float64]], pixels: int, inflation: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares shift in y and x, and its standard error, from sums of products."""
    determinant = s["yy"] * s["xx"] - s["yx"] ** 2
    good = determinant > 1e-6 * (s["yy"] + s["xx"]) ** 2
    safe = np.where(good, determinant, 1.0)
    y = np.where(good, (s["yx"] * s["xr"] - s["xx"] * s["yr"]) / safe, 0.0)
    x = np.where(good, (s["yx"] * s["yr"] - s["yy"] * s["xr"]) / safe, 0.0)
    # Smoothing with sigma 1 makes 4 pi sigma^2 = 12.6 neighbouring pixels one.
    variance = s["rr"] / pixels * 12.6 * inflation**2 * (s["yy"] + s["xx"]) / safe / 2
    return y, x, np.where(good, np.sqrt(variance), np.inf)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson correlation, 0 for constant images."""
    p, q = (a - a.mean()).ravel(), (b - b.mean()).ravel()
    # What is left of a constant image is the rounding of its mean.
    if any(float(x @ x) <= ROUNDING**2 * float((y**2).sum()) for x, y in ((p, a), (q, b))):
        return 0.0
    return float(p @ q) / sqrt(float(p @ p) * float(q @ q))
