"""Fine-tuning of the shipped net by recorruption.

Pang, Zheng, Quan, Ji: Recorrupted-to-Recorrupted, CVPR 2021. The noise is the measured one: that of
the calibrated transform is tuned to suit the net and was 10 to 20 % too strong on a photograph,
which cost 2 dB here. The estimated risk decides whether the result is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.nets.variance_stabilized import ALPHA
from unnoise.training.methods.b2u import donut_mean
from unnoise.training.methods.r2r import Additive, NoiseTable, Recorrupted, additive
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Finetune:
    """A recorrupted image as input and its complement as target; errors in units of the noise.

    Attributes
    ----------
    split : Additive
        Normal noise as strong as the transform says.
    """

    split: Additive

    def batch(self, step: Step) -> Batch:
        """Turn noisy patches into (input, target, weight), with other draws in every step."""
        first, second, weight = Recorrupted(self.split).batch(step)
        return first, second, weight * self._precision(step)

    def validation(self, step: Step) -> Batch:
        """Held-out pixels replaced by the mean of their neighbours, compared with themselves."""
        hidden = torch.where(step.held_out, donut_mean(step.x), step.x)
        return hidden, step.x, step.held_out.to(step.x.dtype) * self._precision(step)

    def _precision(self, step: Step) -> Tensor:
        """Inverse noise variance of every pixel, from its neighbours alone; 1 in the mean."""
        deviation = self.split.deviation(step.x.flatten(0, 1), step.channel_of_planes)
        precision = deviation.clamp(min=1e-3).view_as(step.x) ** -2
        return precision / precision.mean((0, 2, 3), keepdim=True)


def build(config: Config, ndim: int, noise: Sequence[NoiseTable] = ()) -> Finetune:
    """The method, which needs the noise of every channel.

    Raises
    ------
    InputError
        Without it.
    """
    if not noise:
        raise InputError("adapted needs the noise of every channel; train with unnoise.train")
    return Finetune(additive(ALPHA, noise))
