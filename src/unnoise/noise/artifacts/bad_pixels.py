"""What single pixels tell: bad and constant ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.noise.artifacts import small_integers
from unnoise.noise.artifacts.histogram import MOST, percent, sample, steps
from unnoise.noise.planes import centred

PAIR = 3.0
"""Two pixels side by side must exceed the threshold of a single one by this factor."""
OUTER = (0.9, 0.97, 0.99, 0.995)
"""Quantiles that tell how the tail of residuals falls."""
NEAR = 1e-4
"""Within this share of a threshold the rounding of sums may decide."""
FEW = 1000
"""Points at which a look along the rows is quicker than `_opened`."""
ROWS = 32
"""Rows whose neighbours are sorted at a time: they fit into the cache, which takes a sixth of the
time."""


@dataclass(frozen=True)
class BadPixels:
    """Isolated pixels far from their neighbours, at (y, x); hot and dead ones come first."""

    hot: int
    dead: int
    outliers: int
    share: float
    recurring: bool
    coordinates: tuple[tuple[int, int], ...]

    @property
    def found(self) -> bool:
        """Whether there are at least three (one or two may be chance)."""
        return self.hot + self.dead + self.outliers >= 3

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        if self.recurring and self.hot + self.dead:
            return (
                f"{self.hot} hot and {self.dead} dead pixels stay at their place in all frames: "
                "denoising cannot tell them from small bright or dark specks."
            )
        if self.recurring:
            return (
                f"{self.outliers} single pixels stand out in one frame only (such as cosmic rays): "
                "they may leave faint spots."
            )
        return (
            f"{self.hot} single pixels are far brighter and {self.dead} far darker than all their "
            "neighbours: hot or dead pixels, or outliers that may leave faint spots."
        )


@dataclass(frozen=True)
class Background:
    """Regions of one repeated value; ``box`` (y0, y1, x0, x1) holds all regions of ``value``."""

    share: float
    value: float
    box: tuple[int, int, int, int]
    sides: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether at least half a percent of the pixels are constant."""
        return self.share >= 0.005

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        where = f" at the {', '.join(self.sides)}" if self.sides else ""
        return (
            f"{percent(self.share)} of the pixels lie in regions of one constant value "
            f"({self.value:g}){where}: there is no noise there, so noise is measured elsewhere."
        )


def bad_pixels(planes: ArrayLike) -> BadPixels:
    """Isolated hot and dead pixels and outliers.

    A pixel is bad if it differs from the median of its 8 neighbours by more than 6 robust local
    standard deviations *and* by more than an exponential tail through the 97 and 99.5 % quantiles
    (or 90 and 99 %) of pixels of similar brightness leads to once in ten images; and if none of
    its neighbours does anything like it. Tails of Gaussian, Poisson and EMCCD noise fall at least
    exponentially. In several frames a pixel is hot or dead if it is bad in a quarter of them.

    Parameters
    ----------
    planes : (y, x) or (n, y, x)
        One plane, or frames of one camera. At most 4 million pixels are looked at.

    Examples
    --------
    >>> plane = np.random.default_rng(0).poisson(50, (64, 64))
    >>> plane[20, 30] = 400
    >>> bad_pixels(plane).coordinates
    ((20, 30),)
    """
    stack = np.asarray(planes)
    stack = stack[None] if stack.ndim == 2 else stack.reshape(-1, *stack.shape[-2:])
    if min(stack.shape[-2:]) < 5:
        return BadPixels(0, 0, 0, 0.0, False, ())
    most = max(2, MOST // stack[0].size)
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), most)).astype(int))
    signs = np.stack([isolated(stack[i]) for i in chosen])
    n = len(signs)
    above, below = (signs > 0).sum(0), (signs < 0).sum(0)
    enough = 1 if n == 1 else max(2, ceil(n / 4))
    hot, dead = above >= enough, below >= enough
    outliers = ((above > 0) & ~hot) | ((below > 0) & ~dead)
    places = np.concatenate([np.argwhere(hot | dead), np.argwhere(outliers)])[:1000]
    return BadPixels(
        hot=int(hot.sum()),
        dead=int(dead.sum()),
        outliers=int(outliers.sum()),
        share=float((signs != 0).mean()),
        recurring=n > 1,
        coordinates=tuple((int(y), int(x)) for y, x in places),
    )


