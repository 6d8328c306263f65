"""Training methods by name: each turns noisy patches into (input, target, weight)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from unnoise.config import Config
from unnoise.methods.b2u import Blind2Unblind
from unnoise.methods.care import Care
from unnoise.methods.n2n import Noise2Noise
from unnoise.methods.n2v import Noise2Void
from unnoise.methods.step import Batch, Step

__all__ = [
    "METHODS",
    "Batch",
    "Blind2Unblind",
    "Care",
    "Method",
    "Noise2Noise",
    "Noise2Void",
    "Step",
]


class Method(Protocol):
    """What the training loop asks of a method."""

    def batch(self, step: Step) -> Batch:
        """(input, target, weight) to train on."""

    def validation(self, step: Step) -> Batch:
        """(input, target, weight) whose weight is at the held-out pixels only."""


def _noise2void(config: Config, ndim: int) -> Method:
    mask, footprint = config.mask, config.footprint(ndim)
    assert mask is not None
    struct = None if footprint is None else torch.from_numpy(footprint)
    return Noise2Void(mask.percent, mask.radius, mask.replacement, mask.pattern, struct)


def _noise2noise(config: Config, ndim: int) -> Method:
    assert config.pairs is not None
    return Noise2Noise(config.pairs.both_directions)


def _care(config: Config, ndim: int) -> Method:
    return Care()


def _blind2unblind(config: Config, ndim: int) -> Method:
    b2u = config.b2u
    assert b2u is not None
    return Blind2Unblind(b2u.side, b2u.phases, b2u.beta, b2u.ramp, b2u.eta)


METHODS: dict[str, Callable[[Config, int], Method]] = {
    "n2v": _noise2void,
    "n2v2": _noise2void,
    "structn2v": _noise2void,
    "n2n": _noise2noise,
    "care": _care,
    "b2u": _blind2unblind,
}
"""From settings and the dimensions of the net to the method."""
