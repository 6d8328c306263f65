"""The heart of Noise2Void: which pixels are hidden, and what stands in their place.

Krull, Buchholz, Jug: Noise2Void - Learning Denoising from Single Noisy Images, CVPR 2019.
Shapes are (n, *space) with any number n of independent planes (patches times channels) and two or
three space dimensions. The mask is always kept explicitly: deriving it from "the value changed"
drops the spots whose replacement happens to equal their value and so biases photon counts.

structN2V (Broaddus, Krull, Weigert, Schmidt, Myers: Removing Structured Noise with Self-Supervised
Blind-Spot Networks, ISBI 2020) is for noise that is correlated between pixels, e.g. along the lines
of a scanner. There the neighbours tell the noise of the hidden pixel, so all pixels under a
footprint around every spot are hidden too, while the loss still looks at the spots alone. Here this
is two steps: `exclude` keeps the replacements from reading under the footprint, and
`hide_structure` overwrites what lies under it. Footprints come from `unnoise.config.struct_mask`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from unnoise.training.masks.neighborhoods import (
    draw,
    draw_normal,
    forbidden_offsets,
    reduce,
    replace,
)

SIGMA = 4.0
"""Standard deviation in pixels of the offsets of `normal_without_centre`, as in n2v."""


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


def grid(shape: tuple[int, ...], percent: float, generator: torch.Generator) -> Tensor:
    """Put the blind spots on a regular grid, at a random phase in every plane.

    The period is `box_side` along every axis. It need not be an integer: spot k along an axis is
    at ``floor((k + phase) * side)``. Every pixel is hidden equally often, and two spots are never
    nearer than the period rounded down.

    Parameters
    ----------
    shape, percent, generator
        As for `stratified`.

    Returns
    -------
    Tensor, bool, shape (n, *space)
        True at blind spots.

    Examples
    --------
    >>> grid((1, 4, 4), 25.0, torch.Generator().manual_seed(0)).sum().item()
    4
    """
    n, *space = shape
    device = generator.device
    side = box_side(percent, len(space))
    mask = torch.ones(shape, dtype=torch.bool, device=device)
    for axis, size in enumerate(space):
        phase = torch.rand((n, 1), generator=generator, device=device)
        # Pixel q holds a spot if some integer k has k + phase in [q, q + 1) / side.
        edges = (torch.arange(size + 1, device=device) / side - phase).ceil()
        mask &= (edges.diff() > 0).view(n, *(size if a == axis else 1 for a in range(len(space))))
    return mask


PATTERNS = {"stratified": stratified, "grid": grid}
"""Where the blind spots are, by name."""


def uniform(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Replace every blind spot by a random neighbour, never by itself.

    The neighbour is uniform over the window of `radius` around the spot, cropped to the image,
    without its centre. All values are read before any is written.

    Parameters
    ----------
    x : Tensor, shape (n, *space)
        Noisy planes of at least two pixels.
    mask : Tensor, bool, shape (n, *space)
        Blind spots.
    radius : int
        Half side of the window in pixels, at least 1.
    generator : torch.Generator
        Source of randomness on the device of `x`.
    exclude : Tensor, bool, optional
        Footprint with odd sides, one per space dimension, that is True where neighbours must not
        be used because their noise tells that of the spot; its centre is ignored. A spot whose
        window has no other neighbour takes a random pixel of its plane outside the footprint, or,
        if the footprint covers the plane, any pixel but the centre.

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
    forbidden = None if exclude is None else forbidden_offsets(x, exclude, centre=True)
    width = 1 if forbidden is None else len(forbidden)
    return replace(x, mask, width, lambda s: x[draw(x, s, radius, forbidden, generator)])


def uniform_with_centre(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """As `uniform`, but the spot may keep its own value: the ``uniform_withCP`` of the paper.

    Examples
    --------
    >>> x = torch.rand(1, 32, 32)
    >>> mask = torch.ones_like(x, dtype=torch.bool)
    >>> y = uniform_with_centre(x, mask, 1, torch.Generator().manual_seed(0))
    >>> round((y == x).float().mean().item(), 1)
    0.1
    """
    forbidden = forbidden_offsets(x, exclude, centre=False)
    return replace(x, mask, len(forbidden), lambda s: x[draw(x, s, radius, forbidden, generator)])


def normal_without_centre(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Replace every spot by a neighbour at a rounded normal offset, never by itself.

    The offset is N(0, 4 pixels) per axis, rounded, on condition that it stays in the image, off
    the centre and off the footprint; `radius` is not used. Spots for which a hundred draws end
    under the footprint take a random pixel as in `uniform`.

    Examples
    --------
    >>> x = torch.arange(4.0).view(1, 2, 2)
    >>> y = normal_without_centre(x, x == 3, 2, torch.Generator().manual_seed(0))
    >>> y[0, 1, 1].item() in {0.0, 1.0, 2.0}
    True
    """
    forbidden = forbidden_offsets(x, exclude, centre=True)
    return replace(x, mask, 1, lambda s: x[draw_normal(x, s, SIGMA, forbidden, generator)])