def background(planes: ArrayLike) -> Background:
    """Regions where one value repeats over whole squares, such as padding after registration.

    Parameters
    ----------
    planes : (y, x) or (n, y, x)
        For stacks the share is the mean over (at most 8) planes, the box that of the worst plane.

    Examples
    --------
    >>> plane = np.random.default_rng(0).poisson(50, (64, 64))
    >>> plane[:, :20] = 0
    >>> background(plane).box, background(plane).sides
    ((0, 64, 0, 20), ('top', 'bottom', 'left'))
    """
    stack = np.asarray(planes)
    stack = stack[None] if stack.ndim == 2 else stack.reshape(-1, *stack.shape[-2:])
    most = max(1, min(8, MOST // max(stack[0].size, 1)))
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), most)).astype(int))
    masks = [constant(stack[i]) for i in chosen]
    shares = [float(mask.mean()) for mask in masks]
    worst = int(np.argmax(shares))
    if not shares[worst]:
        return Background(0.0, 0.0, (0, 0, 0, 0), ())
    plane, mask = stack[chosen[worst]], masks[worst]
    values, counts = np.unique(plane[mask], return_counts=True)
    value = values[counts.argmax()]
    ys, xs = np.nonzero(mask & (plane == value))
    box = (int(ys.min()), int(ys.max()) + 1, int(xs.min()), int(xs.max()) + 1)
    h, w = plane.shape
    touches = {"top": box[0] == 0, "bottom": box[1] == h, "left": box[2] == 0, "right": box[3] == w}
    sides = tuple(name for name, touch in touches.items() if touch)
    return Background(float(np.mean(shares)), float(value), box, sides)


