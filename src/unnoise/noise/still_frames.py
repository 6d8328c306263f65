"""Whether frames along time, samples or depth are noisy looks at one scene."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, hypot, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.images.robust_sigma import robust_sigma
from unnoise.noise.planes import block_means, centred, middle

BLOCK = 8
PAIRS = 8  # pairs of neighbouring frames looked at, fewer of large frames
TILE = 64  # drift is measured per tile, so that turning and stretching count too


@dataclass(frozen=True)
class Repeats:
    """Whether neighbouring frames are noisy looks at the same scene.

    ``verdict`` is one of ``repeats``, ``slowly changing``, ``different``, ``duplicates`` and
    ``too few``; ``changed`` the share of 8x8 blocks that differ by more than noise; ``drift`` the
    shift in pixels per frame; ``correlation`` that of the smoothed frames.
    """

    still: bool
    verdict: str
    changed: float
    drift: float
    correlation: float

    @property
    def found(self) -> bool:
        """Whether the frames are repeats or copies of each other."""
        return self.verdict in ("repeats", "duplicates")

    def line(self) -> str | None:
        """One sentence for the user, or None."""
        return {
            "repeats": "Neighbouring frames show the same scene and differ by noise only: they "
            "can train each other (Noise2Noise), which also copes with correlated noise.",
            "duplicates": "Frames are exact copies of each other: they carry no more information "
            "than one of them, and must not be used as repeats.",
            "slowly changing": "Neighbouring frames are alike but the scene moves or changes: "
            "they are no repeats; Noise2Noise between them would blur what moves.",
        }.get(self.verdict)


def repeats(frames: ArrayLike) -> Repeats:
    """Whether neighbouring frames are repeats, so that Noise2Noise across them is possible.

    Two frames are made comparable by a gain and an offset (bleaching). Their difference ``d`` must
    then be noise: (1) its mean over blocks of 8 and 32 pixels zero within 5 standard errors, which
    come from ``d`` itself, the correlation of noise within 4x4 pixels counted in; (2) uncorrelated
    with the gradient of the frames' mean, since a shift ``s`` makes ``d = -s . grad``.

    Parameters
    ----------
    frames : (n, y, x)
        Frames along T, S or Z of one channel.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scene = ndimage.gaussian_filter(rng.normal(0, 300, (128, 128)), 3) + 100
    >>> repeats(rng.poisson(scene.clip(0), (4, 128, 128))).verdict
    'repeats'
    >>> repeats(rng.poisson([scene.clip(0), scene.T.clip(0)])).verdict
    'different'
    """
    stack = np.asarray(frames)
    if stack.ndim != 3 or len(stack) < 2 or min(stack.shape[1:]) < 2 * BLOCK:
        return Repeats(False, "too few", 0.0, 0.0, 0.0)
    pairs = int(np.clip((1 << 22) // stack[0].size, 2, PAIRS))
    firsts = np.unique(np.linspace(0, len(stack) - 2, min(pairs, len(stack) - 1)).astype(int))
    tests = [t for i in firsts if (t := _compare(stack[i], stack[i + 1])) is not None]
    if len(tests) < len(firsts) / 2 or not tests:
        return Repeats(False, "duplicates", 0.0, 0.0, 1.0)
    changed, correlation, local, drift_y, drift_x, error = np.array(tests).T
    share, alike = float(changed.mean()), float(np.median(correlation))
    # A steady drift adds up over pairs, jitter does not cancel: take both.
    drift = hypot(float(drift_y.mean()), float(drift_x.mean()))
    steady = float(np.sqrt((error**2).sum())) / len(error)
    single = np.hypot(drift_y, drift_x)
    moving = (drift > 0.05 and drift > 5 * steady) or bool(
        np.mean((single > 0.15) & (single > 5 * error)) > 0.25 or local.mean() >= 0.1
    )
    # By chance erfc(5 / sqrt 2) = 6e-7 of the blocks; 0.05 % allows for tails of the noise.
    blocks = (stack.shape[1] // BLOCK) * (stack.shape[2] // BLOCK)
    still = share <= max(0.0005, 1.5 / (blocks * len(tests)), erfc(5 / sqrt(2))) and not moving
    if still:
        return Repeats(True, "repeats", share, drift, alike)
    verdict = "slowly changing" if alike > 0.5 else "different"
    return Repeats(False, verdict, share, max(drift, float(np.median(single))), alike)


def _compare(a: NDArray, b: NDArray) -> tuple[float, float, float, float, float, float] | None:
    """Share of changed blocks, correlation, share of moved tiles, drift, error; None for copies."""
    if np.array_equal(a, b, equal_nan=True):
        return None
    first = centred(a)
    second = matched(first, centred(b))
    d = second - first
    # Differences of neighbours in d know the noise of d whatever the scene did slowly; jumps of
    # whole rows or columns enter along one axis only, so the smaller one counts.
    steps = (np.diff(d, axis=k, append=np.take(d, [-2], axis=k)) for k in (0, 1))
    jumps = np.minimum(*(block_means(step**2, BLOCK) for step in steps))
    noise = ndimage.uniform_filter(jumps / 2, 3)
    floor = 1e-3 * float(noise.mean()) + 1e-12 * float(first.var()) + 1e-300
    sd = np.sqrt(np.maximum(noise, floor)).repeat(BLOCK, 0).repeat(BLOCK, 1)
    # Single outliers (cosmic rays) are no change of the scene.
    limit = 5 * np.pad(sd, [(0, n - m) for n, m in zip(d.shape, sd.shape, strict=True)], "edge")
    d = np.clip(d, -limit, limit)
    level, lines = _without_lines(d)
    # The offsets of rows are noise too, so they count in dark places where there is little else.
    unit = level[: sd.shape[0], : sd.shape[1]] / np.hypot(sd, lines)
    correlation = _correlation(block_means(first, 4), block_means(second, 4))
    # Correlated noise makes means of 4x4 pixels vary more than white noise would, and those of
    # larger blocks a little more still; a scene that changes makes those vary far more. Frames
    # that are not alike get no such allowance.
    spread = robust_sigma(block_means(unit, 4) * 4)
    spread = min(1.25 * spread, 10.0) if spread > 1.2 and correlation > 0.5 else 1.0
    sums = (block_means(unit, side) * side for side in (BLOCK, 4 * BLOCK))
    fine, coarse = (np.abs(total) > 5.0 * spread for total in sums)
    # A coarse block is 16 fine ones; what is left over at the far borders is judged finely only.
    wide = coarse.repeat(4, 0).repeat(4, 1)
    fine[: wide.shape[0], : wide.shape[1]] |= wide
    moved, shift, error = _drift(d, (first + second) / 2, spread)
    return float(fine.mean()), correlation, moved, *shift, error


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


def matched(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """``b`` with the gain and offset that fit its block means best to those of ``a``."""
    p, q = (block_means(frame, BLOCK).ravel() for frame in (a, b))
    if p.size < 8:
        return b
    p0, q0 = float(np.median(p)), float(np.median(q))
    cp, cq = p - p0, q - q0
    gain = 1.0
    for _ in range(3):
        # Both are noisy, so the slope is the geometric mean of both regressions; blocks that
        # moved are left out.
        rest = np.abs(cp - gain * cq)
        kept = rest <= 3 * 1.4826 * np.median(rest) + 1e-12
        vp, vq, cov = cp[kept] @ cp[kept], cq[kept] @ cq[kept], cp[kept] @ cq[kept]
        if not (vq > 0 and cov > 0.5 * sqrt(vp * vq)):  # no common structure to fit a gain to
            gain = 1.0
            break
        gain = float(np.clip(sqrt(vp / vq), 0.5, 2.0))
    return (b - q0) * gain + p0 + float(np.median(cp - gain * cq))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson correlation, 0 for constant images."""
    p, q = (a - a.mean()).ravel(), (b - b.mean()).ravel()
    power = sqrt(float(p @ p) * float(q @ q))
    return float(p @ q) / power if power > 1e-30 else 0.0