def normal_additive(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Add N(0, `radius`) noise to every spot, in the units of `x`; `exclude` has no meaning.

    Examples
    --------
    >>> x = torch.zeros(1, 64, 64)
    >>> y = normal_additive(x, x == 0, 5, torch.Generator().manual_seed(0))
    >>> round(y.std().item())
    5
    """
    y = x.clone()
    noise = torch.randn(x[mask].shape, generator=generator, device=x.device, dtype=x.dtype)
    y[mask] = x[mask] + radius * noise
    return y


def normal_fitted(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Draw every spot from the normal distribution fitted to its cropped window with the centre.

    Examples
    --------
    >>> x = torch.full((1, 8, 8), 3.0)
    >>> y = normal_fitted(x, x == 3, 2, torch.Generator().manual_seed(0))
    >>> bool((y == 3).all())
    True
    """

    def sample(values: Tensor) -> Tensor:
        mean = values.nanmean(1)
        std = (values - mean[:, None]).square().nanmean(1).sqrt()
        noise = torch.randn(mean.shape, generator=generator, device=x.device, dtype=x.dtype)
        return mean + std * noise

    return reduce(x, mask, radius, generator, sample, exclude, centre=False)


def identity(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Leave the spots as they are: a net trained so learns to copy, which is useful to compare.

    Examples
    --------
    >>> x = torch.rand(1, 8, 8)
    >>> torch.equal(identity(x, x > 0.5, 2, torch.Generator()), x)
    True
    """
    return x.clone()


def mean(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Replace every spot by the mean of its cropped window without the centre.

    Only for sparse masks: where windows hold other spots, every mean is a linear equation in
    hidden values. At 25 percent and radius 2 they have one solution, all the hidden noise.

    Examples
    --------
    >>> x = torch.arange(9.0).view(1, 3, 3)
    >>> mean(x, x == 0, 1, torch.Generator())[0, 0, 0].item()
    2.6666667461395264
    """
    return reduce(x, mask, radius, generator, lambda values: values.nanmean(1), exclude)


def median(
    x: Tensor, mask: Tensor, radius: int, generator: torch.Generator, exclude: Tensor | None = None
) -> Tensor:
    """Replace every spot by the median of its cropped window without the centre, as in N2V2.

    Of an even number of values it is the mean of the two in the middle (Hoeck, Buchholz,
    Brachmann, Jug, Freytag: N2V2 - Fixing Noise2Void Checkerboard Artifacts, ECCV workshops 2022).

    Examples
    --------
    >>> x = torch.arange(16.0).view(1, 4, 4)
    >>> median(x, x == 5, 1, torch.Generator())[0, 1, 1].item()
    5.0
    >>> median(x, x == 1, 1, torch.Generator())[0, 0, 1].item()
    4.0
    """

    def middle(values: Tensor) -> Tensor:
        count = (~values.isnan()).sum(1, keepdim=True)
        if values.is_cpu and values.dtype == torch.float32 and not values.requires_grad:
            # NumPy sorts rows of 24 ten times faster than torch: 0.2 instead of 2 ms per batch.
            ordered = torch.from_numpy(np.sort(values.numpy(), axis=1))
        else:
            ordered = values.sort(1).values  # NaN come last
        pair = torch.cat([(count - 1) // 2, count // 2], 1)
        return ordered.gather(1, pair).mean(1)

    return reduce(x, mask, radius, generator, middle, exclude)


REPLACEMENTS: dict[str, Callable[..., Tensor]] = {
    "uniform": uniform,
    "uniform_with_centre": uniform_with_centre,
    "normal_without_centre": normal_without_centre,
    "normal_additive": normal_additive,
    "normal_fitted": normal_fitted,
    "identity": identity,
    "mean": mean,
    "median": median,
}
"""What may stand in a blind spot, by name; all take ``(x, mask, radius, generator, exclude)``."""

CENTRE_BLIND = frozenset({"uniform", "normal_without_centre", "mean", "median"})
"""Replacements in which a hidden value never stands in its own place.

Of the others, `uniform_with_centre` keeps it once per window, `normal_additive` adds noise to it,
`normal_fitted` centres on a mean that holds it and `identity` shows it: their loss on the spots
falls by copying the input, so it is no measure of quality. A value may still enter the place of a
neighbouring spot, as in the paper. At 25 percent and radius 2 the sum of what stands in the other
spots of its window explains 0.01 of the variance of a hidden noise value with `uniform`, 0.06 with
`median` and, the visible neighbours subtracted, 0.4 with `mean`.
"""


def hide_structure(
    y: Tensor, x: Tensor, mask: Tensor, struct: Tensor, generator: torch.Generator
) -> Tensor:
    """Hide all that lies under the footprint of a blind spot, other spots excepted (structN2V).

    A hidden pixel takes the value of another pixel of its plane, uniform over those that are not
    spots: the distribution is that of the data, and the value of a spot cannot come in. Where a
    plane has a single pixel besides its spots, that pixel stays. Footprints are cut off at the
    borders.

    Parameters
    ----------
    y : Tensor, shape (n, *space)
        Planes whose spots are already replaced.
    x : Tensor, shape (n, *space)
        Noisy planes.
    mask : Tensor, bool, shape (n, *space)
        Blind spots.
    struct : Tensor, bool
        Footprint with odd sides, one per space dimension; the spot is at its centre.
    generator : torch.Generator
        Source of randomness on the device of `x`.

    Returns
    -------
    Tensor, shape (n, *space)
        A copy of `y` with the footprints filled.

    Examples
    --------
    >>> x = torch.arange(25.0).view(1, 5, 5)
    >>> struct = torch.tensor([[True, True, True]])
    >>> y = hide_structure(x, x, x == 12, struct, torch.Generator().manual_seed(0))
    >>> (y != x).nonzero().tolist()
    [[0, 2, 1], [0, 2, 3]]
    """
    hidden = torch.zeros_like(mask)
    for offset in forbidden_offsets(x, struct, centre=False).tolist():
        # Pixel p = spot + offset. Shifts take a third of the time of a convolution for a 1x5, and
        # two to five times that of one for a 63x63.
        pairs = list(zip(offset, x.shape[1:], strict=True))
        to = [slice(max(o, 0), max(size + min(o, 0), 0)) for o, size in pairs]
        of = [slice(max(-o, 0), max(size - max(o, 0), 0)) for o, size in pairs]
        hidden[(slice(None), *to)] |= mask[(slice(None), *of)]
    hidden &= ~mask
    visible = (~mask).flatten(1)  # (n, pixels)
    source = visible.nonzero()[:, 1]  # plane after plane
    count = visible.sum(1)
    start = count.cumsum(0) - count
    rank = visible.cumsum(1) - 1
    plane, pixel = hidden.flatten(1).nonzero(as_tuple=True)
    number = torch.randint(2**31 - 1, plane.shape, generator=generator, device=x.device)
    # A step of 1 to count - 1 along the ring of visible pixels never ends where it began.
    step = 1 + number % (count[plane] - 1).clamp(min=1)
    drawn = source[start[plane] + (rank[plane, pixel] + step) % count[plane]]
    result = y.clone()
    result[hidden] = x.flatten(1)[plane, drawn]
    return result
