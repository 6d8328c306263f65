"""Noise2Noise (Lehtinen et al., ICML 2018): predict one noisy image from another of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unnoise.config.config import Config
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Noise2Noise:
    """One image of a pair as input, the other as target; their noise must be independent.

    Attributes
    ----------
    both_directions : bool
        Whether either image of a pair may be input and target, by the toss of a coin.
    """

    both_directions: bool = True

    def batch(self, step: Step) -> Batch:
        """Turn pairs into (input, target, weight)."""
        x, y = step.x, step.y
        if self.both_directions:
            toss = torch.rand(len(x), generator=step.generator, device=x.device) < 0.5
            swap = toss.view(-1, *(1,) * (x.ndim - 1))
            x, y = torch.where(swap, y, x), torch.where(swap, x, y)
        return x, y, (~step.held_out).to(x.dtype)

    def validation(self, step: Step) -> Batch:
        """The first image as input, compared with the second at the held-out pixels only."""
        return step.x, step.y, step.held_out.to(step.x.dtype)


def build(config: Config, ndim: int, noise: object = ()) -> Noise2Noise:
    """The method of the settings."""
    assert config.pairs is not None
    return Noise2Noise(config.pairs.both_directions)
