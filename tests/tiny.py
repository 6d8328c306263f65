"""Settings, nets and steps of training that take milliseconds."""

from __future__ import annotations

from typing import Any

import torch

from unnoise.config.config import Config
from unnoise.nets.unet import UNet
from unnoise.training.methods.step import Step

NET = ("net.filters=4", "net.depth=1")


def tiny(method: str = "n2v", *assignments: str) -> Config:
    """Settings of a method with a tiny net, and others as ``--set`` takes them."""
    return Config.preset(method=method).set(*NET, *assignments)


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def step(x: torch.Tensor, held_out: torch.Tensor | None = None, **options: Any) -> Step:
    """A noisy batch as the loop gives it to a method, of which nothing is held out by default."""
    if held_out is None:
        held_out = torch.zeros_like(x, dtype=torch.bool)
    given = {"generator": seeded(), "fraction": 0.0, "see": lambda x: x} | options
    return Step(x, x, held_out, **given)


def unet(ndim: int, channels: int = 1, std: float | None = None) -> torch.nn.Module:
    """A double-precision net of fixed weights; with `std` they are loud: it looks far."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = UNet(channels=channels, ndim=ndim, depth=1, filters=3, activation="silu")
        if std is not None:
            for p in net.parameters():
                torch.nn.init.normal_(p, std=std)
    return net.double()
