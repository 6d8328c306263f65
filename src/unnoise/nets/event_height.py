"""The height of events: what a net took of them for noise comes back."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.nets.joined_frames import smoother

FINE = 0.6
"""Share of the residual of an event that is smoothed to 0.7 pixels; the rest to 1.6. Of flashes of
SNR 3, 1.5 pixels wide, stay 86 % with no residual, 92 % with the wider one, 97 % with the narrower
one, at 0, 0.1 and 0.5 dB of movies of neurons; with both 95 % at 0.3 dB. Telling the net less noise
there kept 93 % at 1.2 dB (development scenes of benchmarks/movies.py)."""
RESIDUAL = 3
"""How far in pixels that looks."""


def with_events(clean: Tensor, mean: Tensor, event: Tensor) -> Tensor:
    """A result whose events have their whole height.

    A net takes a part of faint events for noise, of flashes of peak SNR 3 a sixth. What it took is
    smooth, as events are: so where one is sure, the residual comes back, smoothed.

    Parameters
    ----------
    clean, mean, event : Tensor, shape (b, c, y, x)
        Result of the net, in the units of `mean`, and what `joined` gave.
    """
    if not event.any():
        return clean
    fine = smoother((mean - clean).flatten(0, 1), 1)
    coarse = smoother(fine, 2)
    return clean + event * torch.lerp(coarse, fine, FINE).view_as(clean)
