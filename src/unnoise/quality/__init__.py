"""Honest numbers about a clean image where there is no truth to compare it with."""

from unnoise.noise.interval import Interval
from unnoise.quality.bias import Bias, mean_preservation
from unnoise.quality.frc import Frc, frc, resolution
from unnoise.quality.gain import Gain, gain
from unnoise.quality.novelty import Familiar, fit, novelty, share
from unnoise.quality.splits import gaussian_split
from unnoise.quality.whiteness import Leak, Whiteness, leak, whiteness

__all__ = [
    "Bias",
    "Familiar",
    "Frc",
    "Gain",
    "Interval",
    "Leak",
    "Whiteness",
    "fit",
    "frc",
    "gain",
    "gaussian_split",
    "leak",
    "mean_preservation",
    "novelty",
    "resolution",
    "share",
    "whiteness",
]
