"""What a training method is given in a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor, Tensor]
"""(input, target, weight), each of shape (b, c, *space)."""


@dataclass(frozen=True)
class Step:
    """A batch of normalised patches, and what a method may ask of the run.

    Attributes
    ----------
    x : Tensor, shape (b, c, *space)
        Noisy patches.
    y : Tensor, shape (b, c, *space)
        The second images of pairs; `x` itself where there are none.
    held_out : Tensor, bool, shape (b, c, *space)
        Pixels kept for validation: they may be hidden but are never a target.
    generator : torch.Generator
        Source of randomness on the device of `x`.
    fraction : float
        Share of the run that is done, 0 to 1.
    predict : callable
        The net of the moment, without gradients: patches in, predictions out.
    channel : Tensor, int64, shape (b, c), optional
        Which of the denoised channels every plane is; all of them in order unless given.
    gain, offset : Tensor, optional
        ``y * gain + offset`` is as bright as `x`, of pairs that show one scene.
    ignored : Tensor, bool, shape (b, c, *space), optional
        Pixels that are no target, as the two of a pair show different things there.
    excluded : Tensor, bool, shape (b, c, *space), optional
        Pixels that are no measurement; whatever weight a method gives them, the loop takes away.
    beside : Tensor, shape (b, frames * c, *space), optional
        The same place in the frames that the net sees beside this one, as they are; the loop puts
        them after the input that a method makes.
    """

    x: Tensor
    y: Tensor
    held_out: Tensor
    generator: torch.Generator
    fraction: float
    predict: Callable[[Tensor], Tensor]
    channel: Tensor | None = None
    gain: Tensor | None = None
    offset: Tensor | None = None
    ignored: Tensor | None = None
    excluded: Tensor | None = None
    beside: Tensor | None = None

    def measured(self, batch: Batch) -> Batch:
        """A batch without weight where pixels are no measurement."""
        if self.excluded is None:
            return batch
        noisy, target, weight = batch
        return noisy, target, weight.masked_fill(_repeated(self.excluded, weight), 0)

    def seen(self, x: Tensor) -> Tensor:
        """Patches, or several versions of them, and the frames beside: what the net takes."""
        return x if self.beside is None else torch.cat([x, _repeated(self.beside, x)], 1)

    @property
    def channel_of_planes(self) -> Tensor:
        """Which of the denoised channels every plane is, shape (b * c,)."""
        if self.channel is not None:
            return self.channel.flatten()
        b, c = self.x.shape[:2]
        return torch.arange(c, device=self.x.device).repeat(b)


def _repeated(patches: Tensor, x: Tensor) -> Tensor:
    """Patches once more for every version of them, which methods put one after the other."""
    return patches.repeat(len(x) // len(patches), *(1,) * (x.ndim - 1))
