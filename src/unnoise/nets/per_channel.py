"""Every channel its own net: nothing one channel holds can leak into another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unnoise.nets.unet import UNet


class PerChannel(nn.Module):
    """One single-channel net with its own weights for every channel.

    Parameters
    ----------
    make : callable
        Makes a new net of one channel; called once per channel.
    channels : int
        Number of channels.

    Attributes
    ----------
    grid, radius : tuple of int
        As of the nets.

    Examples
    --------
    >>> net = PerChannel(lambda: UNet(channels=1, ndim=2, filters=4, outputs=2), channels=3)
    >>> net(torch.zeros(1, 3, 20, 30)).shape
    torch.Size([1, 6, 20, 30])
    """

    def __init__(self, make: Callable[[], UNet], channels: int) -> None:
        super().__init__()
        nets = [make() for _ in range(channels)]
        self.nets = nn.ModuleList(nets)
        self.channels, self.ndim, self.outputs = channels, nets[0].ndim, nets[0].outputs
        self.inputs = channels * nets[0].inputs
        self.grid, self.radius = nets[0].grid, nets[0].radius
        self._one = nets[0].memory()

    def forward(self, x: Tensor) -> Tensor:
        """Denoise patches of shape (b, inputs, *space): all means first, then all scales."""
        # Of every channel, the frame and its neighbours.
        own = torch.unflatten(x, 1, (-1, self.channels)).unbind(2)
        parts = [net(frames) for net, frames in zip(self.nets, own, strict=True)]
        # (b, outputs, *space) of every channel -> (b, outputs, channels, *space)
        return torch.stack(parts, 2).flatten(1, 2)

    def memory(self) -> float:
        """Bytes of activations per pixel of one channel in evaluation, an upper estimate.

        The nets run one after the other, so the activations of only one live at once, beside the
        results of all and their stack.
        """
        return self._one / self.channels + 4 * 2 * self.outputs
