"""Measure the noise of a camera: from repeated frames, with or without dark ones.

The photon-transfer method (Janesick, *Photon Transfer*, SPIE 2007): the variance over frames of a
still scene, against their mean, is a line whose slope is the gain in grey levels per electron.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.noise.camera import fit as fitting
from unnoise.noise.camera import repeats
from unnoise.noise.camera.fit import Bins, Residuals, Samples
from unnoise.noise.camera.pixel_maps import hot_pixels
from unnoise.noise.camera.repeats import Stack
from unnoise.noise.confidence_interval import Interval
from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import EMCCD, PoissonGauss, VarianceCurve

CHOICES = ("auto", "poisson_gauss", "emccd", "curve", "histogram", "mixture")
"""Kinds of model a calibration can be asked for."""
MAX_RESIDUALS = 1_500_000
"""Residuals that show the shape of the noise: their kurtosis is then known within 0.01."""
CURVED = (0.01, 0.05)
"""A curve is no line if p is below the first and it leaves the line by more than the second."""


@dataclass(frozen=True)
class Fit:
    """What a calibration found, in grey levels.

    Attributes
    ----------
    gain : Interval
        Grey levels per photo-electron.
    offset, read_noise : Interval
        Grey level and standard deviation without light. Where `offset_known` is false the interval
        spans all that the frames allow, because they fix only the gain and the intercept.
    intercept : Interval
        ``read_noise**2 - gain * offset``, the variance of the line at grey level 0.
    offset_known : bool
        Whether dark frames were there.
    frames, pixels : int
        Frames, and pixels per frame that entered.
    saturation : float or None
        The level at which values pile up.
    curvature : float
        p value of a straight line.
    deviation : float
        Largest distance of the measured curve from the line, as a share of the line.
    skewness, kurtosis : float or None
        Of the standardised residuals, 0 for normal noise; None below 4 frames.
    fixed_pattern : float or None
        Standard deviation of the offset from pixel to pixel, from dark frames.
    hot_pixels : int or None
        Dark pixels beyond 6 robust standard deviations of offset, or 25 times the variance.
    signal : tuple of float
        Darkest and brightest signal that was measured; beyond them the model is a guess.
    warnings : tuple of str
        What makes the numbers less certain.
    """

    gain: Interval
    offset: Interval
    read_noise: Interval
    intercept: Interval
    offset_known: bool
    frames: int
    pixels: int
    saturation: float | None
    curvature: float
    deviation: float
    skewness: float | None = None
    kurtosis: float | None = None
    fixed_pattern: float | None = None
    hot_pixels: int | None = None
    signal: tuple[float, float] = (0.0, 0.0)
    warnings: tuple[str, ...] = ()

    @property
    def is_curved(self) -> bool:
        """Whether the variance is clearly no line."""
        return self.curvature < CURVED[0] and self.deviation > CURVED[1]

    def lines(self) -> list[str]:
        """The findings in plain sentences."""
        low, high = self.signal
        if self.gain.value > 0:
            text = [f"gain {self.gain} grey levels per electron"]
            text += [
                f"read noise {self.read_noise} grey levels; offset {self.offset}"
                if self.offset_known
                else f"offset and read noise cannot be told apart without dark frames: offset "
                f"between {self.offset.low:.4g} and {self.offset.high:.4g}, read noise between "
                f"{self.read_noise.low:.3g} and {self.read_noise.high:.3g} grey levels"
            ]
        else:
            text = [
                f"the noise does not measurably grow with the signal; it is taken as constant, "
                f"with a standard deviation of {self.read_noise.value:.4g} grey levels"
            ]
        if self.is_curved:
            shape = f"is no straight line (off by {self.deviation:.0%})"
        elif self.curvature < CURVED[0]:
            shape = f"is nearly a straight line (off by {self.deviation:.1%} at most)"
        else:
            shape = f"follows a straight line (p = {self.curvature:.2g})"
        text += [
            f"measured from {self.frames} frames and {self.pixels:,} pixels at signals from "
            f"{low:.4g} to {high:.4g}",
            f"the variance {shape}",
        ]
        if self.kurtosis is not None:
            text += [f"skewness {self.skewness:.2f}, excess kurtosis {self.kurtosis:.2f}"]
        if self.saturation is not None:
            text += [f"saturated at {self.saturation:g}; signals near it were left out"]
        if self.hot_pixels is not None:
            text += [f"offsets differ by {self.fixed_pattern:.3g} from pixel to pixel (standard "
                     f"deviation); {self.hot_pixels:,} hot pixels"]  # fmt: skip
        return text + list(self.warnings)


def from_stacks(
    stacks: Sequence[NDArray],
    *,
    dark: NDArray | None = None,
    kind: str = "auto",
    names: Sequence[str] = (),
) -> tuple[NoiseModel, Fit]:
    """Measure the noise from several still scenes or levels together, with or without dark frames.

    Parameters
    ----------
    stacks : sequence of ndarray, shape (t, y, x) or (t, z, y, x)
        Repeated frames of a scene or of a flat field each: at least 2, 4 for the kinds histogram
        and mixture. Drift of their level is taken out.
    dark : ndarray, shape (t, y, x) or (t, z, y, x), optional
        Frames with the shutter closed: offset and read noise.
    kind : str
        poisson_gauss, emccd, curve, histogram, mixture, or auto: a line if the variance follows
        one, a curve if not; with dark frames, emccd if the noise on a line is as skewed as that of
        multiplied electrons; a mixture if it is clearly not what a Poisson-Gauss camera makes.
    names : sequence of str
        How errors call the stacks.

    Returns
    -------
    model : NoiseModel
    fit : Fit
        Without dark frames only the gain and the intercept of the line are known. The model then
        has the offset 0 where that is possible, otherwise the darkest signal.

    Raises
    ------
    InputError
        If the frames are no repeats of a still scene, are all alike, too few, or overexposed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> electrons = np.tile(np.linspace(5, 100, 64), (64, 1))
    >>> frames = 100 + 2.0 * rng.poisson(electrons, (16, 64, 64)) + rng.normal(0, 3, (16, 64, 64))
    >>> model, fit = from_stacks([frames])
    >>> model.kind, abs(fit.gain.value - 2) < 0.1
    ('poisson_gauss', True)
    """
    check_kind(kind)
    if not stacks:
        raise InputError("there are no bright frames; record at least 2 of a still scene")
    names = names or ["the frames"] * len(stacks)
    bright = [repeats.steady(frames, name) for frames, name in zip(stacks, names, strict=True)]
    everything, dark_bins, parts = bright, None, []
    facts: dict[str, Any] = {}
    if dark is not None:
        black = repeats.steady(dark, "the dark frames")
        facts, hot = _pattern(black, dark)
        everything = [_without(stack, hot) for stack in (black, *bright)]
        bright = everything[1:]
        part = repeats.samples(everything[0])
        sums, _ = fitting.summed(part, np.zeros(part.block.shape, np.int64), 1)
        dark_bins = Bins(sums[sums[:, 0, 0] > 0])
        # One level: among dark pixels, spread over their fixed pattern, the line would be flat.
        same = np.full(part.key.shape, float(part.signal.mean()))
        parts = [replace(part, key=same, signal=same)]
    light = [*map(repeats.samples, bright)]
    repeats.check_exposure(light)
    samples = Samples.join([*parts, *light])
    facts |= {
        "frames": sum(len(s.frames) for s in everything),
        "pixels": sum(int(s.still.sum()) for s in everything),
        "saturation": min((s.saturation for s in everything if s.saturation is not None),
                          default=None),
        "warnings": tuple(w for s in everything for w in s.warnings),
    }  # fmt: skip
    freedom = min(len(s.frames) // 2 - 1 if len(s.frames) >= 4 else len(s.frames) - 1
                  for s in bright)  # fmt: skip
    line, curve, fit = _fit(samples, max(freedom, 1), dark_bins, facts)
    odd = multiplied = False
    if enough := [s for s in bright if len(s.frames) >= 4 and repeats.unclipped(s).any()]:
        counted = fitting.residuals(_residuals(enough), curve.knots, curve.variances)
        skewness, kurtosis, n = counted.moments()
        fit = replace(fit, skewness=skewness, kurtosis=kurtosis)
        shape = (skewness, kurtosis, n)
        least = min(len(s.frames) for s in enough)
        odd = _is_odd(line, fit.offset_known, counted, shape, least)
        straight = fit.offset_known and not fit.is_curved
        multiplied = straight and _is_multiplied(line, counted, shape, least)
    elif kind in ("histogram", "mixture"):
        raise InputError(
            f"a noise model of kind {kind} needs 4 or more repeated frames and pixels that never "
            f"saturate; record more, or choose poisson_gauss or curve"
        )
    if kind == "auto":
        kind = "mixture" if odd else "curve" if fit.is_curved else "poisson_gauss"
        kind = "emccd" if multiplied else kind
    if kind == "emccd":
        if line.gain <= 0:
            raise InputError(
                "the noise does not grow with the signal as that of multiplied electrons does; "
                "record brighter frames too, or choose another kind"
            )
        return EMCCD(line.gain / 2, line.offset, line.read_variance), fit
    if kind in ("histogram", "mixture"):
        return (fitting.mixture if kind == "mixture" else fitting.histogram)(counted), fit
    return (curve if kind == "curve" else line), fit


def _is_odd(
    line: PoissonGauss,
    offset_known: bool,
    counted: Residuals,
    moments: tuple[float, float, float],
    frames: int,
) -> bool:
    """Whether residuals are shaped as no Poisson-Gauss camera shapes them.

    Photon noise of variance v adds gain * v to the third and gain**2 * v to the fourth
    cumulant. Subtracting the mean of t frames shrinks both.
    """
    gain, total = line.gain, counted.variances
    shot = np.minimum(np.maximum(gain * (counted.knots - line.offset), 0), total)
    most = shot if offset_known else total
    share = counted.counts.sum(axis=1) / max(float(counted.counts.sum()), 1e-300)
    t = float(frames)
    third = (t - 2) / math.sqrt(t * (t - 1))
    fourth = ((1 - 1 / t) ** 4 + (t - 1) / t**4) / (1 - 1 / t) ** 2
    skew = [float(share @ (gain * v / total**1.5)) * third for v in (shot, most)]
    kurt = [float(share @ (gain**2 * v / total**2)) * fourth for v in (shot, most)]
    if not offset_known:
        skew[0] = kurt[0] = 0.0
    skewness, kurtosis, n = moments
    outside = [
        max(low - found, found - high, 0) - 0.25 * high
        for found, (low, high) in ((skewness, skew), (kurtosis, kurt))
    ]
    return outside[0] > 0.25 + 6 * math.sqrt(6 / n) or outside[1] > 0.5 + 6 * math.sqrt(24 / n)


def _is_multiplied(
    line: PoissonGauss, counted: Residuals, moments: tuple[float, float, float], frames: int
) -> bool:
    """Whether residuals are skewed 1.5 times as much as photons on that line, with known offset.

    Multiplied electrons of the same variance line have 1.5 times the third cumulant.
    """
    total = counted.variances
    shot = np.minimum(np.maximum(line.gain * (counted.knots - line.offset), 0), total)
    share = counted.counts.sum(axis=1) / max(float(counted.counts.sum()), 1e-300)
    third = (frames - 2) / math.sqrt(frames * (frames - 1))
    photons = float(share @ (line.gain * shot / total**1.5)) * third
    skewness, kurtosis, n = moments
    error = math.sqrt((6 + 9 * max(kurtosis, 0)) / n) / max(photons, 1e-9)
    ratio = skewness / max(photons, 1e-9)
    return abs(ratio - 1.5) < 0.2 and 3 * error < 0.2


def _fit(
    samples: Samples, freedom: int, dark: Bins | None, facts: dict[str, Any]
) -> tuple[PoissonGauss, VarianceCurve, Fit]:
    """The photon-transfer line with bootstrap intervals, the curve, and what is known of them."""
    bins = fitting.binned(samples, freedom)
    w = fitting.weights(bins, freedom)
    knots, variances = fitting.curve(bins, w)
    x = np.stack([np.ones_like(bins.signal), bins.signal - bins.signal[0]], axis=1)
    robust = fitting.huber(bins, w, x)
    n, s, v = bins.draws()
    drawn_w = robust * n / bins.n
    low, high = float(bins.signal[0]), float(bins.signal[-1])
    if dark is not None:
        o, r = float(dark.signal[0]), float(dark.variance[0])
        _, os, rs = dark.draws(seed=1)
        gain = float(_slope(bins.signal - o, bins.variance - r, robust))
        gains = _slope(s - os, v - rs, drawn_w)
        start, starts = r - gain * o, rs[:, 0] - gains * os[:, 0]
        offset = _interval(o, os[:, 0], dark.reach)
        noise = _interval(r, rs[:, 0], dark.reach)
    else:
        a, b = fitting.least_squares(x, bins.variance, robust)
        drawn = fitting.least_squares(np.stack([np.ones_like(s), s - low], -1), v, drawn_w)
        gain, gains = float(b), drawn[:, 1]
        start, starts = float(a - b * low), drawn[:, 0] - drawn[:, 1] * low
    slope = _interval(gain, gains, bins.reach)
    constant = len(bins.n) < 2 or slope.low <= 0
    mean = float((bins.variance * robust).sum() / robust.sum())
    if constant and slope.high <= 0 and len(bins.n) > 1:
        facts["warnings"] += (
            "the noise falls with the signal, which no camera does; choose the curve",
        )
    elif constant:
        facts["warnings"] += (
            "the signals span too small a range for a gain; record brighter parts too",
        )
    if constant:
        slope = Interval(0.0, max(slope.low, 0.0), max(slope.high, 0.0))
        gain, start, starts = 0.0, mean, np.full(len(gains), mean)
    intercept = _interval(start, starts, bins.reach)
    if dark is None:
        offset, noise = _possible(gain, intercept, low)
    elif constant:
        noise = Interval(mean, noise.low, max(noise.high, mean))
    line = PoissonGauss(gain, offset.value, noise.value)
    fitted = np.maximum(gain * knots + start, 1e-3 * mean)
    fit = Fit(
        gain=slope,
        offset=offset,
        read_noise=Interval(*(math.sqrt(max(q, 0)) for q in noise)),
        intercept=intercept,
        offset_known=dark is not None,
        curvature=fitting.curvature(bins, w),
        deviation=float(np.abs(variances / fitted - 1).max()),
        signal=(low, high),
        **facts,
    )
    return line, VarianceCurve(knots, variances), fit


def _possible(gain: float, start: Interval, darkest: float) -> tuple[Interval, Interval]:
    """Offset and read variance that fit a line, from no read noise to no light in the darkest."""
    if gain == 0:
        return Interval(min(darkest, 0.0), min(darkest, 0.0), darkest), start
    least = min(-start.high / gain, darkest)
    highest = max(start.value + gain * darkest, 0.0)
    offset = 0.0 if least <= 0 <= darkest else max(darkest, -start.value / gain)
    noise = max(start.value + gain * offset, 0.0)
    return Interval(offset, least, max(darkest, offset)), Interval(noise, 0.0, max(highest, noise))


def _slope(x: NDArray, y: NDArray, w: NDArray) -> NDArray:
    """Slope of lines through the origin, along the last axis."""
    return np.asarray((w * x * y).sum(axis=-1) / np.maximum((w * x**2).sum(axis=-1), 1e-300))


def _interval(value: float, draws: NDArray, reach: float) -> Interval:
    return Interval.around(value, reach * float(np.std(draws)))


def _without(stack: Stack, hot: NDArray[np.bool_]) -> Stack:
    """Hot pixels left out, where a stack shows the same pixels as the dark frames."""
    return replace(stack, still=stack.still & ~hot) if hot.shape == stack.still.shape else stack


def _pattern(dark: Stack, frames: NDArray) -> tuple[dict[str, Any], NDArray[np.bool_]]:
    """Spread of the offset from pixel to pixel beyond noise, and the hot pixels."""
    mean, variance = dark.frames.mean(axis=0), dark.frames.var(axis=0, ddof=1)
    noise = float(np.mean(variance)) / len(frames)
    far, vary = hot_pixels(mean, variance, np.asarray(frames))
    hot = (far > 0) | vary
    spread = float(np.var(mean[~hot])) - noise if (~hot).any() else 0.0
    return {"fixed_pattern": math.sqrt(max(spread, 0)), "hot_pixels": int(hot.sum())}, hot


def _residuals(stacks: list[Stack]) -> list[tuple[NDArray, NDArray]]:
    """Residuals of every frame from the mean, widened to the variance of the noise, and signals.

    Sorted by the mean of all frames they have mean 0 at every signal; sorted by the mean of the
    others they would not (regression to the mean).
    """
    pairs = []
    for stack in stacks:
        t = len(stack.frames)
        good = repeats.unclipped(stack)
        mean = stack.frames.mean(axis=0, dtype=np.float64)[good]
        step = max(len(mean) * t * len(stacks) // MAX_RESIDUALS, 1)
        for frame in stack.frames:
            residual = (frame[good][::step] - mean[::step]) * math.sqrt(t / (t - 1))
            pairs.append((residual, mean[::step] + stack.centre))
    return pairs


def check_kind(kind: str) -> None:
    """Refuse a kind of model that is not known."""
    if kind not in CHOICES:
        raise InputError(f"unknown noise model '{kind}'; choose one of {', '.join(CHOICES)}")
