"""Traces that earlier processing left in the pixels: JPEG, demosaicing, interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from unnoise.images.robust_sigma import robust_sigma
from unnoise.noise.planes import blocks, centred, middle

WIDE = 2048  # larger planes are cut to their middle


@dataclass(frozen=True)
class Jpeg:
    """Blocks of 8x8 pixels; ``step`` is the typical step of the DCT coefficients in grey levels."""

    found: bool
    strong: bool
    phase: tuple[int, int]
    blockiness: float
    step: float
    significance: float

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        how = "strong JPEG" if self.strong else "JPEG"
        return (
            f"The image went through {how} compression (blocks of 8x8 pixels): its noise is "
            "correlated within blocks, so denoising will leave some of it; use the original."
        )


@dataclass(frozen=True)
class Demosaic:
    """A 2x2 pattern of interpolated pixels; ``phase`` (y, x) is where the measured ones lie."""

    found: bool
    pattern: str
    phase: tuple[int, int]
    strength: float
    significance: float

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        if self.pattern == "rows" or self.pattern == "columns":
            return (
                f"Even and odd {self.pattern} differ in sharpness or noise, as after interlacing "
                "or interpolation: the noise is not the same in all pixels."
            )
        return (
            "The pixels repeat a 2x2 pattern, as from a colour camera whose missing colours were "
            "interpolated: neighbouring pixels share noise, which denoising may keep."
        )


@dataclass(frozen=True)
class Interpolated:
    """An enlarged or smoothed image; ``drop`` is the loss of power at the finest detail in dB."""

    found: bool
    factor: float | None
    periodic: bool
    drop: float
    significance: float

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        if self.periodic:
            size = f" by about {self.factor:.3g}" if self.factor else ""
            return (
                f"The image was resampled{size}: neighbouring pixels share noise, so denoise it "
                "before resampling."
            )
        return (
            f"The finest details carry {self.drop:.0f} dB less than the coarser ones: the image "
            "was enlarged or smoothed after recording, or has no noise."
        )


def jpeg(plane: ArrayLike) -> Jpeg:
    """Whether the plane was compressed by JPEG, and on which 8x8 grid.

    Two independent signs. Blockiness: differences across block borders exceed those inside, in y
    and in x, compared with the other 7 phases (Fan & de Queiroz, IEEE TIP 2003, in spirit).
    Comb: on the right grid the DCT coefficients cluster at multiples of a step (the quantisation
    table), which no natural image does; the other 63 phases of the grid are the control.

    Parameters
    ----------
    plane : (y, x)
        Any real type. For colour images the luminance shows the comb best.

    Examples
    --------
    >>> jpeg(np.random.default_rng(0).normal(size=(128, 128))).found
    False
    """
    x = _wide(plane)
    if min(x.shape) < 64 or not x.std():
        return Jpeg(False, False, (0, 0), 0.0, 0.0, 0.0)
    (zy, py, by), (zx, px, bx) = (_borders(x, axis) for axis in (0, 1))
    comb, phase, step = _comb(x)
    combed = comb > 8
    found = combed or (min(zy, zx) > 5 and zy + zx > 16)
    blockiness = float(sqrt(max(by, 0.0) * max(bx, 0.0)))
    return Jpeg(
        found=found,
        strong=found and (blockiness > 0.25 or step > 60),
        phase=phase if combed else (py, px),
        blockiness=blockiness,
        step=step,
        significance=max(comb, min(zy, zx)),
    )


def demosaic(plane: ArrayLike) -> Demosaic:
    """Whether the pixels repeat a 2x2 pattern of interpolation.

    Interpolated pixels are smoother than measured ones, so the mean size of a high-pass differs
    between the four phases of the 2x2 grid (Gallagher & Chen, CVPR 2008).

    Parameters
    ----------
    plane : (y, x)
        One colour; the pattern of the green one is a checkerboard.

    Examples
    --------
    >>> demosaic(np.random.default_rng(0).normal(size=(128, 128))).found
    False
    """
    x = _wide(plane)
    if min(x.shape) < 32 or not x.std():
        return Demosaic(False, "none", (0, 0), 0.0, 0.0)
    high = np.abs(4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:])
    cut = blocks(high, 16)
    h, w = cut.shape[::2]
    tiles = cut.reshape(h, 8, 2, w, 8, 2)
    # Four means per tile; tiles count alike however bright their texture. (tiles, 2, 2)
    means = tiles.mean(axis=(1, 4)).transpose(0, 2, 1, 3).reshape(-1, 2, 2)
    means = means[means.max(axis=(1, 2)) > 0]
    if len(means) < max(4, h * w / 10):
        return Demosaic(False, "none", (0, 0), 0.0, 0.0)
    # Clean interpolated pixels may have no high-pass at all: a floor keeps the logarithm finite.
    logs = np.log(means + 0.01 * means.mean(axis=(1, 2), keepdims=True))
    signs = {
        "checkerboard": np.array([[1, -1], [-1, 1]]),
        "rows": np.array([[1, 1], [-1, -1]]),
        "columns": np.array([[1, -1], [1, -1]]),
    }
    contrasts = {name: (logs * sign).sum(axis=(1, 2)) / 4 for name, sign in signs.items()}
    sizes = {name: float(c.mean()) for name, c in contrasts.items()}
    errors = {name: float(c.std()) / sqrt(len(c)) for name, c in contrasts.items()}
    scores = {name: abs(sizes[name]) / max(errors[name], 1e-12) for name in signs}
    strong = {name for name in signs if scores[name] > 7 and abs(sizes[name]) > 0.04}
    if "checkerboard" in strong or strong >= {"rows", "columns"}:
        lines = max(abs(sizes["rows"]), abs(sizes["columns"]))
        pattern = "checkerboard" if abs(sizes["checkerboard"]) > 3 * lines else "2x2"
    else:
        pattern = next(iter(strong), "none")
    # high was cut by one pixel: phase (0, 0) of high is pixel (1, 1) of the plane
    first = np.unravel_index(logs.mean(axis=0).argmax(), (2, 2))
    at = middle(np.shape(plane), WIDE)
    phase = (int(first[0] + 1 + at[0].start) % 2, int(first[1] + 1 + at[1].start) % 2)
    strength = max(abs(size) for size in sizes.values())
    return Demosaic(bool(strong), pattern, phase, strength, max(scores.values()))


def interpolated(plane: ArrayLike) -> Interpolated:
    """Whether the plane was resampled or smoothed after recording.

    Linear and cubic interpolation by a factor ``N`` make the second derivative vary with period
    ``N`` (Gallagher, CRV 2005): a peak at ``1/N`` (or its alias) in the spectrum of its mean size
    per column. A smooth one leaves no power near the Nyquist frequency, where independent noise
    would leave a flat floor even in a blurred image.

    Parameters
    ----------
    plane : (y, x)
        Any real type.

    Examples
    --------
    >>> small = np.random.default_rng(0).normal(size=(64, 64))
    >>> interpolated(small).found, interpolated(ndimage.zoom(small, 2, order=1)).found
    (False, True)
    """
    x = _wide(plane)
    if min(x.shape) < 64 or not x.std():
        return Interpolated(False, None, False, 0.0, 0.0)
    peaks = [_period(x, axis) for axis in (0, 1)]
    drop, edge = _rolloff(x)
    agree = all(score > 8 for score, _ in peaks) and abs(peaks[0][1] - peaks[1][1]) < 0.02
    frequency = max(peaks)[1]
    # Multiples of 1/8 other than 1/2 are JPEG's.
    eighth = abs(8 * frequency - round(8 * frequency)) < 0.03 and frequency < 0.49
    periodic = (agree or max(peaks)[0] > 20) and not eighth
    factor = None
    if periodic and frequency > 0.49:
        factor = 2.0
    elif periodic and (edge < 0.03 or drop > 10):
        # A peak at f stands for 1/N = f or 1 - f; the power left at 0.21 tells which.
        factor = round(1 / frequency if edge < 0.03 else 1 / (1 - frequency), 2)
    found = periodic or drop > 24  # natural images without noise stay below 22 dB
    return Interpolated(found, factor, periodic, drop, min(score for score, _ in peaks))


def _wide(plane: ArrayLike) -> NDArray[np.float64]:
    """The middle of the plane, at most WIDE wide, finite and centred."""
    return centred(np.asarray(plane)[middle(np.shape(plane), WIDE)])


def _borders(x: NDArray[np.float64], axis: int) -> tuple[float, int, float]:
    """Significance, position in 0..7 and relative size of the steps at every eighth line."""
    a = x if axis else x.T
    # Third difference: a step between lines 1 and 2 that slopes on either side do not explain.
    step = np.abs(a[:, :-3] - 3 * a[:, 1:-2] + 3 * a[:, 2:-1] - a[:, 3:])
    step = np.minimum(step, np.quantile(step[:: max(1, len(step) // 256)], 0.9) + 1e-12)
    profile = step.mean(axis=0)
    profile = profile / np.maximum(ndimage.median_filter(profile, 17), 1e-12) - 1
    n = len(profile) // 8
    means = profile[: 8 * n].reshape(n, 8)
    level = means.mean(axis=0)
    best = int(level.argmax())
    size = float(level[best] - np.median(level))
    scatter = float(np.delete(means, best, axis=1).std()) / sqrt(n)
    error = max(scatter, float(np.delete(level, best).std()) / 1.5)
    # the step lies between lines best+1 and best+2, so a block starts at best+2
    return size / max(error, 1e-9), (best + 2) % 8, size


# The lowest frequencies of a block: those that survive compression.
_LOW = [(i, j) for i in range(5) for j in range(5) if 0 < i + j < 5]


def _comb(x: NDArray[np.float64]) -> tuple[float, tuple[int, int], float]:
    """How far DCT coefficients of one grid cluster at multiples of a step, beyond other grids."""
    part = x[middle(x.shape, 384, step=8)]  # on the grid, so phases are those of the plane
    grid = np.round(part - part[0, 0], 3)
    h, w = ((n - 7) // 8 for n in part.shape)
    steps = np.arange(2, 81, dtype=np.float64)
    centres = (np.arange(-1024, 1025) / 4)[:, None]  # quarter grey levels
    waves = np.cos(2 * np.pi * centres / steps)
    waves[np.abs(centres) < steps / 2] = 0  # a single heap at zero is no comb
    counted = (np.abs(centres) >= steps / 2).astype(np.float64)
    scores, best = np.zeros((8, 8)), np.zeros((8, 8))
    for i in range(8):
        for j in range(8):
            cut = blocks(grid[i : i + 8 * h, j : j + 8 * w], 8)
            spectrum = fft.dctn(cut.transpose(0, 2, 1, 3), axes=(2, 3), norm="ortho")
            table = np.stack([_histogram(spectrum[..., k, m]) for k, m in _LOW])
            n = table @ counted
            z_scores = (table @ waves) * np.sqrt(2 / np.maximum(n, 1)) * (n >= 24)
            scores[i, j] = z_scores.max(axis=1).mean()
            best[i, j] = np.median(steps[z_scores.argmax(axis=1)])
    top = np.unravel_index(scores.argmax(), scores.shape)
    rest = np.delete(scores.ravel(), scores.argmax())
    spread = max(robust_sigma(rest), 0.15)
    significance = float((scores[top] - rest.max()) / spread)
    step = float(best[top]) if significance > 8 else 0.0
    return significance, (int(top[0]), int(top[1])), step


def _histogram(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts per quarter grey level from -256 to 256, without what lies outside."""
    inside = values[np.abs(values) <= 256]
    index = np.round(4 * inside).astype(np.int64) + 1024
    return np.bincount(index, minlength=2049).astype(np.float64)


