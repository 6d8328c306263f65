"""How large a share a Gaussian blur has in results of the shipped net, where noise is very strong.

Where there is next to nothing but noise, above all with few photons, the net has no better
information than a linear filter, and its transform costs it some. Hidden pixels tell which mean of
the two is best (J-invariance: Batson and Royer, ICML 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from unnoise.nets.variance_stabilized import VarianceStabilized, blurred

WIDTHS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Standard deviations in pixels that are tried."""


def blur_share(
    net: VarianceStabilized, hidden: Callable[[Callable[[Tensor], Tensor]], tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Share and width of the blur, by channel.

    The risk of a mean is a parabola in the share, whose bend needs no noise:
    ``mean((r + w (b - r))**2)`` of the residuals r of the net and b of the blur.

    Parameters
    ----------
    net : VarianceStabilized
        Calibrated, without a share of a blur.
    hidden : callable
        From what denoises patches to its predictions of hidden pixels and their noisy values, NaN
        where pixels are no measurement, both of shape (channels, n).

    Returns
    -------
    tuple of Tensor, shape (channels,)
        Share, 0 to 1, and standard deviation of the blur.

    Examples
    --------
    >>> net = VarianceStabilized(channels=1)
    >>> pixels = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    >>> share, width = blur_share(net, lambda f: (f(pixels).flatten(1), pixels.flatten(1)))
    >>> 0 <= share.item() <= 1, width.item() in WIDTHS
    (True, True)
    """
    clean, noisy = hidden(net)
    residual = noisy - clean
    shares, chosen = torch.zeros_like(net.blur_share), torch.ones_like(net.blur_width)
    least = torch.full_like(shares, torch.inf)
    for width in WIDTHS:
        widths = torch.full_like(chosen, width)
        other = noisy - hidden(partial(blurred, width=widths))[0]
        change = other - residual
        bend = change.square().nanmean(1).clamp(min=1e-12)
        share = (-(residual * change).nanmean(1) / bend).clamp(0, 1)
        error = (residual + share[:, None] * change).square().nanmean(1)
        better = error < least
        shares, chosen, least = (
            torch.where(better, new, old)
            for new, old in ((share, shares), (widths, chosen), (error, least))
        )
    return shares, chosen
