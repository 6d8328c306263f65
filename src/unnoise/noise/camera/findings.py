"""What a calibration found: numbers with intervals, and sentences for people."""

from __future__ import annotations

from dataclasses import dataclass

from unnoise.noise.interval import Interval

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
