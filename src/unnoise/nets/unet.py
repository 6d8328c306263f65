"""The U-Net of Noise2Void in two and three dimensions; imports torch only.

Its levels follow the reference (csbdeep's ``unet_block``): two convolutions per level, maximum
pooling, nearest upsampling, concatenation, a 1x1 head. A stem may first move the pixels of every
``unshuffle x unshuffle`` cell in YX into channels (Shi et al., CVPR 2016), so that the expensive
first level works on a quarter of the positions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
}


class UNet(nn.Module):
    """U-Net for inputs of shape (b, channels, *space) of any size.

    Parameters
    ----------
    channels : int
        Number of input and output channels.
    ndim : int
        Number of space dimensions, 2 or 3.
    depth : int
        Number of poolings.
    filters : int
        Filters of the first level, doubled with every pooling.
    kernel : int
        Odd side of the kernels.
    unshuffle : int
        Side of the YX cells of the stem; 1 leaves the stem out.
    batch_norm : bool
        Batch normalisation between convolution and activation.
    residual : bool
        Add the input to the output.
    activation, last_activation : str
        Names out of `ACTIVATIONS`.

    Attributes
    ----------
    grid : tuple of int
        Per space dimension, the period in pixels at which the net repeats itself: shifting the
        input by it shifts the output.
    radius : tuple of int
        Per space dimension, how far in pixels an output may look.

    Examples
    --------
    >>> net = UNet(channels=1, ndim=2, depth=2, filters=8)
    >>> net(torch.zeros(1, 1, 37, 50)).shape
    torch.Size([1, 1, 37, 50])
    """

    def __init__(
        self,
        *,
        channels: int,
        ndim: int,
        depth: int = 2,
        filters: int = 32,
        kernel: int = 3,
        unshuffle: int = 1,
        batch_norm: bool = False,
        residual: bool = False,
        activation: str = "relu",
        last_activation: str = "linear",
    ) -> None:
        super().__init__()
        self.ndim, self.unshuffle, self.residual = ndim, unshuffle, residual
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if ndim == 2 else nn.BatchNorm3d

        def block(*widths: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for i, o in itertools.pairwise(widths):
                layers.append(conv(i, o, kernel, padding=kernel // 2, bias=not batch_norm))
                layers += [norm(o)] if batch_norm else []
                layers.append(ACTIVATIONS[activation]())
            return nn.Sequential(*layers)

        cell = channels * unshuffle**2
        width = [filters * 2**n for n in range(depth + 1)]
        below = [width[max(n - 1, 0)] for n in range(depth + 1)]  # what level n hands upwards
        self.down = nn.ModuleList(
            block(cell if n == 0 else width[n - 1], width[n], width[n]) for n in range(depth)
        )
        self.middle = block(width[depth - 1], width[depth], below[depth])
        self.up = nn.ModuleList(
            block(2 * width[n], width[n], below[n]) for n in reversed(range(depth))
        )
        self.pool = nn.MaxPool2d(2) if ndim == 2 else nn.MaxPool3d(2)
        self.head = conv(width[0], cell, 1)
        self.last = ACTIVATIONS[last_activation]()

        stem = (1,) * (ndim - 2) + (unshuffle, unshuffle)
        self.grid = tuple(s * 2**depth for s in stem)
        # Two convolutions on the way down and two on the way up at every level but the lowest, two
        # there, each looking kernel // 2 cells of its level far; the upsampling to the lowest
        # level's cells adds at most a cell less one pixel.
        looks = sum(4 * 2**n for n in range(depth)) + 2 * 2**depth
        self.radius = tuple(s * (looks * (kernel // 2) + 2**depth) - 1 for s in stem)

        for module in self.modules():
            if isinstance(module, conv):
                nn.init.kaiming_normal_(module.weight, a=0.1, nonlinearity="leaky_relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # A small head starts the net near the mean of the data instead of at loud random values.
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise patches of shape (b, channels, *space)."""
        size = x.shape[2:]
        padding = [-s % g for s, g in zip(size, self.grid, strict=True)]
        if any(padding):
            x = F.pad(x, [p for q in reversed(padding) for p in (0, q)], mode="replicate")
        h: Tensor = self._unshuffle(x)
        skips = []
        for down in self.down:
            h = down(h)
            skips.append(h)
            h = self.pool(h)
        h = self.middle(h)
        for up in self.up:
            h = F.interpolate(h, scale_factor=2.0, mode="nearest")
            h = up(torch.cat([h, skips.pop()], 1))
        y: Tensor = self._shuffle(self.head(h))
        if self.residual:
            y = y + x
        y = self.last(y)
        for axis, length in enumerate(size, 2):
            y = y.narrow(axis, 0, length)
        return y

    def _unshuffle(self, x: Tensor) -> Tensor:
        if self.unshuffle == 1:
            return x
        if self.ndim == 2:
            return F.pixel_unshuffle(x, self.unshuffle)
        b, c, z, y, width = x.shape
        u = self.unshuffle
        h = x.reshape(b, c, z, y // u, u, width // u, u).permute(0, 1, 4, 6, 2, 3, 5)
        return h.reshape(b, c * u * u, z, y // u, width // u)

    def _shuffle(self, h: Tensor) -> Tensor:
        if self.unshuffle == 1:
            return h
        if self.ndim == 2:
            return F.pixel_shuffle(h, self.unshuffle)
        b, c, z, y, width = h.shape
        u = self.unshuffle
        x = h.reshape(b, c // (u * u), u, u, z, y, width).permute(0, 1, 4, 5, 2, 6, 3)
        return x.reshape(b, c // (u * u), z, y * u, width * u)

    def memory(self) -> float:
        """Bytes of activations per input pixel in evaluation, an upper estimate.

        At the first level the concatenated input (2 widths), its copy by the convolution
        library and two outputs live at once.
        """
        width = self.head.in_channels
        return 4 * (6 * width / self.unshuffle**2 + 4) * math.sqrt(2)
