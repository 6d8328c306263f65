"""What measures look at: some planes of an image, and of planes the middle, blocks, the calmest.

Few enough planes for seconds, whatever the size of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.images import axes
from unnoise.images.image import Image
from unnoise.images.pixel_mask import fill

MAX_PIXELS = 2**21
"""Pixels of an image that are looked at; of images of many channels a quarter of this in each."""
MAX_PLANES = 16
WIDEST, RUN_WIDEST = 1448, 720
"""Largest sides of planes, alone and in runs along an axis."""
BLOCK = 16
"""Cuts start at multiples of this, in step with the blocks of JPEG and the mosaics of cameras."""
FEWEST = 4
"""Planes of a run, if there are as many: fewer show no fixed pattern."""


@dataclass(frozen=True, eq=False)
class SampledPlanes:
    """Planes of a channel.

    Attributes
    ----------
    filled, original : ndarray, shape (n, y, x), dtype of the image
        With excluded pixels filled from around, and as they are.
    excluded : ndarray of bool, shape (n, y, x), or None
        Pixels that are no measurement.
    """

    filled: NDArray
    original: NDArray
    excluded: NDArray[np.bool_] | None

    @property
    def measured(self) -> NDArray:
        """The pixels that are measurements; flat where some are not."""
        return self.filled if self.excluded is None else self.filled[~self.excluded]


def sampled(image: Image, c: int) -> SampledPlanes:
    """Planes of a channel, spread over the image.

    Parameters
    ----------
    image : Image
        Any image.
    c : int
        Channel.

    Returns
    -------
    SampledPlanes
        At most `MAX_PLANES` planes, cut to their middle; those without a measurement are left out.

    Examples
    --------
    >>> sampled(Image.from_array(np.zeros((40, 32, 32)), axes="ZYX"), 0).filled.shape
    (16, 32, 32)
    """
    regions = [{**place, "C": c} for place in spread_places(image)]
    marks = [image.excluded(where) for where in regions]
    some = [i for i, mark in enumerate(marks) if mark is None or not mark.all()]
    some = some or list(range(len(regions)))
    filled, original = (
        np.stack([read(regions[i])[0, 0, 0, 0] for i in some])
        for read in (image.read, image.original)
    )
    if all(marks[i] is None for i in some):
        return SampledPlanes(filled, original, None)
    excluded = np.zeros(filled.shape, np.bool_)
    for place, i in enumerate(some):
        mark = marks[i]
        if mark is not None:
            excluded[place] = mark[0, 0, 0, 0]
    return SampledPlanes(filled, original, excluded)


def neighboring_planes(image: Image, c: int, axis: str, *, alone: bool = False) -> NDArray:
    """Neighbouring planes along an axis, from its middle.

    Parameters
    ----------
    image : Image
        Any image.
    c : int
        Channel.
    axis : str
        ``S``, ``T`` or ``Z``.
    alone : bool
        Whether excluded pixels are filled from their own plane, not from frames nearby, as must be
        where noise of one frame is compared with that of another: it would be there twice.

    Returns
    -------
    ndarray, shape (n, y, x), dtype of the image
        At most `MAX_PLANES` planes; excluded pixels filled, planes of nothing else 0.

    Examples
    --------
    >>> y = np.arange(9.0)[:, None, None] + np.zeros((9, 512, 512))
    >>> neighboring_planes(Image.from_array(y, axes="ZYX"), 0, "Z")[:, 0, 0]
    array([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    places = run_places(image, axis)
    return np.stack([plane_at(image, place | {"C": c}, alone) for place in places])


def plane_at(image: Image, where: Mapping[str, Any], alone: bool = False) -> NDArray:
    """One plane, or a part of it; 0 where nothing of it was measured, as of dropped frames."""
    marks = image.excluded(where)
    if marks is not None and alone and not marks.all():
        return fill(image.original(where)[0, 0, 0, 0], marks[0, 0, 0, 0])
    plane = image.read(where)[0, 0, 0, 0]
    return np.zeros_like(plane) if marks is not None and marks.all() else plane


def spread_places(image: Image) -> list[dict[str, Any]]:
    """Where the planes of `sampled` are."""
    n = image.sizes
    part = min(n["C"], 4)
    widest = int(WIDEST / part**0.5)
    height, width = min(n["Y"], widest), min(n["X"], widest)
    total = n["S"] * n["T"] * n["Z"]
    wanted = min(int(np.clip(MAX_PIXELS // (part * height * width), 1, MAX_PLANES)), total)
    # From the middles of equal parts: the ends of stacks and movies are often empty.
    which = ((np.arange(wanted) + 0.5) * total / wanted).astype(int)
    stz = np.stack(np.unravel_index(which, (n["S"], n["T"], n["Z"])), 1)
    cut = image.middle(widest, grid=BLOCK)
    return [{**cut, **dict(zip("STZ", place, strict=True))} for place in stz.tolist()]


def run_places(image: Image, axis: str) -> list[dict[str, Any]]:
    """Where the planes of `neighboring_planes` are."""
    n = image.sizes
    height, width = min(n["Y"], RUN_WIDEST), min(n["X"], RUN_WIDEST)
    count = min(int(np.clip(MAX_PIXELS // (height * width), FEWEST, MAX_PLANES)), n[axis])
    start = (n[axis] - count) // 2
    return [image.middle(RUN_WIDEST, grid=BLOCK) | {axis: start + i} for i in range(count)]


def centred(plane: ArrayLike) -> NDArray[np.float64]:
    """Float64 less its median, so that huge offsets cost no digits; missing pixels are 0.

    Examples
    --------
    >>> centred([[1e6, 1e6 + 2], [np.nan, 1e6 + 1]])
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    given = np.asarray(plane)
    x = given.astype(np.float64)
    if given.dtype.kind == "u" and given.dtype.itemsize <= 2:  # their median is found in no time
        return x - (float(np.median(given)) if given.size else 0.0)
    finite = np.isfinite(x)
    level = float(np.median(x[finite])) if finite.any() else 0.0
    return np.where(finite, x - level, 0.0)


def middle(shape: tuple[int, ...], side: int, step: int = 1) -> tuple[slice, slice]:
    """The middle of a plane (..., y, x), at most so wide; it starts at a multiple of `step`.

    Examples
    --------
    >>> middle((10, 100, 20), 32, step=8)
    (slice(32, 64, None), slice(0, 20, None))
    """
    y, x = (axes.middle(n, side, step) for n in shape[-2:])
    return y, x


def blocks(x: NDArray, side: int) -> NDArray:
    """The last two axes cut into whole blocks: shape (..., rows, side, columns, side).

    Examples
    --------
    >>> blocks(np.zeros((3, 17, 9)), 8).shape
    (3, 2, 8, 1, 8)
    """
    rows, columns = (n // side for n in x.shape[-2:])
    cut = x[..., : rows * side, : columns * side]
    return cut.reshape(*x.shape[:-2], rows, side, columns, side)


def block_means(x: NDArray, side: int) -> NDArray:
    """Means over whole blocks of the last two axes: shape (..., rows, columns).

    Examples
    --------
    >>> block_means(np.arange(12.0).reshape(2, 6), 2)
    array([[3.5, 5.5, 7.5]])
    """
    return np.asarray(blocks(x, side).mean(axis=(-3, -1)))


def calmest(score: NDArray, share: float, at_least: int = 1) -> NDArray[np.intp]:
    """Positions of the lowest share of a flat score, lowest first.

    Examples
    --------
    >>> calmest(np.array([3, 1, 2, 1]), 0.5)
    array([1, 3])
    """
    return np.argsort(score, kind="stable")[: max(int(share * len(score)), at_least)]
