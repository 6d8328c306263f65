"""Laws of the height of events."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.nets.event_height import with_events


def noise(n: int = 7, side: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(n, side, side, generator=torch.Generator().manual_seed(seed))


def spot(side: int = 64, width: float = 1.5) -> Tensor:
    x = torch.arange(side) - side // 2
    profile = torch.exp(-(x**2) / (2 * width**2))
    return profile[:, None] * profile


def test_events_get_back_what_was_taken_for_noise() -> None:
    flash = 5 * spot()[None, None]
    event = (spot()[None, None] > 0.1).float()
    clean, noisy = 0.8 * flash, flash + 0.1 * noise(1)[None]
    found = with_events(clean, noisy, event)
    assert float(found[0, 0, 32, 32]) > 0.9 * 5
    torch.testing.assert_close(found * (1 - event), clean * (1 - event))
    assert with_events(clean, noisy, torch.zeros_like(event)) is clean
