"""Reading the windows around blind spots, which are cropped at the borders of the image.

Spots are rows (s, 1 + ndim) of plane and position, as `Tensor.nonzero` gives them. The functions
that may stand in a spot are in `unnoise.training.masks.blind_spots`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 2**22
"""Most window values held at once: with their positions about 100 MB, however large the radius."""


def forbidden_offsets(x: Tensor, exclude: Tensor | None, *, centre: bool) -> Tensor:
    """Offsets (k, ndim) from a spot that are not read, in row-major order."""
    ndim = x.ndim - 1
    if exclude is None:
        footprint = torch.zeros([1] * ndim, dtype=torch.bool, device=x.device)
    else:
        footprint = exclude.clone()  # the centre of the caller's mask is left as it is
    footprint[tuple(size // 2 for size in footprint.shape)] = centre
    return footprint.nonzero() - torch.tensor(footprint.shape, device=x.device) // 2


def replace(x: Tensor, mask: Tensor, width: int, value: Callable[[Tensor], Tensor]) -> Tensor:
    """A copy of x with value(spots) at the spots (s, 1 + ndim), asked for in bounded chunks."""
    spots = mask.nonzero()
    size = max(1, CHUNK // max(1, width))
    chunks = [spots[i : i + size] for i in range(0, max(1, len(spots)), size)]
    y = x.clone()
    y[mask] = torch.cat([value(chunk) for chunk in chunks])
    return y


def draw(
    x: Tensor, spots: Tensor, radius: int, forbidden: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Indices into x: uniform over the cropped windows of the spots less the forbidden offsets.

    None forbids the centre alone, in half the time (1.2 instead of 2.2 ms for a batch). A window
    that has nothing else grows to the plane, and if that has nothing else either, then only its
    centre is forbidden.
    """
    plane, *spot = spots.T.contiguous()
    low = [(p - radius).clamp(min=0) for p in spot]
    high = [(p + radius).clamp(max=size - 1) for p, size in zip(spot, x.shape[1:], strict=True)]
    width = [hi - lo + 1 for lo, hi in zip(low, high, strict=True)]
    count = torch.ones_like(plane)
    centre = torch.zeros_like(plane)
    for p, lo, w in zip(spot, low, width, strict=True):
        count = count * w
        centre = centre * w + (p - lo)
    # The remainder of a 31-bit number is uniform to 1e-6 for windows of up to 2,000 pixels.
    number = torch.randint(2**31 - 1, plane.shape, generator=generator, device=x.device)
    if forbidden is None:
        number = number % (count - 1)
        number = number + (number >= centre)
    else:
        inside = torch.ones((len(spots), len(forbidden)), dtype=torch.bool, device=x.device)
        taken = torch.zeros_like(inside, dtype=torch.long)
        for p, lo, w, offset in zip(spot, low, width, forbidden.T, strict=True):
            along = (p - lo)[:, None] + offset
            inside &= (along >= 0) & (along < w[:, None])
            taken = taken * w[:, None] + along
        count = count - inside.sum(1)
        number = number % count.clamp(min=1)
        # As above for every forbidden number: the j-th moves those that reach it after j moves
        # before. Offsets in row-major order have ascending numbers.
        before = inside.cumsum(1) - 1
        number = number + (inside & (taken - before <= number[:, None])).sum(1)
    source: list[Tensor] = []
    for lo, w in zip(reversed(low), reversed(width), strict=True):
        source.insert(0, lo + number % w)
        number = number // w
    if forbidden is not None and (empty := count == 0).any():
        whole = max(x.shape[1:])
        again = draw(x, spots[empty], whole, forbidden if radius < whole else None, generator)
        for along, drawn in zip(source, again[1:], strict=True):
            along[empty] = drawn
    return (plane, *source)


def draw_normal(
    x: Tensor, spots: Tensor, sigma: float, forbidden: Tensor, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Indices into x at rounded normal offsets, in the image and not forbidden.

    Spots for which a hundred rounds find nothing are left to `draw`, over the whole plane.
    """
    # One integer per offset, so that isin compares offsets of any number of dimensions.
    code = torch.tensor([2**40, 2**20, 1], device=x.device)[1 - x.ndim :]
    codes = (forbidden * code).sum(1)
    last = torch.tensor(x.shape[1:], device=x.device) - 1
    source = spots.clone()
    todo = torch.arange(len(spots), device=x.device)
    for _ in range(100):
        if not len(todo):
            break
        spot = spots[todo, 1:]
        # The inverse of the distribution function, cut to the image: no draw is lost outside.
        low = torch.special.ndtr((-spot - 0.5) / sigma)
        high = torch.special.ndtr((last - spot + 0.5) / sigma)
        u = torch.rand(spot.shape, generator=generator, device=x.device)
        offset = (sigma * torch.special.ndtri(low + u * (high - low))).round()
        # Only the rounding of probabilities below 1e-6 leaves the image.
        offset = torch.maximum(torch.minimum(offset, last - spot), -spot).long()
        source[todo, 1:] = spot + offset
        todo = todo[torch.isin((offset * code).sum(1), codes)]
    if len(todo):
        source[todo] = torch.stack(draw(x, spots[todo], max(x.shape), forbidden, generator), 1)
    return source.unbind(1)


def reduce(
    x: Tensor,
    mask: Tensor,
    radius: int,
    generator: torch.Generator,
    function: Callable[[Tensor], Tensor],
    exclude: Tensor | None,
    *,
    centre: bool = True,
) -> Tensor:
    """Replace the spots by a function of their windows (s, k), which are NaN outside the image.

    The offsets of `forbidden_offsets` are left out.
    """
    ndim = x.ndim - 1
    forbidden = forbidden_offsets(x, exclude, centre=centre)
    window = torch.ones([2 * radius + 1] * ndim, dtype=torch.bool, device=x.device)
    near = forbidden[(forbidden.abs() <= radius).all(1)] + radius
    window[tuple(near.T)] = False
    # Contiguous, because padding keeps the memory order of its input.
    padded = F.pad(x, [radius] * 2 * ndim, value=math.nan).contiguous()
    stride = torch.tensor(padded.stride(), device=x.device)
    offsets = (window.nonzero() * stride[1:]).sum(1)

    def value(spots: Tensor) -> Tensor:
        index = (spots * stride).sum(1)[:, None] + offsets
        values = padded.flatten().index_select(0, index.flatten()).view(index.shape)
        if not len(offsets):
            values = x.new_full((len(spots), 1), math.nan)
        # With the centre alone forbidden no window is empty, and the GPU need not be asked.
        if len(forbidden) > 1 and (empty := values.isnan().all(1)).any():
            values[empty, 0] = x[draw(x, spots[empty], max(x.shape), forbidden, generator)]
        return function(values)

    return replace(x, mask, len(offsets), value)
