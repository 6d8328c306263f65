"""The denoiser of Gaussian noise of any level behind the method ``instant``; torch only.

A U-Net of residual blocks on 2x2 pixel-unshuffled input, told the noise level as one more channel
(FFDNet: Zhang, Zuo, Zhang, TIP 2018; DRUNet: Zhang et al., TPAMI 2021). It has no biases, so it is
homogeneous: an image twice as bright with noise twice as strong gives twice the result (Mohan,
Kadkhodaie, Simoncelli, Fernandez-Granda, ICLR 2020). Levels it never met follow from those it did.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (48, 96, 160)
"""Filters per level of the shipped net."""
BLOCKS = (1, 1, 2)
"""Residual blocks per level and side of the shipped net."""


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the two convolutions find, shape (b, width, y, x)."""
        found: Tensor = self.second(F.relu(self.first(x)))
        return x + found


class GaussianNet(nn.Module):
    """Removes white Gaussian noise of a given level from planes.

    Parameters
    ----------
    widths : sequence of int
        Filters per level.
    blocks : sequence of int
        Residual blocks per level; the upper levels have as many again on the way up.

    Attributes
    ----------
    grid : tuple of int
        Shifting the input by it, in pixels, shifts the output.
    radius : tuple of int
        How far in pixels an output may look.

    Examples
    --------
    >>> net = GaussianNet()
    >>> x, sigma = torch.rand(1, 1, 37, 50), torch.tensor(0.1)
    >>> net(x, sigma).shape
    torch.Size([1, 1, 37, 50])
    >>> bool(torch.allclose(net(3 * x, 3 * sigma), 3 * net(x, sigma), rtol=1e-3, atol=1e-3))
    True
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, blocks: Sequence[int] = BLOCKS) -> None:
        super().__init__()

        def chain(level: int) -> nn.Sequential:
            return nn.Sequential(*(Residual(widths[level]) for _ in range(blocks[level])))

        levels = range(len(widths) - 1)
        self.stem = nn.Conv2d(5, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(chain(n) for n in levels)
        self.pools = nn.ModuleList(
            nn.Conv2d(widths[n], widths[n + 1], 2, stride=2, bias=False) for n in levels
        )
        self.middle = chain(len(widths) - 1)
        self.lifts = nn.ModuleList(
            nn.Conv2d(widths[n + 1], 4 * widths[n], 1, bias=False) for n in reversed(levels)
        )
        self.up = nn.ModuleList(chain(n) for n in reversed(levels))
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1, bias=False)
        self.grid = (2 * 2 ** len(levels),) * 2
        self.radius = (_reach(blocks),) * 2
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, Residual):
                # Near the identity at first, so that depth does not multiply the signal.
                module.second.weight.data.mul_(0.2)
        self.head.weight.data.mul_(0.1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise planes.

        Parameters
        ----------
        x : Tensor, shape (b, 1, y, x)
            Noisy planes around 0, of any size.
        sigma : Tensor, shape () or (b, 1, 1, 1)
            Standard deviation of the noise, in the units of the planes.

        Returns
        -------
        Tensor, shape (b, 1, y, x)
        """
        height, width = x.shape[2:]
        padding = [-n % g for n, g in zip((width, height), self.grid, strict=True)]
        noisy = F.pad(x, (0, padding[0], 0, padding[1]), mode="replicate") if any(padding) else x
        cells = F.pixel_unshuffle(noisy, 2)
        level = sigma.reshape(-1, 1, 1, 1).expand(len(x), 1, *cells.shape[2:])
        h = self.stem(torch.cat([cells, level], 1))
        skips = []
        for down, pool in zip(self.down, self.pools, strict=True):
            h = down(h)
            skips.append(h)
            h = pool(h)
        h = self.middle(h)
        for lift, up in zip(self.lifts, self.up, strict=True):
            h = up(F.pixel_shuffle(lift(h), 2) + skips.pop())
        clean = noisy - F.pixel_shuffle(self.head(h), 2)
        return clean[..., :height, :width]


def _reach(blocks: Sequence[int]) -> int:
    """How far in pixels an output looks: convolutions of every level in pixels of that level."""
    last = len(blocks) - 1
    cells = 2 + 2 * 2**last  # stem, head, and the cells that a position of a lower level covers
    for level, count in enumerate(blocks):
        cells += 2**level * 2 * count * (1 if level == last else 2)
    return int(2 * cells + 1)