def _period(x: NDArray[np.float64], axis: int) -> tuple[float, float]:
    """Height of the strongest peak above its surroundings, and its frequency, along one axis."""
    a = x if axis else x.T
    second = np.abs(2 * a[:, 1:-1] - a[:, :-2] - a[:, 2:])
    scale = ndimage.uniform_filter(second, 33) + 1e-9 * float(np.abs(x).max())
    profile = np.minimum(second / scale, 4).mean(axis=0)
    profile = profile - ndimage.uniform_filter1d(profile, 17)
    n = len(profile)
    spectrum = np.abs(np.fft.rfft(profile * np.hanning(n)))
    spectrum[: max(4, n // 8)] = 0  # periods above 8 pixels are the scene's
    level = np.median(spectrum[max(4, n // 8) :])
    k = int(spectrum.argmax())
    return float(spectrum[k] / max(level, 1e-12)), k / n


def _rolloff(x: NDArray[np.float64]) -> tuple[float, float]:
    """Power at 0.21 cycles/pixel over that at 0.47, in dB; and that at 0.21 over that at 0.1."""
    side = min(512, *x.shape)
    window = np.hanning(side)
    part = x[middle(x.shape, side)]
    power = np.abs(np.fft.rfft2((part - part.mean()) * np.outer(window, window))) ** 2
    fy, fx = np.abs(np.fft.fftfreq(side)), np.fft.rfftfreq(side)
    inner = np.ix_((fy > 0.17) & (fy < 0.25), (fx > 0.17) & (fx < 0.25))
    outer = np.ix_(fy > 0.44, fx > 0.44)
    centre = np.ix_((fy > 0.08) & (fy < 0.12), (fx > 0.08) & (fx < 0.12))
    low, high, slow = (float(np.median(power[at])) for at in (inner, outer, centre))
    tiny = 1e-30 + 1e-24 * float(power.max())
    return 10 * float(np.log10((low + tiny) / (high + tiny))), low / (slow + tiny)
