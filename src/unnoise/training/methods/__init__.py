"""Training methods by name: each turns noisy patches into (input, target, weight)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.nets.variance_stabilized import ALPHA
from unnoise.training.methods.b2u import Blind2Unblind
from unnoise.training.methods.care import Care
from unnoise.training.methods.finetune import Adapted
from unnoise.training.methods.n2n import Noise2Noise
from unnoise.training.methods.n2v import Noise2Void
from unnoise.training.methods.r2r import Noise, Recorrupted, additive, thinning
from unnoise.training.methods.step import Batch, Step

__all__ = [
    "METHODS",
    "Adapted",
    "Batch",
    "Blind2Unblind",
    "Care",
    "Method",
    "Noise",
    "Noise2Noise",
    "Noise2Void",
    "Recorrupted",
    "Step",
]


class Method(Protocol):
    """What the training loop asks of a method."""

    def batch(self, step: Step) -> Batch:
        """(input, target, weight) to train on."""

    def validation(self, step: Step) -> Batch:
        """(input, target, weight) whose weight is at the held-out pixels only."""


class Build(Protocol):
    """How a method is made."""

    def __call__(self, config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
        """From settings, dimensions of the net and, where it is known, the noise by channel."""


def _noise2void(config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
    mask, footprint = config.mask, config.footprint(ndim)
    assert mask is not None
    struct = None if footprint is None else torch.from_numpy(footprint)
    return Noise2Void(mask.percent, mask.radius, mask.replacement, mask.pattern, struct)


def _noise2noise(config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
    assert config.pairs is not None
    return Noise2Noise(config.pairs.both_directions)


def _care(config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
    return Care()


def _blind2unblind(config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
    b2u = config.b2u
    assert b2u is not None
    return Blind2Unblind(b2u.side, b2u.phases, b2u.beta, b2u.ramp, b2u.eta)


def _recorrupted(config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
    r2r = config.recorruption
    assert r2r is not None
    if not noise:
        raise InputError("r2r needs the noise of every channel; train with unnoise.train")
    if r2r.kind == "thinning":
        return Recorrupted(thinning(r2r.share, noise), r2r.decay)
    return Recorrupted(additive(r2r.alpha, noise), r2r.decay)


def _adapted(config: Config, ndim: int, noise: Sequence[Noise] = ()) -> Method:
    if not noise:
        raise InputError("adapted needs the noise of every channel; train with unnoise.train")
    return Adapted(additive(ALPHA, noise))


METHODS: dict[str, Build] = {
    "n2v": _noise2void,
    "n2v2": _noise2void,
    "structn2v": _noise2void,
    "n2n": _noise2noise,
    "care": _care,
    "b2u": _blind2unblind,
    "r2r": _recorrupted,
    "adapted": _adapted,
}
"""From settings, dimensions of the net and noise to the method."""
