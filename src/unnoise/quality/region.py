"""Pieces of images with what a trained net makes of them, by which models are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.images import axes as ax
from unnoise.images.axes import Where
from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours, surrounded
from unnoise.models.model import Model
from unnoise.models.predict import predict
from unnoise.models.units import from_net


@dataclass(frozen=True)
class Region:
    """A piece of an image with its predictions, one channel, in image units.

    Attributes
    ----------
    noisy, seen : ndarray, shape (*space)
        Pixels, and what the net makes of them.
    held_out : ndarray of bool
        Pixels that were never a training target.
    blind : ndarray
        What the net makes of them when they are hidden; only valid at `held_out`.
    pairs : ndarray, shape (ndim, 2, *space)
        For every axis, the residuals of a pixel and of the next one along the axis when both are
        hidden, at the place of the first; NaN where they were not measured.
    """

    noisy: NDArray
    seen: NDArray
    held_out: NDArray[np.bool_]
    blind: NDArray
    pairs: NDArray[np.float64]


Frames = tuple[Image, dict[str, int]]
"""A piece among those of neighbouring frames, and which of them it is, as `only` of `predict`."""
SIDES = {2: (512, 512), 3: (16, 176, 176)}
"""Sides of a piece, by dimensions."""


def somewhere(
    images: Sequence[Image], ndim: int, rng: np.random.Generator
) -> tuple[int, dict[str, int], dict[str, slice]]:
    """A random piece: image, position along S, T and, of planes, Z, and part of the space."""
    which = int(rng.integers(len(images)))
    n, part = images[which].sizes, {}
    for k, most in zip("ZYX"[-ndim:], SIDES[ndim], strict=True):
        start = int(rng.integers(n[k] - min(n[k], most) + 1))
        part[k] = slice(start, start + min(n[k], most))
    return which, {k: int(rng.integers(n[k])) for k in "STZ"[: 5 - ndim]}, part


def read_piece(
    image: Image, at: dict[str, int], part: dict[str, slice], model: Model, *, alone: bool = False
) -> NDArray:
    """The denoised channels of a piece, shape (channels, *space); `alone` as of `Image.read`."""
    block: NDArray = image.read({**at, **part}, alone=alone)[0, 0][list(model.channels)]
    return block if model.ndim == 3 else block[:, 0]


def read_beside(
    image: Image, at: dict[str, int], part: dict[str, slice], model: Model
) -> list[NDArray]:
    """The same piece of the frames that the net sees beside it, as `read_piece` gives them."""
    if model.context is None:
        return []
    frames = Neighbours(image, *model.context, model.channels).frames(at)
    return [read_piece(image, frame, part, model, alone=True) for frame in frames]


def part_of(image: Image, where: Where, model: Model) -> Frames:
    """A part of one frame in memory, and `only` for `predict`: the frames that a model looks at
    beside it are there too.
    """
    seen = [m.context for m, _ in model.members if m.context is not None]
    if model.joined is not None and image.sizes[model.joined.axis] > 1:
        seen.append((model.joined.axis, model.joined.reach))
    if not seen:
        return image.part(where), {}
    axis = seen[0][0]  # of a net that cannot do without; frames are joined where there are any
    reach = max(far for along, far in seen if along == axis)
    return surrounded(image, where, axis, reach, model.channels), {axis: reach}


def read_excluded(
    image: Image, at: dict[str, int], part: dict[str, slice], model: Model
) -> NDArray[np.bool_] | None:
    """Which pixels of `read_piece` are no measurement; None where all are."""
    marks = image.excluded({**at, **part})
    if marks is None:
        return None
    found: NDArray[np.bool_] = marks[0, 0][list(model.channels)]
    return found if model.ndim == 3 else found[:, 0]


def predictions(net: Callable[[Tensor], Tensor], x: Tensor, model: Model) -> NDArray[np.float64]:
    """What a net makes of normalised patches, in image units, shape (channels, *space)."""
    y = net(x)
    return from_net(model, y.chunk(2, 1)[0] if model.config.is_probabilistic else y)


def among(
    frames: Frames,
    noisy: NDArray,
    model: Model,
    device: torch.device,
    *,
    tta: bool | None = False,
) -> NDArray[np.float64]:
    """The denoised channels of a plane (c, y, x) that takes the place of one of some frames."""
    image, only = frames
    values = image.read().astype(np.float64)
    values[ax.index(ax.CANONICAL, only)] = noisy[None, None, :, None]
    found = np.empty(noisy.shape)
    noised = image.with_data(values)
    options = {"device": str(device), "tta": tta, "only": only, "shifted": False}
    for block in predict(model, noised, **options):  # type: ignore[arg-type]
        found[(slice(None), *(block.where[k] for k in "YX"))] = block.values[0, 0, :, 0]
    return found[list(model.channels)]
