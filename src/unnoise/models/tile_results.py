"""A tile through the net of a model, or the nets of a mean, back in image units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.config.sections import SPREADS
from unnoise.models import backends
from unnoise.models.backends import Forward
from unnoise.models.build import DenoisingNet, ready
from unnoise.models.frame_changes import REACH as CHANGES
from unnoise.models.frame_changes import FrameChanges, returned
from unnoise.models.joined_frames import Window, packed, unpacked
from unnoise.models.model import Model
from unnoise.models.tiles import Tile
from unnoise.models.units import from_net, spread_from_net, to_net
from unnoise.nets.device import full_precision
from unnoise.nets.event_height import RESIDUAL
from unnoise.nets.joined_frames import REACH
from unnoise.nets.variance_stabilized import VarianceStabilized

Result = tuple[list[NDArray[np.float64]], NDArray[np.float64] | None]
"""Of a tile, shape (c, *space): [clean, spread if predicted], and the error if there is one."""


WINDOW = 4 * 8
"""Bytes per pixel and frame of what is joined: as it was read, prepared, smoothed, and weighed."""


@dataclass(frozen=True)
class Member:
    """A model that is ready to predict, and its weight in the mean."""

    model: Model
    share: float
    net: DenoisingNet
    forward: Forward
    device: torch.device
    changes: FrameChanges | None = None

    @classmethod
    def of(cls, model: Model, share: float, device: torch.device, backend: str) -> Member:
        """The net of a model on a device; where frames are joined it takes packed ones."""
        net, run = ready(model, device), None
        if model.joined is not None and isinstance(net, VarianceStabilized):
            net.bins.fill_(model.joined.bins)
            net.set_blur(model.joined.blur)
            run = partial(unpacked, net)
        forward = backends.forward(model, run or net, backend)
        return cls(model, share, net, forward, device, FrameChanges.of(model, device))

    @property
    def halo(self) -> tuple[int, ...]:
        """How far in pixels a result looks."""
        window = self.model.posterior.radius if self.model.posterior else 0
        if self.model.joined is not None:
            window += (REACH + RESIDUAL) * self.model.joined.bins
        radius = [r + window for r in self.net.radius]
        if self.changes is not None:  # which are looked for plane by plane
            radius[-2:] = [r + CHANGES for r in radius[-2:]]
        return tuple(radius)

    @property
    def memory(self) -> float:
        """Bytes per pixel of a tile."""
        at_once = 1 if self.model.is_one_by_one else 2
        one = self.net.memory() * at_once
        if self.model.joined is not None:
            one += WINDOW * (2 * self.model.joined.reach + 1)
        return one * len(self.model.channels)

    def result(
        self,
        noisy: NDArray,
        beside: Sequence[NDArray],
        piece: Tile,
        shape: tuple[int, ...],
        tta: bool | None,
        window: Window | None = None,
    ) -> Result:
        """Clean values (and spreads) of a tile, and the error where the pixel itself was used.

        The net of a model with a context sees the tile in the frames beside it, or itself where
        these show something else; with joined frames, the window holds them.
        """
        model, channels, event = self.model, list(self.model.channels), None
        if model.joined is not None:
            assert window is not None
            assert isinstance(self.net, VarianceStabilized)
            with torch.inference_mode(), full_precision():
                x = packed(self.net, model, window, self.device, _inside(piece, shape))
        elif self.changes is not None:
            with torch.inference_mode():
                x, event = self.changes.seen(model, noisy, beside, _inside(piece, shape))
        else:
            x = to_net(model, noisy[channels], self.device, [b[channels] for b in beside])
        results = _denoise(self.forward, self.model, noisy, x, tta)
        if event is not None and model.target_affine is None:  # clean images have other units
            results[0][channels] = returned(results[0][channels], noisy[channels], event)
        error = None
        if self.model.posterior is not None:
            results[0], error = _with_posterior(self.model, noisy, results[0], piece, shape)
        return results, error


def mean(members: Sequence[Member], found: Sequence[Result], tta: bool | None = False) -> Result:
    """The weighted mean of the results; a single model alone tells its spread and error."""
    model, clean = members[0].model, found[0][0][0]
    channels = list(model.channels)  # copied ones stay as they are, to the last bit
    total = clean[channels]
    if len(found) > 1:
        parts = zip(members, found, strict=True)
        total = np.sum([m.share * results[0][channels] for m, (results, _) in parts], axis=0)
    if model.mean_correction is not None:
        averaged = len(_symmetries(model, tta)) > 1
        total = model.mean_correction.apply(total, averaged=averaged)
    clean[channels] = total
    return found[0] if len(found) == 1 else ([clean], None)


def _with_posterior(
    model: Model, noisy: NDArray, blind: NDArray, piece: Tile, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Use the pixels themselves; what is mirrored beyond the border is no surroundings."""
    assert model.posterior is not None
    channels, inside = list(model.channels), _inside(piece, shape)
    clean, error = blind.copy(), np.zeros_like(blind)
    clean[channels], error[channels] = model.posterior.apply(
        noisy[channels], blind[channels], inside
    )
    return clean, error


def _inside(piece: Tile, shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    """By dimension, which positions of a tile are not mirrored beyond the border."""
    return [
        (np.arange(read.start, read.stop) >= 0) & (np.arange(read.start, read.stop) < size)
        for read, size in zip(piece.read, shape, strict=True)
    ]


def _denoise(
    net: Forward, model: Model, noisy: NDArray, x: Tensor, tta: bool | None
) -> list[NDArray[np.float64]]:
    """One tile through the net, in image units: clean values and, if predicted, their spread.

    Copied channels pass as they are.
    """
    channels = list(model.channels)
    symmetries = _symmetries(model, tta)
    # Full precision on GPUs too: 16-bit floats would leave 8 significant bits of the counts.
    with torch.inference_mode(), full_precision():
        parts = _averaged(net, x, symmetries, model.config.training.loss)
    clean = noisy.astype(np.float64)
    clean[channels] = from_net(model, parts[0])
    if len(parts) == 1:
        return [clean]
    spread = np.zeros_like(clean)
    spread[channels] = spread_from_net(model, parts[1])
    return [clean, spread]


FIRST = ((0, False), (1, False), (2, True), (3, True))
"""Symmetries that are averaged first: of two, three and four passes these came nearest to all."""


def _symmetries(model: Model, tta: bool | None) -> Sequence[tuple[int, bool]]:
    """The (turns, flip) that are averaged: all, one, or (None) as many as the model needs."""
    every = model.symmetries
    if tta is None and model.passes is not None and set(FIRST) <= set(every):
        return FIRST[: model.passes.count]
    return every if tta is None or tta else ((0, False),)


def _averaged(
    net: Forward, x: Tensor, symmetries: Sequence[tuple[int, bool]], loss: str
) -> list[Tensor]:
    """Mean over symmetries of the square in YX, each undone afterwards.

    Of a probabilistic net also the standard deviation: the root of the mean variance.
    """
    sums: list[Tensor] = []
    spread = SPREADS.get(loss)
    for turns, flip in symmetries:
        y = net(torch.rot90(x.flip(-1) if flip else x, turns, (-2, -1)))
        y = torch.rot90(y, -turns, (-2, -1))
        y = y.flip(-1) if flip else y
        parts = [y]
        if spread is not None:
            centre, scale = y.chunk(2, 1)
            parts = [centre, spread * scale**2]
        sums = [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
    mean, *variance = (total / len(symmetries) for total in sums)
    return [mean, *(v.sqrt() for v in variance)]
