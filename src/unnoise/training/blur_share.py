"""How large a share a Gaussian blur has in results of the shipped net, where noise is very strong.

Where there is next to nothing but noise, above all with few photons, the net has no better
information than a linear filter, and its transform costs it some. Hidden pixels tell which mean of
the two is best (J-invariance: Batson and Royer, ICML 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

DROWNED = 0.4
"""Share of the variance from which noise is so strong that a blur may know as much as the net: on
24 drawn scenes of `benchmarks/strong.py` (numbers from 1,000 on, seed 0) its share gained 0.17 dB,
at most 1.3; on crops of W2S fields 0 to 0.03."""
WIDTHS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Standard deviations in pixels that are tried."""


def blur_share(
    residuals: Callable[[float | None], Tensor], *, widths: Sequence[float] = WIDTHS
) -> tuple[Tensor, Tensor]:
    """Share and width of the blur, by channel.

    The risk of a mean is a parabola in the share, whose bend needs no noise:
    ``mean((r + w (b - r))**2)`` of the residuals r of the net and b of the blur.

    Parameters
    ----------
    residuals : callable
        Noisy less predicted values of hidden pixels, shape (channels, n), NaN where pixels are no
        measurement: of the net alone (None), and of a blur of some width.
    widths : sequence of float
        Those that are tried.

    Returns
    -------
    tuple of Tensor, shape (channels,)
        Share, 0 to 1, and standard deviation of the blur.

    Examples
    --------
    >>> noise = torch.randn(2, 1, 1000, generator=torch.Generator().manual_seed(0))
    >>> share, width = blur_share(lambda width: noise[int(width == 2.0)] + (width or 0) / 9)
    >>> round(share.item(), 1), width.item()
    (0.5, 2.0)
    """
    residual = residuals(None)
    shares = residual.new_zeros(len(residual))
    chosen, least = torch.ones_like(shares), torch.full_like(shares, torch.inf)
    for width in widths:
        change = residuals(width) - residual
        bend = change.square().nanmean(1).clamp(min=1e-12)
        share = (-(residual * change).nanmean(1) / bend).clamp(0, 1)
        error = (residual + share[:, None] * change).square().nanmean(1)
        better = error < least
        shares, chosen, least = (
            torch.where(better, new, old)
            for new, old in (
                (share, shares),
                (torch.full_like(chosen, width), chosen),
                (error, least),
            )
        )
    return shares, chosen
