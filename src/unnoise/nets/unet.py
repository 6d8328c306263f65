"""The U-Net of Noise2Void in two and three dimensions; imports torch only.

By default its levels follow the reference (csbdeep's ``unet_block``): two convolutions per level,
maximum pooling, nearest upsampling, concatenation, a 1x1 head. A stem may first move the pixels of
every ``unshuffle x unshuffle`` cell in YX into channels (Shi et al., CVPR 2016), so that the
expensive first level works on a quarter of the positions. ``pool="blur", top_skip=False`` is the
net of N2V2 (Hoeck et al., ECCV workshops 2022), without the checkerboard pattern.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unnoise.nets.blur_pool import MaxBlurPool
from unnoise.nets.own_generator import Dropout

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": lambda: nn.ReLU(inplace=True),  # in place: a map less to write and to read
    "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
POOLS: dict[str, Callable[[int, tuple[int, ...]], nn.Module]] = {
    "max": lambda ndim, stride: (nn.MaxPool2d if ndim == 2 else nn.MaxPool3d)(stride),
    "blur": MaxBlurPool,
}
UPSAMPLES: dict[str, dict[int, str]] = {
    "nearest": {2: "nearest", 3: "nearest"},
    "linear": {2: "bilinear", 3: "trilinear"},
}


class UNet(nn.Module):
    """U-Net for inputs of shape (b, channels, *space) of any size.

    Parameters
    ----------
    channels : int
        Number of input channels, and of clean output channels.
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
    convs : int
        Convolutions per level and side.
    dropout : float
        Share of the values that training sets to 0 after each activation.
    pool : str
        ``max``, or ``blur`` for `MaxBlurPool`.
    upsample : str
        ``nearest``, or ``linear`` for bilinear and trilinear.
    top_skip : bool
        Keep the skip connection of the first level. Through it noise can pass to the output
        unpooled; N2V2 goes without.
    z_poolings : int, optional
        In 3D, how many of the poolings halve Z as well as YX, the deepest ones: where Z is
        sampled coarsely, the finer dimensions are pooled first. By default all.
    outputs : int
        1 for the value; 2 for mean and scale, a result of 2 * channels: the means of all
        channels, then their scales, which are positive.
    eps : float
        The smallest scale.
    neighbours : int
        Frames beside the one to denoise that are further input: after its channels come those of
        the first neighbour, then those of the next.

    Attributes
    ----------
    grid : tuple of int
        Per space dimension, the period in pixels at which the net repeats itself: shifting the
        input by it shifts the output.
    radius : tuple of int
        Per space dimension, how far in pixels an output may look.
    inputs : int
        Channels of the input, those of neighbours included.
    joined : bool
        Neither concatenate maps nor, with nearest upsampling, upsample them (`up_and_join`): the
        same function in less time. Set it to False to export the net, as other libraries are slow
        at transposed convolutions.

    Examples
    --------
    >>> net = UNet(channels=1, ndim=2, depth=2, filters=8)
    >>> net(torch.zeros(1, 1, 37, 50)).shape
    torch.Size([1, 1, 37, 50])
    >>> UNet(channels=1, ndim=3, depth=2, filters=8, z_poolings=1).grid
    (2, 4, 4)
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
        convs: int = 2,
        dropout: float = 0.0,
        pool: str = "max",
        upsample: str = "nearest",
        top_skip: bool = True,
        z_poolings: int | None = None,
        outputs: int = 1,
        eps: float = 1e-3,
        neighbours: int = 0,
    ) -> None:
        super().__init__()
        self.channels, self.ndim, self.unshuffle = channels, ndim, unshuffle
        self.inputs = channels * (1 + neighbours)
        self.residual, self.top_skip = residual, top_skip
        self.outputs, self.eps = outputs, eps
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if ndim == 2 else nn.BatchNorm3d

        def block(*widths: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for i, o in itertools.pairwise(widths):
                layers.append(conv(i, o, kernel, padding=kernel // 2, bias=not batch_norm))
                layers += [norm(o)] if batch_norm else []
                active = ACTIVATIONS[activation]()
                # Both in one layer, so that dropout does not rename the weights.
                layers.append(nn.Sequential(active, Dropout(dropout)) if dropout else active)
            return nn.Sequential(*layers)

        cell = channels * unshuffle**2
        width = [filters * 2**n for n in range(depth + 1)]
        below = [width[max(n - 1, 0)] for n in range(depth + 1)]  # what level n hands upwards
        inner = [[width[n]] * (convs - 1) for n in range(depth + 1)]
        self.down = nn.ModuleList(
            block(width[n - 1] if n else cell * (1 + neighbours), *inner[n], width[n])
            for n in range(depth)
        )
        self.middle = block(width[depth - 1], *inner[depth], below[depth])
        self.up = nn.ModuleList(
            block((2 if n or top_skip else 1) * width[n], *inner[n], below[n])
            for n in reversed(range(depth))
        )
        flat = 0 if ndim == 2 or z_poolings is None else depth - z_poolings
        self.strides = [(1 if n < flat else 2, 2, 2)[-ndim:] for n in range(depth)]
        self.pools = nn.ModuleList(POOLS[pool](ndim, stride) for stride in self.strides)
        self.mode = UPSAMPLES[upsample][ndim]
        self.joined = True
        self.head = conv(width[0], outputs * cell, 1)
        self.last = ACTIVATIONS[last_activation]()

        stem = (1,) * (ndim - 2) + (unshuffle, unshuffle)
        axes = list(zip(stem, zip(*self.strides, strict=True), strict=True))
        self.grid = tuple(u * math.prod(strides) for u, strides in axes)
        self.radius = tuple(
            _reach(u, strides, convs * (kernel // 2), pool == "blur", upsample == "linear")
            for u, strides in axes
        )

        for module in self.modules():
            if isinstance(module, conv):
                nn.init.kaiming_normal_(module.weight, a=0.1, nonlinearity="leaky_relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # A small head starts the net near the mean of the data instead of at loud random values.
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            if outputs == 2 and self.head.bias is not None:
                # softplus(0.5413) = 1: the scale starts at that of normalised data.
                self.head.bias[cell:] = math.log(math.e - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise patches of shape (b, inputs, *space)."""
        size = x.shape[2:]
        padding = [-s % g for s, g in zip(size, self.grid, strict=True)]
        if any(padding):
            x = F.pad(x, [p for q in reversed(padding) for p in (0, q)], mode="replicate")
        h: Tensor = self._unshuffle(x)
        skips: list[Tensor | None] = []
        for down, pool in zip(self.down, self.pools, strict=True):
            h = down(h)
            skips.append(h if skips or self.top_skip else None)
            h = pool(h)
        h = self.middle(h)
        for up, stride in zip(self.up, reversed(self.strides), strict=True):
            skip = skips.pop()
            if self.joined:
                conv, *rest = up.children()
                h = up_and_join(h, skip, conv, stride, self.mode)
                for layer in rest:
                    h = layer(h)
            else:
                h = F.interpolate(h, scale_factor=tuple(map(float, stride)), mode=self.mode)
                h = up(h if skip is None else torch.cat([h, skip], 1))
        raw = self._shuffle(self._head(h))  # (b, outputs * channels, *space)
        y: Tensor = raw[:, : self.channels]
        if self.residual:
            y = y + x[:, : self.channels]
        y = self.last(y)
        if self.outputs == 2:
            y = torch.cat([y, F.softplus(raw[:, self.channels :]) + self.eps], 1)
        for axis, length in enumerate(size, 2):
            y = y.narrow(axis, 0, length)
        return y

    def _head(self, h: Tensor) -> Tensor:
        """The last convolution, in float32 but for training.

        Rounded to bfloat16, results would lie on steps of 0.4 % of their distance from the mean;
        in training that is noise without a mean, and the copy of the maps costs 4 % of a step.
        """
        raw: Tensor
        if self.training or h.dtype not in (torch.bfloat16, torch.float16):
            raw = self.head(h)
        else:
            with torch.autocast(h.device.type, enabled=False):
                raw = self.head(h.float())
        return raw

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
        # Not `F.pixel_shuffle` of transposed maps: its gradient has another memory order, in which
        # convolutions sum otherwise.
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
        beside = self.inputs - self.channels
        return 4 * (6 * width / self.unshuffle**2 + 4 * self.outputs + beside) * math.sqrt(2)


def up_and_join(
    h: Tensor,
    skip: Tensor | None,
    conv: nn.Module,
    stride: Sequence[int],
    mode: str = "nearest",
) -> Tensor:
    """Convolve the concatenation of the upsampled `h` and `skip`, without making it.

    A convolution is linear in its input channels, so it is the sum of one over each part, and no
    map is copied: 0.8 of the time forward and backward. Over pixels that nearest upsampling has
    doubled, a kernel of k taps needs only k + 1 weights for two outputs:
    ``conv(up(h), w) = conv_transpose(h, w * [1, 1], stride 2)``, where the full convolution with
    [1, 1] is along every doubled axis. That is 4 instead of 9 multiplications a pixel for a 3x3
    kernel: 0.67 of the time.

    Parameters
    ----------
    h : Tensor, shape (b, c, *space)
        Map to upsample.
    skip : Tensor, shape (b, d, *upsampled space), or None
        Map to join.
    conv : Module
        Convolution of c + d channels with an odd kernel and padding "same".
    stride : sequence of int
        Per space dimension 2, or 1 for one that is not upsampled.
    mode : str
        As for `torch.nn.functional.interpolate`.

    Examples
    --------
    >>> conv = nn.Conv2d(3, 4, 3, padding=1)
    >>> h, skip = torch.randn(1, 2, 5, 5), torch.randn(1, 1, 10, 10)
    >>> slow = conv(torch.cat([F.interpolate(h, scale_factor=2.0), skip], 1))
    >>> torch.allclose(up_and_join(h, skip, conv, (2, 2)), slow, atol=1e-5)
    True
    """
    assert isinstance(conv, nn.Conv2d | nn.Conv3d)
    layout = torch.channels_last if h.ndim == 4 else torch.channels_last_3d
    padding = tuple(k // 2 for k in conv.kernel_size)
    convolve = F.conv2d if h.ndim == 4 else F.conv3d
    transposed = F.conv_transpose2d if h.ndim == 4 else F.conv_transpose3d
    kernel = conv.weight[:, : h.shape[1]]
    bias = conv.bias if skip is None else None
    if mode == "nearest":
        for axis, s in enumerate(stride, 2):
            if s == 2:
                zero = torch.zeros_like(kernel.narrow(axis, 0, 1))
                kernel = torch.cat([kernel, zero], axis) + torch.cat([zero, kernel], axis)
        # A transposed convolution turns its kernel round.
        kernel = (
            kernel.flip(list(range(2, h.ndim))).transpose(0, 1).contiguous(memory_format=layout)
        )
        below: Tensor = transposed(h, kernel, bias, stride=tuple(stride), padding=padding)
    else:
        h = F.interpolate(h, scale_factor=tuple(map(float, stride)), mode=mode)
        below = convolve(h, kernel.contiguous(memory_format=layout), bias, padding=padding)
    if skip is None:
        return below
    beside = conv.weight[:, h.shape[1] :].contiguous(memory_format=layout)
    return convolve(skip, beside, conv.bias, padding=padding).add_(below)


def _reach(unshuffle: int, strides: Sequence[int], look: int, blur: bool, linear: bool) -> int:
    """How far in pixels an output may look along one axis: follow its sight through the levels.

    `look` is how far the convolutions of a level look in cells of that level.
    """
    farthest = 0
    for pixel in range(unshuffle * math.prod(strides)):
        low = high = pixel // unshuffle  # first and last cell that this output depends on
        for stride in strides:
            low, high = low - look, high + look
            if stride == 2:
                # Linear: cell 2j lies between j - 1 and j below, cell 2j + 1 between j and j + 1.
                low, high = (low - linear) // 2, (high + linear) // 2
        low, high = low - look, high + look
        for stride in reversed(strides):
            if stride == 2:
                low, high = 2 * low - blur, 2 * high + 1 + blur
            low, high = low - look, high + look
        first, last = low * unshuffle, high * unshuffle + unshuffle - 1
        farthest = max(farthest, pixel - first, last - pixel)
    return farthest
