"""The heart of Noise2Void: which pixels are hidden, and what stands in their place.

Krull, Buchholz, Jug: Noise2Void - Learning Denoising from Single Noisy Images, CVPR 2019.
Shapes are (n, *space) with any number n of independent planes (patches times channels) and two or
three space dimensions. The mask is always kept explicitly: deriving it from "the value changed"
drops the spots whose replacement happens to equal their value and so biases photon counts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def box_side(percent: float, ndim: int) -> float:
    """Side of the box that holds one blind spot: ``(100 / percent) ** (1 / ndim)`` pixels.

    Examples
    --------
    >>> box_side(25, 2), round(box_side(0.198, 2), 2), round(box_side(0.8, 3), 2)
    (2.0, 22.47, 5.0)
    """
    return float((100 / percent) ** (1 / ndim))


def stratified(shape: tuple[int, ...], percent: float, generator: torch.Generator) -> Tensor:
    """Draw one blind spot in every box of a grid (Krull et al. 2019, section 3.3).

    Every plane has spots and a random phase of the grid of its own, so every pixel is hidden
    equally often. The side of the boxes need not be an integer: their edges are rounded down, so
    boxes differ by a pixel but never overlap. Boxes reach over the borders, and a spot that falls
    outside is dropped; so the density holds in thin stacks too.

    Parameters
    ----------
    shape : tuple of int
        (n, *space).
    percent : float
        Expected share of hidden pixels, 0 < percent <= 50.
    generator : torch.Generator
        Source of randomness; its device is the device of the result.

    Returns
    -------
    Tensor, bool, shape (n, *space)
        True at blind spots.

    Examples
    --------
    >>> mask = stratified((4, 64, 64), 25.0, torch.Generator().manual_seed(0))
    >>> mask.shape, round(mask.float().mean().item(), 2)
    (torch.Size([4, 64, 64]), 0.25)
    """
    n, *space = shape
    device = generator.device
    side = box_side(percent, len(space))
    boxes = [math.ceil(size / side) + 1 for size in space]
    flat = torch.zeros((n, *boxes), dtype=torch.long, device=device)
    inside = torch.ones_like(flat, dtype=torch.bool)
    for axis, (size, count) in enumerate(zip(space, boxes, strict=True)):
        phase = torch.rand((n, 1), generator=generator, device=device)
        edges = ((phase + torch.arange(-1, count, device=device)) * side).floor().long()
        low, width = edges[:, :-1], edges.diff()
        along = (n, *(count if a == axis else 1 for a in range(len(space))))
        jitter = torch.rand((n, *boxes), generator=generator, device=device)
        position = low.view(along) + (jitter * width.view(along)).long()
        inside &= (position >= 0) & (position < size)
        flat = flat * size + position.clamp(0, size - 1)
    mask = torch.zeros((n, math.prod(space)), dtype=torch.bool, device=device)
    plane = torch.arange(n, device=device).view((n,) + (1,) * len(space)).expand_as(flat)
    mask[plane[inside], flat[inside]] = True
    return mask.view(shape)


def uniform(x: Tensor, mask: Tensor, radius: int, generator: torch.Generator) -> Tensor:
    """Replace every blind spot by a random neighbour, never by itself.

    The neighbour is uniform over the window of `radius` around the spot, cropped to the image,
    without its centre. All values are read before any is written.

    Parameters
    ----------
    x : Tensor, shape (n, *space)
        Noisy planes.
    mask : Tensor, bool, shape (n, *space)
        Blind spots.
    radius : int
        Half side of the window in pixels, at least 1.
    generator : torch.Generator
        Source of randomness on the device of `x`.

    Returns
    -------
    Tensor, shape (n, *space)
        A copy of `x` with the spots replaced.

    Examples
    --------
    >>> x = torch.arange(16.0).view(1, 4, 4)
    >>> mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    >>> mask[0, 0, 0] = True
    >>> y = uniform(x, mask, 1, torch.Generator().manual_seed(0))
    >>> y[0, 0, 0].item() in {1.0, 4.0, 5.0}, bool((y == x)[~mask].all())
    (True, True)
    """
    plane, *spot = mask.nonzero(as_tuple=True)
    low = [(p - radius).clamp(min=0) for p in spot]
    high = [(p + radius).clamp(max=size - 1) for p, size in zip(spot, x.shape[1:], strict=True)]
    width = [hi - lo + 1 for lo, hi in zip(low, high, strict=True)]
    count = torch.ones_like(plane)
    centre = torch.zeros_like(plane)
    for p, lo, w in zip(spot, low, width, strict=True):
        count = count * w
        centre = centre * w + (p - lo)
    # One of the count - 1 neighbours: numbers from the centre on move up by one. The remainder of
    # a 31-bit number is uniform to 1e-6 for windows of up to 2,000 pixels.
    number = torch.randint(2**31 - 1, plane.shape, generator=generator, device=x.device)
    number = number % (count - 1)
    number = number + (number >= centre)
    source: list[Tensor] = []
    for lo, w in zip(reversed(low), reversed(width), strict=True):
        source.insert(0, lo + number % w)
        number = number // w
    y = x.clone()
    y[mask] = x[(plane, *source)]
    return y


REPLACEMENTS = {"uniform": uniform}
"""What may stand in a blind spot, by name."""
