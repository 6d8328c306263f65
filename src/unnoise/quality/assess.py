"""How far a result can be trusted: numbers for one plane of one channel, without the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unnoise.models.record import TrainingRecord
from unnoise.noise.confidence_interval import Interval
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.local_mean import local_mean
from unnoise.quality.bias import Bias, mean_preservation
from unnoise.quality.calm_noise import calm_variance
from unnoise.quality.frc import Frc, frc, gaussian_split, resolution
from unnoise.quality.gain import Gain, gain, gain_ceiling
from unnoise.quality.novelty import novel_share, novelty
from unnoise.quality.signal import has_signal
from unnoise.quality.whiteness import ResidualStructure, Whiteness, residual_structure, whiteness

NOVEL = 0.05
"""Share of novel pixels from which the result deserves a warning; 1 % is chance."""
SMALL = 10.0
"""Integer images dimmer than this, and of less noise variance, lose their fractions by rounding."""
LEVEL = 0.02
"""Relative error of the noise variance of real pictures beyond what the fit knows (W2S: 2 %)."""
CORRELATED = 0.1
"""The same of correlated noise, whose smooth part is less easily told from the picture."""
WINDOW = 8.0
"""Standard deviation, in pixels, of the window of the expected error."""
MEMORISED = 0.1
"""Share of the noise variance that is memorised from which a word is due."""
LEFT = 0.15
"""Correlation of the residual with its neighbours from which a word is due."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """What is known about a result.

    Attributes
    ----------
    gain : Gain or None
        Estimated PSNR gain; None where the noise, or its correlation, could not be measured.
    whiteness : Whiteness or None
        Whether what was removed is white.
    residual_structure : ResidualStructure or None
        Whether it holds structure of the specimen.
    bias : Bias
        Whether means were kept, by intensity.
    before, after : Frc or None
        Fourier ring correlations of two noisy splits, and of their results.
    resolution_before, resolution_after : float or None
        In pixels, at a correlation of 1/7; None where that is not crossed.
    novelty : ndarray, shape (y, x), or None
        Above 1 where the image is unlike the training images; None without a net, which alone
        could show what it has seen in these.
    novel_share : float or None
        Share of such pixels.
    error : ndarray, shape (y, x), or None
        Expected standard deviation of the result around the clean image.
    warnings : tuple of str
        In plain words.
    has_signal : bool
        False where the image is independent noise and nothing else.
    ceiling : float
        What the PSNR gain does not exceed for sure, in dB; infinite where nothing is known.
    """

    gain: Gain | None
    whiteness: Whiteness | None
    residual_structure: ResidualStructure | None
    bias: Bias
    before: Frc | None
    after: Frc | None
    resolution_before: float | None
    resolution_after: float | None
    novelty: NDArray[np.float64] | None
    novel_share: float | None
    error: NDArray[np.float64] | None
    warnings: tuple[str, ...]
    has_signal: bool = True
    ceiling: float = math.inf


def assess(
    noisy: NDArray,
    clean: NDArray,
    noise: ImageNoise,
    record: TrainingRecord,
    channel: int,
    *,
    error: NDArray | None = None,
    denoise: Callable[[NDArray], NDArray] | None = None,
    rounded: bool = False,
    excluded: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Assessment:
    """Judge the result of one plane.

    Parameters
    ----------
    noisy, clean : ndarray, shape (y, x)
        Image units; `clean` before it was rounded.
    noise : ImageNoise
        Of the training images.
    record : TrainingRecord
        What the model keeps of them.
    channel : int
        Position in both.
    error : ndarray, shape (y, x), optional
        Expected standard deviation of the result around the clean image.
    denoise : callable, optional
        Noisy plane to clean plane, for the Fourier ring correlation of two noisier copies.
    rounded : bool
        Whether the result is stored as integers.
    excluded : ndarray of bool, shape (y, x), optional
        Pixels that are no measurement, which nothing is judged by.
    seed : int
        Seed of the split.
    """
    noisy, clean = np.asarray(noisy, np.float64), np.asarray(clean, np.float64)
    inside = None if excluded is None or not excluded.any() else ~excluded
    model = noise.models[channel]
    independent = not set(noise.correlated[channel]) & set("YX")
    variance = None if model is None else model.variance(clean)
    if error is None and variance is not None:
        error = expected_error(noisy, clean, variance, record.dependence[channel])
    estimate = white = structure = before = after = None
    learned, doubt, doubted = 0.0, 0.0, False
    if variance is not None:
        used = variance if inside is None else np.where(inside, variance, 0.0)
        structure = residual_structure(noisy, clean, used)
        white = whiteness(noisy - clean, used)
        told = noise.autocorrelation[channel] if noise.autocorrelation else None
        if independent or told is not None:
            learned, doubt = record.memorised[channel]
            level = math.hypot(noise.relative_error[channel], LEVEL if independent else CORRELATED)
            repeated = 2 * record.dependence[channel] + learned
            estimate, doubted = _gain(noisy, clean, variance, level, repeated, doubt, inside)
            if independent and denoise is not None and min(noisy.shape) >= 32:
                first, second = gaussian_split(noisy, variance, np.random.default_rng([seed, 4]))
                before, after = frc(first, second), frc(denoise(first), denoise(second))
    bias = mean_preservation(noisy, clean, inside=inside)
    ceiling = gain_ceiling(noisy, clean, inside=inside)
    if estimate is not None and estimate.consistent:
        ceiling = min(ceiling, estimate.psnr.high)
    novel, novel_part, look = None, None, record.looks[channel]
    if look is not None:
        novel = novelty(noisy, look)
        if inside is not None:
            novel = np.where(inside, novel, 0.0)
        novel_part = novel_share(novel if inside is None else novel[inside])
    signal = not independent or has_signal(_dealt(noisy, inside))
    memory = learned if learned - 2 * doubt > 0 else 0.0
    return Assessment(
        gain=estimate,
        whiteness=white,
        residual_structure=structure,
        bias=bias,
        before=before,
        after=after,
        resolution_before=None if before is None else resolution(before),
        resolution_after=None if after is None else resolution(after),
        novelty=novel,
        novel_share=novel_part,
        error=error,
        warnings=_warnings(
            noise.correlated[channel],
            ceiling,
            estimate,
            white,
            structure,
            bias,
            novel_part or 0.0,
            rounded,
            clean if inside is None else clean[inside],
            variance,
            signal,
            memory,
            doubted,
        ),
        has_signal=signal,
        ceiling=ceiling,
    )


def _gain(
    noisy: NDArray,
    clean: NDArray,
    variance: NDArray,
    level: float,
    repeated: float,
    doubt: float,
    inside: NDArray[np.bool_] | None,
) -> tuple[Gain, bool]:
    """The gain, and whether it would be a loss but for calm places with more noise than believed.

    A curve that is far too low makes the noise that was removed look like lost structure: of
    speckle whose curve was taken for a line, a gain of 12 dB was called a loss. Then it is unknown.
    """

    def judged(v: NDArray) -> Gain:
        mean = float((v if inside is None else v[inside]).mean())
        return gain(
            noisy,
            clean,
            v,
            relative_error=level,
            correction=repeated * mean,
            correction_error=doubt * mean,
            inside=inside,
        )

    found = judged(variance)
    if not found.consistent or found.psnr.high >= 0:
        return found, False
    other = judged(np.maximum(variance, calm_variance(_dealt(noisy, inside))))
    if other.consistent and other.psnr.high < 0:
        return found, False
    return replace(found, psnr=Interval(found.psnr.value, -math.inf, math.inf)), True


def _change(share: float) -> str:
    """By how much a mean changed, in words.

    Examples
    --------
    >>> _change(0.031), _change(-math.inf)
    ('by +3.1%', 'from 0')
    """
    return f"by {share:+.1%}" if math.isfinite(share) else "from 0"


def _dealt(noisy: NDArray, inside: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Pixels with any of them dealt out where there is no measurement, which is neither calm nor
    like its neighbours.
    """
    if inside is None:
        return noisy
    some = np.random.default_rng(0).choice(noisy[inside], int((~inside).sum()))
    dealt = noisy.copy()
    dealt[~inside] = some
    return dealt


