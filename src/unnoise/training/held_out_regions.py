"""Pieces of the training images with predictions of pixels that were never a target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.images.held_out import held_out, plane_key
from unnoise.images.image import Image
from unnoise.models.build import ready
from unnoise.models.model import Model
from unnoise.models.units import batched, to_net
from unnoise.quality.region import (
    Region,
    predictions,
    read_beside,
    read_excluded,
    read_piece,
    somewhere,
)
from unnoise.training.methods import build
from unnoise.training.methods.step import Step

BUDGET = 2**19
"""Pixels of all regions together: some seconds."""


def regions(
    model: Model,
    images: Sequence[Image],
    device: torch.device,
    along: Collection[str] = (),
) -> list[list[Region]]:
    """Pieces of the training images with predictions, for every denoised channel.

    Parameters
    ----------
    model : Model
        Trained with n2v, n2v2 or structn2v.
    images : sequence of Image
        Its training images.
    device : torch.device
        Where to compute.
    along : collection of str
        Axes along which noise is independent, so that pairs of neighbours say something; those that
        structN2V hides along are not among them whatever is said.
    """
    assert model.config.entry.blind_spot
    net = ready(model, device)
    method = build(model.config, model.ndim)
    seed, box = model.config.training.seed, model.config.training.held_out
    generator = torch.Generator(device).manual_seed(seed + 2)
    rng = np.random.default_rng([seed, 2])
    found: list[list[Region]] = [[] for _ in model.channels]
    struct = model.config.footprint(model.ndim)  # what is hidden with a spot: itself, or more
    struct = np.ones((1,) * model.ndim, np.bool_) if struct is None else struct
    axes = [a for a, k in enumerate("ZYX"[-model.ndim :]) if k in along and struct.shape[a] == 1]
    spent = 0
    seen: set[tuple[object, ...]] = set()
    while spent < BUDGET:
        which, at, part = somewhere(images, model.ndim, rng)
        plane = plane_key(which, at, model.ndim, None)
        corner = tuple(s.start for s in part.values())
        if (plane, corner) in seen:  # small images have few places
            break
        seen.add((plane, corner))
        noisy = read_piece(images[which], at, part, model)
        sides = noisy.shape[1:]
        keys = [(seed, *plane, c) for c in model.channels]
        held = np.stack([held_out(corner, sides, key, box) for key in keys])
        marks = read_excluded(images[which], at, part, model)
        if marks is not None:
            held &= ~marks
        x, mask = to_net(model, noisy, device), batched(model, held, device)
        width = x.shape[1]
        beside = read_beside(images[which], at, part, model)
        around = to_net(model, noisy, device, beside)[:, width:] if beside else None
        step = Step(x, x, mask, generator, 1.0, net, beside=around)
        hidden = method.validation(step)[0]
        with torch.inference_mode():
            plain, blind = (predictions(net, step.seen(t), model) for t in (x, hidden))
        noisy = noisy.astype(np.float64)
        pairs = np.full((len(noisy), model.ndim, 2, *sides), np.nan)
        for axis, first in lattices(sides, axes, struct.shape, rng):
            with torch.inference_mode():
                without = step.seen(_without(x, first, axis, struct))
                residual = noisy - predictions(net, without, model)
            both = np.stack([residual, np.roll(residual, -1, axis + 1)], 1)
            pairs[:, axis] = np.where(first, both, pairs[:, axis])
        if marks is not None:
            beside = [marks | np.roll(marks, -1, axis + 1) for axis in range(model.ndim)]
            pairs[np.broadcast_to(np.stack(beside, 1)[:, :, None], pairs.shape)] = np.nan
        for c in range(len(model.channels)):
            found[c].append(Region(noisy[c], plain[c], held[c], blind[c], pairs[c]))
        spent += math.prod(sides) * len(model.channels)
    return found


def lattices(
    shape: Sequence[int],
    axes: Sequence[int],
    footprint: Sequence[int],
    rng: np.random.Generator,
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Pixels to hide together with the next one along an axis, and the footprints of both.

    One pixel in 16 at a time or fewer, so that little more than the pair is hidden from a
    prediction; two to four lattices for every axis of a large piece, more of a small one.

    Parameters
    ----------
    shape : sequence of int
        Of the piece, 2 or 3 dimensions.
    axes : sequence of int
        Along which there are pairs; the footprint is one pixel long there.
    footprint : sequence of int
        Sides of what is hidden with a spot.
    rng : numpy.random.Generator
        Which lattices.

    Yields
    ------
    axis, mask : int, ndarray of bool of the given shape
        The first pixel of every pair. There is a pixel before it and one after the pair.

    Examples
    --------
    >>> axis, mask = next(lattices((9, 9), [1], (1, 1), np.random.default_rng(0)))
    >>> axis, bool(mask[:, 0].any()), bool(mask[:, 7:].any())
    (1, False, False)
    """
    free = {2: 3, 3: 1}[len(shape)]
    for axis in axes:
        cell = [4 if a == axis else side + free for a, side in enumerate(footprint)]
        places = list(itertools.product(*map(range, cell)))
        n = min(max(2 * BUDGET // math.prod(shape), 1), len(places) // 2, 8)
        for which in rng.choice(len(places), n, replace=False):
            mask = np.zeros(shape, np.bool_)
            mask[tuple(slice(o, None, c) for o, c in zip(places[which], cell, strict=True))] = True
            for end in (slice(1), slice(max(shape[axis] - 2, 0), None)):
                mask[(slice(None),) * axis + (end,)] = False
            yield axis, mask


def _without(
    x: torch.Tensor, first: NDArray[np.bool_], axis: int, footprint: NDArray[np.bool_]
) -> torch.Tensor:
    """Planes without either pixel of the pairs: the first takes the value before the pair, the
    second the one after it, and so do their footprints.
    """
    second = np.roll(first, 1, axis)
    for pixels, back in ((first, 1), (second, -1)):
        hidden = torch.from_numpy(ndimage.binary_dilation(pixels, footprint)).to(x.device)
        x = torch.where(hidden, x.roll(back, 2 + axis), x)
    return x
