"""A Gaussian denoiser behind a variance-stabilising transform, one per channel; torch only.

Noise whose strength depends on the signal becomes white noise of strength 1 by
``f(v) = integral of dv / sigma(v)`` (Anscombe, Biometrika 1948, for photons). Here sigma is a
polyline, so f, its slope and its inverse are sums over segments, and f is monotone whatever its
parameters are (Herbreteau and Unser, Noise2VST, ICCV 2025, use such a spline too).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unnoise.nets.event_height import with_events
from unnoise.nets.gaussian_denoiser import GaussianNet, lags
from unnoise.nets.nl_ridge import NLRidge
from unnoise.nets.own_generator import DrawnFrom

KNOTS = 97
"""Knots of the transform of a channel."""
RISE = 0.05
"""Least share of its own slope that the corrected way back keeps where noise bends sharply."""
TRUNCATED = 4.0
"""Standard deviations at which the window of a blur ends."""
LEVEL = 0.1
"""Noise as the Gaussian net sees it: 25 of 255, where it was trained most."""


class VarianceStabilized(nn.Module):
    """A net for images of normalised units: transform, denoise, transform back.

    Parameters
    ----------
    channels : int
        Denoised channels; each passes the same net on its own.
    net : GaussianNet or NLRidge, optional
        By default a net of the shape of the shipped weights.

    Attributes
    ----------
    knots : Tensor, shape (channels, KNOTS)
        Signals, ascending.
    log_sigma : Tensor, shape (channels, KNOTS)
        Logarithm of the standard deviation of the noise at the knots.
    shift : Tensor, shape (channels, KNOTS)
        What is added to a result at the knots: the mean of what noisy pixels show there.
    rho : Tensor, shape (channels, lags)
        Correlation of the noise at `unnoise.nets.gaussian_denoiser.lags`; zeros for white noise.
    bins : Tensor, shape ()
        Side of the squares of pixels that are averaged before and come back smooth: 1, 2 or 4.
        With few photons a pixel says too little for any transform.
    blur_share, blur_width : Tensor, shape (channels,)
        Weight of a Gaussian blur in the result, and its standard deviation in pixels. Where there
        is next to nothing but noise, it knows no less than a net and invents nothing.
    grid, radius : tuple of int
        Those of the net, in pixels before they are averaged.

    Examples
    --------
    >>> net = VarianceStabilized(channels=2)
    >>> net(torch.zeros(1, 2, 20, 31)).shape
    torch.Size([1, 2, 20, 31])
    """

    knots: Tensor
    log_sigma: Tensor
    shift: Tensor
    rho: Tensor
    bins: Tensor
    blur_share: Tensor
    blur_width: Tensor

    def __init__(self, channels: int, net: GaussianNet | NLRidge | None = None) -> None:
        super().__init__()
        self.channels = channels
        with DrawnFrom(torch.Generator()):  # the global random state is the user's
            self.net = net or GaussianNet()
        # Normalised values have mean 0 and standard deviation 1.
        self.register_buffer("knots", torch.linspace(-5, 15, KNOTS).repeat(channels, 1))
        self.register_buffer("log_sigma", torch.full((channels, KNOTS), -1.0))
        self.register_buffer("shift", torch.zeros(channels, KNOTS))
        self.register_buffer("rho", torch.zeros(channels, len(lags())))
        self.register_buffer("bins", torch.tensor(1))
        self.register_buffer("blur_share", torch.zeros(channels))
        self.register_buffer("blur_width", torch.ones(channels))

    @property
    def grid(self) -> tuple[int, ...]:
        """Shifting the input by it, in pixels, shifts the output."""
        return tuple(int(self.bins) * period for period in self.net.grid)

    @property
    def radius(self) -> tuple[int, ...]:
        """How far in pixels an output may look: the way back from bins looks at the next ones."""
        bins = int(self.bins)
        return tuple(bins * (reach + (bins > 1)) + bins - 1 for reach in self.net.radius)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise patches of normalised values, shape (b, channels, y, x)."""
        height, width = x.shape[2:]
        clean = self.denoised(self.prepared(x))[..., :height, :width]
        if not self.blur_share.any():
            return clean
        return torch.lerp(clean, blurred(x, self.blur_width), self.blur_share.view(-1, 1, 1))

    def set_blur(self, blur: Sequence[tuple[float, float]]) -> None:
        """Give a blur its share and width by channel; no share where there are none."""
        values = torch.tensor(blur or [(0.0, 1.0)] * self.channels).to(self.blur_share)
        self.blur_share, self.blur_width = values.unbind(1)

    def prepared(self, x: Tensor) -> Tensor:
        """Squares of pixels averaged, with noise of strength 1."""
        return self.stabilise(self.averaged(x))

    def averaged(self, x: Tensor) -> Tensor:
        """Squares of pixels averaged."""
        bins = int(self.bins)
        if bins == 1:
            return x
        height, width = x.shape[2:]
        return F.avg_pool2d(F.pad(x, (0, -width % bins, 0, -height % bins), mode="replicate"), bins)

    def denoised(
        self,
        z: Tensor,
        variance: Tensor | None = None,
        event: Tensor | None = None,
        plain: Tensor | None = None,
    ) -> Tensor:
        """The clean version of `prepared` values, in normalised units.

        Parameters
        ----------
        z : Tensor, shape (b, channels, y, x)
            Values as `prepared`, or means of several such.
        variance : Tensor, of the same shape, optional
            Of the noise of means; 1 by default.
        event : Tensor, of the same shape, optional
            Where events keep their height (`unnoise.nets.event_height.with_events`), 0 to 1.
        plain : Tensor, of the same shape, optional
            What the blur has its share of, which it has none of in events: `averaged` values, or
            means of several such.
        """
        clean = self._denoised(z, variance)
        if event is not None:
            clean = with_events(clean, z, event)
        clean = self.restore(clean)
        if plain is not None:
            share = self.blur_share.view(-1, 1, 1)
            share = share if event is None else share * (1 - event)
            clean = torch.lerp(clean, blurred(plain, self.blur_width / self.bins), share)
        return self.spread(clean)

    def spread(self, x: Tensor) -> Tensor:
        """Squares of pixels as pixels again, smoothly."""
        bins = int(self.bins)
        if bins == 1:
            return x
        return F.interpolate(x, scale_factor=float(bins), mode="bilinear", align_corners=False)

    @property
    def binned(self) -> Tensor:
        """Logarithm of the noise at the knots, of the mean of `bins` times `bins` pixels."""
        return self.log_sigma - torch.log(self.bins)

    def _denoised(self, z: Tensor, variance: Tensor | None) -> Tensor:
        middle = self.stabilise(torch.zeros_like(z[:1, :, :1, :1]))  # stands in the place of 0
        planes = ((z - middle) * LEVEL).flatten(0, 1).unsqueeze(1)
        sigma = torch.tensor(LEVEL, dtype=planes.dtype, device=planes.device)
        if variance is not None:
            sigma = sigma * variance.sqrt().flatten(0, 1).unsqueeze(1)
        told = self.net.told is not None and self.rho.any()
        rho = self.rho.repeat(len(z), 1) if told else None
        clean: Tensor = self.net(planes, sigma, rho)[:, 0].view_as(z) / LEVEL + middle
        return clean

    def stabilise(self, x: Tensor) -> Tensor:
        """Values whose noise has strength 1; zeros show the transformed mean of the images."""
        rows = zip(x.unbind(1), self.knots, self.binned, strict=True)
        return torch.stack([interpolate(v, *transform(k, s)) for v, k, s in rows], 1)

    def restore(self, z: Tensor) -> Tensor:
        """Back to normalised units, without the bias of the curved way."""
        values = []
        for c in range(self.channels):
            knots, log_sigma = self.knots[c], self.binned[c]
            signal, f = transform(knots, log_sigma)
            # E f(y) = f(E y) + f'' sigma**2 / 2 = f(E y) - sigma' / 2, to second order.
            bend = torch.diff(log_sigma.exp()) / torch.diff(knots)
            bend = torch.cat([bend[:1], (bend[1:] + bend[:-1]) / 2, bend[-1:]])
            bent = RISE * f + torch.cummax((1 - RISE) * f - bend / 2, 0).values
            value = interpolate(z[:, c], bent, signal)
            values.append(value + interpolate(value, knots, self.shift[c], flat=True))
        return torch.stack(values, 1)

    def memory(self) -> float:
        """Bytes of activations per input pixel in evaluation, an upper estimate."""
        return self.net.memory()


