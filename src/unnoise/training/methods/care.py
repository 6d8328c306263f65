"""CARE (Weigert et al., Nature Methods 2018): supervised, from noisy to clean images."""

from __future__ import annotations

from unnoise.config.config import Config
from unnoise.training.methods.n2n import Noise2Noise


def build(config: Config, ndim: int, noise: object = ()) -> Noise2Noise:
    """The noisy image as input, the clean one as target: the upper reference line."""
    return Noise2Noise(both_directions=False)
