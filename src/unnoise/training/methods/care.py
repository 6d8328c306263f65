"""CARE (Weigert et al., Nature Methods 2018): supervised, from noisy to clean images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unnoise.config.config import Config
from unnoise.training.methods.r2r import NoiseTable
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Care:
    """The noisy image as input, the clean one as target: the upper reference line."""

    def batch(self, step: Step) -> Batch:
        """Turn pairs into (input, target, weight)."""
        return step.x, step.y, (~step.held_out).to(step.x.dtype)

    def validation(self, step: Step) -> Batch:
        """Compared at the held-out pixels only."""
        return step.x, step.y, step.held_out.to(step.x.dtype)


def build(config: Config, ndim: int, noise: Sequence[NoiseTable] = ()) -> Care:
    """The method of the settings."""
    return Care()
