"""Pieces of images with what a trained net makes of them, by which models are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unnoise.images.image import Image
from unnoise.models.model import Model
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


SIDES = {2: (512, 512), 3: (16, 176, 176)}
"""Sides of a piece, by dimensions."""


def somewhere(
    images: Sequence[Image], ndim: int, rng: np.random.Generator
) -> tuple[int, dict[str, int], tuple[int, ...], tuple[int, ...]]:
    """A random piece: image, position along S, T and Z, corner and sides of a piece."""
    which = int(rng.integers(len(images)))
    n = images[which].sizes
    letters = "ZYX"[-ndim:]
    sides = tuple(min(n[k], side) for k, side in zip(letters, SIDES[ndim], strict=True))
    corner = tuple(
        int(rng.integers(n[k] - side + 1)) for k, side in zip(letters, sides, strict=True)
    )
    at = {k: int(rng.integers(n[k])) for k in "ST"}
    at["Z"] = corner[0] if ndim == 3 else int(rng.integers(n["Z"]))
    return which, at, corner, sides


def read_piece(
    image: Image,
    at: dict[str, int],
    corner: tuple[int, ...],
    sides: tuple[int, ...],
    model: Model,
) -> NDArray:
    """The denoised channels of a piece, shape (channels, *space)."""
    where: dict[str, int | slice] = dict(at)
    for k, start, side in zip("ZYX"[-model.ndim :], corner, sides, strict=True):
        where[k] = slice(start, start + side)
    block: NDArray = image.read(where)[0, 0][list(model.channels)]
    return block if model.ndim == 3 else block[:, 0]


def predictions(net: Callable[[Tensor], Tensor], x: Tensor, model: Model) -> NDArray[np.float64]:
    """What a net makes of normalised patches, in image units, shape (channels, *space)."""
    y = net(x)
    return from_net(model, y.chunk(2, 1)[0] if model.config.is_probabilistic else y)
