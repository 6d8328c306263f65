"""Noise2Void and its family: predict hidden pixels from their neighbours.

Krull, Buchholz, Jug: Noise2Void - Learning Denoising from Single Noisy Images, CVPR 2019.
Broaddus, Krull, Weigert, Schmidt, Myers: Removing Structured Noise with Self-Supervised
Blind-Spot Networks (structN2V), ISBI 2020.
Hoeck, Buchholz, Brachmann, Jug, Freytag: N2V2, ECCV workshops 2022: the same training with median
replacement; the rest of it is in the net.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.config.config import Config
from unnoise.training.masks.blind_spots import PATTERNS, REPLACEMENTS, hide_structure
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Noise2Void:
    """Blind spots in the input, the noisy values as target, loss only on blind spots.

    Attributes
    ----------
    percent : float
        Share of hidden pixels.
    radius : int
        Half side of the window that replacements come from.
    replacement, pattern : str
        Names out of `unnoise.training.masks.blind_spots.REPLACEMENTS` and `PATTERNS`.
    struct : Tensor of bool, optional
        Footprint of odd sides whose pixels around every spot are hidden too (structN2V).
    """

    percent: float
    radius: int
    replacement: str = "uniform"
    pattern: str = "stratified"
    struct: Tensor | None = None

    def batch(self, step: Step) -> Batch:
        """Turn noisy patches into (input, target, weight)."""
        shape = tuple(step.x.flatten(0, 1).shape)
        mask = PATTERNS[self.pattern](shape, self.percent, step.generator).view_as(step.x)
        return self._hidden(step, mask), step.x, (mask & ~step.held_out).to(step.x.dtype)

    def validation(self, step: Step) -> Batch:
        """Like `batch`, with exactly the held-out pixels (and their structure) hidden."""
        return self._hidden(step, step.held_out), step.x, step.held_out.to(step.x.dtype)

    def _hidden(self, step: Step, mask: Tensor) -> Tensor:
        """The patches with what a mask of their shape covers replaced."""
        planes, mask, generator = step.x.flatten(0, 1), mask.flatten(0, 1), step.generator
        struct = None if self.struct is None else self.struct.to(planes.device)
        hidden = REPLACEMENTS[self.replacement](planes, mask, self.radius, generator, struct)
        if struct is not None:
            hidden = hide_structure(hidden, planes, mask, struct, generator)
        return hidden.view_as(step.x)


def build(config: Config, ndim: int, noise: object = ()) -> Noise2Void:
    """The method of the settings."""
    mask, footprint = config.mask, config.footprint(ndim)
    assert mask is not None
    struct = None if footprint is None else torch.from_numpy(footprint)
    return Noise2Void(mask.percent, mask.radius, mask.replacement, mask.pattern, struct)
