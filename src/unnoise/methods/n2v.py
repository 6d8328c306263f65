"""Noise2Void (Krull, Buchholz, Jug, CVPR 2019): predict hidden pixels from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.blindspot import REPLACEMENTS, stratified


@dataclass(frozen=True)
class Noise2Void:
    """Blind spots in the input, the noisy values as target, loss only on blind spots.

    Attributes
    ----------
    percent : float
        Share of hidden pixels.
    radius : int
        Half side of the window that replacements come from.
    replacement : str
        A name out of `unnoise.blindspot.REPLACEMENTS`.
    """

    percent: float
    radius: int
    replacement: str = "uniform"

    def batch(
        self, x: Tensor, held_out: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Turn noisy patches into (input, target, weight).

        Parameters
        ----------
        x : Tensor, shape (b, c, *space)
            Noisy patches, normalised.
        held_out : Tensor, bool, shape (b, c, *space)
            Pixels kept for validation: they may be hidden but are never a target.
        generator : torch.Generator
            Source of randomness on the device of `x`.

        Returns
        -------
        tuple of Tensor
            Input with blind spots, target and weight, each of shape (b, c, *space).
        """
        planes = x.flatten(0, 1)
        mask = stratified(tuple(planes.shape), self.percent, generator)
        hidden = REPLACEMENTS[self.replacement](planes, mask, self.radius, generator)
        return hidden.view_as(x), x, (mask.view_as(x) & ~held_out).to(x.dtype)

    def validation(
        self, x: Tensor, held_out: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Like `batch`, with exactly the held-out pixels hidden."""
        mask = held_out.flatten(0, 1)
        hidden = REPLACEMENTS[self.replacement](x.flatten(0, 1), mask, self.radius, generator)
        return hidden.view_as(x), x, held_out.to(x.dtype)
