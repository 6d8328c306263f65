"""Noise2Noise (Lehtinen et al., ICML 2018): predict one noisy image from another of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.config.config import Config
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Noise2Noise:
    """One image of a pair as input, the other as target; their noise must be independent.

    The target is brought to the brightness of the input where the two differ (`FramePairs`).

    Attributes
    ----------
    both_directions : bool
        Whether either image of a pair may be input and target, by the toss of a coin.
    """

    both_directions: bool = True

    def batch(self, step: Step) -> Batch:
        """Turn pairs into (input, target, weight)."""
        x, y = step.x, step.y
        toward, back = _as_bright(step)
        weight = _targets(step, ~step.held_out)
        if not self.both_directions:
            return x, toward, weight
        toss = torch.rand(len(x), generator=step.generator, device=x.device) < 0.5
        swap = toss.view(-1, *(1,) * (x.ndim - 1))
        return torch.where(swap, y, x), torch.where(swap, back, toward), weight

    def validation(self, step: Step) -> Batch:
        """The first image as input, compared with the second at the held-out pixels only."""
        return step.x, _as_bright(step)[0], _targets(step, step.held_out)


def _as_bright(step: Step) -> tuple[Tensor, Tensor]:
    """The second images as bright as the first, and the first as bright as the second.

    An input is never changed: its brightness is that of its noise.
    """
    if step.gain is None or step.offset is None:
        return step.y, step.x
    return step.y * step.gain + step.offset, (step.x - step.offset) / step.gain


def _targets(step: Step, wanted: Tensor) -> Tensor:
    """Weights of the wanted pixels where both images show the same."""
    return (wanted if step.ignored is None else wanted & ~step.ignored).to(step.x.dtype)


def build(config: Config, ndim: int, noise: object = ()) -> Noise2Noise:
    """The method of the settings."""
    assert config.pairs is not None
    return Noise2Noise(config.pairs.both_directions)