def blurred(x: Tensor, width: Tensor) -> Tensor:
    """Gaussian blur of every channel, its window as long as four standard deviations each way.

    Parameters
    ----------
    x : Tensor, shape (b, channels, y, x)
        Planes; beyond them the outermost pixels go on.
    width : Tensor, shape (channels,)
        Standard deviations in pixels.
    """
    reach = math.ceil(TRUNCATED * float(width.max()))
    at = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-((at / width.view(-1, 1)) ** 2) / 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).unsqueeze(1)
    n = len(width)
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=n)
    return F.conv2d(rows, kernel.unsqueeze(3), groups=n)


def transform(knots: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Signals and the transform there: the integral of 1 / sigma, from the first knot on.

    Parameters
    ----------
    knots, log_sigma : Tensor, shape (n,)
        Signals and logarithms of the standard deviation.

    Returns
    -------
    tuple of Tensor, shape (n,)
        The knots, and f at the knots; beyond them f goes on along its last slope.
    """
    inverse = torch.exp(-log_sigma)
    steps = torch.diff(knots) * (inverse[1:] + inverse[:-1]) / 2
    return knots, torch.cat([steps.new_zeros(1), torch.cumsum(steps, 0)])


def interpolate(x: Tensor, at: Tensor, values: Tensor, *, flat: bool = False) -> Tensor:
    """A polyline at `x`; beyond its ends along the last segments, or level where `flat`.

    Parameters
    ----------
    x : Tensor, any shape
        Where.
    at : Tensor, shape (n,)
        Ascending places of the corners.
    values : Tensor, shape (n,)
        Values at the corners.
    """
    if flat:
        x = torch.minimum(torch.maximum(x, at[0]), at[-1])
    low = (torch.searchsorted(at.detach(), x.detach().contiguous()) - 1).clamp(0, len(at) - 2)
    slope = torch.diff(values) / torch.diff(at)
    return values[low] + slope[low] * (x - at[low])
