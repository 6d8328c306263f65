"""Honest numbers about a clean image where there is no truth to compare it with."""

from unnoise.noise.interval import Interval
from unnoise.quality.bias import Bias, mean_preservation
from unnoise.quality.frc import Frc, frc, gaussian_split, resolution
from unnoise.quality.gain import Gain, gain
from unnoise.quality.novelty import learn_look, novel_share, novelty
from unnoise.quality.whiteness import ResidualStructure, Whiteness, residual_structure, whiteness

__all__ = [
    "Bias",
    "Frc",
    "Gain",
    "Interval",
    "ResidualStructure",
    "Whiteness",
    "frc",
    "gain",
    "gaussian_split",
    "learn_look",
    "mean_preservation",
    "novel_share",
    "novelty",
    "residual_structure",
    "resolution",
    "whiteness",
]
