"""Repeated frames of a still scene: drift taken out, motion found, pixels turned into samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from unnoise.errors import InputError
from unnoise.noise.camera.fit import Samples, block_numbers, least_squares
from unnoise.noise.planes import block_means

MOTION_WARN, MOTION_STOP = 0.02, 0.25
"""Share of the noise variance, or of the picture, that motion may explain."""
LOWEST = 0.02
"""Share of values at the lowest level from which it looks like a cut."""
OVEREXPOSED = 0.05
"""Share of saturated values that costs a twelfth of the variance of normal noise."""
CELL = 4
"""Side of the cells whose means show motion: noise averages out in them, motion does not."""


@dataclass(frozen=True)
class Stack:
    """Frames (t, ..., y, x) in float32 around `centre`, steady in time.

    Attributes
    ----------
    centre : float
        What was subtracted, so that 32 bits hold small noise on large offsets.
    clipped : ndarray of bool or None
        Saturated values.
    saturation : float or None
        The level at which values pile up.
    still : ndarray of bool, shape (..., y, x)
        Pixels where nothing moves.
    warnings : tuple of str
        What people should know.
    """

    frames: NDArray[np.float32]
    centre: float
    clipped: NDArray[np.bool_] | None
    saturation: float | None
    still: NDArray[np.bool_]
    warnings: tuple[str, ...]


def check_frames(frames: NDArray, name: str = "the frames") -> NDArray:
    """Refuse what cannot be repeats of a scene; returns numbers of shape (t, ..., y, x).

    Raises
    ------
    InputError
    """
    frames = np.asarray(frames)
    if frames.ndim not in (3, 4) or frames.dtype.kind not in "buif":
        raise InputError(
            f"{name} have shape {frames.shape} and type {frames.dtype}; give real numbers with the "
            f"axes (t, y, x) or (t, z, y, x)"
        )
    if len(frames) < 2:
        raise single_frame(name)
    if frames[0].size < 64:
        raise InputError(f"{name} have {frames[0].size} pixels each, too few; give 64 or more")
    return check_finite(frames, name)


def check_finite(frames: NDArray, name: str) -> NDArray:
    """Refuse frames with a pixel that is no number, which no camera gives.

    Raises
    ------
    InputError
    """
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        raise InputError(f"{name} hold NaN or infinite pixels; leave them out or fill them first")
    return frames


def single_frame(name: str) -> InputError:
    """What to record instead of a single frame."""
    return InputError(
        f"a single frame ({name}) cannot tell noise from signal; record at least 2, better 16, "
        f"frames of the same still scene, and as many with the shutter closed"
    )


def saturation(frames: NDArray) -> float | None:
    """The level at which values pile up, or None.

    The largest value is a level of saturation if it is there 10 times and more than 3 times as
    often as, on average, the next three values below.

    What `artifacts.histogram` says of pictures needs a share of 0.1 %, less would be no news for
    people. Here less counts, as it ends the curve: in simulated frames of which 0.01 to 0.09 % were
    at 255, this finds the level and that does not.
    """
    top = frames.max()
    many = int((frames == top).sum())
    if many < 10:
        return None
    flat = frames.ravel()
    largest = np.partition(flat, max(flat.size - 4 * many - 1000, 0))[-4 * many - 1000 :]
    counts = np.unique(largest, return_counts=True)[1]
    piled = len(counts) > 1 and counts[-1] > 3 * counts[-4:-1].mean()
    return float(top) if piled else None


def steady(frames: NDArray, name: str = "the frames") -> Stack:
    """Take drift out and look for motion.

    Every frame is regressed on the mean of all, frame = a + b * mean, and the difference of that
    line from the mean is subtracted. So bleaching and flicker (b) and a drifting offset (a) go
    whatever the offset is, and the noise itself is not rescaled.

    Raises
    ------
    InputError
        If the frames are alike, or do not show the same still scene.
    """
    frames = check_frames(frames, name)
    level = saturation(frames)
    clipped = frames >= level if level is not None else None
    centre = float(frames[0].mean(dtype=np.float64))
    x = np.stack([(f.astype(np.float64) - centre).astype(np.float32) for f in frames])
    scene, shifts, slopes = _drift(x)
    for f, shift, slope in zip(x, shifts, slopes, strict=True):
        f -= (shift + slope * scene).astype(np.float32)
    mean = x.mean(axis=0)
    residual = x - mean
    variance = (residual**2).sum(axis=0) / (len(x) - 1)
    noise = float(variance.mean(dtype=np.float64))
    if noise <= 1e-12 * float(scene.var() + (shifts**2).max()):  # rounding of 32 bits
        raise InputError(
            f"{name} do not differ from each other, so they hold no noise to measure; record "
            f"them again one after the other, do not copy one frame"
        )
    still, warnings = _motion(residual, mean, variance, noise, name)
    lowest = float((frames == frames.min()).mean())
    if lowest > LOWEST:
        warnings = (
            *warnings,
            f"{lowest:.0%} of the values are {frames.min():g}, the lowest; unless these are photon "
            f"counts the camera cuts off the noise below, and gain and offset are wrong: raise its "
            f"offset",
        )
    if float(np.ptp(shifts)) / np.sqrt(noise) > 0.5:
        far = f"the level of the frames drifts by {np.ptp(shifts):.3g} grey levels"
        warnings = (*warnings, f"{far}; it was taken out, but steady light measures better")
    return Stack(x, centre, clipped, level, still, warnings)


def _drift(x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The mean frame around 0, and for every frame shift and slope of its difference from it.

    Fitted to means over cells, robustly (Huber), so that something that moves in one place does
    not count as a change of the light everywhere.
    """
    mean = x.mean(axis=0, dtype=np.float64)
    scene = mean - mean.mean()
    ny, nx = (n // CELL for n in mean.shape[-2:])
    small = ny * nx < 16
    m = (scene if small else block_means(scene, CELL)).ravel()
    y = np.stack([(f - mean if small else block_means(f - mean, CELL)).ravel() for f in x])
    design = np.stack([np.ones_like(m), m], axis=1)
    w = np.ones_like(y)
    for _ in range(6):
        fitted = least_squares(np.broadcast_to(design, (len(x), *design.shape)), y, w)
        error = np.abs(y - fitted @ design.T)
        scale = 1.4826 * np.median(error, axis=1, keepdims=True)
        w = np.minimum(1, 2.5 * scale / np.maximum(error, 1e-30))
        w = np.where(scale > 0, w, 1)
    shifts, slopes = fitted.T
    return scene, shifts - shifts.mean(), slopes - slopes.mean()


def _motion(
    residual: NDArray, mean: NDArray, variance: NDArray, noise: float, name: str
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Where pixels are still, and warnings; refuses scenes that are not."""
    t = len(residual)
    warnings: list[str] = []
    # A common shift d moves every pixel by -d * gradient. The central difference leaves the pixel
    # itself out, so that its noise does not enter (Lucas and Kanade, 1981).
    gradients = np.stack(
        [ndimage.convolve1d(mean, [0.5, 0, -0.5], axis, mode="nearest") for axis in (-2, -1)]
    ).reshape(2, -1)
    gram = gradients @ gradients.T
    if np.linalg.cond(gram) < 1e6:
        moved = np.linalg.solve(gram, gradients @ residual.reshape(t, -1).T)
        explained = float(np.einsum("it,ij,jt->", moved, gram, moved))
        # The 2 t fitted numbers explain 2 t noise variances by chance; strong edges a bit more.
        share = (explained - 4 * t * noise) / (noise * mean.size * (t - 1))
        far = f"{name} shift against each other by up to {np.abs(moved).max():.2g} pixels"
        warnings += _judge(share, far, f"{share:.0%} of the noise")
    ny, nx = (n // CELL for n in mean.shape[-2:])
    if ny * nx < 4:
        return np.ones(mean.shape, np.bool_), tuple(warnings)
    cells = block_means(residual, CELL)
    spread = (cells**2).sum(axis=0) / (t - 1)
    ratio = spread * CELL**2 / np.maximum(block_means(variance, CELL), 0.05 * noise)
    typical = float(np.median(ratio)) / float(stats.chi2.median(t - 1) / (t - 1))
    smooth = 1.0
    if t >= 4:
        steps = (np.diff(cells, axis=0) ** 2).sum() / (2 * (t - 1))
        smooth = float(steps / max(float(spread.sum()), 1e-300))
    if typical > 8 or (typical > 3 and smooth < 0.5):
        raise InputError(
            f"{name} do not show the same still scene: neighbouring pixels change together from "
            f"frame to frame; give repeats of one scene, not a movie, a Z stack or several scenes"
        )
    if typical > 1.3 + 5 / np.sqrt(ny * nx):  # the median of few cells scatters
        warnings.append(
            f"the noise of neighbouring pixels is correlated (means over {CELL}x{CELL} pixels vary "
            f"{typical:.1f} times as much as independent noise would)"
        )
    limit = max(typical, 1.0) * float(stats.f.isf(1e-4, t - 1, CELL**2 * (t - 1)))
    moving = ratio > limit
    # Strongly skewed noise has more extreme cells; a few are left in the count as chance.
    share = max(float(moving.mean()) - 2e-3, 0)
    warnings += _judge(share, f"something moves in {name}", f"{share:.0%} of the picture")
    still = np.ones(mean.shape, np.bool_)
    if share:
        still[..., : ny * CELL, : nx * CELL] = ~np.kron(moving, np.ones((CELL, CELL), np.bool_))
    return still, tuple(warnings)


def _judge(share: float, what: str, how_much: str) -> list[str]:
    if share > MOTION_STOP:
        raise InputError(
            f"{what} ({how_much}), so their differences are not noise; record a scene that stands "
            f"still"
        )
    return [f"{what} ({how_much}); the noise may be overestimated"] if share > MOTION_WARN else []


def samples(stack: Stack) -> Samples:
    """Signals and variances of all still pixels, with keys that are independent of them.

    From 4 frames on, one half of the frames gives the key and the other the measurements, and the
    other way round. With fewer, the key is the mean of the neighbours.
    """
    x, still, found = stack.frames, stack.still, []
    even = np.arange(len(x)) % 2 == 0
    if len(x) >= 4:
        parts = [(x[~used].mean(axis=0), used) for used in (~even, even)]
    else:
        parts = [(_key(x.mean(axis=0)), np.ones(len(x), np.bool_))]
    for key, used in parts:
        clipped = np.zeros(still.shape) if stack.clipped is None else stack.clipped[used].mean(0)
        found.append(
            Samples(
                key[still].astype(np.float64) + stack.centre,
                x[used].mean(axis=0, dtype=np.float64)[still] + stack.centre,
                x[used].var(axis=0, ddof=1, dtype=np.float64)[still],
                clipped[still],
                block_numbers(still.shape)[still],
            )
        )
    return Samples.join(found, same_blocks=True)


def unclipped(stack: Stack) -> NDArray[np.bool_]:
    """Still pixels that saturate in no frame."""
    return stack.still if stack.clipped is None else stack.still & ~stack.clipped.any(axis=0)


def check_exposure(light: Sequence[Samples]) -> None:
    """Refuse bright frames that saturate everywhere, as even the darkest eighth of each does.

    Raises
    ------
    InputError
    """
    shares = [
        float(part.clipped[part.key <= np.quantile(part.key, 1 / 8)].mean()) for part in light
    ]
    if min(shares) > OVEREXPOSED:
        raise InputError(
            f"the frames are overexposed: {min(shares):.0%} of the values of their darkest places "
            f"are saturated, so the noise is cut off; record them with less light"
        )


def _key(mean: NDArray) -> NDArray:
    """The mean of the 8 neighbours, or the pixel itself where neighbours tell too little.

    With its own mean as key, read noise flattens the line: by the share that noise of the mean
    has in the spread of the key, which is small wherever neighbours do not know the signal.
    """
    size = (1,) * (mean.ndim - 2) + (3, 3)
    around = (ndimage.uniform_filter(mean.astype(np.float64), size, mode="mirror") * 9 - mean) / 8
    deviation = mean - mean.mean()
    told = float((around * deviation).mean()) / max(float((deviation**2).mean()), 1e-300)
    return around if told > 0.2 else mean
