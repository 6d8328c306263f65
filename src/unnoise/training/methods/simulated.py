"""Supervised training on clean pictures whose noise is drawn anew in every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unnoise.noise.density import NoiseModel
from unnoise.noise.simulation import simulate
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Simulated:
    """The patch with fresh noise as input, the patch itself as target.

    Attributes
    ----------
    noise : sequence of noise models
        One per denoised channel, in image units.
    mean, std : sequence of float
        Normalisation of these channels.
    ends : sequence of (float, float)
        Least and greatest noisy value by channel: beyond them the camera recorded nothing.
    """

    noise: Sequence[NoiseModel]
    mean: Sequence[float]
    std: Sequence[float]
    ends: Sequence[tuple[float, float]]

    def batch(self, step: Step) -> Batch:
        """Turn clean patches into (input, target, weight)."""
        return self._noisy(step), step.x, (~step.held_out).to(step.x.dtype)

    def validation(self, step: Step) -> Batch:
        """The same, compared at the held-out pixels only."""
        return self._noisy(step), step.x, step.held_out.to(step.x.dtype)

    def _noisy(self, step: Step) -> Tensor:
        """The patches as a camera might have recorded them."""
        device = step.generator.device
        seed = torch.randint(2**62, (1,), generator=step.generator, device=device)
        rng = np.random.default_rng(int(seed))
        clean = step.x.flatten(0, 1).double().cpu().numpy()
        noisy = np.empty(clean.shape, np.float32)
        for i, c in enumerate(step.channel_of_planes.tolist()):
            mean, std = self.mean[c], self.std[c]
            drawn = simulate(self.noise[c], clean[i] * std + mean, rng)
            noisy[i] = (np.clip(drawn, *self.ends[c]) - mean) / std
        return torch.from_numpy(noisy).to(step.x.device).view_as(step.x)
