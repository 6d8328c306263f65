"""Blind2Unblind (Wang, Liu, Li, Han, CVPR 2022): make the hidden pixel visible again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unnoise.config.config import Config
from unnoise.training.methods.step import Batch, Step


@dataclass(frozen=True)
class Blind2Unblind:
    """Grid masks and the re-visible loss.

    With h the blind output at a hidden pixel of value x, v the output of the net that sees all
    pixels (without gradient), the loss of the paper (equations 8 and 9) is
    ``(h + beta v - (1 + beta) x)**2 + eta (h - x)**2``. As a function of h it is ``(1 + eta)``
    times the squared distance to ``x + beta / (1 + eta) * (x - v)``, plus a constant: so it is a
    target like any other.

    The paper sends every phase of the grid through the net; here some are drawn for every patch,
    an unbiased estimate of the same sum.

    Attributes
    ----------
    side : int
        Side of the cells in which one pixel is hidden.
    phases : int
        Phases drawn per patch.
    beta : (float, float)
        Weight of the visible output at the start and at the end.
    ramp : float
        Share of the run after which it rises linearly.
    eta : float
        Weight of the blind loss.
    """

    side: int = 2
    phases: int = 1
    beta: tuple[float, float] = (2.0, 20.0)
    ramp: float = 0.8
    eta: float = 1.0

    def batch(self, step: Step) -> Batch:
        """Turn noisy patches into (input, target, weight) of shape (phases * b, c, *space)."""
        x = step.x
        mask = phases(x, self.side, self.phases, step.generator).transpose(0, 1)
        hidden = torch.where(mask, donut_mean(x), x)  # (phases, b, c, *space)
        strength = self.strength(step.fraction) / (1 + self.eta)
        target = (x + strength * (x - step.predict(x))).expand_as(hidden)
        weight = (mask & ~step.held_out).to(x.dtype)
        return hidden.flatten(0, 1), target.flatten(0, 1), weight.flatten(0, 1)

    def validation(self, step: Step) -> Batch:
        """The held-out pixels hidden: the blind risk, which the visible output is better than."""
        hidden = torch.where(step.held_out, donut_mean(step.x), step.x)
        return hidden, step.x, step.held_out.to(step.x.dtype)

    def strength(self, fraction: float) -> float:
        """Beta at a share of the run.

        Examples
        --------
        >>> [Blind2Unblind().strength(f) for f in (0.0, 0.8, 0.9, 1.0)]
        [2.0, 2.0, 11.0, 20.0]
        """
        start, end = self.beta
        rise = round(max(fraction - self.ramp, 0.0) / (1 - self.ramp), 12)
        return start + (end - start) * rise


def phases(x: Tensor, side: int, count: int, generator: torch.Generator) -> Tensor:
    """Masks of different phases of the grid with one pixel in every cell.

    Parameters
    ----------
    x : Tensor, shape (b, c, *space)
        Patches; only the shape counts.
    side : int
        Side of the cells.
    count : int
        Phases per patch, at most side ** ndim; a patch never gets the same one twice.
    generator : torch.Generator
        Source of randomness on the device of `x`.

    Returns
    -------
    Tensor, bool, shape (b, count, 1, *space)
    """
    space = x.shape[2:]
    n = side ** len(space)
    order = torch.rand((len(x), n), generator=generator, device=x.device).argsort(1)[:, :count]
    phase = torch.zeros((), dtype=torch.long, device=x.device)  # of every pixel, 0 to n - 1
    for axis, size in enumerate(space):
        along = torch.arange(size, device=x.device) % side
        phase = phase * side + along.view([-1 if a == axis else 1 for a in range(len(space))])
    return (order.view(*order.shape, *(1,) * len(space)) == phase).unsqueeze(2)


def donut_mean(x: Tensor) -> Tensor:
    """Every pixel as the weighted mean of its 8 (26 in 3D) neighbours, without itself.

    A neighbour weighs half for every further axis it differs in, as in the paper's 3x3 kernel
    (1/2 1 1/2; 1 0 1; 1/2 1 1/2) / 6. At borders the weights of the neighbours that exist are
    normalised; padding with zeros, as the released code does, darkens them.

    Parameters
    ----------
    x : Tensor, shape (b, c, *space)
        Patches.

    Returns
    -------
    Tensor, shape (b, c, *space)

    Examples
    --------
    >>> donut_mean(torch.full((1, 1, 4, 4), 3.0)).unique()
    tensor([3.])
    """
    ndim = x.ndim - 2
    kernel = torch.zeros((3,) * ndim, dtype=x.dtype, device=x.device)
    for offset in itertools.product((0, 1, 2), repeat=ndim):
        steps = sum(o != 1 for o in offset)
        kernel[offset] = 2.0 ** (1 - steps) if steps else 0.0
    convolve = F.conv2d if ndim == 2 else F.conv3d
    planes = x.flatten(0, 1).unsqueeze(1)
    weight = kernel[None, None]
    total = convolve(torch.ones_like(planes[:1]), weight, padding=1)
    return (convolve(planes, weight, padding=1) / total).view_as(x)


def build(config: Config, ndim: int, noise: object = ()) -> Blind2Unblind:
    """The method of the settings."""
    b2u = config.b2u
    assert b2u is not None
    return Blind2Unblind(b2u.side, b2u.phases, b2u.beta, b2u.ramp, b2u.eta)
