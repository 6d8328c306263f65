"""Large planes as several levels of resolution, so that napari never asks for all of a plane."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.app.pyramid import Place, Pyramid
from unnoise.images.image import Image
from unnoise.images.pixel_types import cast

LARGE = 2**24
"""Pixels of a plane from which on it is shown in several levels."""
SMALLEST = 512
"""Pixels along the longer side of the last level at least."""


class Level:
    """The pixels of an image with 2^k times fewer along Y and X, as an array that is lazy.

    Parameters
    ----------
    pyramid : Pyramid
    level : int
    axes : str
        The letters of its dimensions: those of the layer.
    channel : int or None
        Which channel it has, where C is not among the letters.

    Attributes
    ----------
    share : float
        How much of what was read last is exact; the rest is guessed until it has been read.

    Examples
    --------
    >>> image = Image.from_array(np.arange(3.0 * 64 * 64).reshape(3, 64, 64), axes="ZYX")
    >>> level = Level(Pyramid(image), 1, "ZYX", None)
    >>> level.shape, level[2].shape, float(level[0, 0, 0])
    ((3, 32, 32), (32, 32), 32.5)
    """

    def __init__(self, pyramid: Pyramid, level: int, axes: str, channel: int | None) -> None:
        self._pyramid, self._level, self._axes, self._channel = pyramid, level, axes, channel
        height, width = pyramid.shape(level)
        sizes = {**pyramid.image.sizes, "Y": height, "X": width}
        self.shape = tuple(sizes[letter] for letter in axes)
        self.dtype = pyramid.image.dtype
        self.ndim = len(axes)
        self.size = math.prod(self.shape)
        self.share = 1.0

    def __getitem__(self, index: Any, /) -> NDArray:
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        picks = {a: np.arange(n)[i] for a, n, i in zip(self._axes, self.shape, index, strict=True)}
        flat = {letter: np.atleast_1d(pick) for letter, pick in picks.items()}
        block = np.empty([len(flat[letter]) for letter in self._axes], self.dtype)
        if block.size:
            self._fill(block, flat)
        return block[tuple(0 if np.ndim(picks[letter]) == 0 else slice(None) for letter in picks)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(self[()], dtype)

    def _fill(self, block: NDArray, flat: dict[str, NDArray]) -> None:
        """Read the planes of a block."""
        y, x = (slice(int(flat[a].min()), int(flat[a].max()) + 1) for a in "YX")
        channels = flat.get("C", np.array([self._channel or 0]))
        together = channels if self._pyramid.image.is_rgb else channels[:, None]
        leading = [letter for letter in "STZ" if letter in flat]
        self.share = 1.0
        for at in product(*(range(len(flat[letter])) for letter in leading)):
            own = {letter: int(flat[letter][i]) for letter, i in zip(leading, at, strict=True)}
            parts = []
            for group in np.atleast_2d(together):
                place = Place(own.get("S", 0), own.get("T", 0), own.get("Z", 0), tuple(group))
                part, share = self._pyramid.read(self._level, y, x, place)
                parts.append(part)
                self.share = min(self.share, share)
            planes = np.concatenate(parts)[:, flat["Y"] - y.start][:, :, flat["X"] - x.start]
            region = dict(zip(leading, at, strict=True))
            where = tuple(region.get(letter, slice(None)) for letter in self._axes)
            kept = [letter for letter in self._axes if letter not in leading]
            order = [("CYX" if "C" in kept else "YX").index(letter) for letter in kept]
            pixels = planes if "C" in kept else planes[0]
            block[where] = cast(np.nan_to_num(pixels), self.dtype).transpose(order)


def levels_of(image: Image, axes: str, channel: int | None, full: Any) -> list[Any]:
    """All levels of a layer, the full one first; it alone where planes are not large.

    Parameters
    ----------
    image : Image
    axes : str
        Of the layer.
    channel : int or None
        Which of the channels it shows, if C is not among its axes.
    full : array
        Its pixels.
    """
    height, width = (image.sizes[letter] for letter in "YX")
    if height * width <= LARGE:
        return [full]
    pyramid = Pyramid(image)
    count = max(int(np.log2(max(height, width) / SMALLEST)), 1)
    last = min(count, pyramid.levels - 1)
    return [full, *(Level(pyramid, k, axes, channel) for k in range(1, last + 1))]