def constant(plane: NDArray) -> NDArray[np.bool_]:
    """Whether each pixel lies in a square of equal pixels too large to arise by chance.

    The side is 16 pixels, or as much more as sparse photons ask for. If a share ``q`` of 2x2 cells
    is not constant, about ``q / 4`` of the pixels are not, and a square of side ``s`` is constant
    by chance with probability ``exp(-q s^2 / 4)``, kept below ``exp(-20)``.
    """
    none = np.zeros(plane.shape, bool)
    shortest = min(plane.shape)
    if shortest < 8:
        return none
    a = plane[:-1, :-1]
    same = (a == plane[1:, :-1]) & (a == plane[:-1, 1:]) & (a == plane[1:, 1:])
    side = min(15, shortest // 2)  # a square of `side` cells is side + 1 pixels wide
    if not _may_hold(same, side) or not _opened(same, side).any():
        return none
    # From large squares to small ones: the first that fit anywhere leave q outside unspoilt,
    # whereas taking all small constant squares away first would make the rest look busy.
    largest = shortest // 2
    cells = _opened(same, largest)
    while largest > side and not cells.any():
        largest = max(side, largest // 2)
        cells = _opened(same, largest)
    if not cells.all():
        differing = 1 - float(same[~cells].mean())
        side = max(side, ceil(sqrt(80 / max(differing, 1e-9))))
        if side > max(largest, 15):
            return none
        cells = _opened(same, side)
    grown = np.pad(cells, 1)
    return grown[1:, 1:] | grown[:-1, 1:] | grown[1:, :-1] | grown[:-1, :-1]


def _may_hold(mask: NDArray[np.bool_], side: int) -> bool:
    """Whether a square of that side may lie inside the mask; every square holds a point of a grid.

    It also holds as many pixels in a row through that point. Looking at those takes a fiftieth of
    the time of `_opened`.
    """
    y, x = np.nonzero(mask[side - 1 :: side, side - 1 :: side])
    y, x = (y + 1) * side - 1, (x + 1) * side - 1
    if len(x) > FEW:
        return True
    row = np.pad(mask, ((0, 0), (0, side)))[y[:, None], x[:, None] + np.arange(1 - side, side)]
    steps = np.arange(1, side + 1)
    right = np.where(row[:, side - 1 :], side, steps - 1).min(1, initial=side)
    left = np.where(row[:, side - 1 :: -1], side, steps - 1).min(1, initial=side)
    return bool((right + left - 1 >= side).any())


def _opened(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Keep the pixels covered by a square of the given side that lies wholly inside the mask."""
    out = mask.astype(np.uint8)
    shift = -1 if side % 2 == 0 else 0  # the maximum filter must mirror the minimum filter
    for axis in (0, 1):
        out = ndimage.minimum_filter1d(out, side, axis, mode="constant", cval=0)
    for axis in (0, 1):
        out = ndimage.maximum_filter1d(out, side, axis, mode="constant", cval=0, origin=shift)
    return out.astype(bool)


_BESIDE = tuple((i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1))
# Pairs to compare and swap so that eight arrays come out sorted (Batcher's odd-even merge sort);
# twenty times faster than a rank filter.
_SORT8 = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)


def isolated(plane: NDArray) -> NDArray[np.int8]:
    """+1 where a pixel stands alone above its neighbours, -1 where below, else 0."""
    grain, _, _ = steps(*_levels(sample(plane)[: 1 << 18]))
    signs = np.zeros(plane.shape, np.int8)
    if small_integers.is_small(plane) and _certainly_none(plane, grain):
        return signs
    flat = centred(plane).astype(np.float32)
    centre, lowest, second, highest = _around(flat)
    residual: NDArray[np.float32] = flat - centre
    upper, lower, sigma = _thresholds(residual, centre, grain)
    if not ((residual > upper) | (-residual > lower)).any():
        return signs
    # Texture makes residuals locally larger than those of pixels of the same brightness.
    size = np.minimum(np.abs(residual), 3 * sigma)
    local = np.float32(1.2533) * ndimage.uniform_filter(size, 9)
    factor = np.maximum(1, local / np.maximum(sigma, 1e-30))
    upper, lower, sigma = upper * factor, lower * factor, sigma * factor
    # A point source of PSF sigma 0.7 px gives its neighbours 0.36 of its peak, so 1/4 tells.
    alone = np.maximum(2.5 * sigma, np.abs(residual) / 4)
    signs[(residual > upper) & (highest - centre < alone)] = 1
    signs[(-residual > lower) & (centre - lowest < alone)] = -1
    signs[_pairs(residual > PAIR * upper, second - centre < alone) & (signs == 0)] = 1
    signs[~np.isfinite(plane)] = 0
    return signs


def _levels(values: NDArray) -> tuple[NDArray, NDArray[np.intp]]:
    """As `numpy.unique` with its counts."""
    if not small_integers.is_small(values):
        return np.unique(values, return_counts=True)
    counts, low = small_integers.count(values)
    there = np.flatnonzero(counts)
    return there + low, counts[there]


def _around(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median, lowest, second highest and highest of the eight neighbours of every pixel."""
    padded = np.pad(flat, 1, mode="reflect")
    h, w = flat.shape
    out = np.empty((4, h, w), np.float32)
    for y in range(0, h, ROWS):
        n = min(ROWS, h - y)
        around = [padded[y + i : y + i + n, j : j + w] for i, j in _BESIDE]
        for i, j in _SORT8:
            around[i], around[j] = (
                np.minimum(around[i], around[j]),
                np.maximum(around[i], around[j]),
            )
        found = (np.float32(0.5) * (around[3] + around[4]), around[0], around[6], around[7])
        for whole, part in zip(out, found, strict=True):
            whole[y : y + n] = part
    return out


def _pairs(far: NDArray[np.bool_], alone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Two pixels side by side far above all around, such as a particle leaves.

    Parameters
    ----------
    far : ndarray of bool
        Pixels far above the median of their neighbours.
    alone : ndarray of bool
        Pixels that all neighbours but one stay below; those of lines have two.
    """
    if not far.any():
        return far
    labels, count = ndimage.label(far, np.ones((3, 3)))
    places = labels[far]
    sizes = np.bincount(places, minlength=count + 1)
    both = np.bincount(places, weights=alone[far], minlength=count + 1)
    return np.asarray(((sizes == 2) & (both == 2))[labels] & far)


def _thresholds(
    residual: NDArray[np.float32], centre: NDArray[np.float32], grain: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Thresholds above and below, and the standard deviation, by the brightness of every pixel."""
    cuts = np.unique(np.quantile(centre, _shares(residual.size)))
    index = np.searchsorted(cuts, centre, side="right").astype(np.uint8)  # sorts by radix
    stride = max(1, residual.size >> 20)  # a million pixels are enough for the quantiles
    kind, values = index.ravel()[::stride], residual.ravel()[::stride]
    order = np.argsort(kind, kind="stable")
    groups = np.split(values[order], np.bincount(kind, minlength=len(cuts) + 1).cumsum()[:-1])
    table = np.zeros((3, len(groups)), np.float32)
    for k, group in enumerate(groups):
        if len(group):
            table[:, k] = _tails(group, residual.size, grain)
    upper, lower, sigma = (row.take(index) for row in table)
    return upper, lower, sigma


def _shares(pixels: int) -> NDArray[np.float64]:
    """Where pixels are cut into groups of similar brightness."""
    bins = max(1, min(32, pixels // 4000))
    return np.arange(1, bins) / bins


def _tails(group: NDArray[np.float32], pixels: int, grain: float) -> tuple[float, float, float]:
    """Thresholds above and below and the standard deviation of residuals of similar pixels."""
    size = np.abs(group)
    sigma = 1.2533 * float(np.minimum(size, np.quantile(size, 0.99)).mean())
    sigma = max(sigma, grain / sqrt(12), 1e-6 * float(size.max(initial=0)))
    upper, lower = (
        _limit([float(q) for q in np.quantile(side, OUTER)], sigma, pixels, grain)
        for side in (group, -group)
    )
    return upper, lower, sigma


def _limit(outer: Sequence[float], sigma: float, pixels: int, grain: float) -> float:
    """The threshold on a side with such quantiles."""
    q90, q97, q99, q995 = outer
    # A decade of probability costs `fall` grey levels; one chance in ten images is wanted.
    fits = [
        outer + max((outer - inner) / decades, grain) * (log10(pixels) + 1 - reached)
        for inner, outer, decades, reached in ((q97, q995, 0.778, 2.301), (q90, q99, 1.0, 2.0))
    ]
    return max(6 * sigma, min(fits))


def _certainly_none(plane: NDArray, grain: float) -> bool:
    """Whether no pixel of a plane of small integers is beyond its threshold.

    Thresholds are those of `_thresholds`, of residuals that are counted, up to rounding; what may
    be beyond them is left to the search itself. This takes a tenth of its time, and most planes
    need no more.
    """
    counted = small_integers.residuals(plane, _shares(plane.size))
    if counted is None:
        return False
    middle = counted.table.shape[1] // 2  # in halves of a grey level, as all below
    sizes, both_tails = np.arange(middle + 1), (*OUTER, *(1 - q for q in OUTER))
    for row, lowest, highest in zip(*counted, strict=True):
        if not row.any():
            continue
        size = row[middle:] + row[middle::-1]
        size[0] = row[middle]
        bound = small_integers.quantiles(size, [0.99])[0]
        sigma = 1.2533 * float(size @ np.minimum(sizes, bound)) / float(size.sum()) / 2
        sigma = max(sigma, grain / sqrt(12), 1e-6 * float(np.flatnonzero(size)[-1]) / 2)
        if max(highest, -lowest) / 2 <= (1 - NEAR) * 6 * sigma:  # which every threshold is at least
            continue
        found = (small_integers.quantiles(row, both_tails) - middle) / 2
        sides = (found[:4], highest / 2), (-found[4:], -lowest / 2)
        for outer, farthest in sides:
            limit = _limit(outer.tolist(), sigma, plane.size, grain)
            if farthest > (1 - NEAR) * limit:
                return False
    return True