def expected_error(
    noisy: NDArray, clean: NDArray, variance: NDArray, repeated: float = 0.0
) -> NDArray[np.float64]:
    """Standard deviation of a result around the clean image, from the residuals around.

    The mean squared residual of the surroundings less the noise variance, and twice the share of
    its own noise that a result repeats, which its residual does not show (0 behind a blind spot).
    """
    excess, _ = local_mean((noisy - clean) ** 2 / variance - 1, WINDOW)
    return np.asarray(np.sqrt(variance * np.maximum(excess + 2 * repeated, 0.0)))


def _warnings(
    correlated: str,
    ceiling: float,
    estimate: Gain | None,
    white: Whiteness | None,
    structure: ResidualStructure | None,
    bias: Bias,
    novel: float,
    rounded: bool,
    clean: NDArray,
    variance: NDArray | None,
    signal: bool,
    memorised: float,
    doubted: bool,
) -> tuple[str, ...]:
    """What the numbers mean where they are not good."""
    largest, at = (0.0, ()) if white is None else (white.largest, white.at)
    level = float(np.mean(clean))
    noise_level = 0.0 if variance is None else float(np.mean(variance))
    found: tuple[tuple[object, str], ...] = (
        (
            ceiling < 0,
            "the result is farther from the clean image than the noisy one; do not use it",
        ),
        (
            doubted,
            "by the measured noise the result is farther from the clean image than the noisy one, "
            "but no calm places confirm the measurement; look at what was removed before you use "
            "it",
        ),
        (
            estimate is not None and not estimate.consistent,
            "less was removed than the measured noise, so noise was kept, or the noise was "
            "overestimated; the gain is unknown",
        ),
        (
            not signal,
            "nothing in the image rises above its noise: what the result shows of structure is "
            "none",
        ),
        (
            memorised > MEMORISED,
            f"{memorised:.0%} of the noise was memorised and is still in the result; train with "
            f"fewer steps or on more images",
        ),
        (
            structure is not None and structure.correlation.low > 0.05,
            "structure of the specimen is left in what was removed: edges or texture were lost "
            "where the map of residual structure is high",
        ),
        (
            abs(largest) > LEFT and not correlated,
            f"what was removed is not white (correlation {largest:+.2f} at a lag of {at} pixels)",
        ),
        (
            abs(bias.total_relative) > 0.02 and bias.total.significant,
            f"the mean changed {_change(-bias.total_relative)}; do not compare intensities",
        ),
        (
            novel > NOVEL,
            f"{novel:.0%} of the image is unlike the training images (warning map): the result "
            f"there may be invented",
        ),
        (
            rounded and abs(level) < SMALL and noise_level < SMALL,
            f"the result is stored as integers, and at a mean of {level:.2g} rounding loses much; "
            f"--dtype float32 keeps fractions",
        ),
    )
    return tuple(text for holds, text in found if holds)
